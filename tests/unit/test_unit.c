/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/unit.c: where a run goes, what stays zero, what validity notices.
 * Random sequences are tests/model/model_unit.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "heap/unit.h"

static void test_empty(void **state)
{
	struct hl_unit unit;

	(void)state;
	hl_unit_init(&unit, NULL, 3);
	assert_int_equal(HL_UNIT_SLOTS, 512);
	assert_int_equal(unit.longest, HL_UNIT_SLOTS);
	assert_int_equal(unit.used_slots, 0);
	assert_int_equal(unit.runs, 0);
	assert_int_equal(unit.fresh_from, 0);
	assert_int_equal(unit.home, HL_UNIT_UNUSED);
	assert_false(hl_list_is_linked(&unit.link));
	assert_true(hl_unit_is_valid(&unit));
}

static void test_whole(void **state)
{
	struct hl_unit unit;
	bool zero = false;

	(void)state;
	hl_unit_init(&unit, NULL, 0);
	assert_int_equal(hl_unit_take(&unit, HL_UNIT_SLOTS, &zero), 0);
	assert_true(zero);
	assert_int_equal(unit.longest, 0);
	assert_int_equal(unit.used_slots, HL_UNIT_SLOTS);
	assert_false(hl_unit_grow(&unit, 0, HL_UNIT_SLOTS, HL_UNIT_SLOTS + 1));
	hl_unit_give(&unit, 0, HL_UNIT_SLOTS);
	assert_int_equal(unit.longest, HL_UNIT_SLOTS);
	assert_int_equal(hl_unit_take(&unit, 1, &zero), 0);
	assert_false(zero);
}

/* Holes of 10 at 0, of 4 at 60 (across two words), the rest at 456. */
static void with_holes(struct hl_unit *unit)
{
	hl_unit_init(unit, NULL, 0);
	hl_unit_take_at(unit, 10, 50);
	hl_unit_take_at(unit, 64, 392);
}

static void test_smallest_hole_that_fits(void **state)
{
	struct hl_unit unit;
	bool zero;

	(void)state;
	with_holes(&unit);
	assert_int_equal(unit.longest, 56);
	assert_int_equal(hl_unit_take(&unit, 3, &zero), 60);
	assert_int_equal(hl_unit_take(&unit, 1, &zero), 63);
	assert_int_equal(hl_unit_take(&unit, 2, &zero), 0);
	assert_int_equal(unit.longest, 56);
	assert_int_equal(hl_unit_take(&unit, 9, &zero), 456);
	assert_int_equal(unit.longest, 47);
	assert_int_equal(unit.runs, 6);
	assert_true(hl_unit_is_valid(&unit));
}

static void test_longest_when_the_longest_is_taken(void **state)
{
	struct hl_unit unit;
	bool zero;

	(void)state;
	with_holes(&unit);
	assert_int_equal(hl_unit_take(&unit, 56, &zero), 456);
	assert_int_equal(unit.longest, 10);
	assert_int_equal(hl_unit_take(&unit, 10, &zero), 0);
	assert_int_equal(unit.longest, 4);
	assert_int_equal(hl_unit_take(&unit, 4, &zero), 60);
	assert_int_equal(unit.longest, 0);
}

static void test_what_was_never_handed_out_is_zero(void **state)
{
	struct hl_unit unit;
	bool zero;
	unsigned a, b;

	(void)state;
	hl_unit_init(&unit, NULL, 0);
	a = hl_unit_take(&unit, 8, &zero);
	assert_true(zero);
	b = hl_unit_take(&unit, 8, &zero);
	assert_true(zero);
	hl_unit_give(&unit, a, 8);
	hl_unit_take(&unit, 8, &zero);
	assert_false(zero);
	hl_unit_give(&unit, b, 8);
	/* Starts in what was used and ends in what was not. */
	assert_int_equal(hl_unit_take(&unit, 100, &zero), 8);
	assert_false(zero);
	assert_int_equal(hl_unit_take(&unit, 1, &zero), 108);
	assert_true(zero);
}

static void test_give_joins_holes(void **state)
{
	struct hl_unit unit;

	(void)state;
	with_holes(&unit);
	hl_unit_give(&unit, 10, 50);
	assert_int_equal(unit.longest, 64);
	hl_unit_give(&unit, 64, 392);
	assert_int_equal(unit.longest, HL_UNIT_SLOTS);
	assert_int_equal(unit.runs, 0);
}

static void test_in_place(void **state)
{
	struct hl_unit unit;

	(void)state;
	with_holes(&unit);
	assert_true(hl_unit_grow(&unit, 10, 50, 50));
	assert_false(hl_unit_grow(&unit, 10, 50, 55));
	assert_int_equal(unit.used_slots, 442);
	assert_true(hl_unit_grow(&unit, 10, 50, 54));
	assert_int_equal(unit.used_slots, 446);
	assert_false(hl_unit_grow(&unit, 64, 392, 449));
	assert_true(hl_unit_grow(&unit, 64, 392, 448));
	assert_int_equal(unit.longest, 10);
	hl_unit_shrink(&unit, 64, 448, 428);
	assert_int_equal(unit.longest, 20);
	hl_unit_give(&unit, 10, 54);
	assert_int_equal(unit.longest, 64);
	assert_int_equal(unit.runs, 1);
	hl_unit_give(&unit, 64, 428);
	assert_int_equal(unit.longest, HL_UNIT_SLOTS);
	assert_true(hl_unit_is_valid(&unit));
}

static void test_aligned(void **state)
{
	struct hl_unit unit;
	unsigned slot;
	bool zero;

	(void)state;
	with_holes(&unit);
	/* The hole of 4 begins at 60, the one of 10 at 0. */
	assert_true(hl_unit_take_aligned(&unit, 2, 4, &slot, &zero));
	assert_int_equal(slot, 60);
	assert_false(zero);
	assert_true(hl_unit_take_aligned(&unit, 2, 8, &slot, &zero));
	assert_int_equal(slot, 0);
	assert_true(hl_unit_take_aligned(&unit, 2, 8, &slot, &zero));
	assert_int_equal(slot, 8);
	assert_true(hl_unit_take_aligned(&unit, 20, 32, &slot, &zero));
	assert_int_equal(slot, 480);
	assert_true(zero);
	assert_false(hl_unit_take_aligned(&unit, 20, 32, &slot, &zero));
	assert_true(hl_unit_is_valid(&unit));
}

static void test_validity_notices_damage(void **state)
{
	struct hl_unit unit;

	(void)state;
	with_holes(&unit);
	assert_true(hl_unit_is_valid(&unit));
	unit.longest++;
	assert_false(hl_unit_is_valid(&unit));
	with_holes(&unit);
	unit.used[0] ^= 1;
	assert_false(hl_unit_is_valid(&unit));
	with_holes(&unit);
	unit.used_slots--;
	assert_false(hl_unit_is_valid(&unit));
	with_holes(&unit);
	unit.runs = 0;
	assert_false(hl_unit_is_valid(&unit));
	with_holes(&unit);
	unit.fresh_from = 199;
	assert_false(hl_unit_is_valid(&unit));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_smallest_hole_that_fits),
		cmocka_unit_test(test_longest_when_the_longest_is_taken),
		cmocka_unit_test(test_what_was_never_handed_out_is_zero),
		cmocka_unit_test(test_give_joins_holes),
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_validity_notices_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
