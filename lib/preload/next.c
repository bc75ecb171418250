/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The next allocator in line: where requests go while malloc stays as it was,
 * at the heap's last resort, and where blocks go that are not ours (a plug-in
 * opened with RTLD_DEEPBIND has used it). Mostly libc's; but a program may
 * be linked with another one, or have one preloaded behind us.
 *
 * All six functions are looked up together, at the first use of one, so that
 * they belong together. A lookup may allocate (dlerror's state), which
 * comes back here: the inner call, and any before thread-local storage, is
 * served by the second names of glibc's malloc, which are weak: musl has none.
 */
#include "preload/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>

extern void *__libc_malloc(size_t) HL_WEAK;
extern void *__libc_calloc(size_t, size_t) HL_WEAK;
extern void *__libc_realloc(void *, size_t) HL_WEAK;
extern void *__libc_memalign(size_t, size_t) HL_WEAK;
extern void __libc_free(void *) HL_WEAK;

enum next {
	NEXT_MALLOC,
	NEXT_CALLOC,
	NEXT_REALLOC,
	NEXT_MEMALIGN,
	NEXT_FREE,
	NEXT_USABLE_SIZE,
	NEXT_COUNT_
};

static const char *const names[NEXT_COUNT_] = {
	[NEXT_MALLOC] = "malloc",
	[NEXT_CALLOC] = "calloc",
	[NEXT_REALLOC] = "realloc",
	/* Not memalign: musl's calls aligned_alloc, and finds ours. */
	[NEXT_MEMALIGN] = "aligned_alloc",
	[NEXT_FREE] = "free",
	[NEXT_USABLE_SIZE] = "malloc_usable_size",
};

static void *_Atomic found[NEXT_COUNT_];
static _Atomic bool looked_up;
static _Thread_local bool looking_up;

void *hl_next_function(const char *name)
{
	int saved = errno;
	void *f;

	if (looking_up)
		return NULL;
	looking_up = true;
	f = dlsym(RTLD_NEXT, name);
	looking_up = false;
	errno = saved;
	return f;
}

/* Two threads that do it at the same time find the same. */
static HL_COLD void look_up(void)
{
	if (looking_up || !hl_preload_has_tls())
		return;
	for (unsigned i = 0; i < NEXT_COUNT_; i++)
		atomic_store_explicit(&found[i], hl_next_function(names[i]),
			memory_order_relaxed);
	atomic_store_explicit(&looked_up, true, memory_order_release);
}

static void *function(enum next which, void *otherwise)
{
	void *f;

	if (hl_unlikely(
		    !atomic_load_explicit(&looked_up, memory_order_acquire)))
		look_up();
	f = atomic_load_explicit(&found[which], memory_order_relaxed);
	/* None half of which is known yet. */
	if (hl_unlikely(f == NULL || !atomic_load_explicit(
					     &looked_up, memory_order_acquire)))
		return otherwise;
	return f;
}

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static void *next_malloc(size_t bytes)
{
	void *(*f)(size_t) =
		(void *(*)(size_t))function(NEXT_MALLOC, (void *)__libc_malloc);

	return hl_likely(f != NULL) ? f(bytes) : no_memory();
}

static void *next_calloc(size_t count, size_t bytes)
{
	void *(*f)(size_t, size_t) = (void *(*)(size_t, size_t))function(
		NEXT_CALLOC, (void *)__libc_calloc);

	return hl_likely(f != NULL) ? f(count, bytes) : no_memory();
}

static void *next_realloc(void *p, size_t bytes)
{
	void *(*f)(void *, size_t) = (void *(*)(void *, size_t))function(
		NEXT_REALLOC, (void *)__libc_realloc);

	return hl_likely(f != NULL) ? f(p, bytes) : no_memory();
}

static void *next_memalign(size_t align, size_t bytes)
{
	void *(*f)(size_t, size_t) = (void *(*)(size_t, size_t))function(
		NEXT_MEMALIGN, (void *)__libc_memalign);

	return hl_likely(f != NULL) ? f(align, bytes) : no_memory();
}

static void next_free(void *p)
{
	void (*f)(void *) =
		(void (*)(void *))function(NEXT_FREE, (void *)__libc_free);

	if (hl_likely(f != NULL))
		f(p);
}

static size_t next_usable_size(void *p)
{
	size_t (*f)(void *) =
		(size_t(*)(void *))function(NEXT_USABLE_SIZE, NULL);

	return f != NULL ? f(p) : 0;
}

/* glibc's arenas: 64 MiB of address space each. */
static void next_confine(void)
{
#ifdef M_ARENA_MAX
	int (*f)(int, int) = (int (*)(int, int))hl_next_function("mallopt");

	if (f != NULL)
		(void)f(M_ARENA_MAX, 1);
#endif
}

const struct hl_next_allocator hl_next = {
	.malloc = next_malloc,
	.calloc = next_calloc,
	.realloc = next_realloc,
	.memalign = next_memalign,
	.free = next_free,
	.usable_size = next_usable_size,
	.confine = next_confine,
};

/* A symbol seen from an object that is loaded already, and what it needs. */
static void *find_in(const char *object, const char *name)
{
	void *handle = dlopen(object, RTLD_LAZY | RTLD_NOLOAD);
	void *f;

	if (handle == NULL)
		return NULL;
	f = dlsym(handle, name);
	(void)dlclose(handle);
	return f;
}

void *hl_next_cxx_function(const char *name, const void *caller)
{
	static const char *const runtimes[] = {
		"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"};
	Dl_info own, theirs;
	void *f = hl_next_function(name);

	if (f != NULL)
		return f;
	/* A runtime that came with a plug-in is in no scope that we see. */
	if (dladdr(caller, &theirs) != 0 && theirs.dli_fname != NULL &&
		dladdr(&hl_next, &own) != 0 &&
		own.dli_fbase != theirs.dli_fbase)
		f = find_in(theirs.dli_fname, name);
	for (size_t i = 0; f == NULL && i < HL_ARRAY_SIZE(runtimes); i++)
		f = find_in(runtimes[i], name);
	return f;
}
