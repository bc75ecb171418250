/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/accounting/resv.c: the edges of regions, the transaction, and what an
 * allocator that refuses may cost. Random sequences are
 * tests/model/model_resv.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "accounting/resv.h"

#include <errno.h>
#include <stdlib.h>

struct fixture {
	struct hl_resv map;
	int64_t nodes;	 /* out of the allocator */
	int64_t allowed; /* takes until it refuses; -1: never */
};

static void *take(void *arg)
{
	struct fixture *f = arg;

	if (f->allowed == 0)
		return NULL;
	if (f->allowed > 0)
		f->allowed--;
	f->nodes++;
	return malloc(hl_resv_node_bytes);
}

static void give(void *arg, void *node)
{
	struct fixture *f = arg;

	f->nodes--;
	free(node);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct hl_resv_alloc alloc = {take, give, f};

	if (f == NULL)
		return -1;
	f->allowed = -1;
	hl_resv_init(&f->map, &alloc);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int64_t left;

	hl_resv_destroy(&f->map);
	left = f->nodes;
	free(f);
	return left == 0 ? 0 : -1;
}

static int64_t put_in(struct fixture *f, int64_t from, int64_t to)
{
	int64_t announced = hl_resv_chg(&f->map, from, to);
	int64_t added = hl_resv_add(&f->map, from, to);

	assert_int_equal(announced, added);
	assert_true(hl_resv_is_valid(&f->map));
	return added;
}

static void test_empty_map(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(hl_resv_count(&f->map, 0, 1000), 0);
	assert_int_equal(hl_resv_del(&f->map, 0, 1000), 0);
	assert_int_equal(f->nodes, 0);
	assert_true(hl_resv_is_valid(&f->map));
}

static void test_neighbours_become_one_region(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put_in(f, 10, 20), 10);
	assert_int_equal(put_in(f, 30, 40), 10);
	assert_int_equal(f->map.regions, 2);
	assert_int_equal(put_in(f, 20, 30), 10);
	assert_int_equal(f->map.regions, 1);
	assert_int_equal(f->map.hpages, 30);
	assert_int_equal(put_in(f, 40, 41), 1);
	assert_int_equal(put_in(f, 9, 10), 1);
	assert_int_equal(f->map.regions, 1);
	assert_int_equal(put_in(f, 43, 44), 1);
	assert_int_equal(f->map.regions, 2);
}

static void test_overlap_counts_only_new_pages(void **state)
{
	struct fixture *f = *state;

	put_in(f, 10, 20);
	put_in(f, 30, 40);
	put_in(f, 50, 60);
	assert_int_equal(hl_resv_chg(&f->map, 15, 55), 20);
	assert_int_equal(hl_resv_count(&f->map, 15, 55), 20);
	assert_int_equal(hl_resv_add(&f->map, 15, 55), 20);
	assert_int_equal(f->map.regions, 1);
	assert_int_equal(hl_resv_count(&f->map, 0, 100), 50);
	assert_int_equal(put_in(f, 12, 13), 0);
}

static void test_abort_changes_nothing(void **state)
{
	struct fixture *f = *state;

	put_in(f, 10, 20);
	assert_int_equal(hl_resv_chg(&f->map, 0, 100), 90);
	hl_resv_abort(&f->map, 0, 100);
	assert_int_equal(f->map.hpages, 10);
	assert_int_equal(f->map.pending, 0);
	assert_int_equal(f->nodes, 1);
}

static void test_add_never_takes_a_node(void **state)
{
	struct fixture *f = *state;

	/* Four disjoint changes under way, then the allocator dries up. */
	for (int64_t i = 0; i < 4; i++)
		assert_int_equal(hl_resv_chg(&f->map, i * 10, i * 10 + 5), 5);
	f->allowed = 0;
	for (int64_t i = 3; i >= 0; i--)
		assert_int_equal(hl_resv_add(&f->map, i * 10, i * 10 + 5), 5);
	assert_int_equal(f->map.regions, 4);
	assert_true(hl_resv_is_valid(&f->map));
}

static void test_concurrent_changes_of_one_range(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(hl_resv_chg(&f->map, 0, 10), 10);
	assert_int_equal(hl_resv_chg(&f->map, 5, 15), 10);
	assert_int_equal(hl_resv_add(&f->map, 0, 10), 10);
	/* Announced ten, but five of them came meanwhile. */
	assert_int_equal(hl_resv_add(&f->map, 5, 15), 5);
	assert_int_equal(f->map.hpages, 15);
}

static void test_del_at_edges_needs_no_node(void **state)
{
	struct fixture *f = *state;

	put_in(f, 10, 20);
	put_in(f, 30, 40);
	f->allowed = 0;
	assert_int_equal(hl_resv_del(&f->map, 0, 12), 2);
	assert_int_equal(hl_resv_del(&f->map, 18, 32), 4);
	assert_int_equal(hl_resv_del(&f->map, 39, 50), 1);
	assert_int_equal(f->map.regions, 2);
	assert_int_equal(f->map.hpages, 13);
	assert_int_equal(hl_resv_del(&f->map, 12, 18), 6);
	assert_int_equal(hl_resv_del(&f->map, 0, 100), 7);
	assert_int_equal(f->nodes, 0);
}

static void test_del_in_the_middle_splits(void **state)
{
	struct fixture *f = *state;

	put_in(f, 10, 20);
	assert_int_equal(hl_resv_del(&f->map, 14, 16), 2);
	assert_int_equal(f->map.regions, 2);
	assert_int_equal(hl_resv_count(&f->map, 10, 14), 4);
	assert_int_equal(hl_resv_count(&f->map, 14, 16), 0);
	assert_int_equal(hl_resv_count(&f->map, 16, 20), 4);
	assert_true(hl_resv_is_valid(&f->map));
}

static void test_del_without_a_node_changes_nothing(void **state)
{
	struct fixture *f = *state;

	put_in(f, 10, 20);
	assert_int_equal(hl_resv_chg(&f->map, 90, 99), 9);
	f->allowed = 0;
	/* The node set aside belongs to the change under way. */
	assert_int_equal(hl_resv_del(&f->map, 14, 16), -ENOMEM);
	assert_int_equal(f->map.hpages, 10);
	assert_int_equal(f->map.regions, 1);
	assert_int_equal(hl_resv_add(&f->map, 90, 99), 9);
	assert_true(hl_resv_is_valid(&f->map));
}

static void test_chg_without_a_node_changes_nothing(void **state)
{
	struct fixture *f = *state;

	f->allowed = 0;
	assert_int_equal(hl_resv_chg(&f->map, 0, 1), -ENOMEM);
	assert_int_equal(hl_resv_needs(&f->map, 0), -ENOMEM);
	assert_int_equal(f->map.pending, 0);
	f->allowed = -1;
	assert_int_equal(put_in(f, 0, 1), 1);
}

static void test_empty_ranges(void **state)
{
	struct fixture *f = *state;

	put_in(f, 10, 20);
	assert_int_equal(put_in(f, 15, 15), 0);
	assert_int_equal(put_in(f, 20, 20), 0);
	assert_int_equal(put_in(f, 50, 50), 0);
	assert_int_equal(hl_resv_del(&f->map, 15, 15), 0);
	assert_int_equal(hl_resv_count(&f->map, 15, 15), 0);
	assert_int_equal(f->map.regions, 1);
	assert_int_equal(f->nodes, 1);
}

static void test_shared_page(void **state)
{
	struct fixture *f = *state;

	/* No reservation yet: the pool pays. */
	assert_int_equal(hl_resv_needs(&f->map, 7), 1);
	hl_resv_end(&f->map, 7);
	assert_int_equal(hl_resv_needs(&f->map, 7), 1);
	hl_resv_commit(&f->map, 7);
	assert_int_equal(hl_resv_needs(&f->map, 7), 0);
	hl_resv_commit(&f->map, 7);
	assert_int_equal(hl_resv_del(&f->map, 7, 8), 1);
	assert_int_equal(hl_resv_needs(&f->map, 7), 1);
	hl_resv_restore(&f->map, 7);
	assert_int_equal(hl_resv_count(&f->map, 7, 8), 1);
}

static void test_private_page(void **state)
{
	struct fixture *f = *state;

	f->map.kind = HL_RESV_PRIVATE;
	/* The reservation is there until it is consumed. */
	assert_int_equal(hl_resv_needs(&f->map, 7), 0);
	hl_resv_commit(&f->map, 7);
	assert_int_equal(hl_resv_needs(&f->map, 7), 1);
	hl_resv_restore(&f->map, 7);
	assert_int_equal(hl_resv_needs(&f->map, 7), 0);
	hl_resv_end(&f->map, 7);
	assert_int_equal(f->nodes, 0);
}

static void test_private_restore_splits_without_the_allocator(void **state)
{
	struct fixture *f = *state;

	f->map.kind = HL_RESV_PRIVATE;
	put_in(f, 0, 10);
	assert_int_equal(hl_resv_needs(&f->map, 5), 1);
	f->allowed = 0;
	hl_resv_restore(&f->map, 5);
	assert_int_equal(f->map.regions, 2);
	assert_int_equal(f->map.hpages, 9);
	assert_true(hl_resv_is_valid(&f->map));
}

/* A list of that length would take minutes: ordered keys stay balanced. */
static void test_many_regions(void **state)
{
	struct fixture *f = *state;
	/* Level 3 walks the map after each change. */
	const int64_t regions = HL_DEBUG_LEVEL >= 3 ? 2000 : 100000;

	for (int64_t i = 0; i < regions; i++)
		assert_int_equal(hl_resv_chg(&f->map, 2 * i, 2 * i + 1), 1);
	for (int64_t i = 0; i < regions; i++)
		assert_int_equal(hl_resv_add(&f->map, 2 * i, 2 * i + 1), 1);
	assert_int_equal(f->map.regions, regions);
	assert_true(hl_resv_is_valid(&f->map));
	for (int64_t i = 0; i < regions; i++)
		assert_int_equal(hl_resv_count(&f->map, 0, 2 * i), i);
	assert_int_equal(put_in(f, 0, 2 * regions), regions);
	assert_int_equal(f->map.regions, 1);
	assert_int_equal(f->nodes, 1);
}

#define resv_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		resv_test(test_empty_map),
		resv_test(test_neighbours_become_one_region),
		resv_test(test_overlap_counts_only_new_pages),
		resv_test(test_abort_changes_nothing),
		resv_test(test_add_never_takes_a_node),
		resv_test(test_concurrent_changes_of_one_range),
		resv_test(test_del_at_edges_needs_no_node),
		resv_test(test_del_in_the_middle_splits),
		resv_test(test_del_without_a_node_changes_nothing),
		resv_test(test_chg_without_a_node_changes_nothing),
		resv_test(test_empty_ranges),
		resv_test(test_shared_page),
		resv_test(test_private_page),
		resv_test(test_private_restore_splits_without_the_allocator),
		resv_test(test_many_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
