/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/mountinfo.c: fields, escapes, lines that are cut or odd, and
 * options.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "system/mountinfo.h"

#include <string.h>

static char line[512];
static struct hl_mountinfo info;

static bool parse(const char *text)
{
	strcpy(line, text);
	return hl_mountinfo_parse(line, &info);
}

static void test_fields(void **state)
{
	(void)state;
	assert_true(parse("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 "
			  "/dev/root rw,errors=continue"));
	assert_string_equal(info.root, "/mnt1");
	assert_string_equal(info.path, "/mnt2");
	assert_string_equal(info.options, "rw,noatime");
	assert_string_equal(info.type, "ext3");
	assert_string_equal(info.super_options, "rw,errors=continue");
}

static void test_optional_fields(void **state)
{
	(void)state;
	assert_true(parse("36 35 98:0 / /m rw - t s o"));
	assert_string_equal(info.type, "t");
	assert_true(parse("36 35 98:0 / /m rw a:1 b:2 c:3 unbindable - t s o"));
	assert_string_equal(info.super_options, "o");
	/* A path that is called "-" is a path. */
	assert_true(parse("36 35 98:0 - - rw - t s o"));
	assert_string_equal(info.path, "-");
	assert_string_equal(info.options, "rw");
}

static void test_an_empty_source(void **state)
{
	(void)state;
	assert_true(parse("36 35 98:0 / /m rw - hugetlbfs  rw,pagesize=2M"));
	assert_string_equal(info.type, "hugetlbfs");
	assert_string_equal(info.super_options, "rw,pagesize=2M");
}

static void test_escapes(void **state)
{
	(void)state;
	assert_true(
		parse("1 2 3:4 /a\\134b /\\040x\\011y\\012z\\043 rw - t s o"));
	assert_string_equal(info.root, "/a\\b");
	assert_string_equal(info.path, "/ x\ty\nz#");
	/* What is no escape stays. */
	assert_true(parse("1 2 3:4 / /a\\b\\04\\999\\400\\ rw - t s o"));
	assert_string_equal(info.path, "/a\\b\\04\\999\\400\\");
}

static void test_every_shorter_line_is_refused(void **state)
{
	static const char whole[] = "36 35 98:0 /a /b rw x:1 - t s o";
	char shorter[sizeof(whole)];

	(void)state;
	assert_true(parse(whole));
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		memcpy(shorter, whole, n);
		shorter[n] = '\0';
		assert_false(parse(shorter));
	}
}

static void test_types(void **state)
{
	static const char text[] = "1 2 0:1 / /a rw x:1 - cgroup c rw - ext4 x";

	(void)state;
	assert_true(hl_mountinfo_is_type(text, "cgroup"));
	assert_false(hl_mountinfo_is_type(text, "cgroup2"));
	assert_false(hl_mountinfo_is_type(text, "cgrou"));
	assert_false(hl_mountinfo_is_type(text, "ext4"));
	assert_false(
		hl_mountinfo_is_type("1 2 0:1 / /a rw - cgroup", "cgroup"));
	assert_false(hl_mountinfo_is_type("1 2 0:1 / /a rw -", "cgroup"));
	assert_false(hl_mountinfo_is_type("", "cgroup"));
}

static void option(const char *list, const char *name, const char *want)
{
	const char *value;
	size_t length;

	if (!want) {
		assert_false(hl_mountinfo_option(list, name, &value, &length));
		return;
	}
	assert_true(hl_mountinfo_option(list, name, &value, &length));
	assert_int_equal(length, strlen(want));
	assert_memory_equal(value, want, length);
}

static void test_options(void **state)
{
	static const char list[] = "rw,pagesize=2M,min_size=4096,size=8192,e=";

	(void)state;
	option(list, "rw", "");
	option(list, "pagesize", "2M");
	option(list, "size", "8192");
	option(list, "min_size", "4096");
	option(list, "e", "");
	option(list, "ro", NULL);
	option(list, "page", NULL);
	option(list, "pagesize=2M,min_size", NULL);
	option("", "rw", NULL);
	option(",,rw", "rw", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_optional_fields),
		cmocka_unit_test(test_an_empty_source),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_every_shorter_line_is_refused),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
