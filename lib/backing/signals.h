/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our SIGBUS and SIGSEGV handlers beside the program's own settings. The
 * preload object's sigaction() and friends call these; see signals.c.
 */
#ifndef HL_BACKING_SIGNALS_H
#define HL_BACKING_SIGNALS_H

#include "base/base.h"

#include <signal.h>

/*
 * Defined, and true, only in the preload object: sigaction() and the mask
 * calls are interposed, so that handlers may be installed when the first huge
 * page is taken.
 */
extern const bool hl_signals_interposed
	__attribute__((weak, visibility("hidden")));

/* Our handlers are installed: from now on the calls below differ from libc's.
 */
bool hl_signals_active(void);

/* sigaction(2), sigprocmask(2), sigaltstack(2) as the program sees them: 0 or
 * -errno. */
int hl_signals_action(
	int sig, const struct sigaction *action, struct sigaction *old);
int hl_signals_mask(int how, const sigset_t *set, sigset_t *old);
int hl_signals_altstack(const stack_t *stack, stack_t *old);

/* This thread may have masked our signals before we were active. Cheap. */
void hl_signals_thread_check(void);

void hl_signals_fork_child(void);

#endif
