/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/backing/commit.c with account.c, ordinary.c, populate.c and node.c: the
 * chain of fallbacks, the limits it names, and that nothing is lost or left
 * behind whichever call the kernel refuses.
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
#include "base/failure.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>

static const struct hl_want huge = {
	.page_bytes = FAKE_HUGE, .thp = true, .node = -1};
static const struct hl_want thp = {.thp = true, .node = -1};
static const struct hl_want base = {.node = -1};

static struct hl_area *area;
static struct hl_got got;

static char *unit(size_t u)
{
	return hl_unit_addr(area, u);
}

static int setup(void **state)
{
	fake_setup(state);
	return hl_area_open(16, 0, false, &area);
}

/* Everything has been given back, here and in the books. */
static int teardown(void **state)
{
	struct hl_ledger_totals t;

	hl_ledger_read(&hl_ledger, FAKE_HUGE, HL_LEDGER_ALL, &t);
	assert_int_equal(t.promised, 0);
	assert_int_equal(t.backed, 0);
	assert_int_equal(t.borrowed, 0);
	assert_int_equal(area->resv.hpages, 0);
	assert_int_equal(area->resv.pending, 0);
	assert_int_equal(hl_counts()->hugetlb_bytes[0], 0);
	hl_area_close(area);
	return fake_teardown(state);
}

static void set_pool(long pages)
{
	fake.pool[0] = pages;
	fake_publish();
}

static void commit(size_t from, size_t to, const struct hl_want *want)
{
	size_t sum = 0;

	assert_int_equal(hl_area_commit(area, from, to, want, &got), 0);
	for (size_t i = 0; i < HL_ARRAY_SIZE(got.units); i++)
		sum += got.units[i];
	assert_int_equal(sum, to - from);
	assert_int_equal(got.units[HL_BACKING_NONE], 0);
	assert_true(fake_is_prot(unit(from), (to - from) * HL_UNIT_BYTES,
		PROT_READ | PROT_WRITE));
	assert_int_equal(fake_unpopulated(unit(0), 16 * HL_UNIT_BYTES), 0);
}

static void release(size_t from, size_t to)
{
	hl_area_release(area, from, to);
	assert_true(fake_is_prot(
		unit(from), (to - from) * HL_UNIT_BYTES, PROT_NONE));
}

static uint64_t fallbacks(enum hl_limit limit)
{
	return atomic_load(&hl_counts()->fallbacks[limit]);
}

/* ---- the chain ---- */

static void test_pool_suffices(void **state)
{
	(void)state;
	set_pool(20);
	commit(2, 10, &huge);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 8);
	assert_int_equal(got.limit, HL_LIMIT_NONE);
	assert_int_equal(fake.pool[0], 12);
	assert_int_equal(hl_area_kind(area, 9), HL_BACKING_HUGETLB);
	assert_int_equal(hl_area_kind(area, 10), HL_BACKING_NONE);
	assert_int_equal(area->resv.hpages, 8);
	release(2, 5);
	assert_int_equal(fake.pool[0], 15);
	assert_int_equal(area->resv.hpages, 5);
	release(5, 10);
}

static void test_pool_is_short(void **state)
{
	uint64_t before = fallbacks(HL_LIMIT_POOL);
	struct hl_failure failure;

	(void)state;
	set_pool(3);
	commit(0, 8, &huge);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 3);
	assert_int_equal(got.units[HL_BACKING_THP], 5);
	assert_int_equal(got.limit, HL_LIMIT_POOL);
	assert_int_equal(fallbacks(HL_LIMIT_POOL), before + 5);
	assert_true(hl_failure_read(&failure));
	assert_int_equal(failure.limit, HL_LIMIT_POOL);
	assert_int_equal(failure.needed_hpages, 5);
	assert_int_equal(failure.page_bytes, FAKE_HUGE);
	release(0, 8);
}

static void test_empty_pool_costs_no_call(void **state)
{
	(void)state;
	set_pool(0);
	commit(0, 1, &huge);
	release(0, 1);
	fake.calls[FAKE_MMAP] = 0;
	commit(0, 1, &huge);
	assert_int_equal(fake.calls[FAKE_MMAP], 0);
	assert_int_equal(got.units[HL_BACKING_THP], 1);
	release(0, 1);
}

static void test_thp_is_verified(void **state)
{
	uint64_t before = fallbacks(HL_LIMIT_THP);

	(void)state;
	fake.thps = 2;
	commit(0, 5, &thp);
	assert_int_equal(got.units[HL_BACKING_THP], 2);
	assert_int_equal(got.units[HL_BACKING_BASE], 3);
	assert_int_equal(got.limit, HL_LIMIT_THP);
	assert_int_equal(fallbacks(HL_LIMIT_THP), before + 3);
	assert_int_equal(hl_area_kind(area, 1), HL_BACKING_THP);
	assert_int_equal(hl_area_kind(area, 2), HL_BACKING_BASE);
	release(0, 5);
}

static void test_thp_switched_off(void **state)
{
	(void)state;
	fake_publish_thp("always madvise [never]\n");
	commit(0, 3, &thp);
	assert_int_equal(got.units[HL_BACKING_BASE], 3);
	assert_int_equal(got.limit, HL_LIMIT_THP);
	/* Nothing was touched. */
	for (size_t u = 0; u < 3; u++) {
		unsigned char there = 1;

		hl_os->mincore(unit(u), 4096, &there);
		assert_int_equal(there & 1, 0);
	}
	release(0, 3);
}

static void test_base_only(void **state)
{
	(void)state;
	set_pool(4);
	commit(0, 3, &base);
	assert_int_equal(got.units[HL_BACKING_BASE], 3);
	assert_int_equal(got.limit, HL_LIMIT_NONE);
	assert_int_equal(fake.pool[0], 4);
	release(0, 3);
}

static void test_lazy(void **state)
{
	struct hl_want want = thp;

	(void)state;
	want.lazy = true;
	commit(0, 3, &want);
	assert_int_equal(got.units[HL_BACKING_LAZY], 3);
	assert_int_equal(fake.thps, 1000);
	want.thp = false;
	commit(3, 5, &want);
	assert_int_equal(got.units[HL_BACKING_BASE], 2);
	release(0, 5);
}

static void test_size_the_machine_has_not(void **state)
{
	struct hl_want want = huge;

	(void)state;
	set_pool(4);
	want.page_bytes = 64 * HL_MIB;
	commit(0, 3, &want);
	/* Nothing of that size, then what is smaller. */
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 3);
	release(0, 3);
}

/* ---- the kernel disagrees with what was read ---- */

static void test_fewer_arrive_than_promised(void **state)
{
	(void)state;
	set_pool(8);
	fake.pool[0] = 3;
	commit(0, 8, &huge);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 3);
	assert_int_equal(got.units[HL_BACKING_THP], 5);
	assert_int_equal(got.limit, HL_LIMIT_POOL);
	/* Believed for a while, then asked again. */
	fake.calls[FAKE_MMAP] = 0;
	commit(8, 9, &huge);
	assert_int_equal(fake.calls[FAKE_MMAP], 0);
	fake.pool[0] = 5;
	fake.now_ms += 1000;
	commit(9, 10, &huge);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 1);
	release(0, 10);
}

static void test_fewer_arrive_before_populate(void **state)
{
	(void)state;
	fake.no_populate = true;
	set_pool(8);
	fake.pool[0] = 3;
	commit(0, 8, &huge);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 3);
	for (size_t u = 0; u < 3; u++)
		assert_int_equal(unit(u)[0], 0);
	fake.calls[FAKE_MADVISE] = 0;
	fake.now_ms += 1000;
	fake.pool[0] = 1;
	commit(8, 9, &huge);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 1);
	/* The probe was made once. */
	assert_int_equal(fake.calls[FAKE_MADVISE], 0);
	release(0, 9);
}

static void test_limits_of_mmap(void **state)
{
	static const struct {
		int rc;
		enum hl_limit limit;
	} row[] = {{-ENOMEM, HL_LIMIT_MEMORY}, {-EAGAIN, HL_LIMIT_MEMLOCK},
		{-EPERM, HL_LIMIT_PERMISSION}, {-EINVAL, HL_LIMIT_UNSUPPORTED}};

	(void)state;
	set_pool(8);
	for (size_t i = 0; i < HL_ARRAY_SIZE(row); i++) {
		fake.unmap_first = i % 2;
		fake_refuse(FAKE_MMAP, 1, row[i].rc);
		commit(0, 2, &huge);
		assert_int_equal(got.units[HL_BACKING_THP], 2);
		assert_int_equal(got.limit, row[i].limit);
		release(0, 2);
	}
}

static void test_limits_of_the_cgroup(void **state)
{
	(void)state;
	set_pool(8);
	fake_publish_cgroup(2, -1);
	commit(0, 8, &huge);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 2);
	assert_int_equal(got.limit, HL_LIMIT_CGROUP);
	release(0, 8);
	fake_publish_cgroup(5, 3);
	commit(0, 8, &huge);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 3);
	assert_int_equal(got.limit, HL_LIMIT_CGROUP_RSVD);
	release(0, 8);
	fake_publish_cgroup(0, -1);
	commit(0, 8, &huge);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 0);
	assert_int_equal(got.limit, HL_LIMIT_CGROUP);
	release(0, 8);
}

static void test_interrupted(void **state)
{
	(void)state;
	set_pool(2);
	fake_refuse(FAKE_MADVISE, 1, -EINTR);
	commit(0, 2, &huge);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 2);
	release(0, 2);
}

/* ---- refusal for good ---- */

static void test_nothing_is_kept_if_ordinary_memory_is_refused(void **state)
{
	(void)state;
	set_pool(3);
	fake_refuse(FAKE_MPROTECT, 1, -ENOMEM);
	assert_int_equal(hl_area_commit(area, 0, 8, &huge, &got), -ENOMEM);
	assert_int_equal(got.limit, HL_LIMIT_MEMORY);
	for (size_t u = 0; u < 8; u++)
		assert_int_equal(hl_area_kind(area, u), HL_BACKING_NONE);
	assert_int_equal(fake.pool[0], 3);
	assert_true(fake_is_prot(unit(0), 16 * HL_UNIT_BYTES, PROT_NONE));
}

static void test_rest_cannot_be_unmapped(void **state)
{
	(void)state;
	set_pool(8);
	fake.pool[0] = 3;
	/* The hugetlb mapping, then PROT_NONE over what did not come. */
	fake_refuse(FAKE_MMAP, 2, -ENOMEM);
	fake_refuse_all(FAKE_MPROTECT, 1, -ENOMEM);
	assert_int_equal(hl_area_commit(area, 0, 8, &huge, &got), -ENOMEM);
	fake_refuse_all(FAKE_MPROTECT, 0, 0);
	fake.now_ms += 1000;
	commit(0, 8, &thp);
	assert_false(fake_is_hugetlb(unit(7)));
	release(0, 8);
}

/* ---- budgets ---- */

static void test_budget(void **state)
{
	struct hl_want want = huge;
	struct hl_subpool budget;

	(void)state;
	set_pool(8);
	assert_int_equal(hl_subpool_init(&budget, 5, -1), 0);
	want.subpool = &budget;
	commit(0, 8, &want);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 5);
	assert_int_equal(got.limit, HL_LIMIT_SUBPOOL);
	assert_int_equal(budget.used_hpages, 5);
	release(0, 8);
	assert_int_equal(budget.used_hpages, 0);
	/* What the pool does not have is not charged. */
	set_pool(2);
	commit(0, 4, &want);
	assert_int_equal(budget.used_hpages, 2);
	assert_int_equal(got.limit, HL_LIMIT_POOL);
	release(0, 4);
	set_pool(4);
	fake.pool[0] = 1;
	commit(0, 4, &want);
	assert_int_equal(budget.used_hpages, 1);
	release(0, 4);
	assert_int_equal(budget.used_hpages, 0);
}

/* ---- nodes ---- */

static void test_bound_to_a_node(void **state)
{
	struct hl_want want = huge;
	struct hl_ledger_totals t;
	int node;

	(void)state;
	fake.nodes = 2;
	fake.pool[0] = 9;
	fake.pool[1] = 2;
	fake_publish();
	want.node = 1;
	fake.policy_mode = MPOL_INTERLEAVE;
	commit(0, 4, &want);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], 2);
	assert_int_equal(got.limit, HL_LIMIT_NODE_POOL);
	assert_int_equal(fake.pool[0], 9);
	assert_int_equal(fake.pool[1], 0);
	assert_int_equal(fake_policy(unit(0), &node), MPOL_BIND);
	assert_int_equal(node, 1);
	assert_int_equal(fake_policy(unit(3), &node), MPOL_PREFERRED);
	assert_int_equal(node, 1);
	assert_int_equal(fake.policy_mode, MPOL_INTERLEAVE);
	hl_ledger_read(&hl_ledger, FAKE_HUGE, 1, &t);
	assert_int_equal(t.backed, 2);
	release(0, 4);
	assert_int_equal(fake.pool[1], 2);
}

static void test_one_node_needs_no_policy(void **state)
{
	struct hl_want want = huge;

	(void)state;
	set_pool(2);
	want.node = 0;
	commit(0, 3, &want);
	assert_int_equal(fake.calls[FAKE_MBIND], 0);
	assert_int_equal(fake.calls[FAKE_SET_MEMPOLICY], 0);
	release(0, 3);
}

/* The policy cannot be had: pages come from elsewhere, and that is known. */
static void test_borrowed_from_another_node(void **state)
{
	struct hl_want want = huge;
	struct hl_ledger_totals t;

	(void)state;
	fake.nodes = 2;
	fake.pool[0] = 2;
	fake.pool[1] = 2;
	fake_publish();
	want.node = 1;
	fake_refuse(FAKE_MBIND, 1, -EPERM);
	fake_refuse(FAKE_SET_MEMPOLICY, 1, -EPERM);
	commit(0, 1, &want);
	hl_ledger_read(&hl_ledger, FAKE_HUGE, 1, &t);
	assert_int_equal(t.borrowed, 1);
	release(0, 1);
}

/* ---- gigantic pages ---- */

static void test_gigantic(void **state)
{
	struct hl_want want = {
		.page_bytes = FAKE_GIGANTIC, .thp = true, .node = -1};
	struct hl_area *wide;
	size_t grain = FAKE_GIGANTIC / HL_UNIT_BYTES;

	(void)state;
	fake.gigantic[0] = 1;
	set_pool(3);
	assert_int_equal(
		hl_area_open(3 * grain, FAKE_GIGANTIC, false, &wide), 0);
	/* A head of 2 units, one page, and 2 units behind it. */
	assert_int_equal(
		hl_area_commit(wide, grain - 2, 2 * grain + 2, &want, &got), 0);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], grain + 3);
	assert_int_equal(got.units[HL_BACKING_THP], 1);
	assert_int_equal(fake.gigantic[0], 0);
	assert_int_equal(hl_word_page_bytes(hl_unit_load(wide, 2 * grain - 1)),
		FAKE_GIGANTIC);
	assert_int_equal(
		hl_word_page_bytes(hl_unit_load(wide, grain - 1)), FAKE_HUGE);
	hl_area_release(wide, grain, 2 * grain);
	assert_int_equal(fake.gigantic[0], 1);
	hl_area_release(wide, grain - 2, grain);
	hl_area_release(wide, 2 * grain, 2 * grain + 2);
	assert_int_equal(fake.pool[0], 3);
	hl_area_close(wide);
}

static void test_gigantic_falls_back_to_huge(void **state)
{
	struct hl_want want = {
		.page_bytes = FAKE_GIGANTIC, .thp = true, .node = -1};
	struct hl_area *wide;
	size_t grain = FAKE_GIGANTIC / HL_UNIT_BYTES;

	(void)state;
	set_pool((long)grain);
	assert_int_equal(hl_area_open(grain, FAKE_GIGANTIC, false, &wide), 0);
	assert_int_equal(hl_area_commit(wide, 0, grain, &want, &got), 0);
	assert_int_equal(got.units[HL_BACKING_HUGETLB], grain);
	assert_int_equal(got.limit, HL_LIMIT_POOL);
	assert_int_equal(fake.pool[0], 0);
	hl_area_release(wide, 0, grain);
	hl_area_close(wide);
}

/* ---- everything, with one call refused ---- */

static void mark(size_t from, size_t to)
{
	for (size_t u = from; u < to; u++)
		unit(u)[12345] = 1;
}

static void scenario(void)
{
	struct hl_want want = huge;
	struct hl_area *other;
	size_t units = hl_area_units(area);

	want.node = 1;
	if (hl_area_commit(area, 0, 6, &want, &got) == 0)
		mark(0, 6);
	if (hl_area_commit(area, 6, 8, &thp, &got) == 0)
		mark(6, 8);
	assert_int_equal(fake_unpopulated(unit(0), units * HL_UNIT_BYTES), 0);
	if (hl_area_kind(area, 1) != HL_BACKING_NONE) {
		(void)hl_area_convert(area, 1);
		assert_int_equal(unit(1)[12345], 1);
		hl_area_release(area, 2, 3);
	}
	if (hl_area_open(8, 0, false, &other) == 0) {
		if (hl_area_kind(area, 3) != HL_BACKING_NONE &&
			hl_area_move(area, 3, 5, other, 1) == 0) {
			assert_int_equal(*(hl_unit_addr(other, 1) + 12345), 1);
			hl_area_release(other, 1, 3);
		}
		hl_area_close(other);
	}
	hl_area_release(area, 0, 8);
}

static void test_any_call_may_be_refused(void **state)
{
	static const int errors[] = {-ENOMEM, -EINVAL, -EFAULT, -EPERM};

	(void)state;
	fake.nodes = 2;
	for (unsigned call = 0; call < FAKE_CALLS; call++) {
		/* A refused munmap leaves address space by design. */
		if (call == FAKE_MUNMAP)
			continue;
		for (unsigned nth = 1; nth < 18; nth++) {
			fake.pool[0] = 2;
			fake.pool[1] = 4;
			fake_publish();
			hl_populate_forget();
			fake_refuse(call, nth, errors[nth % 4]);
			scenario();
			fake_refuse(call, 0, 0);
			assert_int_equal(fake.pool[0], 2);
			assert_int_equal(fake.pool[1], 4);
			assert_int_equal(area->resv.hpages, 0);
			/* What is stuck is tidied by the next one. */
			commit(0, 8, &thp);
			release(0, 8);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_pool_suffices),
		T(test_pool_is_short),
		T(test_empty_pool_costs_no_call),
		T(test_thp_is_verified),
		T(test_thp_switched_off),
		T(test_base_only),
		T(test_lazy),
		T(test_size_the_machine_has_not),
		T(test_fewer_arrive_than_promised),
		T(test_fewer_arrive_before_populate),
		T(test_limits_of_mmap),
		T(test_limits_of_the_cgroup),
		T(test_interrupted),
		T(test_nothing_is_kept_if_ordinary_memory_is_refused),
		T(test_rest_cannot_be_unmapped),
		T(test_budget),
		T(test_bound_to_a_node),
		T(test_one_node_needs_no_policy),
		T(test_borrowed_from_another_node),
		T(test_gigantic),
		T(test_gigantic_falls_back_to_huge),
		T(test_any_call_may_be_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
