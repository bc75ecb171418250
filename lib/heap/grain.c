/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Committing and releasing units of a space, where a huge page may be larger
 * than a unit. Such a page is there as a whole from the first of its units that
 * someone needs to the last that is released; a unit that comes back
 * meanwhile is remembered as dirty, and cleared when it is handed out again.
 * Where the page cannot be had its units are committed one by one, from the
 * next smaller size on.
 *
 * Guarded by GROW of the arena that the space belongs to.
 */
#include "heap/space.h"

#include "base/bitmap.h"
#include "backing/area.h"
#include "heap/wished.h"

#include <errno.h>
#include <string.h>

/* The part [from, to) of [first, end) that lies in one page. */
struct piece {
	struct hl_grain *grain;
	size_t start; /* first unit of the page */
	size_t from, to;
};

static struct piece piece_at(struct hl_stretch *s, size_t from, size_t end)
{
	size_t n = s->space->grain, g = from / n;

	return (struct piece){
		.grain = &s->grain[g],
		.start = g * n,
		.from = from,
		.to = HL_MIN(end, (g + 1) * n),
	};
}

/* The first unit of a page: all of it, or unit by unit from now on. */
static bool commit_whole(
	struct hl_stretch *s, const struct piece *p, const struct hl_want *want)
{
	size_t n = s->space->grain;
	struct hl_want whole = *want;
	struct hl_got got;

	p->grain->whole = false;
	if (want->page_bytes == 0)
		return false;
	HL_ASSERT(want->page_bytes == n * HL_UNIT_BYTES);
	whole.strict = true;
	p->grain->whole = hl_area_commit(s->area, p->start, p->start + n,
				  &whole, &got) == 0;
	if (p->grain->whole)
		hl_bitmap_clear(s->dirty, p->start, p->start + n);
	return p->grain->whole;
}

static void clear_dirty(struct hl_stretch *s, size_t from, size_t to)
{
	for (size_t u = from; u < to; u++) {
		if (!hl_bitmap_test(s->dirty, u))
			continue;
		memset((void *)(s->base + u * HL_UNIT_BYTES), 0, HL_UNIT_BYTES);
		hl_bitmap_clear(s->dirty, u, u + 1);
	}
}

static int commit_piece(
	struct hl_stretch *s, const struct piece *p, const struct hl_want *want)
{
	struct hl_want smaller = *want;
	struct hl_got got;
	int rc = 0;

	if (p->grain->used == 0 && !commit_whole(s, p, want) && want->strict)
		return -ENOMEM;
	if (p->grain->whole) {
		clear_dirty(s, p->from, p->to);
	} else {
		smaller.page_bytes = hl_supply_smaller(want->page_bytes);
		rc = hl_area_commit(s->area, p->from, p->to, &smaller, &got);
	}
	if (rc < 0)
		return rc;
	if (p->grain->used == 0)
		hl_wished_count((int64_t)s->space->grain);
	p->grain->used += (uint32_t)(p->to - p->from);
	return 0;
}

static bool release_piece(struct hl_stretch *s, const struct piece *p)
{
	size_t n = s->space->grain;

	HL_ASSERT(p->grain->used >= p->to - p->from);
	p->grain->used -= (uint32_t)(p->to - p->from);
	if (p->grain->used == 0)
		hl_wished_count(-(int64_t)n);
	if (p->grain->whole && p->grain->used > 0) {
		hl_bitmap_set(s->dirty, p->from, p->to);
		return false;
	}
	if (p->grain->whole)
		hl_area_release(s->area, p->start, p->start + n);
	else
		hl_area_release(s->area, p->from, p->to);
	return true;
}

int hl_space_commit(struct hl_stretch *s, size_t first, size_t n,
	const struct hl_want *want)
{
	size_t end = first + n;
	struct hl_got got;
	struct piece p;
	int rc;

	if (s->grain == NULL) {
		rc = hl_area_commit(s->area, first, end, want, &got);
		if (rc == 0 && want->page_bytes != 0)
			hl_wished_mark(s, first, n);
		if (rc == 0 && got.units[HL_BACKING_BASE] > 0)
			hl_collapse_expect_base();
		return rc;
	}
	for (size_t at = first; at < end; at = p.to) {
		p = piece_at(s, at, end);
		rc = commit_piece(s, &p, want);
		if (rc < 0) {
			if (at > first)
				(void)hl_space_release(s, first, at - first);
			return rc;
		}
	}
	return 0;
}

void hl_space_wish(struct hl_stretch *s, size_t first, size_t n)
{
	if (s->grain == NULL)
		hl_wished_mark(s, first, n);
}

int hl_space_move(struct hl_stretch *src, size_t from, size_t n,
	struct hl_stretch *dst, size_t to)
{
	int rc;

	HL_ASSERT(src->grain == NULL && dst->grain == NULL);
	rc = hl_area_move(src->area, from, from + n, dst->area, to);
	if (rc == 0 && hl_wished_clear(src, from, n))
		hl_wished_mark(dst, to, n);
	return rc;
}

bool hl_space_release(struct hl_stretch *s, size_t first, size_t n)
{
	size_t end = first + n;
	bool any = false;
	struct piece p;

	if (s->grain == NULL) {
		(void)hl_wished_clear(s, first, n);
		hl_area_release(s->area, first, end);
		return true;
	}
	for (size_t at = first; at < end; at = p.to) {
		p = piece_at(s, at, end);
		any |= release_piece(s, &p);
	}
	return any;
}
