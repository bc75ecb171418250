/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a region really stands on, by size, kind and node: state words of the
 * area tell the kind, the kernel (move_pages) the node.
 *
 * A part is found by walking the parts so far, of which there are few: sizes
 * times nodes. Those that do not fit into the caller's array are counted in a
 * small one of our own, as far as it goes.
 */
#include "region/region_internal.h"

#include "base/record.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define INFO_V1_BYTES sizeof(struct htlb_region_info)
#define OWN_PARTS     64

struct walk {
	const struct region *r;
	struct htlb_region_info *out;
	struct htlb_region_part own[OWN_PARTS];
	size_t own_count;
};

static struct htlb_region_part *part_at(struct walk *w, size_t i)
{
	return i < w->out->part_capacity ? &w->out->parts[i]
					 : &w->own[i - w->out->part_capacity];
}

static void count_part(
	struct walk *w, size_t page_bytes, int backing, int node, size_t bytes)
{
	struct htlb_region_part *p;

	for (size_t i = 0; i < w->out->part_count; i++) {
		p = part_at(w, i);
		if (p->page_bytes == page_bytes && p->backing == backing &&
			p->node == node) {
			p->bytes += bytes;
			return;
		}
	}
	if (w->out->part_count >= w->out->part_capacity + OWN_PARTS)
		return;
	p = part_at(w, w->out->part_count++);
	*p = (struct htlb_region_part){page_bytes, backing, node, bytes};
}

static void count(struct walk *w, const char *addr, size_t bytes,
	size_t page_bytes, int backing)
{
	int node = hl_os->page_node((void *)(uintptr_t)addr);

	switch (backing) {
	case HTLB_BACKING_HUGETLB:
		w->out->hugetlb_bytes += bytes;
		break;
	case HTLB_BACKING_THP:
		w->out->thp_bytes += bytes;
		break;
	default:
		w->out->base_bytes += bytes;
		break;
	}
	count_part(
		w, page_bytes, backing, node < 0 ? HTLB_NODE_ANY : node, bytes);
}

static int backing_of(enum hl_backing_kind kind)
{
	if (kind == HL_BACKING_HUGETLB)
		return HTLB_BACKING_HUGETLB;
	return kind == HL_BACKING_THP ? HTLB_BACKING_THP : HTLB_BACKING_BASE;
}

static void walk_private(struct walk *w, size_t from, size_t to)
{
	struct hl_area *area = hl_room_area(w->r->room);
	size_t unit = w->r->first + (from >> HL_UNIT_SHIFT);
	const char *addr = hl_region_base(w->r);

	while (from < to) {
		size_t page_bytes = hl_area_page_bytes(area, unit);
		size_t bytes =
			HL_MIN(HL_MAX(page_bytes, HL_UNIT_BYTES), to - from);

		count(w, addr + from, bytes, page_bytes,
			backing_of(hl_area_kind(area, unit)));
		from += bytes;
		unit += bytes >> HL_UNIT_SHIFT;
	}
}

static void walk_shared(struct walk *w, size_t from, size_t to)
{
	size_t page_bytes = w->r->file_page_bytes;
	size_t step = HL_MAX(page_bytes, HL_UNIT_BYTES);
	const char *addr = hl_region_base(w->r);

	for (; from < to; from += step)
		count(w, addr + from, step, page_bytes,
			page_bytes != 0 ? HTLB_BACKING_HUGETLB
					: HTLB_BACKING_BASE);
}

static void walk(struct walk *w)
{
	const struct region *r = w->r;
	int64_t steps = (int64_t)(r->ask.bytes / r->ask.step_bytes);
	int64_t at = 0, end;

	while ((at = hl_region_next(r, at, steps, true)) < steps) {
		size_t from = (size_t)at * r->ask.step_bytes, to;

		end = hl_region_next(r, at, steps, false);
		to = (size_t)end * r->ask.step_bytes;
		w->out->committed_bytes += to - from;
		if (hl_region_is_shared(r))
			walk_shared(w, from, to);
		else
			walk_private(w, from, to);
		at = end;
	}
}

int hl_region_info(const void *addr, struct htlb_region_info *out)
{
	struct htlb_region_info own = {.limit = HTLB_LIMIT_NONE};
	struct walk w = {.out = &own};
	struct region *r;

	if (out->size < INFO_V1_BYTES ||
		(out->part_capacity > 0 && out->parts == NULL))
		return -EINVAL;
	own.parts = out->parts;
	own.part_capacity = out->part_capacity;
	r = hl_region_lock(addr);
	if (r == NULL)
		return -EINVAL;
	w.r = r;
	own.addr = hl_region_base(r);
	own.bytes = r->ask.bytes;
	own.page_bytes = r->ask.page_bytes;
	own.flags = r->ask.flags;
	own.policy = r->ask.place.policy;
	own.limit = (enum htlb_limit)r->limit;
	walk(&w);
	hl_region_unlock(r);
	return hl_record_out(out, INFO_V1_BYTES, &own, sizeof(own));
}
