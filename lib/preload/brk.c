/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the break moves. sbrk and brk do what they always did; then segment/ is
 * told, if it looks after the area. libc's malloc moves the break by a name of
 * its own that nobody can interpose, but libc exports where the break is, which
 * malloc.c looks at behind each call that it passes on.
 */
#include "preload/preload.h"

#include "segment/brk.h"

#include <errno.h>
#include <unistd.h>

/* glibc's; musl has neither. */
extern void *__curbrk HL_WEAK;
extern void *__sbrk(intptr_t) HL_WEAK;

typedef void *sbrk_function(intptr_t);
typedef int brk_function(void *);

static bool is_on(void)
{
	return hl_unlikely(
		atomic_load_explicit(&hl_brk_on, memory_order_relaxed));
}

void hl_preload_see_break(void)
{
	if (is_on() && &__curbrk != NULL)
		hl_brk_see((uintptr_t)__atomic_load_n(
			&__curbrk, __ATOMIC_RELAXED));
}

/* An allocator may call in the middle of the lookup's own allocation. */
static void *next(const char *name, void *_Atomic *found)
{
	void *f = atomic_load_explicit(found, memory_order_relaxed);

	if (hl_unlikely(f == NULL) && hl_preload_has_tls()) {
		f = hl_next_function(name);
		atomic_store_explicit(found, f, memory_order_relaxed);
	}
	return f;
}

HL_EXPORT void *sbrk(intptr_t increment)
{
	static void *_Atomic found;
	sbrk_function *f = (sbrk_function *)next("sbrk", &found);
	void *before;

	if (f == NULL)
		f = __sbrk;
	if (f == NULL) {
		errno = ENOMEM;
		return (void *)-1;
	}
	before = f(increment);
	if (is_on() && before != (void *)-1)
		hl_brk_see((uintptr_t)before + (uintptr_t)increment);
	return before;
}

HL_EXPORT int brk(void *end)
{
	static void *_Atomic found;
	brk_function *f = (brk_function *)next("brk", &found);
	uintptr_t now;

	if (f == NULL) {
		/* By steps, as the lookup cannot be made yet. */
		now = (uintptr_t)sbrk(0);
		if (now == UINTPTR_MAX)
			return -1;
		return sbrk((intptr_t)((uintptr_t)end - now)) == (void *)-1 ? -1
									    : 0;
	}
	if (f(end) != 0)
		return -1;
	if (is_on())
		hl_brk_see((uintptr_t)end);
	return 0;
}
