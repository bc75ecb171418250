/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an administrator sees and changes beyond what a program needs: memory
 * and its fragmentation, sizes of pools, settings that are one word of a list.
 * Below a root as all of system/. Used by the tools; the heap changes nothing.
 *
 * 0 or -errno; -ENOENT where the kernel has no such thing. No lock, no
 * allocation. That a write succeeded says little with the kernel's pools: read
 * again what came of it.
 */
#ifndef HL_SYSTEM_ADMIN_H
#define HL_SYSTEM_ADMIN_H

#include "base/base.h"
#include "system/sys.h"

/* ---- memory (memory.c) ---- */

struct hl_memory {
	uint64_t total_bytes;
	uint64_t free_bytes;
	/* Could be had without swapping: the kernel's estimate; for a node,
	 * where it has none, what is free or a file's clean cache. */
	uint64_t available_bytes;
	uint64_t swap_total_bytes; /* 0 for a node */
	uint64_t swap_free_bytes;
};
/* node: HL_NODE_ANY for the machine. */
int hl_memory_read(const struct hl_root *root, int node, struct hl_memory *out);

/* ---- fragmentation (buddy.c) ---- */

#define HL_BUDDY_ORDERS 20
struct hl_buddy {
	/* Free blocks of 2^order base pages. */
	uint64_t blocks[HL_BUDDY_ORDERS];
	int orders;
	int zones; /* that have memory */
};
int hl_buddy_read(const struct hl_root *root, int node, struct hl_buddy *out);
/*
 * Pages of 2^order base pages that the free blocks hold as they lie, without
 * moving anything; UINT64_MAX if the kernel's blocks are never that large.
 */
uint64_t hl_buddy_fit(const struct hl_buddy *buddy, unsigned order);

/* ---- changing pools (poolset.c) ---- */

/* Persistent pages: what the administrator asked for. */
uint64_t hl_pool_persistent(const struct hl_pool *pool);
/*
 * Path of a file of the pool of that size, on that node or HL_NODE_ANY:
 * "nr_hugepages", "nr_overcommit_hugepages", "demote", "demote_size".
 */
int hl_pool_path(size_t page_bytes, int node, const char *file, char *path,
	size_t capacity);
int hl_pool_write(const struct hl_root *root, size_t page_bytes, int node,
	const char *file, uint64_t value);
/* Into which size pages of that size are demoted now; -ENOENT: none. */
int hl_pool_demote_size(
	const struct hl_root *root, size_t page_bytes, size_t *out);
int hl_pool_set_demote_size(
	const struct hl_root *root, size_t page_bytes, size_t to_bytes);

/* ---- settings (choice.c) ---- */

/* The chosen word of "always [madvise] never", or the whole text if none is
 * bracketed. -EINVAL if it does not fit. */
int hl_choice_read(const struct hl_root *root, const char *path, char *out,
	size_t capacity);
/* Whether the file offers that word. */
bool hl_choice_offers(
	const struct hl_root *root, const char *path, const char *word);
/* Sizes of transparent huge pages with settings of their own, ascending. */
#define HL_THP_SIZES_MAX 24
int hl_thp_sizes(const struct hl_root *root, size_t sizes[HL_THP_SIZES_MAX]);

#endif
