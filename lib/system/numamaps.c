/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /proc/PID/numa_maps: on which nodes the pages of each mapping are.
 *
 *   7f00 default file=/anon_hugepage\040(deleted) huge anon=2 N0=1 N1=1
 *   kernelpagesize_kB=2048
 *
 * on one line. Needs permission to trace. No lock.
 */
#include "system/proc.h"
#include "base/fmt.h"
#include "system/scan.h"

#include <errno.h>

/* A name may take four times its length, by escapes. */
#define LINE_BYTES (8 * HL_KIB)

static void take_word(const char *word, struct hl_numa_record *r)
{
	static const char size[] = "kernelpagesize_kB=";
	uint64_t node;

	if (word[0] == 'N' && word[1] >= '0' && word[1] <= '9') {
		word++;
		node = hl_scan_decimal(&word);
		if (hl_scan_char(&word, '=') && node < HL_NUMA_NODES)
			r->pages[node] = hl_scan_decimal(&word);
	} else if (strncmp(word, size, sizeof(size) - 1) == 0) {
		word += sizeof(size) - 1;
		r->page_bytes = hl_scan_decimal(&word);
		if (r->page_bytes > SIZE_MAX / HL_KIB)
			r->page_bytes = 0;
		r->page_bytes *= HL_KIB;
	} else if (strncmp(word, "huge", 4) == 0 &&
		   (word[4] == ' ' || word[4] == '\0')) {
		r->huge = true;
	}
}

static bool parse_line(const char *line, struct hl_numa_record *r)
{
	uint64_t from;

	*r = (struct hl_numa_record){0};
	if (!hl_scan_hex(&line, &from) || *line != ' ')
		return false;
	r->from = from;
	for (;;) {
		line += strspn(line, " ");
		if (*line == '\0')
			return true;
		take_word(line, r);
		line += strcspn(line, " ");
	}
}

int hl_numa_maps_visit(const struct hl_root *root, pid_t pid,
	int (*visit)(const struct hl_numa_record *r, void *arg), void *arg)
{
	char path[64], buf[LINE_BYTES], *line;
	struct hl_numa_record record;
	struct hl_lines lines;
	struct hl_buf name;
	int err;

	hl_buf_init(&name, path, sizeof(path));
	if (pid == 0)
		hl_buf_puts(&name, "/proc/self/numa_maps");
	else
		hl_buf_printf(&name, "/proc/%d/numa_maps", (int)pid);
	err = hl_lines_open(&lines, root, path, buf, sizeof(buf));
	if (err)
		return err;
	while ((err = hl_lines_next(&lines, &line)) == 1) {
		if (!parse_line(line, &record))
			continue;
		err = visit(&record, arg);
		if (err)
			break;
	}
	hl_lines_close(&lines);
	return err;
}
