/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface of libhugetlbfs, for programs that were written for it: same
 * functions, same flags, same values. Nothing else belongs here; new programs
 * use hugetlbfs2.h, which has page sizes, nodes, shared regions and reasons
 * for failure.
 *
 * Errors are those of libhugetlbfs: NULL, -1 or 0 as described, and errno.
 * Unlike there, all calls are thread-safe, errno is set at every failure, and
 * memory that was handed out never raises SIGBUS for want of a huge page.
 * Each function has its man page.
 */
#ifndef HUGETLBFS_H
#define HUGETLBFS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* f_type of statfs(2) on hugetlbfs. */
#define HUGETLBFS_MAGIC 0x958458f6

/* Mark of a program segment that is to be on huge pages (hugeedit). */
#define PF_LINUX_HUGETLB 0x100000

/* ---- page sizes ---- */

/*
 * Bytes of the default huge page: HUGETLB_DEFAULT_PAGE_SIZE if this machine
 * has that size, else the kernel's. -1 and ENOSYS if there is none.
 */
long gethugepagesize(void);

/*
 * The sizes of huge pages, the default one first; getpagesizes() has the base
 * page before them. (NULL, 0): how many there are. Else at most n_elem are
 * stored; returns how many were. -1 and EINVAL for n_elem < 0, or NULL with
 * n_elem > 0.
 */
int gethugepagesizes(long pagesizes[], int n_elem);
int getpagesizes(long pagesizes[], int n_elem);

/* ---- mounts ---- */

/* 1 if the path is on hugetlbfs, 0 if not, -1 and errno. */
int hugetlbfs_test_path(const char *mount);

/*
 * A mount of hugetlbfs with the default page size, or with that one: of
 * HUGETLB_PATH if that is set, else the first that may be used. NULL if there
 * is none. The text is static and stays.
 */
const char *hugetlbfs_find_path(void);
const char *hugetlbfs_find_path_for_size(long page_size);

/*
 * A descriptor of a new file without a name in such a mount; it is inherited
 * over exec. -1 and errno.
 */
int hugetlbfs_unlinked_fd(void);
int hugetlbfs_unlinked_fd_for_size(long page_size);

/* ---- memory ---- */

typedef unsigned long ghp_t;

#define GHP_DEFAULT ((ghp_t)0x01UL)
#define GHP_MASK    (GHP_DEFAULT)

/*
 * Private memory on huge pages of the default size and nothing else; len is
 * rounded up to whole pages. NULL and errno. free_huge_pages() takes what
 * get_huge_pages() returned and unmaps all of it.
 */
void *get_huge_pages(size_t len, ghp_t flags);
void free_huge_pages(void *ptr);

typedef unsigned long ghr_t;

#define GHR_STRICT   ((ghr_t)0x10000000UL) /* huge pages or nothing */
#define GHR_FALLBACK ((ghr_t)0x20000000UL) /* other memory will do */
#define GHR_COLOR    ((ghr_t)0x40000000UL) /* start at varying cache lines */
#define GHR_DEFAULT  (GHR_FALLBACK | GHR_COLOR)
#define GHR_MASK     (GHR_FALLBACK | GHR_STRICT | GHR_COLOR)

/* As get_huge_pages(), with these choices. Neither STRICT nor FALLBACK: STRICT.
 */
void *get_hugepage_region(size_t len, ghr_t flags);
void free_hugepage_region(void *ptr);

#ifdef __cplusplus
}
#endif

#endif
