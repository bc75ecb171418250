/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See single.h. */
#include "heap/single.h"

#include "heap/arena.h"
#include "heap/large.h"
#include "heap/learn.h"
#include "heap/pageheap.h"
#include "heap/pagemap.h"
#include "heap/probe.h"
#include "heap/space.h"

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

/*
 * Units that are populated are not for what is used sparsely. Not before the
 * heap has grown: its first runs are on base pages. Nor where address space is
 * short.
 */
static bool is_sparse(struct hl_arena *arena, size_t bytes)
{
	unsigned kind = hl_learn_kind(bytes);
	enum hl_learn_backing wants = HL_LEARN_LAZY;

	if (arena->own || bytes <= HL_SMALL_MAX || !hl_arena_has_policy() ||
		hl_space_is_confined() || !hl_learn_may_be_lazy(kind))
		return false;
	if (hl_probe_count(arena, kind)) {
		hl_lock_acquire(&arena->grow_lock);
		wants = hl_probe_wants(arena, kind);
		hl_lock_release(&arena->grow_lock);
	}
	return wants != HL_LEARN_LAZY || hl_learn_is_sparse(kind);
}

struct hl_span *hl_single_new(
	struct hl_arena *arena, size_t bytes, size_t align)
{
	struct hl_span *span = NULL;

	bytes = HL_MAX(bytes, (size_t)1);
	if (bytes < HL_LARGE_MIN && align <= HL_UNIT_BYTES / 2) {
		if (is_sparse(arena, bytes))
			span = hl_large_new(arena, bytes, align);
		return span != NULL ? span : medium_new(arena, bytes, align);
	}
	/* More than half the address space cannot be a block. */
	if (bytes > PTRDIFF_MAX - align)
		return NULL;
	(void)hl_probe_count(arena, hl_learn_kind(bytes));
	return hl_large_new(arena, bytes, align);
}
