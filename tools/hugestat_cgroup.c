/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What control groups are charged with: all groups below each mounted hierarchy
 * that have something, v1 and v2. A group is charged with what is below it as
 * well, and shared memory is charged to the group that touched it first, so
 * these are another view and no part of the sums.
 */
#include "hugestat.h"

#include "base/fmt.h"
#include "system/mountinfo.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX  60
#define LINE_BYTES (64 * HL_KIB)
/* See lib/system/cgroup.c. */
#define UNLIMITED ((uint64_t)1 << 62)

struct names {
	const char *type, *max, *current, *rsvd_max, *rsvd_current;
};

static const struct names versions[] = {
	{"cgroup2", "max", "current", "rsvd.max", "rsvd.current"},
	{"cgroup", "limit_in_bytes", "usage_in_bytes", "rsvd.limit_in_bytes",
		"rsvd.usage_in_bytes"},
};

struct walk {
	struct stat_snapshot *s;
	const struct names *names;
};

static bool read_value(
	int directory, size_t page_bytes, const char *name, uint64_t *out)
{
	char path[64], text[32];
	struct hl_buf buf;

	hl_buf_init(&buf, path, sizeof(path));
	hl_buf_puts(&buf, "hugetlb.");
	hl_cgroup_size_name(&buf, page_bytes);
	hl_buf_printf(&buf, ".%s", name);
	if (hl_root_read_at(directory, path, text, sizeof(text)) < 0)
		return false;
	if (strcmp(text, "max") == 0)
		*out = UINT64_MAX;
	else if (hl_parse_u64(text, out) != 0)
		return false;
	if (*out >= UNLIMITED)
		*out = UINT64_MAX;
	return true;
}

/* False if the group has no such controller. */
static bool read_group(const struct walk *w, int fd, const char *path)
{
	struct stat_snapshot *s = w->s;
	bool any = false;

	for (unsigned i = 0; i < s->size_count; i++) {
		size_t bytes = s->sizes[i].bytes;
		struct stat_group g = {.size = i,
			.max_bytes = UINT64_MAX,
			.rsvd_max_bytes = UINT64_MAX};

		if (!read_value(fd, bytes, w->names->current, &g.current_bytes))
			continue;
		any = true;
		(void)read_value(
			fd, bytes, w->names->rsvd_current, &g.rsvd_bytes);
		if (g.current_bytes == 0 && g.rsvd_bytes == 0)
			continue;
		(void)read_value(fd, bytes, w->names->max, &g.max_bytes);
		(void)read_value(
			fd, bytes, w->names->rsvd_max, &g.rsvd_max_bytes);
		g.path = tool_strdup(*path ? path : "/");
		s->groups = tool_realloc(
			s->groups, s->group_count + 1, sizeof(*s->groups));
		s->groups[s->group_count++] = g;
	}
	return any;
}

static void walk_groups(
	const struct walk *w, int fd, const char *path, unsigned depth)
{
	/* The root of v2 has no files: groups below it may. */
	bool any = read_group(w, fd, path) || depth == 0;
	DIR *directory = any ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!directory) {
		close(fd);
		return;
	}
	while ((entry = readdir(directory))) {
		char *below;
		int child;

		if (entry->d_name[0] == '.' || depth == DEPTH_MAX ||
			(entry->d_type != DT_DIR &&
				entry->d_type != DT_UNKNOWN))
			continue;
		child = openat(fd, entry->d_name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child < 0)
			continue;
		below = tool_text("%s/%s", path, entry->d_name);
		walk_groups(w, child, below, depth + 1);
		free(below);
	}
	closedir(directory);
}

static bool is_hierarchy(const struct hl_mountinfo *info)
{
	const char *value;
	size_t length;

	return strcmp(info->type, "cgroup2") == 0 ||
	       hl_mountinfo_option(
		       info->super_options, "hugetlb", &value, &length);
}

static void walk_mount(struct stat_snapshot *s, const struct names *names,
	const struct hl_mountinfo *info)
{
	struct walk w = {s, names};
	int fd = hl_root_open(
		&s->request->root, info->path, O_RDONLY | O_DIRECTORY);

	if (fd >= 0)
		walk_groups(&w, fd,
			strcmp(info->root, "/") == 0 ? "" : info->root, 0);
}

/* The first mount of each version: others show the same. */
void stat_add_groups(struct stat_snapshot *s)
{
	bool done[HL_ARRAY_SIZE(versions)] = {false};
	char *buf, *line;
	struct hl_lines lines;
	bool any = false;

	for (unsigned i = 0; i < s->size_count; i++)
		any = any || s->sizes[i].pool.nr > 0;
	if (!any)
		return;
	buf = tool_zalloc(LINE_BYTES, 1);
	if (hl_lines_open(&lines, &s->request->root, "/proc/self/mountinfo",
		    buf, LINE_BYTES) == 0) {
		while (hl_lines_next(&lines, &line) == 1) {
			for (size_t i = 0; i < HL_ARRAY_SIZE(versions); i++) {
				struct hl_mountinfo info;

				if (done[i] ||
					!hl_mountinfo_is_type(
						line, versions[i].type) ||
					!hl_mountinfo_parse(line, &info))
					continue;
				done[i] = is_hierarchy(&info);
				if (done[i])
					walk_mount(s, &versions[i], &info);
				break;
			}
		}
		hl_lines_close(&lines);
	}
	free(buf);
}
