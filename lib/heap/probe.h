/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Probes: live blocks by which the heap sees how sparsely a kind of blocks
 * (heap/learn.h) is used. One byte written makes all of a huge page resident,
 * so a probe has base pages, of which the kernel says which are touched,
 * written zeros too. As more blocks of the kind are made we look at it:
 *
 *   nothing touched   says nothing yet
 *   mostly touched    its base pages become what they would have been, THPs;
 *                     the next probe is the block that doubles their number
 *   hardly touched    the next blocks are sparse, and the first of them is the
 *                     next probe, so that a change is noticed soon
 *
 * The first block of a kind is no probe: a program with a single buffer has it
 * on huge pages, and cannot waste much. Blocks share units: the best probe is
 * one that begins on base pages.
 *
 * Medium blocks live in units that are populated as a whole; their probes, and
 * all of them as long as they are sparse, are in the straddle.
 *
 * Per arena, guarded by its GROW lock, which callers hold unless it says
 * otherwise. First-class heaps have none.
 */
#ifndef HL_HEAP_PROBE_H
#define HL_HEAP_PROBE_H

#include "base/base.h"
#include "heap/learn.h"

#include <stdatomic.h>

struct hl_arena;
struct hl_span;

struct hl_probe {
	_Atomic uint32_t made; /* blocks of the kind */
	_Atomic uint32_t next; /* as `made`: the next look, or the next probe */
	struct hl_span *span;  /* the block, or NULL */
	uintptr_t from, to;    /* of it, what is looked at: base pages */
	bool has_head;	       /* that is where the block begins */
};

/*
 * One more block of that kind is made. True: it is time to look, or for a
 * probe. No lock.
 */
bool hl_probe_count(struct hl_arena *arena, unsigned kind);
/* Looks at what there is. True: the block that is made now shall have base
 * pages to become a probe. */
bool hl_probe_is_due(struct hl_arena *arena, unsigned kind);
/* It was made, not populated: a probe if one is wanted and fresh base pages are
 * in it. */
void hl_probe_begin(struct hl_span *span);
/* The block is about to lose memory, or its place. */
void hl_probe_end(struct hl_span *span);
/* Now and then: what is touched by now becomes huge, if no more are made. */
void hl_probe_tick(struct hl_arena *arena);

#endif
