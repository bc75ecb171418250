/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happened: the counters that the report prints. They live in one page
 * that hugectl shares with the program, so that they survive exec, _exit and
 * kill -9; without hugectl they live in a static page.
 *
 * All are atomics with relaxed order. Writers go through hl_count(), which
 * follows the pointer that hl_count_attach() may move once, early.
 * Readers accept that two counters are not of the same instant.
 */
#ifndef HL_BASE_COUNT_H
#define HL_BASE_COUNT_H

#include "base/base.h"
#include "base/limit.h"
#include "base/rung.h"

#include <stdatomic.h>

#define HL_COUNT_NODES 16   /* nodes counted one by one; the rest in the last */
#define HL_COUNT_SIZES 4    /* hugetlb sizes, see hugetlb_page_bytes */
#define HL_COUNT_CELLS 2048 /* fullness picture: one byte per unit */

/* Bytes by backing. hugetlb by size index. */
#define HL_COUNT_FIELDS(X)                                                   \
	X(live_bytes)	      /* handed out in blocks and spans */           \
	X(peak_bytes)	      /* highest live_bytes */                       \
	X(thp_bytes)	      /* resident, measured at the last sample */    \
	X(base_bytes)	      /* resident on base pages, same */             \
	X(lazy_bytes)	      /* committed lazily: may be resident or not */ \
	X(peak_hugetlb_bytes) /* backing at the sample nearest the peak */   \
	X(peak_thp_bytes)                                                    \
	X(peak_base_bytes)                                                   \
	X(wished_bytes) /* of the pool, if it had room (heap/space.h) */     \
	X(peak_wished_bytes)                                                 \
	X(hpages_taken) /* units' worth of huge pages, ever */               \
	X(hpages_given)                                                      \
	X(conversions) /* hugetlb pages turned into ordinary memory */       \
	X(conversion_failures)                                               \
	X(heals) /* by the SIGBUS handler */                                 \
	X(forks)                                                             \
	X(foreign_frees)      /* pointers of another allocator */            \
	X(libc_fallbacks)     /* requests answered by the next allocator */  \
	X(threads)	      /* that ever had a heap */                     \
	X(adoptions)	      /* of spans of exited threads */               \
	X(segment_text_bytes) /* of the objects looked at */                 \
	X(segment_data_bytes) /* same: data, bss, RELRO */                   \
	X(segment_data_huge_bytes) /* of it: moved */                        \
	X(segment_data_lazy_bytes) /* bss: huge where it is touched */       \
	X(segment_brk_bytes)	   /* the brk area, if looked after */       \
	X(segment_brk_huge_bytes)  /* of it: on huge pages */                \
	X(meta_bytes)		   /* our own records */

struct hl_counts {
#define X(name) _Atomic uint64_t name;
	HL_COUNT_FIELDS(X)
#undef X
	_Atomic uint64_t hugetlb_page_bytes[HL_COUNT_SIZES]; /* 0: unused */
	_Atomic uint64_t hugetlb_bytes[HL_COUNT_SIZES];	     /* now */
	_Atomic uint64_t node_bytes[HL_COUNT_NODES];	     /* hugetlb, now */
	_Atomic uint64_t fallbacks[HL_LIMIT_COUNT_];	     /* units */
	_Atomic uint64_t segment_rung_bytes[HL_RUNG_COUNT_]; /* text */
	_Atomic uint64_t segment_stay_bytes[HL_STAY_COUNT_];
	_Atomic uint64_t largest_block_bytes;
	_Atomic uint64_t cells;			   /* used of cell[] */
	_Atomic uint8_t cell[HL_COUNT_CELLS];	   /* 0 empty .. 255 full */
	_Atomic uint8_t cell_kind[HL_COUNT_CELLS]; /* enum hl_backing_kind */
};

/* Where the counters are now. Never NULL. */
extern struct hl_counts *_Atomic hl_counts_now;

/*
 * Moves the counters to `to` (shared memory) and keeps what was counted. Once,
 * before threads exist (a count made in the middle may be lost).
 */
void hl_count_attach(struct hl_counts *to);

static inline struct hl_counts *hl_counts(void)
{
	return atomic_load_explicit(&hl_counts_now, memory_order_acquire);
}

static inline void hl_count_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void hl_count_sub(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_sub_explicit(counter, n, memory_order_relaxed);
}

static inline void hl_count_max(_Atomic uint64_t *counter, uint64_t value)
{
	uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);

	while (old < value &&
		!atomic_compare_exchange_weak_explicit(counter, &old, value,
			memory_order_relaxed, memory_order_relaxed))
		;
}

#define hl_count(field, n) hl_count_add(&hl_counts()->field, (n))

static inline void hl_count_fallback(enum hl_limit limit, uint64_t units)
{
	hl_count_add(&hl_counts()->fallbacks[limit], units);
}

/* Which index of hugetlb_bytes[] a page size has; enters it if new. */
unsigned hl_count_size_index(size_t page_bytes);

#endif
