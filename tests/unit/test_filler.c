/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/filler.c: which unit it takes from, and when one leaves. Random
 * sequences are tests/model/model_filler.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "heap/filler.h"

#include <string.h>

static struct hl_filler filler;
static struct hl_unit unit[8];

static int setup(void **state)
{
	(void)state;
	/* Heads of empty buckets are never looked at. */
	memset(&filler, 0xa5, sizeof(filler));
	hl_filler_init(&filler);
	for (unsigned i = 0; i < HL_ARRAY_SIZE(unit); i++)
		hl_unit_init(&unit[i], NULL, i);
	return 0;
}

/* A unit whose holes are all of this length, with that many runs. */
static void add(struct hl_unit *u, unsigned longest, unsigned runs)
{
	unsigned used = (unsigned)HL_UNIT_SLOTS - longest, i;

	for (i = 0; i + 1 < runs; i++)
		hl_unit_take_at(u, i, 1);
	hl_unit_take_at(u, i, used - i);
	hl_filler_add(&filler, u);
	assert_int_equal(u->longest, longest);
	assert_int_equal(u->runs, runs);
}

static void test_empty_has_nothing(void **state)
{
	struct hl_run run = {0};

	(void)state;
	assert_true(hl_filler_is_valid(&filler));
	assert_false(hl_filler_take(&filler, 1, &run));
	assert_null(run.unit);
}

static void test_zero_bytes_are_an_empty_filler(void **state)
{
	struct hl_run run;

	(void)state;
	memset(&filler, 0, sizeof(filler));
	assert_true(hl_filler_is_valid(&filler));
	assert_false(hl_filler_take(&filler, 1, &run));
	hl_filler_add(&filler, &unit[0]);
	assert_true(hl_filler_take(&filler, 1, &run));
}

static void test_shortest_longest_run_first(void **state)
{
	struct hl_run run;

	(void)state;
	add(&unit[0], 200, 40);
	add(&unit[1], 8, 2);
	add(&unit[2], 9, 90);
	assert_true(hl_filler_take(&filler, 8, &run));
	assert_ptr_equal(run.unit, &unit[1]);
	assert_true(hl_filler_take(&filler, 8, &run));
	assert_ptr_equal(run.unit, &unit[2]);
	assert_true(hl_filler_take(&filler, 8, &run));
	assert_ptr_equal(run.unit, &unit[0]);
	/* One slot is left in unit 2. */
	assert_true(hl_filler_take(&filler, 1, &run));
	assert_ptr_equal(run.unit, &unit[2]);
	assert_false(hl_filler_take(&filler, 193, &run));
	assert_true(hl_filler_is_valid(&filler));
}

static void test_most_allocations_among_equals(void **state)
{
	struct hl_run run;

	(void)state;
	add(&unit[0], 30, 2);
	add(&unit[1], 30, 70);
	add(&unit[2], 30, 9);
	add(&unit[3], 30, 1);
	assert_true(hl_filler_take(&filler, 30, &run));
	assert_ptr_equal(run.unit, &unit[1]);
	assert_true(hl_filler_take(&filler, 30, &run));
	assert_ptr_equal(run.unit, &unit[2]);
	assert_true(hl_filler_take(&filler, 30, &run));
	assert_ptr_equal(run.unit, &unit[0]);
	assert_true(hl_filler_take(&filler, 30, &run));
	assert_ptr_equal(run.unit, &unit[3]);
	assert_false(hl_filler_take(&filler, 1, &run));
}

static void test_an_empty_unit_comes_last(void **state)
{
	struct hl_run run;

	(void)state;
	hl_filler_add(&filler, &unit[0]);
	add(&unit[1], 255, 1);
	assert_true(hl_filler_take(&filler, 4, &run));
	assert_ptr_equal(run.unit, &unit[1]);
	assert_true(hl_filler_take(&filler, 255, &run));
	assert_ptr_equal(run.unit, &unit[0]);
	assert_true(run.zero);
}

static void test_the_emptied_unit_leaves(void **state)
{
	struct hl_run a, b;

	(void)state;
	hl_filler_add(&filler, &unit[0]);
	assert_int_equal(unit[0].home, HL_UNIT_FILLER);
	assert_true(hl_filler_take(&filler, 5, &a));
	assert_true(hl_filler_take(&filler, 6, &b));
	assert_int_equal(filler.used_slots, 11);
	assert_false(hl_filler_give(&filler, a.unit, a.slot, a.slots));
	assert_true(hl_filler_give(&filler, b.unit, b.slot, b.slots));
	assert_int_equal(filler.units, 0);
	assert_int_equal(filler.used_slots, 0);
	assert_int_equal(unit[0].home, HL_UNIT_UNUSED);
	assert_false(hl_list_is_linked(&unit[0].link));
	assert_false(hl_filler_take(&filler, 1, &a));
	/* It remembers how far it was written. */
	hl_filler_add(&filler, &unit[0]);
	assert_true(hl_filler_take(&filler, 1, &a));
	assert_false(a.zero);
}

static void test_a_unit_partly_used(void **state)
{
	struct hl_run run;

	(void)state;
	hl_unit_take_at(&unit[0], 0, 100);
	hl_filler_add(&filler, &unit[0]);
	assert_int_equal(filler.used_slots, 100);
	assert_true(hl_filler_take(&filler, 412, &run));
	assert_int_equal(run.slot, 100);
	assert_true(run.zero);
	/* What was there first goes first. */
	assert_false(hl_filler_give(&filler, &unit[0], 0, 100));
	assert_true(hl_filler_give(&filler, &unit[0], 100, 412));
}

static void test_aligned(void **state)
{
	struct hl_run run;

	(void)state;
	add(&unit[0], 511, 1);
	assert_true(hl_filler_take_aligned(&filler, 3, 8, &run));
	assert_int_equal(run.slot, 8);
	assert_int_equal(run.slots, 3);
	assert_int_equal(filler.used_slots, 4);
	assert_true(hl_filler_take_aligned(&filler, 200, 256, &run));
	assert_int_equal(run.slot, 256);
	/* The hole in front is as good as before. */
	assert_true(hl_filler_take(&filler, 7, &run));
	assert_int_equal(run.slot, 1);
	assert_false(hl_filler_take_aligned(&filler, 1, 512, &run));
	assert_false(hl_filler_take_aligned(&filler, 1, 1024, &run));
	hl_filler_add(&filler, &unit[1]);
	assert_true(hl_filler_take_aligned(&filler, 1, 512, &run));
	assert_ptr_equal(run.unit, &unit[1]);
	assert_int_equal(run.slot, 0);
	assert_true(hl_filler_is_valid(&filler));
}

static void test_in_place(void **state)
{
	struct hl_run a, b;

	(void)state;
	hl_filler_add(&filler, &unit[0]);
	assert_true(hl_filler_take(&filler, 10, &a));
	assert_true(hl_filler_take(&filler, 10, &b));
	assert_false(hl_filler_grow(&filler, a.unit, a.slot, 10, 11));
	assert_true(hl_filler_grow(&filler, b.unit, b.slot, 10, 502));
	assert_int_equal(filler.used_slots, 512);
	assert_false(hl_filler_take(&filler, 1, &b));
	hl_filler_shrink(&filler, a.unit, a.slot, 10, 4);
	assert_true(hl_filler_take(&filler, 6, &b));
	assert_int_equal(b.slot, 4);
	assert_true(hl_filler_is_valid(&filler));
}

static void test_taken_out_and_put_back(void **state)
{
	struct hl_run run;

	(void)state;
	add(&unit[0], 20, 3);
	add(&unit[1], 20, 3);
	hl_filler_remove(&filler, &unit[0]);
	assert_int_equal(filler.units, 1);
	assert_int_equal(filler.used_slots, 492);
	assert_true(hl_filler_take(&filler, 20, &run));
	assert_ptr_equal(run.unit, &unit[1]);
	assert_false(hl_filler_take(&filler, 20, &run));
	hl_filler_add(&filler, &unit[0]);
	assert_true(hl_filler_take(&filler, 20, &run));
	assert_ptr_equal(run.unit, &unit[0]);
}

static void test_validity_notices_damage(void **state)
{
	(void)state;
	add(&unit[0], 20, 3);
	assert_true(hl_filler_is_valid(&filler));
	filler.units++;
	assert_false(hl_filler_is_valid(&filler));
	filler.units--;
	filler.used_slots--;
	assert_false(hl_filler_is_valid(&filler));
	filler.used_slots++;
	filler.densities[20] = 0;
	assert_false(hl_filler_is_valid(&filler));
	filler.densities[20] = 1u << 2;
	assert_true(hl_filler_is_valid(&filler));
	unit[0].runs = 4;
	assert_false(hl_filler_is_valid(&filler));
	unit[0].runs = 3;
	unit[0].home = HL_UNIT_CACHED;
	assert_false(hl_filler_is_valid(&filler));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_empty_has_nothing),
		TEST(test_zero_bytes_are_an_empty_filler),
		TEST(test_shortest_longest_run_first),
		TEST(test_most_allocations_among_equals),
		TEST(test_an_empty_unit_comes_last),
		TEST(test_the_emptied_unit_leaves),
		TEST(test_a_unit_partly_used),
		TEST(test_aligned),
		TEST(test_in_place),
		TEST(test_taken_out_and_put_back),
		TEST(test_validity_notices_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
