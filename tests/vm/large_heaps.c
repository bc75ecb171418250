/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First-class heaps on 1 GiB pages, on a machine whose only such page is on one
 * node: small blocks, large ones and whole pages' worth share it, all of it
 * goes back at the end; on the other node a strict heap gets nothing, one that
 * is not strict takes only what it uses. Where pages are is the kernel's word.
 *
 *   large_heaps NODE_WITH NODE_WITHOUT
 */
#include "hugetlbfs2.h"

#include "../integration/check.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GIB ((size_t)1 << 30)

static uint64_t free_pages(int node)
{
	struct htlb_pool pool = {.size = sizeof(pool)};

	CHECK(htlb_pool_read(GIB, node, &pool) == 0);
	return pool.free;
}

static int node_of(void *p)
{
	int status = -1;

	CHECK(syscall(SYS_move_pages, 0, 1ul, &p, NULL, &status, 0) == 0);
	return status;
}

static struct htlb_heap *make(int node, unsigned flags)
{
	struct htlb_heap_options o = {
		.size = sizeof(o),
		.page_bytes = GIB,
		.flags = flags,
		.nodes = &node,
		.node_count = 1,
	};
	struct htlb_heap *heap;

	CHECK(htlb_heap_create(&o, &heap) == 0);
	return heap;
}

static void blocks_share_the_page(int with)
{
	static const size_t sizes[] = {24, 3000, 70000, 600000, 30000000};
	struct htlb_heap *heap = make(with, HTLB_HEAP_STRICT);

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			char *p = htlb_heap_malloc(heap, sizes[i]);

			CHECK(p != NULL);
			memset(p, 1, sizes[i]);
			CHECK(node_of(p) == with);
			CHECK(free_pages(with) == 0);
		}
	}
	/* What does not fit beside the others has no page. */
	errno = 0;
	CHECK(htlb_heap_malloc(heap, GIB) == NULL && errno == ENOMEM);
	CHECK(htlb_heap_malloc(heap, 500000000) != NULL);
	htlb_heap_destroy(heap);
	CHECK(free_pages(with) == 1);
}

static void other_node(int without)
{
	struct htlb_heap *heap = make(without, HTLB_HEAP_STRICT);
	struct htlb_failure f = {.size = sizeof(f)};
	char *p;

	CHECK(htlb_heap_malloc(heap, 100) == NULL);
	CHECK(htlb_last_failure(&f) == 0);
	CHECK(f.page_bytes == GIB && f.limit == HTLB_LIMIT_NODE_POOL);
	htlb_heap_destroy(heap);
	heap = make(without, 0);
	p = htlb_heap_malloc(heap, 5000000);
	CHECK(p != NULL);
	memset(p, 1, 5000000);
	CHECK(node_of(p) == without);
	htlb_heap_destroy(heap);
}

int main(int argc, char **argv)
{
	int with, without;

	CHECK(argc == 3);
	with = atoi(argv[1]);
	without = atoi(argv[2]);
	CHECK(free_pages(with) == 1 && free_pages(without) == 0);
	blocks_share_the_page(with);
	other_node(without);
	CHECK(free_pages(with) == 1);
	return 0;
}
