/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The set of regions, and what a program does with one.
 *
 * A region is found by its addresses in our own tree, never in /proc, so that
 * it is given back in O(log n), and whole, whatever mprotect() made of its
 * mappings. A call holds the region by a count and works under the region's
 * lock; what ends it marks it dead first, and takes it out of the tree last,
 * so that nobody gets its addresses before they are free.
 *
 * Locks: see region_internal.h. All are taken at fork, before the heap's: no
 * other thread is inside a change then, and the child finds all regions whole.
 * A region that is being made is locked as well, but not in the tree: in the
 * child it is nothing but address space.
 */
#include "region/region_internal.h"

#include "backing/budget.h"
#include "base/atfork.h"
#include "base/count.h"
#include "base/failure.h"
#include "system/files.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define LOCKS 16

static struct hl_lock tree_lock = HL_LOCK_INIT(HL_RANK_REGION);
static struct hl_lock locks[LOCKS] = {
	[0 ... LOCKS - 1] = HL_LOCK_INIT(HL_RANK_REGION)};
static struct hl_tree tree;
/* Records to be used again, with the nodes that their maps once took. */
static struct region *spare;

/* ---- fork ---- */

static void fork_prepare(void)
{
	hl_lock_acquire_fork(&tree_lock);
	for (size_t i = 0; i < LOCKS; i++)
		hl_lock_acquire_fork(&locks[i]);
	hl_room_fork_prepare();
}

static void fork_parent(void)
{
	hl_room_fork_parent();
	for (size_t i = 0; i < LOCKS; i++)
		hl_lock_release_fork(&locks[i]);
	hl_lock_release_fork(&tree_lock);
}

static void fork_child(void)
{
	hl_room_fork_child();
	for (size_t i = 0; i < LOCKS; i++)
		hl_lock_reset(&locks[i]);
	hl_lock_reset(&tree_lock);
}

static const struct hl_atfork fork_handlers = {
	.prepare = fork_prepare,
	.parent = fork_parent,
	.child = fork_child,
};

/* The heap's handlers are there already, so that ours come before them. */
void hl_region_set_up(void)
{
	static atomic_bool done;
	static bool registered; /* tree_lock */

	if (atomic_load_explicit(&done, memory_order_acquire))
		return;
	if (!hl_backing_set_up())
		return;
	hl_lock_acquire(&tree_lock);
	if (!registered) {
		registered = true;
		hl_atfork(&fork_handlers);
	}
	hl_lock_release(&tree_lock);
	atomic_store_explicit(&done, true, memory_order_release);
}

/* ---- records ---- */

static struct region *region_of(struct hl_tree_node *node)
{
	return node == NULL ? NULL : hl_container_of(node, struct region, node);
}

static void *take_map_node(void *arg)
{
	struct region *r = arg;

	return hl_pool_of_take(&r->map_nodes);
}

static void give_map_node(void *arg, void *node)
{
	struct region *r = arg;

	hl_pool_of_give(&r->map_nodes, node);
}

static struct region *take_record(void)
{
	struct region *r = spare;
	struct hl_pool_of map_nodes;

	if (r == NULL) {
		r = hl_meta_alloc(sizeof(*r), 64);
		if (r == NULL)
			return NULL;
		r->map_nodes.bytes = hl_resv_node_bytes;
		r->map_nodes.align = 16;
		return r;
	}
	spare = r->next;
	map_nodes = r->map_nodes;
	memset(r, 0, sizeof(*r));
	r->map_nodes = map_nodes;
	return r;
}

/* In no tree. */
static struct region *make_record(const struct hl_ask *ask)
{
	static size_t turn; /* tree_lock */
	struct hl_resv_alloc alloc = {
		.take = take_map_node, .give = give_map_node};
	struct region *r;

	hl_lock_acquire(&tree_lock);
	r = take_record();
	if (r != NULL)
		r->lock = &locks[turn++ % LOCKS];
	hl_lock_release(&tree_lock);
	if (r == NULL)
		return NULL;
	r->users = 1;
	r->ask = *ask;
	if (ask->is_lacking)
		r->limit = HL_LIMIT_UNSUPPORTED;
	r->fd = -1;
	alloc.arg = r;
	hl_resv_init(&r->map, &alloc);
	return r;
}

/* One user less; the last one frees it. */
static void put(struct region *r)
{
	hl_lock_acquire(&tree_lock);
	if (--r->users == 0) {
		r->next = spare;
		spare = r;
	}
	hl_lock_release(&tree_lock);
}

struct region *hl_region_lock(const void *addr)
{
	struct region *r;

	hl_lock_acquire(&tree_lock);
	r = region_of(hl_tree_find(&tree, (uintptr_t)addr));
	if (r != NULL)
		r->users++;
	hl_lock_release(&tree_lock);
	if (r == NULL)
		return NULL;
	hl_lock_acquire(r->lock);
	if (!r->dead)
		return r;
	hl_region_unlock(r);
	return NULL;
}

void hl_region_unlock(struct region *r)
{
	hl_lock_release(r->lock);
	put(r);
}

bool hl_region_find(const void *addr, void **start, size_t *bytes)
{
	struct hl_tree_node *node;

	hl_lock_acquire(&tree_lock);
	node = hl_tree_find(&tree, (uintptr_t)addr);
	if (node != NULL) {
		*start = (void *)node->from;
		*bytes = node->to - node->from;
	}
	hl_lock_release(&tree_lock);
	return node != NULL;
}

/* ---- steps ---- */

static int64_t steps_of(const struct region *r)
{
	return (int64_t)(r->ask.bytes / r->ask.step_bytes);
}

int64_t hl_region_next(
	const struct region *r, int64_t from, int64_t to, bool committed)
{
	int64_t low = from, high = to, middle, expected;

	/* The longest stretch of the other kind, by halving. */
	while (low < high) {
		middle = low + (high - low + 1) / 2;
		expected = committed ? 0 : middle - from;
		if (hl_resv_count(&r->map, from, middle) == expected)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* The first choice was no choice: what stands in was counted by itself. */
static void note_lacking(const struct region *r, int64_t steps)
{
	size_t bytes = (size_t)steps * r->ask.step_bytes;
	size_t page_bytes = r->ask.lacking_bytes;

	if (!r->ask.is_lacking || bytes == 0)
		return;
	hl_count_fallback(HL_LIMIT_UNSUPPORTED, bytes >> HL_UNIT_SHIFT);
	hl_failure_record(HL_LIMIT_UNSUPPORTED, page_bytes, HL_NODE_ANY,
		page_bytes == 0 ? 0 : (bytes + page_bytes - 1) / page_bytes, 0);
}

static int commit_steps(struct region *r, int64_t from, int64_t to)
{
	return hl_region_is_shared(r) ? hl_shared_commit(r, from, to)
				      : hl_private_commit(r, from, to);
}

static void release_steps(struct region *r, int64_t from, int64_t to)
{
	if (hl_region_is_shared(r))
		hl_shared_release(r, from, to);
	else
		hl_private_release(r, from, to);
}

/* Of [from, to), what the map does not have; the map stays. */
static void release_new(struct region *r, int64_t from, int64_t to)
{
	int64_t end;

	while ((from = hl_region_next(r, from, to, false)) < to) {
		end = hl_region_next(r, from, to, true);
		release_steps(r, from, end);
		from = end;
	}
}

static int commit(struct region *r, int64_t from, int64_t to)
{
	int64_t at = from, end;
	int rc = 0;

	if (hl_region_is_shared(r) && hl_shared_is_cut(r, from, to))
		return -EINVAL;
	if (hl_resv_chg(&r->map, from, to) < 0)
		return -ENOMEM;
	while (rc == 0 && (at = hl_region_next(r, at, to, false)) < to) {
		end = hl_region_next(r, at, to, true);
		rc = commit_steps(r, at, end);
		if (rc == 0)
			at = end;
	}
	if (rc == 0) {
		note_lacking(r, to - from - hl_resv_count(&r->map, from, to));
		(void)hl_resv_add(&r->map, from, to);
		return 0;
	}
	release_new(r, from, at);
	hl_resv_abort(&r->map, from, to);
	return rc;
}

static int decommit(struct region *r, int64_t from, int64_t to)
{
	int64_t at = from, end;

	if (hl_region_is_shared(r) ? hl_shared_is_cut(r, from, to)
				   : hl_private_is_cut(r, from, to))
		return -EINVAL;
	/* For the split, so that nothing can fail once it has begun. */
	if (!hl_pool_of_reserve(&r->map_nodes, 1))
		return -ENOMEM;
	while ((at = hl_region_next(r, at, to, true)) < to) {
		end = hl_region_next(r, at, to, false);
		release_steps(r, at, end);
		at = end;
	}
	(void)hl_resv_del(&r->map, from, to);
	return 0;
}

/* ---- making and ending ---- */

static int take_addresses(struct region *r)
{
	struct hl_subpool *budget =
		hl_region_is_shared(r) ? NULL : r->ask.budget;
	int rc = hl_room_take(r->ask.bytes >> HL_UNIT_SHIFT,
		r->ask.align_bytes >> HL_UNIT_SHIFT, budget, &r->room,
		&r->first);

	if (rc < 0)
		return rc;
	r->node.from = hl_area_base(hl_room_area(r->room)) +
		       (r->first << HL_UNIT_SHIFT);
	r->node.to = r->node.from + r->ask.bytes;
	return 0;
}

/* Back to address space of nobody, and the record to its last user. */
static void give_back(struct region *r)
{
	struct hl_subpool *budget = r->ask.budget;

	if (r->room != NULL)
		hl_room_give(r->room, r->first, r->ask.bytes >> HL_UNIT_SHIFT);
	if (budget != NULL)
		hl_budget_unref(budget);
	put(r);
}

/* Everything is there: others may find it. */
static void enter(struct region *r)
{
	bool entered;

	hl_lock_acquire(&tree_lock);
	entered = hl_tree_insert(&tree, &r->node);
	hl_lock_release(&tree_lock);
	/* Our own addresses, of which nobody else has any. */
	HL_CHECK(entered);
}

/* Locked memory (mlockall) bounds address space as well. */
static void record_lack_of_addresses(const struct region *r)
{
	void *p;
	int rc = hl_os->mmap(NULL, r->ask.bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &p);

	if (rc == 0)
		(void)hl_os->munmap(p, r->ask.bytes);
	hl_failure_record(rc == -EAGAIN ? HL_LIMIT_MEMLOCK : HL_LIMIT_MEMORY,
		r->ask.page_bytes, HL_NODE_ANY,
		r->ask.page_bytes == 0 ? 0 : r->ask.bytes / r->ask.page_bytes,
		0);
}

static int begin(const struct hl_ask *ask, struct region **out)
{
	struct region *r = make_record(ask);
	int rc;

	if (r == NULL)
		return -ENOMEM;
	if (ask->budget != NULL)
		hl_budget_ref(ask->budget);
	rc = take_addresses(r);
	if (rc == 0) {
		*out = r;
		return 0;
	}
	record_lack_of_addresses(r);
	r->room = NULL;
	give_back(r);
	return rc;
}

static int fill(struct region *r)
{
	if (hl_region_is_shared(r))
		return hl_shared_open(r);
	if (r->ask.flags & HTLB_REGION_EMPTY)
		return 0;
	return hl_private_commit(r, 0, steps_of(r));
}

/* The map says that all of it is committed, once it is. */
static int fill_all(struct region *r, int (*with)(struct region *))
{
	bool empty = r->ask.flags & HTLB_REGION_EMPTY;
	int rc;

	if (!empty && hl_resv_chg(&r->map, 0, steps_of(r)) < 0)
		return -ENOMEM;
	rc = with(r);
	if (empty)
		return rc;
	if (rc == 0) {
		(void)hl_resv_add(&r->map, 0, steps_of(r));
		note_lacking(r, steps_of(r));
	} else {
		hl_resv_abort(&r->map, 0, steps_of(r));
	}
	return rc;
}

static int make(
	const struct hl_ask *ask, int fd, size_t file_page_bytes, void **out)
{
	struct region *r;
	int rc = begin(ask, &r);

	if (rc < 0)
		return rc;
	if (fd >= 0) {
		r->fd = fd;
		r->file_page_bytes = file_page_bytes;
		r->is_opened = true;
	}
	hl_lock_acquire(r->lock);
	rc = fill_all(r, fd >= 0 ? hl_shared_attach : fill);
	hl_lock_release(r->lock);
	if (rc < 0) {
		hl_resv_destroy(&r->map);
		give_back(r);
		return rc;
	}
	/* The caller's text need not live on. */
	r->ask.name = NULL;
	r->ask.path = NULL;
	*out = hl_region_base(r);
	enter(r);
	return 0;
}

int hl_region_create(
	size_t bytes, const struct htlb_region_options *options, void **out)
{
	struct hl_ask ask;
	int rc;

	hl_region_set_up();
	rc = hl_ask_make(bytes, options, &ask);
	return rc < 0 ? rc : make(&ask, -1, 0, out);
}

int hl_region_open_fd(
	int fd, const struct htlb_region_options *options, void **out)
{
	size_t page_bytes;
	struct hl_ask ask;
	int rc, own;

	hl_region_set_up();
	rc = hl_ask_from_fd(fd, options, &ask, &page_bytes, &own);
	if (rc < 0)
		return rc;
	rc = make(&ask, own, page_bytes, out);
	if (rc < 0)
		(void)hl_files->close(own);
	return rc;
}

int hl_region_destroy(void *addr)
{
	struct region *r = hl_region_lock(addr);

	if (r == NULL)
		return -EINVAL;
	if (hl_region_base(r) != addr) {
		hl_region_unlock(r);
		return -EINVAL;
	}
	r->dead = true;
	if (hl_region_is_shared(r))
		hl_shared_close(r);
	else
		hl_private_release(r, 0, steps_of(r));
	hl_resv_destroy(&r->map);
	hl_lock_release(r->lock);

	hl_lock_acquire(&tree_lock);
	hl_tree_remove(&tree, &r->node);
	hl_lock_release(&tree_lock);
	put(r);
	give_back(r);
	return 0;
}

/* Steps of the locked region that the range is; -EINVAL if it is none. */
static int range_of(const struct region *r, const void *addr, size_t bytes,
	int64_t *from, int64_t *to)
{
	size_t at = (uintptr_t)addr - r->node.from;
	size_t step = r->ask.step_bytes;

	if (bytes == 0 || bytes > r->ask.bytes - at || at % step != 0 ||
		bytes % step != 0)
		return -EINVAL;
	*from = (int64_t)(at / step);
	*to = (int64_t)((at + bytes) / step);
	return 0;
}

static int change(
	void *addr, size_t bytes, int (*by)(struct region *, int64_t, int64_t))
{
	struct region *r = hl_region_lock(addr);
	int64_t from, to;
	int rc;

	if (r == NULL)
		return -EINVAL;
	rc = range_of(r, addr, bytes, &from, &to);
	if (rc == 0)
		rc = by(r, from, to);
	hl_region_unlock(r);
	return rc;
}

int hl_region_commit(void *addr, size_t bytes)
{
	return change(addr, bytes, commit);
}

int hl_region_decommit(void *addr, size_t bytes)
{
	return change(addr, bytes, decommit);
}

int hl_region_fd(const void *addr)
{
	struct region *r = hl_region_lock(addr);
	int fd;

	if (r == NULL)
		return -EINVAL;
	fd = hl_region_is_shared(r) ? r->fd : -EOPNOTSUPP;
	hl_region_unlock(r);
	return fd;
}
