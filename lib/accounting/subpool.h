/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A budget of huge pages of one size: at most max, at least min. Pure
 * arithmetic; the caller's lock guards it.
 *
 * min: pages that were taken from the pool beforehand and wait here (rsv).
 * Invariants: used <= max (if any); rsv == max(0, min - used).
 */
#ifndef HL_ACCOUNTING_SUBPOOL_H
#define HL_ACCOUNTING_SUBPOOL_H

#include "base/base.h"

struct hl_hold;

struct hl_subpool {
	int64_t max_hpages; /* -1: no limit */
	int64_t min_hpages; /* -1: no guarantee */
	int64_t used_hpages;
	int64_t rsv_hpages;   /* of the minimum, not used yet */
	int64_t users;	      /* handles; 0 and used 0: may be destroyed */
	struct hl_hold *hold; /* whoever keeps the rsv pages; not looked at
				 here, NULL at first */
};

/*
 * One handle, the creator's. The caller has taken the minimum from the pool.
 * -EINVAL if min > max or a value < -1; *sp is untouched then.
 */
int hl_subpool_init(struct hl_subpool *sp, int64_t max, int64_t min);
/*
 * Takes n pages. Returns how many must still come from the pool (0..n) after
 * what the minimum had set aside, or -ENOMEM past the maximum (nothing
 * changed).
 */
int64_t hl_subpool_get(struct hl_subpool *sp, int64_t n);
/*
 * Gives n pages back. Returns how many leave the pool's charge (0..n); the
 * rest stay set aside for the minimum.
 */
int64_t hl_subpool_put(struct hl_subpool *sp, int64_t n);
/*
 * Handles. close returns true when the last page and the last handle are gone:
 * the caller gives rsv_hpages back to the pool and frees the record. If pages
 * are still out, whoever puts the last one finds hl_subpool_is_dead() true.
 */
void hl_subpool_open(struct hl_subpool *sp);
bool hl_subpool_close(struct hl_subpool *sp);
bool hl_subpool_is_dead(const struct hl_subpool *sp);
bool hl_subpool_is_valid(const struct hl_subpool *sp);

#endif
