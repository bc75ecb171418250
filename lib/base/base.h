/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vocabulary of every file: attributes, checked arithmetic, alignment,
 * assertion levels. Included everywhere; includes nothing of ours.
 */
#ifndef HL_BASE_BASE_H
#define HL_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HL_KIB ((size_t)1 << 10)
#define HL_MIB ((size_t)1 << 20)
#define HL_GIB ((size_t)1 << 30)

#define HL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define HL_NORETURN	     __attribute__((noreturn))
#define HL_COLD		     __attribute__((cold, noinline))
#define HL_NOINLINE	     __attribute__((noinline))
#define HL_WARN_UNUSED	     __attribute__((warn_unused_result))
/* Reads without synchronisation, and can live with any answer. */
#define HL_NO_TSAN __attribute__((no_sanitize("thread"), noinline))
#define HL_WEAK	   __attribute__((weak))
/* Exported from the shared objects; everything else is hidden. */
#define HL_EXPORT __attribute__((visibility("default")))

#define hl_likely(x)   __builtin_expect(!!(x), 1)
#define hl_unlikely(x) __builtin_expect(!!(x), 0)

#define HL_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define hl_container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define HL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define HL_MAX(a, b) ((a) > (b) ? (a) : (b))

/* align must be a power of two. hl_align_up wraps: check before (hl_add_ok). */
static inline size_t hl_align_up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static inline size_t hl_align_down(size_t n, size_t align)
{
	return n & ~(align - 1);
}

static inline bool hl_is_pow2(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* True and *out = a + b (a * b) if that fits; *out is untouched otherwise. */
static inline bool hl_add_ok(size_t a, size_t b, size_t *out)
{
	size_t r;

	if (__builtin_add_overflow(a, b, &r))
		return false;
	*out = r;
	return true;
}

static inline bool hl_mul_ok(size_t a, size_t b, size_t *out)
{
	size_t r;

	if (__builtin_mul_overflow(a, b, &r))
		return false;
	*out = r;
	return true;
}

/* Floor of the binary logarithm; n must not be 0. */
static inline unsigned hl_log2(size_t n)
{
	return (unsigned)(8 * sizeof(n) - 1) - (unsigned)__builtin_clzl(n);
}

/*
 * Assertion levels, from the Meson option debug-level:
 *  HL_CHECK   always: what a caller of malloc can corrupt
 *  HL_ASSERT  level 1: cheap
 *  HL_VALID   level 2: x_is_valid(), after a change
 *  HL_VALID3  level 3: walks lists
 */
#ifndef HL_DEBUG_LEVEL
#define HL_DEBUG_LEVEL 0
#endif

HL_NORETURN void hl_assert_fail(const char *expr, const char *file, int line);

#define HL_CHECK_(e) \
	(hl_likely(e) ? (void)0 : hl_assert_fail(#e, __FILE__, __LINE__))
#define HL_NOCHECK_(e) ((void)sizeof(!(e)))

#define HL_CHECK(e) HL_CHECK_(e)
#if HL_DEBUG_LEVEL >= 1
#define HL_ASSERT(e) HL_CHECK_(e)
#else
#define HL_ASSERT(e) HL_NOCHECK_(e)
#endif
#if HL_DEBUG_LEVEL >= 2
#define HL_VALID(e) HL_CHECK_(e)
#else
#define HL_VALID(e) HL_NOCHECK_(e)
#endif
#if HL_DEBUG_LEVEL >= 3
#define HL_VALID3(e) HL_CHECK_(e)
#else
#define HL_VALID3(e) HL_NOCHECK_(e)
#endif

#endif
