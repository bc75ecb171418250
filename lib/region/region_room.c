/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Address space for regions. Thousands of them share a few areas, since an
 * area is found by walking all of them: small ones get the first free units of
 * an area that serves the same budget, large or specially aligned ones an area
 * of their own.
 *
 * An area that is shared starts with 64 MiB and each next one doubles, up to
 * 64 GiB; it is closed when nothing is left in it and another one is there.
 */
#include "region/region_internal.h"

#include "base/bitmap.h"
#include "base/list.h"

#include <errno.h>

#define FIRST_UNITS 32
#define MAX_UNITS   32768
#define OWN_UNITS   64 /* from here on: an area of its own */

struct hl_room {
	struct hl_list link;
	struct hl_area *area;
	struct hl_subpool *budget;
	size_t units, used;
	bool dedicated;
	uint64_t *taken; /* shared ones: a bit for each unit */
	size_t words;	 /* that `taken` has room for */
};

static struct hl_lock room_lock = HL_LOCK_INIT(HL_RANK_REGION);
static struct hl_list rooms = {&rooms, &rooms};
static struct hl_list spare = {&spare, &spare}; /* records */
static size_t next_units = FIRST_UNITS;

struct hl_area *hl_room_area(const struct hl_room *room)
{
	return room->area;
}

static struct hl_room *take_record(size_t words)
{
	struct hl_list *at;
	struct hl_room *room;

	hl_list_for_each (at, &spare) {
		room = hl_list_entry(at, struct hl_room, link);
		if (room->words >= words) {
			hl_list_remove(at);
			return room;
		}
	}
	room = hl_meta_alloc(sizeof(*room), 16);
	if (room == NULL || words == 0)
		return room;
	room->taken = hl_meta_alloc(words * sizeof(uint64_t), 8);
	if (room->taken == NULL) {
		hl_list_push_back(&spare, &room->link);
		return NULL;
	}
	room->words = words;
	return room;
}

static void give_record(struct hl_room *room)
{
	if (room->words > 0)
		hl_bitmap_clear(room->taken, 0, room->words * 64);
	hl_list_push_back(&spare, &room->link);
}

static int open_room(size_t units, size_t align, bool dedicated,
	struct hl_subpool *budget, struct hl_room **out)
{
	struct hl_room *room =
		take_record(dedicated ? 0 : HL_BITMAP_WORDS(units));
	int rc;

	if (room == NULL)
		return -ENOMEM;
	rc = hl_area_open(units, align * HL_UNIT_BYTES, dedicated, &room->area);
	if (rc < 0) {
		give_record(room);
		return rc;
	}
	room->budget = budget;
	room->units = units;
	room->used = 0;
	room->dedicated = dedicated;
	hl_list_push_front(&rooms, &room->link);
	*out = room;
	return 0;
}

/* A new area for small regions; the address space may be short. */
static int open_shared(
	size_t units, struct hl_subpool *budget, struct hl_room **out)
{
	size_t all = HL_MAX(next_units, units);
	int rc = open_room(all, 1, false, budget, out);

	if (rc == 0)
		next_units = HL_MIN(next_units * 2, MAX_UNITS);
	else if (all > units)
		rc = open_room(units, 1, false, budget, out);
	return rc;
}

static bool find_free(size_t units, struct hl_subpool *budget,
	struct hl_room **out, size_t *from)
{
	struct hl_list *at;

	hl_list_for_each (at, &rooms) {
		struct hl_room *room = hl_list_entry(at, struct hl_room, link);

		if (room->dedicated || room->budget != budget ||
			room->units - room->used < units)
			continue;
		*from = hl_bitmap_find_clear(
			room->taken, room->units, 0, units);
		if (*from != HL_BITMAP_NOT_FOUND) {
			*out = room;
			return true;
		}
	}
	return false;
}

static int take(size_t units, size_t align_units, struct hl_subpool *budget,
	struct hl_room **room, size_t *from)
{
	int rc = 0;

	*from = 0;
	if (units >= OWN_UNITS || align_units > 1)
		rc = open_room(units, align_units, true, budget, room);
	else if (!find_free(units, budget, room, from)) {
		*from = 0;
		rc = open_shared(units, budget, room);
	}
	if (rc < 0)
		return rc;
	if (!(*room)->dedicated)
		hl_bitmap_set((*room)->taken, *from, *from + units);
	(*room)->used += units;
	return 0;
}

int hl_room_take(size_t units, size_t align_units, struct hl_subpool *budget,
	struct hl_room **room, size_t *from)
{
	int rc;

	hl_lock_acquire(&room_lock);
	rc = take(units, align_units, budget, room, from);
	hl_lock_release(&room_lock);
	return rc;
}

static bool is_needed(const struct hl_room *room)
{
	struct hl_list *at;

	if (room->dedicated || room->budget != NULL)
		return false;
	hl_list_for_each (at, &rooms) {
		struct hl_room *other = hl_list_entry(at, struct hl_room, link);

		if (other != room && !other->dedicated && other->budget == NULL)
			return false;
	}
	return true;
}

void hl_room_give(struct hl_room *room, size_t from, size_t units)
{
	hl_lock_acquire(&room_lock);
	if (!room->dedicated)
		hl_bitmap_clear(room->taken, from, from + units);
	room->used -= units;
	if (room->used == 0 && !is_needed(room)) {
		hl_list_remove(&room->link);
		hl_area_close(room->area);
		give_record(room);
	}
	hl_lock_release(&room_lock);
}

void hl_room_fork_prepare(void)
{
	hl_lock_acquire_fork(&room_lock);
}

void hl_room_fork_parent(void)
{
	hl_lock_release_fork(&room_lock);
}

void hl_room_fork_child(void)
{
	hl_lock_reset(&room_lock);
}
