/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reservation map against an array with one byte per huge page. Up to
 * eight chg are under way at once, adds and dels happen in between, and the
 * node allocator refuses at random. Nodes are counted: none is lost.
 */
#include "model.h"

#include "accounting/resv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char model_name[] = "resv";

#define MAX_HPAGES  2048
#define MAX_PENDING 8

static struct hl_resv real;
static bool naive[MAX_HPAGES];
static int64_t hpages;	   /* of this round */
static int64_t longest;	   /* range; short ones make many regions */
static uint64_t fail_rate; /* one in so many takes is refused; 0: none */

static struct {
	int64_t from, to;
} pending[MAX_PENDING];
static size_t pending_count;

static struct model_in *current; /* for the node allocator */
static int64_t nodes;
static bool take_forbidden;
static bool take_refused;

static struct {
	uint64_t chg, chg_refused, add, abort, del, del_refused, page, rounds;
	size_t most_regions;
} seen;

static void *take(void *arg)
{
	model_check(arg == &nodes);
	model_check(!take_forbidden);
	if (fail_rate != 0 && model_chance(current, fail_rate)) {
		take_refused = true;
		return NULL;
	}
	nodes++;
	/* malloc of its own for each node: a sanitizer sees stray uses. */
	return malloc(hl_resv_node_bytes);
}

static void give(void *arg, void *node)
{
	model_check(arg == &nodes);
	model_check(nodes > 0);
	nodes--;
	free(node);
}

static int64_t naive_count(int64_t from, int64_t to)
{
	int64_t sum = 0;

	for (int64_t i = from; i < to; i++)
		sum += naive[i];
	return sum;
}

static int64_t naive_set(int64_t from, int64_t to, bool value)
{
	int64_t changed = 0;

	for (int64_t i = from; i < to; i++) {
		changed += naive[i] != value;
		naive[i] = value;
	}
	return changed;
}

static void compare_whole(void)
{
	size_t regions = 0;
	int64_t start = -1;

	model_check(hl_resv_is_valid(&real));
	for (int64_t i = 0; i <= hpages; i++) {
		bool in = i < hpages && naive[i];

		if (in && start < 0)
			start = i;
		if (!in && start >= 0) {
			/* The region is there, and nothing at its edges. */
			model_equal(hl_resv_count(&real, start, i), i - start);
			regions++;
			start = -1;
		}
	}
	model_equal(hl_resv_count(&real, 0, hpages), naive_count(0, hpages));
	model_equal(real.regions, regions);
	if (regions > seen.most_regions)
		seen.most_regions = regions;
}

static void compare(void)
{
	model_equal(real.pending, pending_count);
	model_equal(real.spare_count, pending_count);
	model_equal(nodes, (int64_t)(real.regions + pending_count));
}

static void draw_range(struct model_in *in, int64_t *from, int64_t *to)
{
	int64_t most = 1 + (int64_t)model_draw(in, (uint64_t)longest);

	*from = (int64_t)model_draw(in, (uint64_t)hpages);
	*to = *from + (int64_t)model_draw(in, (uint64_t)most + 1);
	*to = HL_MIN(hpages, *to);
}

static void step_chg(struct model_in *in)
{
	int64_t from, to, result;

	draw_range(in, &from, &to);
	seen.chg++;
	take_refused = false;
	result = hl_resv_chg(&real, from, to);
	if (take_refused) {
		seen.chg_refused++;
		model_equal(result, -ENOMEM);
		return;
	}
	model_equal(result, to - from - naive_count(from, to));
	pending[pending_count].from = from;
	pending[pending_count].to = to;
	pending_count++;
}

static void end_pending(struct model_in *in, bool add)
{
	size_t which = model_draw(in, pending_count);
	int64_t from = pending[which].from;
	int64_t to = pending[which].to;

	pending[which] = pending[--pending_count];
	take_forbidden = true;
	if (add) {
		seen.add++;
		model_equal(hl_resv_add(&real, from, to),
			naive_set(from, to, true));
	} else {
		seen.abort++;
		hl_resv_abort(&real, from, to);
	}
	take_forbidden = false;
}

static void step_del(struct model_in *in)
{
	int64_t from, to, result;
	bool inside;

	draw_range(in, &from, &to);
	inside = from < to && from > 0 && to < hpages &&
		 naive_count(from - 1, to + 1) == to - from + 2;
	seen.del++;
	take_refused = false;
	take_forbidden = !inside;
	result = hl_resv_del(&real, from, to);
	take_forbidden = false;
	if (take_refused) {
		seen.del_refused++;
		model_equal(result, -ENOMEM);
		return;
	}
	model_equal(result, naive_set(from, to, false));
}

static void step_page(struct model_in *in)
{
	int64_t index = (int64_t)model_draw(in, (uint64_t)hpages);
	bool private_map = real.kind == HL_RESV_PRIVATE;
	int result;

	seen.page++;
	take_refused = false;
	result = hl_resv_needs(&real, index);
	if (take_refused) {
		model_equal(result, -ENOMEM);
		return;
	}
	model_equal(result, naive[index] == private_map);
	take_forbidden = true;
	switch (model_draw(in, 3)) {
	case 0:
		hl_resv_end(&real, index);
		break;
	case 1:
		hl_resv_commit(&real, index);
		naive[index] = true;
		break;
	default:
		hl_resv_restore(&real, index);
		naive[index] = !private_map;
		break;
	}
	take_forbidden = false;
}

void model_start(struct model_in *in)
{
	static const uint64_t lengths[] = {1, 2, 8, 64, MAX_HPAGES};
	static const uint64_t rates[] = {0, 3, 16, 200};
	const struct hl_resv_alloc alloc = {take, give, &nodes};

	current = in;
	/* Small maps are full of edges, big ones of regions. */
	hpages =
		(int64_t)(model_chance(in, 2) ? 1 + model_draw(in, 64)
					      : 1 + model_draw(in, MAX_HPAGES));
	longest = (int64_t)lengths[model_draw(in, HL_ARRAY_SIZE(lengths))];
	fail_rate = rates[model_draw(in, HL_ARRAY_SIZE(rates))];
	memset(naive, 0, sizeof(naive));
	pending_count = 0;
	hl_resv_init(&real, &alloc);
	model_equal(real.kind, HL_RESV_SHARED);
	real.kind = model_chance(in, 2) ? HL_RESV_PRIVATE : HL_RESV_SHARED;
	seen.rounds++;
}

void model_step(struct model_in *in)
{
	int64_t from, to;

	switch (model_draw(in, 10)) {
	case 0:
	case 1:
	case 2:
		if (pending_count < MAX_PENDING)
			step_chg(in);
		break;
	case 3:
	case 4:
		if (pending_count > 0)
			end_pending(in, true);
		break;
	case 5:
		if (pending_count > 0)
			end_pending(in, false);
		break;
	case 6:
	case 7:
		step_del(in);
		break;
	case 8:
		step_page(in);
		break;
	default:
		draw_range(in, &from, &to);
		model_equal(
			hl_resv_count(&real, from, to), naive_count(from, to));
		break;
	}
	compare();
	if (hpages <= 64 || model_chance(in, 32))
		compare_whole();
}

void model_end(void)
{
	compare_whole();
	while (pending_count > 0) {
		pending_count--;
		hl_resv_abort(&real, pending[pending_count].from,
			pending[pending_count].to);
	}
	hl_resv_destroy(&real);
	model_equal(nodes, 0);
}

void model_summary(FILE *out)
{
	fprintf(out,
		"%lu rounds, %lu chg (%lu refused), %lu add, %lu abort, "
		"%lu del (%lu refused), %lu single pages, up to %zu regions\n",
		seen.rounds, seen.chg, seen.chg_refused, seen.add, seen.abort,
		seen.del, seen.del_refused, seen.page, seen.most_regions);
}
