/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/region/shared.c on a fake kernel: SysV segments and shared mappings are
 * on huge pages that cannot be lacking later, or they are ordinary, and the
 * limit is named and counted. Which call is refused makes no other difference:
 * nothing stays behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"
#include "tree.h"

#include "backing/area_internal.h"
#include "base/count.h"
#include "base/failure.h"
#include "base/opt.h"
#include "region/shared.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#ifndef SHM_NORESERVE
#define SHM_NORESERVE 010000
#endif

#define KEY    0x1234
#define CREATE (IPC_CREAT | 0600)
#define NO_CGROUP                                                             \
	"21 1 254:1 / / rw - ext4 /dev/vda1 rw\n30 20 0:26 / /sys/fs/cgroup " \
	"rw - cgroup2 cgroup2 rw\n"

static uint64_t counted_before;

static int setup(void **state)
{
	fake_setup(state);
	hl_opt.shm = true;
	fake.live = true;
	return 0;
}

static int teardown(void **state)
{
	hl_opt.shm = false;
	return fake_teardown(state);
}

static void set_pool(long pages)
{
	fake.pool[0] = pages;
	fake_publish();
}

/* No control group that could be in the way: a reservation is enough. */
static void no_limits(void)
{
	fake_publish_cgroup(-1, -1);
}

static uint64_t all_counted(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < HL_LIMIT_COUNT_; i++)
		sum += atomic_load(&hl_counts()->fallbacks[i]);
	return sum;
}

static uint64_t counted(enum hl_limit limit)
{
	return atomic_load(&hl_counts()->fallbacks[limit]);
}

/* What is said of a request for so many pages. */
static void assert_failure(enum hl_limit limit, uint64_t needed, uint64_t had)
{
	struct hl_failure f;

	assert_true(hl_failure_read(&f));
	assert_int_equal(f.limit, limit);
	assert_int_equal(f.page_bytes, FAKE_HUGE);
	assert_int_equal(f.needed_hpages, needed);
	assert_int_equal(f.available_hpages, had);
}

/* Ordinary, and the limit counted. Removes it. */
static void assert_ordinary(int id, enum hl_limit limit, uint64_t units)
{
	assert_true(id >= 0);
	assert_int_equal(fake_segment_page_bytes(id), 0);
	assert_int_equal(counted(limit), counted_before + units);
	assert_int_equal(hl_os->shmrm(id), 0);
	assert_int_equal(fake.reserved, 0);
}

static int get(size_t bytes, enum hl_limit expected)
{
	counted_before = counted(expected);
	return hl_shared_shmget(IPC_PRIVATE, bytes, CREATE);
}

/* ---- segments ---- */

static void test_reserved_is_enough(void **state)
{
	uint64_t before = all_counted();
	int id;

	set_pool(4);
	no_limits();
	id = hl_shared_shmget(KEY, 3 * FAKE_HUGE - 100, CREATE | IPC_EXCL);
	assert_true(id >= 0);
	assert_int_equal(fake_segment_page_bytes(id), FAKE_HUGE);
	assert_int_equal(fake_segment_bytes(id), 3 * FAKE_HUGE - 100);
	assert_int_equal(fake.reserved, 3);
	assert_int_equal(fake.calls[FAKE_SHMAT], 0);
	/* It is there: the same one, and no other. */
	assert_int_equal(hl_shared_shmget(KEY, FAKE_HUGE, CREATE), id);
	assert_int_equal(hl_shared_shmget(KEY, FAKE_HUGE, 0), id);
	assert_int_equal(
		hl_shared_shmget(KEY, FAKE_HUGE, CREATE | IPC_EXCL), -EEXIST);
	assert_int_equal(hl_os->shmrm(id), 0);
	assert_int_equal(all_counted(), before);
}

static void test_what_is_not_ours(void **state)
{
	int id;

	set_pool(4);
	no_limits();
	assert_int_equal(hl_shared_shmget(KEY, 4 * FAKE_HUGE, 0600), -ENOENT);
	assert_int_equal(hl_shared_shmget(IPC_PRIVATE, 0, CREATE), -EINVAL);
	/* Too small, or asked for by the program itself, or not asked for. */
	id = get(FAKE_HUGE / 2 - 1, HL_LIMIT_POOL);
	assert_ordinary(id, HL_LIMIT_POOL, 0);
	assert_int_equal(hl_shared_shmget(IPC_PRIVATE, 5 * FAKE_HUGE,
				 CREATE | SHM_HUGETLB),
		-ENOMEM);
	hl_opt.shm = false;
	id = get(FAKE_HUGE, HL_LIMIT_POOL);
	assert_ordinary(id, HL_LIMIT_POOL, 0);
}

static void test_half_a_page_is_one(void **state)
{
	int id;

	set_pool(1);
	no_limits();
	id = hl_shared_shmget(
		IPC_PRIVATE, FAKE_HUGE / 2, CREATE | SHM_NORESERVE);
	assert_int_equal(fake_segment_page_bytes(id), FAKE_HUGE);
	assert_int_equal(hl_os->shmrm(id), 0);
}

static void test_too_few_pages(void **state)
{
	int id;

	set_pool(2);
	no_limits();
	id = get(3 * FAKE_HUGE, HL_LIMIT_POOL);
	assert_failure(HL_LIMIT_POOL, 3, 2);
	assert_ordinary(id, HL_LIMIT_POOL, 3);
	/* They were counted before the kernel took them for another. */
	set_pool(4);
	assert_true(fake.pool[0] == 4);
	fake_refuse(FAKE_SHMGET, 1, -ENOMEM);
	id = get(3 * FAKE_HUGE, HL_LIMIT_POOL);
	assert_ordinary(id, HL_LIMIT_POOL, 3);
}

static void test_permission(void **state)
{
	int id;

	set_pool(4);
	no_limits();
	fake.no_shm_group = true;
	id = get(FAKE_HUGE, HL_LIMIT_PERMISSION);
	assert_failure(HL_LIMIT_PERMISSION, 1, 4);
	assert_ordinary(id, HL_LIMIT_PERMISSION, 1);
}

static void test_kernel_without(void **state)
{
	int id;

	set_pool(4);
	no_limits();
	fake_refuse(FAKE_SHMGET, 1, -EINVAL);
	id = get(FAKE_HUGE, HL_LIMIT_UNSUPPORTED);
	assert_ordinary(id, HL_LIMIT_UNSUPPORTED, 1);
	/* Neither on huge pages nor otherwise: what the kernel says. */
	fake_refuse(FAKE_SHMGET, 1, -ENOSPC);
	assert_int_equal(get(FAKE_HUGE, HL_LIMIT_POOL), -ENOSPC);
	fake_refuse_all(FAKE_SHMGET, 1, -ENOMEM);
	assert_int_equal(get(FAKE_HUGE, HL_LIMIT_POOL), -ENOMEM);
	fake_refuse_all(FAKE_SHMGET, 1, 0);
	set_pool(0);
	tree_remove("/sys/kernel/mm/hugepages");
	tree_put("/proc/meminfo", "MemTotal: 5 kB\n");
	hl_supply_forget();
	id = get(FAKE_HUGE, HL_LIMIT_UNSUPPORTED);
	assert_ordinary(id, HL_LIMIT_UNSUPPORTED, 0);
}

/* It is the rival's: not to be populated, and above all not to be removed. */
static void test_another_process_is_faster(void **state)
{
	int id;

	set_pool(4);
	fake.rival_key = KEY;
	id = hl_shared_shmget(KEY, FAKE_HUGE, CREATE);
	assert_true(id >= 0);
	assert_int_equal(fake_segments(), 1);
	assert_int_equal(fake_segment_page_bytes(id), 0);
	assert_int_equal(hl_os->shmrm(id), 0);
	assert_int_equal(
		hl_shared_shmget(KEY, FAKE_HUGE, CREATE | IPC_EXCL), -EEXIST);
	assert_int_equal(fake_segments(), 1);
	id = hl_os->shmget(KEY, 0, 0);
	assert_int_equal(hl_os->shmrm(id), 0);
	assert_int_equal(fake.calls[FAKE_SHMAT], 0);
}

/* ---- where a reservation is not enough ---- */

/* Made, and populated or not. */
static void made(bool populated)
{
	void *p;
	int id = get(2 * FAKE_HUGE, HL_LIMIT_POOL);

	assert_int_equal(fake_segment_page_bytes(id), FAKE_HUGE);
	assert_int_equal(fake_segment_populated(id), populated ? 2 : 0);
	assert_int_equal(hl_os->shmrm(id), 0);
	assert_int_equal(hl_shared_map(NULL, 2 * FAKE_HUGE, FAKE_HUGE, &p), 0);
	assert_int_equal(fake_unpopulated(p, 2 * FAKE_HUGE), populated ? 0 : 2);
	assert_int_equal(hl_os->munmap(p, 2 * FAKE_HUGE), 0);
	assert_int_equal(fake.reserved, 0);
}

static void test_control_groups(void **state)
{
	int id;

	set_pool(4);
	/* None that can be seen, one without a limit, one with. */
	made(true);
	no_limits();
	made(false);
	fake_publish_cgroup(3, -1);
	made(true);
	fake_publish_cgroup(-1, 3);
	made(false);
	fake_publish_cgroup(1, -1);
	id = get(2 * FAKE_HUGE, HL_LIMIT_CGROUP);
	assert_failure(HL_LIMIT_CGROUP, 2, 1);
	assert_ordinary(id, HL_LIMIT_CGROUP, 2);
	fake_publish_cgroup(-1, 0);
	id = get(2 * FAKE_HUGE, HL_LIMIT_CGROUP_RSVD);
	assert_failure(HL_LIMIT_CGROUP_RSVD, 2, 0);
	assert_ordinary(id, HL_LIMIT_CGROUP_RSVD, 2);
	/* Nobody in the group has used the controller. */
	no_limits();
	tree_remove("/sys/fs/cgroup/g");
	tree_put("/proc/self/mountinfo", NO_CGROUP);
	made(true);
}

/* A captured one: limits at two levels, and pages that it may not use at all.
 */
static void test_captured_machine(void **state)
{
	struct hl_root root = {.prefix = getenv("HL_SYSROOT")};
	struct hl_failure f;
	void *p = NULL;

	assert_non_null(root.prefix);
	hl_supply_root = &root;
	hl_supply_forget();
	fake.nodes = 2;
	fake.pool[0] = 64;
	fake.live = false;
	assert_int_equal(hl_shared_map(NULL, 10 * FAKE_HUGE, FAKE_HUGE, &p), 0);
	assert_int_equal(fake_unpopulated(p, 10 * FAKE_HUGE), 0);
	assert_int_equal(hl_os->munmap(p, 10 * FAKE_HUGE), 0);
	counted_before = counted(HL_LIMIT_CGROUP_RSVD);
	assert_int_equal(
		hl_shared_map(NULL, 11 * FAKE_HUGE, FAKE_HUGE, &p), -ENOMEM);
	assert_failure(HL_LIMIT_CGROUP_RSVD, 11, 10);
	assert_int_equal(counted(HL_LIMIT_CGROUP_RSVD), counted_before + 11);
	counted_before = counted(HL_LIMIT_CGROUP);
	assert_int_equal(
		hl_shared_map(NULL, FAKE_GIGANTIC, FAKE_GIGANTIC, &p), -ENOMEM);
	assert_true(hl_failure_read(&f));
	assert_int_equal(f.limit, HL_LIMIT_CGROUP);
	assert_int_equal(counted(HL_LIMIT_CGROUP), counted_before + 512);
}

static void test_nodes(void **state)
{
	fake.nodes = 2;
	fake.pool[0] = fake.pool[1] = 2;
	fake_publish();
	no_limits();
	made(false);
	fake.policy_mode = MPOL_INTERLEAVE;
	made(false);
	fake.policy_mode = MPOL_BIND | MPOL_F_STATIC_NODES;
	made(true);
	fake.policy_mode = MPOL_DEFAULT;
	fake.allowed = 1;
	made(true);
	fake.allowed = 3;
	made(false);
	/* What cannot be known is not relied upon. */
	fake_refuse_all(FAKE_ALLOWED_NODES, 1, -ENOSYS);
	made(true);
	fake_refuse_all(FAKE_ALLOWED_NODES, 1, 0);
	fake_refuse_all(FAKE_GET_MEMPOLICY, 1, -ENOSYS);
	made(false);
	fake_refuse_all(FAKE_GET_MEMPOLICY, 1, 0);
}

static void test_old_kernel(void **state)
{
	set_pool(4);
	fake.no_populate = true;
	made(true);
}

/* Owner may not write, so that it cannot be populated by us. */
static void test_segment_that_cannot_be_attached(void **state)
{
	int id;

	set_pool(4);
	counted_before = counted(HL_LIMIT_PERMISSION);
	id = hl_shared_shmget(IPC_PRIVATE, FAKE_HUGE, IPC_CREAT | 0400);
	assert_ordinary(id, HL_LIMIT_PERMISSION, 1);
}

/* ---- each call refused ---- */

static const int answers[] = {
	-ENOMEM, -EPERM, -EINVAL, -EFAULT, -ENOSYS, -EACCES, -EIO};

static void refuse_segment(enum fake_call call, unsigned nth, int rc)
{
	uint64_t before = all_counted();
	unsigned calls = fake.calls[call];
	int id;

	fake_refuse(call, nth, rc);
	id = hl_shared_shmget(KEY, 2 * FAKE_HUGE, CREATE);
	fake_refuse(call, 1, 0);
	if (id < 0) {
		/* shmget's own answer. */
		assert_int_equal(call, FAKE_SHMGET);
		assert_int_equal(id, rc);
		assert_int_equal(fake_segments(), 0);
	} else {
		assert_int_equal(fake_segments(), 1);
		if (fake_segment_page_bytes(id) == 0 &&
			!(call == FAKE_SHMGET && nth == 1)) {
			assert_int_equal(all_counted(), before + 2);
			assert_true(fake.calls[call] >= calls + nth);
		} else if (fake_segment_page_bytes(id) != 0) {
			assert_int_equal(fake_segment_populated(id), 2);
			assert_int_equal(all_counted(), before);
		}
		assert_int_equal(hl_os->shmrm(id), 0);
	}
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(fake.reserved, 0);
	assert_int_equal(fake.pool[0], 4);
	fake_publish();
}

static void test_any_call_may_be_refused_for_a_segment(void **state)
{
	static const enum fake_call calls[] = {FAKE_SHMGET, FAKE_SHMAT,
		FAKE_MADVISE, FAKE_MINCORE, FAKE_GET_MEMPOLICY,
		FAKE_ALLOWED_NODES};

	set_pool(4);
	for (size_t c = 0; c < HL_ARRAY_SIZE(calls); c++) {
		for (size_t i = 0; i < HL_ARRAY_SIZE(answers); i++) {
			for (unsigned nth = 1; nth < 5; nth++)
				refuse_segment(calls[c], nth, answers[i]);
		}
	}
}

static void refuse_mapping(enum fake_call call, unsigned nth, int rc)
{
	uint64_t before = all_counted();
	void *p = NULL;
	int err;

	fake_refuse(call, nth, rc);
	err = hl_shared_map(NULL, 2 * FAKE_HUGE, FAKE_HUGE, &p);
	fake_refuse(call, 1, 0);
	assert_true(err == 0 || err == -ENOMEM);
	if (err == 0) {
		assert_int_equal(fake_unpopulated(p, 2 * FAKE_HUGE), 0);
		assert_int_equal(all_counted(), before);
		assert_int_equal(hl_os->munmap(p, 2 * FAKE_HUGE), 0);
	} else {
		assert_null(p);
		assert_int_equal(all_counted(), before + 2);
	}
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(fake.reserved, 0);
	assert_int_equal(fake.pool[0], 4);
	fake_publish();
}

static void test_any_call_may_be_refused_for_a_mapping(void **state)
{
	static const enum fake_call calls[] = {FAKE_MMAP, FAKE_MADVISE,
		FAKE_MINCORE, FAKE_GET_MEMPOLICY, FAKE_ALLOWED_NODES};

	set_pool(4);
	for (size_t c = 0; c < HL_ARRAY_SIZE(calls); c++) {
		for (size_t i = 0; i < HL_ARRAY_SIZE(answers); i++) {
			for (unsigned nth = 1; nth < 5; nth++)
				refuse_mapping(calls[c], nth, answers[i]);
		}
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_reserved_is_enough),
		TEST(test_what_is_not_ours),
		TEST(test_half_a_page_is_one),
		TEST(test_too_few_pages),
		TEST(test_permission),
		TEST(test_kernel_without),
		TEST(test_another_process_is_faster),
		TEST(test_control_groups),
		TEST(test_captured_machine),
		TEST(test_nodes),
		TEST(test_old_kernel),
		TEST(test_segment_that_cannot_be_attached),
		TEST(test_any_call_may_be_refused_for_a_segment),
		TEST(test_any_call_may_be_refused_for_a_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
