/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First-class heaps on real huge pages, through the public calls: what a strict
 * heap has stands on pages of the pool and stops at its budget, a guaranteed
 * minimum is there whoever drains the pool, and the end gives every page back.
 */
#include "machine.h"

#include "hugetlbfs2.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define POOL 40

static struct htlb_subpool *budget(uint64_t min, uint64_t max)
{
	struct htlb_subpool_options o = {
		.size = sizeof(o),
		.min_hpages = min,
		.max_hpages = max,
	};
	struct htlb_subpool *sp;

	CHECK(htlb_subpool_create(&o, &sp) == 0);
	return sp;
}

static struct htlb_heap *heap_of(struct htlb_subpool *sp, unsigned flags)
{
	struct htlb_heap_options o = {
		.size = sizeof(o), .flags = flags, .subpool = sp};
	struct htlb_heap *heap;

	CHECK(htlb_heap_create(&o, &heap) == 0);
	return heap;
}

static uint64_t used(struct htlb_subpool *sp)
{
	struct htlb_subpool_stat s = {.size = sizeof(s)};

	CHECK(htlb_subpool_stat(sp, &s) == 0);
	return s.used_hpages;
}

/* Blocks of that size, written, until there is none. Returns their bytes. */
static size_t fill_up(struct htlb_heap *heap, size_t bytes)
{
	size_t sum = 0;
	void *p;

	while ((p = htlb_heap_malloc(heap, bytes)) != NULL) {
		memset(p, 1, bytes);
		sum += bytes;
		CHECK(sum <= 2 * POOL * machine_page_bytes());
	}
	CHECK(errno == ENOMEM);
	return sum;
}

static enum htlb_limit last_limit(void)
{
	struct htlb_failure f = {.size = sizeof(f)};

	CHECK(htlb_last_failure(&f) == 0);
	return f.limit;
}

static void strict_stops_at_its_budget(void)
{
	struct htlb_subpool *sp = budget(0, 20);
	static const size_t sizes[] = {100, 5000, 100000, 700000, 5000000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct htlb_heap *heap = heap_of(sp, HTLB_HEAP_STRICT);
		size_t sum = fill_up(heap, sizes[i]);

		CHECK(last_limit() == HTLB_LIMIT_SUBPOOL);
		CHECK(used(sp) <= 20 && used(sp) >= 18);
		CHECK(machine_pool("free_hugepages") == POOL - (long)used(sp));
		/* Small blocks fill the pages; large ones leave an end. */
		CHECK(sum <= 20 * machine_page_bytes());
		CHECK(sum >= 15 * machine_page_bytes());
		htlb_heap_destroy(heap);
		CHECK(used(sp) == 0);
		CHECK(machine_pool("free_hugepages") == POOL);
	}
	htlb_subpool_destroy(sp);
}

static void strict_stops_at_the_pool(void)
{
	struct htlb_heap *heap = heap_of(NULL, HTLB_HEAP_STRICT);

	CHECK(fill_up(heap, 65536) >= (POOL - 2) * machine_page_bytes());
	CHECK(last_limit() == HTLB_LIMIT_POOL);
	CHECK(machine_pool("free_hugepages") == 0);
	htlb_heap_destroy(heap);
	CHECK(machine_pool("free_hugepages") == POOL);
}

static void others_go_on(void)
{
	struct htlb_subpool *sp = budget(0, 4);
	struct htlb_heap *heap = heap_of(sp, 0);
	void *p;

	for (int i = 0; i < 30; i++) {
		p = htlb_heap_malloc(heap, 1 << 20);
		CHECK(p != NULL);
		memset(p, 1, 1 << 20);
	}
	CHECK(used(sp) == 4);
	CHECK(machine_pool("free_hugepages") == POOL - 4);
	htlb_heap_destroy(heap);
	CHECK(machine_pool("free_hugepages") == POOL);
	htlb_subpool_destroy(sp);
}

static void minimum_is_there(void)
{
	struct htlb_subpool *sp = budget(10, 10);
	struct htlb_heap *heap = heap_of(sp, HTLB_HEAP_STRICT);

	CHECK(machine_pool("free_hugepages") == POOL - 10);
	CHECK(machine_hog_start(POOL - 10));
	CHECK(fill_up(heap, 60000) >= 8 * machine_page_bytes());
	CHECK(used(sp) == 10);
	htlb_heap_destroy(heap);
	machine_hog_stop();
	/* The minimum is held again. */
	CHECK(machine_pool("free_hugepages") == POOL - 10);
	htlb_subpool_destroy(sp);
	CHECK(machine_pool("free_hugepages") == POOL);
}

/* The budget lives as long as the heap that has it. */
static void budget_ends_first(void)
{
	struct htlb_subpool *sp = budget(0, 10);
	struct htlb_heap *heap = heap_of(sp, HTLB_HEAP_STRICT);

	CHECK(htlb_heap_malloc(heap, 100) != NULL);
	htlb_subpool_destroy(sp);
	CHECK(fill_up(heap, 60000) <= 10 * machine_page_bytes());
	htlb_heap_destroy(heap);
	CHECK(machine_pool("free_hugepages") == POOL);
}

static void freed_by_all_means(void)
{
	struct htlb_heap *heap = heap_of(NULL, HTLB_HEAP_STRICT);
	char *p = htlb_heap_malloc(heap, 1000), *q;

	CHECK(p != NULL);
	strcpy(p, "kept");
	for (size_t n = 2000; n < 30000000; n *= 4) {
		p = htlb_realloc(p, n);
		CHECK(p != NULL && strcmp(p, "kept") == 0);
	}
	q = htlb_heap_aligned_alloc(heap, 1 << 16, 10);
	CHECK(q != NULL && (uintptr_t)q % (1 << 16) == 0);
	htlb_free(p);
	htlb_free(q);
	errno = 0;
	CHECK(htlb_heap_aligned_alloc(heap, 24, 10) == NULL);
	CHECK(errno == EINVAL);
	htlb_heap_destroy(heap);
	CHECK(machine_pool("free_hugepages") == POOL);
}

static void child_of_a_fork(void)
{
	struct htlb_heap *heap = heap_of(NULL, HTLB_HEAP_STRICT);
	char *p = htlb_heap_malloc(heap, 3000000);
	int status;
	pid_t pid;

	CHECK(p != NULL);
	memset(p, 1, 3000000);
	pid = fork();
	if (pid == 0) {
		memset(p, 2, 3000000);
		CHECK(htlb_heap_malloc(heap, 5000) != NULL);
		htlb_free(p);
		htlb_heap_destroy(heap);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(p[0] == 1 && memcmp(p, p + 1, 2999999) == 0);
	htlb_heap_destroy(heap);
	CHECK(machine_pool("free_hugepages") == POOL);
}

int main(void)
{
	static const struct machine_case cases[] = {
		{"strict, to its budget", strict_stops_at_its_budget, POOL, 0},
		{"strict, to the pool's end", strict_stops_at_the_pool, POOL,
			0},
		{"not strict", others_go_on, POOL, 0},
		{"minimum", minimum_is_there, POOL, 0},
		{"budget ends first", budget_ends_first, POOL, 0},
		{"free and realloc", freed_by_all_means, POOL, 0},
		{"fork", child_of_a_fork, POOL, 0},
	};

	return machine_main(cases, sizeof(cases) / sizeof(*cases));
}
