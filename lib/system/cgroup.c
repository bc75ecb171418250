/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many huge pages the control groups of this process still allow.
 *
 * The group's name comes from /proc/self/cgroup, where its files are from
 * mountinfo: a container may see only a part of the hierarchy, mounted
 * elsewhere, and a group that is outside of that part cannot be looked up.
 * Limits count at every level, so all from the group up to the mount are read
 * and the tightest is told. A level without the controller has no files and
 * limits nothing.
 *
 * v1 has a hierarchy of its own for hugetlb, if it is mounted; else the
 * unified one counts. Called on slow paths of malloc, where stacks may be
 * small: two buffers, and files are opened below the mount's descriptor.
 * Nothing is cached (limits change while a program runs), no lock.
 */
#include "system/sys.h"
#include "base/fmt.h"
#include "system/mountinfo.h"
#include "system/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The group's path with a file name behind it. */
#define GROUP_BYTES 2048
/* A line of mountinfo: those of control groups are short. */
#define LINE_BYTES 1536

/*
 * The kernel prints "no limit" as the largest count of base pages that fits,
 * rounded down to huge pages: some value just below 2^63.
 */
#define UNLIMITED ((uint64_t)1 << 62)

struct version {
	const char *type; /* of the mount */
	const char *max;
	const char *current;
	const char *rsvd_max;
	const char *rsvd_current;
};

static const struct version v1 = {"cgroup", "limit_in_bytes", "usage_in_bytes",
	"rsvd.limit_in_bytes", "rsvd.usage_in_bytes"};
static const struct version v2 = {
	"cgroup2", "max", "current", "rsvd.max", "rsvd.current"};

static bool has_word(const char *list, size_t bytes, const char *word)
{
	size_t wanted = strlen(word);

	while (bytes > 0) {
		const char *comma = memchr(list, ',', bytes);
		size_t length = comma ? (size_t)(comma - list) : bytes;

		if (length == wanted && memcmp(list, word, wanted) == 0)
			return true;
		if (!comma)
			return false;
		list += length + 1;
		bytes -= length + 1;
	}
	return false;
}

/*
 * "7:hugetlb,memory:/a/b": the path, if the line is of that version. The name
 * of a group may have colons, the list of controllers cannot.
 */
static char *parse_membership(char *line, const struct version *version)
{
	char *list = strchr(line, ':');
	char *path = list ? strchr(list + 1, ':') : NULL;

	if (!path || path[1] != '/')
		return NULL;
	list++;
	if (version == &v2)
		return path == list && strncmp(line, "0:", 2) == 0 ? path + 1
								   : NULL;
	return has_word(list, (size_t)(path - list), "hugetlb") ? path + 1
								: NULL;
}

/* Where the group is: its directory below an open mount. */
struct group {
	int mount; /* descriptor */
	const struct version *version;
	char path[GROUP_BYTES]; /* "" for the mount itself, else "/a/b" */
};

/* The process's group as the kernel names it; 0 or -errno. */
static int read_membership(const struct hl_root *root, struct group *group)
{
	struct hl_lines lines;
	char *line, *path = NULL;
	int err = hl_lines_open(&lines, root, "/proc/self/cgroup", group->path,
		sizeof(group->path));

	if (err)
		return err;
	while (!path && hl_lines_next(&lines, &line) == 1) {
		/* Half a name would be another group. */
		if (!lines.skipping)
			path = parse_membership(line, group->version);
		if (path)
			memmove(group->path, path, strlen(path) + 1);
	}
	hl_lines_close(&lines);
	return path ? 0 : -ENOENT;
}

static bool has_parent_steps(const char *path)
{
	size_t length = strlen(path);

	return strstr(path, "/../") ||
	       (length >= 3 && strcmp(path + length - 3, "/..") == 0);
}

/*
 * Cuts from the group's path what lies above the mount. False if the mount
 * does not show the group.
 */
static bool make_relative(char *path, const char *mount_root)
{
	size_t above = strlen(mount_root);

	/* Outside of our cgroup namespace: its name leads nowhere. */
	if (has_parent_steps(path))
		return false;
	if (strcmp(mount_root, "/") == 0)
		above = 0;
	if (strncmp(path, mount_root, above) != 0 ||
		(path[above] != '/' && path[above] != '\0'))
		return false;
	memmove(path, path + above, strlen(path + above) + 1);
	if (strcmp(path, "/") == 0)
		path[0] = '\0';
	return true;
}

static bool is_hierarchy(
	const struct hl_mountinfo *info, const struct version *version)
{
	return version == &v2 ||
	       has_word(info->super_options, strlen(info->super_options),
		       "hugetlb");
}

/* Opens the mount that shows the group; 0 or -errno. */
static int open_mount(const struct hl_root *root, struct group *group)
{
	char buf[LINE_BYTES];
	struct hl_mountinfo info;
	struct hl_lines lines;
	char *line;
	int err = hl_lines_open(
		&lines, root, "/proc/self/mountinfo", buf, sizeof(buf));

	if (err)
		return err;
	group->mount = -ENOENT;
	while (group->mount < 0 && hl_lines_next(&lines, &line) == 1) {
		if (lines.skipping ||
			!hl_mountinfo_is_type(line, group->version->type) ||
			!hl_mountinfo_parse(line, &info) ||
			!is_hierarchy(&info, group->version) ||
			!make_relative(group->path, info.root))
			continue;
		group->mount =
			hl_root_open(root, info.path, O_PATH | O_DIRECTORY);
		break;
	}
	hl_lines_close(&lines);
	return group->mount < 0 ? group->mount : 0;
}

static int find_group(const struct hl_root *root, struct group *group)
{
	static const struct version *const versions[] = {&v1, &v2};
	int err = -ENOENT;

	for (size_t i = 0; i < HL_ARRAY_SIZE(versions) && err; i++) {
		group->version = versions[i];
		err = read_membership(root, group);
		if (!err)
			err = open_mount(root, group);
	}
	return err;
}

void hl_cgroup_size_name(struct hl_buf *buf, size_t page_bytes)
{
	if (page_bytes >= HL_GIB)
		hl_buf_printf(buf, "%zuGB", page_bytes / HL_GIB);
	else if (page_bytes >= HL_MIB)
		hl_buf_printf(buf, "%zuMB", page_bytes / HL_MIB);
	else
		hl_buf_printf(buf, "%zuKB", page_bytes / HL_KIB);
}

/* hugetlb.<size>.<name> of the level in group->path[0..length). */
static int read_value(struct group *group, size_t length, size_t page_bytes,
	const char *name, uint64_t *out)
{
	char text[32];
	struct hl_buf path;
	ssize_t n;
	int err;

	hl_buf_init(&path, group->path + length, GROUP_BYTES - length);
	hl_buf_puts(&path, "/hugetlb.");
	hl_cgroup_size_name(&path, page_bytes);
	hl_buf_printf(&path, ".%s", name);
	n = path.truncated ? -ENAMETOOLONG
			   : hl_root_read_at(group->mount, group->path + 1,
				     text, sizeof(text));
	group->path[length] = '\0';
	if (n < 0)
		return (int)n;
	if (strcmp(text, "max") == 0) {
		*out = UINT64_MAX;
		return 0;
	}
	err = hl_parse_u64(text, out);
	if (!err && *out >= UNLIMITED)
		*out = UINT64_MAX;
	return err;
}

/* What one limit of one level leaves. */
static uint64_t headroom(struct group *group, size_t length, size_t page_bytes,
	uint64_t max, const char *current_name, uint64_t *current)
{
	*current = 0;
	if (max == UINT64_MAX)
		return UINT64_MAX;
	(void)read_value(group, length, page_bytes, current_name, current);
	return max > *current ? max - *current : 0;
}

static void read_level(struct group *group, size_t length, size_t page_bytes,
	struct hl_cgroup_hugetlb *out)
{
	const struct version *v = group->version;
	uint64_t max, current, left;

	if (read_value(group, length, page_bytes, v->max, &max) != 0)
		return;
	/* Without any limit, what our own group holds is told. */
	if (!out->present)
		(void)read_value(group, length, page_bytes, v->current,
			&out->current_bytes);
	out->present = true;
	out->max_bytes = HL_MIN(out->max_bytes, max);
	left = headroom(group, length, page_bytes, max, v->current, &current);
	if (left < out->headroom_bytes) {
		out->headroom_bytes = left;
		out->current_bytes = current;
	}
	/* Kernels before 5.7 have no limit of reservations. */
	if (read_value(group, length, page_bytes, v->rsvd_max, &max) != 0)
		return;
	left = headroom(
		group, length, page_bytes, max, v->rsvd_current, &current);
	out->rsvd_headroom_bytes = HL_MIN(out->rsvd_headroom_bytes, left);
}

int hl_cgroup_hugetlb(const struct hl_root *root, size_t page_bytes,
	struct hl_cgroup_hugetlb *out)
{
	struct group group;
	size_t length;
	int err;

	*out = (struct hl_cgroup_hugetlb){
		.max_bytes = UINT64_MAX,
		.headroom_bytes = UINT64_MAX,
		.rsvd_headroom_bytes = UINT64_MAX,
	};
	err = find_group(root, &group);
	/* No control groups, or none that can be seen: no limit is known. */
	if (err)
		return err == -ENOENT ? 0 : err;
	length = strlen(group.path);
	for (;;) {
		read_level(&group, length, page_bytes, out);
		if (length == 0)
			break;
		while (group.path[--length] != '/')
			;
		group.path[length] = '\0';
	}
	hl_root_close(group.mount);
	return 0;
}
