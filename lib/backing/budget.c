/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets and the pages that wait for them: see backing/budget.h.
 *
 * Two locks of rank BACKING that are never held together: budget_lock for the
 * arithmetic of every budget, hold_lock for the pages of every hold. Between
 * the two another thread may change the target, so that a hold is brought to
 * what the arithmetic says now, not to what it said before: fill() looks
 * again. A page that is taken from a hold has left the arithmetic first.
 *
 * A hold is a stack of mappings, each populated as a whole and cut from its
 * end. MADV_DONTFORK keeps them the parent's; the child's holds are empty, and
 * its budgets have no minimum.
 */
#include "backing/area_internal.h"
#include "backing/budget.h"

#include "accounting/ledger.h"
#include "base/list.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>

/* One mapping of waiting pages. */
struct chunk {
	struct chunk *next;
	char *addr;
	size_t units;
};

struct hl_hold {
	struct hl_subpool sp;
	struct hl_budget_want want;
	struct hl_list link;
	struct chunk *chunks;
	size_t units; /* in all chunks */
};

static struct hl_lock budget_lock = HL_LOCK_INIT(HL_RANK_BACKING);
static struct hl_lock hold_lock = HL_LOCK_INIT(HL_RANK_BACKING);

/* Under budget_lock. */
static struct hl_list holds = {&holds, &holds};
static struct hl_pool_of hold_pool = {
	.bytes = sizeof(struct hl_hold),
	.align = 64,
};
/* Under hold_lock. */
static struct hl_pool_of chunk_pool = {
	.bytes = sizeof(struct chunk),
	.align = 16,
};

static int64_t pages_of(const struct hl_hold *h, size_t units)
{
	return (int64_t)(units * HL_UNIT_BYTES / h->want.page_bytes);
}

/* Where the ledger has the pages of a hold. */
static int node_of(const struct hl_hold *h)
{
	return hl_supply_nodes() == 1 ? HL_NODE_ANY : h->want.node;
}

/* ---- pages that wait (hold_lock) ---- */

static void enter(struct hl_hold *h, size_t units)
{
	size_t page_bytes = h->want.page_bytes;
	int64_t pages = pages_of(h, units);

	(void)hl_ledger_promise(
		&hl_ledger, page_bytes, h->want.node, pages, -1);
	hl_ledger_back(&hl_ledger, page_bytes, h->want.node, node_of(h), pages);
	hl_ledger_hold(&hl_ledger, page_bytes, node_of(h), pages);
	hl_supply_moved(page_bytes, h->want.node, -pages);
	h->units += units;
}

static void leave(struct hl_hold *h, size_t units)
{
	size_t page_bytes = h->want.page_bytes;
	int64_t pages = pages_of(h, units);

	hl_ledger_use(&hl_ledger, page_bytes, node_of(h), pages);
	hl_ledger_release(
		&hl_ledger, page_bytes, h->want.node, node_of(h), pages);
	hl_supply_moved(page_bytes, h->want.node, pages);
	h->units -= units;
}

/* Returns how many of the units arrived. */
static size_t populate(const struct hl_hold *h, char *addr, size_t units)
{
	size_t bytes = units * HL_UNIT_BYTES, arrived;

	hl_policy_range(addr, bytes, h->want.node, MPOL_BIND);
	(void)hl_os->madvise(addr, bytes, MADV_DONTFORK);
	(void)hl_os->madvise(addr, bytes, MADV_DONTDUMP);
	arrived = hl_populate_hugetlb(addr, bytes, h->want.page_bytes) *
		  h->want.page_bytes / HL_UNIT_BYTES;
	arrived = hl_align_down(arrived, hl_grain(h->want.page_bytes));
	if (arrived < units)
		(void)hl_os->munmap(addr + arrived * HL_UNIT_BYTES,
			(units - arrived) * HL_UNIT_BYTES);
	return arrived;
}

/* Up to n units more. */
static size_t take(struct hl_hold *h, size_t n)
{
	struct chunk *c = hl_pool_of_take(&chunk_pool);
	struct hl_policy policy;
	void *p;
	int rc;

	if (c == NULL)
		return 0;
	hl_policy_bind(&policy, h->want.node);
	rc = hl_os->mmap(NULL, n * HL_UNIT_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE |
			hl_map_huge_flag(h->want.page_bytes),
		-1, 0, &p);
	c->units = rc < 0 ? 0 : populate(h, p, n);
	hl_policy_restore(&policy);
	n = c->units;
	if (n == 0) {
		hl_pool_of_give(&chunk_pool, c);
		return 0;
	}
	c->addr = p;
	c->next = h->chunks;
	h->chunks = c;
	enter(h, n);
	return n;
}

/* The last units of the newest chunk, up to n; returns how many. */
static size_t cut(struct hl_hold *h, size_t n, char **addr)
{
	struct chunk *c = h->chunks;

	n = HL_MIN(n, c->units);
	c->units -= n;
	*addr = c->addr + c->units * HL_UNIT_BYTES;
	if (c->units == 0) {
		h->chunks = c->next;
		hl_pool_of_give(&chunk_pool, c);
	}
	leave(h, n);
	return n;
}

static void drop(struct hl_hold *h, size_t n)
{
	char *addr;

	while (n > 0 && h->units > 0) {
		size_t units = cut(h, n, &addr);

		(void)hl_os->munmap(addr, units * HL_UNIT_BYTES);
		n -= units;
	}
}

static size_t target_of(struct hl_hold *h)
{
	size_t target;

	hl_lock_acquire(&budget_lock);
	target = (size_t)h->sp.rsv_hpages;
	hl_lock_release(&budget_lock);
	return target;
}

/* Brings the hold to what the budget says. */
static void fill(struct hl_hold *h)
{
	size_t target = target_of(h), before;

	do {
		before = target;
		hl_lock_acquire(&hold_lock);
		if (h->units < target)
			(void)take(h, target - h->units);
		else
			drop(h, h->units - target);
		hl_lock_release(&hold_lock);
		target = target_of(h);
	} while (target != before);
}

size_t hl_hold_place(struct hl_subpool *sp, void *addr, size_t n)
{
	struct hl_hold *h = sp->hold;
	char *to = addr, *from;
	size_t placed = 0, units, bytes;
	void *p;

	hl_lock_acquire(&hold_lock);
	while (placed < n && h->units > 0) {
		units = cut(h, n - placed, &from);
		bytes = units * HL_UNIT_BYTES;
		if (hl_os->mremap(from, bytes, bytes,
			    MREMAP_MAYMOVE | MREMAP_FIXED,
			    to + placed * HL_UNIT_BYTES, &p) < 0) {
			/* Before 5.16: through the pool. */
			(void)hl_os->munmap(from, bytes);
			drop(h, n - placed - units);
			break;
		}
		(void)hl_os->madvise(p, bytes, MADV_DOFORK);
		(void)hl_os->madvise(p, bytes, MADV_DODUMP);
		placed += units;
	}
	hl_lock_release(&hold_lock);
	return placed;
}

void hl_hold_drop(struct hl_subpool *sp, size_t n)
{
	hl_lock_acquire(&hold_lock);
	drop(sp->hold, n);
	hl_lock_release(&hold_lock);
}

/* ---- handles ---- */

static void dispose(struct hl_hold *h)
{
	hl_lock_acquire(&hold_lock);
	drop(h, h->units);
	hl_lock_release(&hold_lock);
	hl_lock_acquire(&budget_lock);
	hl_list_remove(&h->link);
	hl_pool_of_give(&hold_pool, h);
	hl_lock_release(&budget_lock);
}

/* The minimum, before anyone can use it. */
static int take_minimum(
	struct hl_hold *h, enum hl_limit *limit, uint64_t *available)
{
	size_t need = (size_t)h->sp.rsv_hpages;
	struct hl_supply supply;

	if (need == 0)
		return 0;
	hl_supply_read_fresh(h->want.page_bytes, h->want.node, &supply);
	*limit = supply.limit;
	*available = supply.hpages;
	if (supply.hpages < (uint64_t)pages_of(h, need))
		return -ENOMEM;
	fill(h);
	if (h->units == need)
		return 0;
	*limit = hl_supply_refused(h->want.page_bytes, h->want.node);
	*available = (uint64_t)pages_of(h, h->units);
	return -ENOMEM;
}

int hl_budget_open(const struct hl_budget_want *want, struct hl_subpool **out,
	enum hl_limit *limit, uint64_t *available)
{
	struct hl_hold *h;
	int rc = -ENOMEM;

	*limit = HL_LIMIT_MEMORY;
	*available = 0;
	hl_lock_acquire(&budget_lock);
	h = hl_pool_of_take(&hold_pool);
	if (h != NULL) {
		h->want = *want;
		rc = hl_subpool_init(&h->sp, want->max_units, want->min_units);
		h->sp.hold = h;
		if (rc == 0)
			hl_list_push_back(&holds, &h->link);
		else
			hl_pool_of_give(&hold_pool, h);
	}
	hl_lock_release(&budget_lock);
	if (rc < 0)
		return rc;
	rc = take_minimum(h, limit, available);
	if (rc < 0) {
		dispose(h);
		return rc;
	}
	*limit = HL_LIMIT_NONE;
	*out = &h->sp;
	return 0;
}

void hl_budget_ref(struct hl_subpool *sp)
{
	hl_lock_acquire(&budget_lock);
	hl_subpool_open(sp);
	hl_lock_release(&budget_lock);
}

void hl_budget_unref(struct hl_subpool *sp)
{
	bool dead;

	hl_lock_acquire(&budget_lock);
	dead = hl_subpool_close(sp);
	hl_lock_release(&budget_lock);
	if (dead)
		dispose(sp->hold);
}

void hl_budget_end(struct hl_subpool *sp)
{
	hl_lock_acquire(&budget_lock);
	sp->min_hpages = -1;
	sp->rsv_hpages = 0;
	hl_lock_release(&budget_lock);
	fill(sp->hold);
	hl_budget_unref(sp);
}

void hl_budget_stat(struct hl_subpool *sp, struct hl_budget_stat *out)
{
	hl_lock_acquire(&budget_lock);
	out->want = sp->hold->want;
	out->want.max_units = sp->max_hpages;
	out->want.min_units = sp->min_hpages;
	out->used_units = sp->used_hpages;
	hl_lock_release(&budget_lock);
	hl_lock_acquire(&hold_lock);
	out->held_units = (int64_t)sp->hold->units;
	hl_lock_release(&hold_lock);
}

/* ---- taking and giving ---- */

static size_t left_of(const struct hl_subpool *sp)
{
	if (sp->max_hpages < 0)
		return SIZE_MAX;
	return (size_t)(sp->max_hpages - sp->used_hpages);
}

size_t hl_budget_left(struct hl_subpool *sp)
{
	size_t left;

	hl_lock_acquire(&budget_lock);
	left = left_of(sp);
	hl_lock_release(&budget_lock);
	return left;
}

size_t hl_budget_get(struct hl_subpool *sp, size_t n, size_t grain, bool whole,
	size_t *waiting)
{
	size_t left;
	int64_t fresh;

	*waiting = 0;
	if (sp == NULL)
		return n;
	hl_lock_acquire(&budget_lock);
	left = left_of(sp);
	if (n > left)
		n = whole ? 0 : hl_align_down(left, grain);
	fresh = n > 0 ? hl_subpool_get(sp, (int64_t)n) : 0;
	HL_ASSERT(fresh >= 0);
	hl_lock_release(&budget_lock);
	/* Whoever keeps no pages has nothing that waits. */
	if (sp->hold != NULL)
		*waiting = n - (size_t)fresh;
	return n;
}

void hl_budget_put(struct hl_subpool *sp, size_t n)
{
	bool dead, refill;

	if (sp == NULL || n == 0)
		return;
	hl_lock_acquire(&budget_lock);
	refill = hl_subpool_put(sp, (int64_t)n) < (int64_t)n;
	dead = hl_subpool_is_dead(sp);
	/* It must not end below our feet. */
	if (sp->hold != NULL && refill)
		hl_subpool_open(sp);
	hl_lock_release(&budget_lock);
	if (sp->hold == NULL)
		return;
	if (refill) {
		fill(sp->hold);
		hl_budget_unref(sp);
	} else if (dead) {
		dispose(sp->hold);
	}
}

/* ---- fork ---- */

void hl_charge_fork_prepare(void)
{
	hl_lock_acquire_fork(&budget_lock);
	hl_lock_acquire_fork(&hold_lock);
}

void hl_charge_fork_parent(void)
{
	hl_lock_release_fork(&hold_lock);
	hl_lock_release_fork(&budget_lock);
}

static void forget(struct hl_hold *h)
{
	struct chunk *c;

	/* The mappings were not inherited. */
	if (h->units > 0)
		leave(h, h->units);
	while ((c = h->chunks) != NULL) {
		h->chunks = c->next;
		hl_pool_of_give(&chunk_pool, c);
	}
	h->sp.min_hpages = -1;
	h->sp.rsv_hpages = 0;
}

void hl_charge_fork_child(void)
{
	struct hl_list *at;

	hl_lock_reset(&hold_lock);
	hl_lock_reset(&budget_lock);
	hl_list_for_each (at, &holds)
		forget(hl_list_entry(at, struct hl_hold, link));
}
