/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A futex mutex of 8 bytes that needs no initialisation beyond zero bytes and
 * a rank, allocates nothing, and may be reset in the child of a fork.
 *
 * Ranks ascend only: a thread that holds a lock takes only locks of a higher
 * rank. Builds with debug-level >= 1 keep a mask of held ranks per thread and
 * abort on a violation. Two locks of one rank are never held together, except
 * by the fork handlers, which use the _fork variants in a fixed order.
 *
 * Not recursive. Not for signal handlers: a thread counts the locks it holds,
 * so that a handler that forks can be told from other forks (base/atfork.h).
 */
#ifndef HL_BASE_LOCK_H
#define HL_BASE_LOCK_H

#include "base/base.h"

#include <stdatomic.h>

enum hl_rank {
	HL_RANK_NONE = 0,
	HL_RANK_REGION,
	HL_RANK_FORK,
	HL_RANK_HEAP,
	HL_RANK_ARENA,
	HL_RANK_GROW,
	HL_RANK_PAGEHEAP,
	HL_RANK_AREA,
	HL_RANK_BACKING,
	HL_RANK_META,
	HL_RANK_LOG,
};

struct hl_lock {
	_Atomic uint32_t state; /* 0 free, 1 held, 2 held and waited for */
	uint32_t rank;		/* enum hl_rank; constant */
};

/* clang-format off */
#define HL_LOCK_INIT(r) { 0, (r) }
/* clang-format on */

void hl_lock_init(struct hl_lock *lock, enum hl_rank rank);

/* How many locks this thread holds, or is about to. */
extern _Thread_local uint32_t hl_lock_depth
	__attribute__((tls_model("initial-exec")));

/* Never less than what is held, whenever a signal arrives. */
static inline void hl_lock_deeper(void)
{
	hl_lock_depth++;
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void hl_lock_shallower(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	hl_lock_depth--;
}

/* Slow halves of the inline calls below. */
void hl_lock_wait(struct hl_lock *lock);
void hl_lock_wake(struct hl_lock *lock);

#if HL_DEBUG_LEVEL >= 1
void hl_lock_rank_take(const struct hl_lock *lock);
void hl_lock_rank_drop(const struct hl_lock *lock);
/* True if this thread holds a lock of that rank. */
bool hl_lock_rank_held(enum hl_rank rank);
#define HL_REQUIRES(lock) HL_ASSERT(hl_lock_rank_held((lock)->rank))
#else
#define hl_lock_rank_take(lock) ((void)0)
#define hl_lock_rank_drop(lock) ((void)0)
#define HL_REQUIRES(lock)	((void)0)
#endif

static inline void hl_lock_acquire(struct hl_lock *lock)
{
	uint32_t free_ = 0;

	hl_lock_deeper();
	hl_lock_rank_take(lock);
	if (hl_unlikely(!atomic_compare_exchange_strong_explicit(&lock->state,
		    &free_, 1, memory_order_acquire, memory_order_relaxed)))
		hl_lock_wait(lock);
}

static inline bool hl_lock_try(struct hl_lock *lock)
{
	uint32_t free_ = 0;

	hl_lock_deeper();
	if (!atomic_compare_exchange_strong_explicit(&lock->state, &free_, 1,
		    memory_order_acquire, memory_order_relaxed)) {
		hl_lock_shallower();
		return false;
	}
	hl_lock_rank_take(lock);
	return true;
}

static inline void hl_lock_release(struct hl_lock *lock)
{
	hl_lock_rank_drop(lock);
	if (hl_unlikely(atomic_exchange_explicit(
				&lock->state, 0, memory_order_release) == 2))
		hl_lock_wake(lock);
	hl_lock_shallower();
}

/*
 * For fork handlers: taking several locks of one rank, in a fixed order.
 * hl_lock_reset is for the child, instead of a release: the lock becomes free
 * and forgotten, whoever held it or waited for it in the parent.
 */
void hl_lock_acquire_fork(struct hl_lock *lock);
void hl_lock_release_fork(struct hl_lock *lock);
void hl_lock_reset(struct hl_lock *lock);
/* The child forgets all locks that the forking thread held. */
void hl_lock_reset_ranks(void);

#endif
