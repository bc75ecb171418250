/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See base/atfork.h. The C library knows three functions of ours, which call
 * those of the modules: whether a fork is a hurried one is decided once, before
 * the first lock is taken. The handle of this object lets the C library forget
 * them when the object is unloaded (it is linked not to be).
 */
#include "base/atfork.h"
#include "base/base.h"
#include "base/lock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>

extern int __register_atfork(void (*prepare)(void), void (*parent)(void),
	void (*child)(void), void *dso) HL_WEAK;
extern int pthread_atfork(void (*prepare)(void), void (*parent)(void),
	void (*child)(void)) HL_WEAK;
extern void *__dso_handle __attribute__((visibility("hidden")));

static _Atomic(const struct hl_atfork *) table[HL_ATFORK_MAX];
static atomic_uint used; /* of the table; an entry may be NULL a moment more */

/* A handler of a signal that interrupts a fork may fork as well. */
static _Thread_local uint32_t hurried
	__attribute__((tls_model("initial-exec")));
/* Modules whose prepare ran: another may come before parent or child do. */
static _Thread_local uint32_t prepared
	__attribute__((tls_model("initial-exec")));

static const struct hl_atfork *handlers_of(uint32_t i)
{
	return atomic_load_explicit(&table[i], memory_order_acquire);
}

/* How many there are from the first on. */
static uint32_t count(void)
{
	uint32_t n = 0;

	while (n < HL_ATFORK_MAX && handlers_of(n) != NULL)
		n++;
	return n;
}

static void hurried_prepare(void)
{
	for (uint32_t i = count(); i-- > 0;) {
		if (handlers_of(i)->hurried_prepare != NULL)
			handlers_of(i)->hurried_prepare();
	}
}

static void hurried_child(void)
{
	uint32_t n = count();

	for (uint32_t i = 0; i < n; i++) {
		if (handlers_of(i)->hurried_child != NULL)
			handlers_of(i)->hurried_child();
	}
}

static void prepare(void)
{
	uint32_t n = count();

	if (hl_lock_depth > 0) {
		hurried++;
		hurried_prepare();
		return;
	}
	for (uint32_t i = n; i-- > 0;)
		handlers_of(i)->prepare();
	prepared = n;
}

static void parent(void)
{
	uint32_t n = prepared;

	if (hurried > 0) {
		hurried--;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		handlers_of(i)->parent();
}

static void child(void)
{
	uint32_t n = prepared;

	if (hurried > 0) {
		hurried--;
		hurried_child();
		return;
	}
	hl_lock_reset_ranks();
	for (uint32_t i = 0; i < n; i++)
		handlers_of(i)->child();
}

void hl_atfork(const struct hl_atfork *handlers)
{
	unsigned at = atomic_fetch_add(&used, 1);

	HL_CHECK(at < HL_ATFORK_MAX);
	atomic_store_explicit(&table[at], handlers, memory_order_release);
	if (at > 0)
		return;
	if (__register_atfork != NULL)
		(void)__register_atfork(prepare, parent, child, &__dso_handle);
	else if (pthread_atfork != NULL)
		(void)pthread_atfork(prepare, parent, child);
}
