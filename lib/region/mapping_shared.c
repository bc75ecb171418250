/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared mappings on pages of the pool, of which a program unmaps, overlays or
 * protects any base page.
 *
 * Several processes may have it, so nothing can be put in the place of a page,
 * except while it was never forked and there is one thread: then the whole
 * mapping becomes ordinary shared memory. Else whole huge pages are unmapped;
 * of others the part stays visible until the rest goes too.
 *
 * Under the lock of mapping.c.
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

void hl_mapping_shared_whole(
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

/* Before anything is done: forget() must not be refused then. */
static bool can_forget(const struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	return from <= m->from || to >= m->to ||
	       hl_mapping.table.count < HL_MAPTABLE_MAX;
}

int hl_mapping_shared_unmap(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	uintptr_t start = from, end = to;
	int err;

	hl_mapping_shared_whole(m, &from, &to);
	if (from < to) {
		if (!can_forget(m, from, to))
			return -ENOMEM;
		err = hl_mapping_unmap_plain(from, to);
		return err ? err : forget(m, from, to, start, end);
	}
	/* It goes with the rest of its page. */
	if (start <= m->start)
		m->start = clamp(end, m->start, m->end);
	else if (end >= m->end)
		m->end = start;
	return 0;
}

/* ---- becoming ordinary ---- */

/* Of the huge pages, those that are there. */
static void copy_pages(const struct hl_mapped *m, char *copy)
{
	unsigned char there;
	uintptr_t at;

	for (at = m->from; at < m->to; at += m->page_bytes) {
		there = 1;
		(void)hl_os->mincore((void *)at, hl_base_page_bytes(), &there);
		if (there & 1)
			memcpy(copy + (at - m->from), (void *)at,
				m->page_bytes);
	}
}

/* The kernel looks before it unmaps; if it did not, the copy goes back by
 * hand. */
static int swap_failed(const struct hl_mapped *m, void *copy, int err)
{
	size_t bytes = m->to - m->from;
	unsigned char there;
	void *p;

	if (hl_os->mincore((void *)m->from, hl_base_page_bytes(), &there) ==
		-ENOMEM) {
		if (hl_os->mmap((void *)m->from, bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0,
			    &p) < 0)
			hl_fatal("lost the shared mapping at %p",
				(void *)m->from);
		memcpy((void *)m->from, copy, bytes);
		err = 0;
	}
	(void)hl_os->munmap(copy, bytes);
	return err;
}

/*
 * Nobody else has it, and nobody stores into it meanwhile: it becomes ordinary
 * shared memory, of the length that the program asked for. All of the huge
 * pages at once, since mremap would cut the outer ones.
 */
int hl_mapping_make_ordinary(struct hl_mapped *m)
{
	size_t bytes = m->to - m->from;
	void *copy, *p;
	int err;

	if (m->forks != hl_mapping.forks || !hl_is_single_threaded() ||
		m->is_protected)
		return -EINVAL;
	err = hl_os->mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0, &copy);
	if (err)
		return err;
	copy_pages(m, copy);
	err = hl_os->mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		(void *)m->from, &p);
	if (err)
		err = swap_failed(m, copy, err);
	if (err)
		return err;
	(void)hl_mapping_unmap_plain(m->from, m->start);
	(void)hl_mapping_unmap_plain(m->end, m->to);
	hl_maptable_remove(&hl_mapping.table, m);
	return 0;
}

int hl_mapping_shared_overlay(struct hl_mapped *m, uintptr_t from, uintptr_t to)
{
	uintptr_t start = from, end = to;
	int err;

	hl_mapping_shared_whole(m, &from, &to);
	if (from > start || (to < end && end < m->end) || from >= to ||
		!can_forget(m, from, to))
		return hl_mapping_make_ordinary(m);
	/* No hole: another thread could map something into it. */
	err = hl_mapping_map_nothing(from, to);
	if (err)
		return err;
	(void)hl_mapping_unmap_plain(HL_MAX(end, from), to);
	return forget(m, from, to, start, end);
}
