/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared regions: a file mapped over address space of our own, reserved,
 * placed, populated and looked at, or nothing of it.
 *
 * A shared mapping of hugetlbfs reserves what it maps, in the file: for every
 * process that has it and beyond munmap(). Populated, its pages are in the
 * file and nothing can take them away. Punching a hole gives page and
 * reservation back, so that a part that is committed again must be mapped
 * again, which reserves it again.
 *
 * The books: the region's map has what is committed, in steps; budget and
 * ledger have the pages, in the creator only. A file of ordinary memory (the
 * fallback) is in no book.
 *
 * Under the region's lock, or before anyone knows the region.
 */
#include "region/region_internal.h"

#include "accounting/ledger.h"
#include "backing/budget.h"
#include "base/count.h"
#include "base/failure.h"
#include "system/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

/* A part of the file, and what it costs. */
struct part {
	struct region *r;
	char *addr;
	size_t offset, bytes;
	size_t page_bytes;
	int64_t pages;
	size_t units;
	size_t waiting; /* units that the budget's hold has */
};

static void make_part(
	struct part *p, struct region *r, int64_t from, int64_t to)
{
	p->r = r;
	p->offset = (size_t)from * r->ask.step_bytes;
	p->bytes = (size_t)(to - from) * r->ask.step_bytes;
	p->addr = hl_region_base(r) + p->offset;
	p->page_bytes = r->file_page_bytes;
	p->pages = p->page_bytes == 0 ? 0 : (int64_t)(p->bytes / p->page_bytes);
	p->units = p->bytes >> HL_UNIT_SHIFT;
	p->waiting = 0;
}

static bool is_booked(const struct region *r)
{
	return r->file_page_bytes != 0 && !r->is_opened;
}

static int node_of(const struct region *r)
{
	return r->ask.place.node;
}

static int failed(
	const struct part *p, enum hl_limit limit, int node, uint64_t available)
{
	if (p->r->limit == HL_LIMIT_NONE)
		p->r->limit = limit;
	hl_failure_record(
		limit, p->page_bytes, node, (uint64_t)p->pages, available);
	return -ENOMEM;
}

/* ---- the books ---- */

static int64_t waiting_pages(const struct part *p)
{
	return (int64_t)(p->waiting * HL_UNIT_BYTES / p->page_bytes);
}

/* In the file beyond what the map has: another process put them there. */
static int64_t extra_pages(
	const struct part *p, const struct hl_file_info *info)
{
	int64_t steps = (int64_t)(p->r->ask.bytes / p->r->ask.step_bytes);
	int64_t ours = hl_resv_count(&p->r->map, 0, steps) *
		       (int64_t)(p->r->ask.step_bytes / p->page_bytes);
	int64_t present = (int64_t)(info->present_bytes / p->page_bytes);

	return HL_MAX(present - ours, 0);
}

/* What can be seen beforehand; all pages are promised if 0. */
static int look_before(struct part *p)
{
	bool strict = (p->r->ask.flags & HTLB_REGION_STRICT) != 0;
	int64_t fresh = p->pages - waiting_pages(p), extra;
	struct hl_file_info info;
	enum hl_limit limit;
	uint64_t there;
	int node, rc;

	rc = hl_files->info(p->r->fd, &info);
	if (rc < 0)
		return failed(p, HL_LIMIT_MEMORY, HL_NODE_ANY, 0);
	extra = extra_pages(p, &info);
	fresh = HL_MAX(fresh - extra, 0);
	there = hl_place_supply(
		&p->r->ask.place, p->page_bytes, strict, &limit, &node);
	if (there < (uint64_t)fresh)
		return failed(p, limit, node, there);
	if (info.free_hpages < (uint64_t)HL_MAX(p->pages - extra, 0))
		return failed(
			p, HL_LIMIT_MOUNT_SIZE, HL_NODE_ANY, info.free_hpages);
	if (hl_ledger_promise(&hl_ledger, p->page_bytes, node_of(p->r), fresh,
		    (int64_t)HL_MIN(there, INT64_MAX)) < 0)
		return failed(p, limit, node, 0);
	/* Those that are there already need no comparison. */
	(void)hl_ledger_promise(
		&hl_ledger, p->page_bytes, node_of(p->r), p->pages - fresh, -1);
	return 0;
}

static int charge(struct part *p)
{
	struct hl_subpool *budget = p->r->ask.budget;
	size_t grain = HL_MAX(p->page_bytes >> HL_UNIT_SHIFT, 1);
	int rc;

	if (hl_budget_get(budget, p->units, grain, true, &p->waiting) == 0)
		return failed(p, HL_LIMIT_SUBPOOL, HL_NODE_ANY,
			hl_budget_left(budget) * HL_UNIT_BYTES / p->page_bytes);
	rc = look_before(p);
	if (rc < 0)
		hl_budget_put(budget, p->units);
	else if (p->waiting > 0)
		hl_hold_drop(budget, p->waiting);
	return rc;
}

static void abort_charge(const struct part *p)
{
	hl_ledger_cancel(&hl_ledger, p->page_bytes, node_of(p->r), p->pages);
	hl_budget_put(p->r->ask.budget, p->units);
}

static void enter(const struct part *p)
{
	int node = node_of(p->r);

	hl_ledger_back(&hl_ledger, p->page_bytes, node, node, p->pages);
	hl_supply_moved(p->page_bytes, node, -p->pages);
}

static void leave(const struct part *p)
{
	int node = node_of(p->r);

	hl_ledger_release(&hl_ledger, p->page_bytes, node, node, p->pages);
	hl_supply_moved(p->page_bytes, node, p->pages);
	hl_budget_put(p->r->ask.budget, p->units);
}

/* ---- the kernel ---- */

static int map_file(const struct part *p)
{
	void *at;

	return hl_os->mmap(p->addr, p->bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_FIXED, p->r->fd, (off_t)p->offset, &at);
}

/* Refused only beyond max_map_count; then the file stays mapped. */
static void map_none(const struct part *p)
{
	void *at;

	(void)hl_os->mmap(p->addr, p->bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, &at);
}

static void punch(const struct part *p)
{
	(void)hl_files->allocate(p->r->fd,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)p->offset,
		(off_t)p->bytes);
}

/* Why the kernel refused although there seemed to be enough. */
static int refused(const struct part *p, int rc)
{
	struct hl_file_info info;
	enum hl_limit limit;
	uint64_t there;
	int node;

	switch (rc) {
	case -EAGAIN:
		return failed(p, HL_LIMIT_MEMLOCK, HL_NODE_ANY, 0);
	case -EPERM:
	case -EACCES:
		return failed(p, HL_LIMIT_PERMISSION, HL_NODE_ANY, 0);
	default:
		break;
	}
	if (hl_files->info(p->r->fd, &info) == 0 &&
		info.free_hpages < (uint64_t)p->pages)
		return failed(
			p, HL_LIMIT_MOUNT_SIZE, HL_NODE_ANY, info.free_hpages);
	there = hl_place_supply(
		&p->r->ask.place, p->page_bytes, true, &limit, &node);
	return failed(p, limit, node, there);
}

/* Maps, places and populates; what came of it is undone by the caller. */
static int back(const struct part *p)
{
	const struct hl_place *place = &p->r->ask.place;
	struct hl_place_saved saved;
	size_t arrived = 0;
	int rc;

	hl_place_enter(place, &saved);
	rc = map_file(p);
	if (rc == 0) {
		hl_place_range(place, p->addr, p->bytes, true);
		arrived = hl_populate_hugetlb(p->addr, p->bytes, p->page_bytes);
		if (arrived < (size_t)p->pages)
			rc = -ENOMEM;
	}
	hl_place_leave(&saved);
	if (rc < 0)
		return refused(p, rc);
	if ((p->r->ask.flags & HTLB_REGION_STRICT) &&
		!hl_place_is_kept(place, p->addr, p->bytes, p->page_bytes))
		return failed(p, HL_LIMIT_NODE_POOL, node_of(p->r), 0);
	return 0;
}

static int commit_hugetlb(struct part *p)
{
	int rc = charge(p);

	if (rc < 0)
		return rc;
	rc = back(p);
	if (rc == 0) {
		enter(p);
		return 0;
	}
	punch(p);
	map_none(p);
	abort_charge(p);
	return rc;
}

static int commit_ordinary(const struct part *p)
{
	bool thp = !(p->r->ask.flags & HTLB_REGION_NO_THP) && hl_supply_thp();
	int rc = map_file(p);

	if (rc < 0)
		return failed(p, HL_LIMIT_MEMORY, HL_NODE_ANY, 0);
	hl_place_range(&p->r->ask.place, p->addr, p->bytes, false);
	if (thp)
		(void)hl_os->madvise(p->addr, p->bytes, MADV_HUGEPAGE);
	return 0;
}

/* Another process is the keeper of the books. */
static int commit_opened(const struct part *p)
{
	int rc = map_file(p);

	if (rc == 0)
		return 0;
	return p->page_bytes == 0 ? failed(p, HL_LIMIT_MEMORY, HL_NODE_ANY, 0)
				  : refused(p, rc);
}

int hl_shared_commit(struct region *r, int64_t from, int64_t to)
{
	struct part p;

	make_part(&p, r, from, to);
	if (r->is_opened)
		return commit_opened(&p);
	return p.page_bytes != 0 ? commit_hugetlb(&p) : commit_ordinary(&p);
}

/* The largest pages that fit are larger than a step. */
bool hl_shared_is_cut(const struct region *r, int64_t from, int64_t to)
{
	size_t steps = r->file_page_bytes / r->ask.step_bytes;

	return steps > 1 &&
	       ((size_t)from % steps != 0 || (size_t)to % steps != 0);
}

void hl_shared_release(struct region *r, int64_t from, int64_t to)
{
	struct part p;

	make_part(&p, r, from, to);
	punch(&p);
	map_none(&p);
	if (is_booked(r))
		leave(&p);
}

void hl_shared_close(struct region *r)
{
	int64_t steps = (int64_t)(r->ask.bytes / r->ask.step_bytes);
	int64_t from = 0, to;
	struct part p;

	make_part(&p, r, 0, steps);
	map_none(&p);
	(void)hl_files->close(r->fd);
	r->fd = -1;
	if (!is_booked(r))
		return;
	/* The file has gone first: a hold may want its pages. */
	while ((from = hl_region_next(r, from, steps, true)) < steps) {
		to = hl_region_next(r, from, steps, false);
		make_part(&p, r, from, to);
		leave(&p);
		from = to;
	}
}

/* ---- making one ---- */

static int open_failed(const struct region *r, size_t page_bytes, int rc)
{
	enum hl_limit limit = HL_LIMIT_MEMORY;

	if (rc == -EACCES || rc == -EPERM || rc == -EROFS)
		limit = HL_LIMIT_PERMISSION;
	else if (rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -EINVAL ||
		 rc == -ENODEV || rc == -ENOENT || rc == -ENOTDIR)
		limit = HL_LIMIT_UNSUPPORTED;
	hl_failure_record(limit, page_bytes, HL_NODE_ANY,
		page_bytes == 0 ? 0 : r->ask.bytes / page_bytes, 0);
	if (limit == HL_LIMIT_PERMISSION)
		return -EACCES;
	return limit == HL_LIMIT_UNSUPPORTED ? -EOPNOTSUPP : -ENOMEM;
}

static int try_size(struct region *r, size_t page_bytes)
{
	int64_t steps = (int64_t)(r->ask.bytes / r->ask.step_bytes);
	int fd = hl_region_file(&r->ask, page_bytes), rc = 0;

	if (fd < 0)
		return open_failed(r, page_bytes, fd);
	r->fd = fd;
	r->file_page_bytes = page_bytes;
	if (!(r->ask.flags & HTLB_REGION_EMPTY))
		rc = hl_shared_commit(r, 0, steps);
	if (rc < 0) {
		(void)hl_files->close(fd);
		r->fd = -1;
	}
	return rc;
}

int hl_shared_open(struct region *r)
{
	unsigned flags = r->ask.flags;
	size_t size = r->ask.page_bytes;
	int rc = -ENOMEM;

	for (; size != 0; size = hl_supply_smaller(size)) {
		rc = try_size(r, size);
		if (rc == 0 ||
			((flags & HTLB_REGION_STRICT) && !r->ask.largest))
			return rc;
	}
	if (flags & (HTLB_REGION_STRICT | HTLB_REGION_NO_BASE))
		return rc;
	/* Counted already if pages of another size stood in at first. */
	if (!r->ask.is_lacking)
		hl_count_fallback(r->limit, r->ask.bytes >> HL_UNIT_SHIFT);
	return try_size(r, 0);
}

int hl_shared_attach(struct region *r)
{
	return hl_shared_commit(
		r, 0, (int64_t)(r->ask.bytes / r->ask.step_bytes));
}
