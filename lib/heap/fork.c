/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fork: all locks are taken in the order of their ranks, so that the child
 * finds every structure whole; the backing sees to it that copy-on-write will
 * find pages. The parent releases; the child resets, since the threads that
 * waited are not there.
 */
#include "heap/heap.h"

#include "heap/arena.h"
#include "heap/instance.h"
#include "heap/space.h"
#include "heap/stats.h"
#include "heap/thread.h"

static struct hl_lock fork_lock = HL_LOCK_INIT(HL_RANK_FORK);

typedef void on_lock(struct hl_lock *lock);

static void each_arena(on_lock *on, size_t offset)
{
	struct hl_arena *arena = &hl_arena_first;

	for (; arena != NULL; arena = hl_arena_next(arena))
		on((struct hl_lock *)((char *)arena + offset));
}

void hl_heap_fork_prepare(void)
{
	hl_lock_acquire_fork(&fork_lock);
	hl_arena_fork_prepare();
	hl_instance_fork_prepare();
	hl_thread_fork_prepare();
	each_arena(hl_lock_acquire_fork, offsetof(struct hl_arena, lock));
	each_arena(hl_lock_acquire_fork, offsetof(struct hl_arena, grow_lock));
	each_arena(hl_lock_acquire_fork, offsetof(struct hl_arena, page_lock));
	hl_space_fork_prepare();
	hl_backing_fork_prepare();
	hl_meta_fork_prepare();
}

void hl_heap_fork_parent(void)
{
	hl_meta_fork_parent();
	hl_backing_fork_parent();
	hl_space_fork_parent();
	each_arena(hl_lock_release_fork, offsetof(struct hl_arena, page_lock));
	each_arena(hl_lock_release_fork, offsetof(struct hl_arena, grow_lock));
	each_arena(hl_lock_release_fork, offsetof(struct hl_arena, lock));
	hl_thread_fork_parent();
	hl_instance_fork_parent();
	hl_arena_fork_parent();
	hl_lock_release_fork(&fork_lock);
}

void hl_heap_fork_child(void)
{
	hl_meta_fork_child();
	hl_backing_fork_child();
	hl_space_fork_child();
	each_arena(hl_lock_reset, offsetof(struct hl_arena, page_lock));
	each_arena(hl_lock_reset, offsetof(struct hl_arena, grow_lock));
	each_arena(hl_lock_reset, offsetof(struct hl_arena, lock));
	hl_thread_fork_child();
	hl_heap_stats_fork_child();
	hl_instance_fork_child();
	hl_arena_fork_child();
	hl_lock_reset(&fork_lock);
}

void hl_heap_fork_hurried_prepare(void)
{
	hl_backing_fork_hurried_prepare();
}

void hl_heap_fork_hurried_child(void)
{
	hl_backing_fork_hurried_child();
}
