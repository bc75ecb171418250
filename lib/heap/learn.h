/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How to back a block of 256 KiB and more, or a sparse one. A populated block
 * is fast and stands on pool pages, but is resident whether touched or not; a
 * lazy one costs what the program touches, in whole THPs, or in base pages
 * where that much would be wasted. So the first of a kind (a power of two of
 * sizes) is lazy on THP; blocks that come back tell how much of them was
 * written, some that live how much of them is touched (heap/probe.h), and the
 * next ones are backed accordingly. HUGETLB_MORECORE_POPULATE overrides.
 *
 * What is populated without having been asked is no more than the program has
 * filled before: as many blocks of the kind as were live when one came back
 * full.
 *
 * Lock-free: a lost update of a score costs nothing but a guess.
 *
 * Some rules ask how much the pool has free. A block that they keep from it is
 * wished: packed and counted as if it stood on pages of the pool, so that the
 * report can say how many pages a pool with room would have been asked for.
 */
#ifndef HL_HEAP_LEARN_H
#define HL_HEAP_LEARN_H

#include "base/base.h"

#define HL_LEARN_KINDS 48u
#define HL_LEARN_NONE  0u /* of no kind: the blocks of first-class heaps */
/*
 * Percent; a live block of which less is touched is sparse. Not more: what
 * grows by doubling, as C++'s vectors do, is half full when it has just grown.
 */
#define HL_LEARN_DENSE 50u

enum hl_learn_backing {
	HL_LEARN_LAZY,	   /* THP where touched */
	HL_LEARN_PROBE,	   /* the same, but begins on base pages */
	HL_LEARN_WARY,	   /* base pages, until it is seen how it is used */
	HL_LEARN_SPARSE,   /* base pages where touched */
	HL_LEARN_POPULATE, /* huge pages at once */
};

struct hl_learn_choice {
	enum hl_learn_backing backing;
	bool wished; /* a pool with room would make it POPULATE; so it may be */
	bool tell;   /* hl_learn_tell() shall hear of it */
};

/* Never HL_LEARN_NONE. */
unsigned hl_learn_kind(size_t bytes);
/* Blocks of that kind that are live: every one is counted while it is. */
void hl_learn_count(unsigned kind, int change);

/*
 * page_bytes: the hugetlb page that would be asked for, 0: none. Never PROBE:
 * what is LAZY and shall be told of may become it.
 */
struct hl_learn_choice hl_learn_choose(size_t bytes, size_t page_bytes);

/*
 * A lazy block that was fresh when handed out comes back: looks at its pages.
 * Only reads what is resident; a system call per page looked at, and not for
 * every block.
 */
void hl_learn_tell(unsigned kind, const void *block, size_t bytes);

/* HUGETLB_MORECORE_POPULATE leaves it to us how blocks of the kind are backed.
 */
bool hl_learn_may_be_lazy(unsigned kind);
/* So much of a live block is touched: of the last one that was looked at. */
void hl_learn_live(unsigned kind, unsigned percent);
bool hl_learn_is_sparse(unsigned kind);

/* For tests; no block is live. */
void hl_learn_forget(void);

#endif
