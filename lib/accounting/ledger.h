/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who owes which huge page, per page size and node. The kernel reserves
 * globally and can tell only at the fault that a node is empty; the ledger is
 * what lets a node-bound request fail, or fall back, when it is made.
 *
 * Pages of one size and node are: promised (asked for, not yet backed),
 * backed (in the kernel's page tables), in hand (backed and free for reuse),
 * borrowed (backed on another node than asked). Pure arithmetic.
 *
 * One global ledger of the process. The counters are atomics: no lock, and
 * safe in signal handlers. A fifth page size, if a machine has one, is not
 * tracked: its promises are always granted, the kernel decides.
 */
#ifndef HL_ACCOUNTING_LEDGER_H
#define HL_ACCOUNTING_LEDGER_H

#include "base/base.h"

#include <stdatomic.h>

#define HL_LEDGER_SIZES 4
#define HL_LEDGER_NODES 64 /* higher node numbers share the last row */
#define HL_LEDGER_ANY	(-1)

struct hl_ledger_row {
	_Atomic int64_t promised;
	_Atomic int64_t backed;
	_Atomic int64_t in_hand;
	_Atomic int64_t borrowed; /* asked for on this node, backed elsewhere */
};

struct hl_ledger {
	_Atomic uint64_t page_bytes[HL_LEDGER_SIZES]; /* 0: not in use */
	_Atomic int64_t promised[HL_LEDGER_SIZES];    /* sum over all rows */
	struct hl_ledger_row any[HL_LEDGER_SIZES]; /* requests without a node */
	struct hl_ledger_row node[HL_LEDGER_SIZES][HL_LEDGER_NODES];
};
extern struct hl_ledger hl_ledger;

/*
 * Promises n pages if `available` (what the pool, or the node's pool, has
 * now) covers them and all other outstanding promises there; -ENOMEM
 * otherwise, nothing changed. available < 0: unknown, always promised.
 */
int hl_ledger_promise(struct hl_ledger *l, size_t page_bytes, int node,
	int64_t n, int64_t available);
/* The promise is withdrawn. */
void hl_ledger_cancel(
	struct hl_ledger *l, size_t page_bytes, int node, int64_t n);
/* A promise for `asked` came true on node `got` (may be HL_LEDGER_ANY: not
 * known). */
void hl_ledger_back(
	struct hl_ledger *l, size_t page_bytes, int asked, int got, int64_t n);
/*
 * Backed pages go back to the kernel; same asked and got as at back. Pages in
 * hand are taken into use first.
 */
void hl_ledger_release(
	struct hl_ledger *l, size_t page_bytes, int asked, int got, int64_t n);
/* Backed pages become free for reuse, or are used again. */
void hl_ledger_hold(struct hl_ledger *l, size_t page_bytes, int got, int64_t n);
void hl_ledger_use(struct hl_ledger *l, size_t page_bytes, int got, int64_t n);

struct hl_ledger_totals {
	int64_t promised;
	int64_t backed;
	int64_t in_hand;
	int64_t borrowed;
};
/* One row (node >= 0), the requests without a node (HL_LEDGER_ANY), or all. */
#define HL_LEDGER_ALL (-2)
void hl_ledger_read(const struct hl_ledger *l, size_t page_bytes, int node,
	struct hl_ledger_totals *out);

/* Only while no other thread changes the ledger. */
bool hl_ledger_is_valid(const struct hl_ledger *l);

#endif
