/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table that gives all copies of the library in a process one set of
 * regions: see region/region.h.
 */
#include "region/region.h"

HL_EXPORT const struct hl_region_entry_v1 htlb_region_entry_v1 =
	HL_REGION_ENTRY_V1;
