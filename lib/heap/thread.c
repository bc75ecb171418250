/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See thread.h. hl_self is the only thread-local word of the heap. It points to
 * hl_thread_none, whose current spans are all hl_span_none, until the thread
 * takes its first slow path: the fast path has no test for "not yet".
 */
#include "heap/thread.h"

#include "base/count.h"
#include "heap/arena.h"
#include "heap/decay.h"
#include "heap/heap.h"
#include "heap/span.h"

#define TICKS_PER_CLOCK 16u
#define TICKS_PER_NODE	64u
#define TRIM_SPANS	64u

#define NONE_8                                                      \
	&hl_span_none, &hl_span_none, &hl_span_none, &hl_span_none, \
		&hl_span_none, &hl_span_none, &hl_span_none, &hl_span_none
_Static_assert(HL_CLASSES == 9 * 8, "the initialiser below");
/* clang-format off */
struct hl_thread hl_thread_none = {
	.current = { NONE_8, NONE_8, NONE_8, NONE_8, NONE_8, NONE_8, NONE_8,
		     NONE_8, NONE_8 },
};
/* clang-format on */

__thread struct hl_thread *hl_self = &hl_thread_none;

static struct hl_lock thread_lock = HL_LOCK_INIT(HL_RANK_ARENA);
/* guarded by thread_lock */
static struct hl_pool_of thread_pool = {
	.bytes = sizeof(struct hl_thread),
	.align = 64,
};
static void (*arm_exit)(void);

void hl_thread_set_exit_hook(void (*arm)(void))
{
	arm_exit = arm;
	/* This thread may have a heap already. */
	if (arm != NULL && hl_self != &hl_thread_none)
		arm();
}

void hl_thread_init(struct hl_thread *t, struct hl_arena *arena)
{
	unsigned c;

	t->arena = arena;
	t->placed = arena->own || hl_arena_has_policy();
	t->beats = HL_THREAD_BEATS;
	for (c = 0; c < HL_CLASSES; c++) {
		t->current[c] = &hl_span_none;
		t->made[c] = 0;
		t->queued[c] = 0;
		hl_list_init(&t->queue[c]);
	}
}

struct hl_arena *hl_thread_arena(struct hl_thread *t)
{
	if (hl_unlikely(!t->placed) && hl_arena_has_policy()) {
		t->arena = hl_arena_here();
		t->placed = true;
	}
	return t->arena;
}

HL_COLD struct hl_thread *hl_thread_here(void)
{
	struct hl_thread *t = hl_self;

	if (t != &hl_thread_none)
		return t;
	hl_lock_acquire(&thread_lock);
	hl_arena_start();
	t = hl_pool_of_take(&thread_pool);
	hl_lock_release(&thread_lock);
	if (t == NULL)
		return NULL;
	hl_thread_init(t, hl_arena_here());
	hl_count(threads, 1);
	hl_self = t;
	/* After hl_self is set: arming may allocate. */
	if (arm_exit != NULL)
		arm_exit();
	return t;
}

void hl_thread_exit(void)
{
	struct hl_thread *t = hl_self;

	if (t == &hl_thread_none)
		return;
	hl_span_leave(t);
	hl_self = &hl_thread_none;
	hl_lock_acquire(&thread_lock);
	hl_pool_of_give(&thread_pool, t);
	hl_lock_release(&thread_lock);
}

void hl_thread_beat(struct hl_thread *t)
{
	t->beats = HL_THREAD_BEATS;
	if (hl_pageheap_tick(t->arena)) {
		/* Spans that are kept though empty hold whole units. */
		hl_span_trim(t, TRIM_SPANS);
		hl_span_sweep(t->arena, TRIM_SPANS);
	}
}

void hl_thread_tick(struct hl_thread *t)
{
	if (++t->ticks % TICKS_PER_CLOCK != 0)
		return;
	hl_thread_beat(t);
	if (t->ticks % TICKS_PER_NODE == 0 && !t->arena->own)
		t->arena = hl_arena_here();
}

void hl_thread_fork_prepare(void)
{
	hl_lock_acquire_fork(&thread_lock);
	hl_arena_start();
}

void hl_thread_fork_parent(void)
{
	hl_lock_release_fork(&thread_lock);
}

/*
 * The other threads' spans stay theirs: they may have been caught in the middle
 * of an operation, so nobody allocates from them in the child. Blocks of them
 * that the child frees go to the remote lists, and stay there.
 */
void hl_thread_fork_child(void)
{
	hl_lock_reset(&thread_lock);
}
