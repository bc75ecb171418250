/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * malloc and friends: the fast paths, and the routing of everything else by
 * size: small (a span's block), medium (a run), large (heap/large.h).
 */
#include "base/count.h"
#include "base/log.h"
#include "base/opt.h"
#include "heap/arena.h"
#include "heap/decay.h"
#include "heap/heap.h"
#include "heap/instance.h"
#include "heap/large.h"
#include "heap/pagemap.h"
#include "heap/pageheap.h"
#include "heap/single.h"
#include "heap/span.h"
#include "heap/thread.h"
#include "system/sys.h"

#include <errno.h>
#include <string.h>

/* Left under a ulimit: below that the heap spares. */
#define ROOM_MIN (256 * HL_MIB)

static struct hl_next_allocator next;
/* Blocks of the next allocator may be ours to free: it was the last resort. */
static _Atomic bool resorted;

void hl_heap_set_next(const struct hl_next_allocator *n)
{
	next = *n;
}

void hl_heap_configure(void)
{
	hl_arena_configure();
}

/* ---- allocation ---- */

/* For a block that is a span of its own. */
static struct hl_arena *arena_here(size_t bytes)
{
	struct hl_thread *t = hl_thread_here();

	if (t == NULL)
		return &hl_arena_first;
	if (bytes >= HL_LARGE_MIN) {
		/* Next to its page faults asking for the node is nothing. */
		hl_arena_settle();
		t->placed = false;
	} else {
		hl_thread_tick(t);
	}
	return hl_thread_arena(t);
}

/* Everything that the kernel gives us is used up: free what is only kept. */
static bool squeeze(void)
{
	bool any = false;
	struct hl_arena *arena = &hl_arena_first;

	if (hl_self != &hl_thread_none)
		any |= hl_span_trim(hl_self, SIZE_MAX);
	for (; arena != NULL; arena = hl_arena_next(arena)) {
		/* A first-class heap may end at any time: its own locks only.
		 */
		if (!arena->own)
			any |= hl_span_sweep(arena, SIZE_MAX);
		any |= hl_pageheap_decay(arena, true);
	}
	return any;
}

/* clear: only for blocks that are not small. */
static void *alloc(size_t bytes, size_t align, bool clear)
{
	struct hl_thread *t = hl_thread_here();
	unsigned class_ = HL_CLASS_NONE;
	struct hl_span *span;

	if (align <= HL_SLOT_BYTES)
		class_ = hl_class_aligned(bytes, align);
	if (class_ != HL_CLASS_NONE)
		return t != NULL ? hl_span_refill(t, class_) : NULL;
	span = hl_single_new(arena_here(bytes), bytes, align);
	if (span == NULL)
		return NULL;
	if (clear && !span->zero) {
		if (span->kind == HL_SPAN_MEDIUM)
			memset((void *)span->start, 0, bytes);
		else
			hl_large_clear(span, bytes);
	}
	return (void *)span->start;
}

/* Before a thread's first block there, which would set aside 64 MiB. */
static void confine_next(void)
{
	static _Atomic bool done;

	/* Set before: to find the function may take memory. */
	if (!atomic_load_explicit(&done, memory_order_relaxed) &&
		!atomic_exchange_explicit(&done, true, memory_order_relaxed) &&
		next.confine != NULL)
		next.confine();
}

static void *last_resort(size_t bytes, size_t align, bool clear)
{
	void *p = NULL;

	if (hl_space_is_confined())
		confine_next();
	if (clear && next.calloc != NULL)
		p = next.calloc(1, bytes);
	else if (align > 16 && next.memalign != NULL)
		p = next.memalign(align, bytes);
	else if (align <= 16 && next.malloc != NULL)
		p = next.malloc(bytes);
	if (p != NULL) {
		hl_count(libc_fallbacks, 1);
		atomic_store_explicit(&resorted, true, memory_order_relaxed);
	}
	return p;
}

/*
 * With little left under a ulimit, blocks that share units are better off with
 * the next allocator, which maps each exactly: parts of our units that nothing
 * is in would be missing where the program maps memory itself.
 */
static bool is_for_next(size_t bytes)
{
	return hl_unlikely(hl_space_is_confined()) && bytes >= HL_LARGE_MIN &&
	       bytes < HL_STRADDLE_MAX && hl_space_room() < ROOM_MIN;
}

/* In time, before there is nothing left. */
static void *from_next(size_t bytes, size_t align, bool clear)
{
	void *p = last_resort(bytes, align, clear);

	if (p != NULL)
		hl_count_fallback(HL_LIMIT_MEMORY, 1);
	return p;
}

/* The whole of every path but the first pop. */
static HL_NOINLINE void *alloc_slow(size_t bytes, size_t align, bool clear)
{
	int saved = errno;
	void *p = NULL;

	if (hl_likely(bytes <= PTRDIFF_MAX)) {
		if (hl_unlikely(is_for_next(bytes)))
			p = from_next(bytes, align, clear);
		if (hl_likely(p == NULL))
			p = alloc(bytes, align, clear);
		if (hl_unlikely(p == NULL) && squeeze())
			p = alloc(bytes, align, clear);
		if (hl_unlikely(p == NULL))
			p = last_resort(bytes, align, clear);
		if (hl_likely(p != NULL)) {
			errno = saved;
			return p;
		}
	}
	errno = ENOMEM;
	return NULL;
}

/* Nothing below sets errno as long as a block is found. */
static HL_NOINLINE void *refill(unsigned class_, size_t bytes)
{
	struct hl_thread *t = hl_self;
	void *p = t != &hl_thread_none ? hl_span_refill(t, class_) : NULL;

	return hl_likely(p != NULL) ? p : alloc_slow(bytes, 1, false);
}

void *hl_malloc(size_t bytes)
{
	struct hl_span *span;
	struct hl_block *block;
	unsigned class_;

	if (hl_unlikely(bytes > HL_SMALL_MAX))
		return alloc_slow(bytes, 1, false);
	class_ = hl_class_of(bytes);
	span = hl_self->current[class_];
	block = span->free;
	if (hl_unlikely(block == NULL))
		return refill(class_, bytes);
	span->free = block->next;
	span->used++;
	return block;
}

void *hl_calloc(size_t count, size_t bytes)
{
	size_t total;
	void *p;

	if (hl_unlikely(!hl_mul_ok(count, bytes, &total))) {
		errno = ENOMEM;
		return NULL;
	}
	if (total > HL_SMALL_MAX)
		return alloc_slow(total, 1, true);
	p = hl_malloc(total);
	if (hl_likely(p != NULL))
		memset(p, 0, total);
	return p;
}

void *hl_memalign(size_t align, size_t bytes)
{
	if (!hl_is_pow2(align)) {
		errno = EINVAL;
		return NULL;
	}
	if (align <= 16)
		return hl_malloc(bytes);
	if (align > PTRDIFF_MAX / 2 || bytes > PTRDIFF_MAX - align) {
		errno = ENOMEM;
		return NULL;
	}
	return alloc_slow(bytes, align, false);
}

/* ---- freeing ---- */

static HL_COLD void misuse(const void *p)
{
	struct hl_area *area = hl_area_find(p);

	if (area != NULL)
		hl_fatal("free(): invalid pointer %p: not a block, or freed "
			 "already",
			p);
	hl_count(foreign_frees, 1);
	if (hl_opt.harden &&
		!atomic_load_explicit(&resorted, memory_order_relaxed))
		hl_fatal("free(): foreign pointer %p", p);
}

static void free_other(struct hl_span *span, void *p)
{
	if ((uintptr_t)p != span->start)
		hl_fatal("free(): invalid pointer %p: inside the block at %p",
			p, (void *)span->start);
	if (span->kind == HL_SPAN_MEDIUM) {
		struct hl_thread *t = hl_self;

		hl_pagemap_set(span->start, 1, NULL);
		hl_pageheap_give(span);
		if (t != &hl_thread_none)
			hl_thread_tick(t);
	} else {
		hl_large_free(span);
	}
}

static HL_NOINLINE void free_slow(struct hl_span *span, void *p)
{
	int saved = errno;

	if (p == NULL)
		return;
	if (span != NULL) {
		free_other(span, p);
	} else {
		misuse(p);
		if (next.free != NULL)
			next.free(p);
	}
	errno = saved;
}

/* A small block whose span is not this thread's. */
static HL_NOINLINE void free_remote(struct hl_span *span, void *p)
{
	int saved = errno;

	hl_span_free_remote(hl_thread_here_or_none(), span, p);
	errno = saved;
}

static HL_NOINLINE void emptied(struct hl_thread *t, struct hl_span *span)
{
	int saved = errno;

	hl_span_emptied(t, span);
	errno = saved;
}

static HL_NOINLINE void beat(struct hl_thread *t)
{
	int saved = errno;

	hl_thread_beat(t);
	errno = saved;
}

void hl_free(void *p)
{
	struct hl_span *span = hl_pagemap_get(p);
	struct hl_thread *t = hl_self;
	struct hl_block *block = p;

	if (hl_unlikely(span == NULL || span->kind != HL_SPAN_SMALL)) {
		free_slow(span, p);
		return;
	}
	if (hl_unlikely(!hl_class_is_block(span->block_bytes, span->magic,
		    (uintptr_t)p - span->start)))
		hl_fatal("free(): invalid pointer %p: inside a block", p);
	if (hl_unlikely(atomic_load_explicit(
				&span->owner, memory_order_relaxed) != t)) {
		free_remote(span, p);
		return;
	}
	if (hl_unlikely(block == span->free))
		hl_fatal("free(): double free of %p", p);
	block->next = span->free;
	span->free = block;
	/* The current one is kept: hl_span_trim() gives it back in time. */
	if (hl_unlikely(--span->used == 0) && span != t->current[span->class_])
		emptied(t, span);
	if (hl_unlikely(--t->beats == 0))
		beat(t);
}

/* ---- size and realloc ---- */

static size_t span_usable(const struct hl_span *span)
{
	switch (span->kind) {
	case HL_SPAN_SMALL:
		return span->block_bytes;
	case HL_SPAN_MEDIUM:
		return span->slots16 * HL_SLOT_BYTES;
	default:
		return hl_large_usable(span);
	}
}

bool hl_is_ours(const void *p)
{
	return hl_area_find(p) != NULL;
}

size_t hl_usable_size(const void *p)
{
	struct hl_span *span;

	if (p == NULL)
		return 0;
	span = hl_pagemap_get(p);
	if (span != NULL)
		return span_usable(span);
	if (hl_is_ours(p))
		hl_fatal("malloc_usable_size(): invalid pointer %p", p);
	return next.usable_size != NULL ? next.usable_size((void *)p) : 0;
}

/*
 * A block that we move is in two places for a moment, and RLIMIT_AS and
 * RLIMIT_DATA count both; the next allocator's grows by mremap(2). One that
 * would not find the room to double once more goes there in time.
 */
static bool outgrows_us(const struct hl_span *span, size_t old, size_t bytes)
{
	return hl_unlikely(hl_space_is_confined()) && bytes > old &&
	       bytes >= HL_STRADDLE_MAX && !span->arena->own &&
	       hl_space_room() / 3 < bytes - old / 3;
}

/* The block stays where it is. */
static bool resize_in_place(struct hl_span *span, size_t bytes)
{
	size_t usable = span_usable(span);
	size_t slots = (bytes + HL_SLOT_BYTES - 1) / HL_SLOT_BYTES;

	switch (span->kind) {
	case HL_SPAN_SMALL:
		/* Not below half: memory is given back. */
		return bytes <= usable && bytes >= usable / 2;
	case HL_SPAN_MEDIUM:
		if (bytes <= HL_SMALL_MAX || bytes >= HL_LARGE_MIN)
			return bytes <= usable && bytes > usable / 2;
		return hl_pageheap_resize(span, (unsigned)slots);
	default:
		return !outgrows_us(span, usable, bytes) &&
		       hl_large_resize(span, bytes);
	}
}

static HL_NOINLINE void *realloc_foreign(void *p, size_t bytes)
{
	size_t old;
	void *to;

	misuse(p);
	if (next.realloc != NULL)
		return next.realloc(p, bytes);
	old = next.usable_size != NULL ? next.usable_size(p) : 0;
	to = hl_malloc(bytes);
	if (to != NULL)
		memcpy(to, p, HL_MIN(old, bytes));
	return to;
}

static bool is_large(const struct hl_span *span)
{
	return span->kind == HL_SPAN_STRADDLE || span->kind == HL_SPAN_LARGE;
}

static void *realloc_moving(struct hl_span *span, void *p, size_t bytes)
{
	size_t old = span_usable(span);
	void *to = NULL;

	if (outgrows_us(span, old, bytes))
		to = from_next(bytes, 1, false);
	if (to == NULL && span->kind == HL_SPAN_LARGE && bytes > old) {
		struct hl_span *moved = hl_large_move(span, bytes);

		if (moved != NULL)
			return (void *)moved->start;
	}
	if (to == NULL)
		to = span->arena->own
			     ? hl_instance_alloc(
				       hl_instance_of(span->arena), bytes, 1)
			     : hl_malloc(bytes);
	/* Where it is, after all: that was not tried if it outgrows us. */
	if (to == NULL)
		return is_large(span) && hl_large_resize(span, bytes) ? p
								      : NULL;
	memcpy(to, p, HL_MIN(old, bytes));
	hl_free(p);
	return to;
}

void *hl_realloc(void *p, size_t bytes)
{
	struct hl_span *span;
	int saved = errno;
	void *to;

	if (p == NULL)
		return hl_malloc(bytes);
	if (bytes == 0) {
		hl_free(p);
		return NULL;
	}
	span = hl_pagemap_get(p);
	if (span == NULL)
		return realloc_foreign(p, bytes);
	if (span->kind != HL_SPAN_SMALL && (uintptr_t)p != span->start)
		hl_fatal("realloc(): invalid pointer %p", p);
	if (bytes > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	if (resize_in_place(span, bytes)) {
		errno = saved;
		return p;
	}
	to = realloc_moving(span, p, bytes);
	if (to != NULL)
		errno = saved;
	return to;
}

bool hl_heap_release(void)
{
	int saved = errno;
	bool any = squeeze();

	errno = saved;
	return any;
}
