/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The choice between straddle and whole units, and whole units. The straddle's
 * side is in straddle_home.c.
 */
#include "heap/large.h"

#include "base/count.h"
#include "heap/arena.h"
#include "heap/decay.h"
#include "heap/learn.h"
#include "heap/pagemap.h"
#include "heap/pageheap.h"
#include "heap/probe.h"
#include "heap/space.h"
#include "heap/stats.h"
#include "heap/straddle_home.h"
#include "system/sys.h"

#include <string.h>

/* A tail shorter than that does not get a huge page of its own. */
#define BASE_TAIL (HL_UNIT_BYTES / 4)

static _Atomic uint64_t total_blocks, total_bytes;

void hl_large_count(int64_t blocks, int64_t bytes)
{
	hl_count_add(&total_blocks, (uint64_t)blocks);
	hl_count_add(&total_bytes, (uint64_t)bytes);
	hl_heap_count_live(bytes);
}

void hl_large_totals(uint64_t *blocks, uint64_t *bytes)
{
	*blocks = atomic_load_explicit(&total_blocks, memory_order_relaxed);
	*bytes = atomic_load_explicit(&total_bytes, memory_order_relaxed);
}

static size_t units_for(size_t bytes)
{
	return bytes / HL_UNIT_BYTES + (bytes % HL_UNIT_BYTES != 0);
}

/* ---- whole units ---- */

/* What memory more of a block shall be that is there. */
static enum hl_learn_backing backing_of(const struct hl_span *span)
{
	return span->populated ? HL_LEARN_POPULATE : HL_LEARN_LAZY;
}

static int commit_as(struct hl_span *span, size_t from, size_t to, size_t bytes,
	enum hl_learn_backing backing);

/* The first unit is on base pages. */
static int commit_probe(
	struct hl_span *span, size_t from, size_t to, size_t bytes)
{
	int rc = commit_as(span, from, from + 1, HL_MIN(bytes, HL_UNIT_BYTES),
		HL_LEARN_SPARSE);

	if (rc < 0 || to == from + 1)
		return rc;
	rc = commit_as(
		span, from + 1, to, bytes - HL_UNIT_BYTES, HL_LEARN_LAZY);
	if (rc < 0)
		(void)hl_space_release(span->large.stretch, from, 1);
	return rc;
}

static int commit_as(struct hl_span *span, size_t from, size_t to, size_t bytes,
	enum hl_learn_backing backing)
{
	struct hl_stretch *stretch = span->large.stretch;
	size_t tail = bytes % HL_UNIT_BYTES, last = to;
	struct hl_want want;
	int rc;

	if (backing == HL_LEARN_PROBE || backing == HL_LEARN_WARY)
		return commit_probe(span, from, to, bytes);
	if (backing == HL_LEARN_POPULATE) {
		hl_arena_want(span->arena, &want);
		return hl_space_commit(stretch, from, to - from, &want);
	}
	hl_arena_want_lazy(span->arena, &want);
	if (backing == HL_LEARN_SPARSE)
		want.thp = false;
	if (want.thp && tail != 0 && tail < BASE_TAIL)
		last = to - 1;
	if (last > from) {
		rc = hl_space_commit(stretch, from, last - from, &want);
		if (rc < 0)
			return rc;
	}
	if (last == to)
		return 0;
	want.thp = false;
	rc = hl_space_commit(stretch, last, to - last, &want);
	if (rc < 0 && last > from)
		(void)hl_space_release(stretch, from, last - from);
	return rc;
}

/* Commits units [from, to), the last of a block; of `bytes` it is the rest that
 * counts, which the block uses of its last unit. */
static int commit(struct hl_span *span, size_t from, size_t to, size_t bytes,
	enum hl_learn_backing backing)
{
	int rc = commit_as(span, from, to, bytes, backing);

	if (rc == 0 && span->wished)
		hl_space_wish(span->large.stretch, from, to - from);
	return rc;
}

static int take_units(struct hl_span *span, size_t bytes, size_t align,
	enum hl_learn_backing backing)
{
	size_t n = units_for(bytes);
	size_t align_units = HL_MAX(align >> HL_UNIT_SHIFT, (size_t)1);
	struct hl_space *space;
	int rc;

	HL_REQUIRES(&span->arena->grow_lock);
	space = hl_arena_space(span->arena,
		span->wished ? hl_arena_page_bytes(span->arena) : 0);
	rc = hl_space_take(space, n, align_units, &span->large.stretch,
		&span->large.first);
	if (rc < 0)
		return rc;
	span->large.units = n;
	rc = commit(
		span, span->large.first, span->large.first + n, bytes, backing);
	if (rc < 0) {
		hl_space_give(span->large.stretch, span->large.first, n);
		return rc;
	}
	span->start =
		span->large.stretch->base + span->large.first * HL_UNIT_BYTES;
	span->zero = true;
	return 0;
}

static void give_units(struct hl_span *span, size_t from, size_t n)
{
	(void)hl_space_release(span->large.stretch, from, n);
	hl_space_give(span->large.stretch, from, n);
}

static bool shrink_units(struct hl_span *span, size_t bytes)
{
	size_t keep = units_for(bytes);
	size_t drop = span->large.units - keep;

	if (drop == 0)
		return true;
	give_units(span, span->large.first + keep, drop);
	span->large.units = keep;
	hl_large_count(0, -(int64_t)(drop * HL_UNIT_BYTES));
	return true;
}

static bool grow_units(struct hl_span *span, size_t bytes)
{
	size_t more = units_for(bytes) - span->large.units;
	size_t from = span->large.first + span->large.units;

	if (more == 0)
		return true;
	if (!hl_space_take_at(span->large.stretch, from, more))
		return false;
	if (commit(span, from, from + more, bytes, backing_of(span)) < 0) {
		hl_space_give(span->large.stretch, from, more);
		return false;
	}
	span->large.units += more;
	hl_large_count(0, (int64_t)(more * HL_UNIT_BYTES));
	return true;
}

/* ---- both ---- */

/* How to back it, under GROW. Medium ones are here to be looked at. */
static struct hl_learn_choice choose(
	struct hl_span *span, size_t bytes, size_t align)
{
	struct hl_learn_choice choice = {HL_LEARN_POPULATE, .wished = true};
	struct hl_arena *arena = span->arena;
	enum hl_learn_backing wants;

	if (arena->own)
		return choice;
	span->learn_kind = (uint8_t)hl_learn_kind(bytes);
	if (bytes < HL_LARGE_MIN && align <= HL_UNIT_BYTES / 2)
		return (struct hl_learn_choice){
			.backing = HL_LEARN_SPARSE, .tell = true};
	wants = hl_probe_wants(arena, span->learn_kind);
	choice = hl_learn_choose(bytes, hl_arena_page_bytes(arena));
	if (choice.backing == HL_LEARN_LAZY && choice.tell)
		choice.backing = wants;
	return choice;
}

static bool wants_straddle(size_t bytes, size_t align)
{
	return bytes < HL_STRADDLE_MAX && align <= HL_UNIT_BYTES;
}

struct hl_span *hl_large_new(struct hl_arena *arena, size_t bytes, size_t align)
{
	bool straddle = wants_straddle(bytes, align);
	struct hl_learn_choice choice;
	struct hl_span *span;
	int rc;

	hl_pageheap_tick(arena);
	span = hl_span_make(arena, straddle ? HL_SPAN_STRADDLE : HL_SPAN_LARGE);
	if (span == NULL)
		return NULL;
	hl_lock_acquire(&arena->grow_lock);
	choice = choose(span, bytes, align);
	span->wished = choice.wished;
	span->populated = choice.backing == HL_LEARN_POPULATE;
	rc = straddle
		     ? hl_straddle_home_take(span, bytes, align, choice.backing)
		     : take_units(span, bytes, align, choice.backing);
	if (rc == 0 && choice.tell)
		hl_probe_begin(span, bytes);
	hl_lock_release(&arena->grow_lock);
	if (rc < 0) {
		hl_span_drop(span);
		return NULL;
	}
	hl_learn_count(span->learn_kind, 1);
	/* Of more alignment it may have units that it has no use for. */
	span->learned = span->zero && choice.tell && align <= HL_UNIT_BYTES;
	hl_count_max(&hl_counts()->largest_block_bytes, bytes);
	hl_large_count(1, (int64_t)hl_large_usable(span));
	hl_pagemap_set(span->start, 1, span);
	return span;
}

void hl_large_free(struct hl_span *span)
{
	struct hl_arena *arena = span->arena;

	hl_pageheap_tick(arena);
	hl_heap_sample_before_free(hl_large_usable(span));
	hl_large_count(-1, -(int64_t)hl_large_usable(span));
	if (span->learned)
		hl_learn_tell(span->learn_kind, (void *)span->start,
			hl_large_usable(span));
	hl_learn_count(span->learn_kind, -1);
	hl_pagemap_set(span->start, 1, NULL);
	hl_lock_acquire(&arena->grow_lock);
	hl_probe_end(span);
	if (span->kind == HL_SPAN_STRADDLE)
		hl_straddle_home_give(span);
	else
		give_units(span, span->large.first, span->large.units);
	hl_lock_release(&arena->grow_lock);
	hl_span_drop(span);
}

size_t hl_large_usable(const struct hl_span *span)
{
	if (span->kind == HL_SPAN_STRADDLE)
		return hl_straddle_home_usable(span);
	return span->large.units * HL_UNIT_BYTES;
}

/* Bytes that a block may have more than it needs. */
static size_t slack_of(size_t usable)
{
	return usable < HL_LARGE_MIN ? HL_SLOT_BYTES : HL_UNIT_BYTES / 8;
}

/* Under GROW: the block counts as what it is now. */
static void rekind(struct hl_span *span, size_t bytes)
{
	unsigned kind = hl_learn_kind(bytes);

	if (span->learn_kind == HL_LEARN_NONE || span->learn_kind == kind)
		return;
	hl_probe_end(span);
	hl_learn_count(span->learn_kind, -1);
	hl_learn_count(kind, 1);
	span->learn_kind = (uint8_t)kind;
}

bool hl_large_resize(struct hl_span *span, size_t bytes)
{
	struct hl_arena *arena = span->arena;
	size_t usable = hl_large_usable(span);
	bool ok;

	/* Half empty: a smaller place is better. */
	if (bytes <= HL_SMALL_MAX ||
		(bytes < HL_LARGE_MIN && usable >= HL_LARGE_MIN) ||
		(span->kind == HL_SPAN_LARGE && bytes < HL_STRADDLE_MAX))
		return false;
	if (bytes <= usable && usable - bytes < slack_of(usable))
		return true;
	hl_lock_acquire(&arena->grow_lock);
	if (bytes < usable)
		hl_probe_end(span);
	if (span->kind == HL_SPAN_STRADDLE)
		ok = hl_straddle_home_resize(span, bytes);
	else if (bytes <= usable)
		ok = shrink_units(span, bytes);
	else
		ok = grow_units(span, bytes);
	if (ok)
		rekind(span, bytes);
	hl_lock_release(&arena->grow_lock);
	return ok;
}

struct hl_span *hl_large_move(struct hl_span *old, size_t bytes)
{
	struct hl_arena *arena = old->arena;
	struct hl_span *span;
	size_t n = units_for(bytes), had = old->large.units;
	int rc;

	/* A part of a gigantic page cannot be moved. */
	if (old->kind != HL_SPAN_LARGE || n <= had ||
		old->large.stretch->grain != NULL)
		return NULL;
	span = hl_span_make(arena, HL_SPAN_LARGE);
	if (span == NULL)
		return NULL;
	hl_lock_acquire(&arena->grow_lock);
	hl_probe_end(old);
	rc = hl_space_take(old->large.stretch->space, n, 1,
		&span->large.stretch, &span->large.first);
	if (rc < 0)
		goto drop;
	span->large.units = n;
	span->wished = old->wished;
	span->populated = old->populated;
	/* First what can fail, then the move. */
	rc = commit(span, span->large.first + had, span->large.first + n, bytes,
		backing_of(old));
	if (rc < 0)
		goto give;
	rc = hl_space_move(old->large.stretch, old->large.first, had,
		span->large.stretch, span->large.first);
	if (rc < 0)
		goto release;
	span->start =
		span->large.stretch->base + span->large.first * HL_UNIT_BYTES;
	span->learned = old->learned;
	span->learn_kind = old->learn_kind;
	rekind(span, bytes);
	hl_pagemap_set(old->start, 1, NULL);
	hl_pagemap_set(span->start, 1, span);
	hl_space_give(old->large.stretch, old->large.first, had);
	hl_lock_release(&arena->grow_lock);
	hl_large_count(0, (int64_t)((n - had) * HL_UNIT_BYTES));
	hl_count_max(&hl_counts()->largest_block_bytes, bytes);
	hl_span_drop(old);
	return span;

release:
	(void)hl_space_release(
		span->large.stretch, span->large.first + had, n - had);
give:
	hl_space_give(span->large.stretch, span->large.first, n);
drop:
	hl_lock_release(&arena->grow_lock);
	hl_span_drop(span);
	return NULL;
}

void hl_large_clear(struct hl_span *span, size_t bytes)
{
	uintptr_t from = span->start, to = from + bytes;
	uintptr_t inner = hl_align_up(from, HL_UNIT_BYTES);
	uintptr_t end = hl_align_down(to, HL_UNIT_BYTES);
	/* In the straddle some of its units may be populated. */
	bool keep = span->populated ||
		    (span->wished && span->kind == HL_SPAN_STRADDLE);

	if (keep || inner >= end) {
		memset((void *)from, 0, bytes);
		return;
	}
	memset((void *)from, 0, inner - from);
	hl_area_discard((void *)inner, end - inner);
	memset((void *)end, 0, to - end);
}

bool hl_large_decay(struct hl_arena *arena, uint64_t now_ms, bool all)
{
	bool any = hl_straddle_home_decay(
		&arena->pool_straddle, arena, now_ms, all);

	any |= hl_straddle_home_decay(
		&arena->lazy_straddle, arena, now_ms, all);
	return any;
}
