/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page heap of an arena hands out runs of slots, and routes: the first
 * MiB comes from a unit on base pages, then the filler, then a cached unit,
 * then a fresh one. Empty units go to the cache, and from there back to the
 * kernel.
 *
 * Takes PAGEHEAP inside; callers hold no lock. Memory is committed and released
 * under GROW with PAGEHEAP free.
 */
#ifndef HL_HEAP_PAGEHEAP_H
#define HL_HEAP_PAGEHEAP_H

#include "heap/types.h"

/*
 * A span record without memory, for heap/large.c: zeroed but for arena and
 * kind; NULL if out of metadata.
 */
struct hl_span *hl_span_make(struct hl_arena *arena, enum hl_span_kind kind);
void hl_span_drop(struct hl_span *span);

/*
 * A span on a run of n slots (1..HL_UNIT_SLOTS), the first a multiple of
 * align_slots (a power of two): run, slots16, start, zero, arena and kind are
 * filled, the rest is zero. NULL: no memory. The page map is not touched.
 */
struct hl_span *hl_pageheap_new(struct hl_arena *arena, enum hl_span_kind kind,
	unsigned n, unsigned align_slots);
/* Gives the span's run back, and its record. The page map no longer names it.
 */
void hl_pageheap_give(struct hl_span *span);
/* Changes the length of the span's run in place; false if it cannot grow. */
bool hl_pageheap_resize(struct hl_span *span, unsigned to);

/* Live bytes handed out in runs and blocks went up or down. */
void hl_heap_count_live(int64_t bytes);

bool hl_pageheap_is_valid(struct hl_arena *arena);

#endif
