/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First-class heaps: heaps that a program makes for itself (htlb_heap_create),
 * with a budget, a node and a page size of their own, and freed at once.
 *
 * Such a heap is an arena with a space of its own, and one front end: the
 * record that each thread has of the common heap, here guarded by a lock.
 * Blocks may be freed by any thread and by every free(): for all threads its
 * spans are someone else's, so a free is a push on the span's remote list. What
 * is populated is dense: nothing in it is lazy.
 */
#ifndef HL_HEAP_INSTANCE_H
#define HL_HEAP_INSTANCE_H

#include "heap/types.h"
#include "hugetlbfs2.h"

/* As htlb_heap_create() and the others. */
int hl_instance_create(
	const struct htlb_heap_options *options, struct htlb_heap **out);
/* align: a power of two. NULL and ENOMEM. */
void *hl_instance_alloc(struct htlb_heap *heap, size_t bytes, size_t align);
void hl_instance_destroy(struct htlb_heap *heap);

/* The heap that an arena with `own` belongs to. */
struct htlb_heap *hl_instance_of(struct hl_arena *arena);

/* The locks of all of them: between those of rank FORK and ARENA. */
void hl_instance_fork_prepare(void);
void hl_instance_fork_parent(void);
void hl_instance_fork_child(void);

#endif
