/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/topo.c: nodes with gaps and without memory, distances, and kernels
 * that know nothing of nodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bitmap.h"
#include "base/fmt.h"
#include "tree.h"

#include <errno.h>
#include <string.h>

#define NODES "/sys/devices/system/node/"

static struct hl_topo topo;

static void look(const char *online, const char *has_memory)
{
	char text[256];
	struct hl_buf buf;

	memset(&topo, 0xa5, sizeof(topo));
	assert_int_equal(hl_topo_read(tree_root(), &topo), 0);
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_list(&buf, topo.online, HL_NODES_MAX);
	assert_string_equal(text, online);
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_list(&buf, topo.has_memory, HL_NODES_MAX);
	assert_string_equal(text, has_memory);
	assert_int_equal(
		topo.count, hl_bitmap_count(topo.has_memory, 0, HL_NODES_MAX));
}

static void test_without_numa_there_is_node_0(void **state)
{
	(void)state;
	look("0", "0");
	assert_int_equal(topo.highest, 0);
	assert_int_equal(hl_topo_distance(tree_root(), 0, 0), 10);
	assert_int_equal(hl_topo_distance(tree_root(), 0, 1), 20);
}

static void test_gaps_and_nodes_without_memory(void **state)
{
	(void)state;
	tree_put(NODES "online", "0,2-3,1023\n");
	tree_put(NODES "has_memory", "2,1023\n");
	look("0,2-3,1023", "2,1023");
	assert_int_equal(topo.count, 2);
	assert_int_equal(topo.highest, 1023);
}

static void test_old_names(void **state)
{
	(void)state;
	tree_put(NODES "online", "0-3\n");
	look("0-3", "0-3");
	tree_put(NODES "has_normal_memory", "0-2\n");
	look("0-3", "0-2");
	tree_put(NODES "has_memory", "0-1\n");
	look("0-3", "0-1");
}

static void test_failures_leave_the_result(void **state)
{
	(void)state;
	memset(&topo, 0xa5, sizeof(topo));
	tree_put(NODES "online", "0-1024\n");
	assert_int_equal(hl_topo_read(tree_root(), &topo), -ERANGE);
	tree_put(NODES "online", "all\n");
	assert_int_equal(hl_topo_read(tree_root(), &topo), -EINVAL);
	assert_int_equal(topo.highest, (int)0xa5a5a5a5);
}

static void test_distances(void **state)
{
	const struct hl_root *root = tree_root();

	(void)state;
	tree_put(NODES "online", "0,2,5\n");
	tree_put(NODES "node0/distance", "10 21 31\n");
	tree_put(NODES "node2/distance", "22 10 32\n");
	tree_put(NODES "node5/distance", "33 34\n");
	assert_int_equal(hl_topo_distance(root, 0, 0), 10);
	assert_int_equal(hl_topo_distance(root, 0, 2), 21);
	assert_int_equal(hl_topo_distance(root, 0, 5), 31);
	assert_int_equal(hl_topo_distance(root, 2, 0), 22);
	assert_int_equal(hl_topo_distance(root, 5, 2), 34);
	/* No such column, node or file. */
	assert_int_equal(hl_topo_distance(root, 5, 5), 10);
	assert_int_equal(hl_topo_distance(root, 0, 1), 20);
	assert_int_equal(hl_topo_distance(root, 1, 0), 20);
	assert_int_equal(hl_topo_distance(root, 0, -1), 20);
	assert_int_equal(hl_topo_distance(root, 0, 1024), 20);
	assert_int_equal(hl_topo_distance(root, -1, -1), 10);
	tree_put(NODES "node0/distance", "10 far 300\n");
	assert_int_equal(hl_topo_distance(root, 0, 2), 20);
	assert_int_equal(hl_topo_distance(root, 0, 5), 20);
}

static void test_the_running_machine(void **state)
{
	(void)state;
	assert_int_equal(hl_topo_read(&hl_root_real, &topo), 0);
	assert_true(topo.count >= 1);
	assert_true(topo.highest < HL_NODES_MAX);
	assert_int_equal(
		hl_topo_distance(&hl_root_real, topo.highest, topo.highest),
		10);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_without_numa_there_is_node_0),
		TEST(test_gaps_and_nodes_without_memory),
		TEST(test_old_names),
		TEST(test_failures_leave_the_result),
		TEST(test_distances),
		TEST(test_the_running_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
