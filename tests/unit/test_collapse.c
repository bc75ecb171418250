/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/backing/collapse.c: which units are joined after a fork, or as they are
 * filled, when, and when it is given up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#include "backing/area_internal.h"
#include "base/lock.h"
#include "base/opt.h"

#include <errno.h>
#include <string.h>

#define UNITS 6u

static struct hl_area *area;

static char *unit(size_t u)
{
	return hl_unit_addr(area, u);
}

/* Lets time pass and calls as the heap would, n times. */
static void tick(unsigned n)
{
	while (n-- > 0) {
		fake.now_ms += 10;
		hl_collapse_tick(fake.now_ms);
	}
}

static unsigned looks(unsigned ticks)
{
	unsigned before = fake.calls[FAKE_PAGEMAP];

	tick(ticks);
	return fake.calls[FAKE_PAGEMAP] - before;
}

static void fork_here(void)
{
	hl_backing_fork_prepare();
	hl_backing_fork_parent();
}

static int setup(void **state)
{
	struct hl_want want = {.thp = true, .node = -1};
	struct hl_got got;

	fake_setup(state);
	hl_opt.fork_mode = HL_FORK_CONVERT;
	assert_int_equal(hl_area_open(UNITS, 0, false, &area), 0);
	assert_int_equal(hl_area_commit(area, 0, UNITS, &want, &got), 0);
	assert_int_equal(got.units[HL_BACKING_THP], UNITS);
	memset(unit(0), 1, UNITS * HL_UNIT_BYTES);
	return 0;
}

static int teardown(void **state)
{
	/* Whatever the test left expected ends here. */
	fake_refuse_all(FAKE_PAGEMAP, 1, 0);
	fake_refuse_all(FAKE_MADVISE, 1, 0);
	for (size_t u = 0; u < UNITS; u++)
		if (fake_is_split(unit(u)))
			fake_whole(unit(u));
	tick(2000);
	hl_area_release(area, 0, UNITS);
	hl_area_close(area);
	return fake_teardown(state);
}

/* ---- what is joined ---- */

static void test_nothing_without_fork(void **state)
{
	(void)state;
	fake_split(unit(0), false);
	assert_int_equal(looks(1000), 0);
	assert_true(fake_is_split(unit(0)));
}

static void test_joined_and_done(void **state)
{
	(void)state;
	fork_here();
	fake_split(unit(1), false);
	fake_split(unit(5), false);
	tick(100);
	assert_false(fake_is_split(unit(1)));
	assert_false(fake_is_split(unit(5)));
	/* One pass was enough: nobody looks again until the next fork. */
	assert_int_equal(looks(1000), 0);
}

static void test_in_the_child(void **state)
{
	(void)state;
	hl_backing_fork_prepare();
	hl_lock_reset_ranks();
	hl_backing_fork_child();
	fake_split(unit(2), false);
	tick(100);
	assert_false(fake_is_split(unit(2)));
}

static void test_shared_waits(void **state)
{
	(void)state;
	fork_here();
	fake_split(unit(3), true);
	fake_split(unit(4), false);
	tick(300);
	assert_true(fake_is_split(unit(3)));
	assert_false(fake_is_split(unit(4)));
	fake_whole(unit(3));
	tick(1000);
	assert_false(fake_is_split(unit(3)));
	assert_int_equal(looks(1000), 0);
}

/* The longer another process shares, the more seldom is looked. */
static void test_looks_seldom(void **state)
{
	unsigned first, later;

	(void)state;
	fork_here();
	fake_split(unit(0), true);
	first = looks(200);
	tick(2000);
	later = looks(200);
	assert_true(first > 0);
	assert_true(later < first);
}

static void test_absent_pages(void **state)
{
	struct hl_want want = {.thp = true, .lazy = true, .node = -1};
	struct hl_got got;

	(void)state;
	hl_area_release(area, 0, 1);
	/* No THP at the first touch: base pages, the rest not there. */
	fake.thps = 0;
	assert_int_equal(hl_area_commit(area, 0, 1, &want, &got), 0);
	assert_int_equal(got.units[HL_BACKING_LAZY], 1);
	unit(0)[0] = 1;
	fork_here();
	fake_split(unit(0), false);
	tick(200);
	assert_true(fake_is_split(unit(0)));
}

static void test_pool_pages_are_not_looked_at(void **state)
{
	struct hl_want want = {.page_bytes = FAKE_HUGE, .node = -1};
	struct hl_got got;

	(void)state;
	hl_area_release(area, 0, UNITS);
	fake.pool[0] = UNITS;
	fake_publish();
	assert_int_equal(hl_area_commit(area, 0, UNITS, &want, &got), 0);
	fake.pool[0] = 2 * UNITS;
	fake_publish();
	fork_here();
	assert_int_equal(looks(200), 0);
}

/* ---- given up ---- */

static void test_no_thp(void **state)
{
	(void)state;
	fake_publish_thp("always madvise [never]\n");
	hl_supply_forget();
	fake.now_ms += 10000;
	fork_here();
	fake_split(unit(0), false);
	assert_int_equal(looks(100), 0);
	assert_true(fake_is_split(unit(0)));
}

static void test_older_kernel(void **state)
{
	(void)state;
	fork_here();
	fake_split(unit(0), false);
	fake_refuse_all(FAKE_MADVISE, 1, -EINVAL);
	tick(100);
	assert_int_equal(looks(100), 0);
	/* The next fork tries again. */
	fake_refuse_all(FAKE_MADVISE, 1, 0);
	fork_here();
	tick(100);
	assert_false(fake_is_split(unit(0)));
}

static void test_busy_unit_is_passed_by(void **state)
{
	(void)state;
	fork_here();
	fake_split(unit(0), false);
	fake_split(unit(1), false);
	fake_refuse(FAKE_MADVISE, 1, -EAGAIN);
	tick(100);
	assert_true(fake_is_split(unit(0)));
	assert_false(fake_is_split(unit(1)));
}

/* It answers like an older kernel, and is no reason to stop. */
static void test_released_meanwhile(void **state)
{
	(void)state;
	fork_here();
	fake_split(unit(0), false);
	fake_split(unit(1), false);
	fake_refuse(FAKE_MADVISE, 1, -EINVAL);
	tick(100);
	assert_true(fake_is_split(unit(0)));
	assert_false(fake_is_split(unit(1)));
}

static void test_no_huge_page(void **state)
{
	(void)state;
	fork_here();
	fake_split(unit(0), false);
	fake_split(unit(1), false);
	fake_refuse(FAKE_MADVISE, 1, -ENOMEM);
	tick(100);
	assert_true(fake_is_split(unit(0)));
	assert_true(fake_is_split(unit(1)));
}

static void test_no_proc(void **state)
{
	(void)state;
	fork_here();
	fake_split(unit(0), false);
	fake_refuse_all(FAKE_PAGEMAP, 1, -ENOENT);
	tick(100);
	assert_true(fake_is_split(unit(0)));
	assert_int_equal(looks(100), 0);
}

/* ---- base units ---- */

/* Units 4 and 5 on base pages, the first percent% of each touched. */
static void use_base(unsigned percent)
{
	struct hl_want want = {.lazy = true, .node = -1};
	struct hl_got got;

	hl_area_release(area, 4, UNITS);
	assert_int_equal(hl_area_commit(area, 4, UNITS, &want, &got), 0);
	assert_int_equal(got.units[HL_BACKING_BASE], 2);
	for (size_t u = 4; u < UNITS; u++)
		memset(unit(u), 1, HL_UNIT_BYTES * percent / 100);
}

static bool is_huge(size_t u)
{
	return hl_area_kind(area, u) == HL_BACKING_LAZY &&
	       fake_is_advised(unit(u), HL_UNIT_BYTES);
}

static void test_filled_base_units(void **state)
{
	(void)state;
	use_base(51);
	tick(100);
	assert_true(hl_area_is_base(area, 4));
	hl_collapse_expect_base();
	tick(100);
	assert_true(hl_area_is_base(area, 4));
	memset(unit(5), 1, HL_UNIT_BYTES * 2 / 3);
	tick(1000);
	assert_true(hl_area_is_base(area, 4));
	assert_true(is_huge(5));
	/* The other THPs were no reason to look. */
	assert_int_equal(fake.calls[FAKE_PAGEMAP], 0);
}

/* In the end they are looked at every 8 seconds; new ones at once. */
static void test_new_base_units(void **state)
{
	(void)state;
	use_base(10);
	hl_collapse_expect_base();
	tick(6000);
	memset(unit(4), 1, HL_UNIT_BYTES);
	hl_collapse_expect_base();
	tick(30);
	assert_true(is_huge(4));
}

static void test_hurry(void **state)
{
	(void)state;
	/* Nothing is expected: nobody looks. */
	hl_collapse_hurry();
	use_base(10);
	hl_collapse_expect_base();
	tick(6000);
	memset(unit(4), 1, HL_UNIT_BYTES);
	hl_collapse_hurry();
	tick(1);
	assert_true(is_huge(4));
}

static void test_demoted_and_filled(void **state)
{
	struct hl_want want = {.thp = true, .lazy = true, .node = -1};
	struct hl_got got;

	(void)state;
	hl_area_release(area, 3, 4);
	assert_int_equal(hl_area_commit(area, 3, 4, &want, &got), 0);
	hl_area_demote(area, 3);
	assert_true(hl_area_is_base(area, 3));
	tick(100);
	memset(unit(3), 1, HL_UNIT_BYTES);
	tick(1000);
	assert_true(is_huge(3));
}

static void test_base_shared_after_a_fork(void **state)
{
	(void)state;
	use_base(100);
	fork_here();
	fake_split(unit(4), true);
	hl_collapse_expect_base();
	tick(100);
	assert_true(hl_area_is_base(area, 4));
	assert_true(is_huge(5));
	hl_area_promote(area, 4, 5, 1);
	assert_true(is_huge(4));
	assert_true(fake_is_split(unit(4)));
	fake_whole(unit(4));
}

static void test_promote_and_demote(void **state)
{
	unsigned calls;

	(void)state;
	use_base(1);
	/* Not THPs, which are there as a whole. */
	calls = fake.calls[FAKE_MADVISE];
	hl_area_demote(area, 0);
	hl_area_demote(area, 4);
	assert_int_equal(fake.calls[FAKE_MADVISE], calls);
	/* A part of it is there, but not enough: passes go on looking. */
	hl_area_promote(area, 4, 5, HL_UNIT_BYTES / 2);
	assert_true(hl_area_is_base(area, 4));
	assert_int_equal(fake.calls[FAKE_MADVISE], calls);
	hl_area_promote(area, 4, 6, 1);
	assert_true(is_huge(4) && is_huge(5));
	assert_int_equal(fake.calls[FAKE_MADVISE], calls + 4);
	/* Only what nothing is resident of. */
	hl_area_demote(area, 5);
	assert_true(is_huge(5));
	hl_area_discard(unit(5), HL_UNIT_BYTES);
	fake_refuse(FAKE_MADVISE, 1, -EINVAL);
	hl_area_demote(area, 5);
	assert_true(is_huge(5));
	hl_area_demote(area, 5);
	assert_true(hl_area_is_base(area, 5));
	assert_false(fake_is_advised(unit(5), HL_UNIT_BYTES));
	/* Refused: it remains what it was. */
	fake_refuse(FAKE_MADVISE, 1, -EINVAL);
	hl_area_promote(area, 5, 6, 1);
	assert_true(hl_area_is_base(area, 5));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_filled_base_units),
		TEST(test_nothing_without_fork),
		TEST(test_joined_and_done),
		TEST(test_in_the_child),
		TEST(test_shared_waits),
		TEST(test_looks_seldom),
		TEST(test_absent_pages),
		TEST(test_pool_pages_are_not_looked_at),
		TEST(test_no_thp),
		TEST(test_older_kernel),
		TEST(test_busy_unit_is_passed_by),
		TEST(test_released_meanwhile),
		TEST(test_no_huge_page),
		TEST(test_no_proc),
		TEST(test_new_base_units),
		TEST(test_hurry),
		TEST(test_demoted_and_filled),
		TEST(test_base_shared_after_a_fork),
		TEST(test_promote_and_demote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
