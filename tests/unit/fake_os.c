/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See fake_os.h. A mapping is a record [from, to) in an unsorted array, cut at
 * the borders of each change. Real memory stands behind each record at the same
 * addresses, never as huge pages, so that mincore(2) tells what was touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#include "backing/area_internal.h"
#include "tree.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define MAPPINGS 4096
#define PRESENT	 16384
#define BASE	 4096u

struct mapping {
	char *from, *to;
	size_t page_bytes; /* of a huge page; 0: ordinary */
	int prot;
	bool advised;
	int policy, node;
};

/* A huge page that is there: of a pool, or transparent. */
struct present {
	char *page;
	size_t bytes;
	int node;
	bool thp;
};

struct fake fake;
static struct mapping mappings[MAPPINGS];
static size_t mapping_count;
static struct present present[PRESENT];
static size_t present_count;

static struct refusal {
	unsigned nth;
	int rc;
	bool all;
} refusals[FAKE_CALLS];

static struct split {
	const void *from; /* NULL: free */
	bool shared;
} splits[16];

/* ---- refusals ---- */

void fake_refuse(enum fake_call call, unsigned nth, int rc)
{
	refusals[call] = (struct refusal){nth, rc, false};
}

void fake_refuse_all(enum fake_call call, unsigned nth, int rc)
{
	refusals[call] = (struct refusal){nth, rc, true};
}

static int enter(enum fake_call call)
{
	struct refusal *r = &refusals[call];

	fake.calls[call]++;
	if (r->nth == 0 || r->rc == 0)
		return 0;
	if (r->nth > 1) {
		r->nth--;
		return 0;
	}
	if (!r->all)
		r->nth = 0;
	return r->rc;
}

/* ---- mappings ---- */

static struct mapping *mapping_at(const void *addr)
{
	for (size_t i = 0; i < mapping_count; i++) {
		if ((const char *)addr >= mappings[i].from &&
			(const char *)addr < mappings[i].to)
			return &mappings[i];
	}
	return NULL;
}

static struct mapping *add_mapping(const struct mapping *m)
{
	assert_true(mapping_count < MAPPINGS);
	mappings[mapping_count] = *m;
	return &mappings[mapping_count++];
}

/* No mapping reaches over addr. */
static void cut_at(char *addr)
{
	struct mapping *m = mapping_at(addr), tail;

	if (m == NULL || m->from == addr)
		return;
	tail = *m;
	tail.from = addr;
	m->to = addr;
	add_mapping(&tail);
}

static void cut(char *from, size_t bytes)
{
	cut_at(from);
	cut_at(from + bytes);
}

static bool is_mapped(char *from, size_t bytes)
{
	char *end = from + bytes;
	struct mapping *m;

	for (; from < end; from = m->to) {
		m = mapping_at(from);
		if (m == NULL)
			return false;
	}
	return true;
}

static bool is_free(char *from, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += BASE) {
		if (mapping_at(from + at) != NULL)
			return false;
	}
	return true;
}

static bool is_inside(const struct mapping *m, char *from, size_t bytes)
{
	return m->from >= from && m->to <= from + bytes;
}

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

static void drop_pages(char *from, size_t bytes)
{
	for (size_t i = present_count; i-- > 0;) {
		if (present[i].page >= from && present[i].page < from + bytes)
			drop_present(i);
	}
}

static void forget(char *from, size_t bytes)
{
	cut(from, bytes);
	drop_pages(from, bytes);
	for (size_t i = mapping_count; i-- > 0;) {
		if (is_inside(&mappings[i], from, bytes))
			mappings[i] = mappings[--mapping_count];
	}
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

/* ---- the calls ---- */

static void *real_map(void *addr, size_t bytes, int prot, int flags)
{
	void *p = mmap(addr, bytes, prot,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	(void)madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

/* Somewhere, aligned to 2 MiB, or one base page beside it. */
static char *real_place(size_t bytes, int prot)
{
	char *p = real_map(NULL, bytes + 2 * FAKE_HUGE, PROT_NONE, 0);
	char *at = (char *)hl_align_up((uintptr_t)p, FAKE_HUGE);

	if (fake.misalign)
		at += BASE;
	munmap(p, bytes + 2 * FAKE_HUGE);
	return real_map(at, bytes, prot, MAP_FIXED);
}

static size_t page_of_flags(int flags)
{
	unsigned shift = ((unsigned)flags >> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;

	return (flags & MAP_HUGETLB) ? (size_t)1 << shift : 0;
}

static int fake_mmap(void *addr, size_t bytes, int prot, int flags, int fd,
	off_t offset, void **out)
{
	struct mapping m = {
		.prot = prot, .page_bytes = page_of_flags(flags), .node = -1};
	int rc = enter(FAKE_MMAP);

	assert_int_equal(fd, -1);
	assert_int_equal(offset, 0);
	if (rc < 0) {
		if (fake.unmap_first && (flags & MAP_FIXED))
			forget(addr, bytes);
		return rc;
	}
	if (m.page_bytes != 0 && m.page_bytes != FAKE_HUGE &&
		m.page_bytes != FAKE_GIGANTIC)
		return -EINVAL;
	/* Together they would replace what is there on an old kernel. */
	assert_true(!(flags & MAP_FIXED) || !(flags & MAP_FIXED_NOREPLACE));
	if ((flags & MAP_FIXED_NOREPLACE) && is_free(addr, bytes))
		flags |= MAP_FIXED;
	else if ((flags & MAP_FIXED_NOREPLACE) && !fake.no_noreplace)
		return -EEXIST;
	if (flags & MAP_FIXED) {
		if (m.page_bytes != 0 && (uintptr_t)addr % m.page_bytes != 0)
			return -EINVAL;
		forget(addr, bytes);
		m.from = real_map(addr, bytes, prot, MAP_FIXED);
	} else {
		m.from = real_place(bytes, prot);
	}
	m.to = m.from + bytes;
	add_mapping(&m);
	*out = m.from;
	return 0;
}

static int fake_munmap(void *addr, size_t bytes)
{
	int rc = enter(FAKE_MUNMAP);

	if (rc < 0)
		return rc;
	forget(addr, bytes);
	munmap(addr, bytes);
	return 0;
}

static int fake_mprotect(void *addr, size_t bytes, int prot)
{
	struct mapping *m = mapping_at(addr);
	int rc = enter(FAKE_MPROTECT);

	if (rc < 0)
		return rc;
	if (!is_mapped(addr, bytes))
		return -ENOMEM;
	/* The kernel looks at the size only if something would change. */
	if (m->page_bytes != 0 && bytes % m->page_bytes != 0)
		return m->prot == prot ? 0 : -EINVAL;
	cut(addr, bytes);
	for (size_t i = 0; i < mapping_count; i++) {
		if (is_inside(&mappings[i], addr, bytes))
			mappings[i].prot = prot;
	}
	mprotect(addr, bytes, prot);
	return 0;
}

/* The page for a write to `at`, or -EFAULT. */
static int populate_page(const struct mapping *m, char *at)
{
	char *page = (char *)hl_align_down((uintptr_t)at, m->page_bytes);
	int from = m->policy == MPOL_BIND ? m->node : 0;
	int to = m->policy == MPOL_BIND ? m->node + 1 : fake.nodes;

	if (find_present(page) != NULL)
		return 0;
	for (int node = from; node < to; node++) {
		if (*pool_of(m->page_bytes, node) > 0) {
			--*pool_of(m->page_bytes, node);
			add_present(page, m->page_bytes, node, false);
			return 0;
		}
	}
	return -EFAULT;
}

static int populate(char *addr, size_t bytes)
{
	struct mapping *m = mapping_at(addr);

	assert_non_null(m);
	assert_true(m->page_bytes != 0);
	for (size_t at = 0; at < bytes; at += m->page_bytes) {
		if (populate_page(m, addr + at) < 0)
			return -EFAULT;
	}
	return 0;
}

static int dont_need(char *addr, size_t bytes)
{
	struct mapping *m = mapping_at(addr);

	if (m->page_bytes != 0) {
		if ((uintptr_t)addr % m->page_bytes != 0)
			return -EINVAL;
		bytes = hl_align_down(bytes, m->page_bytes);
	}
	drop_pages(addr, bytes);
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
	assert_non_null(mapping_at(addr));
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
	if (mapping_at(addr)->page_bytes != 0)
		return -EINVAL;
	if (s != NULL)
		*s = (struct split){0};
	return 0;
}

static int fake_madvise(void *addr, size_t bytes, int advice)
{
	int rc = enter(FAKE_MADVISE);

	if (rc < 0)
		return rc;
	if (!is_mapped(addr, bytes))
		return -ENOMEM;
	switch (advice) {
	case MADV_POPULATE_WRITE:
		return fake.no_populate ? -EINVAL : populate(addr, bytes);
	case MADV_DONTNEED:
		return dont_need(addr, bytes);
	case MADV_COLLAPSE:
		return collapse(addr, bytes);
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
		cut(addr, bytes);
		for (size_t i = 0; i < mapping_count; i++) {
			if (is_inside(&mappings[i], addr, bytes))
				mappings[i].advised = advice == MADV_HUGEPAGE;
		}
		return 0;
	default:
		return -EINVAL;
	}
}

static void move_present(char *from, size_t bytes, char *to)
{
	for (size_t i = 0; i < present_count; i++) {
		if (present[i].page >= from && present[i].page < from + bytes)
			present[i].page = to + (present[i].page - from);
	}
}

static int check_mremap(char *addr, size_t bytes, int flags, char *to)
{
	struct mapping *m = mapping_at(addr);

	if (m == NULL || !is_mapped(addr, bytes))
		return -EFAULT;
	if (fake.one_vma && m->to < addr + bytes)
		return -EFAULT;
	if (m->page_bytes != 0 &&
		((flags & MREMAP_DONTUNMAP) ||
			((uintptr_t)addr | (uintptr_t)to) % m->page_bytes))
		return -EINVAL;
	if (fake.no_dontunmap && (flags & MREMAP_DONTUNMAP))
		return -EINVAL;
	return 0;
}

static bool real_move_one(char *from, size_t bytes, char *to)
{
	return mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
	       to;
}

/* To the real kernel it may be several mappings: then in pieces. */
static void real_move(char *from, size_t bytes, char *to)
{
	if (real_move_one(from, bytes, to))
		return;
	for (size_t at = 0; at < bytes; at += BASE)
		assert_true(real_move_one(from + at, BASE, to + at));
}

static int fake_mremap(void *addr, size_t old_bytes, size_t new_bytes,
	int flags, void *new_addr, void **out)
{
	struct mapping moved;
	char *from = addr, *to = new_addr;
	int rc = enter(FAKE_MREMAP);

	assert_int_equal(old_bytes, new_bytes);
	assert_true(flags & MREMAP_FIXED);
	if (rc == 0)
		rc = check_mremap(from, old_bytes, flags, to);
	if (rc < 0) {
		if (fake.unmap_first)
			forget(to, old_bytes);
		return rc;
	}
	forget(to, old_bytes);
	cut(from, old_bytes);
	move_present(from, old_bytes, to);
	for (size_t i = mapping_count; i-- > 0;) {
		if (!is_inside(&mappings[i], from, old_bytes))
			continue;
		moved = mappings[i];
		moved.from = to + (moved.from - from);
		moved.to = to + (moved.to - from);
		if (flags & MREMAP_DONTUNMAP)
			add_mapping(&moved);
		else
			mappings[i] = moved;
	}
	real_move(from, old_bytes, to);
	if (flags & MREMAP_DONTUNMAP)
		real_map(from, old_bytes, PROT_READ | PROT_WRITE, MAP_FIXED);
	*out = to;
	return 0;
}

/* The kernel stores its answer through the pointer: that may need a page. */
static int store_answer(unsigned char *vec)
{
	struct mapping *m = mapping_at(vec);

	if (m == NULL || m->page_bytes == 0)
		return 0;
	return populate_page(m, (char *)vec);
}

static bool any_touched(char *from, size_t bytes)
{
	unsigned char vec[FAKE_HUGE / BASE];

	assert_int_equal(mincore(from, bytes, vec), 0);
	for (size_t i = 0; i < bytes / BASE; i++) {
		if (vec[i] & 1)
			return true;
	}
	return false;
}

/* The first touch of an advised unit got a huge page, if there is one. */
static void fault_thp(const struct mapping *m, char *at)
{
	char *unit = (char *)hl_align_down((uintptr_t)at, FAKE_HUGE);

	if (!m->advised || fake.thps == 0 || unit < m->from ||
		unit + FAKE_HUGE > m->to || find_present(unit) != NULL ||
		!any_touched(unit, FAKE_HUGE))
		return;
	fake.thps--;
	add_present(unit, FAKE_HUGE, 0, true);
}

/* A page is resident; looking at one of a THP makes it one. */
static bool is_resident(char *p)
{
	struct mapping *m = mapping_at(p);
	unsigned char there;

	if (m->page_bytes == 0)
		fault_thp(m, p);
	if (m->page_bytes != 0 || find_present(p) != NULL)
		return find_present(p) != NULL;
	assert_int_equal(mincore(p, BASE, &there), 0);
	return there & 1;
}

static int fake_mincore(void *addr, size_t bytes, unsigned char *vec)
{
	int rc = enter(FAKE_MINCORE);

	if (rc < 0)
		return rc;
	if (!is_mapped(addr, bytes))
		return -ENOMEM;
	if (store_answer(vec) < 0)
		return -EFAULT;
	for (size_t at = 0; at < bytes; at += BASE)
		vec[at / BASE] = is_resident((char *)addr + at);
	return 0;
}

static int fake_touch(void *addr)
{
	int rc = enter(FAKE_TOUCH);

	if (rc < 0)
		return rc;
	return store_answer(addr) < 0 ? -EFAULT : 0;
}

static int fake_pagemap(void *addr, size_t pages, uint64_t *entry)
{
	const char *unit =
		(const char *)hl_align_down((uintptr_t)addr, FAKE_HUGE);
	const struct split *s = find_split(unit);
	int rc = enter(FAKE_PAGEMAP);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < pages; i++) {
		char *p = (char *)addr + i * BASE;
		bool others =
			s != NULL && s->shared && p >= unit + FAKE_HUGE / 2;

		entry[i] = (uint64_t)is_resident(p) << 63 | (uint64_t)!others
								    << 56;
	}
	return 0;
}

static int lowest(const unsigned long *nodes, unsigned long nbits)
{
	for (unsigned long i = 0; nodes != NULL && i < nbits; i++) {
		if (nodes[i / 64] >> (i % 64) & 1)
			return (int)i;
	}
	return -1;
}

static int fake_mbind(void *addr, size_t bytes, int mode,
	const unsigned long *nodes, unsigned long nbits)
{
	int rc = enter(FAKE_MBIND);

	if (rc < 0)
		return rc;
	cut(addr, bytes);
	for (size_t i = 0; i < mapping_count; i++) {
		if (is_inside(&mappings[i], addr, bytes)) {
			mappings[i].policy = mode;
			mappings[i].node = lowest(nodes, nbits);
		}
	}
	return 0;
}

static int fake_set_mempolicy(
	int mode, const unsigned long *nodes, unsigned long nbits)
{
	int rc = enter(FAKE_SET_MEMPOLICY);

	(void)nodes;
	(void)nbits;
	if (rc < 0)
		return rc;
	fake.policy_mode = mode;
	fake.policy_changes++;
	return 0;
}

static int fake_get_mempolicy(
	int *mode, unsigned long *nodes, unsigned long nbits)
{
	int rc = enter(FAKE_GET_MEMPOLICY);

	if (rc < 0)
		return rc;
	*mode = fake.policy_mode;
	memset(nodes, 0, nbits / 8);
	return 0;
}

static int fake_page_node(void *addr)
{
	struct present *p = find_present(addr);
	int rc = enter(FAKE_PAGE_NODE);

	if (rc < 0)
		return rc;
	return p == NULL ? -ENOENT : p->node;
}

static int fake_getcpu(unsigned *cpu, unsigned *node)
{
	*cpu = 0;
	*node = 0;
	return 0;
}

static uint64_t fake_now_ms(void)
{
	return fake.now_ms;
}

static uint64_t fake_now_us(void)
{
	return fake.now_ms * 1000;
}

static const struct hl_os fake_os = {
	.mmap = fake_mmap,
	.munmap = fake_munmap,
	.mprotect = fake_mprotect,
	.madvise = fake_madvise,
	.mremap = fake_mremap,
	.mincore = fake_mincore,
	.touch = fake_touch,
	.pagemap = fake_pagemap,
	.mbind = fake_mbind,
	.set_mempolicy = fake_set_mempolicy,
	.get_mempolicy = fake_get_mempolicy,
	.page_node = fake_page_node,
	.getcpu = fake_getcpu,
	.now_ms = fake_now_ms,
	.now_us = fake_now_us,
};

/* ---- questions ---- */

size_t fake_unpopulated(const void *addr, size_t bytes)
{
	size_t n = 0;

	for (size_t at = 0; at < bytes; at += FAKE_HUGE) {
		const char *p = (const char *)addr + at;
		struct mapping *m = mapping_at(p);

		n += m != NULL && m->page_bytes != 0 && find_present(p) == NULL;
	}
	return n;
}

bool fake_is_prot(const void *addr, size_t bytes, int prot)
{
	const char *p = addr, *end = p + bytes;
	struct mapping *m;

	for (; p < end; p = m->to) {
		m = mapping_at(p);
		if (m == NULL || m->prot != prot)
			return false;
	}
	return true;
}

bool fake_is_hugetlb(const void *addr)
{
	struct mapping *m = mapping_at(addr);

	return m != NULL && m->page_bytes != 0;
}

int fake_policy(const void *addr, int *node)
{
	struct mapping *m = mapping_at(addr);

	assert_non_null(m);
	*node = m->node;
	return m->policy;
}

size_t fake_mappings(void)
{
	return mapping_count;
}

/* ---- set up ---- */

int fake_setup(void **state)
{
	memset(&fake, 0, sizeof(fake));
	memset(refusals, 0, sizeof(refusals));
	fake.nodes = 1;
	fake.thps = 1000;
	fake.now_ms = 1000;
	memset(splits, 0, sizeof(splits));
	mapping_count = 0;
	present_count = 0;
	tree_setup(state);
	hl_supply_root = tree_root();
	hl_os = &fake_os;
	fake_publish();
	fake_publish_thp("always [madvise] never\n");
	hl_populate_forget();
	return 0;
}

int fake_teardown(void **state)
{
	int left = mapping_count != 0 || present_count != 0;

	hl_os = &hl_os_linux;
	hl_supply_root = &hl_root_real;
	hl_supply_forget();
	hl_populate_forget();
	if (left)
		fprintf(stderr, "%zu mappings, %zu pages left\n", mapping_count,
			present_count);
	return tree_teardown(state) || left;
}
