/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tools/json_read.c: what is JSON, what is not, and that all that our writer
 * writes is read back as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "json_read.h"

#include "base/fmt.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

/* A tool reads one text and ends: nothing of it is freed. */
const char *__asan_default_options(void);
HL_EXPORT const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* A copy without a byte to spare, so that a tool can see what lies behind. */
static struct json_value *read_exact(
	const char *text, int *line, const char **expected)
{
	size_t n = strlen(text);
	char *copy = malloc(n ? n : 1);
	struct json_value *value;

	assert_non_null(copy);
	memcpy(copy, text, n);
	value = json_read(copy, n, line, expected);
	free(copy);
	return value;
}

static const struct json_value *good(const char *text)
{
	const char *expected;
	int line;
	const struct json_value *value = read_exact(text, &line, &expected);

	if (!value)
		fail_msg("%s: expected %s", text, expected);
	assert_null(expected);
	return value;
}

static void test_values(void **state)
{
	const struct json_value *v;

	(void)state;
	assert_int_equal(good("null")->type, JSON_NULL);
	assert_string_equal(good(" true\n")->text, "true");
	assert_string_equal(good("false")->text, "false");
	assert_int_equal(good("false")->type, JSON_BOOL);
	assert_string_equal(good("-12.50e+3")->text, "-12.50e+3");
	assert_string_equal(good("0")->text, "0");
	assert_null(good("[]")->child);
	assert_null(good("{ }")->child);
	v = good("{\"a\": [1, {\"b\": \"x\"}], \"c\": null}");
	assert_string_equal(json_member(v, "a")->child->text, "1");
	assert_string_equal(
		json_member(json_member(v, "a")->child->next, "b")->text, "x");
	assert_int_equal(json_member(v, "c")->type, JSON_NULL);
	assert_null(json_member(v, "b"));
	assert_null(json_member(json_member(v, "a"), "b"));
	assert_null(json_member(NULL, "b"));
}

static void test_strings(void **state)
{
	(void)state;
	assert_string_equal(good("\"\"")->text, "");
	assert_string_equal(good("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")->text,
		"\"\\/\b\f\n\r\t");
	assert_string_equal(good("\"\\u0041\\u00e9\\u20AC\"")->text,
		"A\xc3\xa9\xe2\x82\xac");
	assert_string_equal(
		good("\"\\ud83d\\ude00\"")->text, "\xf0\x9f\x98\x80");
	assert_string_equal(good("\"\xff\"")->text, "\xff");
}

static void test_numbers(void **state)
{
	uint64_t number = 7;

	(void)state;
	assert_true(json_u64(good("18446744073709551615"), &number));
	assert_true(number == UINT64_MAX);
	assert_false(json_u64(good("18446744073709551616"), &number));
	assert_false(json_u64(good("1.5"), &number));
	assert_false(json_u64(good("-1"), &number));
	assert_false(json_u64(good("\"1\""), &number));
	assert_false(json_u64(good("null"), &number));
	assert_false(json_u64(NULL, &number));
	assert_true(number == UINT64_MAX);
}

static void test_what_is_no_json(void **state)
{
	static const char *const bad[] = {"", " ", "x", "tru", "nul", "01", "-",
		"1.", ".5", "1e", "1e+", "+1", "\"", "\"\\", "\"\\x\"",
		"\"\\u12\"", "\"\\u000g\"", "\"\\u0000\"", "\"\\ud800\"",
		"\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"", "[", "[1", "[1,",
		"[1,]", "[,1]", "[1 2]", "{", "{\"a\"", "{\"a\":", "{\"a\":1",
		"{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "1 2",
		"[]]", "}", "nullx", "\"a\"b"};

	(void)state;
	for (size_t i = 0; i < HL_ARRAY_SIZE(bad); i++) {
		const char *expected;
		int line;

		if (read_exact(bad[i], &line, &expected))
			fail_msg("%s was read", bad[i]);
		assert_non_null(expected);
	}
}

static void test_the_line_of_an_error(void **state)
{
	const char *expected;
	int line;

	(void)state;
	assert_null(read_exact("{\n\"a\":\n\n x}", &line, &expected));
	assert_int_equal(line, 4);
	assert_string_equal(expected, "a value");
	assert_int_equal(good("[\n1,\n2]")->child->next->line, 3);
}

static void test_depth(void **state)
{
	char text[512];
	const char *expected;
	int line;

	(void)state;
	memset(text, '[', 100);
	memset(text + 100, ']', 100);
	text[200] = '\0';
	assert_non_null(good(text));
	memset(text, '[', 101);
	memset(text + 101, ']', 101);
	text[202] = '\0';
	assert_null(read_exact(text, &line, &expected));
	assert_string_equal(expected, "fewer levels");
}

/* Every byte but NUL, and the ends of the numbers. */
static void test_what_was_written_is_read(void **state)
{
	char text[8192], bytes[128] = "";
	const struct json_value *v;
	struct hl_buf buf;
	struct hl_json json;
	uint64_t number;

	(void)state;
	for (int c = 1; c < 128; c++)
		bytes[c - 1] = (char)c;
	hl_buf_init(&buf, text, sizeof(text));
	hl_json_init_buf(&json, &buf);
	json.indent = true;
	hl_json_begin_object(&json, NULL);
	hl_json_string(&json, bytes, bytes);
	hl_json_u64(&json, "most", UINT64_MAX);
	hl_json_begin_array(&json, "list");
	for (unsigned i = 0; i < 5; i++)
		hl_json_u64(&json, NULL, i);
	hl_json_end(&json);
	hl_json_end(&json);
	assert_int_equal(hl_json_finish(&json), 0);
	v = good(text);
	assert_string_equal(json_member(v, bytes)->text, bytes);
	assert_true(json_u64(json_member(v, "most"), &number));
	assert_true(number == UINT64_MAX);
	number = 0;
	for (v = json_member(v, "list")->child; v; v = v->next)
		number++;
	assert_int_equal(number, 5);
}

/* Cut short anywhere it is no JSON, and nothing behind it is looked at. */
static void test_cut_short(void **state)
{
	static const char whole[] = "{\"a\": [1.5e3, \"\\u20ac\\n\", true, "
				    "{\"b\": null}], \"c\": -7}";

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		char *part = strndup(whole, n);
		const char *expected;
		int line;

		assert_null(read_exact(part, &line, &expected));
		free(part);
	}
	assert_non_null(good(whole));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_what_is_no_json),
		cmocka_unit_test(test_the_line_of_an_error),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_what_was_written_is_read),
		cmocka_unit_test(test_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
