/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pages of the fake kernel: which are there, of which pool and node, what
 * populates them and what drops them; THP and its splits. See fake_os.h.
 */
#include "fake_internal.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define PRESENT 16384

/* A huge page that is there: of a pool, or transparent. */
struct present {
	char *page;
	size_t bytes;
	int node;
	bool thp;
};

static struct present present[PRESENT];
static size_t present_count;

static struct split {
	const void *from; /* NULL: free */
	bool shared;
} splits[16];

static long *pool_of(size_t page_bytes, int node)
{
	return page_bytes == FAKE_HUGE ? &fake.pool[node]
				       : &fake.gigantic[node];
}

static void drop_present(size_t i)
{
	if (present[i].thp)
		fake.thps++;
	else
		++*pool_of(present[i].bytes, present[i].node);
	present[i] = present[--present_count];
	if (fake.live)
		fake_put_pools();
}

void fake_pages_drop(const char *from, size_t bytes)
{
	for (size_t i = present_count; i-- > 0;) {
		if (present[i].page >= from && present[i].page < from + bytes)
			drop_present(i);
	}
}

size_t fake_pages_in(const char *from, size_t bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < present_count; i++)
		n += present[i].page >= from && present[i].page < from + bytes;
	return n;
}

static struct present *find_present(const char *page)
{
	for (size_t i = 0; i < present_count; i++) {
		if (page >= present[i].page &&
			page < present[i].page + present[i].bytes)
			return &present[i];
	}
	return NULL;
}

static void add_present(char *page, size_t bytes, int node, bool thp)
{
	assert_true(present_count < PRESENT);
	present[present_count++] = (struct present){page, bytes, node, thp};
	if (fake.live)
		fake_put_pools();
}

static long all_free(size_t page_bytes)
{
	long n = 0;

	for (int node = 0; node < fake.nodes; node++)
		n += *pool_of(page_bytes, node);
	return n;
}

static long reserved(size_t page_bytes)
{
	return page_bytes == FAKE_HUGE ? fake.reserved : 0;
}

bool fake_reserve(size_t page_bytes, size_t hpages)
{
	assert_int_equal(page_bytes, FAKE_HUGE);
	if (all_free(page_bytes) - fake.reserved < (long)hpages)
		return false;
	fake.reserved += (long)hpages;
	if (fake.live)
		fake_put_pools();
	return true;
}

void fake_unreserve(size_t hpages)
{
	fake.reserved -= (long)hpages;
	assert_true(fake.reserved >= 0);
	if (fake.live)
		fake_put_pools();
}

/* The page for a write to `at`, or -EFAULT. */
static int populate_page(const struct fake_mapping *m, char *at)
{
	char *page = (char *)hl_align_down((uintptr_t)at, m->page_bytes);
	int from = m->policy == MPOL_BIND ? m->node : 0;
	int to = m->policy == MPOL_BIND ? m->node + 1 : fake.nodes;

	if (find_present(page) != NULL)
		return 0;
	/* What is reserved is for shared memory only. */
	if (!m->shared && all_free(m->page_bytes) <= reserved(m->page_bytes))
		return -EFAULT;
	for (int node = from; node < to; node++) {
		if (*pool_of(m->page_bytes, node) > 0) {
			--*pool_of(m->page_bytes, node);
			fake.reserved -= m->shared;
			add_present(page, m->page_bytes, node, false);
			return 0;
		}
	}
	return -EFAULT;
}

static int populate(char *addr, size_t bytes)
{
	struct fake_mapping *m = fake_mapping_at(addr);

	assert_non_null(m);
	if (m->page_bytes == 0)
		return 0;
	for (size_t at = 0; at < bytes; at += m->page_bytes) {
		if (populate_page(m, addr + at) < 0)
			return -EFAULT;
	}
	return 0;
}

static int dont_need(char *addr, size_t bytes)
{
	struct fake_mapping *m = fake_mapping_at(addr);

	if (m->page_bytes != 0) {
		if ((uintptr_t)addr % m->page_bytes != 0)
			return -EINVAL;
		bytes = hl_align_down(bytes, m->page_bytes);
	}
	fake_pages_drop(addr, bytes);
	return madvise(addr, bytes, MADV_DONTNEED);
}

/* ---- THPs that were split ---- */

static struct split *find_split(const void *addr)
{
	for (size_t i = 0; i < HL_ARRAY_SIZE(splits); i++) {
		if (splits[i].from == addr)
			return &splits[i];
	}
	return NULL;
}

void fake_split(const void *addr, bool shared)
{
	struct split *s = find_split(NULL);

	assert_non_null(s);
	assert_non_null(fake_mapping_at(addr));
	*s = (struct split){addr, shared};
}

void fake_whole(const void *addr)
{
	find_split(addr)->shared = false;
}

bool fake_is_split(const void *addr)
{
	return find_split(addr) != NULL;
}

static int collapse(char *addr, size_t bytes)
{
	struct split *s = find_split(addr);

	assert_int_equal(bytes, FAKE_HUGE);
	if (fake_mapping_at(addr)->page_bytes != 0)
		return -EINVAL;
	if (s != NULL)
		*s = (struct split){0};
	return 0;
}

int fake_madvise(void *addr, size_t bytes, int advice)
{
	int rc = fake_enter(FAKE_MADVISE);

	if (rc < 0)
		return rc;
	if (bytes == 0)
		return 0;
	if (!fake_is_mapped(addr, bytes))
		return -ENOMEM;
	switch (advice) {
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return fake.no_populate ? -EINVAL : populate(addr, bytes);
	case MADV_DONTNEED:
		return dont_need(addr, bytes);
	case MADV_COLLAPSE:
		return collapse(addr, bytes);
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
		fake_advise_range(addr, bytes, advice == MADV_HUGEPAGE);
		return 0;
	default:
		return -EINVAL;
	}
}

void fake_pages_move(const char *from, size_t bytes, char *to)
{
	for (size_t i = 0; i < present_count; i++) {
		if (present[i].page >= from && present[i].page < from + bytes)
			present[i].page = to + (present[i].page - from);
	}
}

/* The kernel stores its answer through the pointer: that may need a page. */
static int store_answer(unsigned char *vec)
{
	struct fake_mapping *m = fake_mapping_at(vec);

	if (m == NULL || m->page_bytes == 0)
		return 0;
	return populate_page(m, (char *)vec);
}

static bool any_touched(char *from, size_t bytes)
{
	unsigned char vec[FAKE_HUGE / FAKE_BASE];

	assert_int_equal(mincore(from, bytes, vec), 0);
	for (size_t i = 0; i < bytes / FAKE_BASE; i++) {
		if (vec[i] & 1)
			return true;
	}
	return false;
}

/* The first touch of an advised unit got a huge page, if there is one. */
static void fault_thp(const struct fake_mapping *m, char *at)
{
	char *unit = (char *)hl_align_down((uintptr_t)at, FAKE_HUGE);

	if (!m->advised || fake.thps == 0 || unit < m->from ||
		unit + FAKE_HUGE > m->to || find_present(unit) != NULL ||
		!any_touched(unit, FAKE_HUGE))
		return;
	fake.thps--;
	add_present(unit, FAKE_HUGE, 0, true);
}

/* The first touch of a page that was reserved: nothing can go wrong. */
static void fault_shared(const struct fake_mapping *m, char *at)
{
	char *page = (char *)hl_align_down((uintptr_t)at, m->page_bytes);

	if (any_touched(page, m->page_bytes))
		assert_int_equal(populate_page(m, page), 0);
}

/* A page is resident; looking at one of a THP makes it one. */
static bool is_resident(char *p)
{
	struct fake_mapping *m = fake_mapping_at(p);
	unsigned char there;

	if (m->page_bytes == 0)
		fault_thp(m, p);
	else if (m->shared)
		fault_shared(m, p);
	if (m->page_bytes != 0 || find_present(p) != NULL)
		return find_present(p) != NULL;
	assert_int_equal(mincore(p, FAKE_BASE, &there), 0);
	return there & 1;
}

int fake_mincore(void *addr, size_t bytes, unsigned char *vec)
{
	int rc = fake_enter(FAKE_MINCORE);

	if (rc < 0)
		return rc;
	if (!fake_is_mapped(addr, bytes))
		return -ENOMEM;
	if (store_answer(vec) < 0)
		return -EFAULT;
	for (size_t at = 0; at < bytes; at += FAKE_BASE)
		vec[at / FAKE_BASE] = is_resident((char *)addr + at);
	return 0;
}

int fake_touch(void *addr)
{
	int rc = fake_enter(FAKE_TOUCH);

	if (rc < 0)
		return rc;
	return store_answer(addr) < 0 ? -EFAULT : 0;
}

int fake_pagemap(void *addr, size_t pages, uint64_t *entry)
{
	const char *unit =
		(const char *)hl_align_down((uintptr_t)addr, FAKE_HUGE);
	const struct split *s = find_split(unit);
	int rc = fake_enter(FAKE_PAGEMAP);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < pages; i++) {
		char *p = (char *)addr + i * FAKE_BASE;
		bool others =
			s != NULL && s->shared && p >= unit + FAKE_HUGE / 2;

		entry[i] = (uint64_t)is_resident(p) << 63 | (uint64_t)!others
								    << 56;
	}
	return 0;
}

int fake_page_node(void *addr)
{
	struct present *p = find_present(addr);
	int rc = fake_enter(FAKE_PAGE_NODE);

	if (rc < 0)
		return rc;
	return p == NULL ? -ENOENT : p->node;
}

/* ---- questions ---- */

size_t fake_unpopulated(const void *addr, size_t bytes)
{
	size_t n = 0;

	for (size_t at = 0; at < bytes; at += FAKE_HUGE) {
		const char *p = (const char *)addr + at;
		struct fake_mapping *m = fake_mapping_at(p);

		n += m != NULL && m->page_bytes != 0 && find_present(p) == NULL;
	}
	return n;
}

/* ---- set up ---- */

void fake_pages_setup(void)
{
	memset(splits, 0, sizeof(splits));
	present_count = 0;
}

size_t fake_pages_count(void)
{
	return present_count;
}
