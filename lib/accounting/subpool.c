/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A budget of huge pages of one size: at most max, at least min.
 *
 * Callers: backing/ (the budget of a heap or a region), under the lock that
 * the owner of the subpool names. Nothing here can fail after it has changed
 * something.
 *
 * All follows from one equation: what waits for the minimum is what the
 * minimum exceeds the use by, rsv = max(0, min - used). get and put move
 * `used`; the change of rsv is what the minimum pays (or keeps), the rest is
 * the pool's.
 */
#include "accounting/subpool.h"

#include <errno.h>

static int64_t set_aside(const struct hl_subpool *sp, int64_t used)
{
	/* Without a minimum, -1 is below any use. */
	return HL_MAX(0, sp->min_hpages - used);
}

int hl_subpool_init(struct hl_subpool *sp, int64_t max, int64_t min)
{
	if (max < -1 || min < -1 || (max >= 0 && min > max))
		return -EINVAL;
	sp->max_hpages = max;
	sp->min_hpages = min;
	sp->used_hpages = 0;
	sp->rsv_hpages = set_aside(sp, 0);
	sp->users = 1;
	sp->hold = NULL;
	HL_VALID(hl_subpool_is_valid(sp));
	return 0;
}

int64_t hl_subpool_get(struct hl_subpool *sp, int64_t n)
{
	int64_t limit = sp->max_hpages < 0 ? INT64_MAX : sp->max_hpages;
	int64_t before = sp->rsv_hpages;

	HL_ASSERT(n >= 0);
	if (n > limit - sp->used_hpages)
		return -ENOMEM;
	sp->used_hpages += n;
	sp->rsv_hpages = set_aside(sp, sp->used_hpages);
	HL_VALID(hl_subpool_is_valid(sp));
	return n - (before - sp->rsv_hpages);
}

int64_t hl_subpool_put(struct hl_subpool *sp, int64_t n)
{
	int64_t before = sp->rsv_hpages;

	HL_ASSERT(n >= 0 && n <= sp->used_hpages);
	sp->used_hpages -= n;
	sp->rsv_hpages = set_aside(sp, sp->used_hpages);
	HL_VALID(hl_subpool_is_valid(sp));
	return n - (sp->rsv_hpages - before);
}

void hl_subpool_open(struct hl_subpool *sp)
{
	HL_ASSERT(!hl_subpool_is_dead(sp));
	sp->users++;
}

bool hl_subpool_close(struct hl_subpool *sp)
{
	HL_ASSERT(sp->users > 0);
	sp->users--;
	return hl_subpool_is_dead(sp);
}

bool hl_subpool_is_dead(const struct hl_subpool *sp)
{
	return sp->users == 0 && sp->used_hpages == 0;
}

bool hl_subpool_is_valid(const struct hl_subpool *sp)
{
	if (sp->max_hpages < -1 || sp->min_hpages < -1)
		return false;
	if (sp->max_hpages >= 0 && sp->min_hpages > sp->max_hpages)
		return false;
	if (sp->used_hpages < 0 || sp->users < 0)
		return false;
	if (sp->max_hpages >= 0 && sp->used_hpages > sp->max_hpages)
		return false;
	return sp->rsv_hpages == set_aside(sp, sp->used_hpages);
}
