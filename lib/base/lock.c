/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The slow halves of the futex mutex, and the rank check of debug builds.
 *
 * State 2 means "held, and somebody may sleep". A thread that has slept takes
 * the lock as 2, since it cannot know whether it was the only sleeper; that
 * costs one needless wake-up and never loses one. The kernel compares the word
 * with 2 before it sleeps, so a release in between is not missed.
 *
 * hl_lock_reset() forgets sleepers: they exist only in the parent.
 */
#include "base/lock.h"
#include "base/log.h"
#include "base/syscall.h"

#include <linux/futex.h>
#include <sys/syscall.h>

_Thread_local uint32_t hl_lock_depth __attribute__((tls_model("initial-exec")));

/* A critical section is about this short; sleeping costs some microseconds. */
#define SPINS 100

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

void hl_lock_init(struct hl_lock *lock, enum hl_rank rank)
{
	atomic_init(&lock->state, 0);
	lock->rank = rank;
}

HL_COLD void hl_lock_wait(struct hl_lock *lock)
{
	for (int i = 0; i < SPINS; i++) {
		uint32_t seen = atomic_load_explicit(
			&lock->state, memory_order_relaxed);

		if (seen == 0 &&
			atomic_compare_exchange_weak_explicit(&lock->state,
				&seen, 1, memory_order_acquire,
				memory_order_relaxed))
			return;
		/* Others sleep already: do not push in before them. */
		if (seen == 2)
			break;
		relax();
	}
	while (atomic_exchange_explicit(
		       &lock->state, 2, memory_order_acquire) != 0)
		(void)hl_syscall(SYS_futex, (long)&lock->state,
			FUTEX_WAIT_PRIVATE, 2, 0, 0, 0);
}

HL_COLD void hl_lock_wake(struct hl_lock *lock)
{
	(void)hl_syscall(
		SYS_futex, (long)&lock->state, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

#if HL_DEBUG_LEVEL >= 1

#define RANKS (HL_RANK_LOG + 1)

/* How many locks of each rank this thread holds: over 1 at fork only. */
static _Thread_local uint8_t held[RANKS]
	__attribute__((tls_model("initial-exec")));

static void rank_check(const struct hl_lock *lock, uint32_t lowest_refused)
{
	HL_CHECK(lock->rank < RANKS);
	for (uint32_t rank = lowest_refused; rank < RANKS; rank++) {
		if (held[rank] > 0)
			hl_fatal("lock of rank %u taken under one of rank %u",
				lock->rank, rank);
	}
}

void hl_lock_rank_take(const struct hl_lock *lock)
{
	if (lock->rank == HL_RANK_NONE)
		return;
	rank_check(lock, lock->rank);
	held[lock->rank]++;
}

void hl_lock_rank_drop(const struct hl_lock *lock)
{
	if (lock->rank == HL_RANK_NONE)
		return;
	HL_CHECK(lock->rank < RANKS && held[lock->rank] > 0);
	held[lock->rank]--;
}

bool hl_lock_rank_held(enum hl_rank rank)
{
	return rank == HL_RANK_NONE || held[rank] > 0;
}

static void rank_take_fork(const struct hl_lock *lock)
{
	if (lock->rank == HL_RANK_NONE)
		return;
	rank_check(lock, lock->rank + 1);
	HL_CHECK(held[lock->rank] < UINT8_MAX);
	held[lock->rank]++;
}

void hl_lock_reset_ranks(void)
{
	hl_lock_depth = 0;
	for (size_t i = 0; i < RANKS; i++)
		held[i] = 0;
}

#else

static void rank_take_fork(const struct hl_lock *lock)
{
	(void)lock;
}

void hl_lock_reset_ranks(void)
{
	hl_lock_depth = 0;
}

#endif

void hl_lock_acquire_fork(struct hl_lock *lock)
{
	uint32_t seen = 0;

	hl_lock_deeper();
	rank_take_fork(lock);
	if (!atomic_compare_exchange_strong_explicit(&lock->state, &seen, 1,
		    memory_order_acquire, memory_order_relaxed))
		hl_lock_wait(lock);
}

void hl_lock_release_fork(struct hl_lock *lock)
{
	hl_lock_release(lock);
}

void hl_lock_reset(struct hl_lock *lock)
{
	atomic_store_explicit(&lock->state, 0, memory_order_release);
}
