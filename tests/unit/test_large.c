/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/large.c and straddle_home.c on a fake kernel: what blocks of some
 * alignment take from the pool, and what they teach.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_os.h"

#include "backing/area_internal.h"
#include "base/opt.h"
#include "heap/arena.h"
#include "heap/decay.h"
#include "heap/large.h"
#include "heap/learn.h"
#include "heap/single.h"

#define PAGES 100
#define N     16u

/* The heap outlives the tests, so the fake kernel does as well. */
static int group_setup(void **state)
{
	fake_setup(state);
	fake.pool[0] = PAGES;
	fake_publish();
	hl_supply_forget();
	hl_arena_start();
	hl_arena_configure();
	hl_arena_settle();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hl_opt.populate = HL_POPULATE_AUTO;
	hl_learn_forget();
	hl_pageheap_decay(&hl_arena_first, true);
	assert_int_equal(fake.pool[0], PAGES);
	return 0;
}

static void test_alignment_costs_no_pages(void **state)
{
	static const struct {
		size_t bytes, align;
		long least, most; /* pages for N blocks */
	} kind[] = {
		{2 * HL_MIB, 2 * HL_MIB, 16, 17},
		{HL_MIB, HL_MIB, 8, 9},
		{HL_MIB, 2 * HL_MIB, 16,
			17}, /* half of each unit is nobody's */
		{512 * HL_KIB, 512 * HL_KIB, 4, 5},
		{4 * HL_MIB, 2 * HL_MIB, 32, 33},
		{300 * HL_KIB, 64 * HL_KIB, 3, 4},
	};
	struct hl_span *span[N];

	(void)state;
	hl_opt.populate = HL_POPULATE_ALL;
	for (size_t k = 0; k < HL_ARRAY_SIZE(kind); k++) {
		for (size_t i = 0; i < N; i++) {
			span[i] = hl_single_new(
				&hl_arena_first, kind[k].bytes, kind[k].align);
			assert_non_null(span[i]);
			assert_int_equal(span[i]->start % kind[k].align, 0);
			assert_in_range(hl_large_usable(span[i]), kind[k].bytes,
				kind[k].bytes + HL_SLOT_BYTES);
			memset((void *)span[i]->start, 1, kind[k].bytes);
		}
		assert_in_range(
			PAGES - fake.pool[0], kind[k].least, kind[k].most);
		for (size_t i = 0; i < N; i++)
			hl_large_free(span[i]);
		hl_pageheap_decay(&hl_arena_first, true);
		assert_int_equal(fake.pool[0], PAGES);
	}
}

/* All of what the program asked for was written. */
static void test_alignment_teaches_nothing(void **state)
{
	static const size_t align[] = {2 * HL_MIB, 4 * HL_MIB};
	const size_t bytes = 260 * HL_KIB;

	(void)state;
	for (size_t a = 0; a < HL_ARRAY_SIZE(align); a++) {
		for (unsigned i = 0; i < 12; i++) {
			struct hl_span *s =
				hl_single_new(&hl_arena_first, bytes, align[a]);

			memset((void *)s->start, 1, bytes);
			hl_large_free(s);
			hl_pageheap_decay(&hl_arena_first, true);
		}
		assert_int_not_equal(hl_learn_choose(bytes, FAKE_HUGE).backing,
			HL_LEARN_SPARSE);
	}
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_alignment_costs_no_pages),
		TEST(test_alignment_teaches_nothing),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
