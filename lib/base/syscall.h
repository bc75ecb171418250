/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One way into the kernel that no other library can interpose and that is no
 * cancellation point. Keeps errno: malloc and free must not change it unless
 * they fail. Async-signal-safe.
 */
#ifndef HL_BASE_SYSCALL_H
#define HL_BASE_SYSCALL_H

#include "base/base.h"

/* The result, or -errno. Unused arguments are 0; pointers go as (long)p. */
long hl_syscall(long number, long a, long b, long c, long d, long e, long f);

/* Writes all of it, over short writes and EINTR; 0 or -errno. */
int hl_write_all(int fd, const char *data, size_t bytes);

#endif
