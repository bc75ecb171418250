/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a program does to its mappings that stand on pages of the pool: unmap,
 * overlay, move, protect and advise any base page of them. The kernel does that
 * to whole huge pages only.
 *
 * Private: the units are an area's. Whole units that go are released; a
 * huge page of which a part goes is converted to ordinary memory first, and its
 * unit leaves the area. What was unmapped stays PROT_NONE until the area
 * ends with its last unit, so that no other area ever lies inside.
 *
 * Shared: several processes may have it, so nothing can be put in the place of
 * a page, except while it was never forked and there is one thread: then the
 * whole mapping becomes ordinary shared memory. Else whole huge pages are
 * unmapped; of others the part stays visible until the rest goes too.
 */
#include "region/mapping_internal.h"

#include "base/log.h"
#include "system/os.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static uintptr_t clamp(uintptr_t at, uintptr_t low, uintptr_t high)
{
	return at < low ? low : HL_MIN(at, high);
}

/* The end of a range of base pages; false: nothing that the kernel accepts. */
static bool range_of(const void *addr, size_t bytes, uintptr_t *end)
{
	size_t page = hl_base_page_bytes();

	if (bytes == 0 || (uintptr_t)addr % page != 0 ||
		bytes > UINTPTR_MAX - (uintptr_t)addr - page)
		return false;
	*end = (uintptr_t)addr + hl_align_up(bytes, page);
	return true;
}

static int map_nothing(uintptr_t from, uintptr_t to)
{
	void *p;

	return hl_os->mmap((void *)from, to - from, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0,
		&p);
}

static int unmap(uintptr_t from, uintptr_t to)
{
	return from < to ? hl_os->munmap((void *)from, to - from) : 0;
}

/* ---- private ---- */

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

static void disown(struct hl_mapped *m, size_t from, size_t to)
{
	hl_area_disown(m->area, from, to);
	m->has_left = true;
}

/*
 * Whole units of [from, to) become PROT_NONE, the parts of others leave the
 * area as they are.
 */
static int let_go(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	size_t first = unit_of(m, from), last = unit_of(m, to - 1);
	size_t inner = unit_of(m, from + HL_UNIT_BYTES - 1);
	size_t inner_end = unit_of(m, to);
	int err = convert_outer(m, first, from, to);

	if (err == 0)
		err = convert_outer(m, last, from, to);
	if (err)
		return err;
	/* Converted pages are settled before anything is released. */
	hl_heal_settle();
	if (inner < inner_end)
		hl_area_release(m->area, inner, inner_end);
	if (first < inner)
		disown(m, first, first + 1);
	if (last >= inner_end && last >= inner)
		disown(m, last, last + 1);
	return 0;
}

static void end_if_empty(struct hl_mapped *m)
{
	size_t units = hl_area_units(m->area);

	for (size_t u = 0; u < units; u++) {
		if (hl_area_kind(m->area, u) != HL_BACKING_NONE)
			return;
	}
	hl_area_close(m->area);
	hl_maptable_remove(&hl_mapping.table, m);
}

/* [from, to) of it goes; to reaches over the unknown part. */
static int unmap_private(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	uintptr_t inner = hl_align_up(from, HL_UNIT_BYTES);
	uintptr_t inner_end = hl_align_down(to, HL_UNIT_BYTES);
	bool all = from <= m->start && to >= m->end;
	/* What is in units that left is not known here. */
	bool by_hand = m->has_left;
	int err = let_go(m, from, to);

	if (err)
		return err;
	if (by_hand) {
		err = map_nothing(from, to);
	} else {
		if (from < inner)
			err = map_nothing(from, HL_MIN(inner, to));
		if (err == 0 && inner_end < to && inner_end >= inner)
			err = map_nothing(inner_end, to);
	}
	if (err)
		return err;
	by_hand = m->has_left;
	end_if_empty(m);
	return all && by_hand ? unmap(from, to) : 0;
}

/* Something is about to be mapped over [from, to). */
static int overlay_private(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	uintptr_t end = HL_MIN(to, m->end), behind = m->to;
	bool to_the_end = end == m->end;
	int err = let_go(m, from, to_the_end ? m->to : end);

	if (err)
		return err;
	disown(m, unit_of(m, from), unit_of(m, end - 1) + 1);
	end_if_empty(m);
	/* Behind what the program knows of. */
	return to_the_end ? unmap(end, behind) : 0;
}

/* ---- shared ---- */

/* Whole huge pages of [from, to), which reaches to the unknown parts. */
static void whole_pages(
	const struct hl_mapped *m, uintptr_t *from, uintptr_t *to)
{
	if (*from <= m->start)
		*from = m->from;
	if (*to >= m->end)
		*to = m->to;
	*from = hl_align_up(*from, m->page_bytes);
	*to = hl_align_down(*to, m->page_bytes);
}

/* The table forgets [from, to), whole huge pages; the program's ends beside it
 * are at start and end. */
static int forget(struct hl_mapped *m, uintptr_t from, uintptr_t to,
	uintptr_t start, uintptr_t end)
{
	struct hl_mapped behind = *m;

	behind.from = to;
	behind.start = clamp(end, to, m->end);
	if (from > m->from) {
		m->to = from;
		m->end = clamp(start, m->from, from);
	} else {
		hl_maptable_remove(&hl_mapping.table, m);
	}
	if (to < behind.to)
		return hl_maptable_insert(&hl_mapping.table, &behind);
	return 0;
}

static int unmap_shared(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	uintptr_t start = from, end = to;
	int err;

	whole_pages(m, &from, &to);
	if (from >= to)
		return 0;
	if (from > m->from && to < m->to &&
		hl_mapping.table.count == HL_MAPTABLE_MAX)
		return -ENOMEM;
	err = unmap(from, to);
	return err ? err : forget(m, from, to, start, end);
}

/*
 * Nobody else has it, and nobody stores into it meanwhile: it becomes ordinary
 * shared memory, of the length that the program asked for.
 */
static int make_ordinary(struct hl_mapped *m)
{
	size_t bytes = m->end - m->start, n;
	unsigned char there;
	uintptr_t at;
	void *copy, *p;
	int err;

	if (m->forks != hl_mapping.forks || !hl_is_single_threaded() ||
		m->is_protected)
		return -EINVAL;
	err = hl_os->mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0, &copy);
	if (err)
		return err;
	for (at = m->start; at < m->end; at += n) {
		n = hl_align_down(at, m->page_bytes) + m->page_bytes - at;
		n = HL_MIN(n, m->end - at);
		there = 1;
		(void)hl_os->mincore((void *)at, hl_base_page_bytes(), &there);
		if (there & 1)
			memcpy((char *)copy + (at - m->start), (void *)at, n);
	}
	/* All of the huge pages, since mremap would cut the outer ones. */
	err = map_nothing(m->from, m->to);
	if (err) {
		(void)hl_os->munmap(copy, bytes);
		return err;
	}
	err = hl_os->mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		(void *)m->start, &p);
	if (err)
		hl_fatal("lost the shared mapping at %p", (void *)m->start);
	(void)unmap(m->from, m->start);
	(void)unmap(m->end, m->to);
	hl_maptable_remove(&hl_mapping.table, m);
	return 0;
}

static int overlay_shared(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	uintptr_t start = from, end = to;
	int err;

	whole_pages(m, &from, &to);
	if (from > start || (to < end && end < m->end) || from >= to)
		return make_ordinary(m);
	/* No hole: another thread could map something into it. */
	err = map_nothing(from, to);
	if (err)
		return err;
	(void)unmap(HL_MAX(end, from), to);
	return forget(m, from, to, start, end);
}

/* ---- calls ---- */

typedef int on_piece(struct hl_mapped *m, uintptr_t from, uintptr_t to);

/*
 * Calls `ours` for each piece of [from, to) that we know, and unmaps what is
 * between them if `others` says so.
 */
static int each_piece(uintptr_t from, uintptr_t to, on_piece *ours, bool others)
{
	int err = 0;

	while (err == 0 && from < to) {
		struct hl_mapped *m =
			hl_maptable_find(&hl_mapping.table, from, to);
		uintptr_t next = m != NULL ? HL_MAX(m->from, from) : to;
		uintptr_t end;

		if (others)
			err = unmap(from, next);
		if (err || m == NULL)
			return err;
		end = HL_MIN(m->to, to);
		if (m->area != NULL && end >= m->end)
			end = m->to;
		from = end;
		err = ours(m, next, end);
	}
	return err;
}

static int unmap_piece(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	return m->area != NULL ? unmap_private(m, from, to)
			       : unmap_shared(m, from, to);
}

int hl_mapping_unmap(void *addr, size_t bytes)
{
	struct hl_mapping_signals saved;
	uintptr_t end;
	int err;

	if (!hl_mapping_is(HL_MAPPING_ANY) || !range_of(addr, bytes, &end))
		return hl_os->munmap(addr, bytes);
	hl_mapping_lock(&saved);
	err = each_piece((uintptr_t)addr, end, unmap_piece, true);
	hl_mapping_unlock(&saved);
	return err;
}

static int overlay_piece(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	return m->area != NULL ? overlay_private(m, from, to)
			       : overlay_shared(m, from, to);
}

int hl_mapping_overlay(void *addr, size_t bytes)
{
	struct hl_mapping_signals saved;
	uintptr_t end;
	int err;

	if (!range_of(addr, bytes, &end))
		return 0;
	hl_mapping_lock(&saved);
	err = each_piece((uintptr_t)addr, end, overlay_piece, false);
	hl_mapping_unlock(&saved);
	return err;
}

/* ---- mremap ---- */

/* By copy: what was converted is many mappings, which do not move as one. */
static int move_private(char *addr, size_t old_bytes, size_t new_bytes,
	int flags, void *new_addr, void **out)
{
	bool fixed = flags & MREMAP_FIXED;
	void *to;
	int err;

	if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) ||
		(fixed && !(flags & MREMAP_MAYMOVE)) || new_bytes == 0)
		return -EINVAL;
	if (fixed && (uintptr_t)new_addr < (uintptr_t)addr + old_bytes &&
		(uintptr_t)addr < (uintptr_t)new_addr + new_bytes)
		return -EINVAL;
	if (!fixed && new_bytes <= old_bytes) {
		*out = addr;
		return new_bytes == old_bytes
			       ? 0
			       : hl_mapping_unmap(addr + new_bytes,
					 old_bytes - new_bytes);
	}
	if (!(flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	err = hl_mapping_map(fixed ? new_addr : NULL, new_bytes,
		PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | (fixed ? MAP_FIXED : 0), -1, 0,
		&to);
	if (err)
		return err;
	memcpy(to, addr, HL_MIN(old_bytes, new_bytes));
	*out = to;
	return hl_mapping_unmap(addr, old_bytes);
}

/* Whether addr is private memory that we manage; shared: made movable. */
static int look_before_move(uintptr_t addr, uintptr_t end, bool *private)
{
	struct hl_mapping_signals saved;
	struct hl_mapped *m;
	int err = 0;

	*private = false;
	hl_mapping_lock(&saved);
	m = hl_maptable_find(&hl_mapping.table, addr, addr + 1);
	if (m != NULL && m->area != NULL) {
		*private = true;
		/* A copy must be able to read. */
		err = end > m->end ? -EFAULT : m->is_protected ? -ENOMEM : 0;
	} else if (m != NULL) {
		err = make_ordinary(m);
	}
	hl_mapping_unlock(&saved);
	return err;
}

int hl_mapping_move(void *addr, size_t old_bytes, size_t new_bytes, int flags,
	void *new_addr, void **out)
{
	size_t page = hl_base_page_bytes();
	bool private = false;
	uintptr_t end;
	int err = 0;

	if (!hl_mapping_is(HL_MAPPING_ANY) ||
		!range_of(addr, HL_MAX(old_bytes, 1), &end) ||
		new_bytes > SIZE_MAX / 2)
		goto kernel;
	err = look_before_move((uintptr_t)addr, end, &private);
	if (err == 0 && private && old_bytes != 0)
		return move_private(addr, hl_align_up(old_bytes, page),
			hl_align_up(new_bytes, page), flags, new_addr, out);
	if (err == 0 && (flags & MREMAP_FIXED))
		err = hl_mapping_overlay(new_addr, new_bytes);
	if (err)
		return err;
kernel:
	return hl_os->mremap(addr, old_bytes, new_bytes, flags, new_addr, out);
}

/* ---- mprotect, madvise ---- */

size_t hl_mapping_before_change(const void *addr, size_t bytes, int prot)
{
	bool restricts = prot >= 0 && prot != (PROT_READ | PROT_WRITE);
	uintptr_t from = (uintptr_t)addr, end, to;
	struct hl_mapping_signals saved;
	struct hl_mapped *m;

	if (!hl_mapping_is(HL_MAPPING_ANY) || !range_of(addr, bytes, &end))
		return bytes;
	hl_mapping_lock(&saved);
	m = hl_maptable_find(&hl_mapping.table, from, end);
	if (m != NULL && m->area == NULL && from >= m->from) {
		to = end;
		whole_pages(m, &from, &to);
		if ((restricts || from != (uintptr_t)addr || to < end) &&
			make_ordinary(m) == 0)
			m = NULL;
		else if (from == (uintptr_t)addr && to >= end)
			bytes = to - from;
	}
	if (m != NULL && restricts)
		m->is_protected = true;
	hl_mapping_unlock(&saved);
	return bytes;
}

/* ---- fork ---- */

void hl_mapping_fork_prepare(void)
{
	hl_lock_acquire_fork(&hl_mapping.lock);
	hl_mapping.forks++;
}

void hl_mapping_fork_parent(void)
{
	hl_lock_release_fork(&hl_mapping.lock);
}

void hl_mapping_fork_child(void)
{
	hl_lock_reset(&hl_mapping.lock);
}
