/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/fmt.c: every conversion against snprintf where that has it, full
 * buffers of every size, and sizes for people.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fmt.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static char text[256];
static struct hl_buf buf;

static int start(void **state)
{
	(void)state;
	memset(text, '#', sizeof(text));
	hl_buf_init(&buf, text, sizeof(text));
	return 0;
}

/* The same through both. */
#define SAME(...)                                            \
	do {                                                 \
		char want_[256];                             \
		snprintf(want_, sizeof(want_), __VA_ARGS__); \
		hl_buf_init(&buf, text, sizeof(text));       \
		hl_buf_printf(&buf, __VA_ARGS__);            \
		assert_string_equal(text, want_);            \
		assert_int_equal(buf.length, strlen(want_)); \
		assert_false(buf.truncated);                 \
	} while (0)

#define GIVES(want, ...)                               \
	do {                                           \
		hl_buf_init(&buf, text, sizeof(text)); \
		hl_buf_printf(&buf, __VA_ARGS__);      \
		assert_string_equal(text, want);       \
	} while (0)

static void test_text_conversions(void **state)
{
	(void)state;
	SAME("plain");
	SAME("%s", "abc");
	SAME("[%10s][%-10s]", "right", "left");
	SAME("[%2s]", "longer");
	SAME("[%.3s][%8.2s][%-8.2s]", "abcdef", "xyz", "xyz");
	SAME("%.0s|", "gone");
	SAME("%c%c", 'a', 'z');
	SAME("[%3c][%-3c]", 'r', 'l');
	SAME("100%% of %s", "it");
}

static void test_precision_does_not_read_beyond(void **state)
{
	/* No NUL behind: a sanitizer sees one byte too many. */
	char *raw = test_malloc(3);

	(void)state;
	memcpy(raw, "abc", 3);
	GIVES("abc", "%.3s", raw);
	test_free(raw);
}

static void test_integers(void **state)
{
	(void)state;
	SAME("%d %i", 0, -1);
	SAME("%d %d", INT_MIN, INT_MAX);
	SAME("%ld %ld", LONG_MIN, LONG_MAX);
	SAME("%lld %lld", LLONG_MIN, LLONG_MAX);
	SAME("%u %lu %llu", UINT_MAX, ULONG_MAX, ULLONG_MAX);
	SAME("%x %lx", 0xdeadbeefu, 0x123456789abcdef0ul);
	SAME("%zu %zx", SIZE_MAX, SIZE_MAX);
	SAME("%hd %hu %hhd %hhu", (short)-5, (unsigned short)65535,
		(signed char)-128, (unsigned char)255);
	SAME("[%6d][%-6d][%06d]", 42, 42, 42);
	SAME("[%6d][%-6d][%06d]", -42, -42, -42);
	SAME("[%016lx]", 0xabcul);
	SAME("%p", (void *)&buf);
	GIVES("0x0", "%p", NULL);
}

static void test_sizes_use_the_largest_exact_unit(void **state)
{
	(void)state;
	GIVES("0", "%K", (size_t)0);
	GIVES("1", "%K", (size_t)1);
	GIVES("3000", "%K", (size_t)3000);
	GIVES("1K", "%K", (size_t)1024);
	GIVES("2M", "%K", (size_t)2 << 20);
	GIVES("1G", "%K", (size_t)1 << 30);
	GIVES("16G", "%K", (size_t)16 << 30);
	GIVES("1025K", "%K", (size_t)1025 << 10);
	GIVES("1024T", "%K", (size_t)1 << 50);
	GIVES("[    2M][2M    ]", "[%6K][%-6K]", (size_t)2 << 20,
		(size_t)2 << 20);
}

static void test_a_null_string_is_named(void **state)
{
	const char *none = NULL;

	(void)state;
	GIVES("(null)", "%s", none);
}

/* For every capacity the text is a prefix of the whole, and ends in NUL. */
static void test_truncation_at_every_size(void **state)
{
	static const char whole[] = "abc 00042 [  x] 2M end";
	size_t length = sizeof(whole) - 1;

	(void)state;
	for (size_t capacity = 0; capacity <= sizeof(whole) + 2; capacity++) {
		memset(text, '#', sizeof(text));
		hl_buf_init(&buf, text, capacity);
		hl_buf_printf(&buf, "%s %05d [%3s] %K end", "abc", 42, "x",
			(size_t)2 << 20);
		assert_int_equal(buf.truncated, capacity < sizeof(whole));
		assert_int_equal(text[capacity], '#');
		if (capacity == 0)
			continue;
		assert_int_equal(buf.length, HL_MIN(capacity - 1, length));
		assert_memory_equal(text, whole, buf.length);
		assert_int_equal(text[buf.length], '\0');
	}
}

static void test_nothing_follows_a_truncation(void **state)
{
	(void)state;
	hl_buf_init(&buf, text, 4);
	hl_buf_puts(&buf, "abcdef");
	hl_buf_putc(&buf, 'x');
	hl_buf_puts(&buf, "");
	assert_string_equal(text, "abc");
	assert_true(buf.truncated);
}

static void test_pieces(void **state)
{
	(void)state;
	hl_buf_putc(&buf, 'a');
	hl_buf_puts(&buf, "bc");
	hl_buf_putn(&buf, "defgh", 2);
	hl_buf_putn(&buf, "zzz", 0);
	assert_string_equal(text, "abcde");
	assert_int_equal(buf.length, 5);
}

static void human(uint64_t bytes, const char *want)
{
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_human_bytes(&buf, bytes);
	assert_string_equal(text, want);
}

static void test_bytes_for_people(void **state)
{
	(void)state;
	human(0, "0 B");
	human(1, "1 B");
	human(1023, "1023 B");
	human(1024, "1 KiB");
	human(312 * 1024, "312 KiB");
	human(1536, "1.5 KiB");
	human(1024 * 1024 - 1, "1 MiB");
	human(1024 * 1024 - 52 * 1024, "972 KiB");
	human((uint64_t)3 << 29, "1.5 GiB");
	human(((uint64_t)1 << 30) - 1, "1 GiB");
	human((uint64_t)1 << 50, "1 PiB");
	human(UINT64_MAX, "16 EiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_text_conversions, start),
		cmocka_unit_test_setup(
			test_precision_does_not_read_beyond, start),
		cmocka_unit_test_setup(test_integers, start),
		cmocka_unit_test_setup(
			test_sizes_use_the_largest_exact_unit, start),
		cmocka_unit_test_setup(test_a_null_string_is_named, start),
		cmocka_unit_test_setup(test_truncation_at_every_size, start),
		cmocka_unit_test_setup(
			test_nothing_follows_a_truncation, start),
		cmocka_unit_test_setup(test_pieces, start),
		cmocka_unit_test_setup(test_bytes_for_people, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
