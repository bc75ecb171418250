/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/opt.c: each variable, what depends on several, bad values, set-uid
 * programs, restriction by name, and that table and parser are whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fmt.h"
#include "base/log.h"
#include "base/opt.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const programs[HL_OPT_PROGRAM_NAMES] = {
	"/usr/bin/python3.11", "python3"};

#define ENV(...) ((char *const[]){__VA_ARGS__, NULL})

static struct hl_opt opt;

static void parse(char *const *envp)
{
	memset(&opt, 0xa5, sizeof(opt));
	hl_opt_parse(&opt, envp, true, false, programs);
	hl_log_set_level(0);
}

static void check_defaults(const struct hl_opt *o)
{
	assert_int_equal(o->page_bytes, 0);
	assert_int_equal(o->default_page_bytes, 0);
	assert_int_equal(o->populate, HL_POPULATE_AUTO);
	assert_int_equal(o->populate_bytes, 64 * HL_MIB);
	assert_int_equal(o->fork_mode, HL_FORK_CONVERT);
	assert_int_equal(o->heap_min_bytes, 0);
	assert_true(o->heap_max_bytes == SIZE_MAX);
	assert_string_equal(o->node, "");
	assert_string_equal(o->elfmap, "");
	assert_string_equal(o->mmap, "");
	assert_string_equal(o->path, "");
	assert_string_equal(o->report, "");
	assert_string_equal(o->share_path, "");
	assert_string_equal(o->features, "");
	assert_false(o->no_children || o->harden || o->shm || o->force_elfmap);
	assert_true(o->share && !o->perf_map);
	assert_false(o->elfmap_off || o->no_reserve || o->no_prefault);
	assert_true(o->minimal_copy && o->heap_shrink);
	assert_false(o->debug);
	assert_int_equal(o->decay_ms, 200);
	assert_int_equal(o->heap_base, 0);
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(hl_opt.morecore, HL_MORECORE_OFF);
	check_defaults(&hl_opt);
	parse(ENV("HOME=/root", "HUGETLB", "HUGETLB_", "=x", ""));
	assert_int_equal(opt.morecore, HL_MORECORE_AUTO);
	check_defaults(&opt);
	hl_opt_parse(&opt, ENV("A=b"), false, false, programs);
	assert_int_equal(opt.morecore, HL_MORECORE_OFF);
}

static void morecore(char *const *envp, enum hl_morecore want,
	enum hl_populate populate, size_t page_bytes)
{
	parse(envp);
	assert_int_equal(opt.morecore, want);
	assert_int_equal(opt.populate, populate);
	assert_int_equal(opt.page_bytes, page_bytes);
}

static void test_morecore(void **state)
{
	(void)state;
	morecore(ENV("HUGETLB_MORECORE=yes"), HL_MORECORE_POOL,
		HL_POPULATE_SIZE, 0);
	morecore(ENV("HUGETLB_MORECORE=YES"), HL_MORECORE_POOL,
		HL_POPULATE_SIZE, 0);
	morecore(ENV("HUGETLB_MORECORE=2M"), HL_MORECORE_POOL, HL_POPULATE_SIZE,
		2 * HL_MIB);
	morecore(ENV("HUGETLB_MORECORE=1073741824"), HL_MORECORE_POOL,
		HL_POPULATE_SIZE, HL_GIB);
	morecore(ENV("HUGETLB_MORECORE=thp"), HL_MORECORE_THP, HL_POPULATE_AUTO,
		0);
	morecore(ENV("HUGETLB_MORECORE=auto"), HL_MORECORE_AUTO,
		HL_POPULATE_AUTO, 0);
	morecore(ENV("HUGETLB_MORECORE=no"), HL_MORECORE_OFF, HL_POPULATE_AUTO,
		0);
	morecore(
		ENV("HUGETLB_MORECORE="), HL_MORECORE_OFF, HL_POPULATE_AUTO, 0);
	morecore(ENV("HUGETLB_DEFAULT_PAGE_SIZE=1G", "HUGETLB_MORECORE=yes"),
		HL_MORECORE_POOL, HL_POPULATE_SIZE, HL_GIB);
	morecore(ENV("HUGETLB_MORECORE=2M", "HUGETLB_DEFAULT_PAGE_SIZE=1G"),
		HL_MORECORE_POOL, HL_POPULATE_SIZE, 2 * HL_MIB);
	assert_int_equal(opt.default_page_bytes, HL_GIB);
	/* Not a page size: as if it had not been set. */
	morecore(ENV("HUGETLB_MORECORE=3M"), HL_MORECORE_AUTO, HL_POPULATE_AUTO,
		0);
	morecore(ENV("HUGETLB_MORECORE=512"), HL_MORECORE_AUTO,
		HL_POPULATE_AUTO, 0);
	morecore(ENV("HUGETLB_MORECORE=huge", "HUGETLB_SHM=yes"),
		HL_MORECORE_OFF, HL_POPULATE_AUTO, 0);
}

static void test_the_first_of_two_counts(void **state)
{
	(void)state;
	morecore(ENV("HUGETLB_MORECORE=no", "HUGETLB_MORECORE=thp"),
		HL_MORECORE_OFF, HL_POPULATE_AUTO, 0);
}

static void test_other_areas_leave_malloc_alone(void **state)
{
	(void)state;
	parse(ENV("HUGETLB_SHM=yes"));
	assert_int_equal(opt.morecore, HL_MORECORE_OFF);
	assert_true(opt.shm);
	parse(ENV("HUGETLB_ELFMAP=RW"));
	assert_int_equal(opt.morecore, HL_MORECORE_OFF);
	parse(ENV("HUGETLB_MMAP=thp"));
	assert_int_equal(opt.morecore, HL_MORECORE_OFF);
	assert_string_equal(opt.mmap, "thp");
	parse(ENV("HUGETLB_MMAP=2M", "HUGETLB_MORECORE=auto"));
	assert_int_equal(opt.morecore, HL_MORECORE_AUTO);
	assert_string_equal(opt.mmap, "2M");
	parse(ENV("HUGETLB_PATH=/a:/b"));
	assert_int_equal(opt.morecore, HL_MORECORE_AUTO);
}

static void test_populate(void **state)
{
	(void)state;
	parse(ENV("HUGETLB_MORECORE_POPULATE=all", "HUGETLB_MORECORE=yes"));
	assert_int_equal(opt.populate, HL_POPULATE_ALL);
	parse(ENV("HUGETLB_MORECORE_POPULATE=auto", "HUGETLB_MORECORE=yes"));
	assert_int_equal(opt.populate, HL_POPULATE_AUTO);
	parse(ENV("HUGETLB_MORECORE_POPULATE=no"));
	assert_int_equal(opt.populate, HL_POPULATE_NO);
	parse(ENV("HUGETLB_MORECORE_POPULATE=5M"));
	assert_int_equal(opt.populate, HL_POPULATE_SIZE);
	assert_int_equal(opt.populate_bytes, 5 * HL_MIB);
	parse(ENV("HUGETLB_MORECORE_POPULATE=lots"));
	assert_int_equal(opt.populate, HL_POPULATE_AUTO);
	assert_int_equal(opt.populate_bytes, 64 * HL_MIB);
}

static void test_fork(void **state)
{
	static const char *const names[] = {"convert", "copy", "THP", "off"};
	char text[64];
	struct hl_buf buf;

	(void)state;
	for (int i = 0; i < 4; i++) {
		hl_buf_init(&buf, text, sizeof(text));
		hl_buf_printf(&buf, "HUGETLB_FORK=%s", names[i]);
		parse(ENV(text));
		assert_int_equal(opt.fork_mode, i);
	}
	parse(ENV("HUGETLB_FORK=both"));
	assert_int_equal(opt.fork_mode, HL_FORK_CONVERT);
}

static void test_heap_bounds(void **state)
{
	(void)state;
	parse(ENV("HUGETLB_HEAP_MIN=16M", "HUGETLB_HEAP_MAX=1G"));
	assert_int_equal(opt.heap_min_bytes, 16 * HL_MIB);
	assert_int_equal(opt.heap_max_bytes, HL_GIB);
	parse(ENV("HUGETLB_HEAP_MIN=2G", "HUGETLB_HEAP_MAX=1G"));
	assert_int_equal(opt.heap_min_bytes, HL_GIB);
	parse(ENV("HUGETLB_HEAP_MAX=0"));
	assert_int_equal(opt.heap_max_bytes, 0);
	parse(ENV("HUGETLB_HEAP_MAX=-1", "HUGETLB_HEAP_MIN=x"));
	check_defaults(&opt);
}

static void test_nodes(void **state)
{
	(void)state;
	parse(ENV("HUGETLB_NODE=0-1,3"));
	assert_string_equal(opt.node, "0-1,3");
	parse(ENV("HUGETLB_NODE=local"));
	assert_string_equal(opt.node, "local");
	parse(ENV("HUGETLB_NODE=interleave"));
	assert_string_equal(opt.node, "interleave");
	parse(ENV("HUGETLB_NODE=0-1,"));
	assert_string_equal(opt.node, "");
	parse(ENV("HUGETLB_NODE=1024"));
	assert_string_equal(opt.node, "");
	parse(ENV("HUGETLB_NODE=all"));
	assert_string_equal(opt.node, "");
}

static void test_elfmap(void **state)
{
	(void)state;
	parse(ENV("HUGETLB_ELFMAP=R"));
	assert_string_equal(opt.elfmap, "R");
	parse(ENV("HUGETLB_ELFMAP=R=2M:W=1G"));
	assert_string_equal(opt.elfmap, "R=2M:W=1G");
	parse(ENV("HUGETLB_ELFMAP=RWB"));
	assert_string_equal(opt.elfmap, "RWB");
	parse(ENV("HUGETLB_ELFMAP=R=2M:b"));
	assert_string_equal(opt.elfmap, "R=2M:b");
	parse(ENV("HUGETLB_ELFMAP=RWBR"));
	assert_string_equal(opt.elfmap, "");
	parse(ENV("HUGETLB_ELFMAP=no"));
	assert_string_equal(opt.elfmap, "");
	parse(ENV("HUGETLB_ELFMAP=X"));
	assert_string_equal(opt.elfmap, "");
	parse(ENV("HUGETLB_ELFMAP=R=3M"));
	assert_string_equal(opt.elfmap, "");
	parse(ENV("HUGETLB_ELFMAP=R="));
	assert_string_equal(opt.elfmap, "");
	parse(ENV("HUGETLB_ELFMAP=R=00000000000000000000000000000000000000000"
		  "000000000000000000000000000000000000000000002M"));
	assert_string_equal(opt.elfmap, "");
	parse(ENV("HUGETLB_ELFMAP=R:W:R:W:R:W:R:W:R:W:R:W:R:W:R:W:R:W:R:W:R:W"
		  ":R:W:R:W:R:W:R:W:R:W:R:W:R:W:R:W:R:W:R:W:R:W"));
	assert_string_equal(opt.elfmap, "");
}

static void test_the_rest(void **state)
{
	(void)state;
	parse(ENV("HUGETLB_NO_CHILDREN=yes", "HUGETLB_HARDEN=1",
		"HUGETLB_NO_RESERVE=yes", "HUGETLB_NO_PREFAULT",
		"HUGETLB_SHARE=1", "HUGETLB_SHARE_PATH=/s",
		"HUGETLB_PATH=/a:/b", "HUGETLB_REPORT=/proc/self/fd/9",
		"HUGETLB_FEATURES=no_map_hugetlb", "HUGETLB_DECAY_MS=0",
		"HUGETLB_FORCE_ELFMAP=yes", "HUGETLB_MINIMAL_COPY=no",
		"HUGETLB_MORECORE_HEAPBASE=7f0000000000",
		"HUGETLB_MORECORE_SHRINK=no", "HUGETLB_PERF_MAP=yes"));
	assert_true(opt.no_children && opt.harden && opt.no_reserve);
	assert_true(opt.no_prefault && opt.share && opt.force_elfmap);
	assert_true(opt.perf_map);
	assert_false(opt.minimal_copy || opt.heap_shrink);
	assert_string_equal(opt.share_path, "/s");
	assert_string_equal(opt.path, "/a:/b");
	assert_string_equal(opt.report, "/proc/self/fd/9");
	assert_string_equal(opt.features, "no_map_hugetlb");
	assert_int_equal(opt.decay_ms, 0);
	assert_int_equal(opt.heap_base, 0x7f0000000000);
	parse(ENV("HUGETLB_MORECORE_HEAPBASE=0x10",
		"HUGETLB_DECAY_MS=4294967296"));
	assert_int_equal(opt.heap_base, 16);
	assert_int_equal(opt.decay_ms, 200);
	parse(ENV("HUGETLB_HARDEN=maybe", "HUGETLB_MORECORE_HEAPBASE=xyz"));
	check_defaults(&opt);
}

static void test_too_long_is_refused(void **state)
{
	char text[1100] = "HUGETLB_PATH=";
	size_t length = strlen(text);

	(void)state;
	memset(text + length, 'a', 1023);
	parse(ENV(text));
	assert_int_equal(strlen(opt.path), 1023);
	memset(text + length, 'a', 1024);
	parse(ENV(text));
	assert_string_equal(opt.path, "");
}

static void test_loudness(void **state)
{
	(void)state;
	hl_opt_parse(&opt, ENV("HUGETLB_VERBOSE=1"), true, false, programs);
	assert_int_equal(opt.verbose, 1);
	assert_true(hl_log_enabled(HL_LOG_ERROR));
	assert_false(hl_log_enabled(HL_LOG_WARN));
	hl_opt_parse(&opt, ENV("HUGETLB_DEBUG=", "HUGETLB_VERBOSE=1"), true,
		false, programs);
	assert_int_equal(opt.verbose, 4);
	assert_true(opt.debug);
	hl_opt_parse(&opt, ENV("HUGETLB_VERBOSE=99", "HUGETLB_DEBUG=0"), true,
		false, programs);
	assert_int_equal(opt.verbose, 99);
	hl_opt_parse(&opt, ENV("HUGETLB_VERBOSE=100"), true, false, programs);
	assert_int_equal(opt.verbose, 0);
	assert_false(hl_log_enabled(HL_LOG_ERROR));
}

static void test_set_uid_programs_see_nothing(void **state)
{
	(void)state;
	memset(&opt, 0xa5, sizeof(opt));
	hl_opt_parse(&opt,
		ENV("HUGETLB_MORECORE=yes", "HUGETLB_PATH=/tmp",
			"HUGETLB_VERBOSE=99", "HUGETLB_REPORT=/etc/shadow"),
		true, true, programs);
	assert_int_equal(opt.morecore, HL_MORECORE_OFF);
	assert_true(opt.secure);
	assert_int_equal(opt.verbose, 0);
	check_defaults(&opt);
}

static void restrict_to(char *variable, bool restricted)
{
	parse(ENV(variable, "HUGETLB_MORECORE=yes", "HUGETLB_SHM=yes",
		"HUGETLB_VERBOSE=1"));
	assert_int_equal(opt.restricted, restricted);
	assert_int_equal(
		opt.morecore, restricted ? HL_MORECORE_OFF : HL_MORECORE_POOL);
	assert_int_equal(opt.shm, !restricted);
	assert_int_equal(opt.verbose, 1);
	if (restricted)
		check_defaults(&opt);
}

static void test_restriction_by_name(void **state)
{
	(void)state;
	restrict_to("HUGETLB_RESTRICT_EXE=python3", false);
	restrict_to("HUGETLB_RESTRICT_EXE=python3.11", false);
	restrict_to("HUGETLB_RESTRICT_EXE=a:python3:b", false);
	restrict_to("HUGETLB_RESTRICT_EXE=a:b", true);
	restrict_to("HUGETLB_RESTRICT_EXE=python", true);
	restrict_to("HUGETLB_RESTRICT_EXE=python33", true);
	restrict_to("HUGETLB_RESTRICT_EXE=/usr/bin/python3", true);
	restrict_to("HUGETLB_RESTRICT_EXE=", true);
	restrict_to("HUGETLB_RESTRICT_EXE=::", true);
}

static void test_an_unknown_name_is_restricted(void **state)
{
	static const char *const none[HL_OPT_PROGRAM_NAMES] = {NULL, ""};

	(void)state;
	hl_opt_parse(&opt, ENV("HUGETLB_RESTRICT_EXE=:a:"), true, false, none);
	assert_true(opt.restricted);
}

/* What a child says on standard error. */
static void complaint(char *const *envp, char *to, size_t capacity)
{
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], 2);
		hl_opt_parse(&opt, envp, true, false, programs);
		_exit(0);
	}
	close(fds[1]);
	n = read(fds[0], to, capacity - 1);
	to[n > 0 ? n : 0] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_bad_values_are_told_when_asked(void **state)
{
	char said[512];

	(void)state;
	complaint(
		ENV("HUGETLB_FORK=x", "HUGETLB_VERBOSE=2"), said, sizeof(said));
	assert_string_equal(said,
		"libhugetlbfs2: warning: HUGETLB_FORK: \"x\" is not one of "
		"convert|copy|thp|off\n");
	complaint(ENV("HUGETLB_FORK=x"), said, sizeof(said));
	assert_string_equal(said, "");
	complaint(
		ENV("HUGETLB_FORK=x", "HUGETLB_VERBOSE=1"), said, sizeof(said));
	assert_string_equal(said, "");
}

static void test_the_table_is_whole(void **state)
{
	(void)state;
	assert_true(hl_opt_doc_count >= 25);
	for (size_t i = 0; i < hl_opt_doc_count; i++) {
		const struct hl_opt_doc *doc = &hl_opt_docs[i];

		assert_int_equal(strncmp(doc->name, "HUGETLB_", 8), 0);
		assert_true(strlen(doc->values) > 0);
		assert_true(strlen(doc->fallback) > 0);
		assert_true(strlen(doc->help) > 10);
		assert_int_equal(doc->help[strlen(doc->help) - 1], '.');
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(doc->name, hl_opt_docs[j].name);
	}
}

static void test_values_are_copied_once(void **state)
{
	char path[] = "HUGETLB_PATH=/one";
	char *const envp[] = {path, NULL};
	char *const other[] = {"HUGETLB_PATH=/two", NULL};

	(void)state;
	hl_opt_init(NULL, true);
	assert_int_equal(hl_opt.morecore, HL_MORECORE_OFF);
	hl_opt_init(envp, true);
	memset(path, 'x', sizeof(path) - 1);
	assert_string_equal(hl_opt.path, "/one");
	assert_int_equal(hl_opt.morecore, HL_MORECORE_AUTO);
	hl_opt_init(other, true);
	assert_string_equal(hl_opt.path, "/one");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_morecore),
		cmocka_unit_test(test_the_first_of_two_counts),
		cmocka_unit_test(test_other_areas_leave_malloc_alone),
		cmocka_unit_test(test_populate),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_heap_bounds),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_elfmap),
		cmocka_unit_test(test_the_rest),
		cmocka_unit_test(test_too_long_is_refused),
		cmocka_unit_test(test_loudness),
		cmocka_unit_test(test_set_uid_programs_see_nothing),
		cmocka_unit_test(test_restriction_by_name),
		cmocka_unit_test(test_an_unknown_name_is_restricted),
		cmocka_unit_test(test_bad_values_are_told_when_asked),
		cmocka_unit_test(test_the_table_is_whole),
		cmocka_unit_test(test_values_are_copied_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
