/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See pageheap.h. Lock order here: GROW, then PAGEHEAP for as long as lists
 * change, never across a system call.
 */
#include "heap/pageheap.h"

#include "base/count.h"
#include "base/opt.h"
#include "heap/arena.h"
#include "heap/decay.h"
#include "heap/space.h"
#include "system/sys.h"

#include <errno.h>

/* Runs on base pages before the first huge page is taken. */
#define BASE_SLOTS 256u /* 1 MiB */

void hl_heap_count_live(int64_t bytes)
{
	struct hl_counts *c = hl_counts();
	uint64_t now;

	if (bytes < 0) {
		hl_count_sub(&c->live_bytes, (uint64_t)-bytes);
		return;
	}
	now = atomic_fetch_add_explicit(
		      &c->live_bytes, (uint64_t)bytes, memory_order_relaxed) +
	      (uint64_t)bytes;
	hl_count_max(&c->peak_bytes, now);
}

static struct hl_span *take_record(
	struct hl_arena *arena, enum hl_span_kind kind)
{
	struct hl_span *span;

	HL_REQUIRES(&arena->page_lock);
	span = hl_pool_of_take(&arena->span_pool);
	if (span == NULL)
		return NULL;
	span->arena = arena;
	span->kind = (uint8_t)kind;
	return span;
}

struct hl_span *hl_span_make(struct hl_arena *arena, enum hl_span_kind kind)
{
	struct hl_span *span;

	hl_lock_acquire(&arena->page_lock);
	span = take_record(arena, kind);
	hl_lock_release(&arena->page_lock);
	return span;
}

void hl_span_drop(struct hl_span *span)
{
	struct hl_arena *arena = span->arena;

	hl_lock_acquire(&arena->page_lock);
	hl_pool_of_give(&arena->span_pool, span);
	hl_lock_release(&arena->page_lock);
}

/* ---- taking a run ---- */

static bool take_base(struct hl_arena *arena, unsigned n, unsigned align_slots,
	struct hl_run *run)
{
	struct hl_unit *unit = arena->base_unit;

	HL_REQUIRES(&arena->page_lock);
	if (unit == NULL || unit->longest < n ||
		!hl_unit_take_aligned(
			unit, n, align_slots, &run->slot, &run->zero))
		return false;
	run->unit = unit;
	run->slots = n;
	return true;
}

/*
 * The time for the cache, which is asked under the lock: as of the last look, a
 * few hundred operations ago. Growth and the decay look.
 */
static uint64_t last_look(const struct hl_arena *arena)
{
	return atomic_load_explicit(&arena->clock_ms, memory_order_relaxed);
}

static bool take_cached(struct hl_arena *arena)
{
	struct hl_unit *unit;

	HL_REQUIRES(&arena->page_lock);
	if (!arena->started)
		return false;
	unit = hl_hcache_get(&arena->cache, last_look(arena));
	if (unit == NULL)
		return false;
	hl_filler_add(&arena->filler, unit);
	return true;
}

/* What can be had without a system call. */
static bool take_ready(struct hl_arena *arena, unsigned n, unsigned align_slots,
	struct hl_run *run)
{
	HL_REQUIRES(&arena->page_lock);
	if (take_base(arena, n, align_slots, run))
		return true;
	if (hl_filler_take_aligned(&arena->filler, n, align_slots, run))
		return true;
	return take_cached(arena) &&
	       hl_filler_take_aligned(&arena->filler, n, align_slots, run);
}

static void start(struct hl_arena *arena)
{
	HL_REQUIRES(&arena->page_lock);
	if (arena->started)
		return;
	hl_filler_init(&arena->filler);
	hl_hcache_init(&arena->cache, hl_opt.decay_ms, last_look(arena));
	arena->started = true;
}

/* Commits `units` fresh units; *first is the record of the first. */
static int commit_units(struct hl_arena *arena, size_t units,
	const struct hl_want *want, struct hl_unit **first)
{
	struct hl_stretch *stretch;
	size_t at, i;
	int rc;

	HL_REQUIRES(&arena->grow_lock);
	rc = hl_space_take(hl_arena_space(arena, want->page_bytes), units,
		units, &stretch, &at);
	if (rc < 0)
		return rc;
	rc = hl_space_commit(stretch, at, units, want);
	if (rc < 0) {
		hl_space_give(stretch, at, units);
		return rc;
	}
	for (i = at; i < at + units; i++)
		hl_unit_init(&stretch->record[i], stretch->area, (uint32_t)i);
	*first = &stretch->record[at];
	return 0;
}

static int grow_base(struct hl_arena *arena)
{
	struct hl_want want = {.node = HL_NODE_ANY, .lazy = true};
	struct hl_unit *unit;
	int rc = commit_units(arena, 1, &want, &unit);

	if (rc < 0)
		return rc;
	hl_lock_acquire(&arena->page_lock);
	/* The rest of the unit stays untouched, and costs nothing, but under a
	 * ulimit: there all of it is used. It is in front, since what is behind
	 * all that was handed out is known to be zero. */
	if (!hl_space_is_confined())
		hl_unit_take_at(unit, 0, HL_UNIT_SLOTS - BASE_SLOTS);
	arena->base_unit = unit;
	hl_lock_release(&arena->page_lock);
	return 0;
}

/*
 * Growth in steps: a heap of many units commits several at once, which costs
 * at most 1/64 more memory and saves mappings (max_map_count).
 */
static size_t growth_units(const struct hl_arena *arena)
{
	if (hl_space_is_confined())
		return 1;
	return HL_MIN(HL_MAX(arena->backed_units / 64, (size_t)1), (size_t)8);
}

static int grow_filler(struct hl_arena *arena)
{
	struct hl_want want;
	struct hl_unit *unit;
	size_t units, i;
	uint64_t now = hl_decay_look(arena);
	int rc;

	hl_arena_want(arena, &want);
	/* Sizes are powers of two, as commit_units aligns by them. */
	units = (size_t)1 << hl_log2(growth_units(arena));
	hl_decay_make_way(arena, units);
	rc = commit_units(arena, units, &want, &unit);
	if (rc < 0 && units > 1) {
		units = 1;
		rc = commit_units(arena, units, &want, &unit);
	}
	if (rc < 0 && want.page_bytes > HL_UNIT_BYTES && !want.strict) {
		/* The address space of a gigantic page may be what is missing.
		 */
		want.page_bytes = 0;
		rc = commit_units(arena, units, &want, &unit);
	}
	if (rc < 0)
		return rc;
	hl_lock_acquire(&arena->page_lock);
	start(arena);
	arena->backed_units += units;
	hl_hcache_used(&arena->cache, units, now);
	hl_filler_add(&arena->filler, unit);
	/* Behind the cached ones in age: they go out first. */
	for (i = 1; i < units; i++)
		hl_hcache_put(&arena->cache, unit + i, now);
	hl_lock_release(&arena->page_lock);
	return 0;
}

/* HUGETLB_HEAP_MIN: pages that are really held, from the first growth on. */
static void hold_floor(struct hl_arena *arena)
{
	size_t floor = hl_arena_floor_units(arena);
	struct hl_want want;
	struct hl_unit *unit;

	while (arena->backed_units < floor) {
		hl_arena_want(arena, &want);
		if (commit_units(arena, 1, &want, &unit) < 0)
			return;
		hl_lock_acquire(&arena->page_lock);
		arena->backed_units++;
		hl_hcache_used(&arena->cache, 1, last_look(arena));
		hl_hcache_put(&arena->cache, unit, last_look(arena));
		hl_lock_release(&arena->page_lock);
	}
}

static int take_growing(struct hl_arena *arena, unsigned n,
	unsigned align_slots, struct hl_run *run)
{
	bool base = false, ready;
	int rc = 0;

	hl_lock_acquire(&arena->grow_lock);
	for (;;) {
		hl_lock_acquire(&arena->page_lock);
		ready = take_ready(arena, n, align_slots, run);
		base = arena->base_unit == NULL && arena == &hl_arena_first &&
		       n <= BASE_SLOTS;
		hl_lock_release(&arena->page_lock);
		if (ready)
			break;
		rc = base ? grow_base(arena) : grow_filler(arena);
		if (rc < 0)
			break;
		if (!base)
			hold_floor(arena);
	}
	hl_lock_release(&arena->grow_lock);
	return rc;
}

struct hl_span *hl_pageheap_new(struct hl_arena *arena, enum hl_span_kind kind,
	unsigned n, unsigned align_slots)
{
	struct hl_span *span;
	struct hl_run run;
	bool ready = false;

	HL_ASSERT(n >= 1 && n <= HL_UNIT_SLOTS);
	hl_lock_acquire(&arena->page_lock);
	span = take_record(arena, kind);
	if (span != NULL)
		ready = take_ready(arena, n, align_slots, &run);
	hl_lock_release(&arena->page_lock);
	if (span == NULL)
		return NULL;
	if (!ready && take_growing(arena, n, align_slots, &run) < 0) {
		hl_span_drop(span);
		return NULL;
	}
	span->run.unit = run.unit;
	span->run.slot = run.slot;
	span->slots16 = (uint16_t)n;
	span->zero = run.zero;
	span->start = hl_unit_base(run.unit) + run.slot * HL_SLOT_BYTES;
	hl_heap_count_live((int64_t)(n * HL_SLOT_BYTES));
	return span;
}

/* ---- giving it back ---- */

void hl_pageheap_give(struct hl_span *span)
{
	struct hl_arena *arena = span->arena;
	struct hl_unit *unit = span->run.unit;
	bool over = false;

	hl_heap_count_live(-(int64_t)(span->slots16 * HL_SLOT_BYTES));
	hl_lock_acquire(&arena->page_lock);
	if (unit == arena->base_unit) {
		hl_unit_give(unit, span->run.slot, span->slots16);
	} else if (hl_filler_give(&arena->filler, unit, span->run.slot,
			   span->slots16)) {
		hl_hcache_put(&arena->cache, unit, last_look(arena));
		over = hl_decay_is_over(arena);
	}
	hl_pool_of_give(&arena->span_pool, span);
	hl_lock_release(&arena->page_lock);
	if (over)
		hl_pageheap_decay(arena, false);
}

bool hl_pageheap_resize(struct hl_span *span, unsigned to)
{
	struct hl_arena *arena = span->arena;
	struct hl_unit *unit = span->run.unit;
	unsigned n = span->slots16;
	bool base, ok = true;

	HL_ASSERT(to >= 1);
	hl_lock_acquire(&arena->page_lock);
	base = unit == arena->base_unit;
	if (to < n && base)
		hl_unit_shrink(unit, span->run.slot, n, to);
	else if (to < n)
		hl_filler_shrink(&arena->filler, unit, span->run.slot, n, to);
	else if (to > n && base)
		ok = hl_unit_grow(unit, span->run.slot, n, to);
	else if (to > n)
		ok = hl_filler_grow(
			&arena->filler, unit, span->run.slot, n, to);
	hl_lock_release(&arena->page_lock);
	if (ok) {
		span->slots16 = (uint16_t)to;
		hl_heap_count_live(
			((int64_t)to - (int64_t)n) * (int64_t)HL_SLOT_BYTES);
	}
	return ok;
}

bool hl_pageheap_is_valid(struct hl_arena *arena)
{
	bool ok;

	hl_lock_acquire(&arena->page_lock);
	ok = !arena->started || (hl_filler_is_valid(&arena->filler) &&
					hl_hcache_is_valid(&arena->cache));
	hl_lock_release(&arena->page_lock);
	return ok;
}
