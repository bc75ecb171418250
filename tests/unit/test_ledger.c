/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/accounting/ledger.c: who may promise what, where pages are counted, and
 * that threads cannot promise the same page twice. Random sequences are
 * tests/model/model_ledger.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "accounting/ledger.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define SIZE ((size_t)2 << 20)

static struct hl_ledger ledger;

static int set_up(void **state)
{
	(void)state;
	memset(&ledger, 0, sizeof(ledger));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return hl_ledger_is_valid(&ledger) ? 0 : -1;
}

static struct hl_ledger_totals row(int node)
{
	struct hl_ledger_totals t;

	hl_ledger_read(&ledger, SIZE, node, &t);
	return t;
}

static void test_promise_up_to_what_is_available(void **state)
{
	(void)state;
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 3, 5), 0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 3, 5), -ENOMEM);
	assert_int_equal(row(0).promised, 3);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 2, 5), 0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 0, 5), 0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 1, 5), -ENOMEM);
	hl_ledger_cancel(&ledger, SIZE, 0, 2);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 1, 5), 0);
}

static void test_unknown_availability_is_granted(void **state)
{
	(void)state;
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 3, 1000, -1), 0);
	assert_int_equal(row(3).promised, 1000);
}

static void test_nodes_do_not_disturb_each_other(void **state)
{
	(void)state;
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 5, 5), 0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 1, 5, 5), 0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 1, 1, 5), -ENOMEM);
}

static void test_unbound_request_sees_all_promises(void **state)
{
	(void)state;
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 4, -1), 0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 1, 4, -1), 0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, HL_LEDGER_ANY, 3, 10),
		-ENOMEM);
	assert_int_equal(
		hl_ledger_promise(&ledger, SIZE, HL_LEDGER_ANY, 2, 10), 0);
	assert_int_equal(row(HL_LEDGER_ANY).promised, 2);
	assert_int_equal(row(HL_LEDGER_ALL).promised, 10);
}

static void test_sizes_do_not_disturb_each_other(void **state)
{
	(void)state;
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 5, 5), 0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE << 9, 0, 5, 5), 0);
	assert_int_equal(row(0).promised, 5);
}

static void test_the_life_of_a_page(void **state)
{
	(void)state;
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 1, 4, 4), 0);
	hl_ledger_back(&ledger, SIZE, 1, 1, 3);
	assert_int_equal(row(1).promised, 1);
	assert_int_equal(row(1).backed, 3);
	hl_ledger_cancel(&ledger, SIZE, 1, 1);
	hl_ledger_hold(&ledger, SIZE, 1, 2);
	assert_int_equal(row(1).in_hand, 2);
	hl_ledger_use(&ledger, SIZE, 1, 2);
	hl_ledger_release(&ledger, SIZE, 1, 1, 3);
	assert_int_equal(row(HL_LEDGER_ALL).promised, 0);
	assert_int_equal(row(HL_LEDGER_ALL).backed, 0);
	assert_int_equal(row(HL_LEDGER_ALL).in_hand, 0);
}

static void test_borrowed_from_another_node(void **state)
{
	(void)state;
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 1, 2, -1), 0);
	hl_ledger_back(&ledger, SIZE, 1, 0, 2);
	assert_int_equal(row(1).promised, 0);
	assert_int_equal(row(1).backed, 0);
	assert_int_equal(row(1).borrowed, 2);
	assert_int_equal(row(0).backed, 2);
	hl_ledger_release(&ledger, SIZE, 1, 0, 2);
	assert_int_equal(row(1).borrowed, 0);
	assert_int_equal(row(0).backed, 0);
}

static void test_unbound_pages_are_not_borrowed(void **state)
{
	(void)state;
	assert_int_equal(
		hl_ledger_promise(&ledger, SIZE, HL_LEDGER_ANY, 2, -1), 0);
	hl_ledger_back(&ledger, SIZE, HL_LEDGER_ANY, 3, 2);
	assert_int_equal(row(HL_LEDGER_ALL).borrowed, 0);
	assert_int_equal(row(3).backed, 2);
	/* Nobody knows where these came from. */
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 2, 1, -1), 0);
	hl_ledger_back(&ledger, SIZE, 2, HL_LEDGER_ANY, 1);
	assert_int_equal(row(HL_LEDGER_ALL).borrowed, 0);
	assert_int_equal(row(HL_LEDGER_ANY).backed, 1);
}

static void test_high_nodes_share_the_last_row(void **state)
{
	(void)state;
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 63, 2, 5), 0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 1023, 3, 5), 0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 64, 1, 5), -ENOMEM);
	assert_int_equal(row(64).promised, 5);
}

static void test_a_fifth_size_is_left_to_the_kernel(void **state)
{
	(void)state;
	for (int i = 0; i < HL_LEDGER_SIZES; i++)
		assert_int_equal(
			hl_ledger_promise(&ledger, SIZE << (i + 1), 0, 1, 1),
			0);
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 100, 1), 0);
	hl_ledger_back(&ledger, SIZE, 0, 0, 100);
	hl_ledger_hold(&ledger, SIZE, 0, 1);
	assert_int_equal(row(0).backed, 0);
	hl_ledger_use(&ledger, SIZE, 0, 1);
	hl_ledger_release(&ledger, SIZE, 0, 0, 100);
	assert_true(hl_ledger_is_valid(&ledger));
}

static void test_validity_notices_damage(void **state)
{
	(void)state;
	assert_int_equal(hl_ledger_promise(&ledger, SIZE, 0, 1, -1), 0);
	assert_true(hl_ledger_is_valid(&ledger));
	ledger.node[0][0].promised++;
	assert_false(hl_ledger_is_valid(&ledger));
	ledger.node[0][0].promised--;
	ledger.node[0][5].in_hand = 1;
	assert_false(hl_ledger_is_valid(&ledger));
	ledger.node[0][5].in_hand = 0;
	ledger.node[0][5].borrowed = 1;
	assert_false(hl_ledger_is_valid(&ledger));
	ledger.node[0][5].borrowed = 0;
	ledger.page_bytes[1] = SIZE;
	assert_false(hl_ledger_is_valid(&ledger));
	ledger.page_bytes[1] = 0;
}

/* ---- threads ---- */

#define THREADS	  4
#define ROUNDS	  20000
#define AVAILABLE 3

static _Atomic int64_t outstanding[2]; /* node 0; all */
static _Atomic int overdrawn;

static void check_grant(_Atomic int64_t *counter)
{
	if (atomic_fetch_add(counter, 1) + 1 > AVAILABLE)
		atomic_store(&overdrawn, 1);
}

/*
 * A holder leaves the checked count before it cancels, so a promise beyond
 * the limit shows as a count beyond the limit.
 */
static void *promise_and_cancel(void *arg)
{
	int node = *(int *)arg;
	_Atomic int64_t *counter = &outstanding[node < 0];

	for (int i = 0; i < ROUNDS; i++) {
		if (hl_ledger_promise(&ledger, SIZE, node, 1, AVAILABLE) != 0)
			continue;
		check_grant(counter);
		atomic_fetch_sub(counter, 1);
		hl_ledger_cancel(&ledger, SIZE, node, 1);
	}
	return NULL;
}

static void run_threads(int node)
{
	pthread_t threads[THREADS];

	atomic_store(&overdrawn, 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
					 promise_and_cancel, &node),
			0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&overdrawn), 0);
	assert_int_equal(row(HL_LEDGER_ALL).promised, 0);
}

static void test_threads_never_overdraw_a_node(void **state)
{
	(void)state;
	run_threads(0);
}

static void test_threads_never_overdraw_the_pool(void **state)
{
	(void)state;
	run_threads(HL_LEDGER_ANY);
}

#define ledger_test(name) \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ledger_test(test_promise_up_to_what_is_available),
		ledger_test(test_unknown_availability_is_granted),
		ledger_test(test_nodes_do_not_disturb_each_other),
		ledger_test(test_unbound_request_sees_all_promises),
		ledger_test(test_sizes_do_not_disturb_each_other),
		ledger_test(test_the_life_of_a_page),
		ledger_test(test_borrowed_from_another_node),
		ledger_test(test_unbound_pages_are_not_borrowed),
		ledger_test(test_high_nodes_share_the_last_row),
		ledger_test(test_a_fifth_size_is_left_to_the_kernel),
		ledger_test(test_validity_notices_damage),
		ledger_test(test_threads_never_overdraw_a_node),
		ledger_test(test_threads_never_overdraw_the_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
