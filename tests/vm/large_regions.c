/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Regions on 1 GiB pages, on a machine whose only such page is on one node, and
 * which has 2 MiB pages as well: sizes side by side, a strict request to the
 * other node, a second one, the largest that fits, a page that two processes
 * share. Where pages are is the kernel's word (move_pages).
 *
 *   large_regions NODE_WITH NODE_WITHOUT
 */
#include "hugetlbfs2.h"

#include "../integration/check.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIB   ((size_t)1 << 30)
#define SMALL ((size_t)2 << 20)

static int with, without;

static struct htlb_region_options strict(size_t page_bytes)
{
	struct htlb_region_options o = {
		.size = sizeof(o),
		.page_bytes = page_bytes,
		.flags = HTLB_REGION_STRICT,
	};

	return o;
}

static uint64_t free_pages(size_t page_bytes, int node)
{
	struct htlb_pool pool = {.size = sizeof(pool)};

	CHECK(htlb_pool_read(page_bytes, node, &pool) == 0);
	return pool.free;
}

static int node_of(void *p)
{
	int status = -1;

	CHECK(syscall(SYS_move_pages, 0, 1ul, &p, NULL, &status, 0) == 0);
	return status;
}

static void check_info(void *p, size_t page_bytes, size_t bytes, int node)
{
	struct htlb_region_part part[4];
	struct htlb_region_info info = {
		.size = sizeof(info), .parts = part, .part_capacity = 4};

	CHECK(htlb_region_info(p, &info) == 0);
	CHECK(info.bytes == bytes && info.hugetlb_bytes == bytes);
	CHECK(info.thp_bytes == 0 && info.base_bytes == 0);
	CHECK(info.part_count >= 1 && part[0].page_bytes == page_bytes);
	CHECK(part[0].backing == HTLB_BACKING_HUGETLB);
	CHECK(node == HTLB_NODE_ANY || part[0].node == node);
}

/* Pages of both sizes at once; then the next 1 GiB page is not there. */
static void side_by_side(void)
{
	struct htlb_region_options large = strict(GIB), small = strict(SMALL);
	struct htlb_failure why = {.size = sizeof(why)};
	char *l, *s, *more;

	CHECK(htlb_region_create(GIB, &large, (void **)&l) == 0);
	CHECK(htlb_region_create(2 * SMALL, &small, (void **)&s) == 0);
	CHECK((uintptr_t)l % GIB == 0);
	check_info(l, GIB, GIB, with);
	check_info(s, SMALL, 2 * SMALL, HTLB_NODE_ANY);
	CHECK(node_of(l) == with && node_of(l + GIB - 1) == with);
	l[GIB / 2] = 1;
	memset(s, 2, 2 * SMALL);
	CHECK(htlb_region_create(GIB, &large, (void **)&more) == -ENOMEM);
	CHECK(htlb_last_failure(&why) == 0);
	CHECK(why.limit == HTLB_LIMIT_POOL && why.page_bytes == GIB);
	CHECK(why.needed_hpages == 1 && why.available_hpages == 0);
	CHECK(why.advice != NULL);
	CHECK(htlb_region_destroy(l) == 0);
	CHECK(htlb_region_destroy(s) == 0);
	CHECK(free_pages(GIB, with) == 1);
	puts("side_by_side: ok");
}

/* Says no before anything is touched. */
static void strict_elsewhere(void)
{
	struct htlb_region_options o = strict(GIB);
	struct htlb_failure why = {.size = sizeof(why)};
	uint64_t before = free_pages(SMALL, HTLB_NODE_ANY);
	void *p;

	o.policy = HTLB_POLICY_BIND;
	o.nodes = &without;
	o.node_count = 1;
	CHECK(htlb_region_create(GIB, &o, &p) == -ENOMEM);
	CHECK(htlb_last_failure(&why) == 0);
	CHECK(why.limit == HTLB_LIMIT_NODE_POOL && why.node == without);
	CHECK(why.page_bytes == GIB && why.available_hpages == 0);
	CHECK(free_pages(GIB, with) == 1);
	CHECK(free_pages(SMALL, HTLB_NODE_ANY) == before);
	puts("strict_elsewhere: ok");
}

/* What is shorter than a large page stands on small ones. */
static void largest_that_fits(void)
{
	struct htlb_region_options o = strict(HTLB_PAGE_LARGEST);
	char *p;

	CHECK(htlb_region_create(3 * SMALL, &o, (void **)&p) == 0);
	check_info(p, SMALL, 3 * SMALL, HTLB_NODE_ANY);
	CHECK(free_pages(GIB, with) == 1);
	CHECK(htlb_region_destroy(p) == 0);
	CHECK(htlb_region_create(GIB, &o, (void **)&p) == 0);
	check_info(p, GIB, GIB, with);
	CHECK(free_pages(GIB, with) == 0);
	CHECK(htlb_region_destroy(p) == 0);
	puts("largest_that_fits: ok");
}

/* A part of a large page is none, of a shared one as well. */
static void largest_shared(void)
{
	struct htlb_region_options o = strict(HTLB_PAGE_LARGEST);
	char *p;

	o.flags |= HTLB_REGION_SHARED;
	CHECK(htlb_region_create(GIB, &o, (void **)&p) == 0);
	check_info(p, GIB, GIB, with);
	p[SMALL] = 1;
	CHECK(htlb_region_decommit(p + SMALL, SMALL) == -EINVAL);
	CHECK(htlb_region_commit(p + SMALL, SMALL) == -EINVAL);
	CHECK(p[SMALL] == 1);
	CHECK(htlb_region_decommit(p, GIB) == 0);
	CHECK(free_pages(GIB, with) == 1);
	CHECK(htlb_region_commit(p, GIB) == 0);
	CHECK(p[SMALL] == 0);
	CHECK(htlb_region_destroy(p) == 0);
	CHECK(free_pages(GIB, with) == 1);
	puts("largest_shared: ok");
}

static void shared_by_two(void)
{
	struct htlb_region_options o = strict(GIB);
	void *other;
	int status;
	pid_t child;
	char *p;

	o.flags |= HTLB_REGION_SHARED;
	CHECK(htlb_region_create(GIB, &o, (void **)&p) == 0);
	p[5] = 1;
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(htlb_region_open_fd(htlb_region_fd(p), NULL, &other) ==
			0);
		CHECK(other != p && ((char *)other)[5] == 1);
		((char *)other)[GIB - 1] = 7;
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(p[GIB - 1] == 7);
	CHECK(htlb_region_destroy(p) == 0);
	CHECK(free_pages(GIB, with) == 1);
	puts("shared_by_two: ok");
}

/* The only page is the parent's: the child's writes find other memory. */
static void private_and_fork(void)
{
	struct htlb_region_options o = strict(GIB);
	int status;
	pid_t child;
	char *p;

	CHECK(htlb_region_create(GIB, &o, (void **)&p) == 0);
	p[5] = 1;
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(p[5] == 1);
		p[5] = 2;
		_exit(p[5] == 2 && p[6] == 0 ? 0 : 1);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(p[5] == 1);
	p[5] = 3;
	CHECK(htlb_region_destroy(p) == 0);
	puts("private_and_fork: ok");
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	with = atoi(argv[1]);
	without = atoi(argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	strict_elsewhere();
	side_by_side();
	largest_that_fits();
	largest_shared();
	shared_by_two();
	private_and_fork();
	return 0;
}
