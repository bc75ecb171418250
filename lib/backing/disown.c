/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Units that leave their area: what is mapped there is someone else's from now
 * on, and the area neither unmaps nor looks at it again (LOST).
 *
 * For areas that stand behind a program's own mapping, of which it may unmap,
 * move or overlay any base page. Caller: region/mapping.c, which serialises
 * what it does to one area. Handlers that run meanwhile find the unit busy,
 * then not ours.
 */
#include "backing/area_internal.h"

void hl_area_disown(struct hl_area *area, size_t from, size_t to)
{
	/* What was converted is given back to the accounting first. */
	hl_heal_settle();
	for (size_t u = from; u < to; u++) {
		uint32_t word = hl_unit_claim(area, u);

		HL_ASSERT(hl_word_kind(word) != HL_BACKING_HUGETLB);
		HL_ASSERT(hl_word_page_bytes(word) == 0);
		(void)word;
		hl_unit_store(area, u, HL_UNIT_LOST);
	}
}

void hl_area_reclaim(struct hl_area *area, size_t from, size_t to)
{
	for (size_t u = from; u < to; u++) {
		HL_ASSERT(
			hl_word_kind(hl_unit_load(area, u)) == HL_BACKING_NONE);
		if (hl_unit_load(area, u) & HL_UNIT_LOST)
			hl_unit_store(area, u, 0);
	}
}
