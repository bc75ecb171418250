/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See stats.h. A sample asks the kernel: mincore for lazy and base units, the
 * state words for the rest; smaps when it must be exact. One thread samples at
 * a time, the others pass by. The figures at the sample with the largest heap
 * are kept as those of the peak.
 */
#include "heap/stats.h"

#include "base/count.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "heap/pageheap.h"
#include "heap/report_parts.h"
#include "heap/space.h"
#include "system/os.h"

#include <string.h>

#define AREAS_MAX   64u
#define GROWTH	    16u /* sample again at +1/16 */
#define FIRST_BYTES (4 * HL_MIB)
#define SMAPS_BYTES (16 * HL_GIB)
#define IDLE_MS	    1000u
#define COST_SHARE  50u /* at most 1/50 of the time */

static _Atomic bool sampling;
static _Atomic uint64_t last_ms, last_cost_us, last_live, peak_live;
/* The highest live_bytes that a sample has followed. */
static _Atomic uint64_t seen_peak;

/* ---- residency ---- */

/* Static: stacks may be small. Used by the one thread that samples. */
static struct area_list {
	struct hl_stretch stretch[AREAS_MAX];
	size_t count;
} list;

static int list_area(struct hl_stretch *stretch, void *arg)
{
	list.stretch[list.count++] = *stretch;
	return list.count == AREAS_MAX;
}

static void measure(struct hl_resident *sum)
{
	struct hl_resident r;
	size_t i;

	*sum = (struct hl_resident){0};
	for (i = 0; i < list.count; i++) {
		hl_area_resident(
			list.stretch[i].area, 0, list.stretch[i].units, &r);
		sum->hugetlb_bytes += r.hugetlb_bytes;
		sum->thp_bytes += r.thp_bytes;
		sum->base_bytes += r.base_bytes;
	}
}

/* Units that may be resident or not. */
static uint64_t lazy_bytes(void)
{
	uint64_t units = 0;

	for (size_t i = 0; i < list.count; i++) {
		const struct hl_area *area = list.stretch[i].area;

		/* Asked anew: a dedicated area may close meanwhile. */
		for (size_t u = 0; u < hl_area_units(area); u++)
			units += hl_area_kind(area, u) == HL_BACKING_LAZY;
	}
	return units * HL_UNIT_BYTES;
}

static void record(const struct hl_resident *r)
{
	struct hl_counts *c = hl_counts();
	uint64_t now = r->hugetlb_bytes + r->thp_bytes + r->base_bytes;

	atomic_store_explicit(
		&c->thp_bytes, r->thp_bytes, memory_order_relaxed);
	atomic_store_explicit(
		&c->base_bytes, r->base_bytes, memory_order_relaxed);
	if (now < atomic_load_explicit(&peak_live, memory_order_relaxed))
		return;
	atomic_store_explicit(&peak_live, now, memory_order_relaxed);
	atomic_store_explicit(
		&c->peak_hugetlb_bytes, r->hugetlb_bytes, memory_order_relaxed);
	atomic_store_explicit(
		&c->peak_thp_bytes, r->thp_bytes, memory_order_relaxed);
	atomic_store_explicit(
		&c->peak_base_bytes, r->base_bytes, memory_order_relaxed);
}

/* ---- the picture: one cell per unit, or per so many ---- */

static unsigned fullness(const struct hl_stretch *s, size_t i)
{
	const struct hl_unit *u;

	/* A first-class heap may end at any time, and its records with it. */
	if (s->record == NULL || s->space->own)
		return 255;
	u = &s->record[i];
	switch (u->home) {
	case HL_UNIT_FILLER:
	case HL_UNIT_STRADDLE:
		return u->used_slots * 255u / (unsigned)HL_UNIT_SLOTS;
	case HL_UNIT_CACHED:
		return 0;
	default:
		return 255;
	}
}

/* The straddle keeps its own maps: copies their sums to the unit records. */
static void note_straddle(struct hl_straddle_home *home)
{
	struct hl_list *pos;
	size_t i;

	if (home->tracts.next == NULL)
		return;
	hl_list_for_each (pos, &home->tracts) {
		struct hl_tract_home *t =
			hl_list_entry(pos, struct hl_tract_home, link);
		struct hl_unit *u = t->stretch->record + t->tract.first_unit;

		for (i = 0; i < t->tract.units; i++) {
			u[i].home = HL_UNIT_STRADDLE;
			u[i].used_slots = t->tract.unit_used[i];
		}
	}
}

/* Under the lock of the space, or the records of a stretch that another arena
 * closes would be gone. */
static struct picture {
	size_t units, stride, seen, cells;
	unsigned sum, kind;
} picture;

static int count_units(struct hl_stretch *s, void *arg)
{
	struct picture *p = arg;

	for (size_t u = 0; u < s->units; u++)
		p->units += hl_area_kind(s->area, u) != HL_BACKING_NONE;
	return 0;
}

static int draw_stretch(struct hl_stretch *s, void *arg)
{
	struct hl_counts *c = hl_counts();
	struct picture *p = arg;

	for (size_t u = 0; u < s->units && p->cells < HL_COUNT_CELLS; u++) {
		if (hl_area_kind(s->area, u) == HL_BACKING_NONE)
			continue;
		if (p->seen % p->stride == 0)
			p->kind = hl_area_kind(s->area, u);
		p->sum += fullness(s, u);
		if (++p->seen % p->stride != 0 && p->seen != p->units)
			continue;
		atomic_store_explicit(&c->cell[p->cells],
			(uint8_t)(p->sum / p->stride), memory_order_relaxed);
		atomic_store_explicit(&c->cell_kind[p->cells], (uint8_t)p->kind,
			memory_order_relaxed);
		p->cells++;
		p->sum = 0;
	}
	return 0;
}

static void draw(void)
{
	picture = (struct picture){0};
	hl_space_visit(count_units, &picture);
	/* First-class heaps may grow meanwhile. */
	picture.stride =
		HL_MAX((picture.units + HL_COUNT_CELLS - 1) / HL_COUNT_CELLS,
			(size_t)1);
	hl_space_visit(draw_stretch, &picture);
	atomic_store_explicit(
		&hl_counts()->cells, picture.cells, memory_order_relaxed);
}

/* The records are the arenas' own: read under their locks. */
static void draw_locked(void)
{
	struct hl_arena *arena = &hl_arena_first;

	if (!hl_lock_try(&arena->grow_lock))
		return;
	hl_lock_acquire(&arena->page_lock);
	note_straddle(&arena->pool_straddle);
	note_straddle(&arena->lazy_straddle);
	draw();
	hl_lock_release(&arena->page_lock);
	hl_lock_release(&arena->grow_lock);
}

/* ---- when ---- */

/* drawn: with the picture, for which the caller must not hold GROW. */
static void sample(bool exact, bool drawn)
{
	struct hl_counts *c = hl_counts();
	uint64_t start = hl_os->now_ms(), start_us = hl_os->now_us();
	uint64_t top =
		atomic_load_explicit(&c->peak_bytes, memory_order_relaxed);
	struct hl_resident r;
	bool busy = false;

	if (!atomic_compare_exchange_strong_explicit(&sampling, &busy, true,
		    memory_order_acquire, memory_order_relaxed))
		return;
	list.count = 0;
	hl_space_visit(list_area, NULL);
	/* Of a vast sparse heap smaps only walks what is there. Under a ulimit
	 * there are more stretches than are listed. */
	exact |= hl_space_reserved_bytes() >= SMAPS_BYTES ||
		 list.count == AREAS_MAX;
	if (!exact || hl_backing_resident(&r) < 0)
		measure(&r);
	record(&r);
	atomic_store_explicit(
		&c->lazy_bytes, lazy_bytes(), memory_order_relaxed);
	if (drawn)
		draw_locked();
	atomic_store_explicit(&last_live,
		atomic_load_explicit(&c->live_bytes, memory_order_relaxed),
		memory_order_relaxed);
	atomic_store_explicit(&seen_peak, top, memory_order_relaxed);
	atomic_store_explicit(&last_ms, start, memory_order_relaxed);
	atomic_store_explicit(&last_cost_us, hl_os->now_us() - start_us,
		memory_order_relaxed);
	atomic_store_explicit(&sampling, false, memory_order_release);
}

void hl_heap_sample(bool exact)
{
	sample(exact, true);
}

/* 0 if another thread has sampled since this one looked at the clock. */
static uint64_t since_last(uint64_t now_ms)
{
	uint64_t last = atomic_load_explicit(&last_ms, memory_order_relaxed);

	return now_ms > last ? now_ms - last : 0;
}

/* How long after the last sample the next one may be. */
static uint64_t rest_ms(void)
{
	return COST_SHARE *
	       atomic_load_explicit(&last_cost_us, memory_order_relaxed) / 1000;
}

void hl_heap_sample_if_due(uint64_t now_ms)
{
	uint64_t live = atomic_load_explicit(
		&hl_counts()->live_bytes, memory_order_relaxed);
	uint64_t before =
		atomic_load_explicit(&last_live, memory_order_relaxed);
	uint64_t since = since_last(now_ms);

	if (live < FIRST_BYTES && before == 0)
		return;
	if (live <= before + before / GROWTH && since < IDLE_MS)
		return;
	if (since < rest_ms())
		return;
	hl_heap_sample(false);
}

/*
 * The heap was larger than any sample knows. Such a sample does not wait until
 * it is cheap: there is one per sixteenth of growth, seventeen times the cost
 * of the last of them in all.
 */
static bool is_unseen_peak(void)
{
	uint64_t top = atomic_load_explicit(
		&hl_counts()->peak_bytes, memory_order_relaxed);
	uint64_t seen = atomic_load_explicit(&seen_peak, memory_order_relaxed);

	return top >= FIRST_BYTES && top > seen + seen / GROWTH;
}

void hl_heap_sample_before_free(size_t bytes)
{
	uint64_t live = atomic_load_explicit(
		&hl_counts()->live_bytes, memory_order_relaxed);

	if (bytes >= live / GROWTH && is_unseen_peak())
		hl_heap_sample(false);
}

void hl_heap_sample_before_release(void)
{
	if (is_unseen_peak())
		sample(false, false);
}

/* The child counts its own peak; whoever sampled in the parent is not here. */
void hl_heap_stats_fork_child(void)
{
	atomic_store_explicit(&sampling, false, memory_order_relaxed);
	atomic_store_explicit(&last_live, 0, memory_order_relaxed);
	atomic_store_explicit(&peak_live, 0, memory_order_relaxed);
	atomic_store_explicit(&seen_peak, 0, memory_order_relaxed);
}

/* ---- statistics ---- */

void hl_heap_stats(struct hl_heap_stats *out)
{
	struct hl_counts *c = hl_counts();
	struct hl_arena *arena = &hl_arena_first;
	unsigned i;

	memset(out, 0, sizeof(*out));
	out->live_bytes = hl_report_get(&c->live_bytes);
	out->peak_bytes = hl_report_get(&c->peak_bytes);
	for (i = 0; i < HL_COUNT_SIZES; i++)
		out->hugetlb_bytes += hl_report_get(&c->hugetlb_bytes[i]);
	out->thp_bytes = hl_report_get(&c->thp_bytes);
	out->base_bytes = hl_report_get(&c->base_bytes);
	out->hpages_taken = hl_report_get(&c->hpages_taken);
	out->hpages_given = hl_report_get(&c->hpages_given);
	for (i = 0; i < HL_LIMIT_COUNT_; i++)
		out->fallbacks += hl_report_get(&c->fallbacks[i]);
	out->reserved_bytes = hl_space_reserved_bytes();
	hl_large_totals(&out->large_blocks, &out->large_bytes);
	out->committed_bytes = out->large_bytes;
	for (; arena != NULL; arena = hl_arena_next(arena)) {
		hl_lock_acquire(&arena->page_lock);
		out->committed_bytes += arena->backed_units * HL_UNIT_BYTES;
		out->cached_bytes += arena->cache.count * HL_UNIT_BYTES;
		hl_lock_release(&arena->page_lock);
	}
}
