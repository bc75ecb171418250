/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bringing the library up in a process: options, next allocator, fork handlers,
 * thread-exit hook. Done once, by whichever comes first: the preload object
 * (first malloc or constructor), or the first htlb_ call in a program that is
 * only linked. Everything is cheap: no file is read here.
 */
#ifndef HL_HEAP_SETUP_H
#define HL_HEAP_SETUP_H

#include "heap/heap.h"

/*
 * envp as in environ. preloaded as in hl_opt_init(). next must stay valid.
 * True when set up, by this call or an earlier one; false while another
 * thread (or a caller further up this stack) is at it: the heap works
 * unconfigured meanwhile.
 */
bool hl_setup(char *const *envp, bool preloaded,
	const struct hl_next_allocator *next);
bool hl_setup_is_done(void);
/* Until another thread is no longer at it; returns at once in a caller further
 * up the stack. A second at most. */
void hl_setup_wait(void);

/*
 * Only in the preload object (NULL elsewhere): hl_setup() with its arguments,
 * for an htlb_ call that comes before the first malloc and the constructor.
 */
extern bool hl_setup_preloaded(void)
	__attribute__((weak, visibility("hidden")));

#endif
