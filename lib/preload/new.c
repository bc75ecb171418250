/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * C++ operator new and delete in all their forms, under their mangled names
 * and without needing a C++ runtime. They are here, and not left to
 * libstdc++ (which would call our malloc), because a program or a library
 * that brings its own pair must meet one pair that agrees.
 *
 * Failure is the runtime's affair: its operator new knows how to call the
 * new-handler in a loop, to throw, and (nothrow forms) to catch. So when
 * malloc fails, the same request is put to the runtime's own operator, found
 * by name. It calls malloc again, and its exception passes through our frame
 * (compiled with -fexceptions). No runtime at all: nothrow forms return NULL,
 * throwing forms cannot keep their promise and abort.
 */
#include "preload/preload.h"

#include "base/log.h"

#include <malloc.h>
#include <stdlib.h>

struct nothrow; /* std::nothrow_t */

/* Itanium C++ ABI; m: size_t where that is unsigned long (all 64-bit Linux). */
void *_Znwm(size_t bytes);
void *_Znam(size_t bytes);
void *_ZnwmRKSt9nothrow_t(size_t bytes, const struct nothrow *tag);
void *_ZnamRKSt9nothrow_t(size_t bytes, const struct nothrow *tag);
void *_ZnwmSt11align_val_t(size_t bytes, size_t align);
void *_ZnamSt11align_val_t(size_t bytes, size_t align);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(
	size_t bytes, size_t align, const struct nothrow *tag);
void *_ZnamSt11align_val_tRKSt9nothrow_t(
	size_t bytes, size_t align, const struct nothrow *tag);
void _ZdlPv(void *p);
void _ZdaPv(void *p);
void _ZdlPvm(void *p, size_t bytes);
void _ZdaPvm(void *p, size_t bytes);
void _ZdlPvRKSt9nothrow_t(void *p, const struct nothrow *tag);
void _ZdaPvRKSt9nothrow_t(void *p, const struct nothrow *tag);
void _ZdlPvSt11align_val_t(void *p, size_t align);
void _ZdaPvSt11align_val_t(void *p, size_t align);
void _ZdlPvmSt11align_val_t(void *p, size_t bytes, size_t align);
void _ZdaPvmSt11align_val_t(void *p, size_t bytes, size_t align);
void _ZdlPvSt11align_val_tRKSt9nothrow_t(
	void *p, size_t align, const struct nothrow *tag);
void _ZdaPvSt11align_val_tRKSt9nothrow_t(
	void *p, size_t align, const struct nothrow *tag);

static HL_COLD void *failed(size_t bytes, const char *name, const void *caller)
{
	void *(*next)(size_t) =
		(void *(*)(size_t))hl_next_cxx_function(name, caller);

	if (next == NULL)
		hl_fatal("operator new: no memory for %zu bytes, and no C++ "
			 "runtime to throw std::bad_alloc",
			bytes);
	return next(bytes);
}

static HL_COLD void *failed_nothrow(size_t bytes, const struct nothrow *tag,
	const char *name, const void *caller)
{
	void *(*next)(size_t, const struct nothrow *) = (void *(*)(size_t,
		const struct nothrow *))hl_next_cxx_function(name, caller);

	return next != NULL ? next(bytes, tag) : NULL;
}

static HL_COLD void *failed_aligned(
	size_t bytes, size_t align, const char *name, const void *caller)
{
	void *(*next)(size_t, size_t) =
		(void *(*)(size_t, size_t))hl_next_cxx_function(name, caller);

	if (next == NULL)
		hl_fatal("operator new: no memory for %zu bytes aligned to "
			 "%zu, and no C++ runtime to throw std::bad_alloc",
			bytes, align);
	return next(bytes, align);
}

static HL_COLD void *failed_aligned_nothrow(size_t bytes, size_t align,
	const struct nothrow *tag, const char *name, const void *caller)
{
	void *(*next)(size_t, size_t,
		const struct nothrow *) = (void *(*)(size_t, size_t,
		const struct nothrow *))hl_next_cxx_function(name, caller);

	return next != NULL ? next(bytes, align, tag) : NULL;
}

/* An alignment that is not a power of two is for the runtime to judge. */
static void *take_aligned(size_t bytes, size_t align)
{
	return hl_is_pow2(align) ? memalign(align, bytes) : NULL;
}

#define CALLER __builtin_extract_return_addr(__builtin_return_address(0))

#define DEFINE_NEW(name)                                                    \
	HL_EXPORT void *name(size_t bytes)                                  \
	{                                                                   \
		void *p = malloc(bytes);                                    \
                                                                            \
		return hl_likely(p != NULL) ? p                             \
					    : failed(bytes, #name, CALLER); \
	}                                                                   \
	HL_EXPORT void *name##RKSt9nothrow_t(                               \
		size_t bytes, const struct nothrow *tag)                    \
	{                                                                   \
		void *p = malloc(bytes);                                    \
                                                                            \
		return hl_likely(p != NULL)                                 \
			       ? p                                          \
			       : failed_nothrow(bytes, tag,                 \
					 #name "RKSt9nothrow_t", CALLER);   \
	}                                                                   \
	HL_EXPORT void *name##St11align_val_t(size_t bytes, size_t align)   \
	{                                                                   \
		void *p = take_aligned(bytes, align);                       \
                                                                            \
		return hl_likely(p != NULL)                                 \
			       ? p                                          \
			       : failed_aligned(bytes, align,               \
					 #name "St11align_val_t", CALLER);  \
	}                                                                   \
	HL_EXPORT void *name##St11align_val_tRKSt9nothrow_t(                \
		size_t bytes, size_t align, const struct nothrow *tag)      \
	{                                                                   \
		void *p = take_aligned(bytes, align);                       \
                                                                            \
		return hl_likely(p != NULL)                                 \
			       ? p                                          \
			       : failed_aligned_nothrow(bytes, align, tag,  \
					 #name                              \
					 "St11align_val_tRKSt9nothrow_t",   \
					 CALLER);                           \
	}

DEFINE_NEW(_Znwm)
DEFINE_NEW(_Znam)

#define DEFINE_DELETE(name)                                         \
	HL_EXPORT void name(void *p)                                \
	{                                                           \
		free(p);                                            \
	}                                                           \
	HL_EXPORT void name##m(void *p, size_t bytes)               \
	{                                                           \
		(void)bytes;                                        \
		free(p);                                            \
	}                                                           \
	HL_EXPORT void name##RKSt9nothrow_t(                        \
		void *p, const struct nothrow *tag)                 \
	{                                                           \
		(void)tag;                                          \
		free(p);                                            \
	}                                                           \
	HL_EXPORT void name##St11align_val_t(void *p, size_t align) \
	{                                                           \
		(void)align;                                        \
		free(p);                                            \
	}                                                           \
	HL_EXPORT void name##mSt11align_val_t(                      \
		void *p, size_t bytes, size_t align)                \
	{                                                           \
		(void)bytes;                                        \
		(void)align;                                        \
		free(p);                                            \
	}                                                           \
	HL_EXPORT void name##St11align_val_tRKSt9nothrow_t(         \
		void *p, size_t align, const struct nothrow *tag)   \
	{                                                           \
		(void)align;                                        \
		(void)tag;                                          \
		free(p);                                            \
	}

DEFINE_DELETE(_ZdlPv)
DEFINE_DELETE(_ZdaPv)
