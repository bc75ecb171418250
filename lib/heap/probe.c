/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See probe.h. */
#include "heap/probe.h"

#include "backing/area.h"
#include "heap/arena.h"
#include "heap/large.h"
#include "system/os.h"

#define RANGE_MAX   HL_STRADDLE_MAX /* bytes looked at, of a sparse block */
#define SETTLED_MS  100u	    /* who fills a block has gone on by then */
#define TOLD_MIN    3u		    /* blocks, until their average counts */
#define THP_OFF_FOR 64u		    /* blocks, until it is asked for again */

static uint32_t get(_Atomic uint32_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

/* The count goes on meanwhile; a block more or less does not matter. */
static void set_next(struct hl_probe *p, uint64_t next)
{
	atomic_store_explicit(&p->next, (uint32_t)HL_MIN(next, UINT32_MAX),
		memory_order_relaxed);
}

static void look_again(struct hl_probe *p)
{
	uint64_t made = get(&p->made);

	set_next(p, made + made / 8 + 1);
}

/*
 * Of several units, of which one is not much: a huge page for what is touched
 * first is what the program may expect. Two buffers, of two threads say, are on
 * huge pages; and that a third is hardly touched has to be settled.
 */
static bool is_vast(unsigned kind)
{
	return kind > hl_learn_kind(HL_UNIT_BYTES);
}

static uint32_t first_probe(unsigned kind)
{
	return is_vast(kind) ? 3 : 2;
}

bool hl_probe_count(struct hl_arena *arena, unsigned kind)
{
	struct hl_probe *p = &arena->probe[kind];
	uint32_t made = get(&p->made);

	if (arena->own || made == UINT32_MAX)
		return false;
	made = atomic_fetch_add_explicit(&p->made, 1, memory_order_relaxed) + 1;
	return made >= HL_MAX(get(&p->next), first_probe(kind));
}

static bool is_base(const struct hl_area *area, uintptr_t addr)
{
	return hl_area_is_base(
		area, (addr - hl_area_base(area)) >> HL_UNIT_SHIFT);
}

/* Units are shared: another block may have made one huge. */
static bool is_all_base(const struct hl_probe *p)
{
	const struct hl_area *area = hl_area_find((void *)p->from);
	uintptr_t at = p->from;

	while (at < p->to && is_base(area, at))
		at = hl_align_up(at + 1, HL_UNIT_BYTES);
	return at >= p->to;
}

/* What was swapped out counts as untouched. */
static size_t touched(const struct hl_probe *p)
{
	return hl_resident_pages((void *)p->from, p->to - p->from) *
	       hl_base_page_bytes();
}

/*
 * A medium block alone is not worth a huge page. What else was made on base
 * pages meanwhile is being filled as well.
 */
static void promote(const struct hl_probe *p)
{
	struct hl_area *area = hl_area_find((void *)p->from);
	uintptr_t base = hl_area_base(area);

	hl_area_promote(area, (p->from - base) >> HL_UNIT_SHIFT,
		((p->to - 1 - base) >> HL_UNIT_SHIFT) + 1,
		hl_large_usable(p->span) < HL_LARGE_MIN ? HL_UNIT_BYTES / 2
							: 1);
	hl_collapse_hurry();
}

static void drop(struct hl_probe *p, uint64_t next)
{
	p->span = NULL;
	p->last = NULL;
	set_next(p, next);
}

/* The newest blocks are, on average: one of a few may be full by chance. */
static bool are_last_dense(struct hl_probe *p)
{
	const struct hl_probe last = {
		.span = p->last, .from = p->last_from, .to = p->last_to};
	size_t bytes;

	if (p->last == NULL || !is_all_base(&last))
		return false;
	bytes = touched(&last);
	if (bytes == 0)
		return false;
	p->last = NULL;
	p->percents += (uint32_t)(bytes * 100 / (last.to - last.from));
	if (++p->told < TOLD_MIN || p->percents < HL_LEARN_DENSE * p->told)
		return false;
	promote(&last);
	return true;
}

/* It has some pages, but few. */
static void look_at_few(struct hl_probe *p, unsigned kind, size_t bytes)
{
	uint64_t now = hl_os->now_ms();

	if (are_last_dense(p)) {
		hl_learn_live(kind, 100);
		drop(p, (uint64_t)get(&p->made) * 2);
		return;
	}
	if (bytes != p->touched) {
		p->touched = bytes;
		p->since_ms = now;
	} else if (now - p->since_ms >= SETTLED_MS) {
		hl_learn_live(
			kind, (unsigned)(bytes * 100 / (p->to - p->from)));
		drop(p, get(&p->made));
		return;
	}
	/* At every block: it will not be long. */
	set_next(p, get(&p->made));
}

static void look(struct hl_probe *p, unsigned kind)
{
	size_t bytes = touched(p);
	unsigned percent = (unsigned)(bytes * 100 / (p->to - p->from));

	if (!is_all_base(p)) {
		drop(p, get(&p->made));
	} else if (percent >= HL_LEARN_DENSE) {
		hl_learn_live(kind, percent);
		promote(p);
		drop(p, (uint64_t)get(&p->made) * 2);
	} else if (bytes > 0) {
		look_at_few(p, kind, bytes);
	} else {
		look_again(p);
	}
}

enum hl_learn_backing hl_probe_wants(struct hl_arena *arena, unsigned kind)
{
	struct hl_probe *p = &arena->probe[kind];

	HL_REQUIRES(&arena->grow_lock);
	if (arena->own || !hl_learn_may_be_lazy(kind))
		return HL_LEARN_LAZY;
	if (!hl_supply_thp()) {
		set_next(p, (uint64_t)get(&p->made) + THP_OFF_FOR);
		return HL_LEARN_LAZY;
	}
	if (p->span != NULL && get(&p->made) >= get(&p->next))
		look(p, kind);
	if (p->span != NULL && p->has_head)
		return p->touched > 0 && !is_vast(kind) ? HL_LEARN_WARY
							: HL_LEARN_LAZY;
	if (p->span != NULL ||
		get(&p->made) >= HL_MAX(get(&p->next), first_probe(kind)))
		return HL_LEARN_PROBE;
	return HL_LEARN_LAZY;
}

/*
 * The first base pages of the block; false: none, or so few that they say
 * nothing of it. Programs fill from the front: the last 70 KiB of a unit are
 * full of a block of 2 MiB that is hardly touched.
 */
static bool find_range(
	const struct hl_span *span, size_t bytes, struct hl_probe *out)
{
	size_t page = hl_base_page_bytes();
	uintptr_t head = hl_align_up(span->start, page), at = head;
	uintptr_t end = hl_align_down(span->start + bytes, page);
	const struct hl_area *area = hl_area_find((void *)span->start);

	while (at < end && !is_base(area, at))
		at = hl_align_up(at + 1, HL_UNIT_BYTES);
	if (at >= end)
		return false;
	out->has_head = at == head;
	out->from = at;
	end = HL_MIN(end, at + RANGE_MAX);
	while (at < end && is_base(area, at))
		at = hl_align_up(at + 1, HL_UNIT_BYTES);
	out->to = HL_MIN(at, end);
	return out->to - out->from >= HL_MIN(bytes, HL_UNIT_BYTES) / 2;
}

/* What was used before is resident whatever this block does. */
static bool can_be(
	const struct hl_span *span, size_t bytes, struct hl_probe *out)
{
	return span->zero && find_range(span, bytes, out);
}

void hl_probe_begin(struct hl_span *span, size_t bytes)
{
	struct hl_probe *p = &span->arena->probe[span->learn_kind];
	enum hl_learn_backing wants =
		hl_probe_wants(span->arena, span->learn_kind);
	struct hl_probe found;

	if (wants == HL_LEARN_WARY && can_be(span, bytes, &found)) {
		p->last = span;
		p->last_from = found.from;
		p->last_to = found.to;
	}
	if (wants != HL_LEARN_PROBE)
		return;
	if (!can_be(span, bytes, &found)) {
		/* Not all of the medium ones shall be tried. */
		if (p->span == NULL && bytes < HL_LARGE_MIN)
			set_next(p, (uint64_t)get(&p->made) * 2);
		return;
	}
	if (p->span != NULL && !found.has_head)
		return;
	p->from = found.from;
	p->to = found.to;
	p->has_head = found.has_head;
	p->touched = 0;
	p->told = p->percents = 0;
	p->span = span;
	if (hl_learn_is_sparse(span->learn_kind))
		look_again(p);
	else
		set_next(p, (uint64_t)get(&p->made) + 1);
}

void hl_probe_end(struct hl_span *span)
{
	struct hl_probe *p = &span->arena->probe[span->learn_kind];

	HL_REQUIRES(&span->arena->grow_lock);
	if (p->last == span)
		p->last = NULL;
	if (p->span != span)
		return;
	look(p, span->learn_kind);
	p->span = NULL;
	p->last = NULL;
}
