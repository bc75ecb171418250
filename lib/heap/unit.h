/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of one unit of the heap (2 MiB of address space): which of its 512
 * slots of 4 KiB are in use. The tracker of one huge page. Pure structure: no
 * system call, no allocation; guarded by the arena's page_lock.
 */
#ifndef HL_HEAP_UNIT_H
#define HL_HEAP_UNIT_H

#include "base/base.h"
#include "base/list.h"
#include "backing/area.h"

#define HL_SLOT_SHIFT 12
#define HL_SLOT_BYTES ((size_t)1 << HL_SLOT_SHIFT)
#define HL_UNIT_SLOTS (HL_UNIT_BYTES / HL_SLOT_BYTES) /* 512 */

enum hl_unit_home {
	HL_UNIT_UNUSED = 0, /* record not in use, or on its way between homes */
	HL_UNIT_FILLER,
	HL_UNIT_CACHED,
	HL_UNIT_STRADDLE,
};

struct hl_unit {
	struct hl_list link; /* filler bucket or cache */
	uint64_t used[HL_UNIT_SLOTS / 64];
	struct hl_area *area;
	uint32_t index; /* in the area */
	uint16_t used_slots;
	uint16_t runs;	     /* separate allocations in it */
	uint16_t longest;    /* longest free run, in slots; exact */
	uint16_t fresh_from; /* slots from here on were never handed out since
				the kernel cleared them: still zero */
	uint8_t home;	     /* enum hl_unit_home */
	uint64_t cached_ms;  /* when it entered the cache */
};

/*
 * All slots free, all memory as the kernel cleared it. A unit that comes back
 * from the cache is not initialised again: fresh_from remembers its past.
 */
void hl_unit_init(struct hl_unit *unit, struct hl_area *area, uint32_t index);
uintptr_t hl_unit_base(const struct hl_unit *unit);

/*
 * Takes n >= 1 slots from the shortest hole that fits, the first of equals; the
 * caller checked longest >= n. Returns the first slot. *zero: true if all of
 * them are still as the kernel cleared them.
 */
unsigned hl_unit_take(struct hl_unit *unit, unsigned n, bool *zero);
/*
 * The same, the first slot a multiple of `align` (a power of two), wherever the
 * hole begins. False, and nothing taken, if no hole has room.
 */
bool hl_unit_take_aligned(struct hl_unit *unit, unsigned n, unsigned align,
	unsigned *slot, bool *zero);
/* Takes exactly these slots (they must be free), as one run. */
void hl_unit_take_at(struct hl_unit *unit, unsigned slot, unsigned n);
/* Gives a whole run back. */
void hl_unit_give(struct hl_unit *unit, unsigned slot, unsigned n);
/*
 * Changes a run of n slots in place. grow: false (nothing changed) if the slots
 * behind it are taken. shrink: its end moves down; at least one slot stays.
 */
bool hl_unit_grow(struct hl_unit *unit, unsigned slot, unsigned n, unsigned to);
void hl_unit_shrink(
	struct hl_unit *unit, unsigned slot, unsigned n, unsigned to);
bool hl_unit_is_valid(const struct hl_unit *unit);

#endif
