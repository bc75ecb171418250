/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The filler packs runs of 1 to 512 slots into units so that units empty out:
 * it takes from the unit whose longest free run is the shortest that still
 * fits, and among those from the one with the most allocations (in steps of
 * powers of two). Temeraire's idea (OSDI '21): long free runs are kept for
 * requests that need them, and a unit with many allocations is the least likely
 * to become empty.
 *
 * Pure structure: no system call, no allocation, guarded by the arena's
 * page_lock. Operations are O(1) in the number of units (buckets with a
 * bitmap).
 *
 * Not guaranteed: any order among units of one bucket.
 */
#ifndef HL_HEAP_FILLER_H
#define HL_HEAP_FILLER_H

#include "heap/unit.h"

/* Buckets of the number of runs in a unit: 0, 1, 2, 4, 8, 16, 32, 64 and up. */
#define HL_FILLER_DENSITIES 8

struct hl_filler {
	/*
	 * By longest free run (0..512), then density. A head is initialised
	 * when its bucket gets a unit: zero bytes are an empty filler, and
	 * buckets that are never used are never touched.
	 */
	struct hl_list bucket[HL_UNIT_SLOTS + 1][HL_FILLER_DENSITIES];
	uint8_t densities[HL_UNIT_SLOTS + 1];	  /* bit set: not empty */
	uint64_t longest[HL_UNIT_SLOTS / 64 + 1]; /* bit set: any unit there */
	size_t units;
	size_t used_slots;
};

struct hl_run {
	struct hl_unit *unit;
	unsigned slot;
	unsigned slots;
	bool zero; /* still as the kernel cleared it */
};

void hl_filler_init(struct hl_filler *f);
/* Donates a unit, empty or partly used. Its home becomes the filler. */
void hl_filler_add(struct hl_filler *f, struct hl_unit *unit);
/* Takes a unit out again, whatever its contents; home becomes UNUSED. */
void hl_filler_remove(struct hl_filler *f, struct hl_unit *unit);
/* n slots, 1..512. False if no unit has so many in a row free. */
bool hl_filler_take(struct hl_filler *f, unsigned n, struct hl_run *out);
/* The same, with `slot` a multiple of align_slots, a power of two. */
bool hl_filler_take_aligned(struct hl_filler *f, unsigned n,
	unsigned align_slots, struct hl_run *out);
/*
 * True if the unit became empty: it has then left the filler, as by
 * hl_filler_remove(), and is the caller's.
 */
bool hl_filler_give(
	struct hl_filler *f, struct hl_unit *unit, unsigned slot, unsigned n);
/* In place; false (nothing changed) if the slots behind are taken. */
bool hl_filler_grow(struct hl_filler *f, struct hl_unit *unit, unsigned slot,
	unsigned n, unsigned to);
void hl_filler_shrink(struct hl_filler *f, struct hl_unit *unit, unsigned slot,
	unsigned n, unsigned to);
/* Walks all units. */
bool hl_filler_is_valid(const struct hl_filler *f);

#endif
