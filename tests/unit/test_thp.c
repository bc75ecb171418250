/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/thp.c: the file of the size, the one above it, and the process's
 * own switch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "skip.h"
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define THP "/sys/kernel/mm/transparent_hugepage/"

static struct hl_thp thp;

static void look(enum hl_thp_mode want)
{
	memset(&thp, 0xa5, sizeof(thp));
	assert_int_equal(hl_thp_read(tree_root(), &thp), 0);
	assert_true(thp.present);
	assert_int_equal(thp.enabled, want);
	assert_false(thp.process_disabled);
}

static void test_the_top_level(void **state)
{
	(void)state;
	tree_put(THP "enabled", "always madvise [never]\n");
	look(HL_THP_NEVER);
	tree_put(THP "enabled", "always [madvise] never\n");
	look(HL_THP_MADVISE);
	tree_put(THP "enabled", "[always] madvise never\n");
	look(HL_THP_ALWAYS);
}

static void test_the_file_of_the_size_counts(void **state)
{
	(void)state;
	tree_put(THP "enabled", "always [madvise] never\n");
	tree_put(THP "hpage_pmd_size", "33554432\n");
	tree_put(THP "hugepages-32768kB/enabled",
		"always [inherit] madvise never\n");
	tree_put(THP "hugepages-2048kB/enabled",
		"[always] inherit madvise never\n");
	look(HL_THP_MADVISE);
	assert_int_equal(thp.pmd_bytes, 32 * HL_MIB);
	tree_put(THP "hugepages-32768kB/enabled",
		"always inherit madvise [never]\n");
	look(HL_THP_NEVER);
	tree_put(THP "hugepages-32768kB/enabled",
		"[always] inherit madvise never\n");
	look(HL_THP_ALWAYS);
	/* What a later kernel may say there. */
	tree_put(THP "hugepages-32768kB/enabled", "[sometimes]\n");
	look(HL_THP_MADVISE);
}

static void test_words_are_copied(void **state)
{
	(void)state;
	tree_put(THP "enabled", "always [madvise] never\n");
	look(HL_THP_MADVISE);
	assert_string_equal(thp.defrag, "");
	assert_string_equal(thp.shmem, "");
	tree_put(THP "defrag", "always defer [defer+madvise] madvise never\n");
	tree_put(THP "shmem_enabled",
		"always [within_size] advise never deny force\n");
	look(HL_THP_MADVISE);
	assert_string_equal(thp.defrag, "defer+madvise");
	assert_string_equal(thp.shmem, "within_size");
	tree_put(THP "defrag", "[aWordThatIsLongerThanTheRoom]\n");
	look(HL_THP_MADVISE);
	assert_string_equal(thp.defrag, "");
}

static void test_sizes_that_make_no_sense(void **state)
{
	size_t guess = hl_base_page_bytes() * hl_base_page_bytes() / 8;

	(void)state;
	tree_put(THP "enabled", "always [madvise] never\n");
	look(HL_THP_MADVISE);
	assert_int_equal(thp.pmd_bytes, guess);
	tree_put(THP "hpage_pmd_size", "0\n");
	look(HL_THP_MADVISE);
	assert_int_equal(thp.pmd_bytes, guess);
}

static void test_failures_leave_the_result(void **state)
{
	(void)state;
	memset(&thp, 0xa5, sizeof(thp));
	assert_int_equal(hl_thp_read(tree_root(), &thp), -ENOENT);
	tree_put(THP "enabled", "always madvise never\n");
	assert_int_equal(hl_thp_read(tree_root(), &thp), -EINVAL);
	tree_put(THP "enabled", "always [madvise never\n");
	assert_int_equal(hl_thp_read(tree_root(), &thp), -EINVAL);
	tree_put(THP "enabled", "[] always\n");
	assert_int_equal(hl_thp_read(tree_root(), &thp), -EINVAL);
	assert_int_equal(thp.pmd_bytes, (size_t)0xa5a5a5a5a5a5a5a5);
}

/* In a child, since there is no going back for some. */
static int in_child(int how, int flags)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (how && prctl(PR_SET_THP_DISABLE, how, flags, 0, 0) != 0)
			_exit(100);
		if (hl_thp_read(&hl_root_real, &thp) != 0)
			_exit(101);
		_exit((thp.process_disabled ? 10 : 0) + (int)thp.enabled);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_the_process_switch(void **state)
{
	int plain = in_child(0, 0), advised;

	(void)state;
	if (plain == 101)
		SKIP_BECAUSE("this kernel has no THP");
	/* The switch is inherited: ours may be set. */
	if (plain >= 10)
		SKIP_BECAUSE("THP is switched off for this process already");
	assert_int_equal(in_child(1, 0), plain + 10);
	/* Flag 2 leaves what is advised; older kernels refuse it. */
	advised = in_child(1, 2);
	if (advised != 100)
		assert_int_equal(advised,
			plain == HL_THP_ALWAYS ? HL_THP_MADVISE : plain);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_top_level),
		TEST(test_the_file_of_the_size_counts),
		TEST(test_words_are_copied),
		TEST(test_sizes_that_make_no_sense),
		TEST(test_failures_leave_the_result),
		TEST(test_the_process_switch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
