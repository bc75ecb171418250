/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The maps of a process with what stands behind them, from smaps. One record
 * is a header line in hexadecimal and lines of "Key:  number kB" after it; it
 * is complete when the next header, or the end, is reached. Unknown keys are
 * skipped: every kernel adds some.
 *
 * Called by tools, the report and tests; any line length. No lock; the caller
 * brings the memory, of which the name takes a part, since later lines
 * overwrite the one it came from.
 */
#include "system/sys.h"
#include "base/fmt.h"
#include "system/scan.h"

#include <errno.h>
#include <string.h>

#define SCRATCH_MIN (64 * HL_KIB)
/* PATH_MAX, with room for " (deleted)" and escapes. */
#define PATH_BYTES (16 * HL_KIB)

/*
 * As st_dev has it. glibc's makedev() is a function of its own without
 * optimization, which musl does not have.
 */
static uint64_t device_number(uint64_t major, uint64_t minor)
{
	return (minor & 0xff) | (major & 0xfff) << 8 |
	       (minor & 0xffffff00) << 12 | (major & 0xfffff000) << 32;
}

/* "5581-5583 r-xp 0001a000 fe:00 1572 /usr/bin/x": false if it is not one. */
static bool parse_header(
	const char *line, struct hl_map_record *r, char *path, size_t capacity)
{
	uint64_t from, to, major, minor;
	struct hl_buf name;
	const char *at = line;

	*r = (struct hl_map_record){0};
	if (!hl_scan_hex(&at, &from) || !hl_scan_char(&at, '-') ||
		!hl_scan_hex(&at, &to) || !hl_scan_char(&at, ' ') ||
		strlen(at) < 5 || at[4] != ' ')
		return false;
	memcpy(r->perms, at, 4);
	at += 5;
	if (!hl_scan_hex(&at, &r->offset) || !hl_scan_char(&at, ' ') ||
		!hl_scan_hex(&at, &major) || !hl_scan_char(&at, ':') ||
		!hl_scan_hex(&at, &minor) || !hl_scan_char(&at, ' '))
		return false;
	r->inode = hl_scan_decimal(&at);
	r->device = device_number(major, minor);
	at += strspn(at, " ");
	r->from = from;
	r->to = to;
	hl_buf_init(&name, path, capacity);
	hl_buf_puts(&name, at);
	r->path = path;
	return true;
}

/* Flags are pairs of letters with spaces between. */
static void parse_flags(const char *at, struct hl_map_record *r)
{
	for (;;) {
		size_t length;

		at += strspn(at, " ");
		length = strcspn(at, " ");
		if (length == 0)
			return;
		if (length == 2 && memcmp(at, "ht", 2) == 0)
			r->ht = true;
		if (length == 2 && memcmp(at, "nr", 2) == 0)
			r->nr = true;
		if (length == 2 && memcmp(at, "bt", 2) == 0)
			r->bt = true;
		if (length == 2 && memcmp(at, "lo", 2) == 0)
			r->lo = true;
		at += length;
	}
}

struct key {
	const char *name;
	size_t member;
};

/* Members are of one type on 64-bit machines: size_t and uint64_t. */
_Static_assert(sizeof(size_t) == sizeof(uint64_t), "64-bit only");

#define MEMBER(m) offsetof(struct hl_map_record, m)

static const struct key keys[] = {
	{"KernelPageSize", MEMBER(kernel_page_bytes)},
	{"Rss", MEMBER(rss_bytes)},
	{"Anonymous", MEMBER(anon_bytes)},
	{"Swap", MEMBER(swap_bytes)},
	{"AnonHugePages", MEMBER(anon_huge_bytes)},
	{"ShmemPmdMapped", MEMBER(shmem_huge_bytes)},
	{"FilePmdMapped", MEMBER(file_huge_bytes)},
	{"Shared_Hugetlb", MEMBER(shared_hugetlb_bytes)},
	{"Private_Hugetlb", MEMBER(private_hugetlb_bytes)},
};

static void parse_key(const char *line, struct hl_map_record *r)
{
	size_t length = strcspn(line, ":");
	const char *at = line + length;
	uint64_t kib;

	if (*at != ':')
		return;
	at++;
	if (length == 7 && memcmp(line, "VmFlags", 7) == 0) {
		parse_flags(at, r);
		return;
	}
	at += strspn(at, " \t");
	for (size_t i = 0; i < HL_ARRAY_SIZE(keys); i++) {
		if (strlen(keys[i].name) != length ||
			memcmp(keys[i].name, line, length) != 0)
			continue;
		kib = hl_scan_decimal(&at);
		if (kib > UINT64_MAX / HL_KIB)
			kib = 0;
		kib *= HL_KIB;
		memcpy((char *)r + keys[i].member, &kib, sizeof(kib));
		return;
	}
}

static int visit_lines(struct hl_lines *lines, char *path,
	int (*visit)(const struct hl_map_record *r, void *arg), void *arg)
{
	struct hl_map_record record, next;
	bool open = false;
	char *line;
	int err;

	while ((err = hl_lines_next(lines, &line)) == 1) {
		/*
		 * A header's name goes over the last record's, so that one
		 * must have been told before; `path` is only written then.
		 */
		if (*line >= 'A' && *line <= 'Z') {
			if (open)
				parse_key(line, &record);
			continue;
		}
		if (open) {
			open = false;
			err = visit(&record, arg);
			if (err)
				return err;
		}
		if (parse_header(line, &next, path, PATH_BYTES)) {
			record = next;
			open = true;
		}
	}
	if (err == 0 && open)
		err = visit(&record, arg);
	return err;
}

static int visit_file(const struct hl_root *root, pid_t pid, const char *file,
	char *buf, size_t capacity,
	int (*visit)(const struct hl_map_record *r, void *arg), void *arg)
{
	char path[64];
	struct hl_buf name;
	struct hl_lines lines;
	int err;

	if (capacity < SCRATCH_MIN)
		return -EINVAL;
	hl_buf_init(&name, path, sizeof(path));
	if (pid == 0)
		hl_buf_printf(&name, "/proc/self/%s", file);
	else
		hl_buf_printf(&name, "/proc/%d/%s", (int)pid, file);
	err = hl_lines_open(
		&lines, root, path, buf + PATH_BYTES, capacity - PATH_BYTES);
	if (err)
		return err;
	err = visit_lines(&lines, buf, visit, arg);
	hl_lines_close(&lines);
	return err;
}

int hl_smaps_visit(const struct hl_root *root, pid_t pid, char *buf,
	size_t capacity, int (*visit)(const struct hl_map_record *r, void *arg),
	void *arg)
{
	return visit_file(root, pid, "smaps", buf, capacity, visit, arg);
}

/* A file of headers only: each ends the record before it. */
int hl_maps_visit(const struct hl_root *root, pid_t pid, char *buf,
	size_t capacity, int (*visit)(const struct hl_map_record *r, void *arg),
	void *arg)
{
	return visit_file(root, pid, "maps", buf, capacity, visit, arg);
}
