/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/accounting/subpool.c: what each promise of the header is worth, one case
 * each. Random sequences are tests/model/model_subpool.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "accounting/subpool.h"

#include <errno.h>

static void test_init_refuses_nonsense(void **state)
{
	struct hl_subpool sp = {.used_hpages = 7};

	(void)state;
	assert_int_equal(hl_subpool_init(&sp, -2, -1), -EINVAL);
	assert_int_equal(hl_subpool_init(&sp, -1, -2), -EINVAL);
	assert_int_equal(hl_subpool_init(&sp, 4, 5), -EINVAL);
	assert_int_equal(hl_subpool_init(&sp, 0, 1), -EINVAL);
	assert_int_equal(sp.used_hpages, 7);
	assert_int_equal(hl_subpool_init(&sp, 4, 4), 0);
	assert_int_equal(hl_subpool_init(&sp, -1, 5), 0);
	assert_int_equal(sp.used_hpages, 0);
	assert_int_equal(sp.rsv_hpages, 5);
}

static void test_no_limits_passes_all_to_the_pool(void **state)
{
	struct hl_subpool sp;

	(void)state;
	assert_int_equal(hl_subpool_init(&sp, -1, -1), 0);
	assert_int_equal(hl_subpool_get(&sp, 0), 0);
	assert_int_equal(hl_subpool_get(&sp, 1000), 1000);
	assert_int_equal(hl_subpool_put(&sp, 400), 400);
	assert_int_equal(sp.used_hpages, 600);
	/* The sum must not wrap. */
	assert_int_equal(hl_subpool_get(&sp, INT64_MAX), -ENOMEM);
	assert_int_equal(sp.used_hpages, 600);
}

static void test_max_is_a_wall(void **state)
{
	struct hl_subpool sp;

	(void)state;
	assert_int_equal(hl_subpool_init(&sp, 8, -1), 0);
	assert_int_equal(hl_subpool_get(&sp, 9), -ENOMEM);
	assert_int_equal(hl_subpool_get(&sp, 8), 8);
	assert_int_equal(hl_subpool_get(&sp, 1), -ENOMEM);
	assert_int_equal(hl_subpool_get(&sp, 0), 0);
	assert_int_equal(sp.used_hpages, 8);
	assert_int_equal(hl_subpool_put(&sp, 1), 1);
	assert_int_equal(hl_subpool_get(&sp, 1), 1);
}

static void test_max_zero_gives_nothing(void **state)
{
	struct hl_subpool sp;

	(void)state;
	assert_int_equal(hl_subpool_init(&sp, 0, -1), 0);
	assert_int_equal(hl_subpool_get(&sp, 1), -ENOMEM);
	assert_int_equal(hl_subpool_get(&sp, 0), 0);
}

static void test_min_pays_first(void **state)
{
	struct hl_subpool sp;

	(void)state;
	assert_int_equal(hl_subpool_init(&sp, -1, 10), 0);
	assert_int_equal(hl_subpool_get(&sp, 4), 0);
	assert_int_equal(sp.rsv_hpages, 6);
	/* Half from what is left of the minimum. */
	assert_int_equal(hl_subpool_get(&sp, 12), 6);
	assert_int_equal(sp.rsv_hpages, 0);
	assert_int_equal(hl_subpool_get(&sp, 3), 3);
}

static void test_put_refills_min_last(void **state)
{
	struct hl_subpool sp;

	(void)state;
	assert_int_equal(hl_subpool_init(&sp, 20, 10), 0);
	assert_int_equal(hl_subpool_get(&sp, 15), 5);
	assert_int_equal(hl_subpool_put(&sp, 3), 3);
	/* 12 used: two leave, the other four wait for the minimum. */
	assert_int_equal(hl_subpool_put(&sp, 6), 2);
	assert_int_equal(sp.rsv_hpages, 4);
	assert_int_equal(hl_subpool_put(&sp, 6), 0);
	assert_int_equal(sp.rsv_hpages, 10);
}

static void test_refused_get_leaves_min_alone(void **state)
{
	struct hl_subpool sp;

	(void)state;
	assert_int_equal(hl_subpool_init(&sp, 10, 6), 0);
	assert_int_equal(hl_subpool_get(&sp, 11), -ENOMEM);
	assert_int_equal(sp.rsv_hpages, 6);
	assert_int_equal(sp.used_hpages, 0);
}

static void test_last_of_pages_and_handles_ends_it(void **state)
{
	struct hl_subpool sp;

	(void)state;
	assert_int_equal(hl_subpool_init(&sp, 4, 2), 0);
	hl_subpool_open(&sp);
	assert_int_equal(hl_subpool_get(&sp, 1), 0);
	assert_false(hl_subpool_close(&sp));
	assert_false(hl_subpool_close(&sp));
	assert_false(hl_subpool_is_dead(&sp));
	assert_int_equal(hl_subpool_put(&sp, 1), 0);
	assert_true(hl_subpool_is_dead(&sp));
	/* What the freeing caller gives back to the pool. */
	assert_int_equal(sp.rsv_hpages, 2);
}

static void test_last_handle_ends_it_when_nothing_is_out(void **state)
{
	struct hl_subpool sp;

	(void)state;
	assert_int_equal(hl_subpool_init(&sp, -1, -1), 0);
	assert_true(hl_subpool_close(&sp));
}

static void test_validity_notices_damage(void **state)
{
	struct hl_subpool sp;

	(void)state;
	assert_int_equal(hl_subpool_init(&sp, 8, 4), 0);
	assert_true(hl_subpool_is_valid(&sp));
	sp.rsv_hpages = 3;
	assert_false(hl_subpool_is_valid(&sp));
	sp.used_hpages = 1;
	assert_true(hl_subpool_is_valid(&sp));
	sp.used_hpages = 9;
	sp.rsv_hpages = 0;
	assert_false(hl_subpool_is_valid(&sp));
	sp.used_hpages = -1;
	assert_false(hl_subpool_is_valid(&sp));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_refuses_nonsense),
		cmocka_unit_test(test_no_limits_passes_all_to_the_pool),
		cmocka_unit_test(test_max_is_a_wall),
		cmocka_unit_test(test_max_zero_gives_nothing),
		cmocka_unit_test(test_min_pays_first),
		cmocka_unit_test(test_put_refills_min_last),
		cmocka_unit_test(test_refused_get_leaves_min_alone),
		cmocka_unit_test(test_last_of_pages_and_handles_ends_it),
		cmocka_unit_test(test_last_handle_ends_it_when_nothing_is_out),
		cmocka_unit_test(test_validity_notices_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
