/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mprotect, pkey_mprotect and madvise of the program on its own blocks and
 * mappings: a guard page made of memalign() and mprotect(), a block given up
 * with MADV_DONTNEED.
 * On a hugetlb page the kernel refuses both for less than the whole page
 * (EINVAL; DONTNEED of less silently does nothing), so the page is converted to
 * ordinary memory first. Everything else passes straight to the kernel.
 *
 * No lock, no state. Calls of the C library on its own behalf do not come here.
 */
#include "preload/preload.h"

#include "backing/area.h"
#include "base/syscall.h"
#include "region/mapping.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static int answer(long rc)
{
	if (rc >= 0)
		return 0;
	errno = (int)-rc;
	return -1;
}

HL_EXPORT int mprotect(void *addr, size_t bytes, int prot)
{
	bytes = hl_mapping_before_change(addr, bytes, prot);
	hl_area_convert_range(addr, bytes);
	return answer(hl_syscall(
		SYS_mprotect, (long)addr, (long)bytes, prot, 0, 0, 0));
}

HL_EXPORT int pkey_mprotect(void *addr, size_t bytes, int prot, int pkey)
{
	/* Without a key it is mprotect, also where the kernel has no keys. */
	if (pkey == -1)
		return mprotect(addr, bytes, prot);
	bytes = hl_mapping_before_change(addr, bytes, prot);
	hl_area_convert_range(addr, bytes);
	return answer(hl_syscall(
		SYS_pkey_mprotect, (long)addr, (long)bytes, prot, pkey, 0, 0));
}

/* Hints about use mean nothing to a hugetlb page; the rest changes contents,
 * inheritance or dumps. */
static bool is_hint(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
		return true;
	default:
		return false;
	}
}

HL_EXPORT int madvise(void *addr, size_t bytes, int advice)
{
	if (!is_hint(advice)) {
		bytes = hl_mapping_before_change(addr, bytes, -1);
		hl_area_convert_range(addr, bytes);
	}
	return answer(hl_syscall(
		SYS_madvise, (long)addr, (long)bytes, advice, 0, 0, 0));
}
