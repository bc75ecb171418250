/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The filler against a search through all units: the unit it takes from must
 * have the shortest longest free run that fits, and of those units a number of
 * runs of the highest step. Which of several equals is the filler's choice; the
 * place in it is not.
 */
#include "model.h"
#include "naive_slots.h"

#include "heap/filler.h"

#include <stdlib.h>

const char model_name[] = "filler";

#define SLOTS 512
#define UNITS 48
#define RUNS  4096

struct naive_unit {
	uint8_t used[SLOTS];
	unsigned ever;
	unsigned longest;
	unsigned runs;
	bool inside;
};

static struct hl_filler real;
static struct hl_unit real_unit[UNITS];
static struct naive_unit naive_unit[UNITS];

static struct {
	unsigned unit, slot, n;
} run[RUNS];
static unsigned runs;
/* Small runs mostly, or of any size: drawn per round. */
static unsigned size_bits;

static struct {
	uint64_t takes, full, aligned, gives, emptied, grows, refused, shrinks;
	uint64_t adds, lent, removes;
} seen;

static unsigned step_of(unsigned n)
{
	unsigned step = 0;

	for (; n > 0; n /= 2)
		step++;
	return step < 7 ? step : 7;
}

static void set(unsigned u, unsigned slot, unsigned n, uint8_t used)
{
	struct naive_unit *unit = &naive_unit[u];

	for (unsigned i = slot; i < slot + n; i++) {
		model_check(unit->used[i] != used);
		unit->used[i] = used;
	}
	if (used && slot + n > unit->ever)
		unit->ever = slot + n;
	unit->longest = naive_longest(unit->used, SLOTS);
}

static void compare(unsigned u)
{
	model_check(hl_unit_is_valid(&real_unit[u]));
	model_equal(real_unit[u].longest, naive_unit[u].longest);
	model_equal(real_unit[u].runs, naive_unit[u].runs);
	for (unsigned i = 0; i < SLOTS; i++)
		model_equal(real_unit[u].used[i / 64] >> (i % 64) & 1,
			naive_unit[u].used[i]);
}

static void compare_all(void)
{
	size_t inside = 0, used = 0;

	model_check(hl_filler_is_valid(&real));
	for (unsigned u = 0; u < UNITS; u++) {
		model_equal(real_unit[u].home,
			naive_unit[u].inside ? HL_UNIT_FILLER : HL_UNIT_UNUSED);
		if (!naive_unit[u].inside)
			continue;
		compare(u);
		inside++;
		used += naive_count(naive_unit[u].used, 0, SLOTS);
	}
	model_equal(real.units, inside);
	model_equal(real.used_slots, used);
}

void model_start(struct model_in *in)
{
	memset(naive_unit, 0, sizeof(naive_unit));
	memset(real_unit, 0, sizeof(real_unit));
	runs = 0;
	size_bits = 1 + (unsigned)model_draw(in, 9);
	hl_filler_init(&real);
	compare_all();
}

static void new_run(unsigned u, unsigned slot, unsigned n)
{
	set(u, slot, n, 1);
	naive_unit[u].runs++;
	run[runs].unit = u;
	run[runs].slot = slot;
	run[runs].n = n;
	runs++;
}

static void step_add(struct model_in *in)
{
	unsigned u = (unsigned)model_draw(in, UNITS), head;

	if (naive_unit[u].inside || runs == RUNS)
		return;
	/* One that was taken out with runs in it comes back as it is. */
	if (naive_unit[u].runs == 0) {
		hl_unit_init(&real_unit[u], NULL, u);
		memset(&naive_unit[u], 0, sizeof(naive_unit[u]));
		naive_unit[u].longest = SLOTS;
		if (model_chance(in, 4)) {
			head = 1 + (unsigned)model_draw(in, SLOTS);
			hl_unit_take_at(&real_unit[u], 0, head);
			new_run(u, 0, head);
			seen.lent++;
		}
	}
	hl_filler_add(&real, &real_unit[u]);
	naive_unit[u].inside = true;
	seen.adds++;
}

static void step_remove(struct model_in *in)
{
	unsigned u = (unsigned)model_draw(in, UNITS);

	if (!naive_unit[u].inside)
		return;
	hl_filler_remove(&real, &real_unit[u]);
	naive_unit[u].inside = false;
	seen.removes++;
}

/* What every unit that may be chosen has in common; false: there is none. */
static bool naive_choice(unsigned n, unsigned *longest, unsigned *step)
{
	*longest = SLOTS + 1;
	for (unsigned u = 0; u < UNITS; u++)
		if (naive_unit[u].inside && naive_unit[u].longest >= n &&
			naive_unit[u].longest < *longest)
			*longest = naive_unit[u].longest;
	*step = 0;
	for (unsigned u = 0; u < UNITS; u++)
		if (naive_unit[u].inside && naive_unit[u].longest == *longest &&
			step_of(naive_unit[u].runs) > *step)
			*step = step_of(naive_unit[u].runs);
	return *longest <= SLOTS;
}

static void step_take(struct model_in *in)
{
	unsigned n = 1 + (unsigned)model_draw(in, 1u << (size_bits - 1));
	unsigned align = 1, wide, longest, step, u;
	struct hl_run got = {0};
	bool fits;

	if (runs == RUNS)
		return;
	if (model_chance(in, 8)) {
		align = 1u << model_draw(in, 10);
		seen.aligned++;
	}
	wide = n + align - 1;
	wide = wide > SLOTS ? SLOTS : wide;
	fits = align <= SLOTS && naive_choice(wide, &longest, &step);
	seen.takes++;
	if (align > 1) {
		/* A shorter hole may have room as well. */
		if (!hl_filler_take_aligned(&real, n, align, &got)) {
			model_check(!fits);
			seen.full++;
			return;
		}
		u = (unsigned)(got.unit - real_unit);
		model_check(!fits || naive_unit[u].longest <= longest);
	} else {
		model_equal(hl_filler_take(&real, n, &got), fits);
		seen.full += !fits;
		if (!fits)
			return;
		u = (unsigned)(got.unit - real_unit);
		model_equal(naive_unit[u].longest, longest);
		model_equal(step_of(naive_unit[u].runs), step);
	}
	model_equal(
		got.slot, naive_best_fit(naive_unit[u].used, SLOTS, n, align));
	model_equal(got.zero, got.slot >= naive_unit[u].ever);
	model_equal(got.slots, n);
	new_run(u, got.slot, n);
	compare(u);
}

static void step_give(unsigned which)
{
	unsigned u = run[which].unit, slot = run[which].slot, n = run[which].n;

	set(u, slot, n, 0);
	naive_unit[u].runs--;
	run[which] = run[--runs];
	seen.gives++;
	if (!naive_unit[u].inside) {
		hl_unit_give(&real_unit[u], slot, n);
	} else if (hl_filler_give(&real, &real_unit[u], slot, n)) {
		model_equal(naive_unit[u].runs, 0);
		naive_unit[u].inside = false;
		seen.emptied++;
	} else {
		model_check(naive_unit[u].runs > 0);
	}
	compare(u);
}

static void step_resize(struct model_in *in, unsigned which)
{
	unsigned u = run[which].unit, slot = run[which].slot, n = run[which].n;
	unsigned to;
	bool fits;

	if (!naive_unit[u].inside)
		return;
	if (model_chance(in, 2)) {
		to = n + (unsigned)model_draw(in, 12);
		fits = to == n || (slot + to <= SLOTS &&
					  naive_hole(naive_unit[u].used, SLOTS,
						  slot + n) >= to - n);
		model_equal(hl_filler_grow(&real, &real_unit[u], slot, n, to),
			fits);
		seen.grows++;
		seen.refused += !fits;
		if (!fits)
			return;
		set(u, slot + n, to - n, 1);
	} else {
		to = 1 + (unsigned)model_draw(in, n);
		hl_filler_shrink(&real, &real_unit[u], slot, n, to);
		set(u, slot + to, n - to, 0);
		seen.shrinks++;
	}
	run[which].n = to;
	compare(u);
}

void model_step(struct model_in *in)
{
	uint64_t what = model_draw(in, 64);

	if (what < 1)
		step_remove(in);
	else if (what < 5)
		step_add(in);
	else if (what < 34)
		step_take(in);
	else if (runs > 0 && what < 58)
		step_give((unsigned)model_draw(in, runs));
	else if (runs > 0)
		step_resize(in, (unsigned)model_draw(in, runs));
	if (model_chance(in, 64))
		compare_all();
}

void model_end(void)
{
	compare_all();
	while (runs > 0)
		step_give(0);
	for (unsigned u = 0; u < UNITS; u++)
		if (naive_unit[u].inside)
			hl_filler_remove(&real, &real_unit[u]);
	model_equal(real.units, 0);
	model_equal(real.used_slots, 0);
	model_check(hl_filler_is_valid(&real));
}

void model_summary(FILE *out)
{
	fprintf(out,
		"%lu takes (%lu without room, %lu aligned), %lu gives (%lu "
		"emptied), %lu grows (%lu refused), %lu shrinks, %lu adds "
		"(%lu lent), %lu removes\n",
		seen.takes, seen.full, seen.aligned, seen.gives, seen.emptied,
		seen.grows, seen.refused, seen.shrinks, seen.adds, seen.lent,
		seen.removes);
}
