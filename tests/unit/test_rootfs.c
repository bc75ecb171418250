/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/rootfs.c: whole files, numbers, writing, listing, and lines of
 * every length through buffers of every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_whole_files(void **state)
{
	char buf[16];

	(void)state;
	tree_put("/a/b", "text\n");
	assert_int_equal(hl_root_read(tree_root(), "/a/b", buf, 16), 4);
	assert_string_equal(buf, "text");
	/* Only the last newline goes. */
	tree_put("/a/b", "x\n\n");
	assert_int_equal(hl_root_read(tree_root(), "/a/b", buf, 16), 2);
	assert_string_equal(buf, "x\n");
	tree_put("/a/b", "");
	assert_int_equal(hl_root_read(tree_root(), "/a/b", buf, 16), 0);
	assert_string_equal(buf, "");
}

static void test_files_that_do_not_fit(void **state)
{
	char buf[8];

	(void)state;
	tree_put("/f", "1234567");
	assert_int_equal(hl_root_read(tree_root(), "/f", buf, 8), 7);
	tree_put("/f", "12345678");
	assert_int_equal(hl_root_read(tree_root(), "/f", buf, 8), -EFBIG);
	assert_int_equal(hl_root_read(tree_root(), "/f", buf, 0), -EFBIG);
}

static void test_missing_files(void **state)
{
	struct hl_root gone = {.prefix = "/nonexistent/root"};
	uint64_t n = 5;
	char buf[8];

	(void)state;
	assert_int_equal(hl_root_read(tree_root(), "/f", buf, 8), -ENOENT);
	assert_int_equal(hl_root_read(&gone, "/f", buf, 8), -ENOENT);
	assert_int_equal(hl_root_read_u64(tree_root(), "/f", &n), -ENOENT);
	assert_int_equal(hl_root_read(tree_root(), "/", buf, 8), -EISDIR);
	assert_int_equal(n, 5);
}

static void test_numbers(void **state)
{
	uint64_t n = 5;

	(void)state;
	tree_put("/n", "42\n");
	assert_int_equal(hl_root_read_u64(tree_root(), "/n", &n), 0);
	assert_int_equal(n, 42);
	tree_put("/n", "18446744073709551616\n");
	assert_int_equal(hl_root_read_u64(tree_root(), "/n", &n), -ERANGE);
	tree_put("/n", "max\n");
	assert_int_equal(hl_root_read_u64(tree_root(), "/n", &n), -EINVAL);
	tree_put("/n", "\n");
	assert_int_equal(hl_root_read_u64(tree_root(), "/n", &n), -EINVAL);
	assert_int_equal(n, 42);
}

static void test_writing(void **state)
{
	char buf[16];

	(void)state;
	tree_put("/w", "something long");
	assert_int_equal(hl_root_write(tree_root(), "/w", "7"), 0);
	assert_int_equal(hl_root_read(tree_root(), "/w", buf, 16), 1);
	assert_string_equal(buf, "7");
	/* Never makes a file: the kernel's are there or not. */
	assert_int_equal(hl_root_write(tree_root(), "/new", "7"), -ENOENT);
	assert_int_equal(
		hl_root_write(&hl_root_real, "/dev/full", "7"), -ENOSPC);
}

static void test_the_real_root(void **state)
{
	char buf[4096];

	(void)state;
	assert_true(
		hl_root_read(&hl_root_real, "/proc/self/comm", buf, 64) > 0);
	assert_int_equal(
		hl_root_read(&hl_root_real, "/proc/self/status", buf, 64),
		-EFBIG);
}

static void test_errno_and_descriptors_are_kept(void **state)
{
	char buf[16];
	int before = hl_root_open(&hl_root_real, "/dev/null", O_RDONLY), after;

	(void)state;
	hl_root_close(before);
	errno = 4242;
	tree_put("/f", "x");
	(void)hl_root_read(tree_root(), "/f", buf, 16);
	(void)hl_root_read(tree_root(), "/none", buf, 16);
	(void)hl_root_read(tree_root(), "/f", buf, 1);
	(void)hl_root_write(tree_root(), "/f", "y");
	assert_int_equal(errno, 4242);
	after = hl_root_open(&hl_root_real, "/dev/null", O_RDONLY);
	assert_int_equal(after, before);
	assert_true(fcntl(after, F_GETFD) & FD_CLOEXEC);
	hl_root_close(after);
}

struct seen {
	int count;
	unsigned sum;
	int stop_at;
};

static int see(const char *name, void *arg)
{
	struct seen *seen = arg;

	if (++seen->count == seen->stop_at)
		return 99;
	seen->sum += (unsigned)atoi(name + strlen(name) - 3);
	return 0;
}

static void test_listing(void **state)
{
	struct seen seen = {0};
	char path[64];

	(void)state;
	/* More than one getdents64 can give. */
	for (int i = 0; i < 200; i++) {
		snprintf(
			path, sizeof(path), "/d/a name of some length %03d", i);
		tree_put(path, "");
	}
	assert_int_equal(hl_root_list(tree_root(), "/d", see, &seen), 0);
	assert_int_equal(seen.count, 200);
	assert_int_equal(seen.sum, 199 * 200 / 2);
	seen = (struct seen){.stop_at = 3};
	assert_int_equal(hl_root_list(tree_root(), "/d", see, &seen), 99);
	assert_int_equal(seen.count, 3);
	assert_int_equal(hl_root_list(tree_root(), "/e", see, &seen), -ENOENT);
	tree_put("/f", "");
	assert_int_equal(hl_root_list(tree_root(), "/f", see, &seen), -ENOTDIR);
}

/* Each line of `text` as a buffer of that capacity must show it. */
static void check_lines(const char *text, size_t capacity)
{
	char *buf = test_malloc(capacity);
	const char *at = text;
	struct hl_lines lines;
	char *line;
	int more;

	tree_put("/lines", text);
	assert_int_equal(
		hl_lines_open(&lines, tree_root(), "/lines", buf, capacity), 0);
	while ((more = hl_lines_next(&lines, &line)) == 1) {
		size_t length = strcspn(at, "\n");
		size_t shown = HL_MIN(length, capacity - 1);

		assert_true(*at != '\0');
		assert_int_equal(strlen(line), shown);
		assert_memory_equal(line, at, shown);
		at += length;
		if (*at == '\n')
			at++;
	}
	assert_int_equal(more, 0);
	assert_int_equal(*at, '\0');
	assert_int_equal(hl_lines_next(&lines, &line), 0);
	hl_lines_close(&lines);
	test_free(buf);
}

static void test_lines(void **state)
{
	static const char *const texts[] = {"", "\n", "\n\n\n", "a", "a\n",
		"a\nb", "abc\n\ndefg\nh\n", "0123456789abcdef\nx\n",
		"x\n0123456789abcdef",
		"0123456789\n0123456789\n\n0123456789\n"};
	char *large = test_malloc(10001);

	(void)state;
	for (size_t i = 0; i < HL_ARRAY_SIZE(texts); i++)
		for (size_t capacity = 2; capacity < 40; capacity++)
			check_lines(texts[i], capacity);
	for (size_t i = 0; i < 10000; i++)
		large[i] = i % 97 == 96 || i == 5000 ? '\n' : 'z';
	large[10000] = '\0';
	memset(large + 2000, 'L', 2500);
	check_lines(large, 50);
	check_lines(large, 512);
	check_lines(large, 600);
	check_lines(large, 20000);
	test_free(large);
}

static void test_lines_that_were_cut_are_known(void **state)
{
	char buf[6], *line;
	struct hl_lines lines;

	(void)state;
	tree_put("/lines", "12345\n123456\n1\n");
	assert_int_equal(
		hl_lines_open(&lines, tree_root(), "/lines", buf, 6), 0);
	assert_int_equal(hl_lines_next(&lines, &line), 1);
	assert_string_equal(line, "12345");
	assert_int_equal(hl_lines_next(&lines, &line), 1);
	assert_string_equal(line, "12345");
	assert_true(lines.skipping);
	assert_int_equal(hl_lines_next(&lines, &line), 1);
	assert_string_equal(line, "1");
	assert_false(lines.skipping);
	hl_lines_close(&lines);
}

static void test_line_errors(void **state)
{
	char buf[16], *line;
	struct hl_lines lines;

	(void)state;
	assert_int_equal(
		hl_lines_open(&lines, tree_root(), "/none", buf, 16), -ENOENT);
	tree_put("/f", "x\n");
	assert_int_equal(
		hl_lines_open(&lines, tree_root(), "/f", buf, 1), -EINVAL);
	assert_int_equal(hl_lines_open(&lines, tree_root(), "/", buf, 16), 0);
	assert_int_equal(hl_lines_next(&lines, &line), -EISDIR);
	hl_lines_close(&lines);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole_files),
		TEST(test_files_that_do_not_fit),
		TEST(test_missing_files),
		TEST(test_numbers),
		TEST(test_writing),
		TEST(test_the_real_root),
		TEST(test_errno_and_descriptors_are_kept),
		TEST(test_listing),
		TEST(test_lines),
		TEST(test_lines_that_were_cut_are_known),
		TEST(test_line_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
