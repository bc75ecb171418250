/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rendering of the report (lib/heap/report.c): from counters that are set by
 * hand to lines and JSON.
 */
#include "backing/area.h"
#include "heap/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char text[65536];
static struct hl_counts counts;

static const struct hl_report_process example = {
	.program = "/usr/bin/example",
	.comm = "example",
	.pid = 12,
	.ppid = 3,
	.end = HL_END_EXITED,
	.status = 4,
};

static int reset(void **state)
{
	memset((void *)&counts, 0, sizeof(counts));
	return 0;
}

static const char *as_text(const struct hl_report_process *p, unsigned flags)
{
	struct hl_buf buf;

	hl_buf_init(&buf, text, sizeof(text));
	hl_report_text(&buf, p, p->pid ? &counts : NULL, flags);
	assert_false(buf.truncated);
	return text;
}

static const char *as_json(const struct hl_report_process *p, unsigned flags)
{
	struct hl_json json;
	struct hl_buf buf;

	hl_buf_init(&buf, text, sizeof(text));
	hl_json_init_buf(&json, &buf);
	hl_json_begin_object(&json, NULL);
	hl_report_json(&json, p, p->pid ? &counts : NULL, flags);
	hl_json_end(&json);
	assert_int_equal(hl_json_finish(&json), 0);
	return text;
}

static void has(const char *where, const char *what)
{
	if (!strstr(where, what))
		fail_msg("no \"%s\" in:\n%s", what, where);
}

static void has_not(const char *where, const char *what)
{
	if (strstr(where, what))
		fail_msg("\"%s\" in:\n%s", what, where);
}

/* The text without its spaces. */
static const char *tight(const char *s)
{
	static char out[65536];
	char *to = out;

	for (; *s; s++) {
		if (*s != ' ' && *s != '\n')
			*to++ = *s;
	}
	*to = '\0';
	return out;
}

static void test_empty(void **state)
{
	const char *json = tight(as_json(&example, HL_REPORT_PICTURE));

	has(json, "\"state\":\"exited\",\"exit_status\":4,\"signal\":null");
	has(json, "\"coverage\":null");
	has(json, "\"fallbacks\":[]");
	has(json, "\"cells\":[]");
	has(json, "\"usage\":null");
	has(json, "\"elapsed_s\":null");
	has(json, "\"hugetlb_by_size\":{}");
	as_text(&example, HL_REPORT_PICTURE);
	has(text, "/usr/bin/example (pid 12): exit status 4\n");
	has(text, "nothing resident");
	has_not(text, "fallback");
	has_not(text, "shaded by fullness");
}

/* "nothing resident" would be a claim about memory that nobody looked at. */
static void test_not_measured(void **state)
{
	counts.peak_bytes = 56 * HL_KIB;
	counts.live_bytes = 56 * HL_KIB;
	as_text(&example, HL_REPORT_PICTURE);
	has(text, "at peak   not measured\n");
	has_not(text, "nothing resident");

	counts.peak_base_bytes = 56 * HL_KIB;
	as_text(&example, HL_REPORT_PICTURE);
	has(text, "at peak   0.0 % on huge pages:  56 KiB base pages\n");
	has(text, "nothing resident\n"); /* at the end */
	has_not(text, "not measured");
}

static void test_amounts(void **state)
{
	const char *json;

	counts.peak_bytes = 100 * HL_MIB;
	counts.live_bytes = 10 * HL_MIB;
	counts.peak_hugetlb_bytes = 90 * HL_MIB;
	counts.peak_thp_bytes = 6 * HL_MIB;
	counts.peak_base_bytes = 4 * HL_MIB;
	counts.hugetlb_page_bytes[0] = 2 * HL_MIB;
	counts.hugetlb_bytes[0] = 6 * HL_MIB;
	counts.hugetlb_page_bytes[1] = HL_GIB;
	counts.base_bytes = 2 * HL_MIB;
	counts.node_bytes[1] = 6 * HL_MIB;
	counts.fallbacks[HL_LIMIT_CGROUP] = 5;
	json = tight(as_json(&example, 0));
	has(json, "\"coverage\":0.96");
	has(json, "\"peak\":{\"hugetlb_bytes\":94371840,\"thp_bytes\":6291456,"
		  "\"base_bytes\":4194304,\"coverage\":0.96");
	has(json, "\"end\":{\"hugetlb_bytes\":6291456,\"thp_bytes\":0,"
		  "\"base_bytes\":2097152,\"coverage\":0.75");
	has(json, "\"hugetlb_by_size\":{\"2097152\":6291456,"
		  "\"1073741824\":0}");
	has(json, "\"hugetlb_by_node\":{\"1\":6291456}");
	has(json, "\"limit\":\"cgroup\",\"units\":5,\"advice\":\"");
	has_not(json, "\"picture\"");
	as_text(&example, 0);
	has(text,
		"96.0 % on huge pages:  90 MiB hugetlb  6 MiB THP  4 MiB base "
		"pages\n");
	has(text, "75.0 % on huge pages");
	has(text, "3 of 2M\n");
	has(text, "node 1: 6 MiB\n");
	has(text, "5 units of 2M (cgroup): ");
}

/* Shares are rounded down: nothing but all is 100 %. No product overflows. */
static void test_shares(void **state)
{
	counts.peak_thp_bytes = HL_GIB * 1023;
	counts.peak_base_bytes = 4096;
	as_text(&example, 0);
	has(text, "  99.9 % on huge pages");
	counts.peak_base_bytes = 0;
	as_text(&example, 0);
	has(text, "  100.0 % on huge pages");
	counts.peak_thp_bytes = (uint64_t)1 << 62;
	counts.peak_base_bytes = (uint64_t)1 << 62;
	as_text(&example, 0);
	has(text, "  50.0 % on huge pages");
}

static void test_ends(void **state)
{
	struct hl_report_process p = example;

	p.end = HL_END_SIGNALED;
	p.signal = 9;
	has(as_text(&p, 0), "killed by SIGKILL");
	has(as_text(&p, 0), "last seen");
	has(tight(as_json(&p, 0)),
		"\"state\":\"signaled\",\"exit_status\":null,"
		"\"signal\":9,\"signal_name\":\"SIGKILL\"");
	p.signal = 42;
	has(as_text(&p, 0), "killed by signal 42");
	p.end = HL_END_RUNNING;
	has(as_json(&p, 0), "\"running\"");
	p.end = HL_END_GONE;
	has(as_json(&p, 0), "\"gone\"");
	p.end = HL_END_EXEC;
	has(as_json(&p, 0), "\"replaced\"");
	has(as_text(&p, 0), "replaced by exec");
	p.end = HL_END_NORMAL;
	p.complete = true;
	p.start = HL_REPORT_FORK;
	counts.base_bytes = 1;
	has(tight(as_json(&p, 0)), "\"started\":\"fork\"");
	has(tight(as_json(&p, 0)), "\"exit_status\":null");
	has(as_text(&p, 0), "forked by 3");
	has(as_text(&p, 0), "at end");
}

static void test_usage(void **state)
{
	const struct hl_report_usage usage = {
		.user_us = 1234567,
		.system_us = 50000,
		.minor_faults = 7,
		.major_faults = 1,
		.max_rss_bytes = 3 * HL_MIB,
	};
	struct hl_report_process p = example;

	p.usage = &usage;
	p.tree = &usage;
	p.elapsed_known = true;
	p.elapsed_us = 2005000;
	as_text(&p, 0);
	has(text, "exit status 4, after 2.00 s\n");
	has(text, "1.23 s user, 0.05 s system; page faults: 7 minor, 1 major; "
		  "largest RSS 3 MiB\n");
	has(tight(as_json(&p, 0)), "\"usage\":{\"user_s\":1.234567,");
	has(tight(text), "\"usage_with_children\":{");
}

static void test_not_counted(void **state)
{
	struct hl_report_process p = example;

	p.pid = 0;
	has(as_text(&p, HL_REPORT_PICTURE), "not counted");
	has(tight(as_json(&p, HL_REPORT_PICTURE)),
		"\"counted\":false,\"coverage\":null,\"heap\":null");
}

static unsigned occurrences(const char *s, const char *what)
{
	unsigned n = 0;

	for (; (s = strstr(s, what)); s++)
		n++;
	return n;
}

static void test_picture(void **state)
{
	static const uint8_t fullness[] = {0, 1, 63, 64, 128, 192, 255};

	for (unsigned i = 0; i < sizeof(fullness); i++) {
		counts.cell[i] = fullness[i];
		counts.cell_kind[i] =
			i < 5 ? HL_BACKING_HUGETLB : HL_BACKING_THP;
	}
	counts.cells = sizeof(fullness);
	as_text(&example, HL_REPORT_PICTURE);
	has(text, "  hugetlb  _..:+\n  thp      ##\n");
	as_text(&example, HL_REPORT_PICTURE | HL_REPORT_UTF8);
	has(text, "\xe2\x96\x93\n  thp      \xe2\x96\x88\xe2\x96\x88\n");
	as_json(&example, HL_REPORT_PICTURE);
	assert_int_equal(occurrences(text, "\"kind\""), sizeof(fullness));
	has(tight(text), "\"units_per_cell\":1");
}

/* More units than cells are merged; a number beyond the table is cut. */
static void test_picture_merged(void **state)
{
	for (unsigned i = 0; i < HL_COUNT_CELLS; i++) {
		counts.cell[i] = i % 2 ? 255 : 0;
		counts.cell_kind[i] = i % 2 ? HL_BACKING_BASE : HL_BACKING_NONE;
	}
	counts.cells = (uint64_t)1 << 40;
	as_json(&example, HL_REPORT_PICTURE);
	has(tight(text), "\"units_per_cell\":8");
	assert_int_equal(occurrences(text, "\"kind\""), HL_REPORT_CELLS_MAX);
	assert_int_equal(occurrences(tight(text), "\"kind\":\"base\","
						  "\"fullness\":0.498"),
		HL_REPORT_CELLS_MAX);
	counts.cells = HL_REPORT_CELLS_MAX + 1;
	as_json(&example, HL_REPORT_PICTURE);
	has(tight(text), "\"units_per_cell\":2");
	assert_int_equal(
		occurrences(text, "\"kind\""), HL_REPORT_CELLS_MAX / 2 + 1);
}

static void test_line(void **state)
{
	struct hl_buf buf;

	counts.peak_bytes = 3 * HL_MIB;
	counts.peak_thp_bytes = 2 * HL_MIB;
	counts.peak_base_bytes = 2 * HL_MIB;
	hl_buf_init(&buf, text, sizeof(text));
	hl_report_line(&buf, &example, &counts);
	assert_string_equal(text, "  12 /usr/bin/example, exited: peak 3 MiB, "
				  "50.0 % on huge pages\n");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, reset)
	const struct CMUnitTest tests[] = {
		CASE(test_empty),
		CASE(test_not_measured),
		CASE(test_amounts),
		CASE(test_shares),
		CASE(test_ends),
		CASE(test_usage),
		CASE(test_not_counted),
		CASE(test_picture),
		CASE(test_picture_merged),
		CASE(test_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
