/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/wished.c: what the pool is asked for counts from commit to release,
 * whether the pool had it or not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#include "backing/area_internal.h"
#include "base/count.h"
#include "heap/space.h"

#include <errno.h>

#define GRAIN ((size_t)512)
#define BLOCK ((size_t)600) /* units: long enough for an area of its own */

static struct hl_space space;
static struct hl_want want, lazy;

static int setup(void **state)
{
	fake_setup(state);
	space = (struct hl_space){.grain = 1, .own = true};
	want = (struct hl_want){
		.page_bytes = FAKE_HUGE, .thp = true, .node = -1};
	lazy = (struct hl_want){.thp = true, .lazy = true, .node = -1};
	hl_counts()->peak_wished_bytes = 0;
	fake.pool[0] = 3;
	fake_publish();
	hl_supply_forget();
	return 0;
}

static size_t wished(void)
{
	return hl_counts()->wished_bytes / HL_UNIT_BYTES;
}

static size_t peak(void)
{
	return hl_counts()->peak_wished_bytes / HL_UNIT_BYTES;
}

static int teardown(void **state)
{
	hl_space_close(&space);
	assert_int_equal(wished(), 0);
	return fake_teardown(state);
}

static struct hl_stretch *commit(
	size_t n, const struct hl_want *what, size_t *first)
{
	struct hl_stretch *s;

	assert_int_equal(hl_space_take(&space, n, 1, &s, first), 0);
	assert_int_equal(hl_space_commit(s, *first, n, what), 0);
	return s;
}

static void release(struct hl_stretch *s, size_t first, size_t n)
{
	(void)hl_space_release(s, first, n);
	hl_space_give(s, first, n);
}

static void test_more_than_the_pool_has(void **state)
{
	struct hl_stretch *s;
	size_t a, b;

	(void)state;
	s = commit(10, &want, &a);
	assert_int_equal(fake.pool[0], 0);
	assert_int_equal(wished(), 10);
	release(s, a, 4);
	assert_int_equal(wished(), 6);
	s = commit(3, &want, &b);
	release(s, b, 3);
	assert_int_equal(wished(), 6);
	assert_int_equal(peak(), 10);
}

static void test_lazy_units(void **state)
{
	struct hl_stretch *s;
	size_t a;

	(void)state;
	s = commit(8, &lazy, &a);
	assert_int_equal(wished(), 0);
	hl_space_wish(s, a + 2, 3);
	/* Once, whoever says it again. */
	hl_space_wish(s, a + 4, 2);
	assert_int_equal(wished(), 4);
	release(s, a, 3);
	assert_int_equal(wished(), 3);
	assert_int_equal(fake.pool[0], 3);
}

static void test_refused(void **state)
{
	struct hl_stretch *s;
	size_t a;

	(void)state;
	want.strict = true;
	assert_int_equal(hl_space_take(&space, 4, 1, &s, &a), 0);
	assert_int_equal(hl_space_commit(s, a, 4, &want), -ENOMEM);
	assert_int_equal(wished(), 0);
	hl_space_give(s, a, 4);
}

static void test_move(void **state)
{
	struct hl_stretch *s, *t;
	size_t a, b;

	(void)state;
	s = commit(2, &lazy, &a);
	hl_space_wish(s, a, 2);
	assert_int_equal(hl_space_take(&space, BLOCK, 1, &t, &b), 0);
	assert_int_equal(hl_space_move(s, a, 2, t, b), 0);
	assert_int_equal(wished(), 2);
	assert_int_equal(peak(), 2);
	hl_space_give(s, a, 2);
	(void)hl_space_release(t, b, 2);
	assert_int_equal(wished(), 0);
	hl_space_give(t, b, BLOCK);
}

/* It shrinks from its end, and is closed with what is left. */
static void test_block_of_its_own(void **state)
{
	struct hl_stretch *s;
	size_t a;

	(void)state;
	s = commit(BLOCK, &lazy, &a);
	assert_null(s->record);
	assert_int_equal(wished(), 0);
	hl_space_wish(s, a, BLOCK);
	assert_int_equal(wished(), BLOCK);
	release(s, a + 500, 100);
	assert_int_equal(wished(), 500);
}

/* Of a gigantic page nobody gets a part: it is wished as a whole. */
static void test_grain(void **state)
{
	struct hl_stretch *s, *t;
	size_t a, b;

	(void)state;
	space.grain = GRAIN;
	want.page_bytes = FAKE_GIGANTIC;
	s = commit(2, &want, &a);
	assert_int_equal(wished(), GRAIN);
	t = commit(3, &lazy, &b);
	assert_ptr_equal(s, t);
	hl_space_wish(t, b, 3);
	assert_int_equal(wished(), GRAIN);
	assert_int_equal(hl_area_kind(t->area, b), HL_BACKING_LAZY);
	release(s, a, 2);
	assert_int_equal(wished(), GRAIN);
	release(t, b, 3);
	assert_int_equal(wished(), 0);
	s = commit(GRAIN + 1, &lazy, &a);
	assert_int_equal(wished(), 2 * GRAIN);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_more_than_the_pool_has),
		TEST(test_lazy_units),
		TEST(test_refused),
		TEST(test_move),
		TEST(test_block_of_its_own),
		TEST(test_grain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
