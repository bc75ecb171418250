/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots as one byte each, for the models of what the library keeps in bitmaps:
 * nothing here looks at more than one slot at a time.
 */
#ifndef NAIVE_SLOTS_H
#define NAIVE_SLOTS_H

#include "model.h"

#include <string.h>

/* Length of the hole that starts at `from`; 0 if that slot is used. */
static inline unsigned naive_hole(
	const uint8_t *used, unsigned slots, unsigned from)
{
	unsigned to = from;

	while (to < slots && !used[to])
		to++;
	return to - from;
}

static inline unsigned naive_longest(const uint8_t *used, unsigned slots)
{
	unsigned longest = 0, slot, hole;

	for (slot = 0; slot < slots; slot += hole + 1) {
		hole = naive_hole(used, slots, slot);
		if (hole > longest)
			longest = hole;
	}
	return longest;
}

/*
 * The first slot that is a multiple of `align` in the first of the shortest
 * holes with n slots from there on; `slots` if there is none.
 */
static inline unsigned naive_best_fit(
	const uint8_t *used, unsigned slots, unsigned n, unsigned align)
{
	unsigned best = slots, best_len = slots + 1, slot, hole, at;

	for (slot = 0; slot < slots; slot += hole + 1) {
		hole = naive_hole(used, slots, slot);
		at = (slot + align - 1) / align * align;
		if (at + n <= slot + hole && hole < best_len) {
			best = at;
			best_len = hole;
		}
	}
	return best;
}

static inline unsigned naive_count(
	const uint8_t *used, unsigned from, unsigned to)
{
	unsigned count = 0;

	for (; from < to; from++)
		count += used[from];
	return count;
}

#endif
