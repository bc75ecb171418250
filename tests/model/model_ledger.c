/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger against a list of batches: each batch of pages knows its size,
 * the node it was asked on, the node it came from, and its state. All figures
 * of the ledger are sums over that list.
 */
#include "model.h"

#include "accounting/ledger.h"

#include <errno.h>
#include <string.h>

const char model_name[] = "ledger";

enum state {
	PROMISED,
	BACKED,
	IN_HAND
};

#define MAX_BATCHES 64
static struct batch {
	size_t page_bytes;
	int asked, got;
	int64_t n;
	enum state state;
} batches[MAX_BATCHES];
static size_t count;

static struct hl_ledger real;

/* Five sizes for four rows: the last one to come is not tracked. */
static const size_t sizes[] = {
	64 << 10, 2 << 20, 32 << 20, 1 << 30, (size_t)16 << 30};
static size_t untracked;
static size_t known[HL_LEDGER_SIZES];
static size_t known_count;

/* Beyond the last row as well: 63, 64 and 1000 share one. */
static const int nodes[] = {HL_LEDGER_ANY, 0, 1, 2, 7, 62, 63, 64, 1000};

static struct {
	uint64_t promises, refused, moves, rounds;
} seen;

static int row_of(int node)
{
	return node >= HL_LEDGER_NODES ? HL_LEDGER_NODES - 1 : node;
}

static bool is_counted(
	const struct batch *b, size_t page_bytes, int node, int batch_node)
{
	if (b->page_bytes != page_bytes)
		return false;
	return node == HL_LEDGER_ALL || row_of(batch_node) == row_of(node);
}

static struct hl_ledger_totals naive_read(size_t page_bytes, int node)
{
	struct hl_ledger_totals t = {0};

	if (page_bytes == untracked)
		return t;
	for (size_t i = 0; i < count; i++) {
		const struct batch *b = &batches[i];

		if (b->state == PROMISED) {
			if (is_counted(b, page_bytes, node, b->asked))
				t.promised += b->n;
			continue;
		}
		if (is_counted(b, page_bytes, node, b->got)) {
			t.backed += b->n;
			if (b->state == IN_HAND)
				t.in_hand += b->n;
		}
		if (b->asked != HL_LEDGER_ANY && b->got != HL_LEDGER_ANY &&
			b->asked != b->got &&
			is_counted(b, page_bytes, node, b->asked))
			t.borrowed += b->n;
	}
	return t;
}

static void compare_row(size_t page_bytes, int node)
{
	struct hl_ledger_totals naive = naive_read(page_bytes, node);
	struct hl_ledger_totals t;

	hl_ledger_read(&real, page_bytes, node, &t);
	model_equal(t.promised, naive.promised);
	model_equal(t.backed, naive.backed);
	model_equal(t.in_hand, naive.in_hand);
	model_equal(t.borrowed, naive.borrowed);
}

static void compare_whole(void)
{
	model_check(hl_ledger_is_valid(&real));
	for (size_t s = 0; s < HL_ARRAY_SIZE(sizes); s++) {
		compare_row(sizes[s], HL_LEDGER_ALL);
		for (size_t i = 0; i < HL_ARRAY_SIZE(nodes); i++)
			compare_row(sizes[s], nodes[i]);
	}
}

void model_start(struct model_in *in)
{
	memset(&real, 0, sizeof(real));
	count = 0;
	known_count = 0;
	untracked = 0;
	seen.rounds++;
	(void)in;
}

/* Sizes get their rows in the order in which they come. */
static void meet_size(size_t page_bytes)
{
	for (size_t i = 0; i < known_count; i++) {
		if (known[i] == page_bytes)
			return;
	}
	if (known_count == HL_LEDGER_SIZES)
		untracked = page_bytes;
	else
		known[known_count++] = page_bytes;
}

static void step_promise(struct model_in *in)
{
	struct batch b = {
		.page_bytes = sizes[model_draw(in, HL_ARRAY_SIZE(sizes))],
		.asked = nodes[model_draw(in, HL_ARRAY_SIZE(nodes))],
		.n = (int64_t)model_draw(in, 20),
		.state = PROMISED,
	};
	int64_t available = (int64_t)model_draw(in, 81) - 1;
	int64_t outstanding;
	int expected;

	meet_size(b.page_bytes);
	outstanding =
		naive_read(b.page_bytes, b.asked < 0 ? HL_LEDGER_ALL : b.asked)
			.promised;
	expected = b.page_bytes != untracked && available >= 0 &&
				   outstanding + b.n > available
			   ? -ENOMEM
			   : 0;
	seen.promises++;
	seen.refused += expected != 0;
	model_equal(
		hl_ledger_promise(&real, b.page_bytes, b.asked, b.n, available),
		expected);
	if (expected == 0)
		batches[count++] = b;
}

static void forget(size_t which)
{
	batches[which] = batches[--count];
}

static void step_promised(struct model_in *in, size_t which)
{
	struct batch *b = &batches[which];

	if (model_chance(in, 3)) {
		hl_ledger_cancel(&real, b->page_bytes, b->asked, b->n);
		forget(which);
		return;
	}
	b->got = model_chance(in, 2)
			 ? b->asked
			 : nodes[model_draw(in, HL_ARRAY_SIZE(nodes))];
	b->state = BACKED;
	hl_ledger_back(&real, b->page_bytes, b->asked, b->got, b->n);
}

static void step_batch(struct model_in *in, size_t which)
{
	struct batch *b = &batches[which];

	seen.moves++;
	if (b->state == PROMISED) {
		step_promised(in, which);
	} else if (b->state == IN_HAND) {
		hl_ledger_use(&real, b->page_bytes, b->got, b->n);
		b->state = BACKED;
	} else if (model_chance(in, 2)) {
		hl_ledger_hold(&real, b->page_bytes, b->got, b->n);
		b->state = IN_HAND;
	} else {
		hl_ledger_release(&real, b->page_bytes, b->asked, b->got, b->n);
		forget(which);
	}
}

void model_step(struct model_in *in)
{
	if (count < MAX_BATCHES && (count == 0 || model_chance(in, 3)))
		step_promise(in);
	else
		step_batch(in, model_draw(in, count));
	compare_row(sizes[model_draw(in, HL_ARRAY_SIZE(sizes))],
		nodes[model_draw(in, HL_ARRAY_SIZE(nodes))]);
	if (model_chance(in, 64))
		compare_whole();
}

void model_end(void)
{
	compare_whole();
	while (count > 0) {
		struct batch *b = &batches[count - 1];

		if (b->state == PROMISED) {
			hl_ledger_cancel(&real, b->page_bytes, b->asked, b->n);
		} else {
			if (b->state == IN_HAND)
				hl_ledger_use(
					&real, b->page_bytes, b->got, b->n);
			hl_ledger_release(
				&real, b->page_bytes, b->asked, b->got, b->n);
		}
		count--;
	}
	compare_whole();
}

void model_summary(FILE *out)
{
	fprintf(out, "%lu rounds, %lu promises (%lu refused), %lu moves\n",
		seen.rounds, seen.promises, seen.refused, seen.moves);
}
