/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/admin.h: memory, free blocks, changing pools, words of settings,
 * over files as kernels have them and as they should not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "system/admin.h"
#include "tree.h"

#include <errno.h>
#include <string.h>

#define NODE "/sys/devices/system/node/node"
#define POOL "/sys/kernel/mm/hugepages/hugepages-1048576kB/"
#define THP  "/sys/kernel/mm/transparent_hugepage"

static void test_memory(void **state)
{
	struct hl_memory memory = {.total_bytes = 7};

	(void)state;
	assert_int_equal(
		hl_memory_read(tree_root(), HL_NODE_ANY, &memory), -ENOENT);
	tree_put("/proc/meminfo", "Nonsense\nMemFree: 5 kB\n");
	assert_int_equal(
		hl_memory_read(tree_root(), HL_NODE_ANY, &memory), -EINVAL);
	assert_int_equal(memory.total_bytes, 7);
	tree_put("/proc/meminfo",
		"MemTotal:       24683620 kB\nMemFree:        22647896 kB\n"
		"MemAvailable:   24132972 kB\nMemAvailableX: 1 kB\n"
		"Active(file):       1000 kB\nSwapTotal:  8 kB\n"
		"SwapFree:  4 kB\nHugePages_Total:       0\n");
	assert_int_equal(hl_memory_read(tree_root(), HL_NODE_ANY, &memory), 0);
	assert_int_equal(memory.total_bytes, 24683620 * HL_KIB);
	assert_int_equal(memory.free_bytes, 22647896 * HL_KIB);
	assert_int_equal(memory.available_bytes, 24132972 * HL_KIB);
	assert_int_equal(memory.swap_total_bytes, 8 * HL_KIB);
	assert_int_equal(memory.swap_free_bytes, 4 * HL_KIB);
	/* A node has no estimate of the kernel's. */
	tree_put(NODE "3/meminfo",
		"\nNode 3 MemTotal:       1000 kB\nNode 3 MemFree:  100 kB\n"
		"Node 3 Active(file):  20 kB\nNode 3 Inactive(file): 3 kB\n"
		"Node 3 Active(anon):  500 kB\n");
	assert_int_equal(hl_memory_read(tree_root(), 3, &memory), 0);
	assert_int_equal(memory.available_bytes, 123 * HL_KIB);
	assert_int_equal(memory.swap_total_bytes, 0);
	assert_int_equal(hl_memory_read(tree_root(), 2, &memory), -ENOENT);
}

static void test_buddy(void **state)
{
	struct hl_buddy buddy = {.zones = 77};

	(void)state;
	assert_int_equal(
		hl_buddy_read(tree_root(), HL_NODE_ANY, &buddy), -ENOENT);
	tree_put("/proc/buddyinfo",
		"Node 0, zone      DMA      0      1      2\n"
		"Node 0, zone   Normal      4      5      6\n"
		"garbage\nNode 12, zone Movable 1 0 7\nNode 3\nNode 4, zone\n");
	assert_int_equal(hl_buddy_read(tree_root(), 1, &buddy), -ENOENT);
	assert_int_equal(buddy.zones, 77);
	assert_int_equal(hl_buddy_read(tree_root(), 0, &buddy), 0);
	assert_int_equal(buddy.zones, 2);
	assert_int_equal(buddy.orders, 3);
	assert_int_equal(buddy.blocks[0], 4);
	assert_int_equal(buddy.blocks[2], 8);
	assert_int_equal(hl_buddy_fit(&buddy, 0), 4 + 2 * 6 + 4 * 8);
	assert_int_equal(hl_buddy_fit(&buddy, 2), 8);
	assert_true(hl_buddy_fit(&buddy, 3) == UINT64_MAX);
	assert_int_equal(hl_buddy_read(tree_root(), 12, &buddy), 0);
	assert_int_equal(buddy.blocks[2], 7);
	assert_int_equal(hl_buddy_read(tree_root(), HL_NODE_ANY, &buddy), 0);
	assert_int_equal(buddy.zones, 3);
	assert_int_equal(hl_buddy_fit(&buddy, 1), 6 + 2 * 15);
}

static void test_more_orders_than_known(void **state)
{
	struct hl_buddy buddy;

	(void)state;
	tree_put("/proc/buddyinfo", "Node 0, zone DMA 1 1 1 1 1 1 1 1 1 1 1 1 "
				    "1 1 1 1 1 1 1 1 1 1\n");
	assert_int_equal(hl_buddy_read(tree_root(), 0, &buddy), 0);
	assert_int_equal(buddy.orders, HL_BUDDY_ORDERS);
}

static void test_changing_pools(void **state)
{
	const struct hl_pool pool = {.nr = 5, .surplus = 2};
	const struct hl_pool odd = {.nr = 1, .surplus = 2};
	char text[64], small[20];
	uint64_t number;
	size_t size = 7;

	(void)state;
	assert_int_equal(hl_pool_persistent(&pool), 3);
	assert_int_equal(hl_pool_persistent(&odd), 0);
	assert_int_equal(
		hl_pool_path(HL_GIB, 1, "demote", small, 20), -ENAMETOOLONG);
	assert_int_equal(hl_pool_write(tree_root(), HL_GIB, HL_NODE_ANY,
				 "nr_hugepages", 5),
		-ENOENT);
	tree_put(POOL "nr_hugepages", "1\n");
	tree_put(NODE "2/hugepages/hugepages-1048576kB/nr_hugepages", "1\n");
	assert_int_equal(hl_pool_write(tree_root(), HL_GIB, HL_NODE_ANY,
				 "nr_hugepages", 18446744073709551615UL),
		0);
	assert_int_equal(
		hl_root_read_u64(tree_root(), POOL "nr_hugepages", &number), 0);
	assert_true(number == UINT64_MAX);
	assert_int_equal(
		hl_pool_write(tree_root(), HL_GIB, 2, "nr_hugepages", 9), 0);
	assert_int_equal(
		hl_pool_path(HL_GIB, 2, "nr_hugepages", text, sizeof(text)),
		-ENAMETOOLONG);
	assert_int_equal(
		hl_root_read_u64(tree_root(),
			NODE "2/hugepages/hugepages-1048576kB/nr_hugepages",
			&number),
		0);
	assert_int_equal(number, 9);
	assert_int_equal(
		hl_pool_demote_size(tree_root(), HL_GIB, &size), -ENOENT);
	tree_put(POOL "demote_size", "2048kB\n");
	assert_int_equal(hl_pool_demote_size(tree_root(), HL_GIB, &size), 0);
	assert_int_equal(size, 2 * HL_MIB);
	assert_int_equal(
		hl_pool_set_demote_size(tree_root(), HL_GIB, 64 * HL_KIB), 0);
	hl_root_read(tree_root(), POOL "demote_size", text, sizeof(text));
	assert_string_equal(text, "64kB");
}

static void test_choices(void **state)
{
	static const char path[] = THP "/enabled";
	char word[8] = "before";

	(void)state;
	assert_int_equal(
		hl_choice_read(tree_root(), path, word, sizeof(word)), -ENOENT);
	assert_false(hl_choice_offers(tree_root(), path, "never"));
	tree_put(path, "always [madvise] never\n");
	assert_int_equal(
		hl_choice_read(tree_root(), path, word, sizeof(word)), 0);
	assert_string_equal(word, "madvise");
	assert_int_equal(hl_choice_read(tree_root(), path, word, 7), -EINVAL);
	assert_true(hl_choice_offers(tree_root(), path, "always"));
	assert_true(hl_choice_offers(tree_root(), path, "madvise"));
	assert_true(hl_choice_offers(tree_root(), path, "never"));
	assert_false(hl_choice_offers(tree_root(), path, "neve"));
	assert_false(hl_choice_offers(tree_root(), path, "neverr"));
	assert_false(hl_choice_offers(tree_root(), path, ""));
	tree_put(path, "1\n");
	assert_int_equal(
		hl_choice_read(tree_root(), path, word, sizeof(word)), 0);
	assert_string_equal(word, "1");
	tree_put(path, "a [b c\n");
	assert_int_equal(
		hl_choice_read(tree_root(), path, word, sizeof(word)), 0);
	assert_string_equal(word, "a [b c");
}

static void test_sizes(void **state)
{
	size_t sizes[HL_THP_SIZES_MAX];

	(void)state;
	assert_int_equal(hl_thp_sizes(tree_root(), sizes), 0);
	tree_put(THP "/hugepages-2048kB/enabled", "");
	tree_put(THP "/hugepages-64kB/enabled", "");
	tree_put(THP "/hugepages-63kB/enabled", "");
	tree_put(THP "/khugepaged/defrag", "");
	assert_int_equal(hl_thp_sizes(tree_root(), sizes), 2);
	assert_int_equal(sizes[0], 64 * HL_KIB);
	assert_int_equal(sizes[1], 2 * HL_MIB);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_memory),
		CASE(test_buddy),
		CASE(test_more_orders_than_known),
		CASE(test_changing_pools),
		CASE(test_choices),
		CASE(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
