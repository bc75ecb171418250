/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks that are a span of their own: medium ones (a run of the filler), and
 * from 256 KiB on, or if they are sparse, those of heap/large.h. Callers hold
 * no lock but a first-class heap's.
 */
#ifndef HL_HEAP_SINGLE_H
#define HL_HEAP_SINGLE_H

#include "heap/types.h"

/*
 * A span for one block of `bytes` that is not small, or strictly aligned
 * (align: a power of two), entered in the page map. span->zero: it reads as
 * zero. NULL: no memory.
 */
struct hl_span *hl_single_new(
	struct hl_arena *arena, size_t bytes, size_t align);

#endif
