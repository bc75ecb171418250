/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of regions share: the record of a region, what was asked for,
 * and the steps of making one. Nobody else includes this.
 *
 * Locks, all of rank REGION, the lowest, and never held together: that of the
 * tree, that of address space (region_room.c), and one that several regions
 * share, which serialises changes of a region and is held across system calls.
 */
#ifndef HL_REGION_REGION_INTERNAL_H
#define HL_REGION_REGION_INTERNAL_H

#include "region/region.h"

#include "accounting/resv.h"
#include "accounting/subpool.h"
#include "backing/area.h"
#include "base/limit.h"
#include "base/lock.h"
#include "base/meta.h"
#include "region/tree.h"
#include "system/os.h"
#include "system/sys.h"

/* ---- where pages shall be (region_place.c) ---- */

#define HL_PLACE_WORDS (HL_NODES_MAX / (8 * sizeof(unsigned long)))

struct hl_place {
	unsigned policy; /* enum htlb_policy; DEFAULT on one node */
	int node;	 /* BIND to one node, else HL_NODE_ANY */
	int count;	 /* of nodes */
	unsigned long nodes[HL_PLACE_WORDS];
};

/* What the thread had before. */
struct hl_place_saved {
	bool changed;
	int mode;
	unsigned long nodes[HL_PLACE_WORDS];
};

/* -EINVAL: no such policy, or nodes that do not fit it or are not there. */
int hl_place_resolve(
	unsigned policy, const int *nodes, size_t count, struct hl_place *out);
/* The thread's pages come from there, until restored. */
void hl_place_enter(const struct hl_place *place, struct hl_place_saved *saved);
void hl_place_leave(const struct hl_place_saved *saved);
/* The same for a range, for later faults. hugetlb: of the pool, else ordinary
 * memory, which is only preferred there. */
void hl_place_range(
	const struct hl_place *place, void *addr, size_t bytes, bool hugetlb);
/*
 * Pages that could be had there. strict: on exactly these nodes, and evenly if
 * interleaved. *limit and *node: what more would hit.
 */
uint64_t hl_place_supply(const struct hl_place *place, size_t page_bytes,
	bool strict, enum hl_limit *limit, int *node);
/* The populated pages of the range are where a strict request wants them. */
bool hl_place_is_kept(const struct hl_place *place, const char *addr,
	size_t bytes, size_t page_bytes);

/* ---- address space (region_room.c) ---- */

struct hl_room;
/*
 * Units at *out, PROT_NONE, of an area that serves that budget (or none) only.
 */
int hl_room_take(size_t units, size_t align_units, struct hl_subpool *budget,
	struct hl_room **room, size_t *from);
/* They are PROT_NONE again. */
void hl_room_give(struct hl_room *room, size_t from, size_t units);
struct hl_area *hl_room_area(const struct hl_room *room);
void hl_room_fork_prepare(void);
void hl_room_fork_parent(void);
void hl_room_fork_child(void);

/* ---- a region ---- */

/* Options, as they are meant. */
struct hl_ask {
	size_t bytes;	   /* whole pages and units */
	size_t page_bytes; /* tried first; 0: ordinary memory */
	size_t step_bytes; /* of commit and decommit, a multiple of the unit */
	bool largest;
	/* The machine has no pages of the size that was asked for: those of
	 * page_bytes stand in. */
	bool is_lacking;
	size_t lacking_bytes; /* 0: no huge pages at all */
	unsigned flags;
	struct hl_place place;
	struct hl_subpool *budget;
	size_t align_bytes;
	const char *name;
	const char *path;
};

struct region {
	struct hl_tree_node node; /* tree_lock */
	struct region *next;	  /* tree_lock: among the spare ones */
	size_t users;	      /* tree_lock: calls under way, and being there */
	struct hl_lock *lock; /* all below, once it is in the tree */
	bool dead;
	struct hl_ask ask;
	enum hl_limit limit; /* why not all is of the first choice */

	struct hl_room *room;
	size_t first; /* unit of its area */

	/* In steps: what is committed. */
	struct hl_resv map;
	struct hl_pool_of map_nodes;

	/* Shared: */
	int fd;
	bool is_opened;		/* by descriptor: the books are the creator's */
	size_t file_page_bytes; /* 0: ordinary memory */
};

static inline char *hl_region_base(const struct region *r)
{
	return (char *)r->node.from;
}

static inline bool hl_region_is_shared(const struct region *r)
{
	return (r->ask.flags & HTLB_REGION_SHARED) != 0;
}

static inline bool hl_region_is_committed(const struct region *r, int64_t step)
{
	return hl_resv_count(&r->map, step, step + 1) != 0;
}

/* From there on the first step that is (not) committed; `to` if none. */
int64_t hl_region_next(
	const struct region *r, int64_t from, int64_t to, bool committed);

/*
 * Memory for steps [from, to), none of which is committed, by the calls of
 * region_private.c and region_shared.c. -ENOMEM: nothing changed; the failure
 * is recorded.
 */
int hl_private_commit(struct region *r, int64_t from, int64_t to);
int hl_shared_commit(struct region *r, int64_t from, int64_t to);
/* PROT_NONE again. All of the range is committed. Cannot fail. */
void hl_private_release(struct region *r, int64_t from, int64_t to);
/* An end of the range lies inside a huge page that is larger than a step. */
bool hl_private_is_cut(const struct region *r, int64_t from, int64_t to);
bool hl_shared_is_cut(const struct region *r, int64_t from, int64_t to);
void hl_shared_release(struct region *r, int64_t from, int64_t to);
/* The file of a new shared region; 0 or -errno, recorded. */
int hl_shared_open(struct region *r);
/* Maps what the descriptor has, all of it. */
int hl_shared_attach(struct region *r);
void hl_shared_close(struct region *r);

/* A descriptor of an empty file of the region's length, or -errno;
 * page_bytes 0: of ordinary memory (region_file.c). */
int hl_region_file(const struct hl_ask *ask, size_t page_bytes);

/* Options into what they mean. */
int hl_ask_make(size_t bytes, const struct htlb_region_options *options,
	struct hl_ask *out);

/*
 * The same for a descriptor that somebody else gave: *own is a duplicate of it,
 * *page_bytes the huge page of its file, 0 if it is of ordinary memory.
 */
int hl_ask_from_fd(int fd, const struct htlb_region_options *options,
	struct hl_ask *out, size_t *page_bytes, int *own);

/* ---- for all calls (region.c) ---- */

/* Options, fork handlers: before anything else. Cheap when done. */
void hl_region_set_up(void);
/* The region that addr is in, locked, or NULL. */
struct region *hl_region_lock(const void *addr);
void hl_region_unlock(struct region *r);

#endif
