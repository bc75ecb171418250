/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lib/base/record.c: structs of older and newer callers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/record.h"

#include <errno.h>
#include <string.h>

struct own {
	size_t size;
	uint64_t a, b;
};

struct newer {
	struct own own;
	uint64_t c;
};

static void test_none_is_all_zero(void **state)
{
	struct own own = {1, 2, 3};

	assert_int_equal(hl_record_in(&own, sizeof(own), NULL), 0);
	assert_int_equal(own.size, sizeof(own));
	assert_int_equal(own.a, 0);
	assert_int_equal(own.b, 0);
}

static void test_older_caller(void **state)
{
	struct own theirs = {offsetof(struct own, b), 7, 8};
	struct own own = {1, 2, 3};

	assert_int_equal(hl_record_in(&own, sizeof(own), &theirs), 0);
	assert_int_equal(own.a, 7);
	/* Beyond what the caller has. */
	assert_int_equal(own.b, 0);
}

static void test_newer_caller(void **state)
{
	struct newer theirs = {{sizeof(theirs), 7, 8}, 0};
	struct own own = {1, 2, 3};

	assert_int_equal(hl_record_in(&own, sizeof(own), &theirs), 0);
	assert_int_equal(own.b, 8);
	theirs.c = (uint64_t)1 << 63;
	own.b = 3;
	assert_int_equal(hl_record_in(&own, sizeof(own), &theirs), -E2BIG);
	assert_int_equal(own.b, 3);
}

static void test_senseless_sizes(void **state)
{
	struct own theirs = {0, 7, 8}, own = {1, 2, 3};

	assert_int_equal(hl_record_in(&own, sizeof(own), &theirs), -EINVAL);
	theirs.size = sizeof(size_t) - 1;
	assert_int_equal(hl_record_in(&own, sizeof(own), &theirs), -EINVAL);
	theirs.size = SIZE_MAX;
	assert_int_equal(hl_record_in(&own, sizeof(own), &theirs), -E2BIG);
	assert_int_equal(own.a, 2);
	theirs.size = sizeof(size_t);
	assert_int_equal(hl_record_in(&own, sizeof(own), &theirs), 0);
	assert_int_equal(own.a, 0);
}

static void test_results(void **state)
{
	const struct own own = {99, 5, 6};
	struct newer theirs = {{offsetof(struct own, b), 0, 42}, 43};

	/* As much as there is room for; never the size. */
	assert_int_equal(hl_record_out(&theirs, offsetof(struct own, b), &own,
				 sizeof(own)),
		0);
	assert_int_equal(theirs.own.size, offsetof(struct own, b));
	assert_int_equal(theirs.own.a, 5);
	assert_int_equal(theirs.own.b, 42);
	assert_int_equal(hl_record_out(&theirs, sizeof(own), &own, sizeof(own)),
		-EINVAL);
	/* What we do not know is zero. */
	theirs.own.size = sizeof(theirs);
	assert_int_equal(
		hl_record_out(&theirs, sizeof(own), &own, sizeof(own)), 0);
	assert_int_equal(theirs.own.b, 6);
	assert_int_equal(theirs.c, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none_is_all_zero),
		cmocka_unit_test(test_older_caller),
		cmocka_unit_test(test_newer_caller),
		cmocka_unit_test(test_senseless_sizes),
		cmocka_unit_test(test_results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
