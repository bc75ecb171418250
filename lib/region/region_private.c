/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Private regions: units of an area (backing/area.h), so that they have its
 * chain of fallbacks, its books, its healer, and its care at fork.
 *
 * One call of hl_area_commit() does it, inside the thread's policy, except
 * where the chain depends on more than one node or may only use huge pages of
 * several sizes: then each size is committed strictly, as much as there is of
 * it, and what is left goes one size down.
 *
 * Under the region's lock, or before anyone knows the region.
 */
#include "region/region_internal.h"

#include "backing/budget.h"
#include "base/failure.h"

#include <errno.h>

struct job {
	struct region *r;
	struct hl_area *area;
	struct hl_want want;
};

static bool is_strict(const struct region *r)
{
	return (r->ask.flags & HTLB_REGION_STRICT) != 0;
}

static size_t unit_of(const struct region *r, int64_t step)
{
	return r->first + (size_t)step * (r->ask.step_bytes >> HL_UNIT_SHIFT);
}

static char *unit_addr(const struct job *j, size_t unit)
{
	return (char *)hl_area_base(j->area) + (unit << HL_UNIT_SHIFT);
}

static void note(struct region *r, enum hl_limit limit)
{
	if (r->limit == HL_LIMIT_NONE)
		r->limit = limit;
}

static int commit(
	struct job *j, size_t from, size_t to, const struct hl_want *want)
{
	struct hl_got got;
	int rc = hl_area_commit(j->area, from, to, want, &got);

	note(j->r, got.limit);
	if (rc == 0 && (j->r->ask.flags & HTLB_REGION_NO_BASE) &&
		got.units[HL_BACKING_BASE] > 0)
		return -ENOMEM;
	return rc;
}

/* Pages that can be had of a size, those that wait for the budget included. */
static uint64_t supply(const struct job *j, size_t page_bytes, bool strict,
	enum hl_limit *limit, int *node)
{
	uint64_t n = hl_place_supply(
		&j->r->ask.place, page_bytes, strict, limit, node);
	struct hl_budget_stat stat;

	if (j->r->ask.budget == NULL)
		return n;
	hl_budget_stat(j->r->ask.budget, &stat);
	return n + (uint64_t)stat.held_units * HL_UNIT_BYTES / page_bytes;
}

/* ---- size by size ---- */

/* Units from `from` on that came on pages of that size; fits the grain. */
static size_t commit_size(
	struct job *j, size_t from, size_t to, size_t page_bytes)
{
	struct hl_want want = j->want;
	struct hl_place_saved saved;
	enum hl_limit limit;
	uint64_t pages = (uint64_t)(to - from) * HL_UNIT_BYTES / page_bytes;
	uint64_t there;
	int node, rc;

	there = supply(j, page_bytes, false, &limit, &node);
	if (there < pages) {
		note(j->r, limit);
		hl_failure_record(limit, page_bytes, node, pages, there);
		pages = there;
	}
	to = from + (size_t)(pages * page_bytes >> HL_UNIT_SHIFT);
	if (to == from)
		return 0;
	want.page_bytes = page_bytes;
	want.strict = true;
	hl_place_enter(&j->r->ask.place, &saved);
	rc = commit(j, from, to, &want);
	hl_place_leave(&saved);
	return rc == 0 ? to - from : 0;
}

static int commit_sizes(
	struct job *j, size_t from, size_t to, size_t page_bytes)
{
	size_t smaller = hl_supply_smaller(page_bytes);
	size_t start, end;
	int rc;

	if (from == to)
		return 0;
	if (page_bytes == 0 && is_strict(j->r))
		return -ENOMEM;
	if (page_bytes == 0) {
		struct hl_want want = j->want;

		want.page_bytes = 0;
		return commit(j, from, to, &want);
	}
	if (!hl_area_whole_pages(j->area, page_bytes, from, to, &start, &end))
		return commit_sizes(j, from, to, smaller);
	rc = commit_sizes(j, from, start, smaller);
	if (rc < 0)
		return rc;
	start += commit_size(j, start, end, page_bytes);
	return commit_sizes(j, start, to, smaller);
}

/* ---- the whole ---- */

/* What the area cannot see: several nodes. */
static int look_before(struct job *j, size_t from, size_t to)
{
	size_t page_bytes = j->want.page_bytes;
	uint64_t pages = (uint64_t)(to - from) * HL_UNIT_BYTES / page_bytes;
	enum hl_limit limit;
	uint64_t there;
	int node;

	there = supply(j, page_bytes, true, &limit, &node);
	if (there >= pages)
		return 0;
	note(j->r, limit);
	hl_failure_record(limit, page_bytes, node, pages, there);
	return -ENOMEM;
}

static int commit_all(struct job *j, size_t from, size_t to)
{
	const struct hl_ask *ask = &j->r->ask;
	bool strict = is_strict(j->r);
	bool several =
		ask->place.policy != HTLB_POLICY_DEFAULT && ask->place.node < 0;
	struct hl_place_saved saved;
	int rc;

	if ((strict && ask->largest) ||
		(!strict && several && ask->place.policy == HTLB_POLICY_BIND))
		return commit_sizes(j, from, to, ask->page_bytes);
	if (strict && several) {
		rc = look_before(j, from, to);
		if (rc < 0)
			return rc;
	}
	if (!several)
		return commit(j, from, to, &j->want);
	hl_place_enter(&ask->place, &saved);
	rc = commit(j, from, to, &j->want);
	hl_place_leave(&saved);
	return rc;
}

/* Later faults (copy-on-write) shall find the same policy. */
static void set_ranges(const struct job *j, size_t from, size_t to)
{
	const struct hl_place *place = &j->r->ask.place;
	size_t u = from, end;

	/* One node is the area's business. */
	if (place->policy == HTLB_POLICY_DEFAULT || place->node >= 0)
		return;
	for (; u < to; u = end) {
		bool hugetlb = hl_area_page_bytes(j->area, u) != 0;

		for (end = u + 1; end < to; end++) {
			if ((hl_area_page_bytes(j->area, end) != 0) != hugetlb)
				break;
		}
		hl_place_range(place, unit_addr(j, u),
			(end - u) << HL_UNIT_SHIFT, hugetlb);
	}
}

static int look_after(const struct job *j, size_t from, size_t to)
{
	const struct hl_ask *ask = &j->r->ask;

	if (!is_strict(j->r) ||
		hl_place_is_kept(&ask->place, unit_addr(j, from),
			(to - from) << HL_UNIT_SHIFT,
			HL_MAX(ask->page_bytes, HL_UNIT_BYTES)))
		return 0;
	hl_failure_record(HL_LIMIT_NODE_POOL, ask->page_bytes, ask->place.node,
		((to - from) << HL_UNIT_SHIFT) / ask->page_bytes, 0);
	return -ENOMEM;
}

int hl_private_commit(struct region *r, int64_t from, int64_t to)
{
	size_t start = unit_of(r, from), end = unit_of(r, to);
	struct job j = {
		.r = r,
		.area = hl_room_area(r->room),
		.want =
			{
				.page_bytes = r->ask.page_bytes,
				.thp = !(r->ask.flags & HTLB_REGION_NO_THP),
				.node = r->ask.place.node,
				.subpool = r->ask.budget,
				.strict = is_strict(r),
			},
	};
	int rc;

	rc = commit_all(&j, start, end);
	if (rc == 0) {
		set_ranges(&j, start, end);
		rc = look_after(&j, start, end);
	}
	if (rc < 0)
		hl_area_release(j.area, start, end);
	return rc;
}

void hl_private_release(struct region *r, int64_t from, int64_t to)
{
	hl_area_release(
		hl_room_area(r->room), unit_of(r, from), unit_of(r, to));
}

/* Whether a boundary lies inside a page that is larger than a step. */
static bool is_cut(const struct region *r, int64_t step)
{
	struct hl_area *area = hl_room_area(r->room);
	size_t unit = unit_of(r, step);
	uintptr_t addr = hl_area_base(area) + (unit << HL_UNIT_SHIFT);
	size_t page_bytes;

	if (addr == r->node.from || addr == r->node.to)
		return false;
	page_bytes = hl_area_page_bytes(area, unit);
	return page_bytes > r->ask.step_bytes && addr % page_bytes != 0;
}

bool hl_private_is_cut(const struct region *r, int64_t from, int64_t to)
{
	return r->ask.largest && (is_cut(r, from) || is_cut(r, to));
}
