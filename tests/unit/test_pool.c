/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/pool.c: the files of a pool, global and of a node, and what is
 * free. Captured machines: tests/sysroot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tree.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#define HUGEPAGES "/sys/kernel/mm/hugepages/hugepages-"
#define NODE	  "/sys/devices/system/node/node"

static void put_pool(const char *directory, const char *file, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	tree_put(path, text);
}

static void test_pools(void **state)
{
	struct hl_pool pool = {.nr = 77};

	(void)state;
	assert_int_equal(
		hl_pool_read(tree_root(), 2 * HL_MIB, HL_NODE_ANY, &pool),
		-ENOENT);
	assert_int_equal(
		hl_pool_read(tree_root(), 2 * HL_MIB, 3, &pool), -ENOENT);
	put_pool(HUGEPAGES "2048kB", "nr_hugepages", "10\n");
	put_pool(HUGEPAGES "2048kB", "free_hugepages", "8\n");
	put_pool(HUGEPAGES "2048kB", "surplus_hugepages", "1\n");
	put_pool(HUGEPAGES "2048kB", "resv_hugepages", "3\n");
	/* Half a pool is none. */
	assert_int_equal(
		hl_pool_read(tree_root(), 2 * HL_MIB, HL_NODE_ANY, &pool),
		-ENOENT);
	assert_int_equal(pool.nr, 77);
	put_pool(HUGEPAGES "2048kB", "nr_overcommit_hugepages", "5\n");
	assert_int_equal(
		hl_pool_read(tree_root(), 2 * HL_MIB, HL_NODE_ANY, &pool), 0);
	assert_int_equal(pool.nr, 10);
	assert_int_equal(pool.free, 8);
	assert_int_equal(pool.surplus, 1);
	assert_int_equal(pool.resv, 3);
	assert_int_equal(pool.overcommit, 5);
	assert_int_equal(hl_pool_available(&pool), 5 + 4);
	put_pool(NODE "12/hugepages/hugepages-2048kB", "nr_hugepages", "4\n");
	put_pool(NODE "12/hugepages/hugepages-2048kB", "free_hugepages", "2\n");
	put_pool(NODE "12/hugepages/hugepages-2048kB", "surplus_hugepages",
		"0\n");
	assert_int_equal(hl_pool_read(tree_root(), 2 * HL_MIB, 12, &pool), 0);
	assert_int_equal(pool.nr, 4);
	assert_int_equal(pool.free, 2);
	assert_int_equal(pool.resv, 0);
	assert_int_equal(pool.overcommit, 0);
	assert_int_equal(hl_pool_available(&pool), 2);
	put_pool(HUGEPAGES "2048kB", "free_hugepages", "many\n");
	assert_int_equal(
		hl_pool_read(tree_root(), 2 * HL_MIB, HL_NODE_ANY, &pool),
		-EINVAL);
}

static void test_available_saturates(void **state)
{
	struct hl_pool pool = {
		.free = 2, .resv = 5, .overcommit = 1, .surplus = 9};

	(void)state;
	assert_int_equal(hl_pool_available(&pool), 0);
	pool = (struct hl_pool){.free = UINT64_MAX, .overcommit = UINT64_MAX};
	assert_true(hl_pool_available(&pool) == UINT64_MAX);
}

static void test_extreme_numbers_fit_the_path(void **state)
{
	struct hl_pool pool;

	(void)state;
	assert_int_equal(
		hl_pool_read(tree_root(), SIZE_MAX, INT_MAX, &pool), -ENOENT);
	assert_int_equal(
		hl_pool_read(tree_root(), SIZE_MAX, INT_MIN, &pool), -ENOENT);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pools),
		TEST(test_available_saturates),
		TEST(test_extreme_numbers_fit_the_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
