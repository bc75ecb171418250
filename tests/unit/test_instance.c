/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/instance.c, without a pool: options, blocks of all sizes from many
 * threads, frees by others, realloc, ends with blocks in use, fork.
 */
#include "base/lock.h"
#include "base/count.h"
#include "base/failure.h"
#include "base/opt.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "heap/instance.h"
#include "heap/pageheap.h"
#include "heap/pagemap.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "skip.h"

#define THREADS 4
#define BLOCKS	400

static uint64_t live(void)
{
	return atomic_load(&hl_counts()->live_bytes);
}

static int configure(void **state)
{
	char *const env[] = {(char *)"HUGETLB_MORECORE=thp", NULL};

	(void)state;
	hl_opt_init(env, true);
	hl_heap_configure();
	/* Whatever the common heap keeps, it has now. */
	hl_free(hl_malloc(1));
	return 0;
}

static size_t some_size(unsigned *seed)
{
	static const size_t most[] = {16, 200, 3000, 40000, 300000, 5000000};

	return 1 + (size_t)rand_r(seed) % most[(size_t)rand_r(seed) % 6];
}

static void fill(unsigned char *p, size_t n, unsigned char with)
{
	p[0] = p[n / 2] = p[n - 1] = with;
}

static void check(const unsigned char *p, size_t n, unsigned char with)
{
	assert_int_equal(p[0], with);
	assert_int_equal(p[n / 2], with);
	assert_int_equal(p[n - 1], with);
}

static void assert_unsupported(size_t page_bytes)
{
	struct hl_failure f;

	assert_true(hl_failure_read(&f));
	assert_int_equal(f.limit, HL_LIMIT_UNSUPPORTED);
	assert_int_equal(f.page_bytes, page_bytes);
}

static void test_options(void **state)
{
	struct {
		struct htlb_heap_options o;
		uint64_t more;
	} longer = {.o = {.size = sizeof(longer)}};
	struct htlb_heap_options o = {.size = sizeof(o)};
	struct htlb_heap *heap = NULL;
	int node = -5;

	(void)state;
	assert_int_equal(hl_instance_create(&longer.o, &heap), 0);
	hl_instance_destroy(heap);
	longer.more = 1;
	assert_int_equal(hl_instance_create(&longer.o, &heap), -E2BIG);
	o.size = 3;
	assert_int_equal(hl_instance_create(&o, &heap), -EINVAL);
	/* An older caller, who knew but the page size. */
	o.size = offsetof(struct htlb_heap_options, flags);
	o.flags = ~0u;
	assert_int_equal(hl_instance_create(&o, &heap), 0);
	hl_instance_destroy(heap);
	o.size = sizeof(o);
	assert_int_equal(hl_instance_create(&o, &heap), -EINVAL);
	o.flags = HTLB_HEAP_STRICT;
	o.page_bytes = 12345;
	assert_int_equal(hl_instance_create(&o, &heap), -EINVAL);
	o.page_bytes = (size_t)1 << 50;
	assert_int_equal(hl_instance_create(&o, &heap), -EOPNOTSUPP);
	assert_unsupported(o.page_bytes);
	o = (struct htlb_heap_options){
		.size = sizeof(o), .nodes = &node, .node_count = 1};
	assert_int_equal(hl_instance_create(&o, &heap), -EINVAL);
	hl_instance_destroy(NULL);
}

/* Others stand in, and that is said. */
static void test_size_that_is_not_there(void **state)
{
	struct htlb_heap_options o = {
		.size = sizeof(o), .page_bytes = (size_t)1 << 51};
	struct htlb_heap *heap;

	(void)state;
	assert_int_equal(hl_instance_create(&o, &heap), 0);
	assert_unsupported(o.page_bytes);
	assert_non_null(hl_instance_alloc(heap, 1000, 1));
	hl_instance_destroy(heap);
}

static void test_pages_of_the_budget(void **state)
{
	struct htlb_subpool_options s = {.size = sizeof(s), .max_hpages = 4};
	struct htlb_heap_options o = {.size = sizeof(o)};
	struct htlb_heap *heap;
	size_t page_bytes;

	(void)state;
	if (htlb_default_page_size(&page_bytes) < 0)
		SKIP_BECAUSE("this kernel has no huge pages");
	assert_int_equal(htlb_subpool_create(&s, &o.subpool), 0);
	o.page_bytes = 2 * page_bytes;
	assert_int_equal(hl_instance_create(&o, &heap), -EINVAL);
	o.page_bytes = page_bytes;
	assert_int_equal(hl_instance_create(&o, &heap), 0);
	hl_instance_destroy(heap);
	o.page_bytes = 0;
	assert_int_equal(hl_instance_create(&o, &heap), 0);
	hl_instance_destroy(heap);
	htlb_subpool_destroy(o.subpool);
}

static void test_all_sizes(void **state)
{
	struct htlb_heap *heap;
	uint64_t before = live();
	size_t align, n;

	(void)state;
	assert_int_equal(hl_instance_create(NULL, &heap), 0);
	errno = 77;
	for (n = 0; n < 70 * HL_MIB; n = n * 3 + 1) {
		unsigned char *p = hl_instance_alloc(heap, n, 1);

		assert_non_null(p);
		assert_true(hl_usable_size(p) >= n);
		if (n > 0)
			fill(p, n, 7);
	}
	for (align = 1; align <= 8 * HL_MIB; align *= 2) {
		void *p = hl_instance_alloc(heap, 1000, align);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % align, 0);
	}
	assert_int_equal(errno, 77);
	assert_true(live() > before);
	hl_instance_destroy(heap);
	assert_int_equal(live(), before);
}

static void test_bad_requests(void **state)
{
	struct htlb_heap *heap;

	(void)state;
	assert_int_equal(hl_instance_create(NULL, &heap), 0);
	errno = 0;
	assert_null(hl_instance_alloc(heap, SIZE_MAX, 1));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hl_instance_alloc(heap, 1, (size_t)1 << 62));
	assert_int_equal(errno, ENOMEM);
	hl_instance_destroy(heap);
}

/* Everything goes back to the kernel, and the addresses name no block. */
static void test_nothing_stays(void **state)
{
	struct htlb_heap *heap;
	void *p[3];
	size_t before, i;

	(void)state;
	assert_int_equal(hl_instance_create(NULL, &heap), 0);
	hl_instance_destroy(heap);
	before = hl_space_reserved_bytes();
	assert_int_equal(hl_instance_create(NULL, &heap), 0);
	p[0] = hl_instance_alloc(heap, 100, 1);
	p[1] = hl_instance_alloc(heap, 100000, 1);
	p[2] = hl_instance_alloc(heap, 30 * HL_MIB, 1);
	assert_true(hl_space_reserved_bytes() > before);
	hl_instance_destroy(heap);
	assert_int_equal(hl_space_reserved_bytes(), before);
	for (i = 0; i < 3; i++) {
		assert_non_null(p[i]);
		assert_null(hl_pagemap_get(p[i]));
		assert_false(hl_is_ours(p[i]));
	}
}

static void test_realloc_stays_in_the_heap(void **state)
{
	struct htlb_heap *heap;
	unsigned char *p;
	size_t n;

	(void)state;
	assert_int_equal(hl_instance_create(NULL, &heap), 0);
	p = hl_instance_alloc(heap, 10, 1);
	fill(p, 10, 3);
	for (n = 20; n < 40 * HL_MIB; n *= 3) {
		p = hl_realloc(p, n);
		assert_non_null(p);
		assert_int_equal(p[0], 3);
		assert_int_equal(p[9], 3);
		assert_ptr_equal(
			hl_instance_of(hl_pagemap_get(p)->arena), heap);
	}
	for (; n > 10; n /= 7) {
		p = hl_realloc(p, n);
		assert_int_equal(p[9], 3);
		assert_ptr_equal(
			hl_instance_of(hl_pagemap_get(p)->arena), heap);
	}
	hl_instance_destroy(heap);
}

/* ---- many threads ---- */

struct block {
	unsigned char *_Atomic p;
	size_t n;
};

struct worker {
	struct htlb_heap *heap;
	struct block *shared; /* BLOCKS of all threads */
	unsigned seed;
	unsigned char with;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < 20000; i++) {
		struct block *b = &w->shared[rand_r(&w->seed) % BLOCKS];
		size_t n = some_size(&w->seed);
		unsigned char *p = hl_instance_alloc(w->heap, n, 1), *old;

		assert_non_null(p);
		fill(p, n, w->with);
		check(p, n, w->with);
		/* Another thread frees it, most often. */
		old = atomic_exchange(&b->p, p);
		hl_free(old);
	}
	return NULL;
}

static void test_threads(void **state)
{
	static struct block shared[BLOCKS];
	struct worker w[THREADS];
	pthread_t thread[THREADS];
	struct htlb_heap *heap;
	uint64_t before = live();

	(void)state;
	memset(shared, 0, sizeof(shared));
	assert_int_equal(hl_instance_create(NULL, &heap), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct worker){heap, shared, i, (unsigned char)i};
		assert_int_equal(
			pthread_create(&thread[i], NULL, work, &w[i]), 0);
	}
	/* The common heap's release walks this one as well. */
	for (int i = 0; i < 20; i++) {
		hl_heap_release();
		usleep(2000);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (struct hl_arena *a = &hl_arena_first; a; a = hl_arena_next(a))
		assert_true(hl_pageheap_is_valid(a));
	hl_instance_destroy(heap);
	/* The threads' own records are the common heap's. */
	assert_true(live() <= before + HL_MIB);
}

/* What was freed is used again: a heap in which nothing stays does not grow. */
static void test_freed_room_is_used(void **state)
{
	struct htlb_heap *heap;
	void *p[1000];
	uint64_t first = 0;

	(void)state;
	assert_int_equal(hl_instance_create(NULL, &heap), 0);
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < 1000; i++)
			p[i] = hl_instance_alloc(heap, 1 + i * 3, 1);
		for (size_t i = 0; i < 1000; i++)
			hl_free(p[i]);
		if (round == 5)
			first = live();
		if (round > 5)
			assert_true(live() <= first + HL_MIB);
	}
	hl_instance_destroy(heap);
}

static void *make_and_end(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 100; i++) {
		struct htlb_heap *heap;

		assert_int_equal(hl_instance_create(NULL, &heap), 0);
		for (int k = 0; k < 50; k++)
			assert_non_null(hl_instance_alloc(
				heap, some_size(&seed) / 10 + 1, 1));
		hl_instance_destroy(heap);
	}
	return NULL;
}

static void test_many_heaps(void **state)
{
	pthread_t thread[THREADS];
	size_t arenas = 0;

	(void)state;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, make_and_end,
					 (void *)i),
			0);
	for (int i = 0; i < 50; i++)
		hl_heap_release();
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	/* Records are used again. */
	for (struct hl_arena *a = &hl_arena_first; a; a = hl_arena_next(a))
		arenas++;
	assert_true(arenas < 10);
}

static void test_fork(void **state)
{
	struct htlb_heap *heap;
	unsigned char *p;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(hl_instance_create(NULL, &heap), 0);
	p = hl_instance_alloc(heap, 5000, 1);
	fill(p, 5000, 9);
	hl_heap_fork_prepare();
	pid = fork();
	if (pid == 0) {
		hl_lock_reset_ranks();
		hl_heap_fork_child();
		check(p, 5000, 9);
		hl_free(p);
		p = hl_instance_alloc(heap, 100000, 1);
		if (p == NULL)
			_exit(1);
		fill(p, 100000, 4);
		hl_instance_destroy(heap);
		_exit(0);
	}
	hl_heap_fork_parent();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	check(p, 5000, 9);
	hl_instance_destroy(heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_size_that_is_not_there),
		cmocka_unit_test(test_all_sizes),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_nothing_stays),
		cmocka_unit_test(test_realloc_stays_in_the_heap),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_freed_room_is_used),
		cmocka_unit_test(test_many_heaps),
		cmocka_unit_test(test_fork),
		/* Regions come after the heap's fork handlers. */
		cmocka_unit_test(test_pages_of_the_budget),
	};

	return cmocka_run_group_tests(tests, configure, NULL);
}
