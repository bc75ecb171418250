/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See single.h. */
#include "heap/single.h"

#include "heap/large.h"
#include "heap/learn.h"
#include "heap/pageheap.h"
#include "heap/pagemap.h"
#include "heap/probe.h"

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

/* Units that are populated are not for what is used sparsely. */
static bool is_medium(struct hl_arena *arena, size_t bytes, size_t align)
{
	unsigned kind = hl_learn_kind(bytes);
	bool look = hl_probe_count(arena, kind), due = false;

	if (bytes >= HL_LARGE_MIN || align > HL_UNIT_BYTES / 2)
		return false;
	if (bytes <= HL_SMALL_MAX || arena->own)
		return true;
	if (look) {
		hl_lock_acquire(&arena->grow_lock);
		due = hl_probe_is_due(arena, kind);
		hl_lock_release(&arena->grow_lock);
	}
	return !due && !hl_learn_is_sparse(kind);
}

struct hl_span *hl_single_new(
	struct hl_arena *arena, size_t bytes, size_t align)
{
	bytes = HL_MAX(bytes, (size_t)1);
	if (is_medium(arena, bytes, align))
		return medium_new(arena, bytes, align);
	/* More than half the address space cannot be a block. */
	if (bytes > PTRDIFF_MAX - align)
		return NULL;
	return hl_large_new(arena, bytes, align);
}
