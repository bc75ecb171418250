/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fork handlers by whatever the C library has: glibc's __register_atfork (its
 * pthread_atfork lives in a static stub), musl's pthread_atfork; both weak.
 * prepare runs in the reverse order of registration, the others in order.
 *
 * A signal handler may fork while its thread is in the middle of the library
 * (crash handlers that start a debugger do). Its locks cannot be waited for
 * then, and what they guard is not whole: that fork calls the hurried handlers
 * instead. They may touch atomics and ask the kernel; locks stay as they are,
 * in the child too, since parent and child both go on with what was
 * interrupted when the signal handler returns. Until then the child may do what
 * a signal handler may.
 */
#ifndef HL_BASE_ATFORK_H
#define HL_BASE_ATFORK_H

struct hl_atfork {
	void (*prepare)(void);
	void (*parent)(void);
	void (*child)(void);
	void (*hurried_prepare)(void); /* these two may be NULL */
	void (*hurried_child)(void);
};

/*
 * At most HL_ATFORK_MAX times in a process. `handlers` stays. A failure (no
 * memory) cannot be told from success, and is harmless to programs that do not
 * fork.
 */
#define HL_ATFORK_MAX 4
void hl_atfork(const struct hl_atfork *handlers);

#endif
