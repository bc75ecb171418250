/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/hcache.c: how many units stay, how long, and which go first. Random
 * sequences are tests/model/model_hcache.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "heap/hcache.h"

#define DECAY 500u

static struct hl_hcache cache;
static struct hl_unit unit[8];

static int setup(void **state)
{
	(void)state;
	hl_hcache_init(&cache, DECAY, 1000);
	for (unsigned i = 0; i < HL_ARRAY_SIZE(unit); i++)
		hl_unit_init(&unit[i], NULL, i);
	return 0;
}

static void test_newest_first_out(void **state)
{
	(void)state;
	assert_null(hl_hcache_get(&cache, 1000));
	hl_hcache_used(&cache, 2, 1000);
	hl_hcache_put(&cache, &unit[0], 1001);
	hl_hcache_put(&cache, &unit[1], 1002);
	assert_int_equal(unit[1].home, HL_UNIT_CACHED);
	assert_int_equal(cache.in_use, 0);
	assert_ptr_equal(hl_hcache_get(&cache, 1003), &unit[1]);
	assert_int_equal(unit[1].home, HL_UNIT_UNUSED);
	assert_ptr_equal(hl_hcache_get(&cache, 1003), &unit[0]);
	assert_null(hl_hcache_get(&cache, 1003));
	assert_int_equal(cache.in_use, 2);
	assert_true(hl_hcache_is_valid(&cache));
}

static void test_never_older_than_two_periods(void **state)
{
	(void)state;
	hl_hcache_used(&cache, 2, 1000);
	hl_hcache_put(&cache, &unit[0], 1400);
	hl_hcache_put(&cache, &unit[1], 1450);
	/* The swing of the period that is over still covers both. */
	assert_null(hl_hcache_expire(&cache, 1999, false));
	/* Nothing happened since 1500: now they are too many... */
	assert_ptr_equal(hl_hcache_expire(&cache, 2000, false), &unit[0]);
	assert_ptr_equal(hl_hcache_expire(&cache, 2000, false), &unit[1]);
	assert_null(hl_hcache_expire(&cache, 2000, false));

	/* ... and with a swing that covers it, one is too old. */
	hl_hcache_used(&cache, 3, 2000);
	hl_hcache_put(&cache, &unit[0], 2010);
	hl_hcache_used(&cache, 5, 2600);
	for (unsigned i = 1; i < 5; i++)
		hl_hcache_put(&cache, &unit[i], 2600);
	assert_null(hl_hcache_expire(&cache, 3009, false));
	assert_ptr_equal(hl_hcache_expire(&cache, 3010, false), &unit[0]);
}

static void test_no_more_than_the_swing(void **state)
{
	(void)state;
	hl_hcache_used(&cache, 7, 1000);
	/* Steady at 7 for two periods. */
	hl_hcache_used(&cache, 0, 1600);
	hl_hcache_used(&cache, 0, 2100);
	hl_hcache_put(&cache, &unit[0], 2110);
	hl_hcache_put(&cache, &unit[1], 2120);
	hl_hcache_put(&cache, &unit[2], 2130);
	/* It swung by 3 in this period. */
	assert_null(hl_hcache_expire(&cache, 2140, false));
	assert_ptr_equal(hl_hcache_get(&cache, 2150), &unit[2]);
	assert_ptr_equal(hl_hcache_get(&cache, 2150), &unit[1]);
	/* Next period: in use goes from 6 to 5; the last swing was 3. */
	hl_hcache_put(&cache, &unit[1], 2600);
	assert_null(hl_hcache_expire(&cache, 2600, false));
	/* The one after: swing 0 so far, 1 in the last. */
	assert_ptr_equal(hl_hcache_expire(&cache, 3050, false), &unit[0]);
	assert_null(hl_hcache_expire(&cache, 3050, false));
	assert_ptr_equal(hl_hcache_expire(&cache, 3600, false), &unit[1]);
}

static void test_trim_takes_all(void **state)
{
	(void)state;
	hl_hcache_used(&cache, 2, 1000);
	hl_hcache_put(&cache, &unit[0], 1001);
	hl_hcache_put(&cache, &unit[1], 1002);
	assert_null(hl_hcache_expire(&cache, 1003, false));
	assert_ptr_equal(hl_hcache_expire(&cache, 1003, true), &unit[0]);
	assert_ptr_equal(hl_hcache_expire(&cache, 1003, true), &unit[1]);
	assert_null(hl_hcache_expire(&cache, 1003, true));
}

static void test_no_decay_keeps_nothing(void **state)
{
	(void)state;
	hl_hcache_init(&cache, 0, 1000);
	hl_hcache_used(&cache, 1, 1000);
	hl_hcache_put(&cache, &unit[0], 1000);
	assert_ptr_equal(hl_hcache_expire(&cache, 1000, false), &unit[0]);
	assert_true(hl_hcache_is_valid(&cache));
}

static void test_times_out_of_order(void **state)
{
	(void)state;
	hl_hcache_used(&cache, 2, 1200);
	hl_hcache_put(&cache, &unit[0], 1300);
	hl_hcache_put(&cache, &unit[1], 1290);
	assert_int_equal(unit[1].cached_ms, 1300);
	assert_null(hl_hcache_expire(&cache, 900, false));
	assert_true(hl_hcache_is_valid(&cache));
}

static void test_validity_notices_damage(void **state)
{
	(void)state;
	hl_hcache_used(&cache, 2, 1000);
	hl_hcache_put(&cache, &unit[0], 1001);
	hl_hcache_put(&cache, &unit[1], 1002);
	assert_true(hl_hcache_is_valid(&cache));
	unit[0].cached_ms = 1003;
	assert_false(hl_hcache_is_valid(&cache));
	unit[0].cached_ms = 1001;
	unit[0].home = HL_UNIT_FILLER;
	assert_false(hl_hcache_is_valid(&cache));
	unit[0].home = HL_UNIT_CACHED;
	cache.count++;
	assert_false(hl_hcache_is_valid(&cache));
	cache.count--;
	cache.high = 0;
	cache.in_use = 1;
	assert_false(hl_hcache_is_valid(&cache));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_newest_first_out),
		TEST(test_never_older_than_two_periods),
		TEST(test_no_more_than_the_swing),
		TEST(test_trim_takes_all),
		TEST(test_no_decay_keeps_nothing),
		TEST(test_times_out_of_order),
		TEST(test_validity_notices_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
