/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/cgroup.c: both versions, which mount shows the group, every level
 * up to it, and spellings of "no limit". Captured machines: tests/sysroot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SIZE_2M (2 * HL_MIB)
#define LINE	"30 22 0:26 %s %s rw,relatime shared:9 - %s\n"

static struct hl_cgroup_hugetlb got;

static void put_value(const char *directory, const char *file, const char *text)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/hugetlb.%s", directory, file);
	tree_put(path, text);
}

static void mount_line(
	char *to, const char *root, const char *path, const char *type)
{
	sprintf(to + strlen(to), LINE, root, path, type);
}

static void machine(const char *membership, const char *root, const char *path,
	const char *type)
{
	char mounts[4096] = "21 1 254:1 / / rw - ext4 /dev/vda1 rw\n";

	mount_line(mounts, root, path, type);
	tree_put("/proc/self/cgroup", membership);
	tree_put("/proc/self/mountinfo", mounts);
}

static void look(void)
{
	memset(&got, 0xa5, sizeof(got));
	assert_int_equal(hl_cgroup_hugetlb(tree_root(), SIZE_2M, &got), 0);
}

static void no_limit(bool present)
{
	look();
	assert_int_equal(got.present, present);
	assert_true(got.max_bytes == UINT64_MAX);
	assert_true(got.headroom_bytes == UINT64_MAX);
	assert_true(got.rsvd_headroom_bytes == UINT64_MAX);
}

static void test_no_control_groups(void **state)
{
	(void)state;
	no_limit(false);
	tree_put("/proc/self/cgroup", "0::/a\n");
	no_limit(false);
	tree_put("/proc/self/mountinfo", "21 1 254:1 / / rw - ext4 x rw\n");
	no_limit(false);
	machine("0::/a\n", "/", "/cg", "cgroup2 cgroup2 rw");
	no_limit(false);
	put_value("/cg/a", "1GB.max", "0\n");
	no_limit(false);
}

static void test_the_tightest_level_counts(void **state)
{
	(void)state;
	machine("0::/a/b/c\n", "/", "/cg", "cgroup2 cgroup2 rw");
	put_value("/cg/a", "2MB.max", "10485760\n");
	put_value("/cg/a", "2MB.current", "8388608\n");
	put_value("/cg/a/b", "2MB.max", "6291456\n");
	put_value("/cg/a/b", "2MB.current", "2097152\n");
	put_value("/cg/a/b/c", "2MB.max", "max\n");
	put_value("/cg/a/b/c", "2MB.current", "2097152\n");
	look();
	assert_true(got.present);
	assert_int_equal(got.max_bytes, 6291456);
	assert_int_equal(got.headroom_bytes, 2097152);
	assert_int_equal(got.current_bytes, 8388608);
	assert_true(got.rsvd_headroom_bytes == UINT64_MAX);
}

static void test_over_the_limit_is_no_room(void **state)
{
	(void)state;
	machine("0::/a\n", "/", "/cg", "cgroup2 cgroup2 rw");
	put_value("/cg/a", "2MB.max", "2097152\n");
	put_value("/cg/a", "2MB.current", "8388608\n");
	look();
	assert_int_equal(got.headroom_bytes, 0);
	put_value("/cg/a", "2MB.max", "0\n");
	put_value("/cg/a", "2MB.current", "0\n");
	look();
	assert_int_equal(got.headroom_bytes, 0);
	assert_int_equal(got.max_bytes, 0);
}

static void test_spellings_of_no_limit(void **state)
{
	static const char *const spellings[] = {"max\n",
		"9223372036854771712\n", "9223372036854775807\n",
		"9223372036852678656\n", "9223372035781033984\n",
		"9223372036854710272\n", "18446744073709551615\n"};

	(void)state;
	machine("0::/a\n", "/", "/cg", "cgroup2 cgroup2 rw");
	put_value("/cg/a", "2MB.current", "4194304\n");
	for (size_t i = 0; i < HL_ARRAY_SIZE(spellings); i++) {
		put_value("/cg/a", "2MB.max", spellings[i]);
		put_value("/cg/a", "2MB.rsvd.max", spellings[i]);
		no_limit(true);
		assert_int_equal(got.current_bytes, 4194304);
	}
}

static void test_reservations(void **state)
{
	(void)state;
	machine("0::/a/b\n", "/", "/cg", "cgroup2 cgroup2 rw");
	put_value("/cg/a/b", "2MB.max", "max\n");
	put_value("/cg/a/b", "2MB.rsvd.max", "8388608\n");
	put_value("/cg/a/b", "2MB.rsvd.current", "2097152\n");
	put_value("/cg/a", "2MB.max", "max\n");
	put_value("/cg/a", "2MB.rsvd.max", "4194304\n");
	put_value("/cg/a", "2MB.rsvd.current", "2097152\n");
	look();
	assert_true(got.headroom_bytes == UINT64_MAX);
	assert_int_equal(got.rsvd_headroom_bytes, 2097152);
}

static void test_version_1(void **state)
{
	(void)state;
	machine("7:memory:/m\n6:cpu,hugetlb:/a\n0::/u\n", "/",
		"/cg/hugetlb,cpu", "cgroup cgroup rw,cpu,hugetlb");
	put_value("/cg/hugetlb,cpu/a", "2MB.limit_in_bytes", "4194304\n");
	put_value("/cg/hugetlb,cpu/a", "2MB.usage_in_bytes", "2097152\n");
	put_value("/cg/hugetlb,cpu/a", "2MB.rsvd.limit_in_bytes", "0\n");
	look();
	assert_true(got.present);
	assert_int_equal(got.max_bytes, 4194304);
	assert_int_equal(got.headroom_bytes, 2097152);
	assert_int_equal(got.rsvd_headroom_bytes, 0);
}

static void test_names_that_only_look_like_hugetlb(void **state)
{
	(void)state;
	machine("6:nohugetlb,hugetlbx:/a\n", "/", "/cg",
		"cgroup cgroup rw,nohugetlb");
	put_value("/cg/a", "2MB.limit_in_bytes", "0\n");
	no_limit(false);
}

static void test_hybrid_falls_back_to_version_2(void **state)
{
	(void)state;
	/* Member of a v1 hierarchy that is mounted nowhere. */
	machine("6:hugetlb:/a\n0::/u\n", "/", "/cg", "cgroup2 cgroup2 rw");
	put_value("/cg/u", "2MB.max", "2097152\n");
	look();
	assert_int_equal(got.max_bytes, 2097152);
}

static void test_a_part_of_the_tree_is_mounted(void **state)
{
	(void)state;
	machine("0::/pod/box/app\n", "/pod/box", "/cg", "cgroup2 c rw");
	put_value("/cg", "2MB.max", "8388608\n");
	put_value("/cg/app", "2MB.max", "max\n");
	look();
	assert_int_equal(got.max_bytes, 8388608);
	/* The process is in the mount's own directory. */
	machine("0::/pod/box\n", "/pod/box", "/cg", "cgroup2 c rw");
	look();
	assert_int_equal(got.max_bytes, 8388608);
	/* A sibling whose name starts alike is another group. */
	machine("0::/pod/boxer\n", "/pod/box", "/cg", "cgroup2 c rw");
	no_limit(false);
	machine("0::/\n", "/pod/box", "/cg", "cgroup2 c rw");
	no_limit(false);
}

static void test_the_mount_that_shows_the_group_is_taken(void **state)
{
	char mounts[4096] = "";

	(void)state;
	mount_line(mounts, "/other", "/first", "cgroup2 c rw");
	mount_line(mounts, "/", "/sec\\040ond", "cgroup2 c rw");
	tree_put("/proc/self/mountinfo", mounts);
	tree_put("/proc/self/cgroup", "0::/a\n");
	put_value("/first/a", "2MB.max", "0\n");
	put_value("/sec ond/a", "2MB.max", "4194304\n");
	look();
	assert_int_equal(got.max_bytes, 4194304);
}

static void test_outside_of_the_namespace(void **state)
{
	(void)state;
	machine("0::/../other\n", "/", "/cg", "cgroup2 c rw");
	put_value("/cg", "2MB.max", "0\n");
	put_value("/other", "2MB.max", "0\n");
	no_limit(false);
	machine("0::/..\n", "/", "/cg", "cgroup2 c rw");
	no_limit(false);
	/* Two dots in a name are no step up. */
	machine("0::/..a\n", "/", "/cg", "cgroup2 c rw");
	put_value("/cg/..a", "2MB.max", "2097152\n");
	look();
	assert_int_equal(got.max_bytes, 0);
}

static void test_odd_names(void **state)
{
	(void)state;
	machine("0::/a:b/c d\n", "/", "/cg", "cgroup2 c rw");
	put_value("/cg/a:b/c d", "2MB.max", "2097152\n");
	look();
	assert_int_equal(got.max_bytes, 2097152);
}

static void test_too_long_a_name_is_no_other_group(void **state)
{
	char membership[4096] = "0::/";

	(void)state;
	memset(membership + 4, 'a', 3000);
	strcpy(membership + 3004, "\n");
	machine(membership, "/", "/cg", "cgroup2 c rw");
	put_value("/cg", "2MB.max", "0\n");
	no_limit(false);
}

static void test_names_of_sizes(void **state)
{
	static const struct {
		size_t bytes;
		const char *file;
	} sizes[] = {{64 * HL_KIB, "64KB.max"}, {32 * HL_MIB, "32MB.max"},
		{HL_GIB, "1GB.max"}, {16 * HL_GIB, "16GB.max"}};

	(void)state;
	machine("0::/a\n", "/", "/cg", "cgroup2 c rw");
	for (size_t i = 0; i < HL_ARRAY_SIZE(sizes); i++) {
		put_value("/cg/a", sizes[i].file, "4096\n");
		assert_int_equal(
			hl_cgroup_hugetlb(tree_root(), sizes[i].bytes, &got),
			0);
		assert_int_equal(got.max_bytes, 4096);
	}
}

static void test_garbage_is_no_limit(void **state)
{
	(void)state;
	machine("0::/a\n", "/", "/cg", "cgroup2 c rw");
	put_value("/cg/a", "2MB.max", "many\n");
	no_limit(false);
	put_value("/cg/a", "2MB.max", "");
	no_limit(false);
	machine("nonsense\n:\n::\n0:\n0::relative\n", "/", "/cg",
		"cgroup2 c rw");
	no_limit(false);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_control_groups),
		TEST(test_the_tightest_level_counts),
		TEST(test_over_the_limit_is_no_room),
		TEST(test_spellings_of_no_limit),
		TEST(test_reservations),
		TEST(test_version_1),
		TEST(test_names_that_only_look_like_hugetlb),
		TEST(test_hybrid_falls_back_to_version_2),
		TEST(test_a_part_of_the_tree_is_mounted),
		TEST(test_the_mount_that_shows_the_group_is_taken),
		TEST(test_outside_of_the_namespace),
		TEST(test_odd_names),
		TEST(test_too_long_a_name_is_no_other_group),
		TEST(test_names_of_sizes),
		TEST(test_garbage_is_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
