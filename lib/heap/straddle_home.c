/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See straddle_home.h. Invariants, per tract: a unit with a block in it is
 * committed; `idle` are the committed units without one; `dirty` are the slots
 * that were handed out since their unit was committed, so that calloc knows
 * what is still zero.
 */
#include "heap/straddle_home.h"

#include "base/bitmap.h"
#include "base/meta.h"
#include "base/opt.h"
#include "heap/arena.h"
#include "heap/decay.h"
#include "heap/large.h"
#include "heap/pageheap.h"
#include "heap/space.h"

#include <errno.h>

#define IDLE_UNITS ((size_t)16)
#define IDLE_SHARE ((size_t)8)
/* Blocks up to that are not of several units, to heap/probe.c. */
#define PROBE_UNITS 2u

static uint32_t slots_for(size_t bytes)
{
	return (uint32_t)((bytes + HL_SLOT_BYTES - 1) >> HL_SLOT_SHIFT);
}

static struct hl_straddle_home *home_of(const struct hl_span *span)
{
	return span->wished ? &span->arena->pool_straddle
			    : &span->arena->lazy_straddle;
}

static void want_for(
	const struct hl_span *span, bool populated, struct hl_want *want)
{
	if (populated)
		hl_arena_want(span->arena, want);
	else
		hl_arena_want_lazy(span->arena, want);
}

static struct hl_tract_home *tract_of(const struct hl_span *span)
{
	return hl_container_of(span->str.tract, struct hl_tract_home, tract);
}

static uint32_t bits(uint32_t from, uint32_t to)
{
	return from == to ? 0
			  : (uint32_t)(((uint64_t)1 << to) -
				       ((uint64_t)1 << from));
}

/*
 * Under a ulimit short, since address space counts, but as there are more
 * blocks long enough for them to share units: a tract per block would round
 * each up to whole units.
 */
static size_t tract_units(const struct hl_straddle_home *home, size_t least)
{
	size_t used = home->straddle.used_slots / HL_UNIT_SLOTS;

	if (!hl_space_is_confined())
		return HL_TRACT_UNITS;
	return HL_MIN(HL_MAX(used / 8, least + HL_MIN(used, least * 3)),
		(size_t)HL_TRACT_UNITS);
}

/* The buckets are mapped: in .bss they would count under ulimit -d in every
 * program. */
static bool start(struct hl_straddle_home *home)
{
	struct hl_tract **bucket = home->straddle.bucket;

	if (bucket == NULL)
		bucket = hl_meta_map(HL_STRADDLE_BUCKETS * sizeof(*bucket));
	if (bucket == NULL)
		return false;
	hl_straddle_init(&home->straddle, bucket);
	hl_list_init(&home->tracts);
	return true;
}

static int add_tract(struct hl_straddle_home *home, const struct hl_span *span,
	uint32_t slots)
{
	struct hl_arena *arena = span->arena;
	size_t least = (slots + HL_UNIT_SLOTS - 1) / HL_UNIT_SLOTS;
	size_t units = tract_units(home, least);
	struct hl_tract_home *t;
	struct hl_space *space = hl_arena_space(
		arena, span->wished ? hl_arena_page_bytes(arena) : 0);
	size_t first;
	int rc;

	if (home->tracts.next == NULL && !start(home))
		return -ENOMEM;
	arena->tract_pool.bytes = sizeof(*t);
	arena->tract_pool.align = 64;
	t = hl_pool_of_take(&arena->tract_pool);
	if (t == NULL)
		return -ENOMEM;
	for (;;) {
		rc = hl_space_take(space, units, 1, &t->stretch, &first);
		if (rc == 0 || units == least)
			break;
		units = HL_MAX(least, units / 2);
	}
	if (rc < 0) {
		hl_pool_of_give(&arena->tract_pool, t);
		return rc;
	}
	t->tract.area = t->stretch->area;
	t->tract.first_unit = (uint32_t)first;
	t->tract.units = (uint32_t)units;
	hl_straddle_add(&home->straddle, &t->tract);
	hl_list_push_back(&home->tracts, &t->link);
	return 0;
}

static void release_units(struct hl_tract_home *t, uint32_t from, uint32_t to)
{
	size_t first = t->tract.first_unit;

	(void)hl_space_release(t->stretch, first + from, to - from);
	hl_bitmap_clear(t->dirty, (size_t)from * HL_UNIT_SLOTS,
		(size_t)to * HL_UNIT_SLOTS);
	t->committed &= ~bits(from, to);
	t->idle &= ~bits(from, to);
}

/*
 * Commits those of units [from, to) that are not. If that fails the caller
 * takes the run back, and set_idle() accounts for what this call brought in.
 */
static int commit_units(const struct hl_span *span, struct hl_tract_home *t,
	uint32_t from, uint32_t to, const struct hl_want *want)
{
	size_t first = t->tract.first_unit;
	uint32_t at, end;
	int rc;

	/* What is idle elsewhere makes way, not what is wanted here. */
	t->idle &= ~bits(from, to);
	for (at = from; at < to; at = end) {
		uint32_t have = t->committed >> at & 1;

		for (end = at + 1; end < to; end++)
			if ((t->committed >> end & 1) != have)
				break;
		if (have)
			continue;
		hl_decay_make_way(span->arena, end - at);
		rc = hl_space_commit(t->stretch, first + at, end - at, want);
		if (rc < 0)
			return rc;
		if (span->wished)
			hl_space_wish(t->stretch, first + at, end - at);
		t->committed |= bits(at, end);
	}
	return 0;
}

/* The time is that of the last look: large blocks look when they come and go.
 */
static void set_idle(struct hl_arena *arena, struct hl_tract_home *t,
	uint32_t from, uint32_t to)
{
	uint64_t now =
		atomic_load_explicit(&arena->clock_ms, memory_order_relaxed);

	t->idle |= bits(from, to) & t->committed;
	for (; from < to; from++)
		t->idle_ms[from] = now;
}

/*
 * Whether a unit that the block brings into use shall be on base pages. A probe
 * of some units takes one: where it begins or, if that is not its to choose,
 * where the next block will. A shorter one takes all, as what is used of a
 * block is mostly its beginning.
 */
static bool wants_base(const struct hl_tract_home *t,
	const struct hl_straddle_run *run, uint32_t unit,
	enum hl_learn_backing backing)
{
	uint32_t head = run->slot / HL_UNIT_SLOTS;
	bool last = unit == run->to_unit - 1;

	switch (backing) {
	case HL_LEARN_SPARSE:
	case HL_LEARN_WARY:
		return true;
	case HL_LEARN_PROBE:
		if (run->slots <= PROBE_UNITS * HL_UNIT_SLOTS)
			return true;
		if (head >= run->from_unit)
			return unit == head;
		return last && !hl_area_is_base(t->tract.area,
				       t->tract.first_unit + head);
	default:
		return false;
	}
}

/* Units are shared: only those that this block is the first in are as it wants.
 */
static int commit_as(const struct hl_span *span, struct hl_tract_home *t,
	const struct hl_straddle_run *run, enum hl_learn_backing backing)
{
	uint32_t head = run->slot / HL_UNIT_SLOTS, at, end;
	struct hl_want want, base;
	int rc = 0;

	/* A probe must be clean. */
	if (backing == HL_LEARN_PROBE && !span->zero)
		backing = HL_LEARN_LAZY;
	if (backing != HL_LEARN_LAZY && backing != HL_LEARN_POPULATE &&
		head < run->from_unit)
		hl_area_demote(t->tract.area, t->tract.first_unit + head);
	/* Who asks moves on to the next node. */
	if (run->from_unit == run->to_unit)
		return 0;
	want_for(span, span->populated, &want);
	base = want;
	base.thp = false;
	for (at = run->from_unit; rc == 0 && at < run->to_unit; at = end) {
		bool small = wants_base(t, run, at, backing);

		for (end = at + 1; end < run->to_unit; end++)
			if (wants_base(t, run, end, backing) != small)
				break;
		rc = commit_units(span, t, at, end, small ? &base : &want);
	}
	return rc;
}

static uintptr_t address_of(const struct hl_tract_home *t, uint32_t slot)
{
	return t->stretch->base + (size_t)t->tract.first_unit * HL_UNIT_BYTES +
	       (size_t)slot * HL_SLOT_BYTES;
}

/*
 * The run was taken long enough for a block of `bytes` to be aligned in it:
 * what it does not need in front and behind goes back before memory is behind
 * it.
 */
static uintptr_t fit(struct hl_straddle_home *home, struct hl_straddle_run *run,
	size_t bytes, size_t align)
{
	struct hl_tract_home *t =
		hl_container_of(run->tract, struct hl_tract_home, tract);
	uintptr_t base = address_of(t, run->slot);
	uintptr_t start = hl_align_up(base, align);
	uint32_t skip = (uint32_t)((start - base) >> HL_SLOT_SHIFT);
	struct hl_straddle_run gone;

	if (skip > 0) {
		hl_straddle_give(
			&home->straddle, run->tract, run->slot, skip, &gone);
		run->slot += skip;
		run->slots -= skip;
		run->from_unit += gone.to_unit - gone.from_unit;
	}
	hl_straddle_shrink(&home->straddle, run->tract, run->slot, run->slots,
		slots_for(bytes), &gone);
	run->slots = slots_for(bytes);
	run->to_unit -= gone.to_unit - gone.from_unit;
	return start;
}

int hl_straddle_home_take(struct hl_span *span, size_t bytes, size_t align,
	enum hl_learn_backing backing)
{
	struct hl_arena *arena = span->arena;
	struct hl_straddle_home *home = home_of(span);
	size_t extra = align > HL_SLOT_BYTES ? align - HL_SLOT_BYTES : 0;
	uint32_t slots = slots_for(bytes + extra);
	struct hl_straddle_run run;
	struct hl_tract_home *t;
	uintptr_t start;
	int rc;

	HL_REQUIRES(&arena->grow_lock);
	while (home->tracts.next == NULL ||
		!hl_straddle_take(&home->straddle, slots, &run)) {
		rc = add_tract(home, span, slots);
		if (rc < 0)
			return rc;
	}
	t = hl_container_of(run.tract, struct hl_tract_home, tract);
	start = fit(home, &run, bytes, align);
	slots = run.slots;
	/* Units that are not committed are clean. */
	span->zero = hl_bitmap_all_clear(t->dirty, run.slot, run.slot + slots);
	rc = commit_as(span, t, &run, backing);
	if (rc < 0) {
		hl_straddle_give(
			&home->straddle, run.tract, run.slot, slots, &run);
		set_idle(arena, t, run.from_unit, run.to_unit);
		return rc;
	}
	span->str.tract = run.tract;
	span->str.slot = run.slot;
	span->str.slots = slots;
	hl_bitmap_set(t->dirty, run.slot, run.slot + slots);
	span->start = start;
	return 0;
}

size_t hl_straddle_home_usable(const struct hl_span *span)
{
	const struct hl_tract_home *t = tract_of(span);
	uintptr_t end =
		t->stretch->base + (size_t)t->tract.first_unit * HL_UNIT_BYTES +
		(size_t)(span->str.slot + span->str.slots) * HL_SLOT_BYTES;

	return end - span->start;
}

/* Units without a block that are kept: what freeing left above that goes back
 * at once, also if the program is idle from here on. */
static void bound_idle(struct hl_straddle_home *home)
{
	size_t idle = 0, busy = 0, most;
	struct hl_list *pos;

	hl_list_for_each (pos, &home->tracts) {
		struct hl_tract_home *t =
			hl_list_entry(pos, struct hl_tract_home, link);

		idle += (size_t)__builtin_popcount(t->idle);
		busy += (size_t)__builtin_popcount(t->committed & ~t->idle);
	}
	most = IDLE_UNITS + busy / IDLE_SHARE;
	if (idle > most)
		hl_straddle_home_shed(home, idle - most);
}

/* Units of the run fell out of use. */
static void leave(struct hl_straddle_home *home, struct hl_arena *arena,
	struct hl_tract_home *t, const struct hl_straddle_run *run)
{
	set_idle(arena, t, run->from_unit, run->to_unit);
	/* Under a ulimit the address space goes back as well. */
	if (hl_space_is_confined())
		hl_straddle_home_decay(home, arena, 0, true);
	else if (run->from_unit != run->to_unit)
		bound_idle(home);
}

void hl_straddle_home_give(struct hl_span *span)
{
	struct hl_straddle_home *home = home_of(span);
	struct hl_tract_home *t = tract_of(span);
	struct hl_straddle_run run;

	hl_straddle_give(&home->straddle, &t->tract, span->str.slot,
		span->str.slots, &run);
	leave(home, span->arena, t, &run);
}

bool hl_straddle_home_resize(struct hl_span *span, size_t bytes)
{
	struct hl_straddle_home *home = home_of(span);
	struct hl_tract_home *t = tract_of(span);
	uintptr_t base = t->stretch->base +
			 (size_t)t->tract.first_unit * HL_UNIT_BYTES +
			 (size_t)span->str.slot * HL_SLOT_BYTES;
	uint32_t to = slots_for(span->start - base + bytes);
	uint32_t n = span->str.slots;
	struct hl_straddle_run run;
	struct hl_want want;

	if (bytes >= HL_STRADDLE_MAX)
		return false;
	if (to < n) {
		hl_straddle_shrink(&home->straddle, &t->tract, span->str.slot,
			n, to, &run);
		leave(home, span->arena, t, &run);
	} else if (to > n) {
		if (!hl_straddle_grow(&home->straddle, &t->tract,
			    span->str.slot, n, to, &run))
			return false;
		want_for(span, span->populated, &want);
		if (commit_units(span, t, run.from_unit, run.to_unit, &want) <
			0) {
			hl_straddle_shrink(&home->straddle, &t->tract,
				span->str.slot, to, n, &run);
			set_idle(span->arena, t, run.from_unit, run.to_unit);
			return false;
		}
		hl_bitmap_set(
			t->dirty, span->str.slot + n, span->str.slot + to);
	}
	span->str.slots = to;
	hl_large_count(0, ((int64_t)to - (int64_t)n) * (int64_t)HL_SLOT_BYTES);
	return true;
}

/* Releases the idle units of a tract that are due. */
static bool decay_tract(struct hl_tract_home *t, uint64_t now_ms, bool all)
{
	uint32_t at, end, due = 0;

	for (at = 0; at < t->tract.units; at++)
		if ((t->idle >> at & 1) &&
			(all || now_ms >= t->idle_ms[at] + hl_opt.decay_ms))
			due |= (uint32_t)1 << at;
	if (due == 0)
		return false;
	for (at = 0; at < t->tract.units; at = end) {
		end = at + 1;
		if (!(due >> at & 1))
			continue;
		while (end < t->tract.units && (due >> end & 1))
			end++;
		release_units(t, at, end);
	}
	return true;
}

size_t hl_straddle_home_shed(struct hl_straddle_home *home, size_t most)
{
	struct hl_list *pos;
	size_t n = 0;
	uint32_t at;

	if (home->tracts.next == NULL)
		return 0;
	hl_list_for_each (pos, &home->tracts) {
		struct hl_tract_home *t =
			hl_list_entry(pos, struct hl_tract_home, link);

		for (at = 0; t->idle != 0 && at < t->tract.units; at++) {
			if (n == most)
				return n;
			if (!(t->idle >> at & 1))
				continue;
			release_units(t, at, at + 1);
			n++;
		}
	}
	return n;
}

bool hl_straddle_home_decay(struct hl_straddle_home *home,
	struct hl_arena *arena, uint64_t now_ms, bool all)
{
	struct hl_list *pos, *tmp;
	bool any = false;

	HL_REQUIRES(&arena->grow_lock);
	if (home->tracts.next == NULL)
		return false;
	hl_list_for_each_safe (pos, tmp, &home->tracts) {
		struct hl_tract_home *t =
			hl_list_entry(pos, struct hl_tract_home, link);

		if (t->idle != 0)
			any |= decay_tract(t, now_ms, all);
		if (t->committed != 0 || t->tract.used_slots != 0)
			continue;
		hl_straddle_remove(&home->straddle, &t->tract);
		hl_list_remove(&t->link);
		hl_space_give(t->stretch, t->tract.first_unit, t->tract.units);
		hl_pool_of_give(&arena->tract_pool, t);
	}
	return any;
}
