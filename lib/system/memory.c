/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much memory the machine or a node has, and how much of it could become
 * huge pages. A snapshot: nothing holds still. The two files differ in their
 * line heads only ("MemFree:" and "Node 0 MemFree:"). No lock, no state.
 */
#include "base/fmt.h"
#include "system/admin.h"

#include <errno.h>
#include <string.h>

struct field {
	const char *name;
	uint64_t *to;
};

/* "   2048 kB" */
static bool parse_kib(const char *text, uint64_t *out)
{
	char number[24];
	uint64_t kib;
	size_t n;

	text += strspn(text, " \t");
	n = strspn(text, "0123456789");
	if (n == 0 || n >= sizeof(number))
		return false;
	memcpy(number, text, n);
	number[n] = '\0';
	if (hl_parse_u64(number, &kib) != 0 || kib > UINT64_MAX / HL_KIB)
		return false;
	*out = kib * HL_KIB;
	return true;
}

/* Behind "Node 0 ", where the line has that. */
static const char *skip_head(const char *line)
{
	if (strncmp(line, "Node ", 5) != 0)
		return line;
	line += 5;
	line += strspn(line, "0123456789");
	return line + strspn(line, " ");
}

static int read_fields(const struct hl_root *root, const char *path,
	const struct field *fields)
{
	char buf[1024];
	struct hl_lines lines;
	char *line;
	int err = hl_lines_open(&lines, root, path, buf, sizeof(buf));

	if (err)
		return err;
	while ((err = hl_lines_next(&lines, &line)) == 1) {
		const char *head = skip_head(line);
		size_t n = strcspn(head, ":");

		for (const struct field *f = fields; f->name; f++) {
			if (strlen(f->name) == n && head[n] == ':' &&
				memcmp(head, f->name, n) == 0)
				(void)parse_kib(head + n + 1, f->to);
		}
	}
	hl_lines_close(&lines);
	return err;
}

int hl_memory_read(const struct hl_root *root, int node, struct hl_memory *out)
{
	struct hl_memory memory = {.available_bytes = UINT64_MAX};
	uint64_t active = 0, inactive = 0, total = UINT64_MAX;
	const struct field fields[] = {{"MemTotal", &total},
		{"MemFree", &memory.free_bytes},
		{"MemAvailable", &memory.available_bytes},
		{"Active(file)", &active}, {"Inactive(file)", &inactive},
		{"SwapTotal", &memory.swap_total_bytes},
		{"SwapFree", &memory.swap_free_bytes}, {NULL, NULL}};
	char path[64] = "/proc/meminfo";
	struct hl_buf buf;
	int err;

	if (node != HL_NODE_ANY) {
		hl_buf_init(&buf, path, sizeof(path));
		hl_buf_printf(
			&buf, "/sys/devices/system/node/node%d/meminfo", node);
	}
	err = read_fields(root, path, fields);
	if (err)
		return err;
	if (total == UINT64_MAX)
		return -EINVAL;
	memory.total_bytes = total;
	if (memory.available_bytes == UINT64_MAX)
		memory.available_bytes =
			HL_MIN(memory.free_bytes + active + inactive, total);
	*out = memory;
	return 0;
}
