/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Probes: live blocks by which the heap sees how sparsely a kind of blocks
 * (heap/learn.h) is used. One byte written makes all of a huge page resident,
 * so a probe begins on base pages, of which the kernel says which are touched,
 * written zeros too. As more blocks of the kind are made we look at it:
 *
 *   nothing touched   says nothing yet
 *   mostly touched    its base pages become what they would have been, THPs;
 *                     the next probe is the block that doubles their number
 *   a little touched  is being filled, or is sparse: the next blocks begin on
 *                     base pages as well until it is seen which, unless they
 *                     are of several units; one of them mostly touched says
 *                     as much as the probe
 *   the same, for     the next blocks are sparse, and the first of them is the
 *   some time         next probe
 *
 * Whatever was on base pages in vain is joined as it is filled
 * (backing/collapse.c). The first block of a kind is no probe, nor the second
 * of one of several units. A probe of several units takes one of base pages at
 * most, a shorter one all that it brings into use; none if the block begins on
 * some. What is looked at is half of the block, or of a unit, or it says
 * nothing.
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
	/* No lock: */
	_Atomic uint32_t made; /* blocks of the kind; stays at its maximum */
	_Atomic uint32_t next; /* as `made`: the next look, or the next probe */

	struct hl_span *span; /* the block, or NULL */
	uintptr_t from, to;   /* of it, what is looked at: base pages */
	bool has_head;	      /* that is where the block begins */
	size_t touched;	      /* bytes, when it was last looked at */
	uint64_t since_ms;    /* no more and no less were touched */

	/* While it is touched a little: the newest block that can tell. */
	struct hl_span *last; /* or NULL */
	uintptr_t last_from, last_to;
	uint32_t told;	   /* of the newest blocks so far, */
	uint32_t percents; /* and the sum of what was touched of each */
};

/*
 * One more block of that kind is made. True: it is time to look, or for a
 * probe. No lock.
 */
bool hl_probe_count(struct hl_arena *arena, unsigned kind);
/* Looks at what there is: how to back the block that is made now, LAZY, WARY,
 * or as a PROBE. */
enum hl_learn_backing hl_probe_wants(struct hl_arena *arena, unsigned kind);
/* It was made, not populated: a probe if one is wanted and its first `bytes`
 * are fresh base pages, in part at least. */
void hl_probe_begin(struct hl_span *span, size_t bytes);
/* The block is about to change its place or its kind, or to lose memory. */
void hl_probe_end(struct hl_span *span);

#endif
