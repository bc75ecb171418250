/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking memory away from units again.
 *
 * One mmap(MAP_FIXED, PROT_NONE) replaces whatever is mapped in the range, of
 * any kind and in any number of mappings, and merges with the PROT_NONE around
 * it. It can be refused only when it would split a mapping and the process has
 * max_map_count of them; then the contents are dropped and the unit is
 * remembered as stuck.
 *
 * The units are claimed (BUSY) while they change, so that a conversion by
 * another thread's handler cannot put memory back.
 */
#include "backing/area_internal.h"

#include <string.h>
#include <sys/mman.h>

static void check_whole(const struct hl_area *area, size_t from, size_t to)
{
	size_t head = hl_word_page_bytes(hl_unit_load(area, from));
	size_t tail = hl_word_page_bytes(hl_unit_load(area, to - 1));

	HL_ASSERT(head == 0 || hl_grain_start(area, from, head) == from);
	HL_ASSERT(tail == 0 ||
		  hl_grain_start(area, to - 1, tail) + hl_grain(tail) == to);
	(void)head;
	(void)tail;
}

/* Committed units only. */
static void release_run(struct hl_area *area, size_t from, size_t to)
{
	char *addr = hl_unit_addr(area, from);
	size_t bytes = (to - from) * HL_UNIT_BYTES;
	uint32_t left = 0;

	check_whole(area, from, to);
	for (size_t u = from; u < to; u++)
		hl_unit_claim(area, u);
	if (hl_map_none(addr, bytes) < 0) {
		(void)hl_os->madvise(addr, bytes, MADV_DONTNEED);
		left = HL_UNIT_STUCK;
	}
	hl_charge_return(area, from, to);
	for (size_t u = from; u < to; u++)
		hl_unit_store(area, u, left);
}

static bool is_committed(const struct hl_area *area, size_t unit)
{
	return hl_area_kind(area, unit) != HL_BACKING_NONE;
}

void hl_area_release(struct hl_area *area, size_t from, size_t to)
{
	size_t start = from, end;

	HL_ASSERT(from < to && to <= hl_area_units(area));
	while (start < to) {
		if (!is_committed(area, start)) {
			start++;
			continue;
		}
		for (end = start + 1; end < to; end++) {
			if (!is_committed(area, end))
				break;
		}
		release_run(area, start, end);
		start = end;
	}
}

void hl_area_discard(void *addr, size_t bytes)
{
	/* Refused for locked memory, and below a huge page of a pool. */
	if (hl_os->madvise(addr, bytes, MADV_DONTNEED) < 0)
		memset(addr, 0, bytes);
}
