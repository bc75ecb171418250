/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/mount.c: what is a hugetlbfs mount and what is told of it. Many
 * mounts and long lines: tests/sysroot/many-mounts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct hl_mount seen[8];
static int count;

static char told_options[256], told_super_options[256];

static int see(const struct hl_mount *mount, void *arg)
{
	strcpy(told_options, mount->options);
	strcpy(told_super_options, mount->super_options);
	seen[count++] = *mount;
	return arg && count == *(int *)arg ? 7 : 0;
}

static int look(const char *mountinfo, int *stop)
{
	count = 0;
	tree_put("/proc/self/mountinfo", mountinfo);
	return hl_mounts_visit(tree_root(), see, stop);
}

static void test_only_hugetlbfs_is_told(void **state)
{
	(void)state;
	assert_int_equal(look("1 2 0:1 / /a rw - tmpfs hugetlbfs rw\n"
			      "1 2 0:1 / /hugetlbfs rw - ext4 x rw\n"
			      "1 2 0:1 / /b rw - hugetlbfs n rw,pagesize=2M\n"
			      "\n"
			      "1 2 0:1 / /c rw - hugetlbfsx n rw\n"
			      "hugetlbfs\n"
			      "1 2 0:1 / /d rw - hugetlbfs n rw,pagesize=1G",
				 NULL),
		0);
	assert_int_equal(count, 2);
	assert_string_equal(seen[0].path, "/b");
	assert_int_equal(seen[0].page_bytes, 2 * HL_MIB);
	assert_true(seen[0].size_bytes == UINT64_MAX);
	assert_int_equal(seen[0].min_size_bytes, 0);
	assert_false(seen[0].read_only);
	assert_string_equal(seen[1].path, "/d");
	assert_int_equal(seen[1].page_bytes, HL_GIB);
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(look("1 2 0:1 / /b rw - hugetlbfs n "
			      "rw,pagesize=1024M,min_size=1073741824,"
			      "size=4294967296,nr_inodes=5\n",
				 NULL),
		0);
	assert_int_equal(seen[0].page_bytes, HL_GIB);
	assert_int_equal(seen[0].size_bytes, 4 * HL_GIB);
	assert_int_equal(seen[0].min_size_bytes, HL_GIB);
	assert_int_equal(seen[0].inodes, 5);
	assert_string_equal(told_options, "rw");
	assert_string_equal(told_super_options,
		"rw,pagesize=1024M,min_size=1073741824,size=4294967296,"
		"nr_inodes=5");
}

static void test_read_only_either_way(void **state)
{
	(void)state;
	look("1 2 0:1 / /b ro,noatime - hugetlbfs n rw,pagesize=2M\n"
	     "1 2 0:1 / /b rw,noatime - hugetlbfs n ro,pagesize=2M\n"
	     "1 2 0:1 / /b rw,noro - hugetlbfs n rw,pagesize=2M,mode=ro\n",
		NULL);
	assert_int_equal(count, 3);
	assert_true(seen[0].read_only);
	assert_true(seen[1].read_only);
	assert_false(seen[2].read_only);
}

static void test_without_a_size_it_is_the_default(void **state)
{
	(void)state;
	tree_put("/proc/meminfo", "MemTotal: 5 kB\nHugepagesize: 4096 kB\n");
	look("1 2 0:1 / /b rw - hugetlbfs n rw\n", NULL);
	assert_int_equal(count, 1);
	assert_int_equal(seen[0].page_bytes, 4 * HL_MIB);
	tree_put("/proc/meminfo", "MemTotal: 5 kB\n");
	look("1 2 0:1 / /b rw - hugetlbfs n rw\n", NULL);
	assert_int_equal(count, 0);
}

static void test_the_visitor_stops_it(void **state)
{
	int stop = 1;

	(void)state;
	assert_int_equal(look("1 2 0:1 / /b rw - hugetlbfs n pagesize=2M\n"
			      "1 2 0:1 / /c rw - hugetlbfs n pagesize=2M\n",
				 &stop),
		7);
	assert_int_equal(count, 1);
}

static void test_no_mountinfo(void **state)
{
	(void)state;
	assert_int_equal(hl_mounts_visit(tree_root(), see, NULL), -ENOENT);
}

/* The longest names that the kernel can have, every byte escaped. */
static void test_the_longest_line(void **state)
{
	size_t escaped = 4 * 4095;
	char *text = test_calloc(1, 2 * escaped + 200);
	char *at = text;

	(void)state;
	at = stpcpy(at, "1 2 0:1 /");
	for (int i = 0; i < 4094; i++)
		at = stpcpy(at, "\\040");
	at = stpcpy(at, " /");
	for (int i = 0; i < 4094; i++)
		at = stpcpy(at, "\\011");
	stpcpy(at, " rw shared:1 - hugetlbfs n rw,pagesize=2M\n");
	assert_int_equal(look(text, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(strlen(seen[0].path), 4095);
	assert_int_equal(strspn(seen[0].path + 1, "\t"), 4094);
	/* One byte more is no path of Linux, and does not fit. */
	strcpy(strstr(text, "\\011"), "x");
	at = strchr(text, 'x');
	for (int i = 0; i < 4095; i++)
		at = stpcpy(at, "\\011");
	stpcpy(at, " rw - hugetlbfs n rw,pagesize=2M\n");
	assert_int_equal(look(text, NULL), 0);
	assert_int_equal(count, 0);
	test_free(text);
}

static void test_the_running_machine(void **state)
{
	(void)state;
	count = 0;
	assert_int_equal(
		hl_mounts_visit(&hl_root_real, see, &(int){8}) & ~7, 0);
	for (int i = 0; i < count; i++) {
		assert_int_equal(seen[i].path[0], '/');
		assert_true(hl_is_pow2(seen[i].page_bytes));
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_hugetlbfs_is_told),
		TEST(test_limits),
		TEST(test_read_only_either_way),
		TEST(test_without_a_size_it_is_the_default),
		TEST(test_the_visitor_stops_it),
		TEST(test_no_mountinfo),
		TEST(test_the_longest_line),
		TEST(test_the_running_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
