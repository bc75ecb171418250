/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NUMA nodes. Their numbers may have gaps, and a node may have no memory. A
 * kernel without NUMA has no such directory and counts as one node, 0. No
 * lock, no state.
 */
#include "system/sys.h"
#include "base/bitmap.h"
#include "base/fmt.h"

#include <errno.h>
#include <string.h>

#define DIRECTORY "/sys/devices/system/node"

/* A list of nodes is short, unless they are many and have gaps. */
#define LIST_BYTES 1024

/* Distances as the firmware has them where it says nothing. */
#define DISTANCE_LOCAL	10
#define DISTANCE_REMOTE 20

static int read_list(
	const struct hl_root *root, const char *path, uint64_t *bits)
{
	char text[LIST_BYTES];
	ssize_t length = hl_root_read(root, path, text, sizeof(text));

	return length < 0 ? (int)length
			  : hl_parse_list(text, bits, HL_NODES_MAX);
}

static void one_node(struct hl_topo *topo)
{
	*topo = (struct hl_topo){.count = 1};
	topo->online[0] = 1;
	topo->has_memory[0] = 1;
}

int hl_topo_read(const struct hl_root *root, struct hl_topo *out)
{
	struct hl_topo topo = {0};
	int err = read_list(root, DIRECTORY "/online", topo.online);

	if (err == -ENOENT) {
		one_node(out);
		return 0;
	}
	if (err)
		return err;
	err = read_list(root, DIRECTORY "/has_memory", topo.has_memory);
	/* The name that kernels without movable nodes use. */
	if (err)
		err = read_list(
			root, DIRECTORY "/has_normal_memory", topo.has_memory);
	if (err)
		memcpy(topo.has_memory, topo.online, sizeof(topo.has_memory));
	topo.count = (int)hl_bitmap_count(topo.has_memory, 0, HL_NODES_MAX);
	for (int i = 0; i < HL_NODES_MAX; i++) {
		if (hl_bitmap_test(topo.online, (size_t)i))
			topo.highest = i;
	}
	*out = topo;
	return 0;
}

/* The nth number of "10 21 31". */
static int nth_number(const char *text, size_t n, int *out)
{
	uint64_t value;
	char word[16];
	size_t length;

	for (;;) {
		text += strspn(text, " ");
		length = strcspn(text, " ");
		if (length == 0 || length >= sizeof(word))
			return -EINVAL;
		if (n-- == 0)
			break;
		text += length;
	}
	memcpy(word, text, length);
	word[length] = '\0';
	if (hl_parse_u64(word, &value) != 0 || value > 255)
		return -EINVAL;
	*out = (int)value;
	return 0;
}

int hl_topo_distance(const struct hl_root *root, int from, int to)
{
	char path[64], text[4 * HL_NODES_MAX];
	uint64_t online[HL_NODES_MAX / 64];
	int distance = from == to ? DISTANCE_LOCAL : DISTANCE_REMOTE;
	struct hl_buf buf;

	if (to < 0 || to >= HL_NODES_MAX ||
		read_list(root, DIRECTORY "/online", online) != 0)
		return distance;
	hl_buf_init(&buf, path, sizeof(path));
	hl_buf_printf(&buf, DIRECTORY "/node%d/distance", from);
	/* A column for each node that is online, in their order. */
	if (hl_bitmap_test(online, (size_t)to) &&
		hl_root_read(root, path, text, sizeof(text)) > 0)
		(void)nth_number(text, hl_bitmap_count(online, 0, (size_t)to),
			&distance);
	return distance;
}
