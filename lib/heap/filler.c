/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which unit gives the next run. Called by the page heap with the arena's
 * page_lock held.
 *
 * Every unit of the filler is in bucket[longest][density of runs]. The bitmap
 * `longest` finds the shortest sufficient run, the byte densities[] the densest
 * unit with it: two bit scans and a list head, however many units there are. A
 * unit moves when one of the two changes, which for short runs in long holes
 * is seldom.
 *
 * An empty unit may be here only between add and the first take: give hands a
 * unit that became empty back at once.
 */
#include "heap/filler.h"

#include "base/bitmap.h"

#include <string.h>

static inline unsigned density_of(unsigned runs)
{
	unsigned density;

	if (runs == 0)
		return 0;
	density = hl_log2(runs) + 1;
	return HL_MIN(density, HL_FILLER_DENSITIES - 1u);
}

static void link_unit(
	struct hl_filler *f, struct hl_unit *unit, unsigned longest, unsigned d)
{
	struct hl_list *head = &f->bucket[longest][d];

	if (!(f->densities[longest] & (1u << d))) {
		hl_list_init(head);
		if (f->densities[longest] == 0)
			f->longest[longest / 64] |= (uint64_t)1
						    << (longest % 64);
		f->densities[longest] |= (uint8_t)(1u << d);
	}
	hl_list_push_front(head, &unit->link);
}

static void unlink_unit(
	struct hl_filler *f, struct hl_unit *unit, unsigned longest, unsigned d)
{
	hl_list_remove(&unit->link);
	if (!hl_list_is_empty(&f->bucket[longest][d]))
		return;
	f->densities[longest] &= (uint8_t) ~(1u << d);
	if (f->densities[longest] == 0)
		f->longest[longest / 64] &= ~((uint64_t)1 << (longest % 64));
}

/* The unit changed; where it was before says where it is linked. */
static void relink(struct hl_filler *f, struct hl_unit *unit, unsigned longest,
	unsigned runs)
{
	unsigned was = density_of(runs), now = density_of(unit->runs);

	if (longest != unit->longest || was != now) {
		unlink_unit(f, unit, longest, was);
		link_unit(f, unit, unit->longest, now);
	}
	HL_VALID3(hl_filler_is_valid(f));
}

/* The unit to take n slots from, or NULL. */
static struct hl_unit *choose(const struct hl_filler *f, unsigned n)
{
	size_t longest;
	unsigned d;

	HL_ASSERT(n >= 1);
	if (n > HL_UNIT_SLOTS)
		return NULL;
	longest = hl_bitmap_next_set(f->longest, HL_UNIT_SLOTS + 1, n);
	if (longest > HL_UNIT_SLOTS)
		return NULL;
	d = hl_log2(f->densities[longest]);
	return hl_list_entry(f->bucket[longest][d].next, struct hl_unit, link);
}

void hl_filler_init(struct hl_filler *f)
{
	memset(f->densities, 0, sizeof(f->densities));
	memset(f->longest, 0, sizeof(f->longest));
	f->units = 0;
	f->used_slots = 0;
}

void hl_filler_add(struct hl_filler *f, struct hl_unit *unit)
{
	HL_ASSERT(!hl_list_is_linked(&unit->link));
	unit->home = HL_UNIT_FILLER;
	link_unit(f, unit, unit->longest, density_of(unit->runs));
	f->units++;
	f->used_slots += unit->used_slots;
	HL_VALID3(hl_filler_is_valid(f));
}

void hl_filler_remove(struct hl_filler *f, struct hl_unit *unit)
{
	HL_ASSERT(unit->home == HL_UNIT_FILLER);
	unlink_unit(f, unit, unit->longest, density_of(unit->runs));
	f->units--;
	f->used_slots -= unit->used_slots;
	unit->home = HL_UNIT_UNUSED;
	HL_VALID3(hl_filler_is_valid(f));
}

bool hl_filler_take(struct hl_filler *f, unsigned n, struct hl_run *out)
{
	struct hl_unit *unit = choose(f, n);
	unsigned longest, runs;

	if (unit == NULL)
		return false;
	longest = unit->longest;
	runs = unit->runs;
	out->unit = unit;
	out->slots = n;
	out->slot = hl_unit_take(unit, n, &out->zero);
	f->used_slots += n;
	relink(f, unit, longest, runs);
	return true;
}

bool hl_filler_take_aligned(struct hl_filler *f, unsigned n,
	unsigned align_slots, struct hl_run *out)
{
	unsigned longest, runs, least;
	struct hl_unit *unit;

	HL_ASSERT(hl_is_pow2(align_slots));
	if (align_slots == 1)
		return hl_filler_take(f, n, out);
	/* Every slot of a unit that is a multiple of the unit is slot 0. */
	if (n > HL_UNIT_SLOTS || align_slots > HL_UNIT_SLOTS)
		return false;
	/* What an aligned block left fits the next one exactly. The first unit
	 * of each length is tried, until any hole so long has room. */
	for (least = n; (unit = choose(f, least)) != NULL;
		least = longest + 1) {
		longest = unit->longest;
		runs = unit->runs;
		if (!hl_unit_take_aligned(
			    unit, n, align_slots, &out->slot, &out->zero))
			continue;
		out->unit = unit;
		out->slots = n;
		f->used_slots += n;
		relink(f, unit, longest, runs);
		return true;
	}
	return false;
}

bool hl_filler_give(
	struct hl_filler *f, struct hl_unit *unit, unsigned slot, unsigned n)
{
	unsigned longest = unit->longest, runs = unit->runs;

	HL_ASSERT(unit->home == HL_UNIT_FILLER);
	hl_unit_give(unit, slot, n);
	f->used_slots -= n;
	if (unit->used_slots == 0) {
		unlink_unit(f, unit, longest, density_of(runs));
		f->units--;
		unit->home = HL_UNIT_UNUSED;
		HL_VALID3(hl_filler_is_valid(f));
		return true;
	}
	relink(f, unit, longest, runs);
	return false;
}

bool hl_filler_grow(struct hl_filler *f, struct hl_unit *unit, unsigned slot,
	unsigned n, unsigned to)
{
	unsigned longest = unit->longest;

	HL_ASSERT(unit->home == HL_UNIT_FILLER);
	if (!hl_unit_grow(unit, slot, n, to))
		return false;
	f->used_slots += to - n;
	relink(f, unit, longest, unit->runs);
	return true;
}

void hl_filler_shrink(struct hl_filler *f, struct hl_unit *unit, unsigned slot,
	unsigned n, unsigned to)
{
	unsigned longest = unit->longest;

	HL_ASSERT(unit->home == HL_UNIT_FILLER);
	hl_unit_shrink(unit, slot, n, to);
	f->used_slots -= n - to;
	relink(f, unit, longest, unit->runs);
}

/* One bucket's units; false if one does not belong there. */
static bool bucket_is_valid(const struct hl_filler *f, unsigned longest,
	unsigned d, size_t *units, size_t *used)
{
	const struct hl_list *head = &f->bucket[longest][d], *pos;
	const struct hl_unit *unit;

	if (hl_list_is_empty(head))
		return false;
	hl_list_for_each (pos, head) {
		unit = hl_list_entry(pos, struct hl_unit, link);
		if (pos->next->prev != pos || unit->longest != longest ||
			density_of(unit->runs) != d ||
			unit->home != HL_UNIT_FILLER || !hl_unit_is_valid(unit))
			return false;
		++*units;
		*used += unit->used_slots;
	}
	return true;
}

bool hl_filler_is_valid(const struct hl_filler *f)
{
	size_t units = 0, used = 0;
	unsigned longest, d;

	for (longest = 0; longest <= HL_UNIT_SLOTS; longest++) {
		if (hl_bitmap_test(f->longest, longest) !=
			(f->densities[longest] != 0))
			return false;
		for (d = 0; d < HL_FILLER_DENSITIES; d++)
			if ((f->densities[longest] & (1u << d)) &&
				!bucket_is_valid(f, longest, d, &units, &used))
				return false;
	}
	return units == f->units && used == f->used_slots;
}
