/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See arena.h: which arena a thread uses, what the heap asks the backing for,
 * and the spans that wait for an owner.
 *
 * Locks: make_lock while an arena is made; each arena's own lock for its list
 * of abandoned spans. The policy is written once, under GROW of the first
 * arena, and read without a lock from then on.
 */
#include "heap/arena.h"

#include "base/fmt.h"
#include "base/opt.h"
#include "system/os.h"
#include "system/sys.h"

#include <string.h>

/* Zero bytes, in .bss: its tables are large, and little of them is touched. */
struct hl_arena hl_arena_first;

/* By node of the policy. Entered once, never taken out; the first arena is in
 * slot 0 until the policy is made. */
static _Atomic(struct hl_arena *) arenas[HL_ARENAS_MAX] = {&hl_arena_first};
static struct hl_lock make_lock = HL_LOCK_INIT(HL_RANK_FORK);

/* Written by configure, before `configured`. */
static struct policy {
	size_t page_bytes; /* hugetlb page to try; 0: none */
	bool interleave;
	bool local;
	uint64_t nodes[HL_NODES_MAX / 64];
	unsigned node_count; /* bits in nodes; 0: any */
	unsigned arena_count;
	struct hl_subpool budget;
	bool has_budget;
	size_t floor_units;
} policy;
/* Options are known; the policy is made from them at the first growth, since
 * it reads files, and small programs never grow. */
static _Atomic bool configured;
static _Atomic bool policy_is_made;

/* The nth node of the policy, modulo their count. */
static int nth_node(unsigned n)
{
	unsigned i;

	n %= policy.node_count;
	for (i = 0; i < HL_NODES_MAX; i++)
		if (((policy.nodes[i / 64] >> (i % 64)) & 1) && n-- == 0)
			return (int)i;
	return HL_NODE_ANY;
}

static void configure_nodes(void)
{
	struct hl_topo topo;
	size_t i;

	policy.arena_count = 1;
	if (hl_supply_nodes() <= 1 || hl_topo_read(&hl_root_real, &topo) < 0)
		return;
	memcpy(policy.nodes, topo.has_memory, sizeof(policy.nodes));
	policy.local = true;
	if (strcmp(hl_opt.node, "interleave") == 0) {
		policy.interleave = true;
		policy.local = false;
	} else if (hl_opt.node[0] != '\0' &&
		   strcmp(hl_opt.node, "local") != 0) {
		uint64_t asked[HL_NODES_MAX / 64];

		memset(asked, 0, sizeof(asked));
		if (hl_parse_list(hl_opt.node, asked, HL_NODES_MAX) == 0)
			for (i = 0; i < HL_NODES_MAX / 64; i++)
				policy.nodes[i] &= asked[i];
	}
	for (i = 0; i < HL_NODES_MAX / 64; i++)
		policy.node_count +=
			(unsigned)__builtin_popcountl(policy.nodes[i]);
	if (policy.node_count == 0)
		policy.local = policy.interleave = false;
	if (policy.local)
		policy.arena_count =
			HL_MIN(policy.node_count, (unsigned)HL_ARENAS_MAX);
}

static void configure_budget(void)
{
	size_t page = policy.page_bytes;
	int64_t max = -1;

	if (page == 0)
		return;
	if (hl_opt.heap_max_bytes != SIZE_MAX)
		max = (int64_t)(hl_align_down(hl_opt.heap_max_bytes, page) >>
				HL_UNIT_SHIFT);
	/* The minimum is held as empty units, see hl_arena_floor_units. */
	policy.floor_units =
		hl_align_up(hl_opt.heap_min_bytes, page) >> HL_UNIT_SHIFT;
	if (max >= 0)
		policy.has_budget =
			hl_subpool_init(&policy.budget, max, -1) == 0;
}

static void init(struct hl_arena *arena, unsigned index, int node)
{
	hl_lock_init(&arena->lock, HL_RANK_ARENA);
	hl_lock_init(&arena->grow_lock, HL_RANK_GROW);
	hl_lock_init(&arena->page_lock, HL_RANK_PAGEHEAP);
	arena->span_pool.bytes = sizeof(struct hl_span);
	arena->span_pool.align = 64;
	arena->index = index;
	arena->node = node;
	arena->space.grain = policy.page_bytes >> HL_UNIT_SHIFT;
}

/* make_lock is held. */
static void enter(struct hl_arena *arena)
{
	struct hl_arena *after = hl_arena_next(&hl_arena_first);

	atomic_store_explicit(&arena->next, after, memory_order_relaxed);
	atomic_store_explicit(
		&hl_arena_first.next, arena, memory_order_release);
}

void hl_arena_start(void)
{
	if (hl_arena_first.span_pool.bytes == 0)
		init(&hl_arena_first, 0, HL_NODE_ANY);
}

/* The nth of the policy's nodes that is this one; arena_count if none is. */
static unsigned index_of_node(int node)
{
	unsigned i;

	for (i = 0; i < policy.arena_count; i++)
		if (nth_node(i) == node)
			break;
	return i;
}

/*
 * What there is so far becomes the arena of the node that this thread runs on:
 * it is the one whose heap grows first.
 */
static void place_first(void)
{
	unsigned cpu, node, i = 0;

	if (hl_os->getcpu(&cpu, &node) == 0)
		i = index_of_node((int)node);
	if (i == policy.arena_count)
		i = 0;
	if (i != 0) {
		atomic_store_explicit(&arenas[0], NULL, memory_order_relaxed);
		atomic_store_explicit(
			&arenas[i], &hl_arena_first, memory_order_relaxed);
	}
	hl_arena_first.index = i;
	hl_arena_first.node = nth_node(i);
}

/* GROW of the first arena is held, and no other arena exists yet. */
static void make_policy(void)
{
	if (hl_opt.morecore != HL_MORECORE_THP &&
		hl_opt.fork_mode != HL_FORK_THP)
		policy.page_bytes = hl_supply_page_bytes(hl_opt.page_bytes);
	hl_arena_first.space.grain = policy.page_bytes >> HL_UNIT_SHIFT;
	configure_nodes();
	configure_budget();
	if (policy.local)
		place_first();
	atomic_store_explicit(&policy_is_made, true, memory_order_release);
}

bool hl_arena_has_policy(void)
{
	return atomic_load_explicit(&policy_is_made, memory_order_acquire);
}

void hl_arena_configure(void)
{
	atomic_store_explicit(&configured, true, memory_order_release);
}

bool hl_arena_is_configured(void)
{
	return atomic_load_explicit(&configured, memory_order_acquire);
}

static int want_node(struct hl_arena *arena)
{
	if (policy.node_count == 0)
		return HL_NODE_ANY;
	if (policy.interleave)
		return nth_node(arena->next_node++);
	return arena->node;
}

void hl_arena_settle(void)
{
	if (hl_arena_has_policy() || !hl_arena_is_configured())
		return;
	hl_lock_acquire(&hl_arena_first.grow_lock);
	if (!hl_arena_has_policy())
		make_policy();
	hl_lock_release(&hl_arena_first.grow_lock);
}

size_t hl_arena_page_bytes(struct hl_arena *arena)
{
	if (arena->own)
		return arena->want.page_bytes;
	if (!hl_arena_is_configured())
		return 0;
	if (!hl_arena_has_policy())
		make_policy();
	return policy.page_bytes;
}

void hl_arena_want(struct hl_arena *arena, struct hl_want *want)
{
	if (arena->own) {
		*want = arena->want;
		return;
	}
	memset(want, 0, sizeof(*want));
	want->node = HL_NODE_ANY;
	if (!hl_arena_is_configured())
		return;
	if (!hl_arena_has_policy())
		make_policy();
	want->page_bytes = policy.page_bytes;
	want->thp = true;
	want->node = want_node(arena);
	want->subpool = policy.has_budget ? &policy.budget : NULL;
}

void hl_arena_want_lazy(struct hl_arena *arena, struct hl_want *want)
{
	hl_arena_want(arena, want);
	want->page_bytes = 0;
	want->lazy = true;
}

size_t hl_arena_floor_units(const struct hl_arena *arena)
{
	return arena == &hl_arena_first && hl_arena_is_configured()
		       ? policy.floor_units
		       : 0;
}

static struct hl_arena *make_arena(unsigned index)
{
	struct hl_arena *arena;

	hl_lock_acquire(&make_lock);
	arena = atomic_load_explicit(&arenas[index], memory_order_acquire);
	if (arena == NULL) {
		arena = hl_meta_alloc(sizeof(*arena), 64);
		if (arena != NULL) {
			init(arena, index, nth_node(index));
			enter(arena);
			atomic_store_explicit(
				&arenas[index], arena, memory_order_release);
		}
	}
	hl_lock_release(&make_lock);
	return arena != NULL ? arena : &hl_arena_first;
}

struct hl_arena *hl_arena_here(void)
{
	unsigned cpu, node, i;
	struct hl_arena *arena;

	if (!hl_arena_has_policy() || policy.arena_count <= 1)
		return &hl_arena_first;
	if (hl_os->getcpu(&cpu, &node) < 0)
		return &hl_arena_first;
	/* A node outside the list is spread over those in it. */
	i = index_of_node((int)node);
	if (i == policy.arena_count)
		i = node % policy.arena_count;
	arena = atomic_load_explicit(&arenas[i], memory_order_acquire);
	return arena != NULL ? arena : make_arena(i);
}

struct hl_arena *hl_arena_next(const struct hl_arena *arena)
{
	return atomic_load_explicit(&arena->next, memory_order_acquire);
}

void hl_arena_add_own(struct hl_arena *arena)
{
	hl_lock_acquire(&make_lock);
	init(arena, 0, HL_NODE_ANY);
	arena->own = true;
	arena->space.own = true;
	enter(arena);
	hl_lock_release(&make_lock);
}

struct hl_space *hl_arena_space(struct hl_arena *arena, size_t page_bytes)
{
	return arena->own || page_bytes > HL_UNIT_BYTES ? &arena->space
							: &hl_space_shared;
}

/* The lists start as zero bytes: an arena that is never used touches no page.
 */
static struct hl_list *abandoned_list(struct hl_arena *arena, unsigned class_)
{
	struct hl_list *head = &arena->abandoned[class_];

	if (head->next == NULL)
		hl_list_init(head);
	return head;
}

void hl_arena_abandon(struct hl_arena *arena, struct hl_span *span)
{
	hl_lock_acquire(&arena->lock);
	hl_list_push_back(abandoned_list(arena, span->class_), &span->link);
	atomic_store_explicit(&span->listed, true, memory_order_relaxed);
	atomic_fetch_add_explicit(
		&arena->abandoned_count[span->class_], 1, memory_order_relaxed);
	atomic_store_explicit(&span->owner, NULL, memory_order_relaxed);
	/* From here on any thread may adopt it; the lock keeps it on the list.
	 */
	atomic_fetch_or_explicit(
		&span->remote, HL_REMOTE_UNOWNED, memory_order_release);
	hl_lock_release(&arena->lock);
}

static void unlist(struct hl_arena *arena, struct hl_span *span)
{
	hl_list_remove(&span->link);
	atomic_store_explicit(&span->listed, false, memory_order_relaxed);
	atomic_fetch_sub_explicit(
		&arena->abandoned_count[span->class_], 1, memory_order_relaxed);
}

struct hl_span *hl_arena_adopt(struct hl_arena *arena, unsigned class_)
{
	struct hl_span *found = NULL;
	struct hl_list *pos, *tmp, *head;

	if (atomic_load_explicit(
		    &arena->abandoned_count[class_], memory_order_relaxed) == 0)
		return NULL;
	hl_lock_acquire(&arena->lock);
	head = abandoned_list(arena, class_);
	hl_list_for_each_safe (pos, tmp, head) {
		struct hl_span *span = hl_list_entry(pos, struct hl_span, link);
		uintptr_t old = atomic_fetch_and_explicit(&span->remote,
			~HL_REMOTE_UNOWNED, memory_order_acq_rel);

		/* Else a thread that freed into it was first and waits for the
		 * lock. */
		if (old & HL_REMOTE_UNOWNED) {
			unlist(arena, span);
			found = span;
			break;
		}
	}
	hl_lock_release(&arena->lock);
	return found;
}

void hl_arena_unlist(struct hl_arena *arena, struct hl_span *span)
{
	hl_lock_acquire(&arena->lock);
	if (atomic_load_explicit(&span->listed, memory_order_relaxed))
		unlist(arena, span);
	hl_lock_release(&arena->lock);
}

void hl_arena_fork_prepare(void)
{
	hl_lock_acquire_fork(&make_lock);
}

void hl_arena_fork_parent(void)
{
	hl_lock_release_fork(&make_lock);
}

void hl_arena_fork_child(void)
{
	hl_lock_reset(&make_lock);
}
