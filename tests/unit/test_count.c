/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/count.c and limit.c: moving the counters keeps them, sizes have an
 * index each, and every limit a name and advice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/count.h"
#include "base/limit.h"

#include <pthread.h>
#include <string.h>

static struct hl_counts target;

static void test_moving_keeps_what_was_counted(void **state)
{
	struct hl_counts *own = hl_counts();

	(void)state;
	memset(&target, 0x5a, sizeof(target));
	hl_count(live_bytes, 100);
	hl_count_sub(&hl_counts()->live_bytes, 30);
	hl_count_max(&hl_counts()->peak_bytes, 80);
	hl_count_max(&hl_counts()->peak_bytes, 70);
	hl_count_fallback(HL_LIMIT_CGROUP, 3);
	hl_count_add(&hl_counts()->node_bytes[HL_COUNT_NODES - 1], 9);
	atomic_store(&own->largest_block_bytes, 11);
	atomic_store(&own->cell[0], 12);
	atomic_store(&own->cell[HL_COUNT_CELLS - 1], 13);
	atomic_store(&own->cell_kind[0], 2);
	atomic_store(&own->cell_kind[HL_COUNT_CELLS - 1], 3);
	hl_count_attach(&target);
	assert_ptr_equal(hl_counts(), &target);
	assert_int_equal(target.live_bytes, 70);
	assert_int_equal(target.peak_bytes, 80);
	assert_int_equal(target.forks, 0);
	assert_int_equal(target.fallbacks[HL_LIMIT_CGROUP], 3);
	assert_int_equal(target.fallbacks[HL_LIMIT_POOL], 0);
	assert_int_equal(target.node_bytes[HL_COUNT_NODES - 1], 9);
	assert_int_equal(target.largest_block_bytes, 11);
	assert_int_equal(target.cell[0], 12);
	assert_int_equal(target.cell[1], 0);
	assert_int_equal(target.cell[HL_COUNT_CELLS - 1], 13);
	assert_int_equal(target.cell_kind[0], 2);
	assert_int_equal(target.cell_kind[HL_COUNT_CELLS - 1], 3);
	/* What follows is counted in the new place only. */
	hl_count(forks, 1);
	assert_int_equal(target.forks, 1);
	assert_int_equal(own->forks, 0);
	/* Once more changes nothing. */
	hl_count_attach(&target);
	assert_int_equal(target.live_bytes, 70);
	hl_count_attach(own);
	assert_int_equal(hl_counts()->forks, 1);
}

static void test_sizes_have_an_index(void **state)
{
	struct hl_counts *counts = hl_counts();

	(void)state;
	assert_int_equal(hl_count_size_index(2 * HL_MIB), 0);
	assert_int_equal(hl_count_size_index(HL_GIB), 1);
	assert_int_equal(hl_count_size_index(2 * HL_MIB), 0);
	assert_int_equal(hl_count_size_index(64 * HL_KIB), 2);
	assert_int_equal(hl_count_size_index(16 * HL_GIB), 3);
	assert_int_equal(counts->hugetlb_page_bytes[1], HL_GIB);
	assert_int_equal(counts->hugetlb_page_bytes[3], 16 * HL_GIB);
	/* No room: the last one stands for the rest, under its first name. */
	assert_int_equal(hl_count_size_index(32 * HL_MIB), 3);
	assert_int_equal(counts->hugetlb_page_bytes[3], 16 * HL_GIB);
}

static void *count_many(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < 100000; i++) {
		hl_count(heals, 1);
		hl_count_max(&hl_counts()->largest_block_bytes, i);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, count_many, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(hl_counts()->heals, 400000);
	assert_int_equal(hl_counts()->largest_block_bytes, 99999);
}

static void test_limits_have_names_and_advice(void **state)
{
	(void)state;
	for (int i = 0; i < HL_LIMIT_COUNT_; i++) {
		const char *name = hl_limit_name((enum hl_limit)i);
		const char *advice = hl_limit_advice((enum hl_limit)i);

		assert_non_null(name);
		assert_non_null(advice);
		assert_true(strlen(name) > 0);
		assert_int_equal(advice[strlen(advice) - 1], '.');
		for (int j = 0; j < i; j++) {
			assert_string_not_equal(
				name, hl_limit_name((enum hl_limit)j));
			assert_string_not_equal(
				advice, hl_limit_advice((enum hl_limit)j));
		}
	}
	assert_string_equal(hl_limit_name(HL_LIMIT_NODE_POOL), "node pool");
	assert_string_equal(hl_limit_name(HL_LIMIT_CGROUP_RSVD), "cgroup rsvd");
	/* From shared memory anything may come. */
	assert_string_equal(hl_limit_name((enum hl_limit)99), "none");
	assert_non_null(hl_limit_advice((enum hl_limit) - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moving_keeps_what_was_counted),
		cmocka_unit_test(test_sizes_have_an_index),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_limits_have_names_and_advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
