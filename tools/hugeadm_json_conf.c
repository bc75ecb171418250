/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --apply of JSON, as --json prints it: members that tell how a machine is are
 * passed over (free pages, memory), those that can be set become entries. A
 * member that is neither is refused, since it may be misspelt.
 */
#include "hugeadm.h"
#include "json_read.h"

struct entry {
	struct adm_state *state;
	struct adm_requests *list;
	const char *path;
};

static bool is_one_of(const char *key, const char *const *names)
{
	for (; *names; names++) {
		if (strcmp(key, *names) == 0)
			return true;
	}
	return false;
}

static const char *from(const struct entry *e, const struct json_value *v)
{
	return tool_text("%s:%d", e->path, v->line);
}

static int put(const struct entry *e, const struct json_value *v,
	const char *section, const char *name, const char *key)
{
	if (v->type == JSON_ARRAY || v->type == JSON_OBJECT)
		return tool_usage("%s: \"%s\" is not a single value",
			from(e, v), v->key ? v->key : "");
	return adm_conf_entry(
		e->state, e->list, from(e, v), section, name, key, v->text);
}

static int need(const struct entry *e, const struct json_value *v,
	enum json_type type, const char *what)
{
	if (v->type == type)
		return 0;
	return tool_usage("%s: this must be %s", from(e, v), what);
}

static int unknown(const struct entry *e, const struct json_value *v)
{
	return tool_usage("%s: unknown member \"%s\"", from(e, v), v->key);
}

/* Members of that object are of these, and none is there twice. */
static int check_members(const struct entry *e, const struct json_value *object,
	const char *const *names)
{
	for (const struct json_value *v = object->child; v; v = v->next) {
		if (!is_one_of(v->key, names))
			return unknown(e, v);
		if (json_member(object, v->key) != v)
			return tool_usage("%s: \"%s\" is given twice",
				from(e, v), v->key);
	}
	return 0;
}

/* page_bytes of a pool, a THP size or a mount, as text. */
static char *page_size(const struct entry *e, const struct json_value *object)
{
	const struct json_value *v = json_member(object, "page_bytes");
	uint64_t bytes;

	if (json_u64(v, &bytes))
		return tool_text("%" PRIu64, bytes);
	(void)tool_usage("%s: page_bytes is missing", from(e, object));
	return NULL;
}

/* Counts of the nodes; none if there is but one: then the total says it all. */
static int put_nodes(const struct entry *e, const struct json_value *nodes,
	const char *size, uint64_t *sum, bool *any)
{
	static const char *const told[] = {
		"node", "minimum", "current", "free", "surplus", NULL};
	int status = nodes ? need(e, nodes, JSON_ARRAY, "an array") : 0;

	*any = nodes && nodes->child && nodes->child->next;
	for (const struct json_value *n = *any ? nodes->child : NULL;
		n && !status; n = n->next) {
		const struct json_value *min = json_member(n, "minimum");
		uint64_t node, pages;

		status = check_members(e, n, told);
		if (status)
			return status;
		if (!json_u64(json_member(n, "node"), &node) ||
			!json_u64(min, &pages))
			return tool_usage(
				"%s: node and minimum are needed", from(e, n));
		*sum += pages;
		status = put(
			e, min, "pool", size, tool_text("node %" PRIu64, node));
	}
	return status;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static int put_pool(const struct entry *e, const struct json_value *pool)
{
	static const char *const told[] = {"page_bytes", "default", "current",
		"free", "reserved", "surplus", "demotes_to_bytes", "nodes",
		"minimum", "maximum", "overcommit", NULL};
	const struct json_value *min, *max, *over;
	uint64_t sum = 0, total, most, more;
	char *size;
	bool any;
	int status = need(e, pool, JSON_OBJECT, "an object");

	if (status)
		return status;
	status = check_members(e, pool, told);
	if (status)
		return status;
	size = page_size(e, pool);
	if (!size)
		return TOOL_USAGE;
	min = json_member(pool, "minimum");
	max = json_member(pool, "maximum");
	over = json_member(pool, "overcommit");
	if (json_u64(min, &total) && json_u64(max, &most) &&
		json_u64(over, &more) && most != plus(total, more))
		return tool_usage("%s: maximum is %" PRIu64 ", minimum and "
				  "overcommit make %" PRIu64,
			from(e, pool), most, plus(total, more));
	status = put_nodes(e, json_member(pool, "nodes"), size, &sum, &any);
	if (!status && any && json_u64(min, &total) && total != sum)
		return tool_usage("%s: minimum is %" PRIu64 ", that of its "
				  "nodes %" PRIu64,
			from(e, pool), total, sum);
	if (!status && !any && min)
		status = put(e, min, "pool", size, "minimum");
	/* Both say the same; one is enough. */
	if (!status && over)
		status = put(e, over, "pool", size, "overcommit");
	else if (!status && max)
		status = put(e, max, "pool", size, "maximum");
	return status;
}

static int put_settings(const struct entry *e, const struct json_value *object,
	const char *section, const char *size);

static int put_thp_size(const struct entry *e, const struct json_value *object)
{
	char *size;
	int status = need(e, object, JSON_OBJECT, "an object");

	if (status)
		return status;
	size = page_size(e, object);
	return size ? put_settings(e, object, "thp", size) : TOOL_USAGE;
}

static int put_settings(const struct entry *e, const struct json_value *object,
	const char *section, const char *size)
{
	int status = need(e, object, JSON_OBJECT, "an object");

	for (const struct json_value *v = status ? NULL : object->child;
		v && !status; v = v->next) {
		if (strcmp(v->key, "page_bytes") == 0 && *size)
			continue;
		if (strcmp(v->key, "sizes") == 0 && !*size) {
			status = need(e, v, JSON_ARRAY, "an array");
			for (const struct json_value *s = status ? NULL
								 : v->child;
				s && !status; s = s->next)
				status = put_thp_size(e, s);
			continue;
		}
		status = put(e, v, section, size, v->key);
	}
	return status;
}

static int put_mount_member(
	const struct entry *e, const struct json_value *v, const char *path)
{
	static const char *const names[][2] = {{"page_bytes", "page_size"},
		{"size_bytes", "size"}, {"min_size_bytes", "min_size"},
		{"inodes", "inodes"}, {"uid", "user"}, {"gid", "group"},
		{"mode", "mode"}};

	for (size_t i = 0; i < HL_ARRAY_SIZE(names); i++) {
		if (strcmp(v->key, names[i][0]) != 0)
			continue;
		/* No limit is said as well: one that is there goes. */
		if (v->type == JSON_NULL || (i == 2 && v->type == JSON_NUMBER &&
						    strcmp(v->text, "0") == 0))
			return i < 1 || i > 3
				       ? 0
				       : adm_conf_entry(e->state, e->list,
						 from(e, v), "mount", path,
						 names[i][1], "none");
		return put(e, v, "mount", path, names[i][1]);
	}
	return unknown(e, v);
}

/* Of mounts at one place --json lists all, and the last is what one sees. */
static bool is_covered(
	const struct json_value *mount, const struct json_value *path)
{
	while ((mount = mount->next)) {
		const struct json_value *other = json_member(mount, "path");

		if (other && other->type == JSON_STRING &&
			strcmp(other->text, path->text) == 0)
			return true;
	}
	return false;
}

static int put_mount(const struct entry *e, const struct json_value *mount)
{
	static const char *const told[] = {
		"path", "read_only", "options", NULL};
	const struct json_value *path = json_member(mount, "path");
	int status = need(e, mount, JSON_OBJECT, "an object");

	if (status)
		return status;
	if (!path || path->type != JSON_STRING)
		return tool_usage("%s: path is missing", from(e, mount));
	if (is_covered(mount, path))
		return 0;
	if (strstr(path->text, HL_UTF8_REPLACEMENT))
		return tool_usage("%s: \"%s\" stands for a path that is no "
				  "text: it cannot be told which",
			from(e, path), path->text);
	status = adm_conf_entry(e->state, e->list, from(e, mount), "mount",
		path->text, NULL, NULL);
	for (const struct json_value *v = mount->child; v && !status;
		v = v->next) {
		if (!is_one_of(v->key, told))
			status = put_mount_member(e, v, path->text);
	}
	return status;
}

static int put_list(const struct entry *e, const struct json_value *list,
	int (*one)(const struct entry *, const struct json_value *))
{
	int status = need(e, list, JSON_ARRAY, "an array");

	for (const struct json_value *v = status ? NULL : list->child;
		v && !status; v = v->next)
		status = one(e, v);
	return status;
}

static int put_member(const struct entry *e, const struct json_value *v)
{
	static const char *const told[] = {"page_sizes", "default_page_size",
		"usable_page_sizes", "memory", "boot_parameters", NULL};
	static const char *const settings[] = {
		"thp", "khugepaged", "vm", "kernel", NULL};

	if (is_one_of(v->key, told))
		return 0;
	if (is_one_of(v->key, settings))
		return put_settings(e, v, v->key, "");
	if (strcmp(v->key, "pools") == 0)
		return put_list(e, v, put_pool);
	if (strcmp(v->key, "mounts") == 0)
		return put_list(e, v, put_mount);
	return unknown(e, v);
}

int adm_conf_json(struct adm_state *state, struct adm_requests *list,
	const char *path, const char *text)
{
	const struct entry e = {state, list, path};
	const char *expected;
	int line, status = 0;
	struct json_value *all =
		json_read(text, strlen(text), &line, &expected);

	if (!all)
		return tool_usage(
			"%s:%d: no JSON: expected %s", path, line, expected);
	for (const struct json_value *v = all->child; v && !status; v = v->next)
		status = put_member(&e, v);
	return status;
}
