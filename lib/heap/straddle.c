/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks packed across unit borders. Called by heap/straddle_home.c with the
 * arena's GROW lock held.
 *
 * Invariants: a tract is in bucket[longest], longest is exact; unit_used[] sums
 * up to used_slots. A hole is surrounded by used slots or the tract's ends, so
 * every unit between the first and the last that a run in it touches is
 * unused: what comes into use, or falls out of it, is always one range of
 * units.
 *
 * A run goes to one end of a hole: there it can share a unit with its
 * neighbour. The first criterion is memory now (units that come into use), the
 * second is memory later (small holes first).
 */
#include "heap/straddle.h"

#include "base/bitmap.h"

#include <string.h>

struct place {
	uint32_t slot;
	uint32_t hole;	/* its length */
	uint32_t units; /* that come into use */
};

static inline size_t slots_of(const struct hl_tract *tract)
{
	return (size_t)tract->units * HL_UNIT_SLOTS;
}

/* The units among those of [slot, slot + n) that nothing is in. */
static void unused_units(const struct hl_tract *tract, uint32_t slot,
	uint32_t n, uint32_t *from, uint32_t *to)
{
	*from = slot / (uint32_t)HL_UNIT_SLOTS;
	*to = (slot + n - 1) / (uint32_t)HL_UNIT_SLOTS + 1;
	if (tract->unit_used[*from] != 0)
		++*from;
	if (*from < *to && tract->unit_used[*to - 1] != 0)
		--*to;
}

static void link_tract(struct hl_straddle *s, struct hl_tract *tract)
{
	struct hl_tract **first = &s->bucket[tract->longest];

	if (hl_bitmap_test(s->longest, tract->longest)) {
		hl_list_push_back(&(*first)->link, &tract->link);
	} else {
		hl_list_init(&tract->link);
		hl_bitmap_set(s->longest, tract->longest, tract->longest + 1);
	}
	*first = tract;
}

static void unlink_tract(struct hl_straddle *s, struct hl_tract *tract)
{
	struct hl_tract **first = &s->bucket[tract->longest];

	if (hl_list_is_empty(&tract->link)) {
		hl_bitmap_clear(s->longest, tract->longest, tract->longest + 1);
	} else if (*first == tract) {
		*first = hl_list_entry(tract->link.next, struct hl_tract, link);
	}
	hl_list_remove(&tract->link);
}

static void set_longest(
	struct hl_straddle *s, struct hl_tract *tract, size_t longest)
{
	if (longest == tract->longest)
		return;
	unlink_tract(s, tract);
	tract->longest = (uint32_t)longest;
	link_tract(s, tract);
}

/* Counts [slot, slot + n) per unit, up or down. */
static void count_units(
	struct hl_tract *tract, uint32_t slot, uint32_t n, bool up)
{
	uint32_t unit, part;

	for (; n > 0; slot += part, n -= part) {
		unit = slot / (uint32_t)HL_UNIT_SLOTS;
		part = (unit + 1) * (uint32_t)HL_UNIT_SLOTS - slot;
		part = HL_MIN(part, n);
		tract->unit_used[unit] =
			(uint16_t)(up ? tract->unit_used[unit] + part
				      : tract->unit_used[unit] - part);
	}
}

static void mark(struct hl_straddle *s, struct hl_tract *tract, uint32_t slot,
	uint32_t n)
{
	HL_ASSERT(n >= 1 && slot + n <= slots_of(tract));
	HL_ASSERT(hl_bitmap_all_clear(tract->used, slot, slot + n));
	hl_bitmap_set(tract->used, slot, slot + n);
	count_units(tract, slot, n, true);
	tract->used_slots += n;
	s->used_slots += n;
}

static void unmark(struct hl_straddle *s, struct hl_tract *tract, uint32_t slot,
	uint32_t n)
{
	size_t hole;

	HL_ASSERT(n >= 1 && slot + n <= slots_of(tract));
	HL_ASSERT(hl_bitmap_all_set(tract->used, slot, slot + n));
	hl_bitmap_clear(tract->used, slot, slot + n);
	count_units(tract, slot, n, false);
	tract->used_slots -= n;
	s->used_slots -= n;
	hole = hl_bitmap_next_set(tract->used, slots_of(tract), slot + n) -
	       hl_bitmap_clear_before(tract->used, slot);
	if (hole > tract->longest)
		set_longest(s, tract, hole);
}

/* The better of the two ends of a hole. */
static struct place end_of_hole(
	const struct hl_tract *tract, uint32_t from, uint32_t len, uint32_t n)
{
	struct place low = {.slot = from, .hole = len};
	struct place high = {.slot = from + len - n, .hole = len};
	uint32_t first, end;

	unused_units(tract, low.slot, n, &first, &end);
	low.units = end - first;
	unused_units(tract, high.slot, n, &first, &end);
	high.units = end - first;
	return high.units < low.units ? high : low;
}

static inline bool is_better(const struct place *a, const struct place *b)
{
	return a->units != b->units ? a->units < b->units : a->hole < b->hole;
}

/* The best place for n slots; *rest: the longest hole but the one it is in. */
static struct place find_place(
	const struct hl_tract *tract, uint32_t n, uint32_t *rest)
{
	struct place best = {.units = UINT32_MAX}, here;
	size_t nbits = slots_of(tract), from, to = 0;

	*rest = 0;
	while ((from = hl_bitmap_next_clear(tract->used, nbits, to)) < nbits) {
		to = hl_bitmap_next_set(tract->used, nbits, from);
		here.hole = (uint32_t)(to - from);
		if (here.hole >= n) {
			here = end_of_hole(tract, (uint32_t)from, here.hole, n);
			if (is_better(&here, &best)) {
				struct place worse = best;

				best = here;
				here = worse;
			}
		}
		*rest = HL_MAX(*rest, here.hole);
		/* Nothing beats this, and the longest hole is elsewhere. */
		if (best.units == 0 && best.hole == n && n < tract->longest) {
			*rest = tract->longest;
			break;
		}
	}
	return best;
}

static bool tract_is_valid(const struct hl_tract *tract)
{
	size_t nbits = slots_of(tract), used = 0, part;
	uint32_t unit;

	for (unit = 0; unit < HL_TRACT_UNITS; unit++) {
		part = hl_bitmap_count(tract->used, unit * HL_UNIT_SLOTS,
			(unit + 1) * HL_UNIT_SLOTS);
		if (part != tract->unit_used[unit])
			return false;
		used += part;
	}
	return tract->units >= 1 && tract->units <= HL_TRACT_UNITS &&
	       used == tract->used_slots &&
	       hl_bitmap_all_clear(tract->used, nbits, HL_TRACT_SLOTS) &&
	       hl_bitmap_longest_clear(tract->used, nbits) == tract->longest;
}

static inline void check(
	const struct hl_straddle *s, const struct hl_tract *tract)
{
	HL_VALID(tract_is_valid(tract));
	HL_VALID3(hl_straddle_is_valid(s));
}

void hl_straddle_init(struct hl_straddle *s, struct hl_tract **bucket)
{
	s->bucket = bucket;
	memset(s->longest, 0, sizeof(s->longest));
	s->tract_count = 0;
	s->used_slots = 0;
}

void hl_straddle_add(struct hl_straddle *s, struct hl_tract *tract)
{
	HL_ASSERT(tract->units >= 1 && tract->units <= HL_TRACT_UNITS);
	memset(tract->used, 0, sizeof(tract->used));
	memset(tract->unit_used, 0, sizeof(tract->unit_used));
	tract->used_slots = 0;
	tract->longest = (uint32_t)slots_of(tract);
	link_tract(s, tract);
	s->tract_count++;
	HL_VALID3(hl_straddle_is_valid(s));
}

void hl_straddle_remove(struct hl_straddle *s, struct hl_tract *tract)
{
	HL_CHECK(tract->used_slots == 0);
	unlink_tract(s, tract);
	s->tract_count--;
	HL_VALID3(hl_straddle_is_valid(s));
}

bool hl_straddle_take(
	struct hl_straddle *s, uint32_t slots, struct hl_straddle_run *out)
{
	size_t longest =
		hl_bitmap_next_set(s->longest, HL_TRACT_SLOTS + 1, slots);
	struct hl_tract *tract;
	struct place place;
	uint32_t rest;

	HL_ASSERT(slots >= 1);
	if (longest > HL_TRACT_SLOTS)
		return false;
	tract = s->bucket[longest];
	place = find_place(tract, slots, &rest);
	HL_CHECK(place.hole >= slots);
	out->tract = tract;
	out->slot = place.slot;
	out->slots = slots;
	unused_units(tract, place.slot, slots, &out->from_unit, &out->to_unit);
	mark(s, tract, place.slot, slots);
	set_longest(s, tract, HL_MAX(rest, place.hole - slots));
	check(s, tract);
	return true;
}

bool hl_straddle_give(struct hl_straddle *s, struct hl_tract *tract,
	uint32_t slot, uint32_t slots, struct hl_straddle_run *out)
{
	unmark(s, tract, slot, slots);
	out->tract = tract;
	out->slot = slot;
	out->slots = slots;
	unused_units(tract, slot, slots, &out->from_unit, &out->to_unit);
	check(s, tract);
	return tract->used_slots == 0;
}

bool hl_straddle_grow(struct hl_straddle *s, struct hl_tract *tract,
	uint32_t slot, uint32_t slots, uint32_t to, struct hl_straddle_run *out)
{
	uint32_t end = slot + slots, more = to - slots;
	size_t hole;

	HL_ASSERT(slots >= 1 && to >= slots);
	hole = hl_bitmap_next_set(tract->used, slots_of(tract), end) - end;
	if (hole < more)
		return false;
	out->tract = tract;
	out->slot = slot;
	out->slots = to;
	out->from_unit = out->to_unit = 0;
	if (more == 0)
		return true;
	unused_units(tract, end, more, &out->from_unit, &out->to_unit);
	mark(s, tract, end, more);
	if (hole == tract->longest)
		set_longest(s, tract,
			hl_bitmap_longest_clear(tract->used, slots_of(tract)));
	check(s, tract);
	return true;
}

void hl_straddle_shrink(struct hl_straddle *s, struct hl_tract *tract,
	uint32_t slot, uint32_t slots, uint32_t to, struct hl_straddle_run *out)
{
	HL_ASSERT(to >= 1 && to <= slots);
	out->tract = tract;
	out->slot = slot;
	out->slots = to;
	out->from_unit = out->to_unit = 0;
	if (to == slots)
		return;
	unmark(s, tract, slot + to, slots - to);
	unused_units(
		tract, slot + to, slots - to, &out->from_unit, &out->to_unit);
	check(s, tract);
}

bool hl_straddle_is_valid(const struct hl_straddle *s)
{
	size_t tracts = 0, used = 0, longest = 0;
	const struct hl_tract *tract;

	for (;; longest++) {
		longest = hl_bitmap_next_set(
			s->longest, HL_TRACT_SLOTS + 1, longest);
		if (longest > HL_TRACT_SLOTS)
			break;
		tract = s->bucket[longest];
		do {
			if (tract->link.next->prev != &tract->link ||
				tract->longest != longest ||
				!tract_is_valid(tract))
				return false;
			tracts++;
			used += tract->used_slots;
			tract = hl_list_entry(
				tract->link.next, struct hl_tract, link);
		} while (tract != s->bucket[longest]);
	}
	return tracts == s->tract_count && used == s->used_slots;
}
