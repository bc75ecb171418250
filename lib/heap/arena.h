/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arenas: one heap per NUMA node, made when a thread of that node first needs
 * it. A machine with one node has one arena and pays nothing for the others.
 * Also what all arenas share: policy (what to ask the backing for) and budget.
 */
#ifndef HL_HEAP_ARENA_H
#define HL_HEAP_ARENA_H

#include "heap/types.h"

#define HL_ARENAS_MAX 64

extern struct hl_arena hl_arena_first;

/* The arena for the calling thread: its node, as HUGETLB_NODE allows. Never
 * NULL. */
struct hl_arena *hl_arena_here(void);
/* The nodes are known: hl_arena_here() chooses among them from now on. */
bool hl_arena_has_policy(void);
/* Makes them known, for a caller who is about to choose and to grow. */
void hl_arena_settle(void);
/* All arenas, first-class heaps among them: from hl_arena_first on; NULL ends.
 * Entered once, never taken out. */
struct hl_arena *hl_arena_next(const struct hl_arena *arena);

/* A zeroed arena that is to be a first-class heap's, for ever. */
void hl_arena_add_own(struct hl_arena *arena);
/* Where memory goes that asks for pages of that size; 0: for none. */
struct hl_space *hl_arena_space(struct hl_arena *arena, size_t page_bytes);

/* Before anything else of an arena, under the lock of heap/thread.c. */
void hl_arena_start(void);

/* Options are known: huge pages may be used. */
void hl_arena_configure(void);
bool hl_arena_is_configured(void);

/*
 * What to ask for when a unit of the filler, or a dense block, is committed.
 * Before configuration: base pages. Called under GROW (interleave rotates).
 */
void hl_arena_want(struct hl_arena *arena, struct hl_want *want);
/* The page that it asks for, for who does not commit: the node stays. */
size_t hl_arena_page_bytes(struct hl_arena *arena);
/* Lazy memory for sparse blocks. */
void hl_arena_want_lazy(struct hl_arena *arena, struct hl_want *want);
/* Units that the heap keeps though empty (HUGETLB_HEAP_MIN), per arena. */
size_t hl_arena_floor_units(const struct hl_arena *arena);

/* No arena is made while the fork handlers hold the locks of those there are.
 */
void hl_arena_fork_prepare(void);
void hl_arena_fork_parent(void);
void hl_arena_fork_child(void);

/* ---- spans that nobody owns and that have room (rank ARENA) ---- */

/* The span's remote word gets its UNOWNED bit inside. */
void hl_arena_abandon(struct hl_arena *arena, struct hl_span *span);
/* An abandoned span of that class, now the caller's, or NULL. */
struct hl_span *hl_arena_adopt(struct hl_arena *arena, unsigned class_);
/* The caller has cleared UNOWNED: off the list, if it is on it. */
void hl_arena_unlist(struct hl_arena *arena, struct hl_span *span);

#endif
