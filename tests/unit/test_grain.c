/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/grain.c: pages larger than a unit are there as a whole from the
 * first unit that is used to the last; where they cannot be had, units are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#include "backing/area_internal.h"
#include "heap/space.h"

#include <errno.h>

#define GRAIN ((size_t)512)

static struct hl_space space;
static struct hl_want want;

static char *unit(const struct hl_stretch *s, size_t u)
{
	return (char *)s->base + u * HL_UNIT_BYTES;
}

static int setup(void **state)
{
	fake_setup(state);
	space = (struct hl_space){.grain = GRAIN, .own = true};
	want = (struct hl_want){
		.page_bytes = FAKE_GIGANTIC, .thp = true, .node = -1};
	return 0;
}

static int teardown(void **state)
{
	hl_space_close(&space);
	assert_int_equal(hl_space_reserved_bytes(), 0);
	return fake_teardown(state);
}

static void set_pools(long gigantic, long huge)
{
	fake.gigantic[0] = gigantic;
	fake.pool[0] = huge;
	fake_publish();
	hl_supply_forget();
}

static struct hl_stretch *take(size_t n, size_t *first)
{
	struct hl_stretch *s;

	assert_int_equal(hl_space_take(&space, n, 1, &s, first), 0);
	assert_true(*first + n <= s->units);
	assert_int_equal(s->units % GRAIN, 0);
	assert_int_equal(s->base % FAKE_GIGANTIC, 0);
	return s;
}

static void give(struct hl_stretch *s, size_t first, size_t n, bool last)
{
	assert_int_equal(hl_space_release(s, first, n), last);
	hl_space_give(s, first, n);
}

static void test_one_page_for_many_units(void **state)
{
	struct hl_stretch *s, *t;
	size_t a, b;

	(void)state;
	set_pools(1, 0);
	s = take(1, &a);
	assert_int_equal(hl_space_commit(s, a, 1, &want), 0);
	assert_int_equal(fake.gigantic[0], 0);
	t = take(300, &b);
	assert_ptr_equal(s, t);
	assert_int_equal(b, 1);
	assert_int_equal(hl_space_commit(t, b, 300, &want), 0);
	assert_int_equal(hl_area_page_bytes(t->area, b + 299), FAKE_GIGANTIC);
	give(s, a, 1, false);
	assert_int_equal(fake.gigantic[0], 0);
	give(t, b, 300, true);
	assert_int_equal(fake.gigantic[0], 1);
	assert_int_equal(hl_area_kind(s->area, 5), HL_BACKING_NONE);
}

static void test_dirty_units_are_cleared(void **state)
{
	struct hl_stretch *s;
	size_t a, b;

	(void)state;
	set_pools(1, 0);
	s = take(2, &a);
	assert_int_equal(hl_space_commit(s, a, 2, &want), 0);
	unit(s, a)[100] = 1;
	unit(s, a + 1)[HL_UNIT_BYTES - 1] = 1;
	give(s, a + 1, 1, false);
	assert_int_equal(unit(s, a)[100], 1);
	assert_ptr_equal(take(1, &b), s);
	assert_int_equal(b, a + 1);
	assert_int_equal(hl_space_commit(s, b, 1, &want), 0);
	assert_int_equal(unit(s, b)[HL_UNIT_BYTES - 1], 0);
	assert_int_equal(unit(s, a)[100], 1);
	give(s, a, 2, true);
}

static void test_across_pages(void **state)
{
	struct hl_stretch *s;
	size_t a;

	(void)state;
	set_pools(2, 0);
	s = take(GRAIN + 10, &a);
	assert_int_equal(hl_space_commit(s, a, GRAIN + 10, &want), 0);
	assert_int_equal(fake.gigantic[0], 0);
	/* Both pages end with this: the second one's other units are unused. */
	give(s, a, GRAIN + 10, true);
	assert_int_equal(fake.gigantic[0], 2);
}

static void test_smaller_pages_instead(void **state)
{
	struct hl_stretch *s;
	size_t a, b;

	(void)state;
	set_pools(0, 3);
	s = take(2, &a);
	assert_int_equal(hl_space_commit(s, a, 2, &want), 0);
	assert_int_equal(hl_area_page_bytes(s->area, a), FAKE_HUGE);
	assert_int_equal(fake.pool[0], 1);
	/* Not all of the gigabyte, only what is asked for. */
	assert_int_equal(hl_area_kind(s->area, a + 2), HL_BACKING_NONE);
	/* A gigantic page that comes free meanwhile is not mixed in... */
	set_pools(1, 1);
	assert_ptr_equal(take(1, &b), s);
	assert_int_equal(hl_space_commit(s, b, 1, &want), 0);
	assert_int_equal(fake.gigantic[0], 1);
	give(s, a, 2, true);
	give(s, b, 1, true);
	/* ... until the units are free again. */
	s = take(1, &a);
	assert_int_equal(hl_space_commit(s, a, 1, &want), 0);
	assert_int_equal(fake.gigantic[0], 0);
	give(s, a, 1, true);
}

static void test_strict(void **state)
{
	struct hl_stretch *s;
	size_t a;

	(void)state;
	set_pools(1, 100);
	want.strict = true;
	want.thp = false;
	s = take(GRAIN + 1, &a);
	/* The first page is had, the second is not: neither stays. */
	assert_int_equal(hl_space_commit(s, a, GRAIN + 1, &want), -ENOMEM);
	assert_int_equal(fake.gigantic[0], 1);
	assert_int_equal(fake.pool[0], 100);
	hl_space_give(s, a, GRAIN + 1);
}

static void test_close_with_pages_in_use(void **state)
{
	struct hl_stretch *s;
	size_t a;

	(void)state;
	set_pools(1, 0);
	s = take(7, &a);
	assert_int_equal(hl_space_commit(s, a, 7, &want), 0);
	hl_space_close(&space);
	assert_int_equal(fake.gigantic[0], 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_page_for_many_units),
		TEST(test_dirty_units_are_cleared),
		TEST(test_across_pages),
		TEST(test_smaller_pages_instead),
		TEST(test_strict),
		TEST(test_close_with_pages_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
