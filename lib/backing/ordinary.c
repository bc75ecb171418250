/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ordinary memory: THP and base pages behind the units of an area, and single
 * stretches for conversions.
 *
 * mprotect() of the PROT_NONE range is what the kernel charges and may refuse
 * (ulimit -d, overcommit, max_map_count); after it nothing can fail. A unit
 * that shall be a THP is touched once and then looked at: all base pages
 * resident means that a huge page came. If not, the rest of the unit stays
 * untouched, and khugepaged may still collapse it.
 *
 * Callers: commit under the caller's serialisation; areas, for address space;
 * conversion, also in signal handlers (hl_map_ordinary, hl_map_none). No lock.
 */
#include "backing/area_internal.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>

int hl_map_none(void *addr, size_t bytes)
{
	void *p;

	return hl_os->mmap(addr, bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, &p);
}

/* A store, since a shortage of ordinary memory is not ours to survive. */
static bool touch_is_huge(void *addr, size_t bytes)
{
	*(volatile char *)addr = 0;
	return hl_resident_pages(addr, bytes) == bytes / hl_base_page_bytes();
}

static enum hl_backing_kind kind_of_unit(
	const struct hl_want *want, void *addr, bool thp)
{
	if (!thp)
		return HL_BACKING_BASE;
	if (want->lazy)
		return HL_BACKING_LAZY;
	return touch_is_huge(addr, HL_UNIT_BYTES) ? HL_BACKING_THP
						  : HL_BACKING_BASE;
}

int hl_commit_ordinary(struct hl_area *area, size_t from, size_t to,
	const struct hl_want *want, struct hl_got *got)
{
	size_t bytes = (to - from) * HL_UNIT_BYTES;
	char *addr = hl_unit_addr(area, from);
	bool thp = want->thp && hl_supply_thp();

	if (hl_os->mprotect(addr, bytes, PROT_READ | PROT_WRITE) < 0)
		return -ENOMEM;
	hl_policy_range(addr, bytes, want->node, MPOL_PREFERRED);
	/* Fails only on a kernel without THP: then the advice is moot. */
	(void)hl_os->madvise(
		addr, bytes, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (size_t u = from; u < to; u++) {
		enum hl_backing_kind kind =
			kind_of_unit(want, hl_unit_addr(area, u), thp);

		hl_unit_store(area, u, (uint32_t)kind);
		got->units[kind]++;
	}
	return 0;
}

static int map(size_t bytes, int prot, void **out)
{
	return hl_os->mmap(
		NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, out);
}

static void trim(char *from, char *to)
{
	/* A refusal (max_map_count) costs address space only. */
	if (from < to)
		(void)hl_os->munmap(from, (size_t)(to - from));
}

int hl_map_aligned(size_t bytes, size_t align, int prot, void **out)
{
	char *start;
	size_t all;
	void *p;
	int rc;

	if (!hl_add_ok(bytes, align, &all))
		return -ENOMEM;
	rc = map(all, prot, &p);
	if (rc < 0)
		return rc;
	start = (char *)hl_align_up((uintptr_t)p, align);
	trim(p, start);
	trim(start + bytes, (char *)p + all);
	*out = start;
	return 0;
}

int hl_map_ordinary(size_t bytes, int node, void **out, bool *thp)
{
	const int prot = PROT_READ | PROT_WRITE;
	void *p, *aligned;
	int rc = map(bytes, prot, &p);

	if (rc < 0)
		return rc;
	/* Recent kernels align by themselves; address space may be short. */
	if ((uintptr_t)p % bytes != 0 &&
		hl_map_aligned(bytes, bytes, prot, &aligned) == 0) {
		(void)hl_os->munmap(p, bytes);
		p = aligned;
	}
	hl_policy_range(p, bytes, node, MPOL_PREFERRED);
	*thp = (uintptr_t)p % HL_UNIT_BYTES == 0 && bytes >= HL_UNIT_BYTES &&
	       hl_os->madvise(p, bytes, MADV_HUGEPAGE) == 0 &&
	       touch_is_huge(p, HL_UNIT_BYTES);
	*out = p;
	return 0;
}
