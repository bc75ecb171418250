/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/backing/area.c, release.c and move.c: address space, records, finding
 * an area, and units that come and go, with a kernel that refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#include "backing/area_internal.h"
#include "base/count.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static const struct hl_want lazy = {.lazy = true, .thp = true, .node = -1};
static const struct hl_want huge = {
	.page_bytes = FAKE_HUGE, .thp = true, .node = -1};

static char *unit(const struct hl_area *area, size_t u)
{
	return hl_unit_addr(area, u);
}

static struct hl_area *open_area(size_t units)
{
	struct hl_area *area;

	assert_int_equal(hl_area_open(units, 0, false, &area), 0);
	assert_int_equal(hl_area_base(area) % HL_UNIT_BYTES, 0);
	assert_int_equal(hl_area_units(area), units);
	return area;
}

static void commit(struct hl_area *area, size_t from, size_t to,
	const struct hl_want *want)
{
	struct hl_got got;

	assert_int_equal(hl_area_commit(area, from, to, want, &got), 0);
}

static void set_pool(long pages)
{
	fake.pool[0] = pages;
	fake_publish();
}

static void test_open_is_one_call_where_the_kernel_aligns(void **state)
{
	struct hl_area *area = open_area(32);

	(void)state;
	assert_int_equal(fake.calls[FAKE_MMAP], 1);
	assert_true(fake_is_prot(unit(area, 0), 32 * HL_UNIT_BYTES, PROT_NONE));
	hl_area_close(area);
	assert_int_equal(fake_mappings(), 0);
}

static void test_open_aligns_by_itself(void **state)
{
	struct hl_area *area, *wide;

	(void)state;
	fake.misalign = true;
	area = open_area(3);
	assert_int_equal(fake_mappings(), 1);
	assert_int_equal(hl_area_open(5, HL_GIB, true, &wide), 0);
	assert_int_equal(hl_area_base(wide) % HL_GIB, 0);
	assert_int_equal(fake_mappings(), 2);
	hl_area_close(wide);
	hl_area_close(area);
}

static void test_open_fails_without_address_space(void **state)
{
	struct hl_area *area = NULL;

	(void)state;
	fake_refuse(FAKE_MMAP, 1, -ENOMEM);
	assert_int_equal(hl_area_open(32, 0, false, &area), -ENOMEM);
	fake.misalign = true;
	/* Enough for the size, but not for aligning it. */
	fake_refuse_all(FAKE_MMAP, 2, -ENOMEM);
	assert_int_equal(hl_area_open(32, 0, false, &area), -ENOMEM);
	fake_refuse_all(FAKE_MMAP, 0, 0);
	assert_int_equal(
		hl_area_open(SIZE_MAX / 4096, 0, false, &area), -ENOMEM);
	assert_null(area);
}

static void test_find(void **state)
{
	struct hl_area *a = open_area(4), *b = open_area(1);

	(void)state;
	assert_ptr_equal(hl_area_find(unit(a, 0)), a);
	assert_ptr_equal(hl_area_find(unit(a, 4) - 1), a);
	assert_ptr_equal(hl_area_find(unit(b, 0) + 77), b);
	assert_null(hl_area_find(&a));
	assert_null(hl_area_find(NULL));
	assert_null(hl_area_find((void *)UINTPTR_MAX));
	hl_area_close(a);
	assert_ptr_equal(hl_area_find(unit(b, 0)), b);
	hl_area_close(b);
}

static size_t count_records(void)
{
	size_t n = 0;

	for (struct hl_area *a = hl_area_first(); a; a = hl_area_next(a))
		n++;
	return n;
}

static void test_records_are_reused(void **state)
{
	struct hl_area *area[6];
	size_t records;

	(void)state;
	for (size_t round = 0; round < 40; round++) {
		for (size_t i = 0; i < 6; i++) {
			area[i] = open_area(1 + (i * 31 + round * 7) % 300);
			commit(area[i], 0, 1, &lazy);
		}
		if (round == 0)
			records = count_records();
		assert_int_equal(count_records(), records);
		for (size_t i = 0; i < 6; i++) {
			for (size_t u = 1; u < hl_area_units(area[i]); u++)
				assert_int_equal(hl_unit_load(area[i], u), 0);
			hl_area_release(area[i], 0, 1);
			hl_area_close(area[i]);
		}
	}
}

static void test_release_when_the_kernel_refuses(void **state)
{
	struct hl_area *area = open_area(4);
	struct hl_got got;

	(void)state;
	set_pool(4);
	commit(area, 0, 4, &huge);
	/* max_map_count: the mapping cannot be replaced, but emptied. */
	fake_refuse(FAKE_MMAP, 1, -ENOMEM);
	hl_area_release(area, 1, 2);
	assert_int_equal(hl_area_kind(area, 1), HL_BACKING_NONE);
	assert_int_equal(fake.pool[0], 1);
	assert_int_equal(area->resv.hpages, 3);
	/* It stays away from whoever would take it for ordinary memory. */
	fake_refuse(FAKE_MMAP, 1, -ENOMEM);
	assert_int_equal(hl_area_commit(area, 1, 2, &lazy, &got), -ENOMEM);
	commit(area, 1, 2, &lazy);
	assert_false(fake_is_hugetlb(unit(area, 1)));
	hl_area_release(area, 0, 4);
	assert_int_equal(fake.pool[0], 4);
	hl_area_close(area);
}

static void test_discard(void **state)
{
	struct hl_area *area = open_area(2);

	(void)state;
	set_pool(1);
	commit(area, 0, 1, &huge);
	commit(area, 1, 2, &lazy);
	memset(unit(area, 0), 1, 2 * HL_UNIT_BYTES);
	hl_area_discard(unit(area, 1) + 4096, 8192);
	assert_int_equal(unit(area, 1)[4095], 1);
	assert_int_equal(unit(area, 1)[4096], 0);
	assert_int_equal(unit(area, 1)[12288], 1);
	/* Locked memory refuses: cleared by hand. */
	fake_refuse(FAKE_MADVISE, 1, -EINVAL);
	hl_area_discard(unit(area, 0), 4096);
	assert_int_equal(unit(area, 0)[0], 0);
	assert_int_equal(unit(area, 0)[4096], 1);
	hl_area_release(area, 0, 2);
	hl_area_close(area);
}

/* ---- moving ---- */

static void fill(struct hl_area *area, size_t from, size_t to)
{
	for (size_t u = from; u < to; u++)
		unit(area, u)[u] = (char)(u + 1);
}

static void check_filled(
	struct hl_area *area, size_t from, size_t to, size_t at)
{
	for (size_t u = from; u < to; u++)
		assert_int_equal(unit(area, at + u - from)[u], u + 1);
}

/* Three hugetlb units, one THP or base, two lazy. */
static struct hl_area *mixture(bool dedicated)
{
	struct hl_area *area;

	set_pool(3);
	assert_int_equal(hl_area_open(8, 0, dedicated, &area), 0);
	commit(area, 0, 4, &huge);
	commit(area, 4, 6, &lazy);
	fill(area, 0, 6);
	assert_int_equal(fake.pool[0], 0);
	return area;
}

static void test_move(void **state)
{
	struct hl_area *src = mixture(true), *dst = open_area(20);

	(void)state;
	assert_int_equal(hl_area_move(src, 0, 6, dst, 7), 0);
	check_filled(dst, 0, 6, 7);
	assert_int_equal(hl_area_kind(dst, 7), HL_BACKING_HUGETLB);
	assert_int_equal(hl_area_kind(dst, 12), HL_BACKING_LAZY);
	assert_int_equal(hl_area_kind(src, 0), HL_BACKING_NONE);
	assert_int_equal(src->resv.hpages, 0);
	assert_int_equal(dst->resv.hpages, 3);
	hl_area_close(src);
	hl_area_release(dst, 7, 13);
	assert_int_equal(fake.pool[0], 3);
	hl_area_close(dst);
}

static void test_move_with_budget(void **state)
{
	struct hl_want want = huge;
	struct hl_area *src = open_area(4), *dst = open_area(4);
	struct hl_subpool budget;

	(void)state;
	assert_int_equal(hl_subpool_init(&budget, 9, -1), 0);
	want.subpool = &budget;
	set_pool(4);
	commit(src, 0, 4, &want);
	assert_int_equal(hl_area_move(src, 1, 3, dst, 0), 0);
	assert_int_equal(budget.used_hpages, 4);
	hl_area_release(dst, 0, 2);
	assert_int_equal(budget.used_hpages, 2);
	hl_area_release(src, 0, 1);
	hl_area_release(src, 3, 4);
	assert_int_equal(budget.used_hpages, 0);
	hl_area_close(src);
	hl_area_close(dst);
}

static void test_move_one_mapping_at_a_time(void **state)
{
	struct hl_area *src = mixture(true), *dst = open_area(8);

	(void)state;
	fake.one_vma = true;
	assert_int_equal(hl_area_move(src, 0, 6, dst, 1), 0);
	check_filled(dst, 0, 6, 1);
	hl_area_release(dst, 1, 7);
	hl_area_close(src);
	hl_area_close(dst);
}

/* Whichever call is refused, contents and places are as before. */
static void move_refused(unsigned nth, bool holes)
{
	struct hl_area *src = mixture(true), *dst = open_area(8);
	int rc;

	fake.one_vma = nth % 2;
	fake.unmap_first = holes;
	fake_refuse(FAKE_MREMAP, nth, -ENOMEM);
	rc = hl_area_move(src, 0, 6, dst, 1);
	fake_refuse(FAKE_MREMAP, 0, 0);
	if (rc < 0) {
		check_filled(src, 0, 6, 0);
		assert_int_equal(src->resv.hpages, 3);
		assert_int_equal(dst->resv.hpages, 0);
		assert_int_equal(dst->resv.pending, 0);
		assert_true(fake_is_prot(
			unit(dst, 0), 8 * HL_UNIT_BYTES, PROT_NONE));
		hl_area_release(src, 0, 6);
	} else {
		check_filled(dst, 0, 6, 1);
		hl_area_release(dst, 1, 7);
	}
	assert_int_equal(fake.pool[0], 3);
	hl_area_close(src);
	hl_area_close(dst);
}

static void test_move_refused_at_any_step(void **state)
{
	(void)state;
	for (unsigned nth = 1; nth < 10; nth++) {
		move_refused(nth, false);
		move_refused(nth, true);
	}
}

static void test_move_before_dontunmap(void **state)
{
	struct hl_area *src = mixture(true), *dst = open_area(8);

	(void)state;
	fake.no_dontunmap = true;
	assert_true(hl_area_move(src, 0, 6, dst, 0) < 0);
	check_filled(src, 0, 6, 0);
	hl_area_release(src, 0, 6);
	hl_area_close(src);
	hl_area_close(dst);
}

static void test_move_to_units_in_use(void **state)
{
	struct hl_area *src = open_area(2), *dst = open_area(2);

	(void)state;
	commit(src, 0, 1, &lazy);
	commit(dst, 0, 1, &lazy);
	assert_int_equal(hl_area_move(src, 0, 1, dst, 0), -EOPNOTSUPP);
	assert_int_equal(hl_area_kind(src, 0), HL_BACKING_LAZY);
	hl_area_release(src, 0, 1);
	hl_area_release(dst, 0, 1);
	hl_area_close(src);
	hl_area_close(dst);
}

/* A hole that somebody else moved into is not touched again. */
static void test_lost_units_are_left_alone(void **state)
{
	struct hl_area *src = mixture(true), *dst = open_area(8);
	struct hl_got got;
	void *p;

	(void)state;
	assert_int_equal(hl_area_move(src, 0, 6, dst, 0), 0);
	assert_int_equal(
		hl_os->mmap(unit(src, 1), HL_UNIT_BYTES, PROT_READ,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, &p),
		0);
	assert_int_equal(hl_area_commit(src, 1, 2, &lazy, &got), -ENOMEM);
	assert_int_equal(hl_area_commit(src, 2, 3, &lazy, &got), 0);
	hl_area_release(src, 2, 3);
	hl_area_close(src);
	assert_true(fake_is_prot(p, HL_UNIT_BYTES, PROT_READ));
	hl_os->munmap(p, HL_UNIT_BYTES);
	hl_area_release(dst, 0, 6);
	hl_area_close(dst);
}

static void test_lost_units_on_old_kernels(void **state)
{
	fake.no_noreplace = true;
	test_lost_units_are_left_alone(state);
}

static void test_resident(void **state)
{
	struct hl_area *area = mixture(false);
	struct hl_resident r;

	(void)state;
	hl_area_resident(area, 0, 8, &r);
	assert_int_equal(r.hugetlb_bytes, 3 * HL_UNIT_BYTES);
	/* One THP at commit, two lazy ones that were touched. */
	assert_int_equal(r.thp_bytes, 3 * HL_UNIT_BYTES);
	assert_int_equal(r.base_bytes, 0);
	hl_area_release(area, 0, 6);
	fake.thps = 0;
	commit(area, 0, 1, &lazy);
	unit(area, 0)[5000] = 1;
	hl_area_resident(area, 0, 8, &r);
	assert_int_equal(r.base_bytes, 4096);
	hl_area_release(area, 0, 1);
	hl_area_close(area);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
		T(test_open_is_one_call_where_the_kernel_aligns),
		T(test_open_aligns_by_itself),
		T(test_open_fails_without_address_space),
		T(test_find),
		T(test_records_are_reused),
		T(test_release_when_the_kernel_refuses),
		T(test_discard),
		T(test_move),
		T(test_move_with_budget),
		T(test_move_one_mapping_at_a_time),
		T(test_move_refused_at_any_step),
		T(test_move_before_dontunmap),
		T(test_move_to_units_in_use),
		T(test_lost_units_are_left_alone),
		T(test_lost_units_on_old_kernels),
		T(test_resident),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
