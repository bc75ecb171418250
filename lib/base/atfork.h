/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fork handlers by whatever the C library has: glibc's __register_atfork (its
 * pthread_atfork lives in a static stub), musl's pthread_atfork; both weak.
 * prepare runs in the reverse order of registration, the others in order.
 */
#ifndef HL_BASE_ATFORK_H
#define HL_BASE_ATFORK_H

/* A failure (no memory) cannot be told from success, and is harmless to
 * programs that do not fork. */
void hl_atfork(
	void (*prepare)(void), void (*parent)(void), void (*child)(void));

#endif
