/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/straddle.c: where a block goes, and which units it brings into use
 * or out of it. Random sequences are tests/model/model_straddle.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "heap/straddle.h"

#include <string.h>

static struct hl_straddle straddle;
static struct hl_tract *bucket[HL_STRADDLE_BUCKETS];
static struct hl_tract tract[3];

static int setup(void **state)
{
	(void)state;
	memset(&straddle, 0xa5, sizeof(straddle));
	memset(tract, 0, sizeof(tract));
	hl_straddle_init(&straddle, bucket);
	for (unsigned i = 0; i < HL_ARRAY_SIZE(tract); i++)
		tract[i].units = HL_TRACT_UNITS;
	return 0;
}

#define check_units(run, from, to)                          \
	do {                                                \
		assert_int_equal((run)->from_unit, (from)); \
		assert_int_equal((run)->to_unit, (to));     \
	} while (0)

#define check_no_units(run) assert_true((run)->from_unit >= (run)->to_unit)

static void test_back_to_back(void **state)
{
	struct hl_straddle_run run;

	(void)state;
	assert_false(hl_straddle_take(&straddle, 282, &run));
	hl_straddle_add(&straddle, &tract[0]);
	/* 1.1 MiB each: 20 of them want 11.02 units, and take 12. */
	for (unsigned i = 0; i < 20; i++) {
		assert_true(hl_straddle_take(&straddle, 282, &run));
		assert_int_equal(run.slot, i * 282);
		assert_ptr_equal(run.tract, &tract[0]);
	}
	check_units(&run, 11, 12);
	assert_int_equal(straddle.used_slots, 20 * 282);
	assert_int_equal(tract[0].longest, HL_TRACT_SLOTS - 20 * 282);
	assert_true(hl_straddle_is_valid(&straddle));
}

static void test_units_come_and_go(void **state)
{
	struct hl_straddle_run a, b, c;

	(void)state;
	hl_straddle_add(&straddle, &tract[0]);
	assert_true(hl_straddle_take(&straddle, 600, &a));
	check_units(&a, 0, 2);
	assert_true(hl_straddle_take(&straddle, 400, &b));
	check_no_units(&b);
	assert_true(hl_straddle_take(&straddle, 1600, &c));
	check_units(&c, 2, 6);
	/* Its units are shared on both sides. */
	assert_false(hl_straddle_give(&straddle, b.tract, b.slot, 400, &b));
	check_no_units(&b);
	assert_false(hl_straddle_give(&straddle, a.tract, a.slot, 600, &a));
	check_units(&a, 0, 1);
	assert_true(hl_straddle_give(&straddle, c.tract, c.slot, 1600, &c));
	check_units(&c, 1, 6);
	assert_int_equal(straddle.used_slots, 0);
	hl_straddle_remove(&straddle, &tract[0]);
	assert_int_equal(straddle.tract_count, 0);
	assert_false(hl_straddle_take(&straddle, 1, &a));
}

static void test_units_in_use_before_small_holes(void **state)
{
	struct hl_straddle_run run, hole, wall;

	(void)state;
	hl_straddle_add(&straddle, &tract[0]);
	/* unit 0 is full; then a hole of exactly units 1 and 2 */
	assert_true(hl_straddle_take(&straddle, 512, &run));
	assert_true(hl_straddle_take(&straddle, 1024, &hole));
	assert_true(hl_straddle_take(&straddle, 200, &wall));
	assert_int_equal(wall.slot, 1536);
	hl_straddle_give(&straddle, hole.tract, hole.slot, 1024, &hole);
	check_units(&hole, 1, 3);
	/* The exact hole would bring two; behind the wall it is one less. */
	assert_true(hl_straddle_take(&straddle, 824, &run));
	assert_int_equal(run.slot, 1736);
	check_units(&run, 4, 5);
}

static void test_the_end_that_shares(void **state)
{
	struct hl_straddle_run head, hole, wall, run;

	(void)state;
	hl_straddle_add(&straddle, &tract[0]);
	assert_true(hl_straddle_take(&straddle, 512, &head));
	assert_true(hl_straddle_take(&straddle, 600, &hole));
	assert_true(hl_straddle_take(&straddle, 15272, &wall));
	hl_straddle_give(&straddle, hole.tract, hole.slot, 600, &hole);
	/* The hole is 512..1112; unit 2 is in use by the wall, unit 1 is not.
	 */
	assert_true(hl_straddle_take(&straddle, 60, &run));
	assert_int_equal(run.slot, 1052);
	check_no_units(&run);
}

static void test_tightest_tract(void **state)
{
	struct hl_straddle_run run;

	(void)state;
	tract[1].units = 3;
	tract[2].units = 2;
	for (unsigned i = 0; i < 3; i++)
		hl_straddle_add(&straddle, &tract[i]);
	assert_true(hl_straddle_take(&straddle, 800, &run));
	assert_ptr_equal(run.tract, &tract[2]);
	assert_true(hl_straddle_take(&straddle, 800, &run));
	assert_ptr_equal(run.tract, &tract[1]);
	assert_true(hl_straddle_take(&straddle, 224, &run));
	assert_ptr_equal(run.tract, &tract[2]);
	assert_int_equal(tract[2].longest, 0);
	assert_true(hl_straddle_take(&straddle, 800, &run));
	assert_ptr_equal(run.tract, &tract[0]);
	assert_true(hl_straddle_is_valid(&straddle));
}

static void test_a_small_tract_ends_where_it_ends(void **state)
{
	struct hl_straddle_run run;

	(void)state;
	tract[0].units = 2;
	hl_straddle_add(&straddle, &tract[0]);
	assert_int_equal(tract[0].longest, 1024);
	assert_false(hl_straddle_take(&straddle, 1025, &run));
	assert_true(hl_straddle_take(&straddle, 1000, &run));
	assert_false(
		hl_straddle_grow(&straddle, &tract[0], 0, 1000, 1025, &run));
	assert_true(
		hl_straddle_grow(&straddle, &tract[0], 0, 1000, 1024, &run));
	assert_int_equal(tract[0].longest, 0);
}

static void test_in_place(void **state)
{
	struct hl_straddle_run a, b, run;

	(void)state;
	hl_straddle_add(&straddle, &tract[0]);
	assert_true(hl_straddle_take(&straddle, 400, &a));
	assert_true(
		hl_straddle_grow(&straddle, a.tract, a.slot, 400, 400, &run));
	check_no_units(&run);
	assert_true(
		hl_straddle_grow(&straddle, a.tract, a.slot, 400, 512, &run));
	check_no_units(&run);
	assert_true(
		hl_straddle_grow(&straddle, a.tract, a.slot, 512, 2000, &run));
	check_units(&run, 1, 4);
	assert_int_equal(run.slots, 2000);
	assert_true(hl_straddle_take(&straddle, 200, &b));
	assert_int_equal(b.slot, 2000);
	assert_false(
		hl_straddle_grow(&straddle, a.tract, a.slot, 2000, 2001, &run));
	hl_straddle_shrink(&straddle, a.tract, a.slot, 2000, 513, &run);
	check_units(&run, 2, 3);
	hl_straddle_shrink(&straddle, a.tract, a.slot, 513, 513, &run);
	check_no_units(&run);
	hl_straddle_shrink(&straddle, a.tract, a.slot, 513, 1, &run);
	check_units(&run, 1, 2);
	assert_true(hl_straddle_is_valid(&straddle));
	assert_int_equal(straddle.used_slots, 201);
}

static void test_validity_notices_damage(void **state)
{
	struct hl_straddle_run run;

	(void)state;
	hl_straddle_add(&straddle, &tract[0]);
	assert_true(hl_straddle_take(&straddle, 600, &run));
	assert_true(hl_straddle_is_valid(&straddle));
	tract[0].unit_used[1]++;
	assert_false(hl_straddle_is_valid(&straddle));
	tract[0].unit_used[1]--;
	tract[0].used[200] = 1;
	assert_false(hl_straddle_is_valid(&straddle));
	tract[0].used[200] = 0;
	straddle.used_slots++;
	assert_false(hl_straddle_is_valid(&straddle));
	straddle.used_slots--;
	tract[0].longest--;
	assert_false(hl_straddle_is_valid(&straddle));
	tract[0].longest++;
	assert_true(hl_straddle_is_valid(&straddle));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_back_to_back),
		TEST(test_units_come_and_go),
		TEST(test_units_in_use_before_small_holes),
		TEST(test_the_end_that_shares),
		TEST(test_tightest_tract),
		TEST(test_a_small_tract_ends_where_it_ends),
		TEST(test_in_place),
		TEST(test_validity_notices_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
