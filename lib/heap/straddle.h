/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The straddle area: blocks between an eighth of a unit and some units, and
 * sparse smaller ones, packed back to back across unit borders, so that 1.1 MiB
 * does not cost 2 MiB. It works on tracts of consecutive units (64 MiB each, a
 * bitmap of slots) and tells the caller which units come into use or fall out
 * of use: the caller commits and releases them. Since runs share units, that
 * must be done before anyone else takes or gives here: the caller holds the
 * arena's GROW lock around the call and what follows from it.
 *
 * Pure structure: no system call, no allocation, guarded by that GROW lock.
 * O(1) in the number of tracts. Its caller is heap/straddle_home.c.
 */
#ifndef HL_HEAP_STRADDLE_H
#define HL_HEAP_STRADDLE_H

#include "heap/unit.h"

#define HL_TRACT_UNITS 32
#define HL_TRACT_SLOTS (HL_TRACT_UNITS * HL_UNIT_SLOTS) /* 16384 */

struct hl_tract {
	struct hl_list link; /* the ring of its bucket */
	struct hl_area *area;
	uint32_t first_unit; /* in the area */
	uint32_t units;	     /* 1..HL_TRACT_UNITS */
	uint32_t used_slots;
	uint32_t longest; /* longest free run, exact */
	uint64_t used[HL_TRACT_SLOTS / 64];
	uint16_t unit_used[HL_TRACT_UNITS]; /* slots in use per unit */
};

struct hl_straddle {
	/*
	 * By longest free run (0..HL_TRACT_SLOTS): the first tract of a ring
	 * without a head, if the bit is set.
	 */
	struct hl_tract **bucket;
	uint64_t longest[HL_TRACT_SLOTS / 64 + 1]; /* bit: bucket not empty */
	size_t tract_count;
	size_t used_slots;
};

struct hl_straddle_run {
	struct hl_tract *tract;
	uint32_t slot; /* first, in the tract */
	uint32_t slots;
	/*
	 * Units (of the tract) that came into use, or fell out of use:
	 * [from_unit, to_unit), may be empty.
	 */
	uint32_t from_unit;
	uint32_t to_unit;
};

/* Empty. bucket: HL_STRADDLE_BUCKETS entries, the caller's, of any contents and
 * touched as they are used. */
#define HL_STRADDLE_BUCKETS (HL_TRACT_SLOTS + 1)
void hl_straddle_init(struct hl_straddle *s, struct hl_tract **bucket);
/* tract->area, first_unit, units are set; the rest is initialised here. */
void hl_straddle_add(struct hl_straddle *s, struct hl_tract *tract);
/* The tract must be empty. */
void hl_straddle_remove(struct hl_straddle *s, struct hl_tract *tract);
/*
 * A tract whose longest free run is the shortest that fits; in it the place
 * that brings the fewest units into use, of those the smallest hole, of
 * those the lowest. False if no tract has room.
 */
bool hl_straddle_take(
	struct hl_straddle *s, uint32_t slots, struct hl_straddle_run *out);
/*
 * The units in *out are unused now. Returns true if the tract is empty: the
 * caller may remove it.
 */
bool hl_straddle_give(struct hl_straddle *s, struct hl_tract *tract,
	uint32_t slot, uint32_t slots, struct hl_straddle_run *out);
/* In place; false if the slots behind are taken. *out as for take. */
bool hl_straddle_grow(struct hl_straddle *s, struct hl_tract *tract,
	uint32_t slot, uint32_t slots, uint32_t to,
	struct hl_straddle_run *out);
/* *out as for give. At least one slot stays. */
void hl_straddle_shrink(struct hl_straddle *s, struct hl_tract *tract,
	uint32_t slot, uint32_t slots, uint32_t to,
	struct hl_straddle_run *out);
bool hl_straddle_is_valid(const struct hl_straddle *s);

#endif
