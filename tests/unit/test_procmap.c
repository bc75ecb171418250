/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/procmap.c: records of smaps, written by hand and the running
 * process's own. A captured one: tests/sysroot/x86-one-node.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SCRATCH (64 * 1024)

static char scratch[SCRATCH];

struct seen {
	struct hl_map_record records[8];
	char paths[8][256];
	int count;
	int stop_at;
};

static int see(const struct hl_map_record *r, void *arg)
{
	struct seen *seen = arg;

	if (seen->count == 8)
		return -1;
	seen->records[seen->count] = *r;
	snprintf(seen->paths[seen->count], 256, "%s", r->path);
	return ++seen->count == seen->stop_at ? 5 : 0;
}

static int look(const char *smaps, struct seen *seen)
{
	int stop_at = seen->stop_at;

	memset(seen, 0, sizeof(*seen));
	seen->stop_at = stop_at;
	tree_put("/proc/self/smaps", smaps);
	return hl_smaps_visit(
		tree_root(), 0, scratch, sizeof(scratch), see, seen);
}

static const char two[] =
	"7f0000200000-7f0000600000 rw-p 00000000 00:11 110905"
	"                     /anon_hugepage (deleted)\n"
	"Size:               4096 kB\n"
	"KernelPageSize:     2048 kB\n"
	"Rss:                   0 kB\n"
	"AnonHugePages:         0 kB\n"
	"Shared_Hugetlb:     2048 kB\n"
	"Private_Hugetlb:    2048 kB\n"
	"THPeligible:           0\n"
	"VmFlags: rd wr mr mw me de nr ht \n"
	"7ffd1f488000-7ffd1f4a9000 r-xs 0001a000 fe:00 18446744073709551615\n"
	"KernelPageSize:        4 kB\n"
	"Rss:                 132 kB\n"
	"Anonymous:            16 kB\n"
	"AnonHugePages:      2048 kB\n"
	"Swap:                 24 kB\n"
	"SwapPss:              20 kB\n"
	"ShmemPmdMapped:     4096 kB\n"
	"FilePmdMapped:      6144 kB\n"
	"NewerKernels:          9 kB\n"
	"VmFlags: rd ex lo bt nh htx\n";

static void test_records(void **state)
{
	struct seen seen = {0};
	const struct hl_map_record *r = seen.records;

	(void)state;
	assert_int_equal(look(two, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_true(r->from == 0x7f0000200000 && r->to == 0x7f0000600000);
	assert_string_equal(r->perms, "rw-p");
	assert_int_equal(r->offset, 0);
	assert_int_equal(r->inode, 110905);
	assert_string_equal(seen.paths[0], "/anon_hugepage (deleted)");
	assert_int_equal(r->kernel_page_bytes, 2 * HL_MIB);
	assert_int_equal(r->rss_bytes, 0);
	assert_int_equal(r->shared_hugetlb_bytes, 2 * HL_MIB);
	assert_int_equal(r->private_hugetlb_bytes, 2 * HL_MIB);
	assert_true(r->ht && r->nr && !r->bt && !r->lo);
	r++;
	assert_string_equal(r->perms, "r-xs");
	assert_int_equal(r->offset, 0x1a000);
	assert_true(r->inode == UINT64_MAX);
	assert_string_equal(seen.paths[1], "");
	assert_int_equal(r->kernel_page_bytes, 4096);
	assert_int_equal(r->rss_bytes, 132 * HL_KIB);
	assert_int_equal(r->anon_bytes, 16 * HL_KIB);
	assert_int_equal(r->swap_bytes, 24 * HL_KIB);
	assert_int_equal(r->anon_huge_bytes, 2 * HL_MIB);
	assert_int_equal(r->shmem_huge_bytes, 4 * HL_MIB);
	assert_int_equal(r->file_huge_bytes, 6 * HL_MIB);
	assert_int_equal(r->private_hugetlb_bytes, 0);
	assert_true(r->bt && r->lo);
	assert_false(r->ht || r->nr);
}

static void test_the_visitor_stops_it(void **state)
{
	struct seen seen = {.stop_at = 1};

	(void)state;
	assert_int_equal(look(two, &seen), 5);
	assert_int_equal(seen.count, 1);
	seen.stop_at = 2;
	assert_int_equal(look(two, &seen), 5);
}

static void test_names(void **state)
{
	struct seen seen = {0};

	(void)state;
	assert_int_equal(
		look("1000-2000 r--p 0 0:0 5    /a b  c\\012d \n"
		     "2000-3000 r--p 0 0:0 0 [heap]\n"
		     "3000-4000 r--p 0 0:0 0                    \n"
		     "ffffffffff600000-ffffffffff601000 --xp 0 0:0 0 [v]\n",
			&seen),
		0);
	assert_int_equal(seen.count, 4);
	assert_string_equal(seen.paths[0], "/a b  c\\012d ");
	assert_string_equal(seen.paths[1], "[heap]");
	assert_string_equal(seen.paths[2], "");
	assert_true(seen.records[3].from == 0xffffffffff600000);
}

static void test_what_is_no_header_is_passed_over(void **state)
{
	static const char *const bad[] = {"", "x", "1000", "1000-", "1000-2000",
		"1000-2000 rw", "1000-2000 rw-p", "1000-2000 rw-p ",
		"1000-2000 rwxxp 0 0:0 0", "-2000 rw-p 0 0:0 0",
		"1000 2000 rw-p 0 0:0 0", "1000-2000 rw-p 0 00 0",
		"11112222333344445-2000 rw-p 0 0:0 0",
		"1000-2000 rw-p x 0:0 0"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < HL_ARRAY_SIZE(bad); i++) {
		struct seen seen = {0};

		/* Nor does it take what follows for its own. */
		snprintf(text, sizeof(text),
			"%s\nRss: 4 kB\n5000-6000 r--p 0 0:0 0\nRss: 8 kB\n",
			bad[i]);
		assert_int_equal(look(text, &seen), 0);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.records[0].from, 0x5000);
		assert_int_equal(seen.records[0].rss_bytes, 8192);
	}
}

static void test_odd_values(void **state)
{
	struct seen seen = {0};

	(void)state;
	assert_int_equal(look("1000-2000 r--p 0 0:0 0\n"
			      "Rss: 99999999999999999999999 kB\n"
			      "KernelPageSize:\n"
			      "AnonHugePages: -4 kB\n"
			      "FilePmdMapped: \n"
			      "VmFlags:\n"
			      "Rssx: 7 kB\n"
			      "Rss",
				 &seen),
		0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.records[0].rss_bytes, 0);
	assert_int_equal(seen.records[0].kernel_page_bytes, 0);
	assert_int_equal(seen.records[0].anon_huge_bytes, 0);
}

static void test_errors(void **state)
{
	struct seen seen = {0};

	(void)state;
	assert_int_equal(hl_smaps_visit(tree_root(), 0, scratch,
				 sizeof(scratch), see, &seen),
		-ENOENT);
	assert_int_equal(
		hl_smaps_visit(tree_root(), 0, scratch, 4096, see, &seen),
		-EINVAL);
	tree_put("/proc/77/smaps", two);
	assert_int_equal(hl_smaps_visit(tree_root(), 77, scratch,
				 sizeof(scratch), see, &seen),
		0);
	assert_int_equal(seen.count, 2);
}

static int find(const struct hl_map_record *r, void *arg)
{
	struct hl_map_record *wanted = arg;

	if (r->from > wanted->from || r->to <= wanted->from)
		return 0;
	*wanted = *r;
	return 1;
}

static void test_our_own_maps(void **state)
{
	size_t page = hl_base_page_bytes();
	char *map = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct hl_map_record r = {.from = (uintptr_t)map + page};

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	/* A border of its own on both sides. */
	mprotect(map, page, PROT_NONE);
	mprotect(map + 7 * page, page, PROT_NONE);
	memset(map + page, 1, 3 * page);
	assert_int_equal(hl_smaps_visit(&hl_root_real, getpid(), scratch,
				 sizeof(scratch), find, &r),
		1);
	assert_true(r.from == (uintptr_t)map + page);
	assert_true(r.to == (uintptr_t)map + 7 * page);
	assert_string_equal(r.perms, "rw-p");
	assert_int_equal(r.kernel_page_bytes, page);
	assert_true(r.rss_bytes >= 3 * page);
	assert_false(r.ht);
	munmap(map, 8 * page);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_records),
		TEST(test_the_visitor_stops_it),
		TEST(test_names),
		TEST(test_what_is_no_header_is_passed_over),
		TEST(test_odd_values),
		TEST(test_errors),
		TEST(test_our_own_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
