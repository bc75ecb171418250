/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was set, so that it is set again at each boot:
 *
 *   /etc/sysctl.d/60-hugeadm.conf         settings that are sysctls, and the
 *                                         pool of the default size as a whole
 *   /etc/systemd/system/hugeadm.service   a oneshot unit that writes the rest:
 *                                         pools per node and of other sizes,
 *                                         transparent huge pages
 *   /etc/systemd/system/PATH.mount        a unit for each mount
 *
 * The values are those that the kernel has now. A file that is there is read
 * first: what this run is not about stays in it. Nothing else is touched.
 */
#include "hugeadm.h"

#include "base/bitmap.h"

#define SYSCTL	   "/etc/sysctl.d/60-hugeadm.conf"
#define UNIT	   "hugeadm.service"
#define UNIT_PATH  "/etc/systemd/system/" UNIT
#define EXEC_START "ExecStart=-/bin/sh -c 'echo "

/* A file of entries: key and value, in their order. */
struct entries {
	struct entry {
		char *key, *value;
	} * at;
	size_t n;
};

struct persist {
	struct adm_state *state;
	const struct adm_plan *planned; /* --dry-run: it is not done */
	struct adm_file file;
	struct entries sysctl, unit;
};

static void set(struct entries *e, const char *key, const char *value)
{
	for (size_t i = 0; i < e->n; i++) {
		if (strcmp(e->at[i].key, key) == 0) {
			e->at[i].value = tool_strdup(value);
			return;
		}
	}
	e->at = tool_realloc(e->at, e->n + 1, sizeof(*e->at));
	e->at[e->n++] = (struct entry){tool_strdup(key), tool_strdup(value)};
}

static void drop(struct entries *e, const char *key)
{
	size_t kept = 0;

	for (size_t i = 0; i < e->n; i++) {
		if (strcmp(e->at[i].key, key) != 0)
			e->at[kept++] = e->at[i];
	}
	e->n = kept;
}

/* ---- reading what is there ---- */

static void read_sysctl(struct persist *p)
{
	char *text = adm_file_read(&p->file, SYSCTL);

	for (char *line; text && (line = strsep(&text, "\n"));) {
		char *equals = strchr(line, '=');
		size_t n;

		if (*line == '#' || !equals)
			continue;
		*equals++ = '\0';
		n = strcspn(line, " \t");
		line[n] = '\0';
		equals += strspn(equals, " \t");
		set(&p->sysctl, line, equals);
	}
}

/* ExecStart=-/bin/sh -c 'echo VALUE >PATH' */
static void read_unit(struct persist *p)
{
	char *text = adm_file_read(&p->file, UNIT_PATH);

	for (char *line; text && (line = strsep(&text, "\n"));) {
		char *value = line + sizeof(EXEC_START) - 1, *path;

		if (strncmp(line, EXEC_START, sizeof(EXEC_START) - 1) != 0)
			continue;
		path = strstr(value, " >");
		if (!path)
			continue;
		*path = '\0';
		path += 2;
		path[strcspn(path, "'")] = '\0';
		set(&p->unit, path, value);
	}
}

/* ---- what is to be in it ---- */

static char *number(uint64_t value)
{
	return tool_text("%" PRIu64, value);
}

static char *pool_path(const struct adm_pool *pool, int node, const char *file)
{
	char path[160];

	(void)hl_pool_path(pool->page_bytes, node, file, path, sizeof(path));
	return tool_strdup(path);
}

/* The pool as a whole, or its nodes: what was of the other kind goes. */
static void put_pool(struct persist *p, const struct adm_pool *pool, bool nodes)
{
	bool sysctl = pool->page_bytes == p->state->default_bytes;
	char *total = pool_path(pool, HL_NODE_ANY, "nr_hugepages");

	for (int k = 0; k < p->state->nodes; k++) {
		char *path =
			pool_path(pool, p->state->node[k].id, "nr_hugepages");

		if (nodes && pool->present[k])
			set(&p->unit, path, number(adm_pages(pool, k)));
		else
			drop(&p->unit, path);
	}
	if (nodes || sysctl)
		drop(&p->unit, total);
	else
		set(&p->unit, total, number(adm_pages(pool, -1)));
	if (sysctl && nodes)
		drop(&p->sysctl, "vm.nr_hugepages");
	else if (sysctl)
		set(&p->sysctl, "vm.nr_hugepages", number(adm_pages(pool, -1)));
}

static bool has(const struct entries *e, const char *key)
{
	for (size_t i = 0; i < e->n; i++) {
		if (strcmp(e->at[i].key, key) == 0)
			return true;
	}
	return false;
}

/* always: also if there is none, and no file says otherwise. */
static void put_overcommit(
	struct persist *p, const struct adm_pool *pool, bool always)
{
	bool sysctl = pool->page_bytes == p->state->default_bytes;
	struct entries *e = sysctl ? &p->sysctl : &p->unit;
	const char *key = sysctl ? "vm.nr_overcommit_hugepages"
				 : pool_path(pool, HL_NODE_ANY,
					   "nr_overcommit_hugepages");

	if (always || pool->all.overcommit > 0 || has(e, key))
		set(e, key, number(pool->all.overcommit));
}

static void put_setting(struct persist *p, const struct adm_request *r)
{
	char *path = adm_setting_path(r->setting, r->page_bytes);
	const struct adm_action *a =
		p->planned ? adm_plan_find(p->planned, ADM_DO_SET, path) : NULL;
	char *value = a ? a->value
			: adm_setting_read(
				  &p->state->root, r->setting, r->page_bytes);

	if (!value)
		return;
	if (r->setting->sysctl)
		set(&p->sysctl, r->setting->sysctl, value);
	else
		set(&p->unit, path, value);
}

static void put_mount(struct persist *p, const struct adm_request *r)
{
	const struct adm_mounted *found;
	const struct adm_action *a;
	struct adm_mounted foreseen;

	if (r->what != ADM_MOUNT && r->what != ADM_UNMOUNT)
		return;
	found = adm_mounted_at(p->state, r->mount.path, NULL);
	a = p->planned ? adm_plan_find(p->planned, ADM_DO_MOUNT, r->mount.path)
		       : NULL;
	if (a) {
		foreseen = adm_mount_foreseen(p->state, &a->mount);
		found = &foreseen;
	}
	if (r->what == ADM_MOUNT && found)
		adm_unit_mount(&p->file, found, p->unit.n > 0);
	/* One that is in use stays, and is there after a boot as well. */
	else if (r->what == ADM_UNMOUNT && (!found || (p->planned && !a)))
		adm_unit_unmount(&p->file, r->mount.path);
}

static void put_request(struct persist *p, const struct adm_request *r)
{
	struct adm_pool *pool = adm_pool_of(p->state, r->page_bytes), *to;

	switch (r->what) {
	case ADM_MIN:
		put_pool(p, pool, r->on_nodes);
		put_overcommit(p, pool, false);
		break;
	case ADM_MAX:
	case ADM_OVERCOMMIT:
		put_overcommit(p, pool, true);
		break;
	case ADM_DEMOTE:
		to = adm_pool_of(p->state,
			r->to_bytes ? r->to_bytes : pool->demote_bytes);
		put_pool(p, pool, r->on_nodes);
		put_pool(p, to, r->on_nodes);
		/* The maximum stayed, so that it changed. */
		put_overcommit(p, pool, false);
		put_overcommit(p, to, false);
		break;
	case ADM_SET:
	case ADM_RAISE:
		put_setting(p, r);
		break;
	case ADM_MOUNT:
	case ADM_UNMOUNT: /* their units depend on the others' */
	case ADM_COMPACT:
	case ADM_DROP_CACHES:
		break;
	}
}

static bool changes(const struct adm_requests *requests)
{
	for (size_t i = 0; i < requests->n; i++) {
		if (requests->at[i].what != ADM_COMPACT &&
			requests->at[i].what != ADM_DROP_CACHES)
			return true;
	}
	return false;
}

static void put_pools(struct persist *p)
{
	for (int i = 0; i < p->state->pools; i++) {
		const struct adm_pool *pool = &p->state->pool[i];
		int nodes = 0;

		for (int k = 0; k < p->state->nodes; k++)
			nodes += pool->present[k];
		put_pool(p, pool, nodes > 1);
		put_overcommit(p, pool, false);
	}
}

static void put_mounts_below(struct persist *p, const char *base)
{
	struct adm_mounted *at;
	size_t n, length = strlen(base);

	if (adm_mounts_read(p->state, &at, &n) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(at[i].path, base, length) == 0 &&
			at[i].path[length] == '/')
			adm_unit_mount(&p->file, &at[i], p->unit.n > 0);
	}
}

/* ---- writing it ---- */

static void write_sysctl(struct persist *p)
{
	char *text = tool_strdup("# Written by hugeadm --persist.\n");

	for (size_t i = 0; i < p->sysctl.n; i++)
		text = tool_text("%s%s = %s\n", text, p->sysctl.at[i].key,
			p->sysctl.at[i].value);
	adm_file_write(&p->file, SYSCTL, p->sysctl.n ? text : NULL);
}

static void write_unit(struct persist *p)
{
	char *text = tool_strdup("# Written by hugeadm --persist.\n"
				 "[Unit]\n"
				 "Description=Huge page pools and settings\n"
				 "DefaultDependencies=no\n"
				 "After=systemd-sysctl.service\n"
				 "Before=sysinit.target\n"
				 "ConditionPathExists=/sys/kernel/mm\n\n"
				 "[Service]\n"
				 "Type=oneshot\n"
				 "RemainAfterExit=yes\n");

	for (size_t i = 0; i < p->unit.n; i++)
		text = tool_text("%s" EXEC_START "%s >%s'\n", text,
			p->unit.at[i].value, p->unit.at[i].key);
	text = tool_text("%s\n[Install]\nWantedBy=sysinit.target\n", text);
	if (p->unit.n == 0)
		adm_unit_enable(&p->file, UNIT, "sysinit.target", false);
	adm_file_write(&p->file, UNIT_PATH, p->unit.n ? text : NULL);
	if (p->unit.n > 0)
		adm_unit_enable(&p->file, UNIT, "sysinit.target", true);
}

/* Whether the line, "-vm/x = 5" too, is about that key. */
static bool sets_key(const char *line, const char *key)
{
	line += strspn(line, " \t");
	line += *line == '-';
	for (; *key; line++, key++) {
		if (*line != *key && !(*line == '/' && *key == '.'))
			return false;
	}
	return *line != '\0' && strchr(" \t=", *line);
}

/* Another file that is read later and has the same setting wins. */
static void warn_of(struct persist *p, const char *path)
{
	char *text = adm_file_read(&p->file, path);

	for (char *line; text && (line = strsep(&text, "\n"));) {
		for (size_t i = 0; i < p->sysctl.n; i++) {
			if (sets_key(line, p->sysctl.at[i].key))
				tool_say("%s sets %s as well, and is read "
					 "after " SYSCTL,
					path, p->sysctl.at[i].key);
		}
	}
}

/* Read in the order of their names; the first directory's file of a name hides
 * those of the others. */
static const char *const sysctl_directories[] = {"/etc/sysctl.d",
	"/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"};

struct sysctl_look {
	struct persist *p;
	size_t directory;
};

static int look_at_sysctl(const char *name, void *arg)
{
	const struct sysctl_look *look = arg;
	size_t n = strlen(name);

	if (n <= 5 || strcmp(name + n - 5, ".conf") != 0 ||
		strcmp(name, "60-hugeadm.conf") <= 0)
		return 0;
	for (size_t i = 0; i < look->directory; i++) {
		if (adm_file_read(&look->p->file,
			    tool_text("%s/%s", sysctl_directories[i], name)))
			return 0;
	}
	warn_of(look->p,
		tool_text("%s/%s", sysctl_directories[look->directory], name));
	return 0;
}

static void warn_of_sysctls(struct persist *p)
{
	if (p->sysctl.n == 0)
		return;
	for (size_t i = 0; i < HL_ARRAY_SIZE(sysctl_directories); i++) {
		struct sysctl_look look = {p, i};

		(void)hl_root_list(&p->state->root, sysctl_directories[i],
			look_at_sysctl, &look);
	}
	warn_of(p, "/etc/sysctl.conf");
}

static void say_gigantic(const struct persist *p)
{
	if (p->file.quiet)
		return;
	for (int i = 0; i < p->state->pools; i++) {
		const struct adm_pool *pool = &p->state->pool[i];

		if (adm_pages(pool, -1) == 0 ||
			!adm_gigantic(p->state, pool->page_bytes))
			continue;
		printf("pages of %s are surer to be had at boot; kernel "
		       "command line: %s\n",
			tool_size(pool->page_bytes).text,
			adm_boot_parameters(p->state));
		return;
	}
}

int adm_persist(struct adm_state *state, const struct adm_requests *requests,
	struct adm_plan *plan, const struct adm_persistence *how)
{
	struct persist p = {.state = state,
		.planned = how->dry ? plan : NULL,
		.file = {.root = &state->root,
			.plan = plan,
			.dry = how->dry,
			.quiet = how->quiet}};
	bool everything = !how->in_vain && !changes(requests);

	if (how->dry)
		adm_foresee_pools(state, plan);
	read_sysctl(&p);
	read_unit(&p);
	if (everything)
		put_pools(&p);
	for (size_t i = 0; i < requests->n; i++)
		put_request(&p, &requests->at[i]);
	write_sysctl(&p);
	write_unit(&p);
	if (everything)
		put_mounts_below(&p, adm_real_path(state, how->base));
	for (size_t i = 0; i < requests->n; i++)
		put_mount(&p, &requests->at[i]);
	adm_unit_order(&p.file, p.unit.n > 0);
	warn_of_sysctls(&p);
	say_gigantic(&p);
	return p.file.status;
}
