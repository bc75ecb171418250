/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's own anonymous mappings on huge pages, for the interposed mmap
 * family (preload/mmap.c, preload/protect.c).
 *
 * Private ones (HUGETLB_MMAP): aligned and advised for THP, or, where a page
 * size is asked for, units of an area on pages of the pool. Shared ones
 * (HUGETLB_SHM): see region/shared.h. Mappings that stand on pages of the pool
 * are remembered, since the kernel does with them only what is done to whole
 * huge pages; a program may do anything to any base page.
 *
 * All calls are as the kernel's, with -errno; they take one lock with all
 * signals blocked, so that they may be called from handlers as the kernel's
 * may. Before hl_mapping_configure() everything passes to the kernel.
 */
#ifndef HL_REGION_MAPPING_H
#define HL_REGION_MAPPING_H

#include "base/base.h"

#include <stdatomic.h>
#include <sys/types.h>

/* Options are known. Later calls do nothing. */
void hl_mapping_configure(void);

/* What the options ask for, and whether any mapping is remembered. */
#define HL_MAPPING_PRIVATE 1u /* large private mappings */
#define HL_MAPPING_SHARED  2u /* large shared ones */
#define HL_MAPPING_ANY	   4u /* some stand on pages of the pool */
extern _Atomic unsigned hl_mapping_flags;

static inline bool hl_mapping_is(unsigned flags)
{
	return hl_unlikely(
		atomic_load_explicit(&hl_mapping_flags, memory_order_relaxed) &
		flags);
}

/* mmap(2), munmap(2), mremap(2). */
int hl_mapping_map(void *addr, size_t bytes, int prot, int flags, int fd,
	off_t offset, void **out);
int hl_mapping_unmap(void *addr, size_t bytes);
int hl_mapping_move(void *addr, size_t old_bytes, size_t new_bytes, int flags,
	void *new_addr, void **out);

/*
 * Before mprotect(2) (prot) or madvise(2) (prot < 0) on the range: sees to it
 * that the kernel can do it, as far as shared mappings are concerned. Returns
 * the length to give to the kernel.
 */
size_t hl_mapping_before_change(const void *addr, size_t bytes, int prot);

#endif
