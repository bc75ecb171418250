/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See decay.h. A unit leaves the cache under PAGEHEAP and is released under
 * GROW with PAGEHEAP free; between the two it is on no list and nobody's but
 * ours.
 */
#include "heap/decay.h"

#include "base/opt.h"
#include "heap/arena.h"
#include "heap/large.h"
#include "heap/pageheap.h"
#include "heap/space.h"
#include "heap/stats.h"
#include "heap/straddle_home.h"
#include "system/os.h"

/* The cache keeps at most this, plus a share of what is in use. */
#define CACHE_UNITS ((size_t)16)
#define CACHE_SHARE ((size_t)32)

bool hl_decay_is_over(const struct hl_arena *arena)
{
	size_t floor = hl_arena_floor_units(arena);
	size_t limit = CACHE_UNITS + arena->cache.in_use / CACHE_SHARE;

	if (hl_space_is_confined())
		limit = 0;
	return arena->cache.count > HL_MAX(limit, floor);
}

/* The next unit to release, or NULL. PAGEHEAP is held. */
static struct hl_unit *next_unit(struct hl_arena *arena, bool all, uint64_t now)
{
	bool must = all || hl_decay_is_over(arena);

	if (!arena->started ||
		arena->backed_units <= hl_arena_floor_units(arena))
		return NULL;
	/* An overfull cache releases its oldest unit, due or not. */
	return hl_hcache_expire(&arena->cache, now, must);
}

/* A unit that has left the cache goes back to the kernel, or to its page. True
 * if memory was released. */
static bool release_unit(struct hl_arena *arena, struct hl_unit *unit)
{
	struct hl_stretch *stretch = hl_space_of(unit->area);
	size_t index = unit->index;
	bool any;

	HL_REQUIRES(&arena->grow_lock);
	hl_lock_acquire(&arena->page_lock);
	arena->backed_units--;
	hl_lock_release(&arena->page_lock);
	any = hl_space_release(stretch, index, 1);
	hl_space_give(stretch, index, 1);
	return any;
}

/* At most `most` units. Returns how many left the cache; *any: memory went
 * back. */
static size_t release_units(
	struct hl_arena *arena, bool all, uint64_t now, size_t most, bool *any)
{
	struct hl_unit *unit;
	size_t n;

	for (n = 0; n < most; n++) {
		hl_lock_acquire(&arena->page_lock);
		unit = next_unit(arena, all, now);
		hl_lock_release(&arena->page_lock);
		if (unit == NULL)
			break;
		if (n == 0)
			hl_heap_sample_before_release();
		*any |= release_unit(arena, unit);
	}
	return n;
}

uint64_t hl_decay_look(struct hl_arena *arena)
{
	uint64_t now = hl_os->now_ms();

	atomic_store_explicit(&arena->clock_ms, now, memory_order_relaxed);
	return now;
}

void hl_decay_make_way(struct hl_arena *arena, size_t units)
{
	uint64_t now = hl_decay_look(arena);
	bool any = false;

	HL_REQUIRES(&arena->grow_lock);
	units -= release_units(arena, true, now, units, &any);
	units -= hl_straddle_home_shed(&arena->lazy_straddle, units);
	hl_straddle_home_shed(&arena->pool_straddle, units);
}

bool hl_pageheap_decay(struct hl_arena *arena, bool all)
{
	uint64_t now = hl_decay_look(arena);
	bool any = false;

	if (all)
		hl_lock_acquire(&arena->grow_lock);
	else if (!hl_lock_try(&arena->grow_lock))
		return false;
	(void)release_units(arena, all, now, SIZE_MAX, &any);
	any |= hl_large_decay(arena, now, all);
	hl_space_look_at_limits();
	if (arena->own)
		hl_space_trim(&arena->space);
	atomic_store_explicit(&arena->next_decay_ms,
		now + hl_opt.decay_ms / 2 + 1, memory_order_relaxed);
	hl_lock_release(&arena->grow_lock);
	return any;
}

bool hl_pageheap_tick(struct hl_arena *arena)
{
	uint64_t now = hl_decay_look(arena);

	hl_heal_settle();
	hl_heap_sample_if_due(now);
	hl_collapse_tick(now);
	if (now < atomic_load_explicit(
			  &arena->next_decay_ms, memory_order_relaxed))
		return false;
	hl_pageheap_decay(arena, false);
	return true;
}
