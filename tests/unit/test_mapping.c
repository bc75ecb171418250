/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/region/mapping*.c on a fake kernel: a program's own mappings on pages of
 * the pool, of which it unmaps, overlays, moves any base page, while each call
 * in turn is refused. Either it is done, or there is an error and everything is
 * as it was; what the program still has it keeps; and when it has unmapped all,
 * nothing is left: no mapping, no record, no page, no reservation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"
#include "tree.h"

#include "accounting/ledger.h"
#include "base/count.h"
#include "base/failure.h"
#include "base/opt.h"
#include "region/mapping_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define BASE	4096u
#define PER	(FAKE_HUGE / BASE) /* base pages of a huge one */
#define PAGES	(3 * PER + 100)	   /* of the mapping: the last unit in part */
#define UNITS	4
#define POOL	16
#define RW	(PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define SHARED	(MAP_SHARED | MAP_ANONYMOUS)

static int setup(void **state)
{
	fake_setup(state);
	strcpy(hl_opt.mmap, "2M");
	hl_opt.shm = true;
	hl_mapping_configure();
	hl_mapping.table.count = 0;
	fake.pool[0] = POOL;
	fake.live = true;
	fake_publish();
	fake_publish_cgroup(-1, -1);
	return 0;
}

static int teardown(void **state)
{
	hl_opt.shm = false;
	return fake_teardown(state);
}

static uint64_t all_counted(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < HL_LIMIT_COUNT_; i++)
		sum += atomic_load(&hl_counts()->fallbacks[i]);
	return sum;
}

static void assert_books_are_even(void)
{
	struct hl_ledger_totals t;

	hl_ledger_read(&hl_ledger, FAKE_HUGE, HL_LEDGER_ALL, &t);
	assert_int_equal(t.promised, 0);
	assert_int_equal(t.backed, 0);
	assert_int_equal(fake.pool[0], POOL);
	assert_int_equal(fake.reserved, 0);
	assert_int_equal(hl_mapping.table.count, 0);
}

/* ---- a mapping, and what the program thinks of each base page ---- */

enum is {
	KEPT,
	GONE, /* not accessible */
	NEW,  /* the program's other mapping */
};

static char *map;
static int flags;
static enum is page[PAGES];

static uint32_t *word(size_t i)
{
	return (uint32_t *)(void *)(map + i * BASE);
}

static char *at(size_t i)
{
	return map + i * BASE;
}

static void make(int with)
{
	void *p;

	flags = with;
	assert_int_equal(
		hl_mapping_map(NULL, PAGES * BASE, RW, flags, -1, 0, &p), 0);
	map = p;
	assert_true(fake_is_hugetlb(map));
	assert_int_equal(hl_mapping.table.count, 1);
	for (size_t i = 0; i < PAGES; i++) {
		*word(i) = (uint32_t)i + 1;
		page[i] = KEPT;
	}
}

static void set(size_t from, size_t to, enum is is)
{
	for (size_t i = from; i < to; i++)
		page[i] = is;
}

static bool is_accessible(size_t i)
{
	return fake_is_prot(at(i), BASE, RW);
}

/*
 * loosely: of what went the addresses may have stayed, as huge pages of shared
 * mappings do, and what the kernel did not cut any more.
 */
static void check_pages(bool loosely)
{
	for (size_t i = 0; i < PAGES; i++) {
		if (page[i] == KEPT) {
			assert_true(is_accessible(i));
			assert_int_equal(*word(i), i + 1);
		} else if (page[i] == NEW) {
			assert_true(is_accessible(i));
			assert_int_equal(*word(i), 0);
		} else if (!loosely) {
			assert_false(is_accessible(i));
		}
	}
}

static void end(void)
{
	assert_int_equal(hl_mapping_unmap(map, PAGES * BASE), 0);
	assert_books_are_even();
}

/* ---- operations: one each, and the pages that they change ---- */

struct operation {
	const char *name;
	size_t from, to;
	enum is becomes;
};

static const struct operation operations[] = {
	{"unmap the head of a unit", 0, 3, GONE},
	{"unmap the tail of a unit", PER - 3, PER, GONE},
	{"unmap inside a unit", PER + 5, PER + 9, GONE},
	{"unmap two parts of units", PER - 3, PER + 9, GONE},
	{"unmap a unit", PER, 2 * PER, GONE},
	{"unmap two units and parts", PER - 1, 2 * PER + 1, GONE},
	{"unmap to the end", 2 * PER + 7, PAGES, GONE},
	{"unmap the last page", PAGES - 1, PAGES, GONE},
	{"unmap all", 0, PAGES, GONE},
	{"overlay inside a unit", 10, 12, NEW},
	{"overlay units and parts", PER - 1, 3 * PER + 1, NEW},
	{"overlay a unit", PER, 2 * PER, NEW},
	{"overlay to the end", 3 * PER + 7, PAGES, NEW},
	{"overlay all", 0, PAGES, NEW},
};

static int perform(const struct operation *o)
{
	size_t bytes = (o->to - o->from) * BASE;
	void *p;

	if (o->becomes == GONE)
		return hl_mapping_unmap(at(o->from), bytes);
	return hl_mapping_map(
		at(o->from), bytes, RW, flags | MAP_FIXED, -1, 0, &p);
}

static void run(const struct operation *o, int with, enum fake_call call,
	unsigned nth, int rc)
{
	bool loosely = with == SHARED || rc != 0;
	int err;

	make(with);
	fake_refuse(call, nth, rc);
	err = perform(o);
	fake_refuse(call, 1, 0);
	if (err == 0)
		set(o->from, o->to, o->becomes);
	else
		assert_true(err == -ENOMEM || err == -EINVAL);
	/* The kernel itself refused the last step of an overlay. */
	if (err == 0 || o->becomes == GONE || call != FAKE_MMAP)
		check_pages(loosely);
	end();
	if (call == FAKE_MUNMAP && rc != 0)
		fake_unmap_rest();
	if (fake_mappings() != 0)
		fail_msg("%s, call %d, number %u refused: %zu mappings left",
			o->name, call, nth, fake_mappings());
}

static void test_each_operation(void **state)
{
	for (size_t i = 0; i < HL_ARRAY_SIZE(operations); i++) {
		run(&operations[i], PRIVATE, FAKE_MMAP, 1, 0);
		run(&operations[i], SHARED, FAKE_MMAP, 1, 0);
	}
}

static void each_call_refused(int with)
{
	static const enum fake_call calls[] = {FAKE_MMAP, FAKE_MUNMAP,
		FAKE_MPROTECT, FAKE_MADVISE, FAKE_MREMAP, FAKE_MINCORE};

	for (size_t i = 0; i < HL_ARRAY_SIZE(operations); i++) {
		for (size_t c = 0; c < HL_ARRAY_SIZE(calls); c++) {
			for (unsigned nth = 1; nth <= 6; nth++)
				run(&operations[i], with, calls[c], nth,
					-ENOMEM);
		}
	}
}

static void test_any_call_may_be_refused_private(void **state)
{
	each_call_refused(PRIVATE);
}

static void test_any_call_may_be_refused_shared(void **state)
{
	each_call_refused(SHARED);
}

/* An old kernel unmaps before it refuses. */
static void test_old_kernel(void **state)
{
	fake.unmap_first = true;
	for (size_t i = 0; i < HL_ARRAY_SIZE(operations); i++) {
		for (unsigned nth = 1; nth <= 3; nth++) {
			run(&operations[i], PRIVATE, FAKE_MREMAP, nth, -ENOMEM);
			run(&operations[i], SHARED, FAKE_MREMAP, nth, -ENOMEM);
		}
	}
}

/* It is the program's all the same, and ordinary. */
static void test_shared_that_was_unmapped_first(void **state)
{
	fake.unmap_first = true;
	make(SHARED);
	fake_refuse(FAKE_MREMAP, 1, -ENOMEM);
	assert_int_equal(
		hl_mapping_before_change(at(1), BASE, PROT_READ), BASE);
	assert_false(fake_is_hugetlb(map));
	assert_int_equal(hl_mapping.table.count, 0);
	check_pages(false);
	end();
	assert_int_equal(fake_mappings(), 0);
}

/* ---- making ---- */

/* All of it can be used, and what is not of the pool was counted. */
static void make_refused(int with, enum fake_call call, unsigned nth, int rc)
{
	uint64_t before = all_counted();
	size_t huge = 0;
	void *p = NULL;
	int err;

	fake_refuse(call, nth, rc);
	err = hl_mapping_map(NULL, PAGES * BASE, RW, with, -1, 0, &p);
	fake_refuse(call, 1, 0);
	if (err == 0) {
		map = p;
		assert_true(fake_is_prot(p, PAGES * BASE, RW));
		for (size_t i = 0; i < PAGES; i += PER)
			huge += fake_is_hugetlb(at(i));
		if (with == PRIVATE)
			assert_int_equal(
				fake_unpopulated(p, UNITS * FAKE_HUGE), 0);
		for (size_t i = 0; i < PAGES; i++)
			*word(i) = 1;
		assert_int_equal(huge<UNITS, all_counted()> before);
		assert_int_equal(hl_mapping_unmap(p, PAGES * BASE), 0);
	} else {
		assert_int_equal(err, rc);
		assert_null(p);
	}
	if (call == FAKE_MUNMAP)
		fake_unmap_rest();
	assert_int_equal(fake_mappings(), 0);
	assert_books_are_even();
	fake_publish();
}

static void test_making_may_be_refused(void **state)
{
	static const enum fake_call calls[] = {FAKE_MMAP, FAKE_MUNMAP,
		FAKE_MADVISE, FAKE_MINCORE, FAKE_MBIND, FAKE_GET_MEMPOLICY,
		FAKE_SET_MEMPOLICY};

	for (int aligned = 0; aligned < 2; aligned++) {
		fake.misalign = !aligned;
		for (size_t c = 0; c < HL_ARRAY_SIZE(calls); c++) {
			for (unsigned nth = 1; nth <= 5; nth++) {
				make_refused(PRIVATE, calls[c], nth, -ENOMEM);
				make_refused(SHARED, calls[c], nth, -ENOMEM);
			}
		}
	}
}

static void test_few_pages(void **state)
{
	uint64_t before = all_counted();
	struct hl_failure f;
	void *p;

	fake.pool[0] = 3;
	fake_publish();
	assert_int_equal(
		hl_mapping_map(NULL, PAGES * BASE, RW, PRIVATE, -1, 0, &p), 0);
	assert_true(hl_failure_read(&f));
	assert_int_equal(f.limit, HL_LIMIT_POOL);
	assert_int_equal(f.needed_hpages, UNITS);
	assert_int_equal(f.available_hpages, 3);
	assert_int_equal(all_counted(), before + 1);
	assert_int_equal(fake.pool[0], 0);
	assert_int_equal(hl_mapping_unmap(p, PAGES * BASE), 0);
	/* Of a shared one all or nothing. */
	assert_int_equal(
		hl_mapping_map(NULL, PAGES * BASE, RW, SHARED, -1, 0, &p), 0);
	assert_int_equal(all_counted(), before + 1 + UNITS);
	assert_false(fake_is_hugetlb(p));
	assert_int_equal(hl_mapping_unmap(p, PAGES * BASE), 0);
	assert_int_equal(hl_mapping.table.count, 0);
	fake.pool[0] = POOL;
}

/* The part that the pool has not is refused: nothing of it, or all. */
static void test_few_pages_and_refusals(void **state)
{
	static const enum fake_call calls[] = {
		FAKE_MMAP, FAKE_MPROTECT, FAKE_MADVISE};

	for (size_t c = 0; c < HL_ARRAY_SIZE(calls); c++) {
		for (unsigned nth = 1; nth <= 7; nth++) {
			void *p;

			fake.pool[0] = 3;
			fake_publish();
			fake_refuse(calls[c], nth, -ENOMEM);
			assert_int_equal(hl_mapping_map(NULL, PAGES * BASE, RW,
						 PRIVATE, -1, 0, &p),
				0);
			fake_refuse(calls[c], 1, 0);
			assert_true(fake_is_prot(p, PAGES * BASE, RW));
			memset(p, 1, PAGES * BASE);
			assert_int_equal(hl_mapping_unmap(p, PAGES * BASE), 0);
			assert_int_equal(fake_mappings(), 0);
			assert_int_equal(fake.pool[0], 3);
			fake.pool[0] = POOL;
			assert_books_are_even();
		}
	}
}

/* One mapping of any length, as the program would have got: it may grow. */
static void test_advised_is_one(void **state)
{
	size_t before = hl_mapping.private_page_bytes;
	void *p;

	hl_mapping.private_page_bytes = 0;
	assert_int_equal(
		hl_mapping_map(NULL, PAGES * BASE - 5, RW, PRIVATE, -1, 0, &p),
		0);
	assert_int_equal(fake_mappings(), 1);
	assert_true(fake_is_advised(p, PAGES * BASE));
	assert_int_equal(hl_mapping_move(p, PAGES * BASE, 2 * PAGES * BASE,
				 MREMAP_MAYMOVE, NULL, &p),
		0);
	assert_int_equal(hl_mapping_unmap(p, 2 * PAGES * BASE), 0);
	assert_int_equal(fake_mappings(), 0);
	hl_mapping.private_page_bytes = before;
}

/* ---- several steps ---- */

static void unmap(size_t from, size_t to)
{
	assert_int_equal(hl_mapping_unmap(at(from), (to - from) * BASE), 0);
	set(from, to, GONE);
	check_pages(flags == SHARED);
}

/* As allocators do: more than they need, trimmed at both ends. */
static void test_trimmed_mapping_leaves_nothing(void **state)
{
	for (int with = 0; with < 2; with++) {
		make(with == 0 ? PRIVATE : SHARED);
		unmap(0, 7);
		unmap(3 * PER + 9, PAGES);
		unmap(7, 3 * PER + 9);
		assert_int_equal(fake_mappings(), 0);
		assert_books_are_even();
	}
}

static void test_halves_of_a_page(void **state)
{
	static const size_t cuts[][2] = {{0, PER / 2}, {PER / 2, PER}};

	for (int order = 0; order < 2; order++) {
		make(SHARED);
		unmap(PER, PAGES);
		assert_int_equal(fake.pool[0] - fake.reserved, POOL - 1);
		unmap(cuts[order][0], cuts[order][1]);
		unmap(cuts[!order][0], cuts[!order][1]);
		assert_int_equal(fake_mappings(), 0);
		assert_books_are_even();
	}
}

/* From the inside to the ends, and again what is gone already. */
static void test_hole_that_grows(void **state)
{
	make(PRIVATE);
	unmap(PER + 3, PER + 5);
	unmap(PER - 9, PER + 4);
	unmap(PER + 2, 2 * PER + 3);
	unmap(PER + 2, PER + 3);
	unmap(0, PER - 9);
	assert_int_equal(hl_mapping.table.count, 1);
	unmap(0, 3);
	unmap(2 * PER + 3, PAGES);
	assert_int_equal(fake_mappings(), 0);
	assert_books_are_even();
}

/* Several holes: what remains is address space, until all of it goes. */
static void test_holes(void **state)
{
	make(PRIVATE);
	unmap(3, 5);
	unmap(PER + 3, PER + 5);
	unmap(2 * PER, 3 * PER);
	unmap(4, PER + 4);
	end();
	assert_int_equal(fake_mappings(), 0);
	make(PRIVATE);
	unmap(3, 5);
	unmap(PER + 3, PER + 5);
	unmap(3, PER + 3);
	unmap(0, 3);
	assert_int_equal(hl_mapping.table.count, 1);
	unmap(PER + 5, PAGES);
	assert_int_equal(hl_mapping.table.count, 0);
	fake_unmap_rest();
	make(PRIVATE);
	unmap(3, 5);
	unmap(PER + 3, PER + 5);
	unmap(2 * PER, PAGES);
	/* Nothing of it is the pool's any more, and all is the program's. */
	assert_int_equal(fake.pool[0], POOL);
	unmap(0, 2 * PER);
	fake_unmap_rest();
	assert_books_are_even();
}

static void overlay(size_t from, size_t to)
{
	void *p;

	assert_int_equal(hl_mapping_map(at(from), (to - from) * BASE, RW,
				 PRIVATE | MAP_FIXED, -1, 0, &p),
		0);
	assert_ptr_equal(p, at(from));
	set(from, to, NEW);
	check_pages(false);
}

static void test_overlays_are_the_programs(void **state)
{
	make(PRIVATE);
	unmap(0, PER + 7);
	overlay(5, 9);
	overlay(PER, PER + 3);
	unmap(PER + 7, PAGES);
	/* What was laid over it outlives it. */
	check_pages(false);
	end();
	assert_int_equal(fake_mappings(), 0);
}

static void test_refused_overlay_costs_nothing(void **state)
{
	void *p = NULL;

	for (int with = 0; with < 2; with++) {
		make(with == 0 ? PRIVATE : SHARED);
		assert_int_equal(hl_mapping_map(at(PER), PER * BASE, RW,
					 MAP_PRIVATE | MAP_FIXED, -1, 0, &p),
			-EBADF);
		assert_null(p);
		check_pages(false);
		assert_int_equal(fake.calls[FAKE_MREMAP], 0);
		end();
	}
}

/* ---- moving ---- */

static int move(size_t pages, int how, void **out)
{
	return hl_mapping_move(map, PAGES * BASE, pages * BASE, how, NULL, out);
}

static void test_move(void **state)
{
	void *p = NULL;

	make(PRIVATE);
	assert_int_equal(move(2 * PAGES, 0, &p), -ENOMEM);
	assert_null(p);
	assert_int_equal(move(PAGES, 0, &p), 0);
	assert_ptr_equal(p, map);
	assert_int_equal(move(2 * PER + 3, 0, &p), 0);
	set(2 * PER + 3, PAGES, GONE);
	check_pages(false);
	/* Not all of that is there. */
	assert_int_equal(move(2 * PAGES, MREMAP_MAYMOVE, &p), -EFAULT);
	assert_int_equal(hl_mapping_move(map, (2 * PER + 3) * BASE,
				 PAGES * BASE, MREMAP_MAYMOVE, NULL, &p),
		0);
	assert_ptr_not_equal(p, map);
	map = p;
	set(2 * PER + 3, PAGES, NEW);
	check_pages(false);
	unmap(3, 5);
	assert_int_equal(move(2 * PAGES, MREMAP_MAYMOVE, &p), -ENOMEM);
	end();
	assert_int_equal(fake_mappings(), 0);
}

/* Afterwards it is in one place: the old one, or the new one. */
static void move_refused(int with, enum fake_call call, unsigned nth)
{
	void *p = NULL;
	int err;

	make(with);
	fake_refuse(call, nth, -ENOMEM);
	err = move(2 * PAGES, MREMAP_MAYMOVE, &p);
	fake_refuse(call, 1, 0);
	if (err == 0)
		map = p;
	else
		assert_null(p);
	check_pages(false);
	assert_int_equal(
		hl_mapping_unmap(map, (err == 0 ? 2 : 1) * PAGES * BASE), 0);
	if (call == FAKE_MUNMAP)
		fake_unmap_rest();
	assert_int_equal(fake_mappings(), 0);
	assert_books_are_even();
}

static void test_move_may_be_refused(void **state)
{
	static const enum fake_call calls[] = {FAKE_MMAP, FAKE_MUNMAP,
		FAKE_MADVISE, FAKE_MREMAP, FAKE_MINCORE};

	for (size_t c = 0; c < HL_ARRAY_SIZE(calls); c++) {
		for (unsigned nth = 1; nth <= 5; nth++) {
			move_refused(PRIVATE, calls[c], nth);
			move_refused(SHARED, calls[c], nth);
		}
	}
}

/* A part of it is gone: the rest moves, or stays. */
static void test_move_of_the_rest(void **state)
{
	for (unsigned nth = 1; nth <= 5; nth++) {
		void *p = NULL;
		int err;

		make(PRIVATE);
		unmap(0, 3);
		fake_refuse(FAKE_MMAP, nth, -ENOMEM);
		err = hl_mapping_move(at(3), (PAGES - 3) * BASE, PAGES * BASE,
			MREMAP_MAYMOVE, NULL, &p);
		fake_refuse(FAKE_MMAP, 1, 0);
		if (err == 0)
			map = (char *)p - 3 * BASE;
		else
			assert_null(p);
		check_pages(false);
		assert_int_equal(hl_mapping_unmap(at(3), PAGES * BASE), 0);
		assert_int_equal(fake_mappings(), 0);
		assert_books_are_even();
	}
}

/* ---- shared ones ---- */

/* No child may have it, and no page is replaced under one. */
static void test_shared_with_a_child(void **state)
{
	void *p;

	make(SHARED);
	hl_mapping_fork_handlers.prepare();
	hl_mapping_fork_handlers.parent();
	assert_int_equal(hl_mapping_map(at(10), BASE, RW, PRIVATE | MAP_FIXED,
				 -1, 0, &p),
		-EINVAL);
	assert_int_equal(move(2 * PAGES, MREMAP_MAYMOVE, &p), -EINVAL);
	assert_int_equal(
		hl_mapping_before_change(at(1), BASE, PROT_READ), BASE);
	assert_true(fake_is_hugetlb(map));
	check_pages(false);
	unmap(1, 2 * PER + 1);
	assert_int_equal(fake.reserved, 3);
	end();
}

static void test_protecting_a_part_makes_it_ordinary(void **state)
{
	make(SHARED);
	assert_int_equal(
		hl_mapping_before_change(map, PER * BASE, RW), PER * BASE);
	assert_true(fake_is_hugetlb(map));
	/* To its end, which the kernel wants in whole pages. */
	assert_int_equal(hl_mapping_before_change(map, PAGES * BASE, RW),
		UNITS * FAKE_HUGE);
	fake_refuse(FAKE_MMAP, 1, -ENOMEM);
	assert_int_equal(
		hl_mapping_before_change(at(1), BASE, PROT_READ), BASE);
	assert_true(fake_is_hugetlb(map));
	end();
	make(SHARED);
	assert_int_equal(
		hl_mapping_before_change(at(1), BASE, PROT_READ), BASE);
	assert_false(fake_is_hugetlb(map));
	assert_int_equal(hl_mapping.table.count, 0);
	check_pages(false);
	end();
	assert_int_equal(fake_mappings(), 0);
}

/* ---- a full table ---- */

static void fill_table(void)
{
	struct hl_mapped dummy = {.area = NULL};

	for (uintptr_t i = 2 * HL_MAPTABLE_MAX; i > 0; i -= 2) {
		dummy.from = dummy.start = UINTPTR_MAX - 1 - i;
		dummy.to = dummy.end = dummy.from + 1;
		if (hl_maptable_insert(&hl_mapping.table, &dummy) < 0)
			return;
	}
}

static void test_full_table(void **state)
{
	struct hl_failure f;
	uint64_t before;
	void *p;

	make(SHARED);
	fill_table();
	assert_int_equal(hl_mapping.table.count, HL_MAPTABLE_MAX);
	/* A hole of whole pages would need a record more. */
	assert_int_equal(hl_mapping_unmap(at(PER), PER * BASE), -ENOMEM);
	check_pages(false);
	overlay(PER, 2 * PER);
	hl_mapping.table.count = 0;
	assert_int_equal(hl_os->munmap(map, PAGES * BASE), 0);
	assert_int_equal(fake_mappings(), 0);

	fill_table();
	before = all_counted();
	for (int with = 0; with < 2; with++) {
		assert_int_equal(
			hl_mapping_map(NULL, PAGES * BASE, RW,
				with == 0 ? PRIVATE : SHARED, -1, 0, &p),
			0);
		assert_false(fake_is_hugetlb(p));
		assert_int_equal(hl_mapping_unmap(p, PAGES * BASE), 0);
	}
	assert_int_equal(all_counted(), before + 2 * UNITS);
	assert_true(hl_failure_read(&f));
	assert_int_equal(f.limit, HL_LIMIT_MEMORY);
	assert_int_equal(f.needed_hpages, UNITS);
	hl_mapping.table.count = 0;
	assert_int_equal(fake_mappings(), 0);
	assert_books_are_even();
}

/* ---- at random ---- */

static uint64_t seed = 1;

static size_t below(size_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(seed >> 33) % n;
}

static void random_step(void)
{
	static const enum fake_call calls[] = {
		FAKE_MMAP, FAKE_MREMAP, FAKE_MINCORE, FAKE_MADVISE};
	size_t from = below(PAGES), to = from + 1 + below(PAGES - from);
	enum fake_call call = calls[below(HL_ARRAY_SIZE(calls))];
	bool new = below(4) == 0;
	int err;

	/* A refused mmap of the program's own is not ours to mend. */
	if (new &&call == FAKE_MMAP)
		call = FAKE_MREMAP;
	if (below(2) == 0)
		fake_refuse(call, 1 + (unsigned)below(4), -ENOMEM);
	err = perform(&(struct operation){"", from, to, new ? NEW : GONE});
	fake_refuse(call, 1, 0);
	if (err == 0)
		set(from, to, new ? NEW : GONE);
	else
		assert_int_equal(err, -ENOMEM);
}

static void test_random(void **state)
{
	for (int round = 0; round < 60; round++) {
		make(PRIVATE);
		for (size_t steps = below(12); steps > 0; steps--) {
			random_step();
			check_pages(true);
		}
		assert_int_equal(hl_mapping_unmap(map, PAGES * BASE), 0);
		set(0, PAGES, GONE);
		/* What was laid beside what had ended. */
		(void)hl_os->munmap(map, PAGES * BASE);
		fake_unmap_rest();
		assert_books_are_even();
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_each_operation),
		TEST(test_any_call_may_be_refused_private),
		TEST(test_any_call_may_be_refused_shared),
		TEST(test_old_kernel),
		TEST(test_shared_that_was_unmapped_first),
		TEST(test_making_may_be_refused),
		TEST(test_few_pages),
		TEST(test_few_pages_and_refusals),
		TEST(test_advised_is_one),
		TEST(test_trimmed_mapping_leaves_nothing),
		TEST(test_halves_of_a_page),
		TEST(test_hole_that_grows),
		TEST(test_holes),
		TEST(test_overlays_are_the_programs),
		TEST(test_refused_overlay_costs_nothing),
		TEST(test_move),
		TEST(test_move_may_be_refused),
		TEST(test_move_of_the_rest),
		TEST(test_shared_with_a_child),
		TEST(test_protecting_a_part_makes_it_ordinary),
		TEST(test_full_table),
		TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
