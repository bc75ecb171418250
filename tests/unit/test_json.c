/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/json.c: commas, nesting, escapes, bytes that are no UTF-8, and that
 * a file descriptor gets the same text as a buffer, whatever the piece size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char text[4096];
static struct hl_buf buf;
static struct hl_json json;

static int start(void **state)
{
	(void)state;
	hl_buf_init(&buf, text, sizeof(text));
	hl_json_init_buf(&json, &buf);
	return 0;
}

static void ends_as(const char *want)
{
	assert_int_equal(hl_json_finish(&json), 0);
	assert_string_equal(text, want);
}

static void write_sample(struct hl_json *j)
{
	hl_json_begin_object(j, NULL);
	hl_json_u64(j, "big", UINT64_MAX);
	hl_json_i64(j, "small", INT64_MIN);
	hl_json_bool(j, "yes", true);
	hl_json_bool(j, "no", false);
	hl_json_null(j, "nothing");
	hl_json_begin_array(j, "empty");
	hl_json_end(j);
	hl_json_begin_array(j, "list");
	hl_json_string(j, NULL, "a");
	hl_json_begin_object(j, NULL);
	hl_json_end(j);
	hl_json_begin_object(j, NULL);
	hl_json_i64(j, "x", 7);
	hl_json_end(j);
	hl_json_u64(j, NULL, 1);
	hl_json_end(j);
	hl_json_string(j, "after", NULL);
	hl_json_end(j);
}

static const char sample[] =
	"{\"big\":18446744073709551615,\"small\":-9223372036854775808,"
	"\"yes\":true,\"no\":false,\"nothing\":null,\"empty\":[],"
	"\"list\":[\"a\",{},{\"x\":7},1],\"after\":null}\n";

static void test_structure(void **state)
{
	(void)state;
	write_sample(&json);
	ends_as(sample);
}

static void test_indented(void **state)
{
	(void)state;
	json.indent = true;
	hl_json_begin_object(&json, NULL);
	hl_json_u64(&json, "a", 1);
	hl_json_begin_array(&json, "b");
	hl_json_u64(&json, NULL, 2);
	hl_json_u64(&json, NULL, 3);
	hl_json_end(&json);
	hl_json_begin_object(&json, "c");
	hl_json_end(&json);
	hl_json_end(&json);
	ends_as("{\n  \"a\": 1,\n  \"b\": [\n    2,\n    3\n  ],\n"
		"  \"c\": {}\n}\n");
}

static void test_lone_values(void **state)
{
	(void)state;
	hl_json_u64(&json, NULL, 5);
	ends_as("5\n");
	start(NULL);
	hl_json_string(&json, NULL, "");
	ends_as("\"\"\n");
}

static void string_is(const char *raw, size_t n, const char *want)
{
	char whole[256];
	struct hl_buf expected;

	start(NULL);
	hl_json_stringn(&json, NULL, raw, n);
	hl_buf_init(&expected, whole, sizeof(whole));
	hl_buf_printf(&expected, "\"%s\"\n", want);
	ends_as(whole);
}

#define STRING(raw, want) string_is(raw, sizeof(raw) - 1, want)
#define BAD		  "\xef\xbf\xbd"

static void test_escapes(void **state)
{
	(void)state;
	STRING("a\"b\\c/d", "a\\\"b\\\\c/d");
	STRING("\b\f\n\r\t", "\\b\\f\\n\\r\\t");
	STRING("\x01\x1f\x7f", "\\u0001\\u001f\\u007f");
	STRING("a\0b", "a\\u0000b");
}

static void test_utf8_passes(void **state)
{
	(void)state;
	STRING("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
	STRING("\xc2\x80\xdf\xbf", "\xc2\x80\xdf\xbf");
	STRING("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
		"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf");
	STRING("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
		"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

static void test_what_is_not_utf8_is_replaced(void **state)
{
	(void)state;
	STRING("\xff", BAD);
	STRING("\x80", BAD);
	STRING("a\xc3", "a" BAD);
	STRING("\xc3(", BAD "(");
	STRING("\xc0\xaf", BAD BAD);
	STRING("\xc1\xbf", BAD BAD);
	STRING("\xe0\x9f\xbf", BAD BAD BAD);
	STRING("\xed\xa0\x80", BAD BAD BAD);
	STRING("\xf0\x8f\xbf\xbf", BAD BAD BAD BAD);
	STRING("\xf4\x90\x80\x80", BAD BAD BAD BAD);
	STRING("\xf5\x80\x80\x80", BAD BAD BAD BAD);
	STRING("\xe2\x82", BAD BAD);
	STRING("\xe2\x82z", BAD BAD "z");
	STRING("\xf0\x9f\x98\"", BAD BAD BAD "\\\"");
}

static void test_keys_are_escaped(void **state)
{
	(void)state;
	hl_json_begin_object(&json, NULL);
	hl_json_u64(&json, "a\"\n\xff", 1);
	hl_json_end(&json);
	ends_as("{\"a\\\"\\n" BAD "\":1}\n");
}

static void test_decimals(void **state)
{
	(void)state;
	hl_json_begin_array(&json, NULL);
	hl_json_fixed(&json, NULL, 1234, 3);
	hl_json_fixed(&json, NULL, 5, 3);
	hl_json_fixed(&json, NULL, 1000, 3);
	hl_json_fixed(&json, NULL, 7, 0);
	hl_json_fixed(&json, NULL, UINT64_MAX, 18);
	hl_json_ratio(&json, NULL, 977, 1000);
	hl_json_ratio(&json, NULL, 2, 3);
	hl_json_ratio(&json, NULL, 5, 5);
	hl_json_ratio(&json, NULL, 0, 5);
	hl_json_ratio(&json, NULL, 5, 0);
	hl_json_ratio(&json, NULL, UINT64_MAX, UINT64_MAX);
	hl_json_end(&json);
	ends_as("[1.234,0.005,1.000,7,18.446744073709551615,0.9770,0.6667,"
		"1.0000,0.0000,null,1.0000]\n");
}

static void test_deep_nesting(void **state)
{
	(void)state;
	for (int i = 0; i < HL_JSON_DEPTH_MAX; i++)
		hl_json_begin_array(&json, NULL);
	for (int i = 0; i < HL_JSON_DEPTH_MAX; i++)
		hl_json_end(&json);
	assert_int_equal(hl_json_finish(&json), 0);
	assert_int_equal(buf.length, 2 * HL_JSON_DEPTH_MAX + 1);
}

static void test_a_short_buffer_is_an_error(void **state)
{
	(void)state;
	hl_buf_init(&buf, text, sizeof(sample) - 1);
	write_sample(&json);
	assert_int_equal(hl_json_finish(&json), -EMSGSIZE);
	assert_memory_equal(text, sample, buf.length);
}

static void test_pieces_into_a_file(void **state)
{
	char piece[64], whole[sizeof(sample) + 8];
	int fds[2];

	(void)state;
	for (size_t capacity = 2; capacity <= sizeof(piece); capacity++) {
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		hl_json_init_fd(&json, fds[1], piece, capacity);
		write_sample(&json);
		assert_int_equal(hl_json_finish(&json), 0);
		close(fds[1]);
		assert_int_equal(
			read(fds[0], whole, sizeof(whole)), sizeof(sample) - 1);
		assert_memory_equal(whole, sample, sizeof(sample) - 1);
		close(fds[0]);
	}
}

static void test_a_failed_write_is_told(void **state)
{
	char piece[16];
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	hl_json_init_fd(&json, fd, piece, sizeof(piece));
	write_sample(&json);
	assert_int_equal(hl_json_finish(&json), -ENOSPC);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_structure, start),
		cmocka_unit_test_setup(test_indented, start),
		cmocka_unit_test_setup(test_lone_values, start),
		cmocka_unit_test_setup(test_escapes, start),
		cmocka_unit_test_setup(test_utf8_passes, start),
		cmocka_unit_test_setup(
			test_what_is_not_utf8_is_replaced, start),
		cmocka_unit_test_setup(test_keys_are_escaped, start),
		cmocka_unit_test_setup(test_decimals, start),
		cmocka_unit_test_setup(test_deep_nesting, start),
		cmocka_unit_test_setup(test_a_short_buffer_is_an_error, start),
		cmocka_unit_test_setup(test_pieces_into_a_file, start),
		cmocka_unit_test_setup(test_a_failed_write_is_told, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
