/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See heap/setup.h. May run inside the very first malloc, before the C library
 * has been initialised: pthread_key_create and __register_atfork only touch
 * static tables of glibc there (and if they allocate, they find the heap
 * unconfigured but working).
 *
 * Thread exit. A pthread key is the only portable late hook. Its destructor
 * should run after those of the program's own keys, since they free memory;
 * ours has a low number and would come first, so in the first round it only
 * puts its value back and acts in the second. A thread that allocates even
 * later arms again and is served in the remaining rounds
 * (PTHREAD_DESTRUCTOR_ITERATIONS, 4).
 */
#include "heap/setup.h"

#include "base/atfork.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/report.h"
#include "base/syscall.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

enum {
	SETUP_NONE,
	SETUP_BUSY,
	SETUP_DONE
};
static atomic_int state;
static _Atomic(pthread_t) busy; /* the thread that is at it */

static pthread_key_t exit_key;
static _Thread_local bool exited; /* hl_thread_exit() ran in this thread */

/* Values of the key: what its destructor shall do next. */
#define EXIT_NEXT_ROUND ((void *)1)
#define EXIT_NOW	((void *)2)

static void thread_ends(void *value)
{
	if (value == EXIT_NEXT_ROUND &&
		pthread_setspecific(exit_key, EXIT_NOW) == 0)
		return;
	exited = true;
	hl_thread_exit();
}

static void arm(void)
{
	/* A failure costs what the thread's spans held: they are never adopted.
	 */
	(void)pthread_setspecific(
		exit_key, exited ? EXIT_NOW : EXIT_NEXT_ROUND);
}

static void fork_child(void)
{
	/* First: what the child counts must not go to the parent's slot. */
	hl_report_fork_child();
	hl_heap_fork_child();
}

static void fork_hurried_child(void)
{
	hl_report_fork_child();
	hl_heap_fork_hurried_child();
}

static const struct hl_atfork fork_handlers = {
	.prepare = hl_heap_fork_prepare,
	.parent = hl_heap_fork_parent,
	.child = fork_child,
	.hurried_prepare = hl_heap_fork_hurried_prepare,
	.hurried_child = fork_hurried_child,
};

bool hl_setup_is_done(void)
{
	return atomic_load_explicit(&state, memory_order_acquire) == SETUP_DONE;
}

/* Microseconds, but for a thread that fork() left behind in the parent. */
void hl_setup_wait(void)
{
	struct timespec a_ms = {.tv_nsec = 1000000};

	for (int ms = 0; ms < 1000; ms++) {
		if (atomic_load_explicit(&state, memory_order_acquire) !=
				SETUP_BUSY ||
			pthread_equal(atomic_load(&busy), pthread_self()))
			return;
		(void)hl_syscall(SYS_nanosleep, (long)&a_ms, 0, 0, 0, 0, 0);
	}
}

bool hl_setup(
	char *const *envp, bool preloaded, const struct hl_next_allocator *next)
{
	int none = SETUP_NONE;

	if (hl_setup_is_done())
		return true;
	if (!atomic_compare_exchange_strong(&state, &none, SETUP_BUSY))
		return none == SETUP_DONE;

	atomic_store(&busy, pthread_self());
	hl_opt_init(envp, preloaded);
	hl_log_set_level(hl_opt.verbose);
	hl_heap_set_next(next);
	if (pthread_key_create(&exit_key, thread_ends) == 0)
		hl_thread_set_exit_hook(arm);
	hl_atfork(&fork_handlers);
	atomic_store_explicit(&state, SETUP_DONE, memory_order_release);
	return true;
}
