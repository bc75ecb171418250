/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Empty units that still have their memory, kept warm for a while so that a
 * program that frees and allocates again does not pay the kernel each time.
 * Bounded by what was in demand lately: the cache keeps no more units than the
 * largest swing (most minus least in use) of the last two decay periods, and
 * never one longer than two periods unused. Most recently used first out,
 * oldest first released.
 *
 * Pure structure with the time passed in; guarded by the arena's page_lock.
 * Times of different threads may be a little out of order: it never runs
 * backwards.
 */
#ifndef HL_HEAP_HCACHE_H
#define HL_HEAP_HCACHE_H

#include "heap/unit.h"

struct hl_hcache {
	struct hl_list units; /* most recent first */
	size_t count;
	size_t in_use;	   /* units outside, as told by the calls below */
	size_t high, low;  /* of in_use, this period */
	size_t last_swing; /* high - low of the period before */
	uint64_t period_start_ms;
	uint32_t decay_ms; /* a period; 0: nothing is kept */
};

void hl_hcache_init(struct hl_hcache *c, uint32_t decay_ms, uint64_t now_ms);
/* A unit from the cache, in use from now on, or NULL. Its home is UNUSED. */
struct hl_unit *hl_hcache_get(struct hl_hcache *c, uint64_t now_ms);
/* n units that were taken from elsewhere are in use now. */
void hl_hcache_used(struct hl_hcache *c, size_t n, uint64_t now_ms);
/* An empty unit, backed, is not in use any more. Its home becomes CACHED. */
void hl_hcache_put(struct hl_hcache *c, struct hl_unit *unit, uint64_t now_ms);
/*
 * The next unit to release at this time, removed from the cache, or NULL.
 * all: release everything (malloc_trim).
 */
struct hl_unit *hl_hcache_expire(
	struct hl_hcache *c, uint64_t now_ms, bool all);
bool hl_hcache_is_valid(const struct hl_hcache *c);

#endif
