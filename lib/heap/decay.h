/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Giving memory back to the kernel: what the page heap holds and has not used
 * for a while. No thread of its own: the slow paths drive it.
 */
#ifndef HL_HEAP_DECAY_H
#define HL_HEAP_DECAY_H

#include "heap/types.h"

/* The cache holds more than it may at once. PAGEHEAP is held. */
bool hl_decay_is_over(const struct hl_arena *arena);

/*
 * Releases what has been unused for the decay time, or everything unused
 * (all). Cheap if nothing is due. True if a unit was released. Holds no lock
 * on entry; skips an arena that is just growing, unless all.
 */
bool hl_pageheap_decay(struct hl_arena *arena, bool all);

/*
 * The slow paths' clockwork: decays when due, settles what handlers did,
 * samples. True if decay was due: the caller looks after its own spans.
 */
bool hl_pageheap_tick(struct hl_arena *arena);

/* Looks at the clock and remembers it in arena->clock_ms. Not under PAGEHEAP.
 */
uint64_t hl_decay_look(struct hl_arena *arena);

/*
 * `units` fresh units are about to be committed: as many that are kept but not
 * used go back first, so that the heap never holds more than it would without a
 * cache. GROW is held.
 */
void hl_decay_make_way(struct hl_arena *arena, size_t units);

#endif
