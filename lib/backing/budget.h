/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets: a subpool that several areas and shared regions draw upon, and the
 * pages of its minimum, which really wait in the process (a hold).
 *
 * A budget counts units, whatever the page size. What waits was populated, on
 * the node, in mappings that no fork inherits; it is moved into place when it
 * is used (mremap), so that no other process can get in between. What comes
 * back is freed and taken again: there another process can be faster, and the
 * hold is then short until the next change finds pages.
 *
 * A plain struct hl_subpool without a hold serves as well (the heap's
 * --heap-max). All calls here make or may make system calls, and take the
 * budget lock and the hold lock, both of rank BACKING, one after the other.
 */
#ifndef HL_BACKING_BUDGET_H
#define HL_BACKING_BUDGET_H

#include "accounting/subpool.h"
#include "base/base.h"
#include "base/limit.h"

struct hl_hold; /* budget.c */

/* What htlb_subpool_create() hands out is the budget itself. */
struct htlb_subpool;
static inline struct hl_subpool *hl_budget_of(struct htlb_subpool *handle)
{
	return (struct hl_subpool *)handle;
}

struct hl_budget_want {
	size_t page_bytes;
	int node;	   /* HL_NODE_ANY or the node of the minimum */
	int64_t max_units; /* -1: none; both multiples of the page */
	int64_t min_units; /* -1: none */
};

/*
 * One handle, the creator's. -EINVAL if min > max; -ENOMEM if the minimum
 * cannot be had (*limit says why, *available how many pages there were), or the
 * metadata (limit MEMORY).
 */
int hl_budget_open(const struct hl_budget_want *want, struct hl_subpool **out,
	enum hl_limit *limit, uint64_t *available);
/*
 * The creator's end: the minimum is over and what waits goes back. The record
 * lives until the last page and the last handle are gone.
 */
void hl_budget_end(struct hl_subpool *sp);
/* Further handles. */
void hl_budget_ref(struct hl_subpool *sp);
void hl_budget_unref(struct hl_subpool *sp);

struct hl_budget_stat {
	struct hl_budget_want want;
	int64_t used_units;
	int64_t held_units;
};
void hl_budget_stat(struct hl_subpool *sp, struct hl_budget_stat *out);

/*
 * Takes up to n units, a multiple of grain; all or nothing if `whole`. Returns
 * how many; *waiting of them wait in the hold. sp NULL: no budget.
 */
size_t hl_budget_get(struct hl_subpool *sp, size_t n, size_t grain, bool whole,
	size_t *waiting);
/* Gives n units back and fills the hold again. May free the record. */
void hl_budget_put(struct hl_subpool *sp, size_t n);
/* Room below the maximum, for messages. */
size_t hl_budget_left(struct hl_subpool *sp);

/*
 * Puts up to n waiting units at addr, over what is mapped there. Returns how
 * many; the others of the n were freed, for the caller to take from the pool.
 */
size_t hl_hold_place(struct hl_subpool *sp, void *addr, size_t n);
/* Frees n waiting units, for pages that cannot be moved (files). */
void hl_hold_drop(struct hl_subpool *sp, size_t n);

#endif
