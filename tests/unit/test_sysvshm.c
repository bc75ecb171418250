/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/sysvshm.c: a segment of our own, and tables that no kernel writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "system/proc.h"
#include "skip.h"
#include "tree.h"

#include <errno.h>
#include <sys/shm.h>
#include <unistd.h>

struct search {
	int id;
	struct hl_shm_segment found;
	int count;
};

static int see(const struct hl_shm_segment *s, void *arg)
{
	struct search *search = arg;

	search->count++;
	if (s->id != search->id)
		return 0;
	search->found = *s;
	return 3;
}

static void test_own(void **state)
{
	struct search search = {.id = shmget(IPC_PRIVATE, 12345, 0640)};

	if (search.id < 0)
		SKIP_BECAUSE("no segment of System V shared memory can be had");
	assert_int_equal(hl_shm_visit(&hl_root_real, see, &search), 3);
	shmctl(search.id, IPC_RMID, NULL);
	assert_int_equal(search.found.bytes, 12345);
	assert_int_equal(search.found.mode, 0640);
	assert_int_equal(search.found.attached, 0);
	assert_int_equal(search.found.key, 0);
	assert_int_equal(search.found.uid, geteuid());
	assert_int_equal(search.found.creator_pid, getpid());
	assert_int_equal(search.found.rss_bytes, 0);
}

static int look(const char *text, struct search *search)
{
	*search = (struct search){.id = 7};
	tree_put("/proc/sysvipc/shm", text);
	return hl_shm_visit(tree_root(), see, search);
}

static void test_tables(void **state)
{
	struct search s = {0};

	assert_int_equal(hl_shm_visit(tree_root(), see, &s), -ENOENT);
	assert_int_equal(look("", &s), 0);
	assert_int_equal(look("key perms\n1 2\n", &s), -EINVAL);
	assert_int_equal(look("key shmid size\n", &s), 0);
	/* Other columns in another order, and rows that are cut short. */
	assert_int_equal(
		look("new size shmid\n1 2\nx y z\n\n9 4096 7\n", &s), 3);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.found.bytes, 4096);
	/* Keys are signed. */
	assert_int_equal(look("key shmid size\n-5 7 1\n", &s), 3);
	assert_int_equal(s.found.key, -5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test_setup_teardown(
			test_tables, tree_setup, tree_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
