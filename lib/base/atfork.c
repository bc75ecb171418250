/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See base/atfork.h. The handle of this object lets the C library forget the
 * handlers when the object is unloaded (it is linked not to be).
 */
#include "base/atfork.h"
#include "base/base.h"

#include <pthread.h>

extern int __register_atfork(void (*prepare)(void), void (*parent)(void),
	void (*child)(void), void *dso) HL_WEAK;
extern int pthread_atfork(void (*prepare)(void), void (*parent)(void),
	void (*child)(void)) HL_WEAK;
extern void *__dso_handle __attribute__((visibility("hidden")));

void hl_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	if (__register_atfork != NULL)
		(void)__register_atfork(prepare, parent, child, &__dso_handle);
	else if (pthread_atfork != NULL)
		(void)pthread_atfork(prepare, parent, child);
}
