/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/backing/supply.c: what could be had, how long that is believed, and
 * which limit is named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#include "backing/area_internal.h"
#include "base/opt.h"
#include "tree.h"

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static void set_pool(long pages)
{
	fake.pool[0] = pages;
	fake_publish();
}

static void check(int node, uint64_t hpages, enum hl_limit limit)
{
	struct hl_supply s;

	hl_supply_read(FAKE_HUGE, node, &s);
	assert_int_equal(s.hpages, hpages);
	assert_int_equal(s.limit, limit);
	assert_int_equal(hl_supply_hpages(FAKE_HUGE, node), hpages);
}

static void test_pool(void **state)
{
	(void)state;
	set_pool(5);
	check(HL_NODE_ANY, 5, HL_LIMIT_POOL);
	tree_put(POOL "resv_hugepages", "2\n");
	tree_put(POOL "nr_overcommit_hugepages", "4\n");
	hl_supply_forget();
	check(HL_NODE_ANY, 7, HL_LIMIT_POOL);
	assert_int_equal(hl_supply_hpages(0, HL_NODE_ANY), 0);
}

static void test_no_pool(void **state)
{
	struct hl_supply s;

	(void)state;
	hl_supply_read(64 * HL_MIB, HL_NODE_ANY, &s);
	assert_int_equal(s.hpages, 0);
	assert_int_equal(s.limit, HL_LIMIT_UNSUPPORTED);
}

static void test_nodes(void **state)
{
	(void)state;
	fake.nodes = 2;
	fake.pool[0] = 6;
	fake.pool[1] = 1;
	fake_publish();
	assert_int_equal(hl_supply_nodes(), 2);
	check(HL_NODE_ANY, 7, HL_LIMIT_POOL);
	check(0, 6, HL_LIMIT_NODE_POOL);
	check(1, 1, HL_LIMIT_NODE_POOL);
	/* Reserved somewhere: the whole limits the node. */
	tree_put(POOL "resv_hugepages", "5\n");
	hl_supply_forget();
	check(0, 2, HL_LIMIT_POOL);
	/* Surplus pages may come on any node. */
	tree_put(POOL "resv_hugepages", "0\n");
	tree_put(POOL "nr_overcommit_hugepages", "3\n");
	hl_supply_forget();
	check(1, 4, HL_LIMIT_NODE_POOL);
}

static void test_cgroup(void **state)
{
	(void)state;
	set_pool(9);
	fake_publish_cgroup(4, -1);
	check(HL_NODE_ANY, 4, HL_LIMIT_CGROUP);
	fake_publish_cgroup(4, 2);
	check(HL_NODE_ANY, 2, HL_LIMIT_CGROUP_RSVD);
	fake_publish_cgroup(20, 30);
	check(HL_NODE_ANY, 9, HL_LIMIT_POOL);
	/* With nothing in the pool, that is the reason. */
	set_pool(0);
	fake_publish_cgroup(4, 2);
	check(HL_NODE_ANY, 0, HL_LIMIT_POOL);
}

static void test_believed_for_a_while(void **state)
{
	(void)state;
	set_pool(5);
	check(HL_NODE_ANY, 5, HL_LIMIT_POOL);
	tree_put(POOL "free_hugepages", "3\n");
	check(HL_NODE_ANY, 5, HL_LIMIT_POOL);
	fake.now_ms += 50;
	check(HL_NODE_ANY, 3, HL_LIMIT_POOL);
	tree_put(POOL "free_hugepages", "0\n");
	fake.now_ms += 50;
	check(HL_NODE_ANY, 0, HL_LIMIT_POOL);
	/* Nothing is believed longer than something. */
	tree_put(POOL "free_hugepages", "1\n");
	fake.now_ms += 50;
	check(HL_NODE_ANY, 0, HL_LIMIT_POOL);
	fake.now_ms += 100;
	check(HL_NODE_ANY, 1, HL_LIMIT_POOL);
}

static void test_follows_what_we_take(void **state)
{
	(void)state;
	fake.nodes = 2;
	fake.pool[0] = 6;
	fake.pool[1] = 5;
	fake_publish();
	check(HL_NODE_ANY, 11, HL_LIMIT_POOL);
	check(1, 5, HL_LIMIT_NODE_POOL);
	hl_supply_moved(FAKE_HUGE, 1, -3);
	check(HL_NODE_ANY, 8, HL_LIMIT_POOL);
	check(1, 2, HL_LIMIT_NODE_POOL);
	hl_supply_moved(FAKE_HUGE, HL_NODE_ANY, 2);
	check(HL_NODE_ANY, 10, HL_LIMIT_POOL);
	hl_supply_moved(FAKE_HUGE, 1, -50);
	check(1, 0, HL_LIMIT_NODE_POOL);
}

static void test_refusal_counts_more_than_files(void **state)
{
	(void)state;
	set_pool(5);
	check(HL_NODE_ANY, 5, HL_LIMIT_POOL);
	assert_int_equal(
		hl_supply_refused(FAKE_HUGE, HL_NODE_ANY), HL_LIMIT_POOL);
	check(HL_NODE_ANY, 0, HL_LIMIT_POOL);
	fake.now_ms += 150;
	check(HL_NODE_ANY, 5, HL_LIMIT_POOL);
	fake_publish_cgroup(0, -1);
	assert_int_equal(
		hl_supply_refused(FAKE_HUGE, HL_NODE_ANY), HL_LIMIT_CGROUP);
}

static void test_many_keys(void **state)
{
	struct hl_supply s;

	(void)state;
	set_pool(5);
	/* More nodes than entries: not kept, but still right. */
	for (int node = 0; node < 300; node++) {
		hl_supply_read(FAKE_HUGE, node, &s);
		assert_true(s.hpages <= 5);
	}
	check(HL_NODE_ANY, 5, HL_LIMIT_POOL);
}

static void test_thp(void **state)
{
	(void)state;
	assert_true(hl_supply_thp());
	fake_publish_thp("always madvise [never]\n");
	assert_false(hl_supply_thp());
	fake_publish_thp("[always] madvise never\n");
	assert_true(hl_supply_thp());
	tree_put("/sys/kernel/mm/transparent_hugepage/enabled",
		"always madvise [never]\n");
	assert_true(hl_supply_thp());
	fake.now_ms += 1000;
	assert_false(hl_supply_thp());
	tree_remove("/sys/kernel/mm/transparent_hugepage/enabled");
	hl_supply_forget();
	assert_false(hl_supply_thp());
}

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(hl_supply_page_bytes(0), FAKE_HUGE);
	assert_int_equal(hl_supply_default(), FAKE_HUGE);
	hl_opt.default_page_bytes = FAKE_GIGANTIC;
	assert_int_equal(hl_supply_default(), FAKE_GIGANTIC);
	hl_opt.default_page_bytes = 512 * HL_MIB;
	assert_int_equal(hl_supply_default(), FAKE_HUGE);
	hl_opt.default_page_bytes = 0;
	assert_int_equal(hl_supply_page_bytes(FAKE_HUGE), FAKE_HUGE);
	assert_int_equal(hl_supply_page_bytes(FAKE_GIGANTIC), FAKE_GIGANTIC);
	/* What is not there becomes the next smaller, or the default. */
	assert_int_equal(hl_supply_page_bytes(32 * HL_MIB), FAKE_HUGE);
	assert_int_equal(hl_supply_page_bytes(64 * HL_KIB), FAKE_HUGE);
	assert_int_equal(hl_supply_smaller(FAKE_GIGANTIC), FAKE_HUGE);
	assert_int_equal(hl_supply_smaller(FAKE_HUGE), 0);
	assert_int_equal(hl_supply_smaller(0), 0);
	assert_int_equal(hl_supply_nodes(), 1);
}

static void test_machine_without_huge_pages(void **state)
{
	static const struct hl_root empty = {.prefix = "/nonexistent"};

	(void)state;
	hl_supply_root = &empty;
	hl_supply_forget();
	assert_int_equal(hl_supply_page_bytes(0), 0);
	assert_int_equal(hl_supply_page_bytes(FAKE_HUGE), 0);
	assert_int_equal(hl_supply_hpages(FAKE_HUGE, HL_NODE_ANY), 0);
	assert_false(hl_supply_thp());
	assert_int_equal(hl_supply_nodes(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
		T(test_pool),
		T(test_no_pool),
		T(test_nodes),
		T(test_cgroup),
		T(test_believed_for_a_while),
		T(test_follows_what_we_take),
		T(test_refusal_counts_more_than_files),
		T(test_many_keys),
		T(test_thp),
		T(test_sizes),
		T(test_machine_without_huge_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
