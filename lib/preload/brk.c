/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the break moves. sbrk and brk do what they always did; then segment/ is
 * told, if it looks after the area. libc's malloc moves the break by a name of
 * its own that nobody can interpose, but libc exports where the break is, which
 * malloc.c looks at behind each call that it passes on.
 *
 * glibc's sbrk is called by its second name, not looked up: an allocator may
 * call us under its own lock, and the lookup takes the dynamic linker's, under
 * which others allocate.
 */
#include "preload/preload.h"

#include "base/syscall.h"
#include "segment/brk.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's; musl has neither, and an area that never moves. */
extern void *__curbrk HL_WEAK;
extern void *__sbrk(intptr_t) HL_WEAK;

typedef void *sbrk_function(intptr_t);

void hl_preload_see_break(void)
{
	if (hl_unlikely(
		    atomic_load_explicit(&hl_brk_on, memory_order_relaxed)) &&
		&__curbrk != NULL)
		hl_brk_see((uintptr_t)__atomic_load_n(
			&__curbrk, __ATOMIC_RELAXED));
}

static void *move_by(intptr_t increment)
{
	sbrk_function *f = __sbrk;

	if (f == NULL)
		f = (sbrk_function *)hl_next_function("sbrk");
	if (f == NULL) {
		errno = ENOMEM;
		return (void *)-1;
	}
	return f(increment);
}

HL_EXPORT void *sbrk(intptr_t increment)
{
	void *before = move_by(increment);

	hl_preload_see_break();
	return before;
}

/*
 * As glibc's, to the letter: what the kernel says is what libc knows from then
 * on. By way of sbrk a program that has moved the break without libc, and then
 * asks for where libc thinks it is, would get nothing done.
 */
static int set_as_glibc(void *end)
{
	uintptr_t now =
		(uintptr_t)hl_syscall(SYS_brk, (long)end, 0, 0, 0, 0, 0);

	__atomic_store_n(&__curbrk, (void *)now, __ATOMIC_RELAXED);
	if (now < (uintptr_t)end) {
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

static int set_by_sbrk(void *end)
{
	uintptr_t now = (uintptr_t)move_by(0);

	if (now == UINTPTR_MAX ||
		move_by((intptr_t)((uintptr_t)end - now)) == (void *)-1)
		return -1;
	return 0;
}

/* Below its start the kernel leaves the break where it is, which is no error.
 */
HL_EXPORT int brk(void *end)
{
	int err = &__curbrk != NULL ? set_as_glibc(end) : set_by_sbrk(end);

	if (err == 0)
		hl_preload_see_break();
	return err;
}
