/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The heap's address space: stretches (areas) of 64 MiB at first, each new one
 * twice the last, and which of their units are taken. A block too large for
 * that gets a stretch of its own. When address space is short (ulimit -v)
 * smaller stretches are tried, down to what is needed, and closed once they are
 * free.
 *
 * The arenas of the nodes share one space; nodes are bound when units are
 * committed. A first-class heap has a space of its own, so that its budget and
 * its end concern no other memory. And where the huge page is larger than a
 * unit (its grain is the units of one page) an arena has a space for those, in
 * which pages are committed and released as a whole, whatever part is asked
 * for: see hl_space_commit().
 *
 * Locks: callers hold GROW (of any arena; of the arena, in a space of its own)
 * since opening an area is a system call; the bitmaps are guarded by
 * HL_RANK_AREA inside.
 */
#ifndef HL_HEAP_SPACE_H
#define HL_HEAP_SPACE_H

#include "base/base.h"
#include "base/list.h"
#include "heap/unit.h"

struct hl_want;

/*
 * Units are wished that stand on pages of the pool, or would if it had room.
 * Counted from commit to release, also as the highest ever: what a pool is
 * asked for, whatever it had to give.
 */

struct hl_space {
	size_t grain;	   /* units per page; constant. 0: as 1 */
	size_t next_units; /* of the next stretch; 0: the first */
	bool own;	   /* may be closed: hl_space_close() */
};
/* Of the arenas of the nodes; grain 1. */
extern struct hl_space hl_space_shared;

/* What stands behind the units of one page of a space whose grain is not 1. */
struct hl_grain {
	uint32_t used; /* units that are committed for someone */
	bool whole;    /* one page; false: unit by unit, smaller pages */
};

struct hl_stretch {
	struct hl_list link;
	struct hl_space *space;
	struct hl_area *area;
	uintptr_t base;
	size_t units;
	size_t free_units;
	bool dedicated;		/* one large block; closed with it */
	bool tables_stay;	/* cannot be unmapped */
	size_t table_units;	/* that its tables are for */
	uint64_t *taken;	/* bit per unit */
	struct hl_unit *record; /* per unit; NULL if dedicated */
	struct hl_grain *grain; /* per page; NULL if the grain is 1 */
	uint64_t *dirty; /* bit per unit of a whole page that was in use; as
			    grain */
	bool *wished;	 /* per unit; NULL if dedicated, or as the grain is not
			    1: all are */
	bool wished_block; /* all of a dedicated one */
};

/*
 * Takes n consecutive units, the first aligned to align_units (a power of two).
 * The page map is prepared for them. -ENOMEM. Units are NONE (not committed).
 */
int hl_space_take(struct hl_space *space, size_t n, size_t align_units,
	struct hl_stretch **stretch, size_t *first);
/* Takes exactly these units if they are free; false otherwise. */
bool hl_space_take_at(struct hl_stretch *stretch, size_t first, size_t n);
/* Gives units back; they must be released (NONE). */
void hl_space_give(struct hl_stretch *stretch, size_t first, size_t n);

/*
 * Memory behind units that were taken, zeroed, as hl_area_commit(); and its
 * release. In a space with a grain the page around them is committed as a whole
 * if it can be had, else units by smaller pages, until all of its units have
 * been released. want->page_bytes must be that of the space.
 */
int hl_space_commit(struct hl_stretch *stretch, size_t first, size_t n,
	const struct hl_want *want);
/*
 * These committed units are wished. Those that want->page_bytes asked pages of
 * the pool for are so already, and all of a space with a grain.
 */
void hl_space_wish(struct hl_stretch *stretch, size_t first, size_t n);
/* True if memory went back to the kernel. */
bool hl_space_release(struct hl_stretch *stretch, size_t first, size_t n);

/* hl_area_move() of n units, which stay wished if they were. */
int hl_space_move(struct hl_stretch *src, size_t from, size_t n,
	struct hl_stretch *dst, size_t to);

/* Releases and closes all stretches of a space of its own, as they are. */
void hl_space_close(struct hl_space *space);

/* The stretch of an area that is open. */
struct hl_stretch *hl_space_of(const struct hl_area *area);

/*
 * RLIMIT_AS or RLIMIT_DATA is set: nothing is kept warm, nothing set aside. As
 * of the last look, which every new stretch takes, and the decay, as programs
 * set limits while they run: with RLIMIT_AS what was set aside goes back then.
 */
bool hl_space_is_confined(void);
void hl_space_look_at_limits(void);
/* The same for a space of its own, which may end at any time: GROW of its arena
 * is held. */
void hl_space_trim(const struct hl_space *space);
/* Bytes left under the two; UINT64_MAX without them. Reads a file. */
uint64_t hl_space_room(void);

/* Address space reserved, in bytes. */
size_t hl_space_reserved_bytes(void);

/* Each stretch, newest first; visit must not take or give. Stops at nonzero. */
int hl_space_visit(
	int (*visit)(struct hl_stretch *stretch, void *arg), void *arg);

void hl_space_fork_prepare(void);
void hl_space_fork_parent(void);
void hl_space_fork_child(void);

#endif
