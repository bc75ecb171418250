/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subpool against a pool that keeps a list of single pages: each page of
 * the minimum is an object that is either set aside or in use, and each page
 * taken from the pool is counted when it is taken. What the two agree on is
 * the pool's charge, which no closed form computes here.
 */
#include "model.h"

#include "accounting/subpool.h"

#include <errno.h>

const char model_name[] = "subpool";

static struct hl_subpool real;

static struct {
	int64_t max, min;
	int64_t used;
	int64_t waiting; /* pages of the minimum, set aside */
	int64_t charge;	 /* what the pool has given us, the minimum included */
	int64_t users;
} naive;
static int64_t real_charge;

static struct {
	uint64_t gets, refused, puts, handles, rounds;
} seen;

static int64_t naive_get(int64_t n)
{
	int64_t from_pool = 0;

	if (naive.max >= 0 && naive.used + n > naive.max)
		return -ENOMEM;
	for (int64_t i = 0; i < n; i++) {
		if (naive.waiting > 0)
			naive.waiting--;
		else
			from_pool++;
		naive.used++;
	}
	naive.charge += from_pool;
	return from_pool;
}

static int64_t naive_put(int64_t n)
{
	int64_t to_pool = 0;

	for (int64_t i = 0; i < n; i++) {
		naive.used--;
		if (naive.used < naive.min)
			naive.waiting++;
		else
			to_pool++;
	}
	naive.charge -= to_pool;
	return to_pool;
}

static void compare(void)
{
	model_check(hl_subpool_is_valid(&real));
	model_equal(real.used_hpages, naive.used);
	model_equal(real.rsv_hpages, naive.waiting);
	model_equal(real.users, naive.users);
	model_equal(real_charge, naive.charge);
	model_equal(
		hl_subpool_is_dead(&real), naive.users == 0 && naive.used == 0);
	/* The pool has charged what is used and what waits, nothing else. */
	model_equal(naive.charge, naive.used + naive.waiting);
}

void model_start(struct model_in *in)
{
	int64_t max = (int64_t)model_draw(in, 200) - 20;
	int64_t min = (int64_t)model_draw(in, 120) - 20;
	int expected;

	max = max < -2 ? -1 : max;
	min = min < -2 ? -1 : min;
	expected =
		max < -1 || min < -1 || (max != -1 && min > max) ? -EINVAL : 0;
	real.used_hpages = 4711;
	model_equal(hl_subpool_init(&real, max, min), expected);
	if (expected != 0) {
		model_equal(real.used_hpages, 4711);
		max = max < 0 ? -1 : max;
		min = -1;
		model_equal(hl_subpool_init(&real, max, min), 0);
	}
	naive.max = max;
	naive.min = min;
	naive.used = 0;
	naive.waiting = min > 0 ? min : 0;
	naive.charge = naive.waiting;
	naive.users = 1;
	real_charge = naive.waiting;
	seen.rounds++;
	compare();
}

static void step_handles(struct model_in *in)
{
	seen.handles++;
	if (naive.users < 3 && model_chance(in, 2)) {
		hl_subpool_open(&real);
		naive.users++;
	} else if (naive.users > 1) {
		naive.users--;
		model_equal(hl_subpool_close(&real), 0);
	}
}

void model_step(struct model_in *in)
{
	uint64_t which = model_draw(in, 16);
	int64_t n, result;

	if (which == 0) {
		step_handles(in);
	} else if (which < 9) {
		n = (int64_t)model_draw(in, model_chance(in, 8) ? 250 : 12);
		if (model_chance(in, 64))
			n = INT64_MAX - (int64_t)model_draw(in, 3);
		seen.gets++;
		result = hl_subpool_get(&real, n);
		/* Without a maximum only the number range ends it. */
		if (naive.max < 0 && n > 1000) {
			if (naive.used > INT64_MAX - n) {
				model_equal(result, -ENOMEM);
				seen.refused++;
			} else {
				model_equal(hl_subpool_put(&real, n), result);
			}
		} else {
			model_equal(result, n > 1000 ? -ENOMEM : naive_get(n));
			if (result > 0)
				real_charge += result;
			seen.refused += result < 0;
		}
	} else if (naive.used > 0) {
		n = (int64_t)model_draw(in, (uint64_t)naive.used + 1);
		seen.puts++;
		result = hl_subpool_put(&real, n);
		model_equal(result, naive_put(n));
		real_charge -= result;
	}
	compare();
}

void model_end(void)
{
	int64_t result;

	while (naive.users > 0) {
		naive.users--;
		model_equal(hl_subpool_close(&real),
			naive.users == 0 && naive.used == 0);
	}
	result = hl_subpool_put(&real, naive.used);
	model_equal(result, naive_put(naive.used));
	real_charge -= result;
	compare();
	model_check(hl_subpool_is_dead(&real));
	/* Whoever frees it gives the minimum back: the pool has all again. */
	model_equal(real_charge, real.rsv_hpages);
}

void model_summary(FILE *out)
{
	fprintf(out,
		"%lu rounds, %lu gets (%lu refused), %lu puts, %lu open or "
		"close\n",
		seen.rounds, seen.gets, seen.refused, seen.puts, seen.handles);
}
