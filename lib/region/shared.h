/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Huge pages for memory that programs share by the C library's own calls:
 * System V segments, and mappings that are MAP_SHARED | MAP_ANONYMOUS. The
 * interposed calls (preload/) and the libhugetlbfs calls use this.
 *
 * Such memory cannot be healed: after a fork it belongs to several processes.
 * So it is only made where it cannot lack a page later: the kernel reserves
 * all of it, and where that promise may not hold (control groups, memory
 * policies) it is populated at once. Otherwise nothing is made, the limit is
 * recorded and counted, and the caller takes ordinary memory.
 *
 * No lock, no state; errors are -errno.
 */
#ifndef HL_REGION_SHARED_H
#define HL_REGION_SHARED_H

#include "base/base.h"

#include <sys/types.h>

/*
 * shmget(2), on huge pages if HUGETLB_SHM is set and the segment is new and at
 * least half a huge page (of the kernel's default size); else as the kernel
 * does it. The segment has the size that was asked for, also in IPC_STAT.
 */
int hl_shared_shmget(key_t key, size_t bytes, int flags);

/*
 * Readable and writable MAP_SHARED | MAP_ANONYMOUS memory on huge pages of
 * that size. bytes: a multiple of it. -ENOMEM: nothing was made.
 */
int hl_shared_map(void *hint, size_t bytes, size_t page_bytes, void **out);

#endif
