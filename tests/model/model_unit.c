/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of a unit against an array of slots, in which each slot knows
 * whether it is used and whether it ever was.
 */
#include "model.h"
#include "naive_slots.h"

#include "heap/unit.h"

const char model_name[] = "unit";

#define SLOTS 512

static struct hl_unit real;

static struct {
	uint8_t used[SLOTS];
	unsigned ever; /* end of the highest slot ever handed out */
	struct {
		unsigned slot, n;
	} run[SLOTS];
	unsigned runs;
} naive;

static struct {
	uint64_t takes, full, aligned, places, gives, grows, refused, shrinks,
		zero;
} seen;

static void set(unsigned slot, unsigned n, uint8_t used)
{
	for (unsigned i = slot; i < slot + n; i++) {
		model_check(naive.used[i] != used);
		naive.used[i] = used;
	}
	if (used && slot + n > naive.ever)
		naive.ever = slot + n;
}

static void compare(void)
{
	model_check(hl_unit_is_valid(&real));
	model_equal(real.used_slots, naive_count(naive.used, 0, SLOTS));
	model_equal(real.runs, naive.runs);
	model_equal(real.longest, naive_longest(naive.used, SLOTS));
	for (unsigned i = 0; i < SLOTS; i++)
		model_equal(real.used[i / 64] >> (i % 64) & 1, naive.used[i]);
}

void model_start(struct model_in *in)
{
	(void)in;
	memset(&real, 0x55, sizeof(real));
	memset(&naive, 0, sizeof(naive));
	hl_unit_init(&real, NULL, 7);
	model_equal(real.index, 7);
	compare();
}

/* Small ones most of the time. */
static unsigned draw_slots(struct model_in *in)
{
	return 1 + (unsigned)model_draw(in, 1u << model_draw(in, 9));
}

static void new_run(unsigned slot, unsigned n)
{
	set(slot, n, 1);
	naive.run[naive.runs].slot = slot;
	naive.run[naive.runs].n = n;
	naive.runs++;
}

static void step_take(struct model_in *in)
{
	unsigned n = draw_slots(in);
	unsigned align = 1u << (model_chance(in, 3) ? model_draw(in, 10) : 0);
	unsigned expected = naive_best_fit(naive.used, SLOTS, n, align);
	unsigned slot = SLOTS;
	bool zero;

	seen.takes++;
	if (expected == SLOTS) {
		seen.full++;
		model_check(align > 1 || real.longest < n);
		model_check(
			!hl_unit_take_aligned(&real, n, align, &slot, &zero));
		return;
	}
	if (align > 1) {
		seen.aligned++;
		model_check(
			hl_unit_take_aligned(&real, n, align, &slot, &zero));
	} else {
		slot = hl_unit_take(&real, n, &zero);
	}
	model_equal(slot, expected);
	model_equal(zero, expected >= naive.ever);
	seen.zero += zero;
	new_run(expected, n);
}

static void step_take_at(struct model_in *in)
{
	unsigned slot = (unsigned)model_draw(in, SLOTS);
	unsigned n = naive_hole(naive.used, SLOTS, slot);

	if (n == 0)
		return;
	seen.places++;
	n = 1 + (unsigned)model_draw(in, n);
	hl_unit_take_at(&real, slot, n);
	new_run(slot, n);
}

static void step_give(unsigned which)
{
	unsigned slot = naive.run[which].slot, n = naive.run[which].n;

	seen.gives++;
	hl_unit_give(&real, slot, n);
	set(slot, n, 0);
	naive.run[which] = naive.run[--naive.runs];
}

static void step_resize(struct model_in *in, unsigned which)
{
	unsigned slot = naive.run[which].slot, n = naive.run[which].n, to;
	bool fits;

	if (model_chance(in, 2)) {
		seen.grows++;
		to = n + (unsigned)model_draw(in, 12);
		fits = to == n ||
		       (slot + to <= SLOTS && naive_hole(naive.used, SLOTS,
						      slot + n) >= to - n);
		model_equal(hl_unit_grow(&real, slot, n, to), fits);
		seen.refused += !fits;
		if (!fits)
			return;
		set(slot + n, to - n, 1);
		naive.run[which].n = to;
		return;
	}
	seen.shrinks++;
	to = 1 + (unsigned)model_draw(in, n);
	hl_unit_shrink(&real, slot, n, to);
	set(slot + to, n - to, 0);
	naive.run[which].n = to;
}

void model_step(struct model_in *in)
{
	uint64_t what = model_draw(in, 16);

	if (what < 6)
		step_take(in);
	else if (what < 7)
		step_take_at(in);
	else if (naive.runs > 0 && what < 13)
		step_give((unsigned)model_draw(in, naive.runs));
	else if (naive.runs > 0)
		step_resize(in, (unsigned)model_draw(in, naive.runs));
	compare();
}

void model_end(void)
{
	while (naive.runs > 0)
		step_give(0);
	compare();
	model_equal(real.longest, SLOTS);
}

void model_summary(FILE *out)
{
	fprintf(out,
		"%lu takes (%lu without room, %lu aligned, %lu zero), %lu at a "
		"place, %lu gives, %lu grows (%lu refused), %lu shrinks\n",
		seen.takes, seen.full, seen.aligned, seen.zero, seen.places,
		seen.gives, seen.grows, seen.refused, seen.shrinks);
}
