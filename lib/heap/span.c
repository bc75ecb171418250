/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See span.h. The word `remote` decides ownership: HL_REMOTE_UNOWNED is set
 * with release by the thread that lets go, and whoever clears it with acquire
 * sees all it left behind. A thread that pushed a block on the remote list of a
 * span that has an owner must not touch the span again: the owner may already
 * have given it back.
 */
#include "heap/span.h"

#include "base/count.h"
#include "heap/arena.h"
#include "heap/pagemap.h"
#include "heap/pageheap.h"
#include "heap/thread.h"

/* Free blocks linked at a time: a page's worth, so that fresh memory is
 * touched as it is used. */
#define CUT_BYTES 4096u
/* Spans of other threads' making that a thread keeps per class. */
#define KEEP_OTHERS    64u
#define SPAN_SLOTS_MAX 32u
/* Up to that size a thread's first span of a class is one slot. */
#define FIRST_BYTES 512u

struct hl_span hl_span_none;

/* ---- making and giving back ---- */

/* A thread that makes many spans of a class makes larger ones: fewer trips to
 * the page heap, and the part not cut yet stays a small share of what it has.
 */
static unsigned span_slots(const struct hl_thread *t, unsigned class_)
{
	unsigned n = hl_class[class_].slots;
	unsigned made = t->made[class_];

	/* Of a thread that needs a few blocks most of a span stays empty. */
	if (made == 0 && hl_class[class_].block_bytes <= FIRST_BYTES)
		return 1;
	while (made >= 8 && n * 2 <= SPAN_SLOTS_MAX) {
		n *= 2;
		made /= 4;
	}
	return n;
}

static struct hl_span *make(struct hl_thread *t, unsigned class_)
{
	const struct hl_class *c = &hl_class[class_];
	unsigned slots = span_slots(t, class_);
	struct hl_span *span =
		hl_pageheap_new(hl_thread_arena(t), HL_SPAN_SMALL, slots, 1);

	if (span == NULL)
		return NULL;
	span->block_bytes = c->block_bytes;
	span->magic = c->magic;
	span->class_ = (uint8_t)class_;
	span->capacity = (uint16_t)(slots * HL_SLOT_BYTES / c->block_bytes);
	span->maker = t;
	atomic_store_explicit(&span->owner, t, memory_order_relaxed);
	hl_pagemap_set(span->start, slots, span);
	if (t->made[class_] < UINT16_MAX)
		t->made[class_]++;
	hl_thread_tick(t);
	return span;
}

/* Empty, owned by the caller, on no list. */
static void give_back(struct hl_thread *t, struct hl_span *span)
{
	HL_ASSERT(span->used == 0 && !span->listed);
	if (t->made[span->class_] > 0)
		t->made[span->class_]--;
	hl_pagemap_set(span->start, span->slots16, NULL);
	hl_pageheap_give(span);
}

/* ---- the owner's side ---- */

static void enqueue(struct hl_thread *t, struct hl_span *span)
{
	/* At the end: it gathers free blocks while the others are used up. */
	hl_list_push_back(&t->queue[span->class_], &span->link);
	t->queued[span->class_]++;
}

static void dequeue(struct hl_thread *t, struct hl_span *span)
{
	hl_list_remove(&span->link);
	t->queued[span->class_]--;
}

/* Takes in what others freed. True if the span has free blocks now. */
static bool collect(struct hl_span *span)
{
	struct hl_block *head, *last;
	uint32_t n = 1;

	if (atomic_load_explicit(&span->remote, memory_order_relaxed) != 0) {
		head = (struct hl_block *)atomic_exchange_explicit(
			&span->remote, 0, memory_order_acquire);
		for (last = head; last->next != NULL; last = last->next)
			n++;
		last->next = span->free;
		span->free = head;
		HL_CHECK(n <= span->used);
		span->used -= n;
	}
	HL_VALID(hl_span_is_valid(span));
	return span->free != NULL;
}

/* Links some blocks of the part that was never used. False if there is none. */
static bool cut(struct hl_span *span)
{
	uint32_t n = (uint32_t)(span->capacity - span->cut), i;
	uint32_t bytes = span->block_bytes;
	uintptr_t at = span->start + (uintptr_t)span->cut * bytes;

	n = HL_MIN(n, HL_MAX(CUT_BYTES / bytes, 1u));
	if (n == 0)
		return false;
	HL_ASSERT(span->free == NULL);
	span->free = (struct hl_block *)at;
	for (i = 1; i < n; i++, at += bytes)
		((struct hl_block *)at)->next = (struct hl_block *)(at + bytes);
	((struct hl_block *)at)->next = NULL;
	span->cut = (uint16_t)(span->cut + n);
	return true;
}

/* The span is full: nobody's from here on, unless a block has just come back.
 */
static bool disown(struct hl_thread *t, struct hl_span *span)
{
	uintptr_t none = 0;

	atomic_store_explicit(&span->owner, NULL, memory_order_relaxed);
	if (atomic_compare_exchange_strong_explicit(&span->remote, &none,
		    HL_REMOTE_UNOWNED, memory_order_release,
		    memory_order_relaxed))
		return true;
	atomic_store_explicit(&span->owner, t, memory_order_relaxed);
	return false;
}

/* Another span for the class, the thread's current one from here on. */
static struct hl_span *next_span(struct hl_thread *t, unsigned class_)
{
	struct hl_list *node = hl_list_first(&t->queue[class_]);
	struct hl_span *span;

	if (node != NULL) {
		span = hl_list_entry(node, struct hl_span, link);
		dequeue(t, span);
		return span;
	}
	while ((span = hl_arena_adopt(t->arena, class_)) != NULL) {
		atomic_store_explicit(&span->owner, t, memory_order_relaxed);
		collect(span);
		if (span->used != 0) {
			hl_count(adoptions, 1);
			return span;
		}
		/* Emptied by others: a packed one keeps fewer units alive. */
		give_back(t, span);
	}
	return make(t, class_);
}

void *hl_span_refill(struct hl_thread *t, unsigned class_)
{
	struct hl_span *span = t->current[class_];
	struct hl_block *block;

	for (;;) {
		if (span != &hl_span_none) {
			if (span->free != NULL || collect(span) || cut(span))
				break;
			if (!disown(t, span))
				continue;
			t->current[class_] = &hl_span_none;
		}
		span = next_span(t, class_);
		if (span == NULL)
			return NULL;
		t->current[class_] = span;
	}
	block = span->free;
	span->free = block->next;
	span->used++;
	return block;
}

void hl_span_emptied(struct hl_thread *t, struct hl_span *span)
{
	dequeue(t, span);
	give_back(t, span);
	hl_thread_tick(t);
}

/* ---- the others' side ---- */

static void push_local(struct hl_span *span, struct hl_block *block)
{
	block->next = span->free;
	span->free = block;
	span->used--;
}

/* A first-class heap takes its spans back itself. */
static bool may_keep(const struct hl_thread *t, const struct hl_span *span)
{
	return !span->arena->own &&
	       (span->maker == t || t->queued[span->class_] < KEEP_OTHERS);
}

/* The caller has just become the owner by clearing UNOWNED. */
static void take_over(
	struct hl_thread *t, struct hl_span *span, struct hl_block *block)
{
	if (atomic_load_explicit(&span->listed, memory_order_relaxed))
		hl_arena_unlist(span->arena, span);
	atomic_store_explicit(&span->owner, t, memory_order_relaxed);
	push_local(span, block);
	collect(span);
	if (span->used == 0) {
		give_back(t, span);
		hl_thread_tick(t);
	} else if (may_keep(t, span)) {
		enqueue(t, span);
	} else {
		/* Who made it may want the room. */
		hl_arena_abandon(span->arena, span);
	}
}

/*
 * Whether t should take an unowned span over: a thread that frees much of what
 * another made leaves the room on the arena's list.
 */
static bool wants(const struct hl_thread *t, const struct hl_span *span)
{
	return t != &hl_thread_none &&
	       (may_keep(t, span) || !atomic_load_explicit(&span->listed,
					     memory_order_relaxed));
}

void hl_span_free_remote(
	struct hl_thread *t, struct hl_span *span, struct hl_block *block)
{
	uintptr_t old =
		atomic_load_explicit(&span->remote, memory_order_relaxed);
	bool take = wants(t, span);
	uintptr_t fresh;

	do {
		if ((old & HL_REMOTE_UNOWNED) && take) {
			fresh = old & ~HL_REMOTE_UNOWNED;
		} else {
			block->next =
				(struct hl_block *)(old & ~HL_REMOTE_UNOWNED);
			fresh = (uintptr_t)block | (old & HL_REMOTE_UNOWNED);
		}
	} while (!atomic_compare_exchange_weak_explicit(&span->remote, &old,
		fresh, memory_order_acq_rel, memory_order_relaxed));
	if ((old & HL_REMOTE_UNOWNED) && take)
		take_over(t, span, block);
}

/* ---- leaving, trimming, sweeping ---- */

/* Owned, on no queue: abandoned, or given back if empty. */
static void let_go(struct hl_thread *t, struct hl_span *span)
{
	collect(span);
	if (span->used == 0)
		give_back(t, span);
	else
		hl_arena_abandon(span->arena, span);
}

void hl_span_leave(struct hl_thread *t)
{
	unsigned c;

	for (c = 0; c < HL_CLASSES; c++) {
		struct hl_span *span = t->current[c];
		struct hl_list *node;

		t->current[c] = &hl_span_none;
		if (span != &hl_span_none)
			let_go(t, span);
		while ((node = hl_list_first(&t->queue[c])) != NULL) {
			span = hl_list_entry(node, struct hl_span, link);
			dequeue(t, span);
			let_go(t, span);
		}
	}
}

bool hl_span_trim(struct hl_thread *t, size_t limit)
{
	bool any = false;
	unsigned c;
	size_t n;

	for (c = 0; c < HL_CLASSES; c++) {
		struct hl_span *span = t->current[c];

		if (span != &hl_span_none) {
			collect(span);
			if (span->used == 0) {
				t->current[c] = &hl_span_none;
				give_back(t, span);
				any = true;
			}
		}
		/* Each once: those that stay go to the end. */
		for (n = HL_MIN(t->queued[c], limit); n > 0; n--) {
			span = hl_list_entry(hl_list_first(&t->queue[c]),
				struct hl_span, link);
			dequeue(t, span);
			collect(span);
			if (span->used != 0) {
				enqueue(t, span);
				continue;
			}
			give_back(t, span);
			any = true;
		}
	}
	return any;
}

bool hl_span_sweep(struct hl_arena *arena, size_t limit)
{
	struct hl_thread *t = hl_thread_here();
	struct hl_span *span;
	bool any = false;
	unsigned c;

	for (c = 0; c < HL_CLASSES && t != NULL; c++) {
		size_t n = atomic_load_explicit(
			&arena->abandoned_count[c], memory_order_relaxed);

		/* Each once: those that stay go to the end of the list. */
		for (n = HL_MIN(n, limit); n > 0; n--) {
			span = hl_arena_adopt(arena, c);
			if (span == NULL)
				break;
			collect(span);
			any |= span->used == 0;
			let_go(t, span);
		}
	}
	return any;
}

bool hl_span_is_valid(const struct hl_span *span)
{
	const struct hl_block *b;
	size_t n = 0;

	if (span->used > span->cut || span->cut > span->capacity)
		return false;
	for (b = span->free; b != NULL && n <= span->cut; b = b->next) {
		if (!hl_class_is_block(span->block_bytes, span->magic,
			    (uintptr_t)b - span->start))
			return false;
		n++;
	}
	return n <= (size_t)(span->cut - span->used);
}
