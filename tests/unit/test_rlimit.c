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

#include <sys/mman.h>
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

static void test_room(void **state)
{
	static const int resources[] = {RLIMIT_AS, RLIMIT_DATA};
	const uint64_t high = (uint64_t)1 << 60;

	(void)state;
	for (size_t i = 0; i < HL_ARRAY_SIZE(resources); i++) {
		__rlimit_resource_t resource =
			(__rlimit_resource_t)resources[i];
		struct rlimit before, limit;
		uint64_t room;
		void *more;

		assert_int_equal(getrlimit(resource, &before), 0);
		assert_true(hl_rlimit_room(resources[i]) == UINT64_MAX);
		limit = before;
		limit.rlim_cur = high;
		assert_int_equal(setrlimit(resource, &limit), 0);
		room = hl_rlimit_room(resources[i]);
		assert_true(room < high && room > high / 2);
		more = mmap(NULL, 64 * HL_MIB, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		assert_ptr_not_equal(more, MAP_FAILED);
		assert_in_range(room - hl_rlimit_room(resources[i]),
			60 * HL_MIB, 68 * HL_MIB);
		assert_int_equal(munmap(more, 64 * HL_MIB), 0);
		assert_int_equal(setrlimit(resource, &before), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_libc_says),
		cmocka_unit_test(test_what_was_set),
		cmocka_unit_test(test_no_such_limit),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
