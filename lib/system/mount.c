/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hugetlbfs mounts of this process, read from mountinfo in one pass: one
 * read(2) for some 64 KiB, so that hundreds of mounts cost little. Lines of
 * other file systems may be longer than a page (overlay); a line may have two
 * names of 4 KiB, escaped to four times that, hence the buffer.
 *
 * Called by tools and by regions, never by malloc. The buffer and the record
 * are mapped for the call. No lock.
 */
#include "system/sys.h"
#include "base/fmt.h"
#include "base/meta.h"
#include "system/mountinfo.h"

#include <errno.h>
#include <string.h>

#define LINE_BYTES (64 * HL_KIB)

struct scratch {
	struct hl_mount mount;
	char lines[LINE_BYTES];
};

/* A number in an option; `out` is left alone if there is none. */
static void parse_option(const char *options, const char *name, uint64_t *out)
{
	const char *value;
	char text[32];
	size_t length, bytes;

	if (!hl_mountinfo_option(options, name, &value, &length) ||
		length >= sizeof(text))
		return;
	memcpy(text, value, length);
	text[length] = '\0';
	if (hl_parse_size(text, &bytes) == 0)
		*out = bytes;
}

static bool is_read_only(const char *options)
{
	const char *value;
	size_t length;

	return hl_mountinfo_option(options, "ro", &value, &length);
}

static bool parse_mount(
	const struct hl_root *root, char *line, struct hl_mount *mount)
{
	struct hl_mountinfo info;
	uint64_t page_bytes = 0;

	if (!hl_mountinfo_is_type(line, "hugetlbfs") ||
		!hl_mountinfo_parse(line, &info) ||
		strlen(info.path) >= sizeof(mount->path))
		return false;
	memcpy(mount->path, info.path, strlen(info.path) + 1);
	mount->whole = strcmp(info.root, "/") == 0;
	mount->size_bytes = UINT64_MAX;
	mount->min_size_bytes = 0;
	mount->inodes = UINT64_MAX;
	mount->options = info.options;
	mount->super_options = info.super_options;
	mount->read_only =
		is_read_only(info.options) || is_read_only(info.super_options);
	parse_option(info.super_options, "pagesize", &page_bytes);
	parse_option(info.super_options, "size", &mount->size_bytes);
	parse_option(info.super_options, "min_size", &mount->min_size_bytes);
	parse_option(info.super_options, "nr_inodes", &mount->inodes);
	mount->page_bytes = page_bytes;
	/* Old kernels name only sizes that are not the default. */
	return page_bytes != 0 ||
	       hl_default_huge_page(root, &mount->page_bytes) == 0;
}

int hl_mounts_visit_of(const struct hl_root *root, pid_t pid,
	int (*visit)(const struct hl_mount *mount, void *arg), void *arg)
{
	struct scratch *scratch = hl_meta_map(sizeof(*scratch));
	struct hl_lines lines;
	struct hl_buf name;
	char path[64], *line;
	int err;

	if (!scratch)
		return -ENOMEM;
	hl_buf_init(&name, path, sizeof(path));
	if (pid == 0)
		hl_buf_puts(&name, "/proc/self/mountinfo");
	else
		hl_buf_printf(&name, "/proc/%d/mountinfo", (int)pid);
	err = hl_lines_open(
		&lines, root, path, scratch->lines, sizeof(scratch->lines));
	if (err)
		goto out;
	while ((err = hl_lines_next(&lines, &line)) == 1) {
		if (!parse_mount(root, line, &scratch->mount))
			continue;
		err = visit(&scratch->mount, arg);
		if (err)
			break;
	}
	hl_lines_close(&lines);
out:
	hl_meta_unmap(scratch, sizeof(*scratch));
	return err;
}

int hl_mounts_visit(const struct hl_root *root,
	int (*visit)(const struct hl_mount *mount, void *arg), void *arg)
{
	return hl_mounts_visit_of(root, 0, visit, arg);
}
