/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything a program can do to a malloc, at once, for some seconds, with
 * every block's contents known.
 *
 *   it_stress [SECONDS [SEED [THREADS]]]   or STRESS_SECONDS, _SEED, _THREADS
 *
 * Threads replace, resize and exchange blocks of 0 B to 64 MiB (small ones
 * mostly) in all ways that the malloc family knows; a block that went through
 * the exchange is checked and freed by another thread than made it. Threads
 * end, leave what they have to the exchange and are followed by new ones. Now
 * and then a thread forks: the child checks all blocks that it can see, goes on
 * with them, alone and with a thread of its own, and frees them.
 *
 * STRESS_MB bounds the live bytes (default 512), but for small blocks.
 * STRESS_MAY_FAIL=1: NULL is an answer (under ulimit -v), and counted. Built
 * with STRESS_DIRECT it calls the heap itself, for sanitizers, which do not let
 * themselves be preloaded over; without, it is an ordinary program, for
 * LD_PRELOAD.
 */
#include "stress.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define HELD	    192 /* blocks of one thread */
#define EXCHANGE    1024
#define STACK_BYTES ((size_t)512 << 10)
#define CHILD_OPS   3000
#define CHILD_S	    120 /* a child that hangs is a failure */

struct worker {
	pthread_t thread;
	unsigned number;
	struct stress_rng rng;
	uint64_t ops;
	uint64_t ops_end;
	struct stress_block held[HELD];
};

static struct worker workers[THREADS_MAX];
static unsigned thread_count = 8;
static _Atomic(struct stress_block *) exchange[EXCHANGE];
static _Atomic int64_t end_ms;
static _Atomic int64_t next_fork_ms;

static struct {
	_Atomic uint64_t ops, threads, forks, exchanged, trims;
} seen;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool is_over(void)
{
	return now_ms() >= atomic_load(&end_ms);
}

/* The record of a block on its way is itself a block. */
static void exchange_one(struct worker *w)
{
	struct stress_block *mine = &w->held[stress_draw(&w->rng, HELD)];
	uint64_t at = stress_draw(&w->rng, EXCHANGE);
	struct stress_block *there = NULL, *record;

	if (mine->p != NULL) {
		there = stress_record(sizeof(*there));
		if (there == NULL)
			return;
		*there = *mine;
	}
	record = atomic_exchange(&exchange[at], there);
	*mine = (struct stress_block){0};
	if (record == NULL)
		return;
	atomic_fetch_add(&seen.exchanged, 1);
	*mine = *record;
	stress_record_free(record);
	stress_check(mine);
	if (stress_draw(&w->rng, 2) == 0)
		stress_free(&w->rng, mine);
}

/* What another thread left there is checked and freed. */
static void empty_exchange(struct worker *w)
{
	for (unsigned i = 0; i < EXCHANGE; i++) {
		struct stress_block *record =
			atomic_exchange(&exchange[i], NULL);

		if (record == NULL)
			continue;
		stress_free(&w->rng, record);
		stress_record_free(record);
	}
}

static void one_op(struct worker *w)
{
	struct stress_block *block = &w->held[stress_draw(&w->rng, HELD)];
	uint64_t what = stress_draw(&w->rng, 10000);

	if (what < 1500) {
		exchange_one(w);
	} else if (what < 1503) {
		atomic_fetch_add(&seen.trims, 1);
		stress_trim();
	} else if (block->p == NULL) {
		stress_make(&w->rng, block);
	} else if (what < 3500) {
		stress_resize(&w->rng, block);
	} else {
		stress_free(&w->rng, block);
		if (what < 9000)
			stress_make(&w->rng, block);
	}
	w->ops++;
}

static void leave(struct worker *w)
{
	for (unsigned i = 0; i < HELD; i++) {
		struct stress_block *record;

		if (w->held[i].p == NULL)
			continue;
		record = stress_record(sizeof(*record));
		if (record == NULL) {
			stress_free(&w->rng, &w->held[i]);
			continue;
		}
		*record = w->held[i];
		w->held[i] = (struct stress_block){0};
		record = atomic_exchange(
			&exchange[stress_draw(&w->rng, EXCHANGE)], record);
		if (record != NULL) {
			stress_free(&w->rng, record);
			stress_record_free(record);
		}
	}
	atomic_fetch_add(&seen.ops, w->ops);
}

static void *child_thread(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < CHILD_OPS / 4; i++)
		one_op(w);
	leave(w);
	return NULL;
}

/* In the child of a fork, which has this thread only. */
static void live_as_child(struct worker *w)
{
	static struct worker other;
	unsigned i;

	/* The alarm is the parent's judgement: a hanging child dies by it. */
	alarm(CHILD_S);
	for (i = 0; i < HELD; i++)
		stress_check(&w->held[i]);
	for (i = 0; i < CHILD_OPS; i++)
		one_op(w);
	other.rng = w->rng;
	other.rng.state ^= 0x5bd1e995;
	if (STRESS_CHILD_THREADS &&
		pthread_create(&other.thread, NULL, child_thread, &other) == 0)
		pthread_join(other.thread, NULL);
	for (i = 0; i < HELD; i++)
		stress_free(&w->rng, &w->held[i]);
	empty_exchange(w);
	_exit(0);
}

static void fork_one(struct worker *w)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0) {
		if (stress_may_fail && (errno == ENOMEM || errno == EAGAIN))
			return;
		stress_fail("fork: %s", strerror(errno));
	}
	if (pid == 0)
		live_as_child(w);
	/* The parent writes while the child lives: copies must be had. */
	for (unsigned i = 0; i < CHILD_OPS; i++)
		one_op(w);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			stress_fail("waitpid: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		stress_fail("child of thread %u: wait status %#x", w->number,
			(unsigned)status);
	atomic_fetch_add(&seen.forks, 1);
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	int64_t due;

	while (w->ops < w->ops_end) {
		one_op(w);
		if (w->ops % 64 != 0)
			continue;
		if (is_over())
			break;
		due = atomic_load(&next_fork_ms);
		if (now_ms() >= due &&
			atomic_compare_exchange_strong(
				&next_fork_ms, &due, INT64_MAX)) {
			fork_one(w);
			atomic_store(&next_fork_ms,
				now_ms() + 50 +
					(int64_t)stress_draw(&w->rng, 500));
		}
	}
	leave(w);
	return NULL;
}

static void start_worker(struct worker *w, struct stress_rng *rng)
{
	pthread_attr_t attr;
	int err;

	w->rng.state = stress_draw(rng, UINT64_MAX);
	w->ops = 0;
	/* Some live for a handful of operations, some for long. */
	w->ops_end = (uint64_t)1 << (4 + stress_draw(rng, 14));
	/* Under ulimit -v the memory is for the heap, not for stacks. */
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = pthread_create(&w->thread, &attr, run_worker, w);
	pthread_attr_destroy(&attr);
	if (err != 0)
		stress_fail("pthread_create: %s", strerror(err));
	atomic_fetch_add(&seen.threads, 1);
}

/* Threads in turn: whoever ends is followed by a new one. */
static void run(struct stress_rng *rng)
{
	unsigned i;

	for (i = 0; i < thread_count; i++) {
		workers[i].number = i;
		start_worker(&workers[i], rng);
	}
	while (!is_over()) {
		struct worker *w = &workers[stress_draw(rng, thread_count)];

		if (pthread_tryjoin_np(w->thread, NULL) == 0)
			start_worker(w, rng);
		else
			usleep(1000);
	}
	for (i = 0; i < thread_count; i++)
		pthread_join(workers[i].thread, NULL);
}

static uint64_t parameter(
	int argc, char **argv, int at, const char *env, uint64_t fallback)
{
	const char *text = argc > at ? argv[at] : getenv(env);
	char *end;
	uint64_t value;

	if (text == NULL || *text == '\0')
		return fallback;
	value = strtoull(text, &end, 0);
	if (*end != '\0')
		stress_fail("%s: not a number: %s", env, text);
	return value;
}

static uint64_t fresh_seed(void)
{
	uint64_t seed = (uint64_t)now_ms();

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		perror("getrandom");
	return seed;
}

int main(int argc, char **argv)
{
	struct worker rest = {0};
	uint64_t seconds, seed;

	stress_setup();
	seconds = parameter(argc, argv, 1, "STRESS_SECONDS", 10);
	seed = parameter(argc, argv, 2, "STRESS_SEED", fresh_seed());
	thread_count = (unsigned)parameter(argc, argv, 3, "STRESS_THREADS", 8);
	if (thread_count < 1 || thread_count > THREADS_MAX)
		stress_fail("1 to %d threads", THREADS_MAX);
	stress_bytes_max = parameter(argc, argv, 4, "STRESS_MB", 512) << 20;
	stress_may_fail = parameter(argc, argv, 5, "STRESS_MAY_FAIL", 0) != 0;
	printf("it_stress %" PRIu64 " %" PRIu64 " %u\n", seconds, seed,
		thread_count);
	fflush(stdout);

	rest.rng.state = seed;
	atomic_store(&end_ms, now_ms() + (int64_t)seconds * 1000);
	atomic_store(&next_fork_ms, now_ms() + 100);
	run(&rest.rng);
	empty_exchange(&rest);
	if (atomic_load(&stress_live) != 0)
		stress_fail(
			"%" PRIu64 " bytes lost", atomic_load(&stress_live));
	printf("%" PRIu64 " operations, %" PRIu64 " threads, %" PRIu64
	       " forks, %" PRIu64 " exchanged, %" PRIu64 " trims, ",
		seen.ops, seen.threads, seen.forks, seen.exchanged, seen.trims);
	stress_summary();
	return 0;
}
