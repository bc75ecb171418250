/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hl_area_commit(): memory behind units, by the chain hugetlb -> smaller
 * hugetlb -> THP -> base pages.
 *
 * Each step is one transaction: charge (map, budget, ledger), the kernel,
 * close with what arrived. Huge pages are mapped over the PROT_NONE range with
 * MAP_NORESERVE, so that no process owns a reservation, and populated at once.
 * What arrived is kept, the rest goes one step down. Only ordinary memory can
 * be refused for good; then everything is taken away again.
 *
 * The caller serialises changes of the same units. No lock is held across a
 * system call.
 */
#include "backing/area_internal.h"

#include "backing/budget.h"
#include "base/count.h"
#include "base/failure.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

struct commit {
	struct hl_area *area;
	const struct hl_want *want;
	struct hl_got *got;
};

/* Also for what a budget limits: pages there are enough then. */
static uint64_t available(
	const struct commit *c, enum hl_limit limit, size_t page_bytes)
{
	struct hl_subpool *sp = c->want->subpool;

	if (page_bytes == 0)
		return 0;
	if (limit == HL_LIMIT_SUBPOOL)
		return (uint64_t)hl_budget_left(sp) * HL_UNIT_BYTES /
		       page_bytes;
	return hl_supply_hpages(page_bytes, c->want->node);
}

/* Units that could not get what they were asked for first. */
static void note(const struct commit *c, enum hl_limit limit, size_t units,
	size_t page_bytes)
{
	uint64_t needed =
		page_bytes == 0 ? units : units * HL_UNIT_BYTES / page_bytes;

	if (limit == HL_LIMIT_NONE || units == 0)
		return;
	if (c->got->limit == HL_LIMIT_NONE)
		c->got->limit = limit;
	hl_count_fallback(limit, units);
	hl_failure_record(limit, page_bytes, c->want->node, needed,
		available(c, limit, page_bytes));
}

static enum hl_limit limit_of_mmap(int rc, size_t page_bytes, int node)
{
	struct hl_supply s;

	switch (rc) {
	case -EAGAIN:
		return HL_LIMIT_MEMLOCK;
	case -EPERM:
	case -EACCES:
		return HL_LIMIT_PERMISSION;
	case -ENOMEM:
		hl_supply_read_fresh(page_bytes, node, &s);
		if (s.hpages == 0 && s.limit == HL_LIMIT_CGROUP_RSVD)
			return s.limit;
		return HL_LIMIT_MEMORY;
	default:
		return HL_LIMIT_UNSUPPORTED;
	}
}

/* What no page came for must not stay mapped: a touch would kill. */
static void take_back(struct hl_area *area, size_t from, size_t to)
{
	if (from == to || hl_map_none(hl_unit_addr(area, from),
				  (to - from) * HL_UNIT_BYTES) == 0)
		return;
	for (size_t u = from; u < to; u++)
		hl_unit_store(area, u, HL_UNIT_STUCK);
}

static int map_hugetlb(const struct hl_charge *c, char *addr, size_t bytes)
{
	void *p;

	return hl_os->mmap(addr, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB |
			MAP_NORESERVE | hl_map_huge_flag(c->page_bytes),
		-1, 0, &p);
}

/* Those of the minimum that wait come first; the others are populated. */
static int place_waiting(const struct hl_charge *c, char *addr, size_t bytes)
{
	size_t placed;

	if (c->waiting == 0)
		return 0;
	placed = hl_hold_place(c->subpool, addr, c->waiting) * HL_UNIT_BYTES;
	/* Kernels that do not move huge pages unmap the place all the same. */
	if (placed < c->waiting * HL_UNIT_BYTES)
		return map_hugetlb(c, addr + placed, bytes - placed);
	return 0;
}

/* The kernel's part of a charge. Returns the units that arrived, in order. */
static size_t back(const struct hl_charge *c, enum hl_limit *limit)
{
	char *addr = hl_unit_addr(c->area, c->from);
	size_t units = c->to - c->from, bytes = units * HL_UNIT_BYTES;
	struct hl_policy policy;
	size_t arrived = 0;
	int rc;

	hl_policy_bind(&policy, c->node);
	rc = map_hugetlb(c, addr, bytes);
	if (rc == 0)
		rc = place_waiting(c, addr, bytes);
	if (rc < 0) {
		*limit = limit_of_mmap(rc, c->page_bytes, c->node);
	} else {
		hl_policy_range(addr, bytes, c->node, MPOL_BIND);
		arrived = hl_populate_hugetlb(addr, bytes, c->page_bytes) *
			  c->page_bytes / HL_UNIT_BYTES;
		if (arrived < units)
			*limit = hl_supply_refused(c->page_bytes, c->node);
	}
	hl_policy_restore(&policy);
	/* Also after a refusal of mmap: old kernels unmap first. */
	take_back(c->area, c->from + arrived, c->to);
	return arrived;
}

/* Both fit the grain. Returns the units committed, from `from` on. */
static size_t commit_hugetlb(
	const struct commit *c, size_t from, size_t to, size_t page_bytes)
{
	struct hl_charge charge = {
		.area = c->area,
		.from = from,
		.to = to,
		.page_bytes = page_bytes,
		.node = c->want->node,
		.subpool = c->want->subpool,
		.whole = c->want->strict,
	};
	enum hl_limit limit = HL_LIMIT_NONE;
	size_t arrived = 0;

	if (hl_charge_open(&charge, &limit) == 0) {
		arrived = back(&charge, &limit);
		if (hl_charge_close(&charge, arrived) < 0) {
			take_back(c->area, from, from + arrived);
			arrived = 0;
			limit = HL_LIMIT_MEMORY;
		}
	}
	if (arrived > 0) {
		c->got->units[HL_BACKING_HUGETLB] += arrived;
		hl_heal_arm();
	}
	note(c, limit, to - from - arrived, page_bytes);
	return arrived;
}

static int commit_ordinary(const struct commit *c, size_t from, size_t to)
{
	size_t base = c->got->units[HL_BACKING_BASE];
	int rc = hl_commit_ordinary(c->area, from, to, c->want, c->got);

	if (rc < 0)
		note(c, HL_LIMIT_MEMORY, to - from, 0);
	else if (c->want->thp)
		note(c, HL_LIMIT_THP, c->got->units[HL_BACKING_BASE] - base, 0);
	return rc;
}

/* Starts the chain for [from, to) at page_bytes; 0: ordinary memory. */
static int commit_range(
	const struct commit *c, size_t from, size_t to, size_t page_bytes)
{
	size_t smaller = hl_supply_smaller(page_bytes);
	size_t start, end;
	int rc;

	if (from == to)
		return 0;
	if (page_bytes == 0)
		return commit_ordinary(c, from, to);
	if (c->want->strict) {
		HL_ASSERT(hl_area_whole_pages(c->area, page_bytes, from, to,
				  &start, &end) &&
			  start == from && end == to);
		if (commit_hugetlb(c, from, to, page_bytes) == to - from)
			return 0;
		return -ENOMEM;
	}
	if (!hl_area_whole_pages(c->area, page_bytes, from, to, &start, &end))
		return commit_range(c, from, to, smaller);
	rc = commit_range(c, from, start, smaller);
	if (rc < 0)
		return rc;
	start += commit_hugetlb(c, start, end, page_bytes);
	return commit_range(c, start, to, smaller);
}

/* Only where nothing is. Before Linux 4.17 the address is a mere hint. */
static int map_if_free(void *addr, size_t bytes)
{
	void *p;
	int rc = hl_os->mmap(addr, bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0, &p);

	if (rc < 0 || p == addr)
		return rc;
	(void)hl_os->munmap(p, bytes);
	return -EEXIST;
}

/* Leftovers of a release or move that the kernel refused to finish. */
static int tidy(struct hl_area *area, size_t unit, uint32_t word)
{
	char *addr = hl_unit_addr(area, unit);
	int rc = 0;

	if (word & HL_UNIT_STUCK)
		rc = hl_map_none(addr, HL_UNIT_BYTES);
	else if (word & HL_UNIT_LOST)
		rc = map_if_free(addr, HL_UNIT_BYTES);
	if (rc == 0)
		hl_unit_store(area, unit, 0);
	return rc;
}

int hl_area_commit(struct hl_area *area, size_t from, size_t to,
	const struct hl_want *want, struct hl_got *got)
{
	struct commit c = {.area = area, .want = want, .got = got};
	int rc;

	HL_ASSERT(from < to && to <= hl_area_units(area));
	HL_ASSERT(!want->lazy || want->page_bytes == 0);
	*got = (struct hl_got){.limit = HL_LIMIT_NONE};
	for (size_t u = from; u < to; u++) {
		uint32_t word = hl_unit_load(area, u);

		HL_CHECK(hl_word_kind(word) == HL_BACKING_NONE);
		if (word != 0 && tidy(area, u, word) < 0)
			return -ENOMEM;
	}
	rc = commit_range(&c, from, to, want->page_bytes);
	if (rc == 0)
		return 0;
	hl_area_release(area, from, to);
	*got = (struct hl_got){
		.limit = want->strict ? got->limit : HL_LIMIT_MEMORY};
	return -ENOMEM;
}
