/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls for the part of hugectl that runs before the C library is
 * initialised (hugectl_start.c): no errno, no thread-local storage, nothing to
 * relocate. The result or -errno.
 *
 * On machines that are not spelled out here the C library does it, and hugectl
 * starts the ordinary way (HL_RAW_START is not defined).
 */
#ifndef HL_TOOLS_RAW_H
#define HL_TOOLS_RAW_H

#include <sys/syscall.h>

#if defined(__x86_64__) && defined(__LP64__)
static inline long raw4(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
static inline long raw4(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
			 : "memory", "cc");
	return x0;
}
#else
#include "base/syscall.h"
static inline long raw4(long number, long a, long b, long c, long d)
{
	return hl_syscall(number, a, b, c, d, 0, 0);
}
#endif

#endif
