/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of backing/ share: the record of an area, the state word of
 * a unit, and the steps that a commit is made of. Nobody else includes this.
 *
 * Records are never unmapped and never freed, only reused: a signal handler may
 * look at one at any time. `seq` is odd while a record changes hands.
 */
#ifndef HL_BACKING_AREA_INTERNAL_H
#define HL_BACKING_AREA_INTERNAL_H

#include "backing/area.h"

#include "accounting/resv.h"
#include "base/lock.h"
#include "base/meta.h"
#include "system/os.h"
#include "system/sys.h"

struct hl_area {
	_Atomic uint32_t seq;
	_Atomic uintptr_t base;
	_Atomic size_t units; /* 0: not open */
	_Atomic(hl_unit_state *) state;
	struct hl_area *_Atomic next; /* all records, newest first */

	bool dedicated;
	size_t state_capacity; /* units that `state` has room for */
	/* Units that a signal handler converted and nobody has settled. */
	_Atomic uint32_t unsettled;

	struct hl_lock lock; /* BACKING: all below */
	struct hl_resv resv; /* hugetlb units that the accounting has */
	struct hl_pool_of resv_nodes;
	struct hl_subpool *subpool;
	size_t charged; /* units with CHARGED set */
};

/* ---- state words ---- */

#define HL_UNIT_CHARGED 0x20u
#define HL_UNIT_STUCK	0x40u
#define HL_UNIT_LOST	0x80u

#define HL_NODE_CLAMP 62 /* fits the state word; the ledger has 64 rows */

static inline enum hl_backing_kind hl_word_kind(uint32_t word)
{
	return (enum hl_backing_kind)(word & 0xfu);
}

/* 0: the accounting has no hugetlb page for this unit. */
static inline size_t hl_word_page_bytes(uint32_t word)
{
	unsigned shift = (word >> 8) & 0x3fu;

	return shift == 0 ? 0 : (size_t)1 << shift;
}

static inline int hl_word_asked(uint32_t word)
{
	return (int)((word >> 16) & 0xffu) - 1;
}

static inline int hl_word_got(uint32_t word)
{
	return (int)(word >> 24) - 1;
}

static inline uint32_t hl_word_hugetlb(
	size_t page_bytes, int asked, int got, bool charged)
{
	return (uint32_t)HL_BACKING_HUGETLB | (charged ? HL_UNIT_CHARGED : 0) |
	       (uint32_t)hl_log2(page_bytes) << 8 |
	       (uint32_t)(HL_MIN(asked, HL_NODE_CLAMP) + 1) << 16 |
	       (uint32_t)(HL_MIN(got, HL_NODE_CLAMP) + 1) << 24;
}

/* The kind changes, what the accounting knows stays. */
static inline uint32_t hl_word_as(uint32_t word, enum hl_backing_kind kind)
{
	return (word & ~0xfu) | (uint32_t)kind;
}

static inline hl_unit_state *hl_unit_word(
	const struct hl_area *area, size_t unit)
{
	return atomic_load_explicit(&area->state, memory_order_relaxed) + unit;
}

static inline uint32_t hl_unit_load(const struct hl_area *area, size_t unit)
{
	return atomic_load_explicit(
		hl_unit_word(area, unit), memory_order_acquire);
}

static inline void hl_unit_store(
	const struct hl_area *area, size_t unit, uint32_t word)
{
	atomic_store_explicit(
		hl_unit_word(area, unit), word, memory_order_release);
}

static inline char *hl_unit_addr(const struct hl_area *area, size_t unit)
{
	return (char *)(hl_area_base(area) + unit * HL_UNIT_BYTES);
}

/* Units that one page of that size covers, at least 1. */
static inline size_t hl_grain(size_t page_bytes)
{
	return page_bytes > HL_UNIT_BYTES ? page_bytes / HL_UNIT_BYTES : 1;
}

/* First unit of the page around `unit`. */
static inline size_t hl_grain_start(
	const struct hl_area *area, size_t unit, size_t page_bytes)
{
	size_t first = hl_area_base(area) >> HL_UNIT_SHIFT;

	return hl_align_down(first + unit, hl_grain(page_bytes)) - first;
}

/* Waits until the unit is not busy and makes it so; returns the word before. */
uint32_t hl_unit_claim(struct hl_area *area, size_t unit);
/* Waits until nobody has the unit. Async-signal-safe. */
uint32_t hl_unit_wait(const struct hl_area *area, size_t unit);

/* ---- registry (area.c) ---- */

/* Newest first; NULL ends. Records that are not open have 0 units. */
struct hl_area *hl_area_first(void);
struct hl_area *hl_area_next(const struct hl_area *area);
void hl_area_registry_fork_prepare(void);
void hl_area_registry_fork_parent(void);
void hl_area_registry_fork_child(void);

/* ---- joining what a fork split (collapse.c) ---- */

void hl_collapse_fork_parent(void);
void hl_collapse_fork_child(void);

/* ---- accounting of one stretch of hugetlb units (account.c) ---- */

struct hl_charge {
	struct hl_area *area;
	size_t from, to; /* units */
	size_t page_bytes;
	int node;
	struct hl_subpool *subpool;
	bool whole;	/* all of it or nothing */
	size_t waiting; /* out: units that the subpool's hold has */
};

/*
 * Opens a charge for as many pages from c->from on as subpool and supply
 * allow: it may shorten c->to. 0: everything is promised. -ENOMEM: nothing is.
 * *limit says what was in the way, if anything was.
 */
int hl_charge_open(struct hl_charge *c, enum hl_limit *limit);
/*
 * Ends it: `units` from c->from on are backed. Writes their state words.
 * -ENOMEM if metadata ran out: then nothing counts, and the caller takes the
 * pages away.
 */
int hl_charge_close(struct hl_charge *c, size_t units);
/*
 * The accounting forgets the hugetlb pages of [from, to), as the state words
 * tell them. The caller has claimed the units and will write their words.
 */
void hl_charge_return(struct hl_area *area, size_t from, size_t to);
/* The same for one stretch of equal words, which are not looked at. */
void hl_charge_return_run(
	struct hl_area *area, size_t from, size_t to, uint32_t word);
/* The part of that which a signal handler may do: the counters. */
void hl_charge_count_given(uint32_t word, size_t units);

void hl_charge_fork_prepare(void);
void hl_charge_fork_parent(void);
void hl_charge_fork_child(void);

/* ---- steps (populate.c, node.c, ordinary.c, release.c, resident.c) ---- */

/* Probe again (tests). */
void hl_populate_forget(void);

struct hl_policy {
	bool changed;
	int mode;
	unsigned long nodes[HL_NODES_MAX / (8 * sizeof(unsigned long))];
};
/* The thread allocates on `node` only, until restored. */
void hl_policy_bind(struct hl_policy *saved, int node);
void hl_policy_restore(const struct hl_policy *saved);
/* mode: MPOL_BIND or MPOL_PREFERRED. Nothing on a machine with one node. */
void hl_policy_range(void *addr, size_t bytes, int node, int mode);

/* -ENOMEM, nothing changed; else the units have words and *got counts them. */
int hl_commit_ordinary(struct hl_area *area, size_t from, size_t to,
	const struct hl_want *want, struct hl_got *got);
/* Ordinary memory or address space at a multiple of align, where one that large
 * can be had; async-signal-safe. */
int hl_map_aligned(size_t bytes, size_t align, int prot, void **out);
/* PROT_NONE over whatever is there. */
int hl_map_none(void *addr, size_t bytes);
/*
 * Memory of the size of one huge page, aligned if address space allows; *thp:
 * a transparent huge page came. Async-signal-safe.
 */
int hl_map_ordinary(size_t bytes, int node, void **out, bool *thp);

/* ---- supply (supply.c) ---- */

struct hl_supply {
	uint64_t hpages;
	enum hl_limit limit; /* what a request beyond hpages hits */
};
void hl_supply_read(size_t page_bytes, int node, struct hl_supply *out);
/* Reads it anew. */
void hl_supply_read_fresh(size_t page_bytes, int node, struct hl_supply *out);
/* The kernel refused although it should not have: believe it for a while. */
enum hl_limit hl_supply_refused(size_t page_bytes, int node);
/* Forgets everything cached (tests; the child of a fork). */
void hl_supply_forget(void);

/* ---- conversion (convert.c) ---- */

/*
 * Replaces the whole page around `unit` if it is HUGETLB, else does nothing: 0
 * in both cases; *done: it was replaced, by us. `alone`: no other thread can
 * store into it. Leaves the accounting to hl_heal_settle(). All signals must be
 * blocked, or a handler that touches the page waits for its own thread.
 * Async-signal-safe.
 */
int hl_convert_page(struct hl_area *area, size_t unit, bool alone, bool *done);
/* Conversions that ended, ever: changes when a waiting thread may retry. */
extern _Atomic uint32_t hl_convert_seq;

/* All signals, for stretches of code that no handler may interrupt. */
struct hl_sigmask {
	uint64_t bits;
};
void hl_signals_block(struct hl_sigmask *saved);
void hl_signals_restore(const struct hl_sigmask *saved);

/* Called by commit when hugetlb units arrived. */
void hl_heal_arm(void);

#endif
