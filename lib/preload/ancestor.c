/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhugetlbfs.so.0: what a binary that was linked against libhugetlbfs finds
 * in its place. Its functions, under its symbol versions (ancestor.map), with
 * the state of libhugetlbfs2.so or of the preload object; its shmget, for all
 * programs that are linked; and its constructor: segments move if
 * HUGETLB_ELFMAP asks for it. malloc stays what it was.
 *
 * Where the preload object is in the process, its constructor has seen to the
 * segments.
 */
#include "heap/api.h"
#include "hugetlbfs.h"
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

HL_EXPORT long gethugepagesize(void)
{
	return htlb_compat_v1.gethugepagesize();
}

HL_EXPORT int gethugepagesizes(long pagesizes[], int n_elem)
{
	return htlb_compat_v1.gethugepagesizes(pagesizes, n_elem);
}

HL_EXPORT int getpagesizes(long pagesizes[], int n_elem)
{
	return htlb_compat_v1.getpagesizes(pagesizes, n_elem);
}

HL_EXPORT int hugetlbfs_test_path(const char *mount)
{
	return htlb_compat_v1.test_path(mount);
}

HL_EXPORT const char *hugetlbfs_find_path(void)
{
	return htlb_compat_v1.find_path();
}

HL_EXPORT const char *hugetlbfs_find_path_for_size(long page_size)
{
	return htlb_compat_v1.find_path_for_size(page_size);
}

HL_EXPORT int hugetlbfs_unlinked_fd(void)
{
	return htlb_compat_v1.unlinked_fd();
}

HL_EXPORT int hugetlbfs_unlinked_fd_for_size(long page_size)
{
	return htlb_compat_v1.unlinked_fd_for_size(page_size);
}

HL_EXPORT void *get_huge_pages(size_t len, ghp_t flags)
{
	return htlb_compat_v1.get_huge_pages(len, flags);
}

HL_EXPORT void free_huge_pages(void *ptr)
{
	htlb_compat_v1.free_huge_pages(ptr);
}

HL_EXPORT void *get_hugepage_region(size_t len, ghr_t flags)
{
	return htlb_compat_v1.get_hugepage_region(len, flags);
}

HL_EXPORT void free_hugepage_region(void *ptr)
{
	htlb_compat_v1.free_hugepage_region(ptr);
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
