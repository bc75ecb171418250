/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How to back a block of 256 KiB and more. A populated block is fast and
 * stands on pool pages, but is resident whether touched or not; a lazy one
 * costs what the program touches. So the first of a kind (a power of two of
 * sizes) is lazy on THP; when blocks come back we look how much of them was
 * written, and back the next ones accordingly. HUGETLB_MORECORE_POPULATE
 * overrides.
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

enum hl_learn_backing {
	HL_LEARN_LAZY,	   /* THP where touched */
	HL_LEARN_SPARSE,   /* base pages where touched */
	HL_LEARN_POPULATE, /* huge pages at once */
};

struct hl_learn_choice {
	enum hl_learn_backing backing;
	bool wished; /* a pool with room would make it POPULATE; so it may be */
	bool tell;   /* hl_learn_tell() shall hear of it */
};

/* page_bytes: the hugetlb page that would be asked for, 0: none. */
struct hl_learn_choice hl_learn_choose(size_t bytes, size_t page_bytes);

/*
 * A lazy block that was fresh when handed out comes back: looks at its pages.
 * Only reads what is resident; a system call per page looked at, and not for
 * every block.
 */
void hl_learn_tell(const void *block, size_t bytes);

#endif
