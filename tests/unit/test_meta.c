/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/meta.c: alignment, zeroes, disjointness, threads, refusals under a
 * limit of address space, fork, and pools of records.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/count.h"
#include "base/lock.h"
#include "base/meta.h"

#include "skip.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static bool is_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

/* Every size and alignment; each block keeps its own pattern to the end. */
static void test_blocks_are_zero_aligned_and_apart(void **state)
{
	enum {
		COUNT = 4000
	};
	static struct {
		char *p;
		size_t n;
	} blocks[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		size_t align = (size_t)1 << (i % 13);
		size_t n = 1 + i * 37 % 700;

		if (i % 400 == 399)
			n = 100000 + i;
		blocks[i].p = hl_meta_alloc(n, align);
		blocks[i].n = n;
		assert_non_null(blocks[i].p);
		assert_int_equal((uintptr_t)blocks[i].p % align, 0);
		assert_true(is_zero(blocks[i].p, n));
		memset(blocks[i].p, (int)(i % 255 + 1), n);
	}
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(blocks[i].p[0], (char)(i % 255 + 1));
		assert_memory_equal(
			blocks[i].p, blocks[i].p + 1, blocks[i].n - 1);
	}
}

static void test_what_is_handed_out_is_counted(void **state)
{
	size_t before = hl_meta_bytes();
	uint64_t counted = atomic_load(&hl_counts()->meta_bytes);

	(void)state;
	assert_non_null(hl_meta_alloc(1000, 8));
	assert_non_null(hl_meta_alloc(500000, 8));
	assert_int_equal(hl_meta_bytes() - before, 501000);
	assert_int_equal(
		atomic_load(&hl_counts()->meta_bytes) - counted, 501000);
}

static void test_impossible_requests(void **state)
{
	size_t before = hl_meta_bytes();

	(void)state;
	assert_null(hl_meta_alloc(SIZE_MAX, 8));
	assert_null(hl_meta_alloc(SIZE_MAX / 2, 4096));
	assert_null(hl_meta_alloc((size_t)1 << 60, 8));
	assert_null(hl_meta_map((size_t)1 << 60));
	assert_null(hl_meta_map(SIZE_MAX));
	assert_int_equal(hl_meta_bytes(), before);
	assert_non_null(hl_meta_alloc(8, 8));
}

static void test_errno_is_kept(void **state)
{
	(void)state;
	errno = 4242;
	assert_null(hl_meta_alloc((size_t)1 << 60, 8));
	assert_non_null(hl_meta_alloc(300000, 8));
	hl_meta_unmap(hl_meta_map(4096), 4096);
	hl_meta_unmap(NULL, 4096);
	assert_int_equal(errno, 4242);
}

/* Base pages under this many bytes of a mapping that are resident. */
static size_t resident(char *p, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 0;
	unsigned char *vec = test_malloc(bytes / page);

	assert_int_equal(mincore(p, bytes, vec), 0);
	for (size_t i = 0; i < bytes / page; i++)
		count += vec[i] & 1;
	test_free(vec);
	return count;
}

static void test_tables_stay_sparse(void **state)
{
	size_t bytes = (size_t)64 << 20;
	char *p = hl_meta_map(bytes);

	(void)state;
	assert_non_null(p);
	assert_int_equal(resident(p, bytes), 0);
	p[0] = 1;
	p[bytes / 2] = 1;
	p[bytes - 1] = 1;
	/* Also where THP is always on. */
	assert_int_equal(resident(p, bytes), 3);
	hl_meta_unmap(p, bytes);
}

#define THREADS 4
#define ROUNDS	5000

static void *allocate(void *arg)
{
	uintptr_t **mine = arg;

	for (uintptr_t i = 0; i < ROUNDS; i++) {
		mine[i] = hl_meta_alloc(sizeof(**mine), sizeof(**mine));
		if (mine[i])
			*mine[i] = (uintptr_t)&mine[i];
	}
	return NULL;
}

static void test_threads(void **state)
{
	static uintptr_t *blocks[THREADS][ROUNDS];
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, allocate, blocks[i]),
			0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++) {
		for (int j = 0; j < ROUNDS; j++) {
			assert_non_null(blocks[i][j]);
			assert_true(*blocks[i][j] == (uintptr_t)&blocks[i][j]);
		}
	}
}

static void test_fork(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	hl_meta_fork_prepare();
	pid = fork();
	if (pid == 0) {
		hl_meta_fork_child();
		hl_lock_reset_ranks();
		alarm(10);
		_exit(hl_meta_alloc(64, 64) ? 0 : 1);
	}
	hl_meta_fork_parent();
	assert_non_null(hl_meta_alloc(64, 64));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* What the process maps now, from statm. */
static size_t mapped_bytes(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%lu", &pages) != 1)
		_exit(50);
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/*
 * With little address space left: hands out most of what there is, then NULL.
 * Not for sanitizers, which need terabytes of it themselves.
 */
static int allocate_under_limit(size_t room)
{
	struct rlimit limit = {.rlim_max = RLIM_INFINITY};
	size_t got = 0;

	limit.rlim_cur = mapped_bytes() + room;
	limit.rlim_max = limit.rlim_cur;
	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return 51;
	while (hl_meta_alloc(1000, 8)) {
		got += 1000;
		if (got > room + 2 * HL_MIB)
			return 52;
	}
	/* A quarter may be lost at the end of chunks, not more. */
	return got >= room / 4 * 3 ? 0 : 53;
}

static void test_under_a_limit_of_address_space(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (SANITIZED)
		SKIP_BECAUSE("sanitizers need terabytes of address space");
	for (size_t room = 256 * HL_KIB; room <= 16 * HL_MIB; room *= 4) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(allocate_under_limit(room));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

struct record {
	uint64_t a, b, c;
};

static void test_records(void **state)
{
	struct hl_pool_of pool = {.bytes = sizeof(struct record), .align = 64};
	struct record *first, *second, *again;

	(void)state;
	first = hl_pool_of_take(&pool);
	second = hl_pool_of_take(&pool);
	assert_non_null(first);
	assert_non_null(second);
	assert_ptr_not_equal(first, second);
	assert_int_equal((uintptr_t)first % 64, 0);
	assert_int_equal(pool.count, 2);
	memset(first, 0xff, sizeof(*first));
	hl_pool_of_give(&pool, first);
	assert_int_equal(pool.count, 1);
	assert_int_equal(pool.spare, 1);
	again = hl_pool_of_take(&pool);
	assert_ptr_equal(again, first);
	assert_true(is_zero((char *)again, sizeof(*again)));
	assert_int_equal(pool.spare, 0);
}

static void test_reserved_records_come_from_the_list(void **state)
{
	struct hl_pool_of pool = {.bytes = sizeof(struct record), .align = 8};
	size_t before;

	(void)state;
	assert_true(hl_pool_of_reserve(&pool, 10));
	assert_int_equal(pool.spare, 10);
	before = hl_meta_bytes();
	assert_true(hl_pool_of_reserve(&pool, 10));
	for (int i = 0; i < 10; i++)
		assert_non_null(hl_pool_of_take(&pool));
	assert_int_equal(hl_meta_bytes(), before);
	assert_int_equal(pool.spare, 0);
	assert_int_equal(pool.count, 10);
	assert_non_null(hl_pool_of_take(&pool));
	assert_true(hl_meta_bytes() > before);
}

static void test_a_refused_reserve_keeps_what_there_is(void **state)
{
	struct hl_pool_of pool = {.bytes = (size_t)1 << 60, .align = 8};

	(void)state;
	assert_false(hl_pool_of_reserve(&pool, 1));
	assert_null(hl_pool_of_take(&pool));
	assert_int_equal(pool.count, 0);
	assert_int_equal(pool.spare, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_are_zero_aligned_and_apart),
		cmocka_unit_test(test_what_is_handed_out_is_counted),
		cmocka_unit_test(test_impossible_requests),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_tables_stay_sparse),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_under_a_limit_of_address_space),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_reserved_records_come_from_the_list),
		cmocka_unit_test(test_a_refused_reserve_keeps_what_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
