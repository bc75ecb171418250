/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory for our own records: a bump allocator over anonymous mappings that
 * never returns memory to the kernel, so that a record, once reached, stays
 * readable. Zeroed. It starts in a small static array, so it works before any
 * constructor and makes no system call for a small program.
 *
 * Thread-safe (HL_RANK_META, which may be taken under any other lock but LOG).
 * Raw mmap below: malloc is not there yet.
 */
#ifndef HL_BASE_META_H
#define HL_BASE_META_H

#include "base/base.h"

/* Zeroed memory, align a power of two up to 4096; NULL if the kernel refuses.
 */
void *hl_meta_alloc(size_t bytes, size_t align);

/*
 * Large tables of which little is touched (page map leaves, state words): own
 * mapping of base pages, zero until touched. NULL if refused.
 */
void *hl_meta_map(size_t bytes);
void hl_meta_unmap(void *p, size_t bytes);

/* Bytes handed out so far, for statistics. */
size_t hl_meta_bytes(void);

void hl_meta_fork_prepare(void);
void hl_meta_fork_parent(void);
void hl_meta_fork_child(void);

/*
 * A free list of equal records on top. The caller's lock guards it.
 * A record given back must not be needed any more by lock-free readers.
 */
struct hl_pool_of {
	size_t bytes; /* of a record, >= sizeof(void *) */
	size_t align;
	void *free;
	size_t count; /* handed out */
	size_t spare; /* on the free list */
};

/* Zeroed record or NULL. */
void *hl_pool_of_take(struct hl_pool_of *pool);
void hl_pool_of_give(struct hl_pool_of *pool, void *record);
/*
 * Makes sure that the next n takes succeed (metadata is topped up before a
 * lock is taken); false if the kernel refuses.
 */
bool hl_pool_of_reserve(struct hl_pool_of *pool, size_t n);

#endif
