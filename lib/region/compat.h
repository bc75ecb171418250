/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface of libhugetlbfs (include/hugetlbfs.h) inside the library: one
 * table of entry points, so that every copy of it in a process, libhugetlbfs2,
 * the preload object, and the thin libhugetlbfs.so.0, has one state.
 *
 * libhugetlbfs2.so and libhugetlbfs2-preload.so both export htlb_compat_v1; the
 * dynamic linker gives all of them the first in the order of search, which is
 * the preload object's.
 *
 * These functions return 0 or a result, or -errno; the exported ones
 * (hugetlbfs.c) turn that into the ancestor's values and errno.
 */
#ifndef HL_REGION_COMPAT_H
#define HL_REGION_COMPAT_H

#include "base/base.h"
#include "system/sys.h"

#include <sys/types.h>

/* The ancestor's interface, errno and all. Later versions only append. */
struct hl_compat_v1 {
	size_t bytes; /* of this table */
	long (*gethugepagesize)(void);
	int (*gethugepagesizes)(long sizes[], int n);
	int (*getpagesizes)(long sizes[], int n);
	int (*test_path)(const char *mount);
	const char *(*find_path)(void);
	const char *(*find_path_for_size)(long page_size);
	int (*unlinked_fd)(void);
	int (*unlinked_fd_for_size)(long page_size);
	void *(*get_huge_pages)(size_t bytes, unsigned long flags);
	void (*free_huge_pages)(void *p);
	void *(*get_hugepage_region)(size_t bytes, unsigned long flags);
	void (*free_hugepage_region)(void *p);
	/* libc's, on huge pages where HUGETLB_SHM asks for it. */
	int (*shmget)(key_t key, size_t bytes, int flags);
};
extern const struct hl_compat_v1 htlb_compat_v1;

/* Options are read; called by each entry before anything else. */
void hl_compat_setup(void);

/*
 * The machine as open() and opendir() of the process show it: programs
 * interpose them to present another one. Nothing read through it is kept.
 */
extern const struct hl_root hl_compat_root;

/* ---- hugetlbfs_size.c ---- */

/* -ENOSYS: no huge pages. */
int hl_compat_default_size(size_t *out);
/* At most n sizes, the default one first; NULL: none. Returns how many. */
int hl_compat_sizes(long *sizes, int n);

/* ---- hugetlbfs_mount.c ---- */

/* 1, 0 or -errno; *page_bytes of the mount where it is 1. */
int hl_compat_test_path(const char *path, size_t *page_bytes);
/* Never freed. -ENOENT: there is none that can be used. */
int hl_compat_find_path(size_t page_bytes, const char **out);
/* A descriptor. */
int hl_compat_unlinked_fd(size_t page_bytes);

/* ---- hugetlbfs_memory.c ---- */

int hl_compat_get(size_t bytes, bool fallback, bool colour, void **out);
/* -EINVAL: nothing that we gave. */
int hl_compat_free(void *p);

#endif
