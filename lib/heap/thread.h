/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread's heap: made at its first slow path, left when it ends.
 */
#ifndef HL_HEAP_THREAD_H
#define HL_HEAP_THREAD_H

#include "heap/types.h"

/* A record that owns nothing yet. */
void hl_thread_init(struct hl_thread *t, struct hl_arena *arena);

/* Where its new spans come from. A thread that began before the nodes were
 * known chooses anew here. */
struct hl_arena *hl_thread_arena(struct hl_thread *t);

/* The calling thread's heap, made if need be; NULL if metadata is out. */
struct hl_thread *hl_thread_here(void);

/* The same, but hl_thread_none instead of NULL. */
static inline struct hl_thread *hl_thread_here_or_none(void)
{
	struct hl_thread *t = hl_thread_here();

	return t != NULL ? t : &hl_thread_none;
}

#define HL_THREAD_BEATS 256u

/* t->beats ran out. */
void hl_thread_beat(struct hl_thread *t);
/* Called on slow paths: now and then looks at the clock and at the node. */
void hl_thread_tick(struct hl_thread *t);

void hl_thread_fork_prepare(void);
void hl_thread_fork_parent(void);
void hl_thread_fork_child(void);

#endif
