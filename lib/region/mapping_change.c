/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a program does to its mappings that stand on pages of the pool: unmap,
 * overlay, move, protect and advise any base page of them. The kernel does that
 * to whole huge pages only.
 * What that means for one of them is in mapping_private.c and mapping_shared.c.
 */
#include "region/mapping_internal.h"

#include "system/os.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

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

int hl_mapping_map_nothing(uintptr_t from, uintptr_t to)
{
	void *p;

	return hl_os->mmap((void *)from, to - from, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0,
		&p);
}

int hl_mapping_unmap_plain(uintptr_t from, uintptr_t to)
{
	return from < to ? hl_os->munmap((void *)from, to - from) : 0;
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
			err = hl_mapping_unmap_plain(from, next);
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

static int change_pieces(
	uintptr_t from, uintptr_t to, on_piece *ours, bool others)
{
	struct hl_mapping_signals saved;
	int err;

	hl_mapping_lock(&saved);
	err = each_piece(from, to, ours, others);
	hl_mapping_unlock(&saved);
	return err;
}

static int unmap_piece(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	return m->area != NULL ? hl_mapping_private_unmap(m, from, to)
			       : hl_mapping_shared_unmap(m, from, to);
}

int hl_mapping_unmap(void *addr, size_t bytes)
{
	uintptr_t end;

	if (!hl_mapping_is(HL_MAPPING_ANY) || !range_of(addr, bytes, &end))
		return hl_os->munmap(addr, bytes);
	return change_pieces((uintptr_t)addr, end, unmap_piece, true);
}

bool hl_mapping_knows(const void *addr, size_t bytes)
{
	struct hl_mapping_signals saved;
	uintptr_t end;
	bool known;

	if (!range_of(addr, bytes, &end))
		return false;
	hl_mapping_lock(&saved);
	known = hl_maptable_find(&hl_mapping.table, (uintptr_t)addr, end) !=
		NULL;
	hl_mapping_unlock(&saved);
	return known;
}

static int overlay_piece(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	return m->area != NULL ? hl_mapping_private_overlay(m, from, to)
			       : hl_mapping_shared_overlay(m, from, to);
}

int hl_mapping_overlay(void *addr, size_t bytes)
{
	uintptr_t end;

	if (!range_of(addr, bytes, &end))
		return 0;
	return change_pieces((uintptr_t)addr, end, overlay_piece, false);
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
	err = hl_mapping_unmap(addr, old_bytes);
	if (err) {
		(void)hl_mapping_unmap(to, new_bytes);
		return err;
	}
	*out = to;
	return 0;
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
		if (!hl_mapping_private_is_whole(m, addr, end))
			err = -EFAULT;
		else if (!hl_mapping_private_is_readable(m))
			err = -ENOMEM;
	} else if (m != NULL) {
		err = hl_mapping_make_ordinary(m);
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
		hl_mapping_shared_whole(m, &from, &to);
		if ((restricts || from != (uintptr_t)addr || to < end) &&
			hl_mapping_make_ordinary(m) == 0)
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

static void count_fork(void)
{
	atomic_fetch_add_explicit(&hl_mapping.forks, 1, memory_order_relaxed);
}

static void fork_prepare(void)
{
	hl_lock_acquire_fork(&hl_mapping.lock);
	count_fork();
}

static void fork_parent(void)
{
	hl_lock_release_fork(&hl_mapping.lock);
}

static void fork_child(void)
{
	hl_lock_reset(&hl_mapping.lock);
}

const struct hl_atfork hl_mapping_fork_handlers = {
	.prepare = fork_prepare,
	.parent = fork_parent,
	.child = fork_child,
	.hurried_prepare = count_fork,
};
