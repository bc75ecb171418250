/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The heap through heap/heap.h, on base pages and THP (no pool is asked for):
 * answers to bad requests, zeroing, growth in place, who gets what others
 * free, what comes back to the kernel.
 */
#include "base/count.h"
#include "base/opt.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "heap/pageheap.h"
#include "heap/pagemap.h"
#include "heap/space.h"
#include "heap/span.h"
#include "heap/stats.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int configure(void **state)
{
	char *const env[] = {(char *)"HUGETLB_MORECORE=thp", NULL};

	hl_opt_init(env, true);
	hl_heap_configure();
	return 0;
}

static void test_bad_requests(void **state)
{
	errno = 0;
	assert_null(hl_malloc(SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hl_malloc((size_t)PTRDIFF_MAX + 1));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hl_calloc(SIZE_MAX / 2, 3));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(hl_memalign(48, 100));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(hl_memalign((size_t)1 << 62, 1));
	assert_int_equal(errno, ENOMEM);
	hl_free(NULL);
	assert_int_equal(hl_usable_size(NULL), 0);
}

static void test_errno_is_kept(void **state)
{
	void *p;

	errno = 1234;
	for (size_t n = 1; n < 40 * HL_MIB; n *= 3) {
		p = hl_malloc(n);
		assert_non_null(p);
		p = hl_realloc(p, n * 2);
		assert_non_null(p);
		hl_free(p);
	}
	hl_heap_release();
	assert_int_equal(errno, 1234);
}

static void test_alignment(void **state)
{
	for (size_t align = 1; align <= 64 * HL_MIB; align *= 2) {
		for (size_t n = 0; n < 4 * HL_MIB; n = n * 5 + 3) {
			char *p = hl_memalign(align, n);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % align, 0);
			assert_true(hl_usable_size(p) >= n);
			if (n > 0)
				p[0] = p[n - 1] = 1;
			hl_free(p);
		}
	}
}

/* As far as the address space goes, and at once: no books for what lies
 * between.
 */
static void test_vast_alignment(void **state)
{
	size_t before = hl_space_reserved_bytes(), align;
	void *p[17];
	int i, n = 0;

	for (align = HL_GIB; align < (size_t)1 << 47; align *= 2) {
		p[n] = hl_memalign(align, 3 * HL_MIB);
		if (p[n] == NULL)
			continue;
		assert_int_equal((uintptr_t)p[n] % align, 0);
		*(char *)p[n++] = 1;
	}
	assert_true(n >= 8);
	assert_true(hl_space_reserved_bytes() - before <= 64 * HL_GIB);
	for (i = 0; i < n; i++)
		hl_free(p[i]);
}

static void test_calloc_is_zero_when_reused(void **state)
{
	for (size_t n = 16; n < 48 * HL_MIB; n = n * 2 + 16) {
		for (int round = 0; round < 3; round++) {
			unsigned char *p = hl_calloc(1, n);
			size_t i;

			assert_non_null(p);
			for (i = 0; i < n; i++)
				if (p[i] != 0)
					fail_msg("%zu of %zu", i, n);
			memset(p, 0xa5, n);
			hl_free(p);
		}
	}
}

static void test_realloc_keeps_contents(void **state)
{
	unsigned char *p = hl_malloc(1);
	size_t n = 1, next, i;

	p[0] = 0;
	while (n < 80 * HL_MIB) {
		next = n * 3 / 2 + 1;
		p = hl_realloc(p, next);
		assert_non_null(p);
		for (i = n; i < next; i++)
			p[i] = (unsigned char)(i * 7);
		n = next;
	}
	while (n > 1) {
		for (i = 0; i < n; i += 4099)
			assert_int_equal(p[i], (unsigned char)(i * 7));
		n = n * 2 / 5;
		p = hl_realloc(p, HL_MAX(n, (size_t)1));
		assert_non_null(p);
	}
	hl_free(p);
}

static void test_medium_block_changes_in_place(void **state)
{
	size_t n;
	char *p;

	(void)state;
	p = hl_malloc(33000);
	assert_non_null(p);
	for (n = 33000; n < 250000; n += 8000)
		assert_ptr_equal(hl_realloc(p, n), p);
	assert_ptr_equal(hl_realloc(p, 140000), p);
	assert_in_range(hl_usable_size(p), 140000, 140000 + 4096);
	hl_free(p);
}

static void test_picture_of_half_full_units(void **state)
{
	static char *p[400];
	struct hl_counts *c = hl_counts();
	unsigned half = 0;

	(void)state;
	for (size_t i = 0; i < HL_ARRAY_SIZE(p); i++)
		p[i] = memset(hl_malloc(200000), 1, 200000);
	for (size_t i = 0; i < HL_ARRAY_SIZE(p); i += 2)
		hl_free(p[i]);
	hl_heap_sample(false);
	for (size_t i = 0; i < c->cells; i++)
		half += c->cell[i] > 100 && c->cell[i] < 155;
	assert_in_range(half, 30, 50);
	for (size_t i = 1; i < HL_ARRAY_SIZE(p); i += 2)
		hl_free(p[i]);
}

/* Blocks whose alignment is their size lie side by side, in what was freed too.
 */
static void test_aligned_blocks_leave_no_gaps(void **state)
{
	static char *p[8192];
	const size_t bytes = 8192;
	struct hl_heap_stats before, after;

	(void)state;
	hl_heap_release();
	hl_heap_stats(&before);
	for (unsigned round = 0; round < 8; round++) {
		for (size_t i = 0; i < HL_ARRAY_SIZE(p); i++) {
			if ((i * 2654435761u >> (8 + round)) & 1)
				continue;
			hl_free(p[i]);
			p[i] = NULL;
		}
		for (size_t i = 0; i < HL_ARRAY_SIZE(p); i++)
			if (p[i] == NULL)
				p[i] = hl_memalign(bytes, bytes);
	}
	hl_heap_stats(&after);
	assert_in_range(after.committed_bytes - before.committed_bytes,
		HL_ARRAY_SIZE(p) * bytes * 7 / 8,
		HL_ARRAY_SIZE(p) * bytes * 9 / 8);
	for (size_t i = 0; i < HL_ARRAY_SIZE(p); i++)
		hl_free(p[i]);
}

static void test_large_block_grows_without_copy(void **state)
{
	char *p = hl_malloc(40 * HL_MIB);
	struct hl_span *span = hl_pagemap_get(p);

	assert_int_equal(span->kind, HL_SPAN_LARGE);
	if (!hl_large_resize(span, 60 * HL_MIB)) {
		span = hl_large_move(span, 60 * HL_MIB);
		assert_non_null(span);
	}
	assert_true(hl_large_usable(span) >= 60 * HL_MIB);
	hl_free((void *)span->start);
}

struct made {
	void *block[4096];
	size_t bytes;
};

static void *make_blocks(void *arg)
{
	struct made *made = arg;

	for (size_t i = 0; i < HL_ARRAY_SIZE(made->block); i++)
		made->block[i] = hl_malloc(made->bytes);
	hl_thread_exit();
	return NULL;
}

/* What an ended thread made comes back when another one frees it. */
static void test_blocks_of_an_ended_thread(void **state)
{
	static struct made made = {.bytes = 1000};
	struct hl_heap_stats before, after;
	pthread_t thread;

	hl_heap_release();
	hl_heap_stats(&before);
	assert_int_equal(pthread_create(&thread, NULL, make_blocks, &made), 0);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < HL_ARRAY_SIZE(made.block); i++)
		hl_free(made.block[i]);
	hl_heap_release();
	hl_heap_stats(&after);
	assert_true(after.live_bytes <= before.live_bytes + 64 * HL_KIB);
}

static void test_double_frees_do_not_hide(void **state)
{
	void *a = hl_malloc(64), *b = hl_malloc(64);

	assert_ptr_not_equal(a, b);
	hl_free(a);
	assert_ptr_equal(hl_malloc(64), a);
	hl_free(a);
	hl_free(b);
	assert_true(hl_is_ours(a));
	assert_false(hl_is_ours(&a));
}

static void test_all_memory_comes_back(void **state)
{
	static void *block[20000];
	struct hl_heap_stats s;
	size_t i, n = 1;

	for (i = 0; i < HL_ARRAY_SIZE(block); i++) {
		n = n * 1103515245 + 12345;
		block[i] = hl_malloc((n >> 16) % 5000);
	}
	hl_heap_stats(&s);
	assert_true(s.committed_bytes >= 20 * HL_MIB);
	for (i = 0; i < HL_ARRAY_SIZE(block); i++)
		hl_free(block[i]);
	hl_heap_release();
	hl_heap_stats(&s);
	assert_int_equal(s.cached_bytes, 0);
	assert_true(s.committed_bytes <= 4 * HL_MIB);
	assert_true(hl_pageheap_is_valid(&hl_arena_first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_vast_alignment),
		cmocka_unit_test(test_calloc_is_zero_when_reused),
		cmocka_unit_test(test_realloc_keeps_contents),
		cmocka_unit_test(test_medium_block_changes_in_place),
		cmocka_unit_test(test_picture_of_half_full_units),
		cmocka_unit_test(test_aligned_blocks_leave_no_gaps),
		cmocka_unit_test(test_large_block_grows_without_copy),
		cmocka_unit_test(test_blocks_of_an_ended_thread),
		cmocka_unit_test(test_double_frees_do_not_hide),
		cmocka_unit_test(test_all_memory_comes_back),
	};

	return cmocka_run_group_tests(tests, configure, NULL);
}
