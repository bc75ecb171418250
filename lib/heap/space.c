/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See space.h. All state is guarded by space_lock (rank AREA), which is never
 * held across a system call: areas are opened before, closed after.
 */
#include "heap/space.h"

#include "base/bitmap.h"
#include "base/lock.h"
#include "base/meta.h"
#include "heap/pagemap.h"
#include "heap/wished.h"
#include "system/sys.h"

#include <errno.h>
#include <sys/resource.h>

#define SHORT_UNITS	((size_t)1)
#define SHORT_SHARE	((size_t)1024)
#define FIRST_UNITS	((size_t)32)	  /* 64 MiB */
#define DOUBLE_UP_TO	((size_t)1 << 15) /* 64 GiB */
#define DEDICATED_UNITS ((size_t)1 << 9)  /* blocks of 1 GiB and more */

static struct hl_lock space_lock = HL_LOCK_INIT(HL_RANK_AREA);
/* All below: guarded by space_lock. */
static struct hl_list stretches = {&stretches, &stretches};
static struct hl_pool_of stretch_pool = {
	.bytes = sizeof(struct hl_stretch),
	.align = 16,
};
static size_t reserved_units;
struct hl_space hl_space_shared;

/* As of the last look at the limits. */
static _Atomic bool short_of_space, confined;

static size_t find(struct hl_stretch *s, size_t n, size_t align)
{
	size_t at = 0, aligned;
	size_t first = s->base >> HL_UNIT_SHIFT;

	if (s->free_units < n || s->dedicated)
		return HL_BITMAP_NOT_FOUND;
	for (;;) {
		at = hl_bitmap_find_clear(s->taken, s->units, at, n);
		if (at == HL_BITMAP_NOT_FOUND)
			return at;
		aligned = hl_align_up(first + at, align) - first;
		if (aligned == at)
			return at;
		if (aligned + n > s->units)
			return HL_BITMAP_NOT_FOUND;
		if (hl_bitmap_all_clear(s->taken, aligned, aligned + n))
			return aligned;
		at = aligned;
	}
}

static size_t grain_of(const struct hl_space *space)
{
	return HL_MAX(space->grain, (size_t)1);
}

static bool take_existing(struct hl_space *space, size_t n, size_t align,
	struct hl_stretch **stretch, size_t *first)
{
	struct hl_list *pos;
	bool found = false;

	hl_lock_acquire(&space_lock);
	/* Oldest first, so that younger stretches can empty. */
	for (pos = stretches.prev; pos != &stretches; pos = pos->prev) {
		struct hl_stretch *s =
			hl_list_entry(pos, struct hl_stretch, link);
		size_t at;

		if (s->space != space)
			continue;
		at = find(s, n, align);
		if (at == HL_BITMAP_NOT_FOUND)
			continue;
		hl_bitmap_set(s->taken, at, at + n);
		s->free_units -= n;
		*stretch = s;
		*first = at;
		found = true;
		break;
	}
	hl_lock_release(&space_lock);
	return found;
}

/* Bytes of the tables of a stretch. */
static size_t table_bytes(const struct hl_stretch *s)
{
	size_t units = s->table_units, grain = grain_of(s->space);
	size_t words = HL_BITMAP_WORDS(units);
	size_t bytes =
		units * sizeof(struct hl_unit) + words * sizeof(uint64_t);

	if (grain > 1)
		bytes += words * sizeof(uint64_t) +
			 units / grain * sizeof(struct hl_grain);
	else
		bytes += units * sizeof(bool);
	return bytes;
}

static bool is_short(void)
{
	return atomic_load_explicit(&short_of_space, memory_order_relaxed);
}

static bool add_tables(struct hl_stretch *s)
{
	size_t words = HL_BITMAP_WORDS(s->units), bytes = table_bytes(s);
	char *at;

	/* Small tables that stay come from the bump allocator: a page less to
	 * touch. */
	s->tables_stay =
		s->units <= FIRST_UNITS && !s->space->own && !is_short();
	at = s->tables_stay ? hl_meta_alloc(bytes, 64) : hl_meta_map(bytes);
	if (at == NULL)
		return false;
	s->record = (struct hl_unit *)at;
	s->taken = (uint64_t *)(s->record + s->units);
	if (grain_of(s->space) > 1) {
		s->dirty = s->taken + words;
		s->grain = (struct hl_grain *)(s->dirty + words);
	} else {
		s->wished = (bool *)(s->taken + words);
	}
	return true;
}

/* Everything that a stretch needs beside its area, or NULL. */
static struct hl_stretch *make_records(
	struct hl_space *space, size_t units, bool dedicated)
{
	struct hl_stretch *s;

	hl_lock_acquire(&space_lock);
	s = hl_pool_of_take(&stretch_pool);
	hl_lock_release(&space_lock);
	if (s == NULL)
		return NULL;
	s->space = space;
	s->units = s->table_units = units;
	s->dedicated = dedicated;
	s->free_units = units;
	if (dedicated || add_tables(s))
		return s;
	hl_lock_acquire(&space_lock);
	hl_pool_of_give(&stretch_pool, s);
	hl_lock_release(&space_lock);
	return NULL;
}

static int open_stretch(struct hl_space *space, size_t units, size_t align,
	bool dedicated, struct hl_stretch **out)
{
	struct hl_area *area;
	struct hl_stretch *s;
	int rc;

	rc = hl_area_open(units, align * HL_UNIT_BYTES, dedicated, &area);
	if (rc < 0)
		return rc;
	units = hl_align_down(hl_area_units(area), grain_of(space));
	rc = hl_pagemap_prepare(hl_area_base(area), units * HL_UNIT_BYTES);
	if (rc < 0)
		goto close_area;
	rc = -ENOMEM;
	s = make_records(space, units, dedicated);
	if (s == NULL)
		goto close_area;
	s->area = area;
	s->base = hl_area_base(area);
	hl_lock_acquire(&space_lock);
	hl_list_push_front(&stretches, &s->link);
	reserved_units += units;
	hl_lock_release(&space_lock);
	*out = s;
	return 0;

close_area:
	hl_area_close(area);
	return rc;
}

static void unlink_stretch(struct hl_stretch *s)
{
	HL_REQUIRES(&space_lock);
	hl_list_remove(&s->link);
	reserved_units -= s->units;
	/* Under the lock, which whoever has the memory of the tables next takes
	 * as well. */
	hl_wished_end(s);
}

/* A stretch that is off the list. */
static void close_stretch(struct hl_stretch *s)
{
	if (!s->dedicated && !s->tables_stay)
		hl_meta_unmap(s->record, table_bytes(s));
	hl_area_close(s->area);
	hl_lock_acquire(&space_lock);
	hl_pool_of_give(&stretch_pool, s);
	hl_lock_release(&space_lock);
}

static bool is_limited(int resource)
{
	return hl_rlimit(resource) != UINT64_MAX;
}

/*
 * The free end of a stretch is about to go back. Until finish_cut() it is
 * taken, so that the rest can be used and given meanwhile, but the stretch not
 * closed, nor cut by another thread. False: there is none.
 */
static bool begin_cut(struct hl_stretch *s, size_t *keep)
{
	size_t used;

	HL_REQUIRES(&space_lock);
	if (s->free_units == 0)
		return false;
	if (s->dedicated) {
		*keep = s->units - s->free_units;
		s->free_units = 0;
		return true;
	}
	used = hl_bitmap_clear_before(s->taken, s->units);
	used = hl_align_up(used, grain_of(s->space));
	if (used == s->units)
		return false;
	hl_bitmap_set(s->taken, used, s->units);
	s->free_units -= s->units - used;
	*keep = used;
	return true;
}

static void finish_cut(struct hl_stretch *s, size_t keep)
{
	bool close;

	if (keep > 0)
		hl_area_trim(s->area, keep);
	hl_lock_acquire(&space_lock);
	if (!s->dedicated)
		hl_bitmap_clear(s->taken, keep, s->units);
	reserved_units -= s->units - keep;
	s->units = keep;
	/* What was left may have been given meanwhile. */
	close = s->free_units == s->units;
	if (close)
		unlink_stretch(s);
	hl_lock_release(&space_lock);
	if (close)
		close_stretch(s);
}

/* The next stretch to be cut: of the space, or if NULL of all that cannot end
 * meanwhile. */
static struct hl_stretch *cut_next(const struct hl_space *space, size_t *keep)
{
	struct hl_list *pos;

	HL_REQUIRES(&space_lock);
	hl_list_for_each (pos, &stretches) {
		struct hl_stretch *s =
			hl_list_entry(pos, struct hl_stretch, link);

		if (s->dedicated ||
			(space == NULL ? s->space->own : s->space != space))
			continue;
		if (begin_cut(s, keep))
			return s;
	}
	return NULL;
}

/* Address space that was set aside before there was a limit on it. */
static void cut_stretches(const struct hl_space *space)
{
	struct hl_stretch *s;
	size_t keep;

	for (;;) {
		hl_lock_acquire(&space_lock);
		s = cut_next(space, &keep);
		hl_lock_release(&space_lock);
		if (s == NULL)
			return;
		finish_cut(s, keep);
	}
}

void hl_space_trim(const struct hl_space *space)
{
	if (is_short())
		cut_stretches(space);
}

void hl_space_look_at_limits(void)
{
	bool space = is_limited(RLIMIT_AS), was;

	was = atomic_exchange_explicit(
		&short_of_space, space, memory_order_relaxed);
	atomic_store_explicit(&confined, space || is_limited(RLIMIT_DATA),
		memory_order_relaxed);
	if (space && !was)
		cut_stretches(NULL);
}

bool hl_space_is_confined(void)
{
	return atomic_load_explicit(&confined, memory_order_relaxed);
}

uint64_t hl_space_room(void)
{
	uint64_t space = hl_rlimit_room(RLIMIT_AS);
	uint64_t data = hl_rlimit_room(RLIMIT_DATA);

	return HL_MIN(space, data);
}

/*
 * What we set aside under a limit on address space, the program could not use
 * for its threads and files. In proportion, so that stretches stay few.
 */
static size_t short_units(void)
{
	size_t n;

	hl_lock_acquire(&space_lock);
	n = reserved_units / SHORT_SHARE;
	hl_lock_release(&space_lock);
	return HL_MIN(HL_MAX(n, SHORT_UNITS), FIRST_UNITS);
}

/* A new stretch of the growing kind, with room for n units. */
static int grow(struct hl_space *space, size_t n, size_t align)
{
	size_t grain = grain_of(space);
	size_t least = hl_align_up(n, grain);
	/* For one block of vast alignment: nothing is set aside beside it. */
	bool alone = align > FIRST_UNITS;
	struct hl_stretch *s;
	size_t units;
	int rc;

	hl_space_look_at_limits();
	units = is_short() ? short_units()
			   : HL_MAX(space->next_units, FIRST_UNITS);
	units = alone ? least : hl_align_up(HL_MAX(least, units), grain);

	for (;;) {
		/* Its beginning is aligned, so that it is no longer than what
		 * it is for. */
		rc = open_stretch(
			space, units, HL_MAX(grain, align), false, &s);
		if (rc == 0 || units == least)
			break;
		units = HL_MAX(least, hl_align_down(units / 2, grain));
	}
	if (rc == 0 && !alone)
		space->next_units =
			HL_MIN(HL_MAX(units, FIRST_UNITS) * 2, DOUBLE_UP_TO);
	return rc;
}

int hl_space_take(struct hl_space *space, size_t n, size_t align_units,
	struct hl_stretch **stretch, size_t *first)
{
	int rc;

	HL_ASSERT(n > 0 && hl_is_pow2(align_units));
	if (n > SIZE_MAX / HL_UNIT_BYTES / 4)
		return -ENOMEM;
	if (n >= DEDICATED_UNITS && grain_of(space) == 1) {
		struct hl_stretch *s;

		rc = open_stretch(space, n, align_units, true, &s);
		if (rc < 0)
			return rc;
		s->free_units = s->units - n;
		*stretch = s;
		*first = 0;
		return 0;
	}
	while (!take_existing(space, n, align_units, stretch, first)) {
		rc = grow(space, n, align_units);
		if (rc < 0)
			return rc;
	}
	return 0;
}

bool hl_space_take_at(struct hl_stretch *s, size_t first, size_t n)
{
	bool ok;

	hl_lock_acquire(&space_lock);
	ok = !s->dedicated && first + n <= s->units &&
	     hl_bitmap_all_clear(s->taken, first, first + n);
	if (ok) {
		hl_bitmap_set(s->taken, first, first + n);
		s->free_units -= n;
	}
	hl_lock_release(&space_lock);
	return ok;
}

void hl_space_give(struct hl_stretch *s, size_t first, size_t n)
{
	bool close, cut = false;
	size_t keep = 0;

	hl_lock_acquire(&space_lock);
	HL_ASSERT(n > 0 && first + n <= s->units);
	/* A dedicated stretch may be given back in parts, from its end. */
	if (!s->dedicated) {
		HL_ASSERT(hl_bitmap_all_set(s->taken, first, first + n));
		hl_bitmap_clear(s->taken, first, first + n);
	}
	s->free_units += n;
	HL_ASSERT(s->free_units <= s->units);
	close = s->free_units == s->units && (s->dedicated || is_short());
	if (close)
		unlink_stretch(s);
	else if (s->dedicated || is_short())
		cut = begin_cut(s, &keep);
	hl_lock_release(&space_lock);
	if (close)
		close_stretch(s);
	else if (cut)
		finish_cut(s, keep);
}

/* A stretch of the space, off the list, or NULL. */
static struct hl_stretch *take_stretch(const struct hl_space *space)
{
	struct hl_stretch *found = NULL;
	struct hl_list *pos;

	hl_lock_acquire(&space_lock);
	hl_list_for_each (pos, &stretches) {
		struct hl_stretch *s =
			hl_list_entry(pos, struct hl_stretch, link);

		if (s->space != space)
			continue;
		unlink_stretch(s);
		found = s;
		break;
	}
	hl_lock_release(&space_lock);
	return found;
}

void hl_space_close(struct hl_space *space)
{
	struct hl_stretch *s;

	HL_ASSERT(space->own);
	while ((s = take_stretch(space)) != NULL) {
		hl_area_release(s->area, 0, s->units);
		close_stretch(s);
	}
	space->next_units = 0;
}

struct hl_stretch *hl_space_of(const struct hl_area *area)
{
	struct hl_list *pos;
	struct hl_stretch *found = NULL;

	hl_lock_acquire(&space_lock);
	hl_list_for_each (pos, &stretches) {
		struct hl_stretch *s =
			hl_list_entry(pos, struct hl_stretch, link);

		if (s->area == area) {
			found = s;
			break;
		}
	}
	hl_lock_release(&space_lock);
	HL_ASSERT(found != NULL);
	return found;
}

size_t hl_space_reserved_bytes(void)
{
	size_t n;

	hl_lock_acquire(&space_lock);
	n = reserved_units * HL_UNIT_BYTES;
	hl_lock_release(&space_lock);
	return n;
}

int hl_space_visit(
	int (*visit)(struct hl_stretch *stretch, void *arg), void *arg)
{
	struct hl_list *pos;
	int rc = 0;

	hl_lock_acquire(&space_lock);
	hl_list_for_each (pos, &stretches) {
		rc = visit(hl_list_entry(pos, struct hl_stretch, link), arg);
		if (rc != 0)
			break;
	}
	hl_lock_release(&space_lock);
	return rc;
}

void hl_space_fork_prepare(void)
{
	hl_lock_acquire_fork(&space_lock);
}

void hl_space_fork_parent(void)
{
	hl_lock_release_fork(&space_lock);
}

void hl_space_fork_child(void)
{
	hl_lock_reset(&space_lock);
}
