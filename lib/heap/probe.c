/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See probe.h. */
#include "heap/probe.h"

#include "backing/area.h"
#include "heap/arena.h"
#include "heap/large.h"

#define DENSE	    50u /* percent; huge pages cost at most twice as much */
#define FIRST_PROBE 2u
#define RANGE_MAX   HL_STRADDLE_MAX /* bytes looked at, of a sparse block */

static uint32_t get(_Atomic uint32_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

/* The count goes on meanwhile; a block more or less does not matter. */
static void set_next(struct hl_probe *p, uint32_t next)
{
	atomic_store_explicit(&p->next, next, memory_order_relaxed);
}

static uint32_t some_more(struct hl_probe *p)
{
	uint32_t made = get(&p->made);

	return made + made / 4 + 1;
}

bool hl_probe_count(struct hl_arena *arena, unsigned kind)
{
	struct hl_probe *p = &arena->probe[kind];
	uint32_t made =
		atomic_fetch_add_explicit(&p->made, 1, memory_order_relaxed) +
		1;

	return made >= HL_MAX(get(&p->next), FIRST_PROBE) && !arena->own &&
	       hl_supply_thp();
}

static bool is_base(const struct hl_area *area, uintptr_t addr)
{
	return hl_area_kind(area, (addr - hl_area_base(area)) >>
					  HL_UNIT_SHIFT) == HL_BACKING_BASE;
}

/* Another probe in the same unit may have made it huge. */
static bool is_exact(const struct hl_probe *p)
{
	const struct hl_area *area = hl_area_find((void *)p->from);
	uintptr_t at = p->from;

	while (at < p->to && is_base(area, at))
		at = hl_align_up(at + 1, HL_UNIT_BYTES);
	return at >= p->to;
}

/* Percent of it that is touched; 0: nothing. */
static unsigned touched(const struct hl_probe *p)
{
	size_t bytes = p->to - p->from;
	size_t resident = hl_resident_pages((void *)p->from, bytes) *
			  hl_base_page_bytes();

	if (resident == 0)
		return 0;
	return HL_MAX((unsigned)(resident * 100 / bytes), 1u);
}

/* Its units, which are shared. For a medium block alone none is joined. */
static void promote(const struct hl_probe *p)
{
	struct hl_area *area = hl_area_find((void *)p->from);
	uintptr_t base = hl_area_base(area);

	hl_area_promote(area, (p->from - base) >> HL_UNIT_SHIFT,
		((p->to - 1 - base) >> HL_UNIT_SHIFT) + 1,
		hl_large_usable(p->span) < HL_LARGE_MIN ? HL_UNIT_BYTES / 2
							: 1);
}

static void settle_dense(struct hl_probe *p, unsigned kind, unsigned percent)
{
	hl_learn_live(kind, percent);
	promote(p);
	p->span = NULL;
	set_next(p, get(&p->made) * 2);
}

static void look(struct hl_probe *p, unsigned kind)
{
	unsigned percent = touched(p);

	if (!is_exact(p)) {
		p->span = NULL;
		set_next(p, get(&p->made));
	} else if (percent >= DENSE) {
		settle_dense(p, kind, percent);
	} else if (percent > 0) {
		hl_learn_live(kind, percent);
		p->span = NULL;
		set_next(p, get(&p->made));
	} else {
		set_next(p, some_more(p));
	}
}

bool hl_probe_is_due(struct hl_arena *arena, unsigned kind)
{
	struct hl_probe *p = &arena->probe[kind];

	HL_REQUIRES(&arena->grow_lock);
	if (arena->own || !hl_supply_thp())
		return false;
	if (p->span != NULL && get(&p->made) >= get(&p->next))
		look(p, kind);
	if (p->span != NULL)
		return !p->has_head;
	return get(&p->made) >= HL_MAX(get(&p->next), FIRST_PROBE);
}

/* The first base pages of the block; false: none. */
static bool find_range(const struct hl_span *span, struct hl_probe *out)
{
	size_t page = hl_base_page_bytes();
	uintptr_t head = hl_align_up(span->start, page), at = head;
	uintptr_t end =
		hl_align_down(span->start + hl_large_usable(span), page);
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
	return true;
}

/* What was used before is resident whatever this block does. */
static bool can_be(const struct hl_span *span, struct hl_probe *out)
{
	return span->zero && find_range(span, out);
}

void hl_probe_begin(struct hl_span *span)
{
	struct hl_arena *arena = span->arena;
	struct hl_probe *p = &arena->probe[span->learn_kind];
	struct hl_probe found;

	if (!hl_probe_is_due(arena, span->learn_kind))
		return;
	if (!can_be(span, &found)) {
		/* Not all of the medium ones shall be tried. */
		if (p->span == NULL && hl_large_usable(span) < HL_LARGE_MIN)
			set_next(p, get(&p->made) * 2);
		return;
	}
	if (p->span != NULL && !found.has_head)
		return;
	p->from = found.from;
	p->to = found.to;
	p->has_head = found.has_head;
	p->span = span;
	set_next(p, hl_learn_is_sparse(span->learn_kind) ? some_more(p)
							 : get(&p->made) + 1);
}

void hl_probe_end(struct hl_span *span)
{
	struct hl_probe *p = &span->arena->probe[span->learn_kind];

	HL_REQUIRES(&span->arena->grow_lock);
	if (p->span != span)
		return;
	look(p, span->learn_kind);
	if (p->span != NULL && !hl_learn_is_sparse(span->learn_kind))
		promote(p);
	p->span = NULL;
}

void hl_probe_tick(struct hl_arena *arena)
{
	HL_REQUIRES(&arena->grow_lock);
	for (unsigned kind = 0; kind < HL_LEARN_KINDS; kind++) {
		struct hl_probe *p = &arena->probe[kind];

		if (p->span != NULL && is_exact(p) && touched(p) >= DENSE)
			look(p, kind);
	}
}
