/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/space.c: address space is kept for the heap's next units, but not
 * where RLIMIT_AS counts it. The limit is a real one, so high that nothing hits
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#include "backing/area.h"
#include "heap/space.h"

#include <sys/resource.h>

#define HIGH ((rlim_t)1 << 60)

static struct hl_space space;
static struct rlimit before;

static void limit(bool on)
{
	struct rlimit r = before;

	if (on)
		r.rlim_cur = HIGH;
	assert_int_equal(setrlimit(RLIMIT_AS, &r), 0);
	hl_space_look_at_limits();
}

static int setup(void **state)
{
	fake_setup(state);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	assert_true(before.rlim_cur > HIGH);
	space = (struct hl_space){.grain = 1};
	limit(false);
	assert_int_equal(hl_space_reserved_bytes(), 0);
	return 0;
}

static int teardown(void **state)
{
	/* What is left, free, is closed. */
	limit(true);
	assert_int_equal(hl_space_reserved_bytes(), 0);
	limit(false);
	return fake_teardown(state);
}

static struct hl_stretch *take(size_t n, size_t *first)
{
	struct hl_stretch *s;

	assert_int_equal(hl_space_take(&space, n, 1, &s, first), 0);
	return s;
}

static size_t reserved(void)
{
	return hl_space_reserved_bytes() / HL_UNIT_BYTES;
}

static void *address(const struct hl_stretch *s, size_t unit)
{
	return (void *)(s->base + unit * HL_UNIT_BYTES);
}

static void test_kept_without_a_limit(void **state)
{
	struct hl_stretch *s, *again;
	size_t at, units;

	(void)state;
	s = take(3, &at);
	units = reserved();
	assert_true(units > 3);
	hl_space_give(s, at, 3);
	assert_int_equal(reserved(), units);
	again = take(3, &at);
	assert_ptr_equal(again, s);
	hl_space_give(s, at, 3);
}

static void test_exact_under_a_limit(void **state)
{
	struct hl_stretch *s, *t;
	size_t a, b;
	void *where;

	(void)state;
	limit(true);
	s = take(5, &a);
	assert_int_equal(reserved(), 5);
	t = take(1, &b);
	assert_int_equal(reserved(), 6);
	where = address(s, a);
	assert_non_null(hl_area_find(where));
	hl_space_give(s, a + 1, 2);
	assert_int_equal(reserved(), 6);
	/* The hole and the end behind it. */
	hl_space_give(s, a + 3, 2);
	assert_int_equal(reserved(), 2);
	assert_null(hl_area_find(address(s, a + 1)));
	hl_space_give(s, a, 1);
	assert_int_equal(reserved(), 1);
	assert_null(hl_area_find(where));
	hl_space_give(t, b, 1);
	assert_int_equal(reserved(), 0);
}

/* In proportion to what there is, stretches are a few units longer. */
static void test_few_stretches(void **state)
{
	struct hl_stretch *s, *t, *next;
	size_t a, b, c;

	(void)state;
	limit(true);
	s = take(4096, &a);
	t = take(1, &b);
	assert_int_equal(reserved(), 4096 + 4);
	next = take(3, &c);
	assert_ptr_equal(next, t);
	hl_space_give(s, a, 4096);
	hl_space_give(t, b, 1);
	hl_space_give(t, c, 3);
}

static void test_a_limit_that_comes_later(void **state)
{
	struct hl_stretch *s, *t;
	size_t a, b, c;

	(void)state;
	s = take(2, &a);
	t = take(40, &b);
	assert_true(reserved() > 42);
	limit(true);
	/* Its first units are not its last. */
	assert_int_equal(reserved(), 42);
	assert_non_null(hl_area_find(address(s, a + 1)));
	assert_null(hl_area_find(address(s, a + 2)));
	assert_false(hl_space_take_at(s, a + 2, 1));
	hl_space_give(s, a, 1);
	assert_ptr_equal(take(1, &c), s);
	hl_space_give(s, a, 2);
	hl_space_give(t, b, 40);
	assert_int_equal(reserved(), 0);
	limit(false);
	s = take(1, &a);
	assert_true(reserved() > 1);
	hl_space_give(s, a, 1);
}

/* Also without a limit: nothing else can have it. */
static void test_the_end_of_a_dedicated_one(void **state)
{
	struct hl_stretch *s;
	size_t at;

	(void)state;
	s = take(1000, &at);
	assert_int_equal(reserved(), 1000);
	hl_space_give(s, at + 100, 900);
	assert_int_equal(reserved(), 100);
	assert_null(hl_area_find(address(s, at + 100)));
	assert_non_null(hl_area_find(address(s, at + 99)));
	hl_space_give(s, at + 1, 99);
	assert_int_equal(reserved(), 1);
	hl_space_give(s, at, 1);
	assert_int_equal(reserved(), 0);
}

/* It may end at any time, but for its own heap. */
static void test_a_space_of_its_own(void **state)
{
	struct hl_space own = {.grain = 1, .own = true};
	struct hl_stretch *s;
	size_t at, units;

	(void)state;
	assert_int_equal(hl_space_take(&own, 2, 1, &s, &at), 0);
	units = reserved();
	assert_true(units > 2);
	hl_space_trim(&own);
	assert_int_equal(reserved(), units);
	limit(true);
	assert_int_equal(reserved(), units);
	hl_space_trim(&space);
	assert_int_equal(reserved(), units);
	hl_space_trim(&own);
	assert_int_equal(reserved(), 2);
	hl_space_give(s, at, 2);
	assert_int_equal(reserved(), 0);
	hl_space_close(&own);
}

static void test_a_hole_stays(void **state)
{
	struct hl_stretch *s, *t;
	size_t a, b;

	(void)state;
	s = take(2, &a);
	t = take(2, &b);
	assert_ptr_equal(s, t);
	assert_int_equal(b, a + 2);
	hl_space_give(s, a, 2);
	limit(true);
	assert_int_equal(reserved(), 4);
	hl_space_give(t, b, 2);
	assert_int_equal(reserved(), 0);
}

static void test_room(void **state)
{
	struct rlimit r = before;
	uint64_t room;

	(void)state;
	limit(true);
	room = hl_space_room();
	assert_true(room < HIGH);
	assert_true(room > HIGH / 2);
	limit(false);
	assert_true(hl_space_room() == UINT64_MAX);
	/* Less than the process has already. */
	r.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_AS, &r), 0);
	assert_int_equal(hl_space_room(), 0);
	limit(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_kept_without_a_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_exact_under_a_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_few_stretches, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_limit_that_comes_later, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_end_of_a_dedicated_one, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_space_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_hole_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
