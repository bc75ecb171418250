/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reservation map: a set of huge-page indices as sorted, non-adjacent
 * half-open regions [from, to). Pure arithmetic; the caller's lock guards it.
 *
 * A change is a transaction: chg says how many pages of [from, to) are not in
 * the map yet and sets aside the nodes that add will need, so add cannot fail;
 * abort ends a chg without add. Several chg may be under way at once.
 *
 * Shared areas: the map holds what has a reservation, and outlives unmapping.
 * Private areas: the map holds what has consumed its reservation, owned by the
 * creator only (a fork's child has none). The kind matters to the calls for one
 * page only.
 *
 * Ranges satisfy 0 <= from <= to (asserted).
 *
 * Nodes come from the allocator given at init (hl_pool_of over metadata in the
 * library, anything in tests).
 */
#ifndef HL_ACCOUNTING_RESV_H
#define HL_ACCOUNTING_RESV_H

#include "base/base.h"
#include "base/list.h"

struct hl_resv_alloc {
	void *(*take)(void *arg); /* a node of hl_resv_node_bytes, or NULL */
	void (*give)(void *arg, void *node);
	void *arg;
};
extern const size_t hl_resv_node_bytes;

struct hl_resv_node;

enum hl_resv_kind {
	HL_RESV_SHARED,	 /* in the map: has a reservation */
	HL_RESV_PRIVATE, /* in the map: has consumed its reservation */
};

struct hl_resv {
	struct hl_resv_node
		*root; /* treap: maps of big heaps have many regions */
	struct hl_resv_node *spare;
	size_t spare_count; /* == pending */
	size_t pending;	    /* chg without add or abort yet */
	size_t regions;
	int64_t hpages;
	enum hl_resv_kind kind;
	uint64_t random; /* state of the generator of priorities */
	struct hl_resv_alloc alloc;
};

/* Empty, of kind HL_RESV_SHARED; the caller may set another kind. */
void hl_resv_init(struct hl_resv *map, const struct hl_resv_alloc *alloc);
/* All nodes go back; pending must be 0. */
void hl_resv_destroy(struct hl_resv *map);

/* Pages of [from, to) not in the map, or -ENOMEM (nothing changed). */
int64_t hl_resv_chg(struct hl_resv *map, int64_t from, int64_t to);
/*
 * Ends a chg of the same range. Returns the pages that were really new (a
 * concurrent chg may have added some, a del may have removed some).
 * Cannot fail.
 */
int64_t hl_resv_add(struct hl_resv *map, int64_t from, int64_t to);
void hl_resv_abort(struct hl_resv *map, int64_t from, int64_t to);
/*
 * Removes; returns how many pages were in the map. May split a region, which
 * needs a node: -ENOMEM before anything changed. A range that reaches an end
 * of each region it touches, or lies in none, never fails.
 */
int64_t hl_resv_del(struct hl_resv *map, int64_t from, int64_t to);
/* Pages of [from, to) in the map. */
int64_t hl_resv_count(const struct hl_resv *map, int64_t from, int64_t to);

/*
 * For one page at a time, as a mapping that is backed page by page needs it.
 * The heap commits whole stretches and does not; regions may, and together with
 * the calls above these are the map's whole contract. needs: 1 the page must
 * come from the pool, 0 a reservation pays for it, or -ENOMEM. After 0 or 1
 * exactly one of the following, none of which can fail: commit   the page is
 * there end      nothing happened restore  a reservation that was consumed for
 * the page is given back
 */
int hl_resv_needs(struct hl_resv *map, int64_t index);
void hl_resv_commit(struct hl_resv *map, int64_t index);
void hl_resv_end(struct hl_resv *map, int64_t index);
void hl_resv_restore(struct hl_resv *map, int64_t index);

/* Walks the whole map. */
bool hl_resv_is_valid(const struct hl_resv *map);

#endif
