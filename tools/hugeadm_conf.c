/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --apply FILE: a machine described, as requests. The form is INI:
 *
 *   [pool 2M]
 *   minimum = 512
 *   [thp 64K]
 *   enabled = madvise
 *   [mount /srv/huge pages]
 *   page_size = 2M
 *
 * or the JSON that --json prints (hugeadm_json_conf.c). Both become entries:
 * section, name, key, value. What a file does not name stays as it is.
 */
#include "hugeadm.h"

#include "base/bitmap.h"

#include <ctype.h>

#define FILE_MAX (16 * HL_MIB)

static int pool_entry(struct adm_state *state, struct adm_requests *list,
	const char *from, const char *size, const char *key, const char *value)
{
	enum adm_what what = ADM_MIN;
	const char *nodes = "";

	if (!key) {
		size_t bytes;

		return adm_parse_page_size(state, from, size, &bytes);
	}
	if (strcmp(key, "maximum") == 0)
		what = ADM_MAX;
	else if (strcmp(key, "overcommit") == 0)
		what = ADM_OVERCOMMIT;
	else if (strncmp(key, "node ", 5) == 0)
		nodes = tool_text("@%s", key + 5 + strspn(key + 5, " "));
	else if (strcmp(key, "minimum") != 0)
		return tool_usage(
			"%s: unknown key \"%s\" of a pool", from, key);
	if (*value == '+' || *value == '-')
		return tool_usage("%s: \"%s\": a file says how many there are, "
				  "not how many more",
			from, value);
	return adm_parse_pool(state, list, what, from,
		tool_text("%s:%s%s", size, value, nodes));
}

static int setting_entry(struct adm_state *state, struct adm_requests *list,
	const char *from, const char *section, const char *size,
	const char *key, const char *value)
{
	const struct adm_setting *setting;
	size_t page_bytes = 0;

	if (*size != '\0' && (strcmp(section, "thp") != 0 ||
				     hl_parse_size(size, &page_bytes) != 0 ||
				     page_bytes == 0))
		return tool_usage(
			"%s: [%s %s]: no such section", from, section, size);
	if (!key)
		return 0;
	setting = adm_setting_find(section, key, page_bytes != 0);
	if (!setting)
		return tool_usage("%s: unknown key \"%s\" of %s%s", from, key,
			section, page_bytes ? " of a size" : "");
	return adm_parse_setting(state, list, from, setting, page_bytes, value);
}

/* What the file does not name is as it is; as the kernel has it for a new one.
 */
static void start_mount(
	struct adm_state *state, struct adm_mount *mount, const char *path)
{
	const struct adm_mounted *there;

	mount->path = adm_real_path(state, path);
	mount->mode = 0755;
	mount->page_bytes = state->default_bytes;
	there = adm_mounted_at(state, mount->path, NULL);
	if (!there)
		return;
	mount->mode = there->is.mode;
	mount->uid = there->is.uid;
	mount->gid = there->is.gid;
	if (adm_pool_of(state, there->is.page_bytes))
		mount->page_bytes = there->is.page_bytes;
}

static int mount_entry(struct adm_state *state, struct adm_requests *list,
	const char *from, const char *path, const char *key, const char *value)
{
	struct adm_request *request;

	if (key) {
		request = &list->at[list->n - 1];
		return adm_parse_mount_key(
			state, &request->mount, from, key, value);
	}
	if (path[0] != '/')
		return tool_usage(
			"%s: \"%s\" does not start with a slash", from, path);
	if (state->default_bytes == 0)
		return tool_usage("%s: this kernel has no huge pages", from);
	request = adm_request_add(list, ADM_MOUNT, from);
	start_mount(state, &request->mount, path);
	return 0;
}

/* The keys of this file so far. */
static struct {
	char **at;
	size_t n;
} seen;

static int once(const struct adm_state *state, const char *from,
	const char *section, const char *name, const char *key)
{
	size_t bytes;
	char *whole;

	/* A size has several names, and so has a place. */
	if (strcmp(section, "mount") == 0)
		name = adm_real_path(state, name);
	else if (hl_parse_size(name, &bytes) == 0)
		name = tool_text("%zu", bytes);
	whole = tool_text("%s\n%s\n%s", section, name, key);
	for (size_t i = 0; i < seen.n; i++) {
		if (strcmp(seen.at[i], whole) == 0)
			return tool_usage("%s: \"%s\" is given twice", from,
				*key ? key : name);
	}
	seen.at = tool_realloc(seen.at, seen.n + 1, sizeof(*seen.at));
	seen.at[seen.n++] = whole;
	return 0;
}

/* "node 0-1": each of them once. */
static int nodes_once(const struct adm_state *state, const char *from,
	const char *size, const char *nodes)
{
	uint64_t bits[HL_NODES_MAX / 64];
	int status =
		adm_parse_nodes(state, from, nodes + strspn(nodes, " "), bits);

	for (int i = 0; i < state->nodes && !status; i++) {
		int id = state->node[i].id;

		if (hl_bitmap_test(bits, (size_t)id))
			status = once(state, from, "pool", size,
				tool_text("node %d", id));
	}
	return status;
}

static int check_once(const struct adm_state *state, const char *from,
	const char *section, const char *name, const char *key)
{
	if (!key)
		return strcmp(section, "mount") == 0
			       ? once(state, from, section, name, "")
			       : 0;
	if (strcmp(section, "pool") == 0 && strncmp(key, "node ", 5) == 0)
		return nodes_once(state, from, name, key + 5);
	return once(state, from, section, name, key);
}

int adm_conf_entry(struct adm_state *state, struct adm_requests *list,
	const char *from, const char *section, const char *name,
	const char *key, const char *value)
{
	static const char *const settings[] = {
		"thp", "khugepaged", "vm", "kernel"};
	char *size = hl_same_text(name, "DEFAULT") && state->default_bytes
			     ? tool_text("%zu", state->default_bytes)
			     : NULL;

	if (check_once(state, from, section, size ? size : name, key) != 0)
		return TOOL_USAGE;
	if (strcmp(section, "pool") == 0)
		return pool_entry(state, list, from, name, key, value);
	if (strcmp(section, "mount") == 0)
		return mount_entry(state, list, from, name, key, value);
	for (size_t i = 0; i < HL_ARRAY_SIZE(settings); i++) {
		if (strcmp(section, settings[i]) == 0)
			return setting_entry(
				state, list, from, section, name, key, value);
	}
	return tool_usage("%s: unknown section \"%s\"", from, section);
}

/* ---- INI ---- */

static char *trim(char *text)
{
	size_t n;

	while (isspace((unsigned char)*text))
		text++;
	n = strlen(text);
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = '\0';
	return text;
}

struct section {
	char *section, *name;
};

static int read_header(char *line, const char *from, struct section *s)
{
	size_t n = strlen(line);
	char *space;

	if (line[n - 1] != ']')
		return tool_usage("%s: ] is missing", from);
	line[n - 1] = '\0';
	line = trim(line + 1);
	space = strpbrk(line, " \t");
	s->section = tool_strndup(
		line, space ? (size_t)(space - line) : strlen(line));
	s->name = tool_strdup(space ? trim(space) : "");
	return 0;
}

static int read_line(struct adm_state *state, struct adm_requests *list,
	char *line, const char *from, struct section *s)
{
	char *equals;
	int status;

	if (*line == '\0' || *line == '#' || *line == ';')
		return 0;
	if (*line == '[') {
		status = read_header(line, from, s);
		return status ? status
			      : adm_conf_entry(state, list, from, s->section,
					s->name, NULL, NULL);
	}
	equals = strchr(line, '=');
	if (!equals)
		return tool_usage(
			"%s: neither [section] nor key = value", from);
	if (!s->section)
		return tool_usage("%s: no [section] above it", from);
	*equals = '\0';
	return adm_conf_entry(state, list, from, s->section, s->name,
		trim(line), trim(equals + 1));
}

static int read_ini(struct adm_state *state, struct adm_requests *list,
	const char *path, char *text)
{
	struct section section = {NULL, NULL};
	int number = 0, status = 0;

	while (text && !status) {
		char *line = strsep(&text, "\n");

		status = read_line(state, list, trim(line),
			tool_text("%s:%d", path, ++number), &section);
	}
	return status;
}

/* ---- the file ---- */

static char *read_text(const char *path, size_t *bytes, int *status)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	size_t room = 65536, n = 0, got;
	char *text = NULL;

	*status = TOOL_USAGE;
	if (!file) {
		tool_say("%s: %s", path, strerror(errno));
		return NULL;
	}
	do {
		room *= 2;
		text = tool_realloc(text, room, 1);
		got = fread(text + n, 1, room - 1 - n, file);
		n += got;
	} while (got > 0 && n < FILE_MAX);
	text[n] = '\0';
	*bytes = n;
	if (ferror(file)) {
		tool_say("%s: %s", path, strerror(errno));
		text = NULL;
	} else if (n >= FILE_MAX || strlen(text) != n) {
		tool_say("%s: no file of text", path);
		text = NULL;
	}
	if (file != stdin)
		fclose(file);
	return text;
}

int adm_read_file(
	struct adm_state *state, struct adm_requests *list, const char *path)
{
	int status;
	size_t bytes;
	char *text = read_text(path, &bytes, &status);

	seen.n = 0;
	if (!text)
		return status;
	if (text[strspn(text, " \t\r\n")] == '{')
		return adm_conf_json(state, list, path, text);
	return read_ini(state, list, path, text);
}
