/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/backing/convert.c, heal.c and fork.c: pages become ordinary memory with
 * their contents kept, at whatever step the kernel refuses; what handlers did
 * is settled later; how many pages a fork converts; what a child finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#include "accounting/ledger.h"
#include "backing/area_internal.h"
#include "base/count.h"
#include "base/opt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define UNITS 10u

static struct hl_area *area;
static uint64_t conversions, failures, heals;

static char *unit(size_t u)
{
	return hl_unit_addr(area, u);
}

static uint64_t since(_Atomic uint64_t *counter, uint64_t before)
{
	return atomic_load(counter) - before;
}

static void commit_pages(size_t n)
{
	struct hl_want want = {
		.page_bytes = FAKE_HUGE, .thp = true, .node = -1};
	struct hl_got got;

	fake.pool[0] = (long)n;
	fake_publish();
	assert_int_equal(hl_area_commit(area, 0, n, &want, &got), 0);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], n);
	fake_publish();
	for (size_t u = 0; u < n; u++)
		unit(u)[12345] = (char)(u + 1);
}

static void check_contents(size_t n)
{
	for (size_t u = 0; u < n; u++) {
		assert_int_equal(unit(u)[12345], u + 1);
		assert_int_equal(unit(u)[12346], 0);
	}
	assert_true(fake_is_prot(
		unit(0), n * HL_UNIT_BYTES, PROT_READ | PROT_WRITE));
}

static size_t count_kind(enum hl_backing_kind kind)
{
	size_t n = 0;

	for (size_t u = 0; u < UNITS; u++)
		n += hl_area_kind(area, u) == kind;
	return n;
}

static int setup(void **state)
{
	fake_setup(state);
	hl_opt.fork_mode = HL_FORK_CONVERT;
	conversions = atomic_load(&hl_counts()->conversions);
	failures = atomic_load(&hl_counts()->conversion_failures);
	heals = atomic_load(&hl_counts()->heals);
	return hl_area_open(UNITS, 0, false, &area);
}

static int teardown(void **state)
{
	struct hl_ledger_totals t;

	hl_heal_settle();
	hl_area_release(area, 0, UNITS);
	assert_int_equal(area->unsettled, 0);
	assert_int_equal(area->resv.hpages, 0);
	hl_ledger_read(&hl_ledger, FAKE_HUGE, HL_LEDGER_ALL, &t);
	assert_int_equal(t.backed, 0);
	assert_int_equal(hl_counts()->hugetlb_bytes[0], 0);
	hl_area_close(area);
	return fake_teardown(state);
}

/* ---- one page ---- */

static void test_contents_are_kept(void **state)
{
	(void)state;
	commit_pages(3);
	assert_int_equal(hl_area_convert(area, 1), 0);
	check_contents(3);
	assert_int_equal(hl_area_kind(area, 0), HL_BACKING_HUGETLB);
	assert_int_equal(hl_area_kind(area, 1), HL_BACKING_THP);
	assert_false(fake_is_hugetlb(unit(1)));
	assert_int_equal(fake.pool[0], 1);
	assert_int_equal(area->resv.hpages, 2);
	assert_int_equal(since(&hl_counts()->conversions, conversions), 1);
	/* Again: nothing to do. */
	assert_int_equal(hl_area_convert(area, 1), 0);
	assert_int_equal(since(&hl_counts()->conversions, conversions), 1);
}

/* From the middle of one page into the next; not beyond the area. */
static void test_range(void **state)
{
	int local;

	(void)state;
	commit_pages(4);
	hl_area_convert_range(unit(1) + 99, HL_UNIT_BYTES);
	assert_int_equal(hl_area_kind(area, 0), HL_BACKING_HUGETLB);
	assert_int_equal(hl_area_kind(area, 1), HL_BACKING_THP);
	assert_int_equal(hl_area_kind(area, 2), HL_BACKING_THP);
	assert_int_equal(hl_area_kind(area, 3), HL_BACKING_HUGETLB);
	hl_area_convert_range(unit(3), 0);
	hl_area_convert_range(&local, sizeof(local));
	hl_area_convert_range(unit(0), SIZE_MAX);
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 2);
	hl_area_convert_range(unit(0), HL_UNIT_BYTES);
	assert_int_equal(hl_area_kind(area, 0), HL_BACKING_THP);
	hl_area_convert_range(unit(3) + 1, 20 * HL_UNIT_BYTES);
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 0);
	check_contents(4);
}

static void test_without_thp(void **state)
{
	(void)state;
	commit_pages(1);
	fake.thps = 0;
	assert_int_equal(hl_area_convert(area, 0), 0);
	check_contents(1);
	assert_int_equal(hl_area_kind(area, 0), HL_BACKING_BASE);
}

static void test_unaligned_memory(void **state)
{
	(void)state;
	commit_pages(1);
	fake.misalign = true;
	assert_int_equal(hl_area_convert(area, 0), 0);
	check_contents(1);
	assert_int_equal(hl_area_kind(area, 0), HL_BACKING_THP);
	fake.misalign = false;
}

/* Address space for the page, but not for aligning it. */
static void test_unaligned_memory_must_do(void **state)
{
	(void)state;
	commit_pages(1);
	fake.misalign = true;
	fake_refuse(FAKE_MMAP, 2, -ENOMEM);
	assert_int_equal(hl_area_convert(area, 0), 0);
	check_contents(1);
	assert_int_equal(hl_area_kind(area, 0), HL_BACKING_BASE);
	fake.misalign = false;
}

static void test_dropped_page_becomes_zero(void **state)
{
	(void)state;
	commit_pages(2);
	assert_int_equal(
		hl_os->madvise(unit(1), HL_UNIT_BYTES, MADV_DONTNEED), 0);
	assert_int_equal(hl_area_convert(area, 1), 0);
	assert_int_equal(unit(1)[12345], 0);
	assert_int_equal(unit(0)[12345], 1);
}

static void convert(size_t u, int expected)
{
	bool done;

	assert_int_equal(hl_convert_page(area, u, false, &done), expected);
	assert_int_equal(done, expected == 0);
}

static void test_protected_while_copied(void **state)
{
	(void)state;
	commit_pages(1);
	fake.calls[FAKE_MPROTECT] = 0;
	convert(0, 0);
	assert_int_equal(fake.calls[FAKE_MPROTECT], 1);
	check_contents(1);
}

static void test_refused_at_any_step(void **state)
{
	static const enum fake_call calls[] = {
		FAKE_MPROTECT, FAKE_MMAP, FAKE_MREMAP};

	(void)state;
	commit_pages(1);
	for (size_t i = 0; i < HL_ARRAY_SIZE(calls); i++) {
		size_t mappings = fake_mappings();

		fake_refuse(calls[i], 1, -ENOMEM);
		convert(0, -ENOMEM);
		check_contents(1);
		assert_int_equal(hl_unit_load(area, 0) & HL_UNIT_BUSY, 0);
		assert_int_equal(hl_area_kind(area, 0), HL_BACKING_HUGETLB);
		assert_int_equal(fake_mappings(), mappings);
		assert_int_equal(
			since(&hl_counts()->conversion_failures, failures),
			i + 1);
	}
	assert_int_equal(area->unsettled, 0);
	convert(0, 0);
	check_contents(1);
}

/* Old kernels unmap the target before they refuse. */
static void test_refused_too_late(void **state)
{
	(void)state;
	commit_pages(2);
	fake.unmap_first = true;
	fake_refuse(FAKE_MREMAP, 1, -ENOMEM);
	convert(1, 0);
	check_contents(2);
	assert_false(fake_is_hugetlb(unit(1)));
}

static void test_gigantic_page_is_converted_whole(void **state)
{
	struct hl_want want = {
		.page_bytes = FAKE_GIGANTIC, .thp = true, .node = -1};
	size_t grain = FAKE_GIGANTIC / HL_UNIT_BYTES;
	struct hl_area *wide;
	struct hl_got got;

	(void)state;
	fake.gigantic[0] = 1;
	fake_publish();
	assert_int_equal(hl_area_open(grain, FAKE_GIGANTIC, false, &wide), 0);
	assert_int_equal(hl_area_commit(wide, 0, grain, &want, &got), 0);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], grain);
	/* The kernel does not say that it is there: not copied, 1 GiB is much.
	 */
	assert_int_equal(hl_os->madvise(hl_unit_addr(wide, 0), FAKE_GIGANTIC,
				 MADV_DONTNEED),
		0);
	assert_int_equal(hl_area_convert(wide, 300), 0);
	for (size_t u = 0; u < grain; u++)
		assert_int_not_equal(hl_area_kind(wide, u), HL_BACKING_HUGETLB);
	assert_int_equal(wide->resv.hpages, 0);
	assert_int_equal(wide->unsettled, 0);
	assert_int_equal(fake.gigantic[0], 1);
	/* What was a part of one page is now on its own. */
	hl_area_release(wide, 7, 8);
	hl_area_release(wide, 0, grain);
	hl_area_close(wide);
}

/* ---- healing ---- */

static void test_heals_and_settles_later(void **state)
{
	(void)state;
	commit_pages(3);
	assert_true(hl_heal(SIGBUS, BUS_ADRERR, unit(1) + 99));
	check_contents(3);
	assert_int_equal(since(&hl_counts()->heals, heals), 1);
	assert_int_equal(area->unsettled, 1);
	assert_int_equal(area->resv.hpages, 3);
	assert_int_equal(hl_counts()->hugetlb_bytes[0], 2 * HL_UNIT_BYTES);
	hl_heal_settle();
	assert_int_equal(area->unsettled, 0);
	assert_int_equal(area->resv.hpages, 2);
	hl_heal_settle();
	assert_int_equal(area->resv.hpages, 2);
}

static void test_released_before_it_is_settled(void **state)
{
	(void)state;
	commit_pages(3);
	assert_true(hl_heal(SIGBUS, BUS_ADRERR, unit(1)));
	hl_area_release(area, 0, 3);
	assert_int_equal(area->unsettled, 0);
	assert_int_equal(area->resv.hpages, 0);
	assert_int_equal(hl_counts()->hugetlb_bytes[0], 0);
}

static void test_budget_is_settled(void **state)
{
	struct hl_want want = {
		.page_bytes = FAKE_HUGE, .thp = true, .node = -1};
	struct hl_subpool budget;
	struct hl_got got;

	(void)state;
	fake.pool[0] = 4;
	fake_publish();
	assert_int_equal(hl_subpool_init(&budget, 4, -1), 0);
	want.subpool = &budget;
	assert_int_equal(hl_area_commit(area, 0, 4, &want, &got), 0);
	assert_true(hl_heal(SIGBUS, BUS_ADRERR, unit(2)));
	assert_int_equal(budget.used_hpages, 4);
	hl_heal_settle();
	assert_int_equal(budget.used_hpages, 3);
	hl_area_release(area, 0, 4);
	assert_int_equal(budget.used_hpages, 0);
}

static void test_what_is_not_ours(void **state)
{
	int local;

	(void)state;
	commit_pages(2);
	assert_false(hl_heal(SIGBUS, BUS_ADRERR, &local));
	assert_false(hl_heal(SIGBUS, BUS_ADRALN, unit(0)));
	assert_false(hl_heal(SIGBUS, BUS_MCEERR_AR, unit(0)));
	assert_false(hl_heal(SIGBUS, BUS_MCEERR_AO, unit(0)));
	assert_false(hl_heal(SIGBUS, BUS_ADRERR, unit(5)));
	assert_false(hl_heal(SIGSEGV, SEGV_MAPERR, unit(0)));
	assert_false(hl_heal(SIGSEGV, SEGV_ACCERR, unit(5)));
	assert_false(hl_heal(SIGILL, 1, unit(0)));
	assert_int_equal(since(&hl_counts()->conversions, conversions), 0);
}

/* A protection fault may be a conversion that is over: one retry. */
static void test_retries_once(void **state)
{
	(void)state;
	commit_pages(2);
	assert_int_equal(hl_area_convert(area, 0), 0);
	assert_true(hl_heal(SIGSEGV, SEGV_ACCERR, unit(1) + 8));
	assert_false(hl_heal(SIGSEGV, SEGV_ACCERR, unit(1) + 8));
	assert_false(hl_heal(SIGSEGV, SEGV_ACCERR, unit(1) + 8));
	assert_true(hl_heal(SIGSEGV, SEGV_ACCERR, unit(1) + 16));
	assert_false(hl_heal(SIGSEGV, SEGV_ACCERR, unit(1) + 16));
	assert_int_equal(hl_area_convert(area, 1), 0);
	assert_true(hl_heal(SIGSEGV, SEGV_ACCERR, unit(1) + 16));
}

static void test_cannot_be_healed(void **state)
{
	(void)state;
	commit_pages(1);
	fake_refuse_all(FAKE_MMAP, 1, -ENOMEM);
	assert_false(hl_heal(SIGBUS, BUS_ADRERR, unit(0)));
	fake_refuse_all(FAKE_MMAP, 0, 0);
	assert_true(hl_heal(SIGBUS, BUS_ADRERR, unit(0)));
	check_contents(1);
}

/* ---- fork ---- */

static void fork_with(size_t held, long free_pages)
{
	commit_pages(held);
	fake.pool[0] = free_pages;
	fake.live = true;
	fake_publish();
	hl_backing_fork_prepare();
	hl_backing_fork_parent();
	fake.live = false;
	check_contents(held);
	assert_int_equal(area->unsettled, 0);
}

static void test_fork_converts_half_of_what_is_missing(void **state)
{
	(void)state;
	fork_with(10, 0);
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 5);
	/* From the end. */
	assert_int_equal(hl_area_kind(area, 4), HL_BACKING_HUGETLB);
	assert_int_equal(hl_area_kind(area, 5), HL_BACKING_THP);
}

static void test_fork_rounds_up(void **state)
{
	(void)state;
	fork_with(10, 3);
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 6);
}

static void test_fork_with_pages_enough(void **state)
{
	(void)state;
	fork_with(9, 9);
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 9);
}

static void test_fork_when_pages_do_not_come_back(void **state)
{
	(void)state;
	/* The files never change: as if another took each page. */
	commit_pages(8);
	hl_backing_fork_prepare();
	hl_backing_fork_parent();
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 0);
	check_contents(8);
}

static void test_fork_when_conversion_fails(void **state)
{
	(void)state;
	fake_refuse_all(FAKE_MREMAP, 3, -ENOMEM);
	fork_with(8, 0);
	fake_refuse_all(FAKE_MREMAP, 0, 0);
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 6);
}

static void test_fork_within_a_cgroup(void **state)
{
	(void)state;
	fake_publish_cgroup(2, -1);
	fake.nodes = 1;
	commit_pages(2);
	fake.pool[0] = 50;
	fake_publish();
	fake_publish_cgroup(1, -1);
	hl_backing_fork_prepare();
	hl_backing_fork_parent();
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 1);
	check_contents(2);
}

static void test_fork_of_bound_pages(void **state)
{
	struct hl_want want = {.page_bytes = FAKE_HUGE, .thp = true, .node = 1};
	struct hl_got got;

	(void)state;
	fake.nodes = 2;
	fake.pool[0] = 40;
	fake.pool[1] = 4;
	fake_publish();
	assert_int_equal(hl_area_commit(area, 0, 4, &want, &got), 0);
	fake.live = true;
	fake_publish();
	hl_backing_fork_prepare();
	hl_backing_fork_parent();
	/* The other node's pages are of no use to them. */
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 2);
	hl_heal_settle();
	hl_area_release(area, 0, 4);
}

static void commit_on(int node, size_t from, size_t to)
{
	struct hl_want want = {.page_bytes = FAKE_HUGE, .node = node};
	struct hl_got got;

	assert_int_equal(hl_area_commit(area, from, to, &want, &got), 0);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], to - from);
}

/* Three pages of node 0, four of node 1, two of any (they come from node 0);
 * what is converted for a node counts for the sum as well. */
static void fork_on_two_nodes(long free_on_first, size_t left)
{
	fake.nodes = 2;
	fake.pool[0] = 5;
	fake.pool[1] = 4;
	fake_publish();
	commit_on(0, 0, 3);
	commit_on(1, 3, 7);
	commit_on(HL_NODE_ANY, 7, 9);
	fake.pool[0] = free_on_first;
	fake.live = true;
	fake_publish();
	hl_backing_fork_prepare();
	hl_backing_fork_parent();
	fake.live = false;
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), left);
	assert_int_equal(hl_area_kind(area, 2), HL_BACKING_HUGETLB);
	assert_int_equal(hl_area_kind(area, 4), HL_BACKING_HUGETLB);
	assert_int_equal(hl_area_kind(area, 5), HL_BACKING_THP);
	assert_int_equal(hl_area_kind(area, 6), HL_BACKING_THP);
}

static void test_fork_on_two_nodes(void **state)
{
	(void)state;
	fork_on_two_nodes(5, 7);
}

static void test_fork_on_two_nodes_short_of_any(void **state)
{
	(void)state;
	fork_on_two_nodes(3, 6);
	assert_int_equal(hl_area_kind(area, 8), HL_BACKING_THP);
	assert_int_equal(hl_area_kind(area, 7), HL_BACKING_HUGETLB);
}

static void test_fork_modes(void **state)
{
	(void)state;
	hl_opt.fork_mode = HL_FORK_OFF;
	fork_with(4, 0);
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 4);
	hl_area_release(area, 0, 4);
	hl_opt.fork_mode = HL_FORK_THP;
	fork_with(4, 99);
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 0);
	hl_area_release(area, 0, 4);
	hl_opt.fork_mode = HL_FORK_COPY;
	fork_with(4, 0);
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 4);
}

/* ---- the child ---- */

static void child(void)
{
	hl_backing_fork_prepare();
#if HL_DEBUG_LEVEL >= 1
	hl_lock_reset_ranks();
#endif
	hl_backing_fork_child();
}

static void set_busy(size_t u)
{
	hl_unit_store(area, u, hl_unit_load(area, u) | HL_UNIT_BUSY);
}

static void test_child_undoes_a_conversion(void **state)
{
	(void)state;
	hl_opt.fork_mode = HL_FORK_OFF;
	commit_pages(3);
	set_busy(1);
	assert_int_equal(hl_os->mprotect(unit(1), HL_UNIT_BYTES, PROT_READ), 0);
	child();
	check_contents(3);
	assert_int_equal(hl_unit_load(area, 1) & HL_UNIT_BUSY, 0);
	assert_int_equal(hl_area_kind(area, 1), HL_BACKING_HUGETLB);
	assert_int_equal(area->unsettled, 0);
}

/* Claimed, and nothing done yet. */
static void test_child_forgets_a_conversion(void **state)
{
	(void)state;
	hl_opt.fork_mode = HL_FORK_OFF;
	commit_pages(3);
	set_busy(1);
	child();
	check_contents(3);
	assert_int_equal(hl_unit_load(area, 1) & HL_UNIT_BUSY, 0);
	assert_int_equal(hl_area_kind(area, 1), HL_BACKING_HUGETLB);
	assert_true(hl_heal(SIGBUS, BUS_ADRERR, unit(1)));
}

static void test_child_finishes_a_conversion(void **state)
{
	void *p;

	(void)state;
	hl_opt.fork_mode = HL_FORK_OFF;
	commit_pages(3);
	/* Swapped, but the word was not written yet. */
	set_busy(1);
	assert_int_equal(
		hl_os->mmap(unit(1), HL_UNIT_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, &p),
		0);
	unit(1)[12345] = 2;
	hl_charge_count_given(hl_unit_load(area, 1), 1);
	child();
	check_contents(3);
	assert_int_equal(hl_area_kind(area, 1), HL_BACKING_BASE);
	assert_int_equal(area->unsettled, 1);
	hl_heal_settle();
	assert_int_equal(area->resv.hpages, 2);
}

static void test_child_copies(void **state)
{
	(void)state;
	hl_opt.fork_mode = HL_FORK_COPY;
	commit_pages(4);
	child();
	assert_int_equal(count_kind(HL_BACKING_HUGETLB), 0);
	check_contents(4);
	hl_opt.fork_mode = HL_FORK_CONVERT;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_contents_are_kept),
		T(test_range),
		T(test_without_thp),
		T(test_unaligned_memory),
		T(test_unaligned_memory_must_do),
		T(test_dropped_page_becomes_zero),
		T(test_protected_while_copied),
		T(test_refused_at_any_step),
		T(test_refused_too_late),
		T(test_gigantic_page_is_converted_whole),
		T(test_heals_and_settles_later),
		T(test_released_before_it_is_settled),
		T(test_budget_is_settled),
		T(test_what_is_not_ours),
		T(test_retries_once),
		T(test_cannot_be_healed),
		T(test_fork_converts_half_of_what_is_missing),
		T(test_fork_rounds_up),
		T(test_fork_with_pages_enough),
		T(test_fork_when_pages_do_not_come_back),
		T(test_fork_when_conversion_fails),
		T(test_fork_within_a_cgroup),
		T(test_fork_of_bound_pages),
		T(test_fork_on_two_nodes),
		T(test_fork_on_two_nodes_short_of_any),
		T(test_fork_modes),
		T(test_child_undoes_a_conversion),
		T(test_child_forgets_a_conversion),
		T(test_child_finishes_a_conversion),
		T(test_child_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
