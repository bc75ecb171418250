/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/lock.c: exclusion under contention, try, the child of a fork, and
 * the rank rules of debug builds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/lock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS	50000

static struct hl_lock lock = HL_LOCK_INIT(HL_RANK_AREA);
static long shared; /* not atomic: the lock guards it */

static void *count_up(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 3 != 0 || !hl_lock_try(&lock))
			hl_lock_acquire(&lock);
		shared++;
		hl_lock_release(&lock);
	}
	return NULL;
}

static void test_exclusion(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	shared = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, count_up, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(shared, (long)THREADS * ROUNDS);
	assert_int_equal(atomic_load(&lock.state), 0);
}

/* Holders that sleep make waiters sleep in the kernel. */
static void *sleep_inside(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		hl_lock_acquire(&lock);
		shared++;
		usleep(500);
		hl_lock_release(&lock);
	}
	return NULL;
}

static void test_sleepers_are_woken(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	shared = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, sleep_inside, NULL),
			0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(shared, THREADS * 20);
}

static void test_try(void **state)
{
	(void)state;
	assert_true(hl_lock_try(&lock));
	assert_int_equal(atomic_load(&lock.state), 1);
	hl_lock_release(&lock);
	hl_lock_acquire(&lock);
	hl_lock_release(&lock);
	assert_int_equal(atomic_load(&lock.state), 0);
}

static void *try_once(void *arg)
{
	bool *got = arg;

	*got = hl_lock_try(&lock);
	if (*got)
		hl_lock_release(&lock);
	return NULL;
}

static void test_try_fails_while_held(void **state)
{
	pthread_t thread;
	bool got = true;

	(void)state;
	hl_lock_acquire(&lock);
	assert_int_equal(pthread_create(&thread, NULL, try_once, &got), 0);
	pthread_join(thread, NULL);
	hl_lock_release(&lock);
	assert_false(got);
}

static void test_errno_is_kept(void **state)
{
	(void)state;
	errno = 4242;
	hl_lock_acquire(&lock);
	hl_lock_wake(&lock);
	hl_lock_release(&lock);
	assert_int_equal(errno, 4242);
}

static void test_init(void **state)
{
	struct hl_lock fresh = {7, 7};

	(void)state;
	hl_lock_init(&fresh, HL_RANK_LOG);
	assert_int_equal(atomic_load(&fresh.state), 0);
	assert_int_equal(fresh.rank, HL_RANK_LOG);
}

/* Exit status of a child that runs fn; 128 + signal if it died. */
static int in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static void use_after_reset(void)
{
	alarm(10);
	hl_lock_reset(&lock);
	hl_lock_reset_ranks();
	hl_lock_acquire(&lock);
	hl_lock_release(&lock);
}

static void *hold(void *arg)
{
	pthread_barrier_t *barrier = arg;

	hl_lock_acquire(&lock);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	hl_lock_release(&lock);
	return NULL;
}

/* Another thread held the lock when the process forked. */
static void test_reset_in_the_child(void **state)
{
	pthread_barrier_t barrier;
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, hold, &barrier), 0);
	pthread_barrier_wait(&barrier);
	assert_int_equal(in_child(use_after_reset), 0);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}

static void test_several_of_a_rank_at_fork(void **state)
{
	struct hl_lock a = HL_LOCK_INIT(HL_RANK_AREA);
	struct hl_lock b = HL_LOCK_INIT(HL_RANK_AREA);
	struct hl_lock c = HL_LOCK_INIT(HL_RANK_META);

	(void)state;
	hl_lock_acquire_fork(&a);
	hl_lock_acquire_fork(&b);
	hl_lock_acquire_fork(&c);
	hl_lock_release_fork(&a);
	hl_lock_release_fork(&c);
	hl_lock_release_fork(&b);
	hl_lock_acquire(&a);
	hl_lock_release(&a);
}

#if HL_DEBUG_LEVEL >= 1

static void quiet(void)
{
	close(2);
	/* The report of a sanitizer would be about our own abort. */
	signal(SIGABRT, SIG_DFL);
}

static void take_two(enum hl_rank first, enum hl_rank second)
{
	struct hl_lock a = HL_LOCK_INIT(first), b = HL_LOCK_INIT(second);

	quiet();
	hl_lock_acquire(&a);
	hl_lock_acquire(&b);
}

static void take_downwards(void)
{
	take_two(HL_RANK_META, HL_RANK_AREA);
}

static void take_equal(void)
{
	take_two(HL_RANK_AREA, HL_RANK_AREA);
}

static void take_upwards(void)
{
	take_two(HL_RANK_AREA, HL_RANK_META);
}

static void try_downwards(void)
{
	struct hl_lock a = HL_LOCK_INIT(HL_RANK_META);

	quiet();
	hl_lock_acquire(&a);
	(void)hl_lock_try(&lock);
}

static void take_downwards_at_fork(void)
{
	struct hl_lock a = HL_LOCK_INIT(HL_RANK_META);

	quiet();
	hl_lock_acquire_fork(&a);
	hl_lock_acquire_fork(&lock);
}

static void release_twice(void)
{
	quiet();
	hl_lock_acquire(&lock);
	hl_lock_release(&lock);
	hl_lock_release(&lock);
}

static void test_ranks_ascend(void **state)
{
	(void)state;
	assert_int_equal(in_child(take_upwards), 0);
	assert_int_equal(in_child(take_downwards), 128 + SIGABRT);
	assert_int_equal(in_child(take_equal), 128 + SIGABRT);
	assert_int_equal(in_child(try_downwards), 128 + SIGABRT);
	assert_int_equal(in_child(take_downwards_at_fork), 128 + SIGABRT);
	assert_int_equal(in_child(release_twice), 128 + SIGABRT);
}

static void test_held_is_known(void **state)
{
	(void)state;
	assert_false(hl_lock_rank_held(HL_RANK_AREA));
	hl_lock_acquire(&lock);
	assert_true(hl_lock_rank_held(HL_RANK_AREA));
	HL_REQUIRES(&lock);
	hl_lock_release(&lock);
	assert_false(hl_lock_rank_held(HL_RANK_AREA));
	/* A failed try holds nothing; so does what was reset. */
	hl_lock_acquire(&lock);
	hl_lock_reset_ranks();
	assert_false(hl_lock_rank_held(HL_RANK_AREA));
	hl_lock_reset(&lock);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exclusion),
		cmocka_unit_test(test_sleepers_are_woken),
		cmocka_unit_test(test_try),
		cmocka_unit_test(test_try_fails_while_held),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_reset_in_the_child),
		cmocka_unit_test(test_several_of_a_rank_at_fork),
#if HL_DEBUG_LEVEL >= 1
		cmocka_unit_test(test_ranks_ascend),
		cmocka_unit_test(test_held_is_known),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
