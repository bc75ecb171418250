/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The allocator as the layers above see it. Semantics of each call are those of
 * glibc's malloc family, except where said. Thread-safe. Callable before
 * any constructor, and until the very end of the process.
 */
#ifndef HL_HEAP_HEAP_H
#define HL_HEAP_HEAP_H

#include "base/base.h"

/* malloc(3) and friends; NULL and errno ENOMEM (EINVAL for bad alignment). */
void *hl_malloc(size_t bytes);
void *hl_calloc(size_t count, size_t bytes);
void *hl_realloc(void *p, size_t bytes);
void hl_free(void *p);
/* Any power-of-two alignment; EINVAL otherwise. */
void *hl_memalign(size_t align, size_t bytes);
/* Bytes usable behind p; 0 for NULL. */
size_t hl_usable_size(const void *p);
/* p lies in one of our areas, whatever is there. Lock-free. */
bool hl_is_ours(const void *p);

/*
 * Gives everything back to the kernel that can be: this thread's empty spans,
 * abandoned ones, cached units. True if anything was released.
 */
bool hl_heap_release(void);

/*
 * Where blocks that are not ours go, and last-resort requests: the next
 * allocator in line (libc's). NULL members: none. A foreign free is fatal under
 * HUGETLB_HARDEN unless a last resort was ever given out. Set once, before
 * threads.
 */
struct hl_next_allocator {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*memalign)(size_t, size_t);
	void (*free)(void *);
	size_t (*usable_size)(void *);
	/* Sets no address space aside for threads from here on. May be NULL. */
	void (*confine)(void);
};
void hl_heap_set_next(const struct hl_next_allocator *next);

/*
 * Options are known (hl_opt_init was called): huge pages may be used from here
 * on. Before it the heap lives on base pages. Idempotent.
 */
void hl_heap_configure(void);

/* pthread_atfork handlers: all locks of the library in rank order, and the
 * backing's part. */
void hl_heap_fork_prepare(void);
void hl_heap_fork_parent(void);
void hl_heap_fork_child(void);
/* The two of a fork that interrupts this thread in the library (base/atfork.h).
 */
void hl_heap_fork_hurried_prepare(void);
void hl_heap_fork_hurried_child(void);

/* The calling thread ends: its spans are abandoned. Called by the thread-exit
 * hook. */
void hl_thread_exit(void);
/*
 * arm() is called once for each thread, right after its heap structure was
 * made and is found by hl_malloc (arm may allocate), and again if the thread
 * allocates after hl_thread_exit(). Set once, before threads; NULL: none.
 */
void hl_thread_set_exit_hook(void (*arm)(void));

struct hl_heap_stats {
	uint64_t live_bytes; /* in blocks and spans handed out */
	uint64_t peak_bytes;
	uint64_t committed_bytes; /* behind units */
	uint64_t cached_bytes;	  /* of these, in empty units */
	uint64_t hugetlb_bytes, thp_bytes, base_bytes; /* resident, measured */
	uint64_t hpages_taken, hpages_given;
	uint64_t fallbacks;
	uint64_t large_blocks, large_bytes;
	uint64_t reserved_bytes; /* address space */
};
void hl_heap_stats(struct hl_heap_stats *out);

/* Measures residency now and writes counters and picture (base/count.h). Cheap
 * enough for slow paths; `exact` reads smaps. */
void hl_heap_sample(bool exact);

#endif
