/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See single.h. */
#include "heap/single.h"

#include "heap/large.h"
#include "heap/pageheap.h"
#include "heap/pagemap.h"

static struct hl_span *medium_new(
	struct hl_arena *arena, size_t bytes, size_t align)
{
	size_t slots = (bytes + HL_SLOT_BYTES - 1) / HL_SLOT_BYTES;
	size_t align_slots = HL_MAX(align / HL_SLOT_BYTES, (size_t)1);
	struct hl_span *span = hl_pageheap_new(
		arena, HL_SPAN_MEDIUM, (unsigned)slots, (unsigned)align_slots);

	if (span != NULL)
		hl_pagemap_set(span->start, 1, span);
	return span;
}

struct hl_span *hl_single_new(
	struct hl_arena *arena, size_t bytes, size_t align)
{
	bytes = HL_MAX(bytes, (size_t)1);
	if (bytes < HL_LARGE_MIN && align <= HL_UNIT_BYTES / 2)
		return medium_new(arena, bytes, align);
	/* More than half the address space cannot be a block. */
	if (bytes > PTRDIFF_MAX - align)
		return NULL;
	return hl_large_new(arena, bytes, align);
}
