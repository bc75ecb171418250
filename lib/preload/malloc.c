/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * malloc and its family under their own names, as LD_PRELOAD interposes them.
 * Each call is one test away from the heap. Where malloc stays libc's
 * (options, RESTRICT_EXE) the calls are passed on, except for blocks that our
 * heap handed out before that was known. These are known by the page map, not
 * by the area around them: with HUGETLB_MMAP another allocator's memory may lie
 * in an area as well.
 *
 * What a bad request answers is glibc's answer. It has changed once:
 * aligned_alloc rounded a strange alignment up until 2.38, and refuses it
 * since; we do as the glibc that runs does.
 */
#include "preload/preload.h"

#include "heap/pagemap.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const char *gnu_get_libc_version(void) HL_WEAK;

#define MALLOC_ALIGN (2 * sizeof(size_t)) /* of every block, in glibc */

static bool is_passed_on(void)
{
	return hl_preload_decide() == HL_PRELOAD_LIBC;
}

static bool is_our_block(const void *p)
{
	return hl_pagemap_get(p) != NULL;
}

/* libc may have grown its heap for it. */
static void *passed_on(void *block)
{
	hl_preload_see_break();
	return block;
}

static HL_COLD void *slow_malloc(size_t bytes)
{
	return is_passed_on() ? passed_on(hl_next.malloc(bytes))
			      : hl_malloc(bytes);
}

static HL_COLD void *slow_calloc(size_t count, size_t bytes)
{
	return is_passed_on() ? passed_on(hl_next.calloc(count, bytes))
			      : hl_calloc(count, bytes);
}

static HL_COLD void *slow_realloc(void *p, size_t bytes)
{
	return is_passed_on() && !is_our_block(p)
		       ? passed_on(hl_next.realloc(p, bytes))
		       : hl_realloc(p, bytes);
}

static HL_COLD void slow_free(void *p)
{
	if (p == NULL)
		return;
	if (is_passed_on() && !is_our_block(p)) {
		hl_next.free(p);
		hl_preload_see_break();
	} else {
		hl_free(p);
	}
}

static void *aligned(size_t align, size_t bytes)
{
	if (hl_preload_is_ours() || !is_passed_on())
		return hl_memalign(align, bytes);
	return passed_on(hl_next.memalign(align, bytes));
}

HL_EXPORT void *malloc(size_t bytes)
{
	return hl_preload_is_ours() ? hl_malloc(bytes) : slow_malloc(bytes);
}

HL_EXPORT void *calloc(size_t count, size_t bytes)
{
	return hl_preload_is_ours() ? hl_calloc(count, bytes)
				    : slow_calloc(count, bytes);
}

HL_EXPORT void *realloc(void *p, size_t bytes)
{
	return hl_preload_is_ours() ? hl_realloc(p, bytes)
				    : slow_realloc(p, bytes);
}

HL_EXPORT void *reallocarray(void *p, size_t count, size_t bytes)
{
	size_t total;

	if (!hl_mul_ok(count, bytes, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, total);
}

HL_EXPORT void free(void *p)
{
	if (hl_preload_is_ours())
		hl_free(p);
	else
		slow_free(p);
}

HL_EXPORT void cfree(void *p)
{
	free(p);
}

HL_EXPORT void free_sized(void *p, size_t bytes)
{
	(void)bytes;
	free(p);
}

HL_EXPORT void free_aligned_sized(void *p, size_t align, size_t bytes)
{
	(void)align;
	(void)bytes;
	free(p);
}

HL_EXPORT void *memalign(size_t align, size_t bytes)
{
	if (align <= MALLOC_ALIGN)
		return malloc(bytes);
	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	if (!hl_is_pow2(align))
		align = (size_t)2 << hl_log2(align);
	return aligned(align, bytes);
}

/* glibc 2.38 and later, musl: EINVAL. Before: as memalign. */
static HL_COLD bool refuses_strange_alignment(void)
{
	const char *v;

	if (gnu_get_libc_version == NULL)
		return true;
	v = gnu_get_libc_version(); /* "2.36" */
	return strncmp(v, "2.", 2) != 0 || v[3] < '0' || v[3] > '9' ||
	       (v[2] - '0') * 10 + (v[3] - '0') >= 38;
}

HL_EXPORT void *aligned_alloc(size_t align, size_t bytes)
{
	if (!hl_is_pow2(align) && refuses_strange_alignment()) {
		errno = EINVAL;
		return NULL;
	}
	return memalign(align, bytes);
}

HL_EXPORT int posix_memalign(void **out, size_t align, size_t bytes)
{
	int saved = errno;
	void *p;

	if (!hl_is_pow2(align) || align % sizeof(void *) != 0)
		return EINVAL;
	p = memalign(align, bytes);
	if (p == NULL) {
		errno = saved;
		return ENOMEM;
	}
	*out = p;
	return 0;
}

HL_EXPORT void *valloc(size_t bytes)
{
	return memalign((size_t)getpagesize(), bytes);
}

HL_EXPORT void *pvalloc(size_t bytes)
{
	size_t page = (size_t)getpagesize(), end;

	if (!hl_add_ok(bytes, page - 1, &end)) {
		errno = ENOMEM;
		return NULL;
	}
	return memalign(page, hl_align_down(end, page));
}

HL_EXPORT size_t malloc_usable_size(void *p)
{
	if (hl_preload_is_ours())
		return hl_usable_size(p);
	if (p == NULL)
		return 0;
	return is_passed_on() && !is_our_block(p) ? hl_next.usable_size(p)
						  : hl_usable_size(p);
}
