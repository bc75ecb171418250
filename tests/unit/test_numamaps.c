/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/numamaps.c: our own mappings, and lines written by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "system/proc.h"
#include "skip.h"
#include "tree.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

struct search {
	uintptr_t from;
	struct hl_numa_record found;
	int count;
};

static int see(const struct hl_numa_record *r, void *arg)
{
	struct search *search = arg;

	search->count++;
	if (r->from != search->from)
		return 0;
	search->found = *r;
	return 3;
}

static void test_own(void **state)
{
	size_t bytes = 4 * hl_base_page_bytes();
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct search search = {.from = (uintptr_t)at};
	uint64_t pages = 0;
	int err;

	assert_ptr_not_equal(at, MAP_FAILED);
	memset(at, 1, bytes);
	err = hl_numa_maps_visit(&hl_root_real, 0, see, &search);
	munmap(at, bytes);
	if (err == -ENOENT)
		SKIP_BECAUSE("this kernel has no numa_maps");
	assert_int_equal(err, 3);
	assert_false(search.found.huge);
	assert_int_equal(search.found.page_bytes, hl_base_page_bytes());
	for (unsigned i = 0; i < HL_NUMA_NODES; i++)
		pages += search.found.pages[i];
	assert_int_equal(pages, 4);
}

static void test_lines(void **state)
{
	struct search s = {.from = 0x7f00};

	assert_int_equal(hl_numa_maps_visit(tree_root(), 5, see, &s), -ENOENT);
	tree_put("/proc/5/numa_maps",
		"garbage\n"
		"7e00\n"
		"7f00 interleave:0-3 file=/N3=9 huge dirty=3 N0=1 N3=2 N64=8 "
		"N=5 Nx=5 kernelpagesize_kB=2048\n");
	assert_int_equal(hl_numa_maps_visit(tree_root(), 5, see, &s), 3);
	assert_int_equal(s.count, 1);
	assert_true(s.found.huge);
	assert_int_equal(s.found.page_bytes, 2 * HL_MIB);
	for (unsigned i = 0; i < HL_NUMA_NODES; i++)
		assert_int_equal(s.found.pages[i], i == 0 ? 1 : i == 3 ? 2 : 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test_setup_teardown(
			test_lines, tree_setup, tree_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
