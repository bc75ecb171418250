/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks from 256 KiB on, and some medium ones: in the straddle below 16 MiB,
 * whole units of their own from there. Backed lazily or at once, as
 * heap/learn.h chooses.
 *
 * Everything here happens under GROW, frees included: blocks share units, so a
 * unit must be committed before the next one takes from it, and released before
 * the next one gives. The callers hold no lock.
 */
#ifndef HL_HEAP_LARGE_H
#define HL_HEAP_LARGE_H

#include "heap/types.h"

/*
 * From an eighth of a unit on runs would leave more than 1/9 of it unused.
 * Smaller blocks are here as well if they are used sparsely, or to see whether
 * they are (heap/probe.h).
 */
#define HL_LARGE_MIN	(HL_UNIT_BYTES / 8)
#define HL_STRADDLE_MAX (16 * HL_MIB)

/*
 * A span for one block of `bytes`, start aligned to align (a power of two),
 * entered in the page map. span->zero: it reads as zero. NULL: no memory.
 */
struct hl_span *hl_large_new(
	struct hl_arena *arena, size_t bytes, size_t align);
void hl_large_free(struct hl_span *span);
size_t hl_large_usable(const struct hl_span *span);
/* In place; false if that cannot be, or would waste much. */
bool hl_large_resize(struct hl_span *span, size_t bytes);
/*
 * Moves a block of whole units to a larger place without copying; NULL if the
 * kernel does not move such pages: the caller copies. The old span is gone.
 */
struct hl_span *hl_large_move(struct hl_span *span, size_t bytes);
/* Makes the first bytes of the block read as zero, lazily where it is lazy. */
void hl_large_clear(struct hl_span *span, size_t bytes);

/*
 * Large blocks there are, and their bytes; a part of live_bytes, which count
 * keeps as well. All arenas.
 */
void hl_large_count(int64_t blocks, int64_t bytes);
void hl_large_totals(uint64_t *blocks, uint64_t *bytes);

/* Part of hl_pageheap_decay. GROW is held. */
bool hl_large_decay(struct hl_arena *arena, uint64_t now_ms, bool all);

#endif
