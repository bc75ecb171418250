/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kernel for unit tests of backing/ and region/, in place of hl_os_linux: it
 * keeps its own account of mappings, pools of huge pages, THP and time, refuses
 * the nth call of a kind when told to, and backs everything with ordinary
 * memory that may really be read and written (a wrong access crashes the test).
 *
 * The machine's files (pools, meminfo, THP) are put below tree.h's root to
 * match; fake_publish() brings them up to date.
 *
 * Shared mappings of huge pages are reserved; there is one process, so that
 * the pages of what is unmapped go back at once. Segments of System V can be
 * attached once at a time (fake_shm.c).
 *
 * Not kept: memory.max, swap, files. Touching a hugetlb page that was not
 * populated does not raise SIGBUS; fake_unpopulated() finds it.
 */
#ifndef FAKE_OS_H
#define FAKE_OS_H

#include "system/os.h"

#define FAKE_HUGE     (2 * HL_MIB)
#define FAKE_GIGANTIC HL_GIB
#define FAKE_NODES    2

enum fake_call {
	FAKE_MMAP,
	FAKE_MUNMAP,
	FAKE_MPROTECT,
	FAKE_MADVISE,
	FAKE_MREMAP,
	FAKE_MINCORE,
	FAKE_TOUCH,
	FAKE_PAGEMAP,
	FAKE_MBIND,
	FAKE_SET_MEMPOLICY,
	FAKE_GET_MEMPOLICY,
	FAKE_PAGE_NODE,
	FAKE_ALLOWED_NODES,
	FAKE_SHMGET,
	FAKE_SHMAT,
	FAKE_SHMDT,
	FAKE_SHMRM,
	FAKE_CALLS
};

struct fake {
	/* Settings */
	int nodes;
	long pool[FAKE_NODES];	   /* free pages of FAKE_HUGE */
	long gigantic[FAKE_NODES]; /* free pages of FAKE_GIGANTIC */
	long reserved;	   /* of FAKE_HUGE, by shared memory: of those free */
	long thps;	   /* that can be had */
	bool no_populate;  /* before 5.14 */
	bool no_noreplace; /* before 4.17: the address is a hint */
	bool misalign;	   /* mmap does not align large mappings */
	bool no_dontunmap; /* before 5.7 */
	bool one_vma;	   /* mremap takes one mapping at a time */
	bool unmap_first;  /* a refused MAP_FIXED leaves a hole */
	unsigned long allowed; /* nodes */
	bool no_shm_group;     /* SHM_HUGETLB is not permitted */
	int rival_key; /* another process is faster to make that segment */
	bool live;     /* the files follow every change */
	uint64_t now_ms;
	/* What happened */
	unsigned calls[FAKE_CALLS];
	int policy_mode;
	unsigned policy_changes;
};
extern struct fake fake;

/* For cmocka; the teardown fails the test if a mapping or a page is left. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* The nth call of that kind from now on (1: the next) answers rc. */
void fake_refuse(enum fake_call call, unsigned nth, int rc);
/* All of them from the nth on; rc 0: no more. */
void fake_refuse_all(enum fake_call call, unsigned nth, int rc);

/* Writes the pools to the files that supply.c reads; which then looks anew. */
void fake_publish(void);
/* The same, but supply.c may still go by what it has read. */
void fake_put_pools(void);
/* Others: THP on or off, limit of the cgroup in pages (-1: none). */
void fake_publish_thp(const char *enabled);
void fake_publish_cgroup(long max_hpages, long rsvd_max_hpages);

/*
 * The THP at addr, of 2 MiB, is mapped page by page from now on, as a fork and
 * a write leave it; shared: another process still has half of it. fake_whole()
 * ends the sharing. MADV_COLLAPSE is the end of it.
 */
void fake_split(const void *addr, bool shared);
void fake_whole(const void *addr);
bool fake_is_split(const void *addr);

/* hugetlb pages mapped in the range without a page behind them. */
size_t fake_unpopulated(const void *addr, size_t bytes);
/* Whether the range is mapped so, all of it. */
bool fake_is_prot(const void *addr, size_t bytes, int prot);
bool fake_is_advised(const void *addr, size_t bytes); /* for THP, all of it */
bool fake_is_hugetlb(const void *addr);
/* MPOL_* of the mapping at addr, and its lowest node (-1: none). */
int fake_policy(const void *addr, int *node);
size_t fake_mappings(void);
/* After munmap was refused: what nobody will unmap. */
void fake_unmap_rest(void);
/* The segment with that id; page_bytes 0: of ordinary memory. */
size_t fake_segment_page_bytes(int id);
size_t fake_segment_bytes(int id);
size_t fake_segment_populated(int id);
size_t fake_segments(void);

#endif
