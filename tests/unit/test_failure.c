/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/failure.c: the last shortage is the thread's own, is replaced by the
 * next one only, and reading it changes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/failure.h"

#include <errno.h>
#include <pthread.h>

static void *without(void *arg)
{
	struct hl_failure f = {.node = 77};

	(void)arg;
	assert_false(hl_failure_read(&f));
	assert_int_equal(f.node, 77);
	hl_failure_record(HL_LIMIT_CGROUP, 1, 1, 1, 1);
	assert_true(hl_failure_read(&f));
	assert_int_equal(f.limit, HL_LIMIT_CGROUP);
	return NULL;
}

static void none_at_first(void **state)
{
	pthread_t t;

	(void)state;
	without(NULL);
	/* Each thread begins without, whatever others met. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&t, NULL, without, NULL), 0);
		assert_int_equal(pthread_join(t, NULL), 0);
	}
}

static void last_one_stays(void **state)
{
	struct hl_failure f;

	(void)state;
	errno = 4711;
	hl_failure_record(HL_LIMIT_POOL, 2 * HL_MIB, -1, 10, 3);
	hl_failure_record(HL_LIMIT_NODE_POOL, HL_GIB, 5, UINT64_MAX, 0);
	/* No shortage erases nothing. */
	hl_failure_record(HL_LIMIT_NONE, 1, 2, 3, 4);
	for (int i = 0; i < 2; i++) {
		assert_true(hl_failure_read(&f));
		assert_int_equal(f.limit, HL_LIMIT_NODE_POOL);
		assert_int_equal(f.page_bytes, HL_GIB);
		assert_int_equal(f.node, 5);
		assert_true(f.needed_hpages == UINT64_MAX);
		assert_int_equal(f.available_hpages, 0);
	}
	assert_int_equal(errno, 4711);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_at_first),
		cmocka_unit_test(last_one_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
