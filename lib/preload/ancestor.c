/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhugetlbfs.so.0: what a binary that was linked against libhugetlbfs finds
 * in its place. Its functions (region/hugetlbfs.c), under its symbol versions
 * (ancestor.map), with the state of libhugetlbfs2.so or of the preload object;
 * here are its shmget, for all programs that are linked, and its constructor:
 * segments move if HUGETLB_ELFMAP asks for it. malloc stays what it was.
 *
 * Where the preload object is in the process, its constructor has seen to the
 * segments.
 */
#include "heap/api.h"
#include "region/compat.h"
#include "segment/segment.h"

#include "base/opt.h"

#include <sys/shm.h>
#include <unistd.h>

/* The ancestor's test-suite calls it after it has changed /proc/meminfo for
 * the library. Here nothing is kept that could be out of date. */
void __tp_kernel_default_hugepage_size_reset(void);

HL_EXPORT void __tp_kernel_default_hugepage_size_reset(void)
{
}

HL_EXPORT int shmget(key_t key, size_t bytes, int flags)
{
	return htlb_compat_v1.shmget(key, bytes, flags);
}

__attribute__((constructor)) static void start(void)
{
	if (&htlb_entry_v1 != NULL)
		return;
	hl_opt_init(environ, false);
	hl_segments_start();
}
