/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text of objects that the program opens after its start. dlopen itself cannot
 * be interposed without harm: what it finds depends on who calls it. The start
 * of a thread is soon enough for the programs that matter (a Java launcher
 * opens its machine and then starts it on a thread), and costs them nothing
 * where no such objects were asked for.
 */
#include "preload/preload.h"

#include "segment/segment.h"

#include <errno.h>
#include <pthread.h>

typedef int create_function(
	pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

HL_EXPORT int pthread_create(pthread_t *restrict thread,
	const pthread_attr_t *restrict attr, void *(*start)(void *),
	void *restrict arg)
{
	static create_function *_Atomic found;
	create_function *next =
		atomic_load_explicit(&found, memory_order_relaxed);

	if (hl_unlikely(next == NULL)) {
		next = (create_function *)hl_next_function("pthread_create");
		if (next == NULL)
			return EAGAIN;
		atomic_store_explicit(&found, next, memory_order_relaxed);
	}
	hl_segments_again();
	return next(thread, attr, start, arg);
}
