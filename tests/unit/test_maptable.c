/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/region/maptable.c: random insertions, searches and removals against a
 * naive array, and its limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "region/maptable.h"

#include <errno.h>
#include <string.h>

#define PLACES 200
#define STEPS  200000

/* Place i covers [i * 10, i * 10 + length[i]); 0: nothing. */
static unsigned length[PLACES];
static uint64_t state = 1;

static unsigned random_below(unsigned n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % n;
}

static struct hl_mapped at_place(unsigned i)
{
	return (struct hl_mapped){
		.from = i * 10,
		.to = i * 10 + length[i],
		.start = i * 10,
		.end = i * 10 + length[i],
		.forks = i,
	};
}

static int naive_find(uintptr_t from, uintptr_t to)
{
	for (unsigned i = 0; i < PLACES; i++) {
		if (length[i] != 0 && i * 10 < to && i * 10 + length[i] > from)
			return (int)i;
	}
	return -1;
}

static void test_random(void **unused)
{
	struct hl_maptable table = {0};
	size_t count = 0;

	(void)unused;
	for (int step = 0; step < STEPS; step++) {
		unsigned i = random_below(PLACES);
		uintptr_t from = random_below(PLACES * 10);
		uintptr_t to = from + 1 + random_below(30);
		int expected = naive_find(from, to);
		struct hl_mapped *found = hl_maptable_find(&table, from, to);

		assert_int_equal(found != NULL, expected >= 0);
		if (found != NULL)
			assert_int_equal(found->forks, expected);
		if (length[i] == 0) {
			struct hl_mapped mapped;

			length[i] = 1 + random_below(10);
			mapped = at_place(i);
			assert_int_equal(
				hl_maptable_insert(&table, &mapped), 0);
			count++;
		} else {
			found = hl_maptable_find(&table, i * 10, i * 10 + 1);
			assert_non_null(found);
			assert_int_equal(found->forks, i);
			assert_int_equal(found->to, i * 10 + length[i]);
			hl_maptable_remove(&table, found);
			length[i] = 0;
			count--;
		}
		assert_int_equal(table.count, count);
	}
}

static void test_limit(void **unused)
{
	struct hl_maptable table = {0};
	struct hl_mapped mapped = {0};

	(void)unused;
	/* Downwards, so that each insertion moves all. */
	for (uintptr_t i = HL_MAPTABLE_MAX; i > 0; i--) {
		mapped.from = i * 2;
		mapped.to = mapped.from + 1;
		assert_int_equal(hl_maptable_insert(&table, &mapped), 0);
	}
	mapped.from = 0;
	mapped.to = 1;
	assert_int_equal(hl_maptable_insert(&table, &mapped), -ENOMEM);
	for (uintptr_t i = 1; i <= HL_MAPTABLE_MAX; i++) {
		struct hl_mapped *found =
			hl_maptable_find(&table, i * 2 - 1, i * 2 + 1);

		assert_non_null(found);
		assert_int_equal(found->from, i * 2);
		assert_null(hl_maptable_find(&table, i * 2 + 1, i * 2 + 2));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
