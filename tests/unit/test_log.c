/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/log.c and syscall.c: levels, one write a line, errno, the end of a
 * process by hl_fatal, and the convention of system calls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char said[8192];

/* Runs fn in a child; what it wrote to standard error is in said. */
static int child_says(void (*fn)(void))
{
	size_t length = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* A packet pipe would do; short lines are whole anyway. */
		dup2(fds[1], 2);
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], said + length, sizeof(said) - 1 - length)) > 0)
		length += (size_t)n;
	said[length] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static void say_all(void)
{
	hl_log(HL_LOG_ERROR, "e%d", 1);
	hl_log(HL_LOG_WARN, "w%s", "2");
	hl_log(HL_LOG_INFO, "i %K", (size_t)2 << 20);
	hl_log(HL_LOG_DEBUG, "d");
}

static void say_at_2(void)
{
	hl_log_set_level(2);
	say_all();
}

static void say_at_99(void)
{
	hl_log_set_level(99);
	say_all();
}

static void test_levels(void **state)
{
	(void)state;
	assert_int_equal(child_says(say_all), 0);
	assert_string_equal(said, "");
	assert_int_equal(child_says(say_at_2), 0);
	assert_string_equal(
		said, "libhugetlbfs2: error: e1\nlibhugetlbfs2: warning: w2\n");
	assert_int_equal(child_says(say_at_99), 0);
	assert_string_equal(said,
		"libhugetlbfs2: error: e1\nlibhugetlbfs2: warning: w2\n"
		"libhugetlbfs2: i 2M\nlibhugetlbfs2: debug: d\n");
}

static void say_long(void)
{
	char text[3000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	hl_log_set_level(1);
	hl_log(HL_LOG_ERROR, "%s", text);
	hl_log(HL_LOG_ERROR, "next");
}

static void test_a_long_line_is_cut_and_still_a_line(void **state)
{
	(void)state;
	assert_int_equal(child_says(say_long), 0);
	assert_int_equal(strcspn(said, "\n"), 1022);
	assert_string_equal(
		strchr(said, '\n'), "\nlibhugetlbfs2: error: next\n");
}

static void *say_lines(void *arg)
{
	for (int i = 0; i < 20; i++)
		hl_log(HL_LOG_ERROR, "line of thread %d", *(int *)arg);
	return NULL;
}

static void say_in_threads(void)
{
	static int numbers[4] = {0, 1, 2, 3};
	pthread_t threads[4];

	hl_log_set_level(1);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, say_lines, &numbers[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void test_lines_do_not_mix(void **state)
{
	static const char line[] = "libhugetlbfs2: error: line of thread ";
	int counts[4] = {0};
	char *at = said;

	(void)state;
	assert_int_equal(child_says(say_in_threads), 0);
	while (*at != '\0') {
		assert_memory_equal(at, line, sizeof(line) - 1);
		at += sizeof(line) - 1;
		assert_in_range(*at, '0', '3');
		counts[*at - '0']++;
		assert_int_equal(at[1], '\n');
		at += 2;
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(counts[i], 20);
}

static void be_fatal(void)
{
	hl_fatal("free(%p): %s", (void *)0x10, "not a block");
}

static void fail_assertion(void)
{
	HL_CHECK(1 + 1 == 3);
}

static void test_fatal_ends_in_abort(void **state)
{
	(void)state;
	assert_int_equal(child_says(be_fatal), 128 + SIGABRT);
	assert_string_equal(said, "libhugetlbfs2: free(0x10): not a block\n");
	assert_int_equal(child_says(fail_assertion), 128 + SIGABRT);
	assert_non_null(strstr(said, "1 + 1 == 3"));
	assert_non_null(strstr(said, "test_log.c:"));
}

static void check_errno(void)
{
	errno = 4242;
	hl_log_set_level(1);
	hl_log(HL_LOG_ERROR, "x");
	close(2);
	hl_log(HL_LOG_ERROR, "nowhere to go");
	_exit(errno == 4242 ? 0 : 1);
}

static void test_errno_is_kept(void **state)
{
	(void)state;
	assert_int_equal(child_says(check_errno), 0);
}

static void test_system_calls(void **state)
{
	(void)state;
	errno = 4242;
	assert_int_equal(hl_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0), getpid());
	assert_int_equal(hl_syscall(SYS_close, -1, 0, 0, 0, 0, 0), -EBADF);
	assert_int_equal(errno, 4242);
}

static void test_write_all(void **state)
{
	static char data[300000];
	int fds[2], status;
	ssize_t n;
	size_t total = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(hl_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(hl_write_all(-1, "x", 0), 0);
	/* More than a pipe holds: many short writes. */
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(-hl_write_all(fds[1], data, sizeof(data)));
	close(fds[1]);
	while ((n = read(fds[0], said, sizeof(said))) > 0)
		total += (size_t)n;
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(total, sizeof(data));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_a_long_line_is_cut_and_still_a_line),
		cmocka_unit_test(test_lines_do_not_mix),
		cmocka_unit_test(test_fatal_ends_in_abort),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_system_calls),
		cmocka_unit_test(test_write_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
