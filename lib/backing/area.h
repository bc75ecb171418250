/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Areas: stretches of address space in units of 2 MiB, PROT_NONE until
 * committed. An area knows what stands behind each of its units (the state
 * word), takes huge pages through the accounting transaction, and falls back
 * along the chain hugetlb -> smaller hugetlb -> THP -> base pages.
 *
 * Callers: heap/ (region/ later). The caller serialises commit and release of
 * the same units (the heap by its GROW lock); different units of one area may
 * be changed concurrently. These calls make system calls: never under a lock
 * of rank PAGEHEAP or higher.
 *
 * Records of areas are never unmapped, so hl_area_find() may be called from
 * signal handlers.
 */
#ifndef HL_BACKING_AREA_H
#define HL_BACKING_AREA_H

#include "base/base.h"
#include "base/limit.h"
#include "accounting/subpool.h"
#include "system/sys.h"

#include <stdatomic.h>

#define HL_UNIT_SHIFT 21
#define HL_UNIT_BYTES ((size_t)1 << HL_UNIT_SHIFT)

enum hl_backing_kind {
	HL_BACKING_NONE,    /* PROT_NONE */
	HL_BACKING_HUGETLB, /* populated */
	HL_BACKING_THP,	    /* advised; populated unless lazy */
	HL_BACKING_BASE,    /* MADV_NOHUGEPAGE; touched as needed */
	HL_BACKING_LAZY,    /* THP advised, resident where touched */
};

/*
 * State word of a unit, atomic; all that the signal handlers look at. A page
 * of the pool that the accounting still has is there as long as the size is
 * not 0, also when a handler has already replaced it.
 *   bits 0-3   enum hl_backing_kind
 *   bit  4     BUSY: a conversion or a release is under way
 *   bit  5     CHARGED: counted in the area's subpool
 *   bit  6     STUCK: NONE, but something is still mapped there
 *   bit  7     LOST: NONE, and the address space is someone else's now
 *   bits 8-13  log2 of the hugetlb page size, 0: none
 *   bits 16-23 node that was asked + 1, 0: any (63 stands for all above)
 *   bits 24-31 node that was got + 1, 0: not known
 */
typedef _Atomic uint32_t hl_unit_state;
#define HL_UNIT_BUSY 0x10u

struct hl_area; /* backing/area_internal.h */

/* What a commit asks for. Zeroed: base pages only. */
struct hl_want {
	size_t page_bytes; /* hugetlb page to try first; 0: no hugetlb */
	bool thp;	   /* may fall back to (or start at) THP */
	bool lazy; /* do not populate: HL_BACKING_LAZY if thp, else BASE.
		      page_bytes must be 0 */
	int node;  /* HL_NODE_ANY or the node to bind to (preferred for THP and
		      base) */
	/*
	 * Budget of the hugetlb pages, in units whatever the page size, or
	 * NULL. An area serves one budget at a time.
	 */
	struct hl_subpool *subpool;
	/*
	 * Pages of page_bytes only, and all of them: else -ENOMEM, as far as
	 * can be seen before anything is taken.
	 */
	bool strict;
};

struct hl_got {
	size_t units[HL_BACKING_LAZY + 1]; /* by kind; sum = units committed */
	enum hl_limit limit; /* what stopped the first choice, or NONE */
};

/*
 * Reserves address space for `units`, aligned to max(unit, align).
 * -ENOMEM under ulimit -v. dedicated: will be closed again as a whole (one very
 * large block), which gives the address space back.
 */
int hl_area_open(
	size_t units, size_t align, bool dedicated, struct hl_area **out);
/* All units must be released. */
void hl_area_close(struct hl_area *area);
/* Ends the area at `units` >= 1: what is behind must be released, is nobody's,
 * and its address space goes back. */
void hl_area_trim(struct hl_area *area, size_t units);

uintptr_t hl_area_base(const struct hl_area *area);
size_t hl_area_units(const struct hl_area *area);

/*
 * Of units [from, to), those that whole huge pages of that size can stand
 * behind. False: none, and nothing is stored.
 */
bool hl_area_whole_pages(const struct hl_area *area, size_t page_bytes,
	size_t from, size_t to, size_t *start, size_t *end);

/*
 * Puts memory behind units [from, to), all of kind NONE. 0 if the whole range
 * is usable afterwards, whatever the mixture; -ENOMEM if not even base pages
 * could be had (then nothing is committed). Fresh memory reads as zero.
 * With page_bytes > unit the range should be aligned to the grain; parts that
 * are not go to smaller pages. Counted: hpages_taken, hugetlb_bytes, fallbacks.
 */
int hl_area_commit(struct hl_area *area, size_t from, size_t to,
	const struct hl_want *want, struct hl_got *got);

/*
 * Takes the memory away; PROT_NONE again, address space kept. Units of a page
 * larger than the unit only all together (asserted). A unit that was converted
 * is given back as what it is now. Cannot fail for the caller: where the kernel
 * refuses (max_map_count) the memory is dropped with MADV_DONTNEED and the unit
 * stays mapped but is NONE for the caller.
 */
void hl_area_release(struct hl_area *area, size_t from, size_t to);

/*
 * Drops the contents of THP, LAZY or BASE units (or of base pages inside one)
 * but keeps them committed: MADV_DONTNEED. They read as zero.
 */
void hl_area_discard(void *addr, size_t bytes);

/* On base pages since that was asked for, or there was nothing else; not what a
 * page of the pool was converted to. */
bool hl_area_is_base(const struct hl_area *area, size_t unit);

/* A LAZY unit of which nothing is resident goes to base pages. Others stay. */
void hl_area_demote(struct hl_area *area, size_t unit);

/*
 * Units that are on base pages become LAZY (backing/collapse.c): one that has
 * `least` bytes resident is joined at once, if the kernel can and no other
 * process has a part of it; one of which nothing is resident is a THP where it
 * is touched. What is between, and other kinds, stay as they are.
 */
void hl_area_promote(
	struct hl_area *area, size_t from, size_t to, size_t least);

/*
 * Moves the committed units [from, to) of src to the same number of NONE units
 * of dst (mremap), contents kept; src units become NONE. -EOPNOTSUPP or another
 * -errno and nothing changed where the kernel does not move such pages: the
 * caller copies.
 */
int hl_area_move(struct hl_area *src, size_t from, size_t to,
	struct hl_area *dst, size_t dst_from);

/*
 * The units leave the area: what is mapped there stays and is someone else's.
 * They must not be HUGETLB (hl_area_convert, hl_area_release come first), and
 * come back only by a commit that finds the addresses free.
 */
void hl_area_disown(struct hl_area *area, size_t from, size_t to);

/*
 * What of these units had left comes back, PROT_NONE or to be unmapped: the
 * caller knows that nobody has anything there any more.
 */
void hl_area_reclaim(struct hl_area *area, size_t from, size_t to);

/* NONE beyond the end, and if the area was closed meanwhile. */
enum hl_backing_kind hl_area_kind(const struct hl_area *area, size_t unit);
/* Bytes of the hugetlb page behind a unit; 0 if it is of another kind. */
size_t hl_area_page_bytes(const struct hl_area *area, size_t unit);

/* Async-signal-safe, lock-free: the area that holds addr, or NULL. */
struct hl_area *hl_area_find(const void *addr);

/*
 * Resident bytes of [from, to) by kind, from the kernel (mincore for lazy and
 * base units: a unit with all 512 pages resident after one touch counts as THP;
 * state word for hugetlb).
 */
struct hl_resident {
	uint64_t hugetlb_bytes;
	uint64_t thp_bytes;
	uint64_t base_bytes;
};
void hl_area_resident(
	struct hl_area *area, size_t from, size_t to, struct hl_resident *out);
/* Base pages of [addr, addr + bytes) that are resident; those that the kernel
 * does not tell about are not. Async-signal-safe. */
size_t hl_resident_pages(void *addr, size_t bytes);
/* All areas, measured through smaps (exact for THP); 0 or -errno. */
int hl_backing_resident(struct hl_resident *out);

/* ---- policy inputs, cached for some milliseconds (backing/supply.c) ---- */

extern const struct hl_root *hl_supply_root; /* tests point it elsewhere */

/* Pages came or went: keeps what is cached near the truth. */
void hl_supply_moved(size_t page_bytes, int node, int64_t hpages);

/* Huge pages of that size that could be had now, cgroup and pool considered. */
uint64_t hl_supply_hpages(size_t page_bytes, int node);
/* The same, read anew; *limit: what a request for more would hit. */
uint64_t hl_supply_now(size_t page_bytes, int node, enum hl_limit *limit);
/* THP can be had by madvise. */
bool hl_supply_thp(void);
/* The hugetlb page size to use for `asked` (0: default); 0 if the machine has
 * none. */
size_t hl_supply_page_bytes(size_t asked);
/* What programs mean by 0: HUGETLB_DEFAULT_PAGE_SIZE if the machine has it,
 * else the kernel's; 0 if there is none. */
size_t hl_supply_default(void);
/* The next smaller hugetlb page of the machine, 0 if none. */
size_t hl_supply_smaller(size_t page_bytes);
/* Nodes of the machine; 1 without NUMA. */
int hl_supply_nodes(void);

/*
 * Backs hugetlb pages without a signal; returns how many from the start on are
 * there.
 */
size_t hl_populate_hugetlb(void *addr, size_t bytes, size_t page_bytes);

/* ---- set up ---- */

/*
 * Brings the library up in a program that is only linked: options, fork
 * handlers. Whoever owns the state of the process defines it (heap/api.c), so
 * that those beside it can ask. False: a caller further up the stack is at it.
 */
bool hl_backing_set_up(void);

/* ---- fork (backing/fork.c): see lib/README.md ---- */

/* Heap locks are held, no thread allocates. Converts what later copy-on-write
 * would miss. */
void hl_backing_fork_prepare(void);
void hl_backing_fork_parent(void);
void hl_backing_fork_child(void);
void hl_backing_fork_hurried_prepare(void);
void hl_backing_fork_hurried_child(void);

/*
 * Converts one unit (or the whole huge page around it) to ordinary memory,
 * contents kept, while other threads run: the page is write-protected, copied,
 * and replaced in one step. A unit that is not HUGETLB stays. 0 or -errno.
 */
int hl_area_convert(struct hl_area *area, size_t unit);
/*
 * The same for all huge pages of [from, from + bytes), as far as the range lies
 * in one area. A page that cannot be converted stays.
 */
void hl_area_convert_range(const void *from, size_t bytes);
/* This process has one thread, for certain. */
bool hl_is_single_threaded(void);

/* ---- joining base pages (backing/collapse.c) ---- */

/* Units were committed on base pages that may come to be filled. */
void hl_collapse_expect_base(void);
/* They are being filled: what there is of them is looked at without delay. */
void hl_collapse_hurry(void);
/* Now and then, with no lock held: joins THPs that a fork has split, and what
 * has been filled of base units, as far as the time since the last call allows.
 */
void hl_collapse_tick(uint64_t now_ms);

/* ---- healing (backing/heal.c) ---- */

/*
 * From the SIGBUS and SIGSEGV handlers: true if the fault was ours and is
 * mended (return from the handler and retry), false: pass it on.
 * Async-signal-safe.
 */
bool hl_heal(int sig, int si_code, void *addr);
/*
 * Installs the handlers unless they are there; keeps the program's own to chain
 * to. Done when the first hugetlb unit is committed if the signal calls are
 * interposed (preload), and before a fork in any case.
 */
void hl_heal_install(void);
/* Settles with ledger and counters what handlers did. Slow paths call it. */
void hl_heal_settle(void);

#endif
