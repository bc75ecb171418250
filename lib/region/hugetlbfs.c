/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions of hugetlbfs.h, as libhugetlbfs2.so, the preload object and
 * libhugetlbfs.so.0 export them: each through the one table of the process
 * (region/compat.h).
 */
#include "region/compat.h"

#include "hugetlbfs.h"

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
