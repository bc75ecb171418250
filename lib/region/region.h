/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Regions: large explicit areas. The calls of hugetlbfs2.h as functions of
 * this object, the table by which all copies of the library in a process use
 * one state, and what the libhugetlbfs calls need of it.
 *
 * There is one set of regions in a process: exported functions go through
 * hl_region_entry(), never straight to hl_region_*().
 *
 * No call may be made from a signal handler. Errors as in hugetlbfs2.h.
 */
#ifndef HL_REGION_REGION_H
#define HL_REGION_REGION_H

#include "hugetlbfs2.h"

#include "base/base.h"

/* ---- this object's own ---- */

int hl_region_create(
	size_t bytes, const struct htlb_region_options *options, void **out);
int hl_region_destroy(void *addr);
int hl_region_commit(void *addr, size_t bytes);
int hl_region_decommit(void *addr, size_t bytes);
int hl_region_info(const void *addr, struct htlb_region_info *out);
int hl_region_fd(const void *addr);
int hl_region_open_fd(
	int fd, const struct htlb_region_options *options, void **out);
/*
 * The start and length of the region that addr is in; false if there is none.
 * No system call, O(log n).
 */
bool hl_region_find(const void *addr, void **start, size_t *bytes);

/* The size that a zero page_bytes stands for; 0 if there is none. */
size_t hl_region_default_size(void);

int hl_region_subpool_create(
	const struct htlb_subpool_options *options, struct htlb_subpool **out);
int hl_region_subpool_stat(
	struct htlb_subpool *subpool, struct htlb_subpool_stat *out);
void hl_region_subpool_destroy(struct htlb_subpool *subpool);

/* ---- one state in a process ---- */

struct hl_region_entry_v1 {
	size_t bytes; /* of this table: later versions only append */
	int (*create)(size_t, const struct htlb_region_options *, void **);
	int (*destroy)(void *);
	int (*commit)(void *, size_t);
	int (*decommit)(void *, size_t);
	int (*info)(const void *, struct htlb_region_info *);
	int (*fd)(const void *);
	int (*open_fd)(int, const struct htlb_region_options *, void **);
	bool (*find)(const void *, void **, size_t *);
	int (*subpool_create)(
		const struct htlb_subpool_options *, struct htlb_subpool **);
	int (*subpool_stat)(struct htlb_subpool *, struct htlb_subpool_stat *);
	void (*subpool_destroy)(struct htlb_subpool *);
	size_t (*default_size)(void);
};

/* Exported by the preload object only. */
extern const struct hl_region_entry_v1 htlb_region_entry_v1
	__attribute__((weak));
extern const struct hl_region_entry_v1 hl_region_entry_own;

/* The table to call through: the preload object's, else this object's. */
static inline const struct hl_region_entry_v1 *hl_region_entry(void)
{
	return &htlb_region_entry_v1 != NULL ? &htlb_region_entry_v1
					     : &hl_region_entry_own;
}

/* Both tables: the functions of the object that it is written in. */
/* clang-format off */
#define HL_REGION_ENTRY_V1 { \
	.bytes = sizeof(struct hl_region_entry_v1), \
	.create = hl_region_create, \
	.destroy = hl_region_destroy, \
	.commit = hl_region_commit, \
	.decommit = hl_region_decommit, \
	.info = hl_region_info, \
	.fd = hl_region_fd, \
	.open_fd = hl_region_open_fd, \
	.find = hl_region_find, \
	.subpool_create = hl_region_subpool_create, \
	.subpool_stat = hl_region_subpool_stat, \
	.subpool_destroy = hl_region_subpool_destroy, \
	.default_size = hl_region_default_size, \
}
/* clang-format on */

/* ---- files (file.c) ---- */

/*
 * A nameless file below a directory on hugetlbfs; flags: O_CLOEXEC or 0. A
 * descriptor, or -errno.
 */
int hl_region_unlinked(const char *directory, int flags);

#endif
