/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cache of empty units. Called by the page heap with the arena's page_lock
 * held; what expire returns is released by the caller outside of it.
 *
 * Invariants: low <= in_use <= high; the list is ordered by cached_ms, newest
 * first; period_start_ms never decreases.
 *
 * Why the swing: a program that keeps its memory steady frees what it will not
 * ask for again; one that swings between 10 and 50 units will ask for 40 again.
 * The swing of the period before is kept because a phase may end right after a
 * period began.
 */
#include "heap/hcache.h"

/* Begins a new period if the one that runs is over. */
static void roll(struct hl_hcache *c, uint64_t now_ms)
{
	uint64_t passed;

	if (now_ms < c->period_start_ms)
		return;
	passed = now_ms - c->period_start_ms;
	if (passed < c->decay_ms)
		return;
	/* Between the end of that period and now nothing happened. */
	c->last_swing = passed / 2 < c->decay_ms ? c->high - c->low : 0;
	c->high = c->in_use;
	c->low = c->in_use;
	c->period_start_ms =
		c->decay_ms == 0 ? now_ms : now_ms - passed % c->decay_ms;
}

static size_t limit(const struct hl_hcache *c)
{
	return c->decay_ms == 0 ? 0 : HL_MAX(c->high - c->low, c->last_swing);
}

static void detach(struct hl_hcache *c, struct hl_unit *unit)
{
	HL_ASSERT(unit->home == HL_UNIT_CACHED);
	hl_list_remove(&unit->link);
	unit->home = HL_UNIT_UNUSED;
	c->count--;
}

void hl_hcache_init(struct hl_hcache *c, uint32_t decay_ms, uint64_t now_ms)
{
	*c = (struct hl_hcache){
		.period_start_ms = now_ms,
		.decay_ms = decay_ms,
	};
	hl_list_init(&c->units);
}

struct hl_unit *hl_hcache_get(struct hl_hcache *c, uint64_t now_ms)
{
	struct hl_list *first = hl_list_first(&c->units);
	struct hl_unit *unit;

	if (first == NULL)
		return NULL;
	unit = hl_list_entry(first, struct hl_unit, link);
	detach(c, unit);
	hl_hcache_used(c, 1, now_ms);
	return unit;
}

void hl_hcache_used(struct hl_hcache *c, size_t n, uint64_t now_ms)
{
	roll(c, now_ms);
	c->in_use += n;
	c->high = HL_MAX(c->high, c->in_use);
	HL_VALID3(hl_hcache_is_valid(c));
}

void hl_hcache_put(struct hl_hcache *c, struct hl_unit *unit, uint64_t now_ms)
{
	struct hl_list *first = hl_list_first(&c->units);

	HL_ASSERT(!hl_list_is_linked(&unit->link) && unit->used_slots == 0);
	roll(c, now_ms);
	HL_ASSERT(c->in_use > 0);
	c->in_use--;
	c->low = HL_MIN(c->low, c->in_use);
	unit->home = HL_UNIT_CACHED;
	unit->cached_ms = now_ms;
	if (first != NULL) {
		uint64_t newest =
			hl_list_entry(first, struct hl_unit, link)->cached_ms;

		unit->cached_ms = HL_MAX(now_ms, newest);
	}
	hl_list_push_front(&c->units, &unit->link);
	c->count++;
	HL_VALID3(hl_hcache_is_valid(c));
}

struct hl_unit *hl_hcache_expire(struct hl_hcache *c, uint64_t now_ms, bool all)
{
	struct hl_unit *oldest;

	if (c->count == 0)
		return NULL;
	roll(c, now_ms);
	oldest = hl_list_entry(c->units.prev, struct hl_unit, link);
	if (!all && c->count <= limit(c) &&
		now_ms < oldest->cached_ms + 2 * (uint64_t)c->decay_ms)
		return NULL;
	detach(c, oldest);
	HL_VALID3(hl_hcache_is_valid(c));
	return oldest;
}

bool hl_hcache_is_valid(const struct hl_hcache *c)
{
	const struct hl_list *pos;
	uint64_t newer_ms = UINT64_MAX;
	size_t count = 0;

	hl_list_for_each (pos, &c->units) {
		const struct hl_unit *unit =
			hl_list_entry(pos, struct hl_unit, link);

		if (pos->next->prev != pos || unit->home != HL_UNIT_CACHED ||
			unit->used_slots != 0 || unit->cached_ms > newer_ms)
			return false;
		newer_ms = unit->cached_ms;
		count++;
	}
	return count == c->count && c->low <= c->in_use && c->in_use <= c->high;
}
