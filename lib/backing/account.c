/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The accounting side of a commit and a release: reservation map of the area,
 * budget, ledger, counters, and what of it a state word remembers.
 *
 * A charge is opened before the kernel is asked and closed with what arrived;
 * nothing in between can fail. The map holds the units that stand on hugetlb
 * pages (units, so that pages of several sizes share one map); budgets are in
 * units as well, the ledger in pages.
 *
 * Lock: area->lock for the map. Budgets, which several areas share, have their
 * own (budget.c), never held together with it. The ledger and the counters are
 * atomics.
 */
#include "backing/area_internal.h"

#include "accounting/ledger.h"
#include "backing/budget.h"
#include "base/count.h"

#include <errno.h>

static int64_t pages_of(size_t units, size_t page_bytes)
{
	if (page_bytes >= HL_UNIT_BYTES)
		return (int64_t)(units / hl_grain(page_bytes));
	return (int64_t)(units * (HL_UNIT_BYTES / page_bytes));
}

static size_t units_of(int64_t pages, size_t page_bytes)
{
	if (page_bytes >= HL_UNIT_BYTES)
		return (size_t)pages * hl_grain(page_bytes);
	return (size_t)pages / (HL_UNIT_BYTES / page_bytes);
}

/* ---- charge ---- */

/* As many of n units as the supply has and nobody else was promised. */
static size_t promise(const struct hl_charge *c, size_t n, enum hl_limit *limit)
{
	size_t grain = hl_grain(c->page_bytes);
	struct hl_supply supply;

	hl_supply_read(c->page_bytes, c->node, &supply);
	if (supply.hpages < (uint64_t)pages_of(n, c->page_bytes)) {
		*limit = supply.limit;
		if (c->whole)
			return 0;
		n = units_of((int64_t)supply.hpages, c->page_bytes);
		n = hl_align_down(n, grain);
	}
	while (n > 0 &&
		hl_ledger_promise(&hl_ledger, c->page_bytes, c->node,
			pages_of(n, c->page_bytes),
			(int64_t)HL_MIN(supply.hpages, INT64_MAX)) < 0) {
		/* Other threads have asked for the same pages just now. */
		*limit = supply.limit;
		n = c->whole ? 0 : hl_align_down(n / 2, grain);
	}
	return n;
}

/* Pages that wait for the budget are there already: nothing to compare. */
static void promise_waiting(const struct hl_charge *c)
{
	if (c->waiting > 0)
		(void)hl_ledger_promise(&hl_ledger, c->page_bytes, c->node,
			pages_of(c->waiting, c->page_bytes), -1);
}

static void cancel(const struct hl_charge *c, size_t n)
{
	if (n > 0)
		hl_ledger_cancel(&hl_ledger, c->page_bytes, c->node,
			pages_of(n, c->page_bytes));
}

int hl_charge_open(struct hl_charge *c, enum hl_limit *limit)
{
	size_t asked = c->to - c->from;
	size_t budget, n;
	int64_t added;

	budget = hl_budget_get(c->subpool, asked, hl_grain(c->page_bytes),
		c->whole, &c->waiting);
	if (budget < asked)
		*limit = HL_LIMIT_SUBPOOL;
	if (budget == 0)
		return -ENOMEM;
	n = budget - c->waiting;
	if (n > 0)
		n = promise(c, n, limit);
	if (c->whole && c->waiting + n < budget) {
		hl_budget_put(c->subpool, budget);
		return -ENOMEM;
	}
	promise_waiting(c);
	n += c->waiting;
	hl_budget_put(c->subpool, budget - n);
	if (n == 0)
		return -ENOMEM;
	c->to = c->from + n;

	hl_lock_acquire(&c->area->lock);
	added = hl_resv_chg(&c->area->resv, (int64_t)c->from, (int64_t)c->to);
	hl_lock_release(&c->area->lock);
	if (added >= 0)
		return 0;
	cancel(c, n);
	hl_budget_put(c->subpool, n);
	*limit = HL_LIMIT_MEMORY;
	return -ENOMEM;
}

/* Turns the charge of the whole into the presence of its first `units`. */
static int enter(struct hl_charge *c, size_t units)
{
	struct hl_area *area = c->area;
	int64_t from = (int64_t)c->from, to = (int64_t)c->to;
	int64_t end = from + (int64_t)units;
	int rc = 0;

	hl_lock_acquire(&area->lock);
	if (end == to) {
		hl_resv_add(&area->resv, from, to);
	} else {
		if (units > 0 && hl_resv_chg(&area->resv, from, end) < 0)
			rc = -ENOMEM;
		else if (units > 0)
			hl_resv_add(&area->resv, from, end);
		hl_resv_abort(&area->resv, from, to);
	}
	if (rc == 0 && units > 0 && c->subpool != NULL) {
		HL_ASSERT(area->subpool == NULL || area->charged == 0 ||
			  area->subpool == c->subpool);
		area->subpool = c->subpool;
		area->charged += units;
	}
	hl_lock_release(&area->lock);
	return rc;
}

static _Atomic uint64_t *node_counter(int got)
{
	int row = HL_MIN(HL_MAX(got, 0), HL_COUNT_NODES - 1);

	return &hl_counts()->node_bytes[row];
}

static _Atomic uint64_t *size_counter(size_t page_bytes)
{
	return &hl_counts()->hugetlb_bytes[hl_count_size_index(page_bytes)];
}

/* Units [from, to) stand on pages of node got; from and to fit the grain. */
static void write_words(
	const struct hl_charge *c, size_t from, size_t to, int got)
{
	uint32_t word = hl_word_hugetlb(
		c->page_bytes, c->node, got, c->subpool != NULL);
	size_t bytes = (to - from) * HL_UNIT_BYTES;

	hl_ledger_back(&hl_ledger, c->page_bytes, hl_word_asked(word),
		hl_word_got(word), pages_of(to - from, c->page_bytes));
	hl_count_add(size_counter(c->page_bytes), bytes);
	hl_count_add(node_counter(got), bytes);
	for (size_t u = from; u < to; u++)
		hl_unit_store(c->area, u, word);
}

int hl_charge_close(struct hl_charge *c, size_t units)
{
	size_t grain = hl_grain(c->page_bytes);
	size_t all = c->to - c->from, end = c->from + units;
	int rc;

	HL_ASSERT(units <= all && units % grain == 0);
	rc = enter(c, units);
	if (rc < 0)
		units = 0;
	cancel(c, all - units);
	hl_budget_put(c->subpool, all - units);
	if (units == 0)
		return rc;
	hl_supply_moved(
		c->page_bytes, c->node, -pages_of(units, c->page_bytes));
	hl_count(hpages_taken, units);
	if (hl_supply_nodes() == 1) {
		write_words(c, c->from, end, HL_NODE_ANY);
		return 0;
	}
	for (size_t u = c->from; u < end; u += grain) {
		int node = hl_os->page_node(hl_unit_addr(c->area, u));

		write_words(c, u, u + grain, node < 0 ? HL_NODE_ANY : node);
	}
	return 0;
}

/* ---- return ---- */

void hl_charge_count_given(uint32_t word, size_t units)
{
	size_t page_bytes = hl_word_page_bytes(word);
	uint64_t bytes = (uint64_t)units * HL_UNIT_BYTES;

	hl_count(hpages_given, units);
	hl_count_sub(size_counter(page_bytes), bytes);
	hl_count_sub(node_counter(hl_word_got(word)), bytes);
	hl_supply_moved(
		page_bytes, hl_word_asked(word), pages_of(units, page_bytes));
}

void hl_charge_return_run(
	struct hl_area *area, size_t from, size_t to, uint32_t word)
{
	struct hl_subpool *sp = NULL;
	size_t page_bytes = hl_word_page_bytes(word);
	size_t units = to - from;

	/* What a handler converted it has counted as well. */
	if (hl_word_kind(word) == HL_BACKING_HUGETLB)
		hl_charge_count_given(word, units);
	else
		atomic_fetch_sub_explicit(&area->unsettled, (uint32_t)units,
			memory_order_relaxed);
	hl_ledger_release(&hl_ledger, page_bytes, hl_word_asked(word),
		hl_word_got(word), pages_of(units, page_bytes));
	hl_lock_acquire(&area->lock);
	/*
	 * Without a node for the split the indices stay: the map is then larger
	 * than the truth (the words), and the next commit finds them there.
	 */
	(void)hl_resv_del(&area->resv, (int64_t)from, (int64_t)to);
	if (word & HL_UNIT_CHARGED) {
		sp = area->subpool;
		HL_ASSERT(area->charged >= units);
		area->charged -= units;
	}
	hl_lock_release(&area->lock);
	hl_budget_put(sp, units);
}

void hl_charge_return(struct hl_area *area, size_t from, size_t to)
{
	size_t u = from, end;

	while (u < to) {
		uint32_t word = hl_unit_load(area, u);

		for (end = u + 1; end < to; end++) {
			if (hl_unit_load(area, end) != word)
				break;
		}
		if (hl_word_page_bytes(word) != 0)
			hl_charge_return_run(area, u, end, word);
		u = end;
	}
}
