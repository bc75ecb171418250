/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The C library's calls on signal dispositions, masks and stacks, under their
 * own names. All end in three calls of backing/signals.h, which pass straight
 * to the kernel until the first huge page is taken, and from then on keep
 * SIGBUS and SIGSEGV ours while the program sees its own settings.
 *
 * Answers (errors, old values) are those of glibc. Async-signal-safe as the
 * originals are; no lock, no state but siginterrupt's flags.
 */
#include "preload/preload.h"

#include "backing/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

/* A promise that the calls below are the ones that the program uses. */
const bool hl_signals_interposed = true;

#define MASK_WORD_BITS 32 /* of sigblock(3) and its like */

/* Exported by glibc, but declared for old standards only. */
sighandler_t bsd_signal(int sig, sighandler_t handler);

/* Signals that siginterrupt() made interrupt; bit sig - 1. */
static _Atomic uint64_t interrupting;

static int answer(int rc)
{
	if (rc >= 0)
		return 0;
	errno = -rc;
	return -1;
}

HL_EXPORT int sigaction(
	int sig, const struct sigaction *action, struct sigaction *old)
{
	return answer(hl_signals_action(sig, action, old));
}

HL_EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return answer(hl_signals_mask(how, set, old));
}

/* Returns the error and leaves errno alone. */
HL_EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return -hl_signals_mask(how, set, old);
}

HL_EXPORT int sigaltstack(const stack_t *stack, stack_t *old)
{
	return answer(hl_signals_altstack(stack, old));
}

/* ---- signal() in its flavours ---- */

static bool is_signal(int sig)
{
	return sig >= 1 && sig < NSIG;
}

static sighandler_t set_handler(int sig, sighandler_t handler, int flags)
{
	struct sigaction action, old;

	if (handler == SIG_ERR || !is_signal(sig)) {
		errno = EINVAL;
		return SIG_ERR;
	}
	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	action.sa_flags = flags;
	if (!(flags & SA_NODEFER))
		(void)sigaddset(&action.sa_mask, sig);
	if (answer(hl_signals_action(sig, &action, &old)) < 0)
		return SIG_ERR;
	return old.sa_handler;
}

static sighandler_t set_bsd(int sig, sighandler_t handler)
{
	uint64_t intr =
		atomic_load_explicit(&interrupting, memory_order_relaxed);
	bool restart = !is_signal(sig) || !(intr >> (sig - 1) & 1);

	return set_handler(sig, handler, restart ? SA_RESTART : 0);
}

static sighandler_t set_sysv(int sig, sighandler_t handler)
{
	return set_handler(
		sig, handler, (int)(SA_RESETHAND | SA_NODEFER | SA_INTERRUPT));
}

HL_EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	return set_bsd(sig, handler);
}

HL_EXPORT sighandler_t ssignal(int sig, sighandler_t handler)
{
	return set_bsd(sig, handler);
}

HL_EXPORT sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return set_bsd(sig, handler);
}

HL_EXPORT sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	return set_sysv(sig, handler);
}

HL_EXPORT sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
	return set_sysv(sig, handler);
}

HL_EXPORT int siginterrupt(int sig, int interrupt)
{
	struct sigaction action;
	uint64_t bit;
	int rc = hl_signals_action(sig, NULL, &action);

	if (rc < 0)
		return answer(rc);
	bit = (uint64_t)1 << (sig - 1);
	if (interrupt) {
		atomic_fetch_or_explicit(
			&interrupting, bit, memory_order_relaxed);
		action.sa_flags &= ~SA_RESTART;
	} else {
		atomic_fetch_and_explicit(
			&interrupting, ~bit, memory_order_relaxed);
		action.sa_flags |= SA_RESTART;
	}
	return answer(hl_signals_action(sig, &action, NULL));
}

/* ---- System V ---- */

static int change_one(int how, int sig, sigset_t *old)
{
	sigset_t set;

	(void)sigemptyset(&set);
	if (sigaddset(&set, sig) < 0)
		return -1;
	return answer(hl_signals_mask(how, &set, old));
}

HL_EXPORT int sighold(int sig)
{
	return change_one(SIG_BLOCK, sig, NULL);
}

HL_EXPORT int sigrelse(int sig)
{
	return change_one(SIG_UNBLOCK, sig, NULL);
}

HL_EXPORT int sigignore(int sig)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = SIG_IGN;
	return answer(hl_signals_action(sig, &action, NULL));
}

HL_EXPORT sighandler_t sigset(int sig, sighandler_t disposition)
{
	struct sigaction action, old;
	sigset_t before;
	bool held;

	if (disposition == SIG_ERR || !is_signal(sig)) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (disposition == SIG_HOLD) {
		if (change_one(SIG_BLOCK, sig, &before) < 0)
			return SIG_ERR;
		if (sigismember(&before, sig))
			return SIG_HOLD;
		if (answer(hl_signals_action(sig, NULL, &old)) < 0)
			return SIG_ERR;
		return old.sa_handler;
	}
	memset(&action, 0, sizeof(action));
	action.sa_handler = disposition;
	if (answer(hl_signals_action(sig, &action, &old)) < 0 ||
		change_one(SIG_UNBLOCK, sig, &before) < 0)
		return SIG_ERR;
	held = sigismember(&before, sig) == 1;
	return held ? SIG_HOLD : old.sa_handler;
}

/* ---- BSD: masks of one word ---- */

static int change_word(int how, int mask)
{
	sigset_t set, old;
	unsigned before = 0;
	int sig;

	(void)sigemptyset(&set);
	for (sig = 1; sig <= MASK_WORD_BITS; sig++) {
		if ((unsigned)mask >> (sig - 1) & 1)
			(void)sigaddset(&set, sig);
	}
	if (answer(hl_signals_mask(how, &set, &old)) < 0)
		return -1;
	for (sig = 1; sig <= MASK_WORD_BITS; sig++) {
		if (sigismember(&old, sig) == 1)
			before |= 1u << (sig - 1);
	}
	return (int)before;
}

HL_EXPORT int sigblock(int mask)
{
	return change_word(SIG_BLOCK, mask);
}

HL_EXPORT int sigsetmask(int mask)
{
	return change_word(SIG_SETMASK, mask);
}

HL_EXPORT int siggetmask(void)
{
	return change_word(SIG_BLOCK, 0);
}
