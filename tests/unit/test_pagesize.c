/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/pagesize.c: which sizes there are, and that the kernel takes them.
 * Captured machines: tests/sysroot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "skip.h"
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGEPAGES "/sys/kernel/mm/hugepages/hugepages-"

static void test_sizes_ascend(void **state)
{
	size_t sizes[HL_PAGE_SIZES_MAX];

	(void)state;
	tree_put(HUGEPAGES "1048576kB/nr_hugepages", "0\n");
	tree_put(HUGEPAGES "64kB/nr_hugepages", "0\n");
	tree_put(HUGEPAGES "16777216kB/nr_hugepages", "0\n");
	tree_put(HUGEPAGES "2048kB/nr_hugepages", "0\n");
	assert_int_equal(hl_huge_page_sizes(tree_root(), sizes), 4);
	assert_int_equal(sizes[0], 64 * HL_KIB);
	assert_int_equal(sizes[1], 2 * HL_MIB);
	assert_int_equal(sizes[2], HL_GIB);
	assert_int_equal(sizes[3], 16 * HL_GIB);
}

static void test_odd_names_are_no_sizes(void **state)
{
	static const char *const names[] = {"kB", "2048", "2048KB", "x2048kB",
		"3000kB", "0kB", "2048kBx", "-1kB", "99999999999999999999kB",
		"00000000000000000000000000000000002048kB"};
	size_t sizes[HL_PAGE_SIZES_MAX];
	char path[256];

	(void)state;
	for (size_t i = 0; i < HL_ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), HUGEPAGES "%s/f", names[i]);
		tree_put(path, "");
	}
	tree_put("/sys/kernel/mm/hugepages/other", "");
	assert_int_equal(hl_huge_page_sizes(tree_root(), sizes), 0);
}

static void test_more_sizes_than_we_know(void **state)
{
	size_t sizes[HL_PAGE_SIZES_MAX + 1];
	char path[256];

	(void)state;
	sizes[HL_PAGE_SIZES_MAX] = 77;
	for (int i = 0; i < 12; i++) {
		snprintf(path, sizeof(path), HUGEPAGES "%dkB/f", 64 << i);
		tree_put(path, "");
	}
	assert_int_equal(
		hl_huge_page_sizes(tree_root(), sizes), HL_PAGE_SIZES_MAX);
	for (int i = 1; i < HL_PAGE_SIZES_MAX; i++)
		assert_true(sizes[i - 1] < sizes[i]);
	assert_int_equal(sizes[HL_PAGE_SIZES_MAX], 77);
}

static void standard(const char *meminfo, int err, size_t want)
{
	size_t got = 77;

	tree_put("/proc/meminfo", meminfo);
	assert_int_equal(hl_default_huge_page(tree_root(), &got), err);
	assert_int_equal(got, err ? 77 : want);
}

static void test_the_default_size(void **state)
{
	size_t got = 77;

	(void)state;
	assert_int_equal(hl_default_huge_page(tree_root(), &got), -ENOSYS);
	standard("MemTotal:  5 kB\nHugepagesize:       2048 kB\n", 0,
		2 * HL_MIB);
	standard("Hugepagesize:\t524288 kB", 0, 512 * HL_MIB);
	standard("MemTotal:  5 kB\n", -ENOSYS, 0);
	standard("XHugepagesize: 2048 kB\n", -ENOSYS, 0);
	standard("Hugepagesize: kB\n", -ENOSYS, 0);
	standard("Hugepagesize: 3 kB\n", -ENOSYS, 0);
	standard("Hugepagesize: 99999999999999999999999 kB\n", -ENOSYS, 0);
	standard("Hugepagesize: 18014398509481984 kB\n", -ENOSYS, 0);
}

static void test_flags(void **state)
{
	(void)state;
	assert_int_equal(hl_map_huge_flag(64 * HL_KIB), 16 << 26);
	assert_int_equal(hl_map_huge_flag(2 * HL_MIB), 21 << 26);
	assert_int_equal(hl_map_huge_flag(HL_GIB), 30 << 26);
	assert_int_equal((unsigned)hl_map_huge_flag(16 * HL_GIB), 34u << 26);
}

static void test_the_base_page(void **state)
{
	(void)state;
	assert_int_equal(hl_base_page_bytes(), sysconf(_SC_PAGESIZE));
}

/* The kernel must agree that what we list can be asked for. */
static void test_the_running_machine(void **state)
{
	size_t sizes[HL_PAGE_SIZES_MAX], standard_size;
	int count = hl_huge_page_sizes(&hl_root_real, sizes);
	void *p;

	(void)state;
	if (count == 0)
		SKIP_BECAUSE("this kernel has no huge pages");
	assert_int_equal(
		hl_default_huge_page(&hl_root_real, &standard_size), 0);
	for (int i = 0; i < count; i++) {
		p = mmap(NULL, sizes[i], PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
				MAP_NORESERVE | hl_map_huge_flag(sizes[i]),
			-1, 0);
		assert_ptr_not_equal(p, MAP_FAILED);
		munmap(p, sizes[i]);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sizes_ascend),
		TEST(test_odd_names_are_no_sizes),
		TEST(test_more_sizes_than_we_know),
		TEST(test_the_default_size),
		TEST(test_flags),
		TEST(test_the_base_page),
		TEST(test_the_running_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
