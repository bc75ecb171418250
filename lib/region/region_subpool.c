/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subpools as the API has them: budgets (backing/budget.h) in whole pages. The
 * handle is the budget itself, so that whatever takes pages can draw upon it.
 */
#include "region/region_internal.h"

#include "backing/budget.h"
#include "base/failure.h"
#include "base/record.h"

#include <errno.h>

#define STAT_V1_BYTES sizeof(struct htlb_subpool_stat)

/* Of a count of pages; -1 if it is too large. 0 pages: none. */
static int64_t units_of(uint64_t hpages, size_t page_bytes)
{
	size_t bytes;

	if (hpages == 0)
		return 0;
	if (!hl_mul_ok(hpages, page_bytes, &bytes) ||
		bytes > (size_t)PTRDIFF_MAX)
		return -1;
	return (int64_t)((bytes + HL_UNIT_BYTES - 1) >> HL_UNIT_SHIFT);
}

static uint64_t pages_of(int64_t units, size_t page_bytes)
{
	return units < 0 ? 0 : (uint64_t)units * HL_UNIT_BYTES / page_bytes;
}

static int want_of(
	const struct htlb_subpool_options *o, struct hl_budget_want *want)
{
	size_t page_bytes =
		o->page_bytes != 0 ? o->page_bytes : hl_region_default_size();
	struct hl_place place;
	int rc = 0;

	if (o->node_count > 1)
		return -EINVAL;
	if (page_bytes != 0 && !hl_is_pow2(page_bytes))
		return -EINVAL;
	want->page_bytes = hl_supply_page_bytes(page_bytes);
	if (want->page_bytes == 0 ||
		(o->page_bytes != 0 && want->page_bytes != o->page_bytes)) {
		hl_failure_record(HL_LIMIT_UNSUPPORTED, page_bytes, HL_NODE_ANY,
			o->min_hpages, 0);
		return -EOPNOTSUPP;
	}
	if (o->node_count == 1)
		rc = hl_place_resolve(HTLB_POLICY_BIND, o->nodes, 1, &place);
	if (rc < 0)
		return rc;
	want->node = o->node_count == 1 ? place.node : HL_NODE_ANY;
	want->min_units = units_of(o->min_hpages, want->page_bytes);
	want->max_units = units_of(o->max_hpages, want->page_bytes);
	if (want->min_units < 0 || want->max_units < 0)
		return -EINVAL;
	/* 0 is "none" for the caller, -1 for the budget. */
	if (want->min_units == 0)
		want->min_units = -1;
	if (want->max_units == 0)
		want->max_units = -1;
	return 0;
}

int hl_region_subpool_create(
	const struct htlb_subpool_options *options, struct htlb_subpool **out)
{
	struct htlb_subpool_options o;
	struct hl_budget_want want;
	struct hl_subpool *budget;
	enum hl_limit limit;
	uint64_t available;
	int rc = hl_record_in(&o, sizeof(o), options);

	if (rc < 0)
		return rc;
	hl_region_set_up();
	rc = want_of(&o, &want);
	if (rc < 0)
		return rc;
	rc = hl_budget_open(&want, &budget, &limit, &available);
	if (rc == -ENOMEM)
		hl_failure_record(limit, want.page_bytes, want.node,
			o.min_hpages, available);
	if (rc < 0)
		return rc;
	*out = (struct htlb_subpool *)budget;
	return 0;
}

int hl_region_subpool_stat(
	struct htlb_subpool *subpool, struct htlb_subpool_stat *out)
{
	struct htlb_subpool_stat own;
	struct hl_budget_stat stat;
	size_t page_bytes;

	if (out->size < STAT_V1_BYTES)
		return -EINVAL;
	hl_budget_stat(hl_budget_of(subpool), &stat);
	page_bytes = stat.want.page_bytes;
	own = (struct htlb_subpool_stat){
		.page_bytes = page_bytes,
		.node = stat.want.node,
		.min_hpages = pages_of(stat.want.min_units, page_bytes),
		.max_hpages = pages_of(stat.want.max_units, page_bytes),
		.used_hpages = pages_of(stat.used_units, page_bytes),
		.held_hpages = pages_of(stat.held_units, page_bytes),
	};
	return hl_record_out(out, STAT_V1_BYTES, &own, sizeof(own));
}

void hl_region_subpool_destroy(struct htlb_subpool *subpool)
{
	if (subpool != NULL)
		hl_budget_end(hl_budget_of(subpool));
}
