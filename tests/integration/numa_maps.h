/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* On which nodes pages are by the kernel's other word: /proc/PID/numa_maps. */
#ifndef NUMA_MAPS_H
#define NUMA_MAPS_H

#include "system/proc.h"
#include "system/sys.h"

#include <errno.h>

struct numa_sum {
	uintptr_t from, to;
	uint64_t bytes[HL_NUMA_NODES];
	bool all_huge;
};

static int add_numa(const struct hl_numa_record *r, void *arg)
{
	struct numa_sum *sum = arg;

	if (r->from < sum->from || r->from >= sum->to)
		return 0;
	sum->all_huge = sum->all_huge && r->huge;
	for (int node = 0; node < HL_NUMA_NODES; node++)
		sum->bytes[node] += r->pages[node] * r->page_bytes;
	return 0;
}

/* The range is huge pages, so many of `page` bytes on each of n nodes. True
 * where the kernel has no such file. */
static bool numa_maps_agree(const void *p, size_t bytes, size_t page,
	const int *nodes, const uint64_t *pages, size_t n)
{
	struct numa_sum sum = {.from = (uintptr_t)p,
		.to = (uintptr_t)p + bytes,
		.all_huge = true};
	int rc = hl_numa_maps_visit(&hl_root_real, 0, add_numa, &sum);

	if (rc != 0)
		return rc == -ENOENT;
	for (size_t i = 0; i < n; i++)
		if (sum.bytes[nodes[i]] != pages[i] * page)
			return false;
	return sum.all_huge;
}

#endif
