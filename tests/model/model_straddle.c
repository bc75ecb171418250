/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The straddle against one byte per slot. Two things are checked by search
 * rather than by repeating the rule: a unit is in use if any of its slots is,
 * and no place in the chosen tract would bring fewer units into use.
 */
#include "model.h"
#include "naive_slots.h"

#include "heap/straddle.h"

#include <stdlib.h>

const char model_name[] = "straddle";

#define UNIT   512u
#define TRACTS 6
#define RUNS   1024

struct naive_tract {
	uint8_t used[HL_TRACT_SLOTS];
	unsigned slots;
	unsigned longest;
	bool inside;
};

static struct hl_straddle real;
static struct hl_tract *bucket[HL_STRADDLE_BUCKETS];
static struct hl_tract real_tract[TRACTS];
static struct naive_tract naive_tract[TRACTS];

static struct {
	unsigned tract, slot, n;
} run[RUNS];
static unsigned runs;
static unsigned smallest, spread; /* sizes of this round */

static struct {
	uint64_t takes, full, gives, emptied, grows, refused, shrinks;
	uint64_t adds, removes, units_in, units_out;
} seen;

static bool unit_in_use(const struct naive_tract *tract, unsigned unit)
{
	return memchr(tract->used + unit * UNIT, 1, UNIT) != NULL;
}

/* Bit i: unit i is in use. */
static uint32_t units_in_use(const struct naive_tract *tract)
{
	uint32_t mask = 0;

	for (unsigned unit = 0; unit < tract->slots / UNIT; unit++)
		if (unit_in_use(tract, unit))
			mask |= 1u << unit;
	return mask;
}

static uint32_t range_mask(unsigned from, unsigned to)
{
	uint32_t mask = 0;

	for (; from < to; from++)
		mask |= 1u << from;
	return mask;
}

static void set(unsigned t, unsigned slot, unsigned n, uint8_t used)
{
	struct naive_tract *tract = &naive_tract[t];

	model_check(slot + n <= tract->slots);
	for (unsigned i = slot; i < slot + n; i++) {
		model_check(tract->used[i] != used);
		tract->used[i] = used;
	}
	tract->longest = naive_longest(tract->used, tract->slots);
}

static void compare(unsigned t)
{
	const struct naive_tract *tract = &naive_tract[t];

	model_equal(real_tract[t].longest, tract->longest);
	model_equal(real_tract[t].used_slots,
		naive_count(tract->used, 0, tract->slots));
	for (unsigned i = 0; i < tract->slots; i++)
		model_equal(real_tract[t].used[i / 64] >> (i % 64) & 1,
			tract->used[i]);
}

static void compare_all(void)
{
	size_t inside = 0, used = 0;

	model_check(hl_straddle_is_valid(&real));
	for (unsigned t = 0; t < TRACTS; t++) {
		if (!naive_tract[t].inside)
			continue;
		compare(t);
		inside++;
		used += naive_count(
			naive_tract[t].used, 0, naive_tract[t].slots);
	}
	model_equal(real.tract_count, inside);
	model_equal(real.used_slots, used);
}

void model_start(struct model_in *in)
{
	for (unsigned t = 0; t < TRACTS; t++)
		naive_tract[t].inside = false;
	memset(real_tract, 0x55, sizeof(real_tract));
	runs = 0;
	/* As in the heap, and at times anything. */
	smallest = model_chance(in, 4) ? 1 : 128;
	spread = 1u << (4 + model_draw(in, 9));
	hl_straddle_init(&real, bucket);
	compare_all();
}

static void step_add(struct model_in *in)
{
	unsigned t = (unsigned)model_draw(in, TRACTS);
	unsigned units = HL_TRACT_UNITS;

	if (naive_tract[t].inside)
		return;
	if (model_chance(in, 2))
		units = 1 + (unsigned)model_draw(in, HL_TRACT_UNITS);
	memset(&naive_tract[t], 0, sizeof(naive_tract[t]));
	naive_tract[t].inside = true;
	naive_tract[t].slots = units * UNIT;
	naive_tract[t].longest = units * UNIT;
	real_tract[t].link = (struct hl_list){0};
	real_tract[t].area = NULL;
	real_tract[t].first_unit = 5;
	real_tract[t].units = units;
	hl_straddle_add(&real, &real_tract[t]);
	model_equal(real_tract[t].first_unit, 5);
	seen.adds++;
}

static void remove_tract(unsigned t)
{
	hl_straddle_remove(&real, &real_tract[t]);
	naive_tract[t].inside = false;
	seen.removes++;
}

static unsigned new_units(
	const struct naive_tract *tract, unsigned slot, unsigned n)
{
	unsigned count = 0;

	for (unsigned u = slot / UNIT; u <= (slot + n - 1) / UNIT; u++)
		count += !unit_in_use(tract, u);
	return count;
}

/* Of all places, also those in the middle of a hole. */
static unsigned fewest_new_units(const struct naive_tract *tract, unsigned n)
{
	unsigned fewest = UINT32_MAX, slot, hole, count, i;

	for (slot = 0; slot < tract->slots; slot += hole + 1) {
		hole = naive_hole(tract->used, tract->slots, slot);
		for (i = 0; i + n <= hole; i++) {
			count = new_units(tract, slot + i, n);
			fewest = count < fewest ? count : fewest;
		}
	}
	return fewest;
}

/*
 * The slot that the rule gives: of the two ends of every hole the one that
 * brings the fewest units into use, then the smallest hole, then the first.
 */
static unsigned naive_place(const struct naive_tract *tract, unsigned n)
{
	unsigned best = 0, best_units = UINT32_MAX, best_hole = 0;
	unsigned slot, hole, end, units;

	for (slot = 0; slot < tract->slots; slot += hole + 1) {
		hole = naive_hole(tract->used, tract->slots, slot);
		if (hole < n)
			continue;
		for (end = 0; end < 2; end++) {
			units = new_units(
				tract, end ? slot + hole - n : slot, n);
			if (units < best_units ||
				(units == best_units && hole < best_hole)) {
				best = end ? slot + hole - n : slot;
				best_units = units;
				best_hole = hole;
			}
		}
	}
	return best;
}

static unsigned naive_shortest(unsigned n)
{
	unsigned longest = UINT32_MAX;

	for (unsigned t = 0; t < TRACTS; t++)
		if (naive_tract[t].inside && naive_tract[t].longest >= n &&
			naive_tract[t].longest < longest)
			longest = naive_tract[t].longest;
	return longest;
}

static void step_take(struct model_in *in)
{
	unsigned n = smallest + (unsigned)model_draw(in, spread);
	unsigned longest = naive_shortest(n), t;
	struct hl_straddle_run got = {0};
	uint32_t before;

	if (runs == RUNS)
		return;
	seen.takes++;
	if (longest == UINT32_MAX) {
		model_check(!hl_straddle_take(&real, n, &got));
		seen.full++;
		return;
	}
	model_check(hl_straddle_take(&real, n, &got));
	t = (unsigned)(got.tract - real_tract);
	model_equal(naive_tract[t].longest, longest);
	model_equal(got.slots, n);
	model_equal(got.slot, naive_place(&naive_tract[t], n));
	if (model_chance(in, 64))
		model_equal(new_units(&naive_tract[t], got.slot, n),
			fewest_new_units(&naive_tract[t], n));
	before = units_in_use(&naive_tract[t]);
	set(t, got.slot, n, 1);
	model_equal(units_in_use(&naive_tract[t]) & ~before,
		range_mask(got.from_unit, got.to_unit));
	seen.units_in += got.to_unit - got.from_unit;
	run[runs].tract = t;
	run[runs].slot = got.slot;
	run[runs].n = n;
	runs++;
}

static void step_give(unsigned which)
{
	unsigned t = run[which].tract, slot = run[which].slot;
	unsigned n = run[which].n;
	uint32_t before = units_in_use(&naive_tract[t]);
	struct hl_straddle_run got = {0};
	bool empty;

	seen.gives++;
	empty = hl_straddle_give(&real, &real_tract[t], slot, n, &got);
	set(t, slot, n, 0);
	model_equal(empty, units_in_use(&naive_tract[t]) == 0);
	model_equal(before & ~units_in_use(&naive_tract[t]),
		range_mask(got.from_unit, got.to_unit));
	model_check(got.tract == &real_tract[t]);
	seen.units_out += got.to_unit - got.from_unit;
	seen.emptied += empty;
	run[which] = run[--runs];
}

static void step_resize(struct model_in *in, unsigned which)
{
	unsigned t = run[which].tract, slot = run[which].slot;
	unsigned n = run[which].n, to, hole;
	uint32_t before = units_in_use(&naive_tract[t]);
	struct hl_straddle_run got = {0};

	if (model_chance(in, 2)) {
		to = n + (unsigned)model_draw(in, 600);
		hole = naive_hole(
			naive_tract[t].used, naive_tract[t].slots, slot + n);
		model_equal(hl_straddle_grow(
				    &real, &real_tract[t], slot, n, to, &got),
			hole >= to - n);
		seen.grows++;
		if (hole < to - n) {
			seen.refused++;
			return;
		}
		set(t, slot + n, to - n, 1);
		model_equal(units_in_use(&naive_tract[t]) & ~before,
			range_mask(got.from_unit, got.to_unit));
	} else {
		to = 1 + (unsigned)model_draw(in, n);
		hl_straddle_shrink(&real, &real_tract[t], slot, n, to, &got);
		set(t, slot + to, n - to, 0);
		model_equal(before & ~units_in_use(&naive_tract[t]),
			range_mask(got.from_unit, got.to_unit));
		seen.shrinks++;
	}
	model_equal(got.slot, slot);
	model_equal(got.slots, to);
	run[which].n = to;
}

void model_step(struct model_in *in)
{
	uint64_t what = model_draw(in, 64);

	if (what < 2)
		step_add(in);
	else if (what < 34)
		step_take(in);
	else if (runs > 0 && what < 56)
		step_give((unsigned)model_draw(in, runs));
	else if (runs > 0)
		step_resize(in, (unsigned)model_draw(in, runs));
	for (unsigned t = 0; t < TRACTS; t++)
		if (naive_tract[t].inside && real_tract[t].used_slots == 0 &&
			model_chance(in, 32))
			remove_tract(t);
	if (model_chance(in, 256))
		compare_all();
}

void model_end(void)
{
	compare_all();
	while (runs > 0)
		step_give(0);
	for (unsigned t = 0; t < TRACTS; t++)
		if (naive_tract[t].inside)
			remove_tract(t);
	model_equal(real.tract_count, 0);
	model_equal(real.used_slots, 0);
	model_check(hl_straddle_is_valid(&real));
}

void model_summary(FILE *out)
{
	fprintf(out,
		"%lu takes (%lu without room), %lu gives (%lu emptied), %lu "
		"grows (%lu refused), %lu shrinks, %lu adds, %lu removes, %lu "
		"units came into use by take, %lu out of it by give\n",
		seen.takes, seen.full, seen.gives, seen.emptied, seen.grows,
		seen.refused, seen.shrinks, seen.adds, seen.removes,
		seen.units_in, seen.units_out);
}
