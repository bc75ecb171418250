/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An area of units on huge pages, as the cases of lib/backing begin: they are
 * written for huge pages of one unit and end as a skip where the default is
 * another.
 */
#ifndef UNITS_H
#define UNITS_H

#include "machine.h"

#include "backing/area.h"
#include "system/sys.h"

static inline struct hl_want want_huge(void)
{
	struct hl_want want = {
		.page_bytes = machine_page_bytes(),
		.thp = true,
		.node = HL_NODE_ANY,
	};

	if (want.page_bytes != HL_UNIT_BYTES)
		machine_skip("the cases are written for 2 MiB huge pages");
	return want;
}

/* So many units, of which the first `huge` are on pages of the pool. */
static inline struct hl_area *open_units(size_t units, size_t huge)
{
	struct hl_want want = want_huge();
	struct hl_area *area;
	struct hl_got got;

	CHECK(hl_area_open(units, 0, false, &area) == 0);
	CHECK(hl_area_commit(area, 0, units, &want, &got) == 0);
	CHECK(got.units[HL_BACKING_HUGETLB] == huge);
	return area;
}

#endif
