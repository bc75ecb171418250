/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /proc/buddyinfo: how many free blocks of each order the zones have. It tells
 * whether a pool that did not grow met fragmentation or want. One line a zone:
 *
 *   Node 0, zone   Normal   4573   2751   7423 ...
 *
 * The number of orders is the kernel's configuration. No lock, no state.
 */
#include "base/fmt.h"
#include "system/admin.h"

#include <errno.h>
#include <string.h>

/* The next word of digits behind spaces; false if there is none. */
static bool take_number(const char **at, uint64_t *out)
{
	char word[24];
	size_t n;

	*at += strspn(*at, " \t");
	n = strspn(*at, "0123456789");
	if (n == 0 || n >= sizeof(word))
		return false;
	memcpy(word, *at, n);
	word[n] = '\0';
	*at += n;
	return hl_parse_u64(word, out) == 0;
}

static void add_line(const char *line, int node, struct hl_buddy *buddy)
{
	uint64_t number;
	int order;

	if (strncmp(line, "Node ", 5) != 0)
		return;
	line += 5;
	if (!take_number(&line, &number) ||
		(node != HL_NODE_ANY && number != (uint64_t)node))
		return;
	line = strstr(line, "zone");
	if (!line)
		return;
	line += 4;
	line += strspn(line, " ");
	line += strcspn(line, " "); /* its name */
	for (order = 0; order < HL_BUDDY_ORDERS && take_number(&line, &number);
		order++)
		buddy->blocks[order] += number;
	if (order == 0)
		return;
	buddy->orders = HL_MAX(buddy->orders, order);
	buddy->zones++;
}

int hl_buddy_read(const struct hl_root *root, int node, struct hl_buddy *out)
{
	struct hl_buddy buddy = {0};
	char buf[1024];
	struct hl_lines lines;
	char *line;
	int err = hl_lines_open(
		&lines, root, "/proc/buddyinfo", buf, sizeof(buf));

	if (err)
		return err;
	while ((err = hl_lines_next(&lines, &line)) == 1)
		add_line(line, node, &buddy);
	hl_lines_close(&lines);
	if (err)
		return err;
	if (buddy.zones == 0)
		return -ENOENT;
	*out = buddy;
	return 0;
}

uint64_t hl_buddy_fit(const struct hl_buddy *buddy, unsigned order)
{
	uint64_t pages = 0;

	if (order >= (unsigned)buddy->orders)
		return UINT64_MAX;
	for (int i = (int)order; i < buddy->orders; i++)
		pages += buddy->blocks[i] << (i - (int)order);
	return pages;
}
