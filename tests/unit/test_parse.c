/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/parse.c: what is taken, what is refused, and that a refusal leaves
 * the result alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bitmap.h"
#include "base/fmt.h"

#include <errno.h>
#include <string.h>

static void size_is(const char *s, size_t want)
{
	size_t got = 77;

	assert_int_equal(hl_parse_size(s, &got), 0);
	assert_int_equal(got, want);
}

static void size_fails(const char *s, int err)
{
	size_t got = 77;

	assert_int_equal(hl_parse_size(s, &got), err);
	assert_int_equal(got, 77);
}

static void test_sizes(void **state)
{
	(void)state;
	size_is("0", 0);
	size_is("4096", 4096);
	size_is("2M", 2 * HL_MIB);
	size_is("2m", 2 * HL_MIB);
	size_is("2MB", 2 * HL_MIB);
	size_is("2mb", 2 * HL_MIB);
	size_is("2MiB", 2 * HL_MIB);
	size_is("2048kB", 2 * HL_MIB);
	size_is("64K", 64 * HL_KIB);
	size_is("16G", 16 * HL_GIB);
	size_is("1T", 1024 * HL_GIB);
	size_is("0x200000", 2 * HL_MIB);
	size_is("0X10k", 16 * HL_KIB);
	size_is("18446744073709551615", SIZE_MAX);
	size_is("0xffffffffffffffff", SIZE_MAX);
	size_is("16777215T", (size_t)16777215 << 40);
	size_is("000002M", 2 * HL_MIB);
}

static void test_sizes_refused(void **state)
{
	(void)state;
	size_fails("", -EINVAL);
	size_fails("M", -EINVAL);
	size_fails("-1", -EINVAL);
	size_fails("+1", -EINVAL);
	size_fails(" 1", -EINVAL);
	size_fails("1 ", -EINVAL);
	size_fails("1 M", -EINVAL);
	size_fails("2MBxx", -EINVAL);
	size_fails("2Mi", -EINVAL);
	size_fails("2MM", -EINVAL);
	size_fails("2B", -EINVAL);
	size_fails("1.5G", -EINVAL);
	size_fails("0x", -EINVAL);
	size_fails("0xg", -EINVAL);
	size_fails("2P", -EINVAL);
	size_fails("2\xcd", -EINVAL);
	size_fails("18446744073709551616", -ERANGE);
	size_fails("99999999999999999999999", -ERANGE);
	size_fails("0x10000000000000000", -ERANGE);
	size_fails("16777216T", -ERANGE);
	size_fails("18446744073709551615K", -ERANGE);
}

static void test_integers(void **state)
{
	uint64_t n = 77;

	(void)state;
	assert_int_equal(hl_parse_u64("18446744073709551615", &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(hl_parse_u64("0x1f", &n), 0);
	assert_int_equal(n, 31);
	assert_int_equal(hl_parse_u64("18446744073709551616", &n), -ERANGE);
	assert_int_equal(hl_parse_u64("1K", &n), -EINVAL);
	assert_int_equal(hl_parse_u64("", &n), -EINVAL);
	assert_int_equal(hl_parse_u64("-0", &n), -EINVAL);
	assert_int_equal(n, 31);
}

#define NBITS 130

/* Parsed, printed again: `want` is the shortest form. */
static void list_is(const char *s, const char *want)
{
	uint64_t bits[HL_BITMAP_WORDS(NBITS)];
	char text[256];
	struct hl_buf buf;

	memset(bits, 0xff, sizeof(bits));
	assert_int_equal(hl_parse_list(s, bits, NBITS), 0);
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_list(&buf, bits, NBITS);
	assert_string_equal(text, want);
}

static void list_fails(const char *s, int err)
{
	uint64_t bits[HL_BITMAP_WORDS(NBITS)] = {1, 2, 3};

	assert_int_equal(hl_parse_list(s, bits, NBITS), err);
	assert_true(bits[0] == 1 && bits[1] == 2 && bits[2] == 3);
}

static void test_lists(void **state)
{
	(void)state;
	list_is("", "");
	list_is("0", "0");
	list_is("0-3,8", "0-3,8");
	list_is("0,1,2,3", "0-3");
	list_is("8,0-3", "0-3,8");
	list_is("5-5", "5");
	list_is("0-129", "0-129");
	list_is("63-64,129", "63-64,129");
	list_is("1-4,2-6", "1-6");
}

static void test_lists_refused(void **state)
{
	(void)state;
	list_fails(",", -EINVAL);
	list_fails("1,", -EINVAL);
	list_fails(",1", -EINVAL);
	list_fails("1,,2", -EINVAL);
	list_fails("3-1", -EINVAL);
	list_fails("1-", -EINVAL);
	list_fails("-1", -EINVAL);
	list_fails("1-2-3", -EINVAL);
	list_fails("0x1", -EINVAL);
	list_fails("0-0x1", -EINVAL);
	list_fails("0,1-0X2", -EINVAL);
	list_fails("1 2", -EINVAL);
	list_fails("0\n", -EINVAL);
	list_fails("all", -EINVAL);
	list_fails("130", -ERANGE);
	list_fails("0,129-130", -ERANGE);
	list_fails("0-18446744073709551615", -ERANGE);
	list_fails("18446744073709551616", -ERANGE);
}

static void test_yes_and_no(void **state)
{
	static const char *const yes[] = {
		"yes", "YES", "Yes", "1", "true", "ON"};
	static const char *const no[] = {"no", "NO", "0", "false", "off", ""};
	static const char *const neither[] = {
		"y", "yess", "2", "01", " yes", "yes ", "tru", "of"};
	bool b;

	(void)state;
	for (size_t i = 0; i < HL_ARRAY_SIZE(yes); i++) {
		b = false;
		assert_int_equal(hl_parse_bool(yes[i], &b), 0);
		assert_true(b);
	}
	for (size_t i = 0; i < HL_ARRAY_SIZE(no); i++) {
		b = true;
		assert_int_equal(hl_parse_bool(no[i], &b), 0);
		assert_false(b);
	}
	for (size_t i = 0; i < HL_ARRAY_SIZE(neither); i++) {
		b = i % 2;
		assert_int_equal(hl_parse_bool(neither[i], &b), -EINVAL);
		assert_int_equal(b, i % 2);
	}
}

static void test_last_component(void **state)
{
	(void)state;
	assert_string_equal(hl_last_component("/usr/bin/sort"), "sort");
	assert_string_equal(hl_last_component("sort"), "sort");
	assert_string_equal(hl_last_component("bin/"), "");
	assert_string_equal(hl_last_component(""), "");
}

static void test_same_text(void **state)
{
	(void)state;
	assert_true(hl_same_text("", ""));
	assert_true(hl_same_text("ThP", "tHp"));
	assert_false(hl_same_text("thp", "th"));
	assert_false(hl_same_text("th", "thp"));
	assert_false(hl_same_text("@", "`"));
	assert_false(hl_same_text("[", "{"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_sizes_refused),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_lists_refused),
		cmocka_unit_test(test_yes_and_no),
		cmocka_unit_test(test_same_text),
		cmocka_unit_test(test_last_component),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
