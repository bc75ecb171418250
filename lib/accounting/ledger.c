/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who owes which huge page, per page size and node.
 *
 * Callers: backing/, around each commit and release, for the pages that a
 * budget holds, and when it settles what handlers did. No lock: each counter is
 * an atomic on its own, and a reader may see a move between two counters half
 * done.
 *
 * A promise has to be exact, or two threads get the last page of a node. It is
 * one compare-and-swap on the word that is its limit: the node's row for a
 * bound request, the sum over all rows for an unbound one (which can be
 * starved by any other). The second word of the pair only follows.
 */
#include "accounting/ledger.h"

#include <errno.h>

struct hl_ledger hl_ledger;

#define relaxed memory_order_relaxed

static void add(_Atomic int64_t *counter, int64_t n)
{
	atomic_fetch_add_explicit(counter, n, relaxed);
}

static void sub(_Atomic int64_t *counter, int64_t n)
{
	int64_t old = atomic_fetch_sub_explicit(counter, n, relaxed);

	(void)old;
	HL_ASSERT(n >= 0 && old >= n);
}

/* n more, unless that exceeds the limit. */
static bool add_within(_Atomic int64_t *counter, int64_t n, int64_t limit)
{
	int64_t old = atomic_load_explicit(counter, relaxed);

	do {
		if (n > limit - old)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		counter, &old, old + n, relaxed, relaxed));
	return true;
}

static int find_size(const struct hl_ledger *l, size_t page_bytes)
{
	for (int i = 0; i < HL_LEDGER_SIZES; i++) {
		if (atomic_load_explicit(&l->page_bytes[i], relaxed) ==
			page_bytes)
			return i;
	}
	return -1;
}

/* The index of a size, claimed at its first use; -1 if all are taken. */
static int claim_size(struct hl_ledger *l, size_t page_bytes)
{
	HL_ASSERT(hl_is_pow2(page_bytes));
	for (int i = 0; i < HL_LEDGER_SIZES; i++) {
		uint64_t old = atomic_load_explicit(&l->page_bytes[i], relaxed);

		if (old == 0 && atomic_compare_exchange_strong_explicit(
					&l->page_bytes[i], &old, page_bytes,
					relaxed, relaxed))
			return i;
		if (old == page_bytes)
			return i;
	}
	return -1;
}

static struct hl_ledger_row *row_of(struct hl_ledger *l, int size, int node)
{
	HL_ASSERT(node >= HL_LEDGER_ANY);
	if (node < 0)
		return &l->any[size];
	return &l->node[size][HL_MIN(node, HL_LEDGER_NODES - 1)];
}

static bool is_borrowed(int asked, int got)
{
	return asked >= 0 && got >= 0 && asked != got;
}

int hl_ledger_promise(struct hl_ledger *l, size_t page_bytes, int node,
	int64_t n, int64_t available)
{
	int64_t limit = available < 0 ? INT64_MAX : available;
	int size = claim_size(l, page_bytes);
	_Atomic int64_t *row;

	HL_ASSERT(n >= 0);
	if (size < 0)
		return 0;
	row = &row_of(l, size, node)->promised;
	if (node < 0) {
		if (!add_within(&l->promised[size], n, limit))
			return -ENOMEM;
		add(row, n);
	} else {
		if (!add_within(row, n, limit))
			return -ENOMEM;
		add(&l->promised[size], n);
	}
	return 0;
}

void hl_ledger_cancel(
	struct hl_ledger *l, size_t page_bytes, int node, int64_t n)
{
	int size = find_size(l, page_bytes);

	if (size < 0)
		return;
	sub(&row_of(l, size, node)->promised, n);
	sub(&l->promised[size], n);
}

void hl_ledger_back(
	struct hl_ledger *l, size_t page_bytes, int asked, int got, int64_t n)
{
	int size = find_size(l, page_bytes);

	if (size < 0)
		return;
	/*
	 * Backed before the promise ends: a reader may count a page twice for
	 * a moment, never lose one.
	 */
	add(&row_of(l, size, got)->backed, n);
	if (is_borrowed(asked, got))
		add(&row_of(l, size, asked)->borrowed, n);
	hl_ledger_cancel(l, page_bytes, asked, n);
}

void hl_ledger_release(
	struct hl_ledger *l, size_t page_bytes, int asked, int got, int64_t n)
{
	int size = find_size(l, page_bytes);

	if (size < 0)
		return;
	if (is_borrowed(asked, got))
		sub(&row_of(l, size, asked)->borrowed, n);
	sub(&row_of(l, size, got)->backed, n);
}

void hl_ledger_hold(struct hl_ledger *l, size_t page_bytes, int got, int64_t n)
{
	int size = find_size(l, page_bytes);

	if (size >= 0)
		add(&row_of(l, size, got)->in_hand, n);
}

void hl_ledger_use(struct hl_ledger *l, size_t page_bytes, int got, int64_t n)
{
	int size = find_size(l, page_bytes);

	if (size >= 0)
		sub(&row_of(l, size, got)->in_hand, n);
}

static void sum_row(
	const struct hl_ledger_row *row, struct hl_ledger_totals *out)
{
	out->promised += atomic_load_explicit(&row->promised, relaxed);
	out->backed += atomic_load_explicit(&row->backed, relaxed);
	out->in_hand += atomic_load_explicit(&row->in_hand, relaxed);
	out->borrowed += atomic_load_explicit(&row->borrowed, relaxed);
}

static void sum_all(
	const struct hl_ledger *l, int size, struct hl_ledger_totals *out)
{
	sum_row(&l->any[size], out);
	for (int i = 0; i < HL_LEDGER_NODES; i++)
		sum_row(&l->node[size][i], out);
}

void hl_ledger_read(const struct hl_ledger *l, size_t page_bytes, int node,
	struct hl_ledger_totals *out)
{
	int size = find_size(l, page_bytes);

	*out = (struct hl_ledger_totals){0};
	if (size < 0)
		return;
	if (node == HL_LEDGER_ALL)
		sum_all(l, size, out);
	else if (node < 0)
		sum_row(&l->any[size], out);
	else
		sum_row(&l->node[size][HL_MIN(node, HL_LEDGER_NODES - 1)], out);
}

static bool is_row_valid(const struct hl_ledger_row *row)
{
	struct hl_ledger_totals t = {0};

	sum_row(row, &t);
	return t.promised >= 0 && t.borrowed >= 0 && t.in_hand >= 0 &&
	       t.in_hand <= t.backed;
}

static bool is_size_valid(const struct hl_ledger *l, int size)
{
	uint64_t bytes = atomic_load_explicit(&l->page_bytes[size], relaxed);
	struct hl_ledger_totals sum = {0};
	int64_t unknown = atomic_load_explicit(&l->any[size].backed, relaxed);

	if (bytes != 0 && !hl_is_pow2(bytes))
		return false;
	if (bytes != 0 && find_size(l, bytes) != size)
		return false;
	if (!is_row_valid(&l->any[size]))
		return false;
	for (int i = 0; i < HL_LEDGER_NODES; i++) {
		if (!is_row_valid(&l->node[size][i]))
			return false;
	}
	sum_all(l, size, &sum);
	if (bytes == 0 && (sum.promised != 0 || sum.backed != 0))
		return false;
	/* Only pages of a known node can be borrowed. */
	return sum.promised ==
		       atomic_load_explicit(&l->promised[size], relaxed) &&
	       sum.borrowed <= sum.backed - unknown &&
	       atomic_load_explicit(&l->any[size].borrowed, relaxed) == 0;
}

bool hl_ledger_is_valid(const struct hl_ledger *l)
{
	for (int i = 0; i < HL_LEDGER_SIZES; i++) {
		if (!is_size_valid(l, i))
			return false;
	}
	return true;
}
