/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /proc/sysvipc/shm: the SysV segments of this IPC name space, attached or not.
 * A table whose first line names the columns; columns are found by name, as
 * kernels added some (rss, swap). No lock.
 *
 * What it does not say is which segments are of huge pages: see proc.h, and
 * the smaps of whoever has one attached.
 */
#include "system/proc.h"
#include "system/scan.h"

#include <errno.h>

enum {
	KEY,
	SHMID,
	PERMS,
	SIZE,
	CPID,
	NATTCH,
	UID,
	RSS,
	WANTED_
};

static const char *const names[WANTED_] = {
	[KEY] = "key",
	[SHMID] = "shmid",
	[PERMS] = "perms",
	[SIZE] = "size",
	[CPID] = "cpid",
	[NATTCH] = "nattch",
	[UID] = "uid",
	[RSS] = "rss",
};

#define COLUMNS_MAX 32

/* Which of the wanted ones each column is; WANTED_ for others. */
struct columns {
	unsigned count;
	unsigned what[COLUMNS_MAX];
};

static unsigned which(const char *word, size_t length)
{
	unsigned i;

	for (i = 0; i < WANTED_; i++) {
		if (strlen(names[i]) == length &&
			memcmp(names[i], word, length) == 0)
			break;
	}
	return i;
}

static bool parse_heading(const char *line, struct columns *columns)
{
	unsigned seen = 0;

	*columns = (struct columns){0};
	for (;;) {
		size_t length;

		hl_scan_spaces(&line);
		length = strcspn(line, " \t");
		if (length == 0 || columns->count == COLUMNS_MAX)
			break;
		columns->what[columns->count] = which(line, length);
		seen |= 1u << columns->what[columns->count++];
		line += length;
	}
	return (seen & 1u << SHMID) && (seen & 1u << SIZE);
}

static uint64_t take_octal(const char **at)
{
	uint64_t value = 0;

	while (**at >= '0' && **at <= '7')
		value = value << 3 | (uint64_t)(*(*at)++ - '0');
	return value;
}

static bool parse_row(
	const char *line, const struct columns *columns, uint64_t *values)
{
	unsigned i;

	memset(values, 0, WANTED_ * sizeof(*values));
	for (i = 0; i < columns->count; i++) {
		unsigned what = columns->what[i];
		bool negative;
		uint64_t value;

		hl_scan_spaces(&line);
		if (*line == '\0')
			break;
		negative = hl_scan_char(&line, '-');
		if (*line < '0' || *line > '9')
			return false;
		value = what == PERMS ? take_octal(&line)
				      : hl_scan_decimal(&line);
		if (what < WANTED_)
			values[what] = negative ? -value : value;
	}
	return i == columns->count;
}

int hl_shm_visit(const struct hl_root *root,
	int (*visit)(const struct hl_shm_segment *s, void *arg), void *arg)
{
	char buf[4096], *line;
	struct columns columns = {0};
	struct hl_lines lines;
	uint64_t v[WANTED_];
	int err = hl_lines_open(
		&lines, root, "/proc/sysvipc/shm", buf, sizeof(buf));

	if (err)
		return err;
	err = hl_lines_next(&lines, &line);
	if (err == 1 && !parse_heading(line, &columns))
		err = -EINVAL;
	while (err >= 0 && (err = hl_lines_next(&lines, &line)) == 1) {
		struct hl_shm_segment segment;

		if (!parse_row(line, &columns, v))
			continue;
		segment = (struct hl_shm_segment){
			.key = (int32_t)v[KEY],
			.id = (int32_t)v[SHMID],
			.mode = (uint32_t)v[PERMS],
			.bytes = v[SIZE],
			.creator_pid = (int32_t)v[CPID],
			.attached = v[NATTCH],
			.uid = (uint32_t)v[UID],
			.rss_bytes = v[RSS],
		};
		err = visit(&segment, arg);
		if (err)
			break;
	}
	hl_lines_close(&lines);
	return err;
}
