/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/rlimit.c: what it says is what libc says, and what was set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "system/sys.h"

#include <sys/resource.h>

static void test_as_libc_says(void **state)
{
	static const int resources[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK,
		RLIMIT_MEMLOCK, RLIMIT_CORE, RLIMIT_NOFILE};
	struct rlimit limit;

	(void)state;
	for (size_t i = 0; i < HL_ARRAY_SIZE(resources); i++) {
		assert_int_equal(
			getrlimit((__rlimit_resource_t)resources[i], &limit),
			0);
		assert_true(hl_rlimit(resources[i]) ==
			    (limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX
							     : limit.rlim_cur));
	}
}

static void test_what_was_set(void **state)
{
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 17;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(hl_rlimit(RLIMIT_NOFILE), 17);
}

static void test_no_such_limit(void **state)
{
	(void)state;
	assert_true(hl_rlimit(9999) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_libc_says),
		cmocka_unit_test(test_what_was_set),
		cmocka_unit_test(test_no_such_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
