/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See fake_os.h. A mapping is a record [from, to) in an unsorted array, cut at
 * the borders of each change. Real memory stands behind each record at the same
 * addresses, never as huge pages, so that mincore(2) tells what was touched.
 */
#include "fake_internal.h"

#include "backing/area_internal.h"
#include "tree.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define MAPPINGS 4096

struct fake fake;
static struct fake_mapping mappings[MAPPINGS];
static size_t mapping_count;

static struct refusal {
	unsigned nth;
	int rc;
	bool all;
} refusals[FAKE_CALLS];

/* ---- refusals ---- */

void fake_refuse(enum fake_call call, unsigned nth, int rc)
{
	refusals[call] = (struct refusal){nth, rc, false};
}

void fake_refuse_all(enum fake_call call, unsigned nth, int rc)
{
	refusals[call] = (struct refusal){nth, rc, true};
}

int fake_enter(enum fake_call call)
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

struct fake_mapping *fake_mapping_at(const void *addr)
{
	for (size_t i = 0; i < mapping_count; i++) {
		if ((const char *)addr >= mappings[i].from &&
			(const char *)addr < mappings[i].to)
			return &mappings[i];
	}
	return NULL;
}

void fake_mapping_add(const struct fake_mapping *m)
{
	assert_true(mapping_count < MAPPINGS);
	mappings[mapping_count++] = *m;
}

/* No mapping reaches over addr. */
static void cut_at(char *addr)
{
	struct fake_mapping *m = fake_mapping_at(addr), tail;

	if (m == NULL || m->from == addr)
		return;
	tail = *m;
	tail.from = addr;
	m->to = addr;
	fake_mapping_add(&tail);
}

void fake_cut(char *from, size_t bytes)
{
	cut_at(from);
	cut_at(from + bytes);
}

bool fake_is_mapped(char *from, size_t bytes)
{
	char *end = from + bytes;
	struct fake_mapping *m;

	for (; from < end; from = m->to) {
		m = fake_mapping_at(from);
		if (m == NULL)
			return false;
	}
	return true;
}

static bool is_free(char *from, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += FAKE_BASE) {
		if (fake_mapping_at(from + at) != NULL)
			return false;
	}
	return true;
}

bool fake_is_inside(const struct fake_mapping *m, char *from, size_t bytes)
{
	return m->from >= from && m->to <= from + bytes;
}

void fake_advise_range(char *from, size_t bytes, bool advised)
{
	fake_cut(from, bytes);
	for (size_t i = 0; i < mapping_count; i++) {
		if (fake_is_inside(&mappings[i], from, bytes))
			mappings[i].advised = advised;
	}
}

static void give_reservation(const struct fake_mapping *m)
{
	size_t bytes = (size_t)(m->to - m->from);

	if (m->shared && !m->of_segment && m->page_bytes != 0)
		fake_unreserve(
			bytes / m->page_bytes - fake_pages_in(m->from, bytes));
}

void fake_forget(char *from, size_t bytes)
{
	fake_cut(from, bytes);
	for (size_t i = mapping_count; i-- > 0;) {
		if (!fake_is_inside(&mappings[i], from, bytes))
			continue;
		give_reservation(&mappings[i]);
		mappings[i] = mappings[--mapping_count];
	}
	fake_pages_drop(from, bytes);
}

/* The kernel cuts no huge page of a pool. */
static bool cuts_page(const char *at)
{
	const struct fake_mapping *m = fake_mapping_at(at);

	return m != NULL && m->page_bytes != 0 && m->from != at &&
	       (uintptr_t)at % m->page_bytes != 0;
}

static bool may_unmap(const char *from, size_t bytes)
{
	return !cuts_page(from) && !cuts_page(from + bytes);
}

/* ---- the calls ---- */

static void *real_map(void *addr, size_t bytes, int prot, int flags)
{
	void *p = mmap(addr, bytes, prot, MAP_ANONYMOUS | MAP_NORESERVE | flags,
		-1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	(void)madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

/* Somewhere, aligned to 2 MiB, or one base page beside it. */
char *fake_place(size_t bytes, int prot, bool shared)
{
	char *p = real_map(NULL, bytes + 2 * FAKE_HUGE, PROT_NONE, MAP_PRIVATE);
	char *at = (char *)hl_align_up((uintptr_t)p, FAKE_HUGE);

	if (fake.misalign)
		at += FAKE_BASE;
	munmap(p, bytes + 2 * FAKE_HUGE);
	return real_map(at, bytes, prot,
		MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE));
}

static size_t page_of_flags(int flags)
{
	unsigned shift = ((unsigned)flags >> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;

	return (flags & MAP_HUGETLB) ? (size_t)1 << shift : 0;
}

/* What the kernel looks at before it unmaps anything. */
static int check_mmap(
	const struct fake_mapping *m, void *addr, size_t bytes, int flags)
{
	if (!(flags & MAP_ANONYMOUS))
		return -EBADF;
	if (m->page_bytes != 0 && m->page_bytes != FAKE_HUGE &&
		m->page_bytes != FAKE_GIGANTIC)
		return -EINVAL;
	if (m->page_bytes != 0 && (flags & MAP_FIXED) &&
		(uintptr_t)addr % m->page_bytes != 0)
		return -EINVAL;
	if ((flags & MAP_FIXED) && !may_unmap(addr, bytes))
		return -EINVAL;
	if (m->page_bytes != 0 && m->shared &&
		!fake_reserve(m->page_bytes, bytes / m->page_bytes))
		return -ENOMEM;
	return 0;
}

static int fake_mmap(void *addr, size_t bytes, int prot, int flags, int fd,
	off_t offset, void **out)
{
	struct fake_mapping m = {.prot = prot,
		.page_bytes = page_of_flags(flags),
		.shared = (flags & MAP_TYPE) == MAP_SHARED,
		.node = -1};
	int rc = fake_enter(FAKE_MMAP);

	assert_int_equal(fd, -1);
	assert_int_equal(offset, 0);
	if (rc < 0) {
		if (fake.unmap_first && (flags & MAP_FIXED))
			fake_forget(addr, bytes);
		return rc;
	}
	/* Together they would replace what is there on an old kernel. */
	assert_true(!(flags & MAP_FIXED) || !(flags & MAP_FIXED_NOREPLACE));
	if ((flags & MAP_FIXED_NOREPLACE) && is_free(addr, bytes))
		flags |= MAP_FIXED;
	else if ((flags & MAP_FIXED_NOREPLACE) && !fake.no_noreplace)
		return -EEXIST;
	rc = check_mmap(&m, addr, bytes, flags);
	if (rc < 0)
		return rc;
	bytes = hl_align_up(bytes, FAKE_BASE);
	if (flags & MAP_FIXED) {
		fake_forget(addr, bytes);
		m.from = real_map(
			addr, bytes, prot, MAP_FIXED | (flags & MAP_TYPE));
	} else {
		bool misalign = fake.misalign;

		fake.misalign = misalign && m.page_bytes == 0;
		m.from = fake_place(bytes, prot, m.shared);
		fake.misalign = misalign;
	}
	m.to = m.from + bytes;
	fake_mapping_add(&m);
	*out = m.from;
	return 0;
}

static int fake_munmap(void *addr, size_t bytes)
{
	int rc = fake_enter(FAKE_MUNMAP);

	if (rc < 0)
		return rc;
	if (!may_unmap(addr, bytes))
		return -EINVAL;
	bytes = hl_align_up(bytes, FAKE_BASE);
	fake_forget(addr, bytes);
	munmap(addr, bytes);
	return 0;
}

static int fake_mprotect(void *addr, size_t bytes, int prot)
{
	struct fake_mapping *m = fake_mapping_at(addr);
	int rc = fake_enter(FAKE_MPROTECT);

	if (rc < 0)
		return rc;
	if (!fake_is_mapped(addr, bytes))
		return -ENOMEM;
	/* The kernel looks at the size only if something would change. */
	if (m->page_bytes != 0 && bytes % m->page_bytes != 0)
		return m->prot == prot ? 0 : -EINVAL;
	fake_cut(addr, bytes);
	for (size_t i = 0; i < mapping_count; i++) {
		if (fake_is_inside(&mappings[i], addr, bytes))
			mappings[i].prot = prot;
	}
	mprotect(addr, bytes, prot);
	return 0;
}

static int check_mremap(char *addr, size_t bytes, int flags, char *to)
{
	struct fake_mapping *m = fake_mapping_at(addr);

	if (m == NULL || !fake_is_mapped(addr, bytes))
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
	for (size_t at = 0; at < bytes; at += FAKE_BASE)
		assert_true(real_move_one(from + at, FAKE_BASE, to + at));
}

/* Elsewhere, and longer. */
static int move_and_grow(
	char *from, size_t old_bytes, size_t new_bytes, int flags, void **out)
{
	struct fake_mapping *m = fake_mapping_at(from), moved;

	if (m == NULL || m->to < from + old_bytes)
		return -EFAULT;
	if (m->page_bytes != 0)
		return -EINVAL;
	if (!(flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	moved = *m;
	moved.from = fake_place(new_bytes, m->prot, m->shared);
	moved.to = moved.from + new_bytes;
	fake_pages_move(from, old_bytes, moved.from);
	assert_ptr_equal(mremap(from, old_bytes, new_bytes,
				 MREMAP_MAYMOVE | MREMAP_FIXED, moved.from),
		moved.from);
	fake_forget(from, old_bytes);
	fake_mapping_add(&moved);
	*out = moved.from;
	return 0;
}

static int fake_mremap(void *addr, size_t old_bytes, size_t new_bytes,
	int flags, void *new_addr, void **out)
{
	struct fake_mapping moved;
	char *from = addr, *to = new_addr;
	int rc = fake_enter(FAKE_MREMAP);

	if (!(flags & MREMAP_FIXED))
		return rc < 0 ? rc
			      : move_and_grow(
					from, old_bytes, new_bytes, flags, out);
	assert_int_equal(old_bytes, new_bytes);
	if (rc == 0)
		rc = check_mremap(from, old_bytes, flags, to);
	if (rc < 0) {
		if (fake.unmap_first && (flags & MREMAP_FIXED))
			fake_forget(to, old_bytes);
		return rc;
	}
	fake_forget(to, old_bytes);
	fake_cut(from, old_bytes);
	fake_pages_move(from, old_bytes, to);
	for (size_t i = mapping_count; i-- > 0;) {
		if (!fake_is_inside(&mappings[i], from, old_bytes))
			continue;
		moved = mappings[i];
		moved.from = to + (moved.from - from);
		moved.to = to + (moved.to - from);
		if (flags & MREMAP_DONTUNMAP)
			fake_mapping_add(&moved);
		else
			mappings[i] = moved;
	}
	real_move(from, old_bytes, to);
	if (flags & MREMAP_DONTUNMAP)
		real_map(from, old_bytes, PROT_READ | PROT_WRITE,
			MAP_FIXED | MAP_PRIVATE);
	*out = to;
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
	int rc = fake_enter(FAKE_MBIND);

	if (rc < 0)
		return rc;
	fake_cut(addr, bytes);
	for (size_t i = 0; i < mapping_count; i++) {
		if (fake_is_inside(&mappings[i], addr, bytes)) {
			mappings[i].policy = mode;
			mappings[i].node = lowest(nodes, nbits);
		}
	}
	return 0;
}

static int fake_set_mempolicy(
	int mode, const unsigned long *nodes, unsigned long nbits)
{
	int rc = fake_enter(FAKE_SET_MEMPOLICY);

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
	int rc = fake_enter(FAKE_GET_MEMPOLICY);

	if (rc < 0)
		return rc;
	*mode = fake.policy_mode;
	memset(nodes, 0, nbits / 8);
	return 0;
}

static int fake_allowed_nodes(unsigned long *nodes, unsigned long nbits)
{
	int rc = fake_enter(FAKE_ALLOWED_NODES);

	if (rc < 0)
		return rc;
	memset(nodes, 0, nbits / 8);
	nodes[0] = fake.allowed;
	return 0;
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
	.allowed_nodes = fake_allowed_nodes,
	.page_node = fake_page_node,
	.shmget = fake_shmget,
	.shmat = fake_shmat,
	.shmdt = fake_shmdt,
	.shmrm = fake_shmrm,
	.getcpu = fake_getcpu,
	.now_ms = fake_now_ms,
	.now_us = fake_now_us,
};

/* ---- questions ---- */

bool fake_is_prot(const void *addr, size_t bytes, int prot)
{
	const char *p = addr, *end = p + bytes;
	struct fake_mapping *m;

	for (; p < end; p = m->to) {
		m = fake_mapping_at(p);
		if (m == NULL || m->prot != prot)
			return false;
	}
	return true;
}

bool fake_is_advised(const void *addr, size_t bytes)
{
	const char *p = addr, *end = p + bytes;
	struct fake_mapping *m;

	for (; p < end; p = m->to) {
		m = fake_mapping_at(p);
		if (m == NULL || !m->advised)
			return false;
	}
	return true;
}

bool fake_is_hugetlb(const void *addr)
{
	struct fake_mapping *m = fake_mapping_at(addr);

	return m != NULL && m->page_bytes != 0;
}

int fake_policy(const void *addr, int *node)
{
	struct fake_mapping *m = fake_mapping_at(addr);

	assert_non_null(m);
	*node = m->node;
	return m->policy;
}

void fake_unmap_rest(void)
{
	while (mapping_count > 0) {
		char *from = mappings[0].from;
		size_t bytes = (size_t)(mappings[0].to - from);

		fake_forget(from, bytes);
		munmap(from, bytes);
	}
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
	fake.allowed = ~0ul;
	mapping_count = 0;
	fake_pages_setup();
	fake_shm_setup();
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
	size_t pages = fake_pages_count(), ids = fake_segments();
	bool left = mapping_count + pages + ids != 0 || fake.reserved != 0;

	hl_os = &hl_os_linux;
	hl_supply_root = &hl_root_real;
	hl_supply_forget();
	hl_populate_forget();
	if (left)
		fprintf(stderr,
			"%zu mappings, %zu pages, %zu segments, %ld reserved "
			"pages left\n",
			mapping_count, pages, ids, fake.reserved);
	return tree_teardown(state) || left;
}
