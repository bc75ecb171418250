/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/process.c: this process, and others written by hand. Random ones:
 * tests/model/model_process.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "system/proc.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void test_self(void **state)
{
	struct hl_process_status status;
	uint64_t start = 0;

	assert_int_equal(prctl(PR_SET_NAME, "a b)\n\\c"), 0);
	assert_int_equal(
		hl_process_status(&hl_root_real, getpid(), &status), 0);
	assert_string_equal(status.comm, "a b)\n\\c");
	assert_int_equal(status.uid, geteuid());
	assert_true(status.has_memory);
	assert_true(status.rss_bytes > 0);
	assert_int_equal(hl_process_start(&hl_root_real, getpid(), &start), 0);
	assert_true(start > 0);
}

static void test_others(void **state)
{
	struct hl_process_status status = {.uid = 77};
	uint64_t start = 77;

	assert_int_equal(hl_process_status(tree_root(), 5, &status), -ENOENT);
	tree_put("/proc/5/status", "Uid:\t1\t2\n");
	assert_int_equal(hl_process_status(tree_root(), 5, &status), -EINVAL);
	assert_int_equal(status.uid, 77);
	/* A kernel thread. */
	tree_put("/proc/5/status", "Name:\tkthreadd\nUid:\t0\t0\t0\t0\n");
	assert_int_equal(hl_process_status(tree_root(), 5, &status), 0);
	assert_false(status.has_memory);
	tree_put("/proc/5/stat", "5 (x) S 1 2 3\n");
	assert_int_equal(hl_process_start(tree_root(), 5, &start), -EINVAL);
	assert_int_equal(start, 77);
}

static int count(pid_t pid, void *arg)
{
	*(int *)arg += pid;
	return pid == 900;
}

static void test_list(void **state)
{
	int sum = 0;

	tree_put("/proc/12/status", "");
	tree_put("/proc/300/status", "");
	tree_put("/proc/self/status", "");
	tree_put("/proc/3x/status", "");
	tree_put("/proc/0/status", "");
	tree_put("/proc/99999999999/status", "");
	assert_int_equal(hl_process_visit(tree_root(), count, &sum), 0);
	assert_int_equal(sum, 312);
	tree_put("/proc/900/status", "");
	assert_int_equal(hl_process_visit(tree_root(), count, &sum), 1);
}

static void test_cgroup(void **state)
{
	char path[64];

	/* Half of a v1 machine: the hierarchy of hugetlb goes first. */
	tree_put("/proc/5/cgroup", "3:hugetlb:/v1\n0::/v2\n");
	assert_int_equal(
		hl_process_cgroup(tree_root(), 5, path, sizeof(path)), 3);
	assert_string_equal(path, "/v1");
	tree_put("/proc/5/cgroup", "3:nohugetlb:/v1\n0::/v2:x\n");
	assert_int_equal(
		hl_process_cgroup(tree_root(), 5, path, sizeof(path)), 5);
	assert_string_equal(path, "/v2:x");
	tree_put("/proc/5/cgroup", "\n:::\nx\n");
	assert_int_equal(
		hl_process_cgroup(tree_root(), 5, path, sizeof(path)), -ENOENT);
}

#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_containers(void **state)
{
	char id[HL_CONTAINER_BYTES];

	assert_true(hl_container_of_cgroup("/docker/" ID64, id));
	assert_string_equal(id, ID64);
	assert_true(
		hl_container_of_cgroup("/a/crio-" ID64 ".scope/container", id));
	assert_string_equal(id, ID64);
	assert_false(hl_container_of_cgroup("/docker/" ID64 "0", id));
	assert_false(hl_container_of_cgroup("/", id));
	assert_false(hl_container_of_cgroup("", id));
	assert_true(hl_container_of_cgroup("/lxc.payload.web/x", id));
	assert_string_equal(id, "web");
	assert_true(hl_container_of_cgroup("/machine-db.scope", id));
	assert_string_equal(id, "db");
	/* One in another: the inner one. */
	assert_true(
		hl_container_of_cgroup("/lxc.payload.web/docker/" ID64, id));
	assert_string_equal(id, ID64);
}

static void test_variable(void **state)
{
	static char environ_text[12000];
	char value[32];

	memset(environ_text, 'x', sizeof(environ_text));
	environ_text[9000] = '\0';
	memcpy(environ_text + 9001, "WANTED=1 2", 11);
	tree_put_bytes("/proc/5/environ", environ_text, sizeof(environ_text));
	assert_int_equal(hl_process_variable(tree_root(), 5, "WANTED", value,
				 sizeof(value)),
		0);
	assert_string_equal(value, "1 2");
	assert_int_equal(hl_process_variable(
				 tree_root(), 5, "WANTE", value, sizeof(value)),
		-ENOENT);
	assert_int_equal(
		hl_process_variable(tree_root(), 5, "WANTED", value, 3),
		-ENAMETOOLONG);
	assert_string_equal(value, "1 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self),
		cmocka_unit_test_setup_teardown(
			test_others, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(
			test_list, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(
			test_cgroup, tree_setup, tree_teardown),
		cmocka_unit_test(test_containers),
		cmocka_unit_test_setup_teardown(
			test_variable, tree_setup, tree_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
