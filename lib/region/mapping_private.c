/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Private mappings on pages of the pool, of which a program unmaps or overlays
 * any base page. Their units are an area's.
 *
 * Whole units that go are released; a huge page of which a part goes is
 * converted to ordinary memory first, and its unit leaves the area. What was
 * unmapped stays PROT_NONE until the program has nothing of the mapping any
 * more, so that no other area ever lies inside. For that the record follows
 * what the program still has: its ends, and one hole. With several holes it
 * cannot be told; then the area ends with its last unit, and what of the others
 * is PROT_NONE remains.
 *
 * What can be refused comes first, while nothing has changed but what stands
 * behind the outer pages. Under the lock of mapping.c.
 */
#include "region/mapping_internal.h"

#include "system/os.h"

#include <sys/mman.h>

static size_t unit_of(const struct hl_mapped *m, uintptr_t at)
{
	return (at - m->from) / HL_UNIT_BYTES;
}

static uintptr_t address_of(const struct hl_mapped *m, size_t unit)
{
	return m->from + unit * HL_UNIT_BYTES;
}

/*
 * The huge page at `unit` becomes ordinary memory if it has bytes outside of
 * [from, to).
 */
static int convert_outer(
	const struct hl_mapped *m, size_t unit, uintptr_t from, uintptr_t to)
{
	size_t bytes = hl_area_page_bytes(m->area, unit);
	uintptr_t start;

	if (bytes == 0)
		return 0;
	bytes = HL_MAX(bytes, HL_UNIT_BYTES);
	start = hl_align_down(address_of(m, unit), bytes);
	if (start >= from && start + bytes <= to)
		return 0;
	return hl_area_convert(m->area, unit);
}

static int convert_outers(
	const struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	int err = convert_outer(m, unit_of(m, from), from, to);

	return err ? err : convert_outer(m, unit_of(m, to - 1), from, to);
}

static void disown(struct hl_mapped *m, size_t from, size_t to)
{
	hl_area_disown(m->area, from, to);
	m->has_left = true;
}

/*
 * Whole units of [from, to) become PROT_NONE, the parts of others leave the
 * area as they are: the huge pages there were converted.
 */
static void let_go(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	size_t first = unit_of(m, from), last = unit_of(m, to - 1);
	size_t inner = unit_of(m, from + HL_UNIT_BYTES - 1);
	size_t inner_end = unit_of(m, to);

	/* Converted pages are settled before anything is released. */
	hl_heal_settle();
	if (inner < inner_end)
		hl_area_release(m->area, inner, inner_end);
	if (first < inner)
		disown(m, first, first + 1);
	if (last >= inner_end && last >= inner)
		disown(m, last, last + 1);
}

/* ---- what the program has ---- */

void hl_mapping_private_begin(struct hl_mapped *m)
{
	m->kept_from = m->start;
	m->kept_to = m->end;
	m->hole_from = m->hole_to = m->end;
}

static bool has_hole(const struct hl_mapped *m)
{
	return m->hole_from < m->hole_to;
}

static void lost(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	if (from > m->kept_from && to < m->kept_to) {
		if (!has_hole(m)) {
			m->hole_from = from;
			m->hole_to = to;
		} else if (from <= m->hole_to && to >= m->hole_from) {
			m->hole_from = HL_MIN(m->hole_from, from);
			m->hole_to = HL_MAX(m->hole_to, to);
		} else {
			m->has_holes = true;
		}
		return;
	}
	if (from <= m->kept_from)
		m->kept_from = HL_MAX(m->kept_from, to);
	if (to >= m->kept_to)
		m->kept_to = HL_MIN(m->kept_to, from);
	/* What has come to the hole is at its other side. */
	if (m->kept_from >= m->hole_from && m->kept_from < m->hole_to)
		m->kept_from = m->hole_to;
}

/* Something of its own. */
static void got(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	if (from > m->kept_to || to < m->kept_from)
		m->has_holes = true;
	m->kept_from = HL_MIN(m->kept_from, from);
	m->kept_to = HL_MAX(m->kept_to, to);
	if (!has_hole(m) || from >= m->hole_to || to <= m->hole_from)
		return;
	m->hole_from = m->hole_to = m->end;
	m->has_holes = true;
}

bool hl_mapping_private_is_whole(
	const struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	return from >= m->kept_from && to <= m->kept_to;
}

/* A copy of it must be able to read. */
bool hl_mapping_private_is_readable(const struct hl_mapped *m)
{
	return !m->is_protected && !has_hole(m) && !m->has_holes;
}

static bool is_empty(const struct hl_mapped *m)
{
	size_t units = hl_area_units(m->area);

	for (size_t u = 0; u < units; u++) {
		if (hl_area_kind(m->area, u) != HL_BACKING_NONE)
			return false;
	}
	return true;
}

static void end_if_gone(struct hl_mapped *m)
{
	if (m->kept_from >= m->kept_to)
		hl_area_reclaim(m->area, 0, hl_area_units(m->area));
	else if (!m->has_holes || !is_empty(m))
		return;
	hl_area_close(m->area);
	hl_maptable_remove(&hl_mapping.table, m);
}

/* ---- the calls ---- */

/* The parts of [from, to) that are no whole units. */
static int map_nothing_outside(uintptr_t from, uintptr_t to)
{
	uintptr_t inner = hl_align_up(from, HL_UNIT_BYTES);
	uintptr_t inner_end = hl_align_down(to, HL_UNIT_BYTES);
	int err = 0;

	if (inner >= inner_end)
		return hl_mapping_map_nothing(from, to);
	if (from < inner)
		err = hl_mapping_map_nothing(from, inner);
	if (err || inner_end == to)
		return err;
	err = hl_mapping_map_nothing(inner_end, to);
	if (err == 0 || from == inner)
		return err;
	/* Too late to say no: it goes, but for its addresses. */
	(void)hl_os->madvise((void *)inner_end, to - inner_end, MADV_DONTNEED);
	return 0;
}

int hl_mapping_private_unmap(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	int err = convert_outers(m, from, to);

	if (err)
		return err;
	/* What is in units that left is not known here. */
	err = m->has_left ? hl_mapping_map_nothing(from, to)
			  : map_nothing_outside(from, to);
	if (err)
		return err;
	let_go(m, from, to);
	lost(m, from, to);
	end_if_gone(m);
	return 0;
}

int hl_mapping_private_overlay(
	struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	int err = convert_outers(m, from, to);

	if (err)
		return err;
	let_go(m, from, to);
	/* Behind what the program knows of. */
	if (m->end < to)
		(void)hl_mapping_map_nothing(HL_MAX(m->end, from), to);
	disown(m, unit_of(m, from), unit_of(m, to - 1) + 1);
	got(m, from, to);
	end_if_gone(m);
	return 0;
}
