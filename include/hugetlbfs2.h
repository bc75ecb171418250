/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhugetlbfs2: memory on huge pages that falls back instead of dying.
 *
 * Linking changes nothing in a program: only what it asks for through these
 * calls stands on huge pages. Preloading libhugetlbfs2-preload.so (or hugectl)
 * puts its malloc there too; both then use one heap.
 *
 * Errors: 0 or -errno, results through pointers, untouched on failure; the
 * malloc family returns NULL and sets errno. All calls are thread-safe.
 * Option and result structs start with their size, so that they can grow.
 */
#ifndef HUGETLBFS2_H
#define HUGETLBFS2_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0"; static. */
const char *htlb_version(void);

/* ---- what went wrong last ---- */

/* The limit that stopped a request for huge pages. */
enum htlb_limit {
	HTLB_LIMIT_NONE,
	HTLB_LIMIT_POOL,
	HTLB_LIMIT_NODE_POOL,
	HTLB_LIMIT_CGROUP,
	HTLB_LIMIT_CGROUP_RSVD,
	HTLB_LIMIT_MOUNT_SIZE,
	HTLB_LIMIT_SUBPOOL,
	HTLB_LIMIT_MEMLOCK,
	HTLB_LIMIT_PERMISSION,
	HTLB_LIMIT_UNSUPPORTED,
	HTLB_LIMIT_MEMORY,
	HTLB_LIMIT_THP,
};

struct htlb_failure {
	size_t size;	       /* in: sizeof(struct htlb_failure) */
	enum htlb_limit limit; /* the limit that was hit, or NONE */
	size_t page_bytes;     /* of the huge page that was asked for */
	int node;	       /* -1: any */
	uint64_t needed_hpages;
	uint64_t available_hpages;
	const char *advice; /* one sentence, static */
};

/*
 * The last shortage that this thread ran into, also when a fallback hid it.
 * 0; -ENOENT if there was none; -EINVAL for a bad size.
 */
int htlb_last_failure(struct htlb_failure *out);

/* ---- system view ---- */

#define HTLB_NODE_ANY (-1)

/*
 * The huge page sizes of the machine, ascending: stores at most `capacity` of
 * them and returns how many there are, 0 on a kernel without any. sizes may be
 * NULL if capacity is 0.
 */
int htlb_page_sizes(size_t *sizes, size_t capacity);

/*
 * The size that a zero page_bytes stands for: HUGETLB_DEFAULT_PAGE_SIZE if the
 * machine has it, else the kernel's default. 0, or -ENOSYS if there is none.
 */
int htlb_default_page_size(size_t *out);

/* Pages of one size, of the machine or of one node. */
struct htlb_pool {
	size_t size;	     /* in: sizeof(struct htlb_pool) */
	size_t page_bytes;   /* that it is about */
	uint64_t total;	     /* persistent and surplus pages */
	uint64_t free;	     /* in the pool; the reserved ones are among them */
	uint64_t reserved;   /* promised by the kernel, not touched yet; of a
				node always 0: the kernel reserves globally */
	uint64_t surplus;    /* beyond the persistent ones, on demand */
	uint64_t overcommit; /* how many surplus pages there may be; of a node
				always 0 */
	/*
	 * That this process could get now: free pages that are not reserved,
	 * surplus pages that may still be made, within the limits of its
	 * control groups.
	 */
	uint64_t available;
};

/*
 * page_bytes 0: the default size. node: a number, or HTLB_NODE_ANY.
 * 0; -ENOENT if the machine has no such size or node; -EINVAL for a bad size
 * member.
 */
int htlb_pool_read(size_t page_bytes, int node, struct htlb_pool *out);

/*
 * Asks the kernel for so many persistent pages, on one node or spread over all.
 * 0: *got (unless NULL) is the number of persistent pages there are now, which
 * may be less (memory too fragmented) or more (in use): look. -EACCES without
 * the privilege; -ENOENT as above; -EINVAL if the kernel cannot change it.
 */
int htlb_pool_resize(
	size_t page_bytes, int node, uint64_t hpages, uint64_t *got);

/* ---- subpools: budgets of huge pages ---- */

struct htlb_subpool;

struct htlb_subpool_options {
	size_t size;	     /* in: sizeof(struct htlb_subpool_options) */
	size_t page_bytes;   /* 0: the default size */
	uint64_t min_hpages; /* guaranteed: taken now and kept. 0: none */
	uint64_t max_hpages; /* never more than that. 0: no limit */
	const int *nodes;    /* the node of the pages */
	size_t node_count;   /* 1, or 0: any */
};

/*
 * Makes a budget that regions (and heaps) may share. The minimum is really
 * taken from the pool, page by page and on the node, and kept for them: no
 * other process can take it away. Counted in whole pages of page_bytes (on
 * machines with pages below 2 MiB rounded up to 2 MiB).
 *
 * 0; -ENOMEM if the minimum cannot be had (see htlb_last_failure()): then
 * nothing was taken; -EINVAL; -E2BIG if unknown members are not zero;
 * -EOPNOTSUPP if the machine has no pages of that size.
 *
 * The child of a fork has the maximum, but not the guarantee: what waits for
 * use stays the parent's.
 */
int htlb_subpool_create(
	const struct htlb_subpool_options *options, struct htlb_subpool **out);

struct htlb_subpool_stat {
	size_t size; /* in: sizeof(struct htlb_subpool_stat) */
	size_t page_bytes;
	int node;	      /* HTLB_NODE_ANY: any */
	uint64_t min_hpages;  /* 0: none */
	uint64_t max_hpages;  /* 0: no limit */
	uint64_t used_hpages; /* by regions and heaps */
	uint64_t held_hpages; /* of the minimum, waiting for use */
};

/* 0, or -EINVAL for a bad size member. */
int htlb_subpool_stat(
	struct htlb_subpool *subpool, struct htlb_subpool_stat *out);

/*
 * Ends it: no new region may name it. What waits for use goes back to the pool
 * at once; what is in use stays, within the maximum, and the budget ends
 * with its last page. NULL is ignored.
 */
void htlb_subpool_destroy(struct htlb_subpool *subpool);

/* ---- regions: large areas, private or shared ---- */

/* page_bytes: the largest pages that fit into the length and can be had. */
#define HTLB_PAGE_LARGEST ((size_t)1)

/* Shared with the processes that get the descriptor, and across fork. Without
 * it: private, copied on write in the child of a fork. */
#define HTLB_REGION_SHARED 0x1u
/* Shared, in an unlinked file on a hugetlbfs mount (whose size= and min_size=
 * then count) instead of a memfd. */
#define HTLB_REGION_FILE 0x2u
/* Huge pages of the pool, of the size that was asked for, or -ENOMEM. */
#define HTLB_REGION_STRICT 0x4u
/* Without STRICT: what may stand in for a huge page of the pool. */
#define HTLB_REGION_NO_THP  0x8u
#define HTLB_REGION_NO_BASE 0x10u
/* Address space only; htlb_region_commit() puts memory there. */
#define HTLB_REGION_EMPTY 0x20u

enum htlb_policy {
	HTLB_POLICY_DEFAULT,	/* the calling thread's */
	HTLB_POLICY_LOCAL,	/* the node that it runs on, else any */
	HTLB_POLICY_BIND,	/* `nodes` only */
	HTLB_POLICY_INTERLEAVE, /* spread evenly over `nodes` (none: all) */
	HTLB_POLICY_PREFERRED,	/* nodes[0], else any */
};

struct htlb_region_options {
	size_t size;	   /* in: sizeof(struct htlb_region_options) */
	size_t page_bytes; /* 0: the default size; HTLB_PAGE_LARGEST */
	unsigned flags;	   /* HTLB_REGION_* */
	unsigned policy;   /* enum htlb_policy */
	const int *nodes;
	size_t node_count;
	struct htlb_subpool *subpool; /* budget, or NULL */
	size_t align_bytes; /* of the address, a power of two. 0: the page's */
	const char *name;   /* shared: shown in /proc/PID/maps. NULL: none */
	const char *path;   /* FILE: the mount; NULL: HUGETLB_PATH, or any */
};

/*
 * Memory of at least `bytes` at *out, zeroed. Huge pages are populated: one
 * that cannot be had is known now, and no touch of the region raises SIGBUS
 * later, whatever fork, control groups or full nodes do. options NULL: private,
 * default size, any fallback.
 *
 * The length is rounded up to whole huge pages. Without STRICT, what the pool
 * cannot give comes as smaller huge pages, transparent huge pages or base
 * pages, in this order, as far as the flags allow; htlb_region_info() tells.
 * Shared regions are of one kind: all huge pages of one size, or all ordinary
 * memory. A shortage that can be seen is reported before anything is taken; on
 * any failure nothing stays behind.
 *
 * Where the machine has no pages of the size that was asked for, those of the
 * next smaller size, or of the default size, are the first to stand in, and the
 * limit is HTLB_LIMIT_UNSUPPORTED.
 *
 * BIND: without STRICT other memory is taken where the nodes' pools lack pages,
 * preferably on these nodes. STRICT INTERLEAVE is even within one page or
 * fails.
 *
 * 0; -ENOMEM (htlb_last_failure() names the limit); -EINVAL; -E2BIG if unknown
 * members are not zero; -EOPNOTSUPP if STRICT and the machine has no such
 * pages, or no such mount; -EACCES if the mount may not be used.
 */
int htlb_region_create(
	size_t bytes, const struct htlb_region_options *options, void **out);

/*
 * Gives the region that starts at addr back, whatever mprotect() or madvise()
 * did to it. Other processes keep a shared region as long as they have it.
 * Parts must not be unmapped with munmap(): decommit them. 0; -EINVAL if no
 * region starts there.
 */
int htlb_region_destroy(void *addr);

/*
 * Takes the memory of a part away, or puts memory there again, as it was asked
 * for at creation, zeroed. The range must consist of whole pages, of the size
 * that the region was asked for (HTLB_PAGE_LARGEST: that are there), and of at
 * least 2 MiB. Parts that are already so stay as they are. Decommitted
 * parts cannot be touched (SIGSEGV) and do not count anywhere.
 *
 * A shared region's part is taken away from all processes; the others must not
 * touch it before someone commits it again: to them it is not SIGSEGV, but
 * zeroes or SIGBUS, as there are pages.
 *
 * commit: 0, -EINVAL, or -ENOMEM: then no part of the range was changed. (A
 * shared region on huge pages has nothing to fall back to.)
 * decommit: 0, -EINVAL, or -ENOMEM without memory for the books (nothing
 * changed).
 */
int htlb_region_commit(void *addr, size_t bytes);
int htlb_region_decommit(void *addr, size_t bytes);

#define HTLB_BACKING_HUGETLB 1
#define HTLB_BACKING_THP     2
#define HTLB_BACKING_BASE    3

/* Memory of one kind on one node. Does not grow. */
struct htlb_region_part {
	size_t page_bytes; /* HUGETLB: of the pool; else 0 */
	int backing;	   /* HTLB_BACKING_* */
	int node;	   /* HTLB_NODE_ANY: not resident yet */
	uint64_t bytes;
};

struct htlb_region_info {
	size_t size; /* in: sizeof(struct htlb_region_info) */
	void *addr;  /* start and length of the region */
	size_t bytes;
	size_t page_bytes; /* that was tried first */
	unsigned flags;	   /* of the options */
	unsigned policy;
	/* What the committed part stands on. */
	uint64_t committed_bytes;
	uint64_t hugetlb_bytes;
	uint64_t thp_bytes;
	uint64_t base_bytes;
	/* Why not all of it is of the first choice, or HTLB_LIMIT_NONE. */
	enum htlb_limit limit;
	/*
	 * in: room for part_capacity parts, or NULL and 0. Filled by size,
	 * kind and node; out: part_count is how many there are, which may
	 * be more than there was room for.
	 */
	struct htlb_region_part *parts;
	size_t part_capacity;
	size_t part_count;
};

/*
 * About the region that addr is in. 0; -EINVAL for a bad size member or if
 * there is no region. Asks the kernel for each page's node: not for inner
 * loops.
 */
int htlb_region_info(const void *addr, struct htlb_region_info *out);

/*
 * The descriptor of the shared region that addr is in, to be sent to another
 * process or inherited (it is close-on-exec). It stays the region's: do not
 * close it. -EINVAL if there is no region, -EOPNOTSUPP if it is private.
 */
int htlb_region_fd(const void *addr);

/*
 * The region behind such a descriptor, in this process, at *out. fd stays the
 * caller's. The whole region is reserved here as well: what had been
 * decommitted is promised again by the kernel, so that a touch finds a page.
 * Only `size`, and HTLB_REGION_STRICT (no ordinary memory) of the options
 * matter, which may be NULL.
 * 0; -ENOMEM (see htlb_last_failure()); -EINVAL for a descriptor that is no
 * such region; -EBADF; -EACCES if it is not open for writing.
 */
int htlb_region_open_fd(
	int fd, const struct htlb_region_options *options, void **out);

/* ---- heap: as malloc(3) and friends, always on huge pages where possible ----
 */

void *htlb_malloc(size_t bytes);
void *htlb_calloc(size_t count, size_t bytes);
void *htlb_realloc(void *p, size_t bytes);
void htlb_free(void *p);
/* align: a power of two, else NULL and EINVAL. */
void *htlb_aligned_alloc(size_t align, size_t bytes);
/* 0, EINVAL or ENOMEM (returned, not -errno, as POSIX has it). */
int htlb_posix_memalign(void **out, size_t align, size_t bytes);
size_t htlb_usable_size(const void *p);
/* C23; the size must be the one that was asked for. */
void htlb_free_sized(void *p, size_t bytes);
void htlb_free_aligned_sized(void *p, size_t align, size_t bytes);

/*
 * First-class heaps: with a budget, a node and a page size of their own, and
 * freed at once. Their blocks are freed and resized by htlb_free(),
 * htlb_realloc() and the others above (in a preloaded program also by free()),
 * from any thread; resized ones stay in their heap.
 */
struct htlb_heap;

/* Pages of the pool, of the size that was asked for, or no block. */
#define HTLB_HEAP_STRICT 0x1u

struct htlb_heap_options {
	size_t size;		      /* in: sizeof(struct htlb_heap_options) */
	size_t page_bytes;	      /* 0: the default size, or the budget's */
	unsigned flags;		      /* HTLB_HEAP_* */
	const int *nodes;	      /* the node of its memory */
	size_t node_count;	      /* 1, or 0: any */
	struct htlb_subpool *subpool; /* budget, or NULL; of its page size */
};

/*
 * Makes a heap; takes no memory yet. options NULL: all zero. Where the machine
 * has no pages of that size and STRICT is not asked, those of the next smaller
 * or of the default size stand in (HTLB_LIMIT_UNSUPPORTED). 0; -EINVAL;
 * -E2BIG if unknown members are not zero; -EOPNOTSUPP if STRICT and the machine
 * has no such pages; -ENOMEM.
 */
int htlb_heap_create(
	const struct htlb_heap_options *options, struct htlb_heap **out);

/* A block of the heap, populated; NULL and ENOMEM (htlb_last_failure() tells
 * the limit). align: a power of two, else NULL and EINVAL. */
void *htlb_heap_malloc(struct htlb_heap *heap, size_t bytes);
void *htlb_heap_aligned_alloc(
	struct htlb_heap *heap, size_t align, size_t bytes);

/* Frees all blocks and gives all memory back to the kernel. No thread may use
 * the heap, or one of its blocks, any more. NULL is ignored. */
void htlb_heap_destroy(struct htlb_heap *heap);

struct htlb_heap_stats {
	size_t size;		/* in: sizeof(struct htlb_heap_stats) */
	uint64_t live_bytes;	/* in blocks, size classes rounded up */
	uint64_t peak_bytes;	/* highest live_bytes */
	uint64_t hugetlb_bytes; /* resident, by what stands behind it */
	uint64_t thp_bytes;
	uint64_t base_bytes;
	uint64_t cached_bytes; /* empty, kept for reuse */
	/* The next three count units of 2 MiB, whatever the huge page's size.
	 */
	uint64_t hpages_taken;	 /* from the pool, ever */
	uint64_t hpages_given;	 /* and given back */
	uint64_t fallbacks;	 /* that did not get their first choice */
	uint64_t reserved_bytes; /* address space */
};

/* 0, or -EINVAL for a bad size. Reads /proc/self/smaps: not for inner loops. */
int htlb_heap_stats(struct htlb_heap_stats *out);

/* Gives everything empty back to the kernel. 1 if anything was given, 0 if not.
 */
int htlb_heap_release(void);

#define HTLB_REPORT_TEXT 0
#define HTLB_REPORT_JSON 1
/* Writes the report (see hugectl(8)) to a descriptor. 0 or -errno. */
int htlb_heap_report(int fd, int format);

/* ---- segments: text, data and bss on huge pages ---- */

#define HTLB_SEGMENTS_TEXT    1u
#define HTLB_SEGMENTS_DATA    2u  /* and bss; only before there are threads */
#define HTLB_SEGMENTS_PRIVATE 4u  /* no file that other processes share */
#define HTLB_SEGMENTS_ALL_BSS 8u  /* not only where it is touched */
#define HTLB_SEGMENTS_BRK     16u /* what sbrk() gives; see the manual */

struct htlb_segments_options {
	size_t size;	     /* sizeof(struct htlb_segments_options) */
	unsigned flags;	     /* HTLB_SEGMENTS_*; 0: text */
	const char *objects; /* "main", "all", or names with commas between;
				NULL: main */
	size_t page_bytes;   /* of a pool, for text; 0: the usual */
};

struct htlb_segments_result {
	size_t size;		  /* in: sizeof(struct htlb_segments_result) */
	uint64_t text_bytes;	  /* of the objects looked at */
	uint64_t text_huge_bytes; /* of it: on huge pages now */
	uint64_t data_bytes;	  /* data and bss */
	uint64_t data_huge_bytes;
	uint64_t data_lazy_bytes; /* bss: huge where it is touched */
	uint64_t partial_bytes;	  /* not in a whole huge page */
	uint64_t brk_bytes;	  /* the brk area */
	uint64_t brk_huge_bytes;  /* of it: on huge pages now */
};

/*
 * Moves whole huge pages of segments. options: NULL for the program's text.
 * result: NULL or filled in. 0, also if nothing could move; -EINVAL; -ENOENT:
 * no object of these names; -ENOSYS: no huge pages here; -ENOMEM.
 */
int htlb_segments_remap(const struct htlb_segments_options *options,
	struct htlb_segments_result *result);

#ifdef __cplusplus
}
#endif

#endif
