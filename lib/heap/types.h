/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The structures of the heap's front end. Glossary in lib/README.md.
 *
 * block -> span -> run of slots -> unit -> area
 *
 * A span record lives outside the memory it describes. Who may touch a field is
 * said beside it:
 *   owner     the thread that the field `owner` names, alone
 *   constant  everybody; written before the span is entered in the page map
 *   a lock    its holder
 */
#ifndef HL_HEAP_TYPES_H
#define HL_HEAP_TYPES_H

#include "base/base.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/meta.h"
#include "heap/filler.h"
#include "heap/hcache.h"
#include "heap/probe.h"
#include "heap/sizeclass.h"
#include "heap/space.h"
#include "heap/straddle.h"
#include "heap/unit.h"

#include <stdatomic.h>

struct hl_thread;
struct hl_arena;

/* A free block. */
struct hl_block {
	struct hl_block *next;
};

enum hl_span_kind {
	HL_SPAN_SMALL = 1, /* blocks of one size class */
	HL_SPAN_MEDIUM,	   /* one block, a run of the filler */
	HL_SPAN_STRADDLE,  /* one block in a tract */
	HL_SPAN_LARGE,	   /* one block, whole units */
};

/*
 * The word `remote` of a small span is the head of the list of blocks that
 * threads other than the owner freed, and bit 0 says that nobody owns the span:
 * it was full, or its thread has ended. Whoever clears the bit becomes the
 * owner. So a thread that frees into a full span adopts it, and no thread has
 * to look for space in spans that others emptied.
 */
#define HL_REMOTE_UNOWNED ((uintptr_t)1)

struct hl_span {
	/* first cache line: the fast path */
	struct hl_block *free;		   /* owner */
	_Atomic(struct hl_thread *) owner; /* NULL: none, or not small */
	uint32_t used;	      /* owner: blocks not on free or uncut */
	uint32_t block_bytes; /* constant (small) */
	uint32_t magic;	      /* constant: 2^32 / block_bytes, rounded up */
	uint16_t cut;	      /* owner: blocks linked so far */
	uint16_t capacity;    /* constant: blocks in the span */
	uintptr_t start;      /* constant: first block */
	uint8_t kind;	      /* constant: enum hl_span_kind */
	uint8_t class_;	      /* constant (small) */
	_Atomic bool listed;  /* on arena->abandoned; written under ARENA */
	bool zero;	 /* at hand-out: memory is as the kernel cleared it */
	bool learned;	 /* large: what was touched is told to heap/learn.h */
	bool wished : 1; /* constant (straddle, large): heap/learn.h */
	bool populated : 1;	 /* the same; not lazy */
	uint16_t slots16;	 /* small, medium: slots of the run */
	struct hl_thread *maker; /* small: who made it; to compare only */
	uint8_t learn_kind;	 /* GROW (straddle, large): heap/learn.h */

	/* second line */
	_Atomic uintptr_t remote;
	struct hl_list link;	/* owner's queue or arena->abandoned */
	struct hl_arena *arena; /* constant */
	union {
		struct { /* small, medium */
			struct hl_unit *unit;
			uint32_t slot;
		} run;
		struct { /* straddle */
			struct hl_tract *tract;
			uint32_t slot;
			uint32_t slots;
		} str;
		struct { /* large */
			struct hl_stretch *stretch;
			size_t first, units;
		} large;
	};
};

/* What one thread owns. Only that thread reads or writes it. */
struct hl_thread {
	struct hl_span *current[HL_CLASSES]; /* never NULL: hl_span_none */
	/* Frees until the clock is looked at, however fast their path. */
	uint32_t beats;
	bool placed; /* arena was chosen by the node */
	struct hl_arena *arena;
	struct hl_list queue[HL_CLASSES]; /* owned spans that may have room */
	uint16_t queued[HL_CLASSES];	  /* spans on queue[] */
	uint16_t made[HL_CLASSES];	  /* spans made less given back */
	uint32_t ticks;			  /* slow paths taken: clock, node */
};

/* A span without room, so that the fast path needs no test for NULL. */
extern struct hl_span hl_span_none;
extern struct hl_thread hl_thread_none;
extern __thread struct hl_thread *hl_self;

/* A tract with what stands behind it. Guarded by grow_lock. */
struct hl_tract_home {
	struct hl_tract tract;
	struct hl_list link; /* hl_straddle_home.tracts */
	struct hl_stretch *stretch;
	uint32_t committed; /* bit per unit */
	uint32_t idle;	    /* committed, but no block in it */
	uint64_t idle_ms[HL_TRACT_UNITS];
	uint64_t dirty[HL_TRACT_SLOTS / 64]; /* handed out since commit */
};

/* The straddle, once for lazy memory and once for what is wished. */
struct hl_straddle_home {
	struct hl_straddle straddle;
	struct hl_list tracts;
};

/* The heap of one node, or a first-class heap. */
struct hl_arena {
	struct hl_lock lock;		      /* ARENA */
	struct hl_list abandoned[HL_CLASSES]; /* lock */
	_Atomic size_t abandoned_count[HL_CLASSES];

	struct hl_lock grow_lock;	       /* GROW: see lib/README.md */
	struct hl_straddle_home pool_straddle; /* grow_lock */
	struct hl_straddle_home lazy_straddle; /* grow_lock */
	struct hl_pool_of tract_pool;	       /* grow_lock */
	_Atomic uint64_t next_decay_ms;
	_Atomic uint64_t clock_ms;	       /* when it was last looked at */
	unsigned next_node;		       /* interleave; grow_lock */
	struct hl_probe probe[HL_LEARN_KINDS]; /* grow_lock, but see there */

	struct hl_lock page_lock;  /* PAGEHEAP: everything below */
	bool started;		   /* filler and cache are initialised */
	struct hl_unit *base_unit; /* the first runs, on base pages */
	struct hl_filler filler;
	struct hl_hcache cache;
	size_t backed_units; /* in filler and cache */
	struct hl_pool_of span_pool;

	int node;			 /* constant; HL_NODE_ANY */
	unsigned index;			 /* constant; of a node's arena */
	_Atomic(struct hl_arena *) next; /* hl_arena_next() */

	struct hl_space space; /* pages larger than a unit, or everything of a
				  first-class heap; grow_lock */

	/* Of a first-class heap (heap/instance.c): */
	bool own;	     /* constant */
	struct hl_want want; /* what it asks for; constant while in use */
};

#endif
