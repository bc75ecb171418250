/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See instance.h. Records of heaps are never unmapped, since other threads walk
 * all arenas (statistics, decay, fork); one that has ended is used again.
 *
 * Locks: list_lock for the records that are not in use; each heap's own lock
 * for its front end. The end of a heap takes all of its locks, against decay
 * and statistics of other threads; that nobody uses its blocks any more is
 * the program's promise.
 */
#include "heap/instance.h"

#include "backing/budget.h"
#include "base/failure.h"
#include "base/meta.h"
#include "base/record.h"
#include "heap/arena.h"
#include "heap/decay.h"
#include "heap/large.h"
#include "heap/pageheap.h"
#include "heap/pagemap.h"
#include "heap/single.h"
#include "heap/sizeclass.h"
#include "heap/space.h"
#include "heap/span.h"
#include "heap/thread.h"
#include "system/sys.h"

#include <errno.h>
#include <string.h>

struct htlb_heap {
	struct hl_lock lock;
	bool live;
	struct hl_thread front; /* lock */
	struct hl_arena arena;
	struct htlb_heap *next_free; /* list_lock */
};

static struct hl_lock list_lock = HL_LOCK_INIT(HL_RANK_FORK);
static struct htlb_heap *free_list;

struct htlb_heap *hl_instance_of(struct hl_arena *arena)
{
	HL_ASSERT(arena->own);
	return hl_container_of(arena, struct htlb_heap, arena);
}

/* ---- making ---- */

/* With a budget, its pages. */
static int find_asked(const struct htlb_heap_options *o, size_t *asked)
{
	struct hl_budget_stat stat;

	*asked = o->page_bytes;
	if (o->page_bytes != 0 && !hl_is_pow2(o->page_bytes))
		return -EINVAL;
	if (o->subpool != NULL) {
		hl_budget_stat(hl_budget_of(o->subpool), &stat);
		if (*asked != 0 && *asked != stat.want.page_bytes)
			return -EINVAL;
		*asked = stat.want.page_bytes;
	}
	if (*asked == 0)
		*asked = hl_supply_default();
	return 0;
}

static int find_page_size(const struct htlb_heap_options *o, size_t *page_bytes)
{
	size_t asked;
	int rc = find_asked(o, &asked);

	if (rc < 0)
		return rc;
	*page_bytes = hl_supply_page_bytes(asked);
	if (*page_bytes != 0 && *page_bytes == asked)
		return 0;
	hl_failure_record(HL_LIMIT_UNSUPPORTED, asked, HL_NODE_ANY, 1, 0);
	return o->flags & HTLB_HEAP_STRICT ? -EOPNOTSUPP : 0;
}

static int find_node(const struct htlb_heap_options *o, int *node)
{
	struct hl_topo topo;

	*node = HL_NODE_ANY;
	if (o->node_count == 0)
		return 0;
	if (o->node_count != 1 || o->nodes == NULL || o->nodes[0] < 0 ||
		o->nodes[0] >= HL_NODES_MAX ||
		hl_topo_read(&hl_root_real, &topo) < 0 ||
		!(topo.has_memory[o->nodes[0] / 64] >> (o->nodes[0] % 64) & 1))
		return -EINVAL;
	*node = o->nodes[0];
	return 0;
}

static int make_want(const struct htlb_heap_options *o, struct hl_want *want)
{
	int rc;

	*want = (struct hl_want){.strict = o->flags & HTLB_HEAP_STRICT};
	if (o->flags & ~HTLB_HEAP_STRICT)
		return -EINVAL;
	rc = find_page_size(o, &want->page_bytes);
	if (rc == 0)
		rc = find_node(o, &want->node);
	if (rc < 0)
		return rc;
	want->thp = !want->strict;
	want->subpool = hl_budget_of(o->subpool);
	return 0;
}

static struct htlb_heap *take_record(void)
{
	struct htlb_heap *heap;

	hl_lock_acquire(&list_lock);
	heap = free_list;
	if (heap != NULL)
		free_list = heap->next_free;
	hl_lock_release(&list_lock);
	if (heap != NULL)
		return heap;
	heap = hl_meta_map(sizeof(*heap));
	if (heap == NULL)
		return NULL;
	hl_lock_init(&heap->lock, HL_RANK_HEAP);
	hl_thread_init(&heap->front, &heap->arena);
	hl_arena_add_own(&heap->arena);
	return heap;
}

int hl_instance_create(
	const struct htlb_heap_options *options, struct htlb_heap **out)
{
	struct htlb_heap_options o;
	struct htlb_heap *heap;
	struct hl_want want;
	int rc = hl_record_in(&o, sizeof(o), options);

	if (rc == 0)
		rc = make_want(&o, &want);
	if (rc < 0)
		return rc;
	heap = take_record();
	if (heap == NULL)
		return -ENOMEM;
	if (want.subpool != NULL)
		hl_budget_ref(want.subpool);
	hl_lock_acquire(&heap->lock);
	hl_lock_acquire(&heap->arena.grow_lock);
	heap->arena.want = want;
	heap->arena.node = want.node;
	heap->arena.space.grain = want.page_bytes >> HL_UNIT_SHIFT;
	hl_lock_release(&heap->arena.grow_lock);
	heap->live = true;
	hl_lock_release(&heap->lock);
	*out = heap;
	return 0;
}

/* ---- blocks ---- */

static void *small_block(struct htlb_heap *heap, unsigned class_)
{
	struct hl_span *span;
	struct hl_block *block;

	hl_lock_acquire(&heap->lock);
	HL_CHECK(heap->live);
	span = heap->front.current[class_];
	block = span->free;
	if (hl_likely(block != NULL)) {
		span->free = block->next;
		span->used++;
	} else {
		block = hl_span_refill(&heap->front, class_);
	}
	hl_lock_release(&heap->lock);
	return block;
}

static void *block_of(struct htlb_heap *heap, size_t bytes, size_t align)
{
	unsigned class_ = HL_CLASS_NONE;
	struct hl_span *span;

	if (align <= HL_SLOT_BYTES)
		class_ = hl_class_aligned(bytes, align);
	if (class_ != HL_CLASS_NONE)
		return small_block(heap, class_);
	span = hl_single_new(&heap->arena, bytes, align);
	return span != NULL ? (void *)span->start : NULL;
}

void *hl_instance_alloc(struct htlb_heap *heap, size_t bytes, size_t align)
{
	int saved = errno;
	void *p = NULL;

	/* Not under the heap's lock, whose rank is above that of making one. */
	(void)hl_thread_here();
	if (bytes <= PTRDIFF_MAX && align <= PTRDIFF_MAX / 2) {
		p = block_of(heap, bytes, align);
		/* What is only kept may be what the limit lacks. */
		if (p == NULL && hl_pageheap_decay(&heap->arena, true))
			p = block_of(heap, bytes, align);
	}
	errno = p != NULL ? saved : ENOMEM;
	return p;
}

/* ---- the end ---- */

/* The blocks of the span are gone. */
static void drop_span(struct hl_arena *arena, struct hl_span *span)
{
	size_t slots = 1;

	switch (span->kind) {
	case HL_SPAN_SMALL:
		slots = span->slots16;
		/* fallthrough */
	case HL_SPAN_MEDIUM:
		hl_heap_count_live(-(int64_t)(span->slots16 * HL_SLOT_BYTES));
		break;
	default:
		hl_large_count(-1, -(int64_t)hl_large_usable(span));
		break;
	}
	hl_pagemap_set(span->start, slots, NULL);
	hl_pool_of_give(&arena->span_pool, span);
}

static int drop_blocks(struct hl_stretch *stretch, void *arg)
{
	struct hl_arena *arena = arg;
	uintptr_t at = stretch->base;
	uintptr_t end = at + stretch->units * HL_UNIT_BYTES;
	struct hl_span *span;

	if (stretch->space != &arena->space)
		return 0;
	if (stretch->dedicated)
		end = at + HL_SLOT_BYTES;
	for (; at < end; at += HL_SLOT_BYTES) {
		span = hl_pagemap_get((void *)at);
		if (span != NULL)
			drop_span(arena, span);
	}
	return 0;
}

static void drop_tracts(struct hl_arena *arena, struct hl_straddle_home *home)
{
	struct hl_list *pos, *tmp;

	if (home->tracts.next == NULL)
		return;
	hl_list_for_each_safe (pos, tmp, &home->tracts)
		hl_pool_of_give(&arena->tract_pool,
			hl_list_entry(pos, struct hl_tract_home, link));
	/* It keeps its buckets for the next heap. */
	hl_straddle_init(&home->straddle, home->straddle.bucket);
	home->tracts = (struct hl_list){0};
}

/* As it was before its first block. All locks of the arena are held. */
static void reset(struct hl_arena *arena)
{
	drop_tracts(arena, &arena->pool_straddle);
	drop_tracts(arena, &arena->lazy_straddle);
	memset(arena->abandoned, 0, sizeof(arena->abandoned));
	memset((void *)arena->abandoned_count, 0,
		sizeof(arena->abandoned_count));
	hl_filler_init(&arena->filler);
	arena->started = false;
	arena->backed_units = 0;
	hl_hcache_init(&arena->cache, 0, 0);
}

void hl_instance_destroy(struct htlb_heap *heap)
{
	struct hl_arena *arena;
	struct hl_subpool *budget;

	if (heap == NULL)
		return;
	arena = &heap->arena;
	hl_lock_acquire(&heap->lock);
	HL_CHECK(heap->live);
	heap->live = false;
	hl_lock_acquire(&arena->lock);
	hl_lock_acquire(&arena->grow_lock);
	hl_lock_acquire(&arena->page_lock);
	(void)hl_space_visit(drop_blocks, arena);
	reset(arena);
	hl_lock_release(&arena->page_lock);
	hl_space_close(&arena->space);
	budget = arena->want.subpool;
	hl_lock_release(&arena->grow_lock);
	hl_lock_release(&arena->lock);
	hl_thread_init(&heap->front, arena);
	hl_lock_release(&heap->lock);
	if (budget != NULL)
		hl_budget_unref(budget);
	hl_lock_acquire(&list_lock);
	heap->next_free = free_list;
	free_list = heap;
	hl_lock_release(&list_lock);
}

/* ---- fork ---- */

static void each(void (*on)(struct hl_lock *lock))
{
	struct hl_arena *arena = &hl_arena_first;

	for (; arena != NULL; arena = hl_arena_next(arena)) {
		if (arena->own)
			on(&hl_instance_of(arena)->lock);
	}
}

void hl_instance_fork_prepare(void)
{
	hl_lock_acquire_fork(&list_lock);
	each(hl_lock_acquire_fork);
}

void hl_instance_fork_parent(void)
{
	each(hl_lock_release_fork);
	hl_lock_release_fork(&list_lock);
}

void hl_instance_fork_child(void)
{
	each(hl_lock_reset);
	hl_lock_reset(&list_lock);
}
