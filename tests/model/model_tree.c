/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree of ranges against an array with one entry per address: ranges come
 * and go, overlapping ones are refused, and every address finds what it should.
 */
#include "model.h"

#include "region/tree.h"

#include <string.h>

const char model_name[] = "tree";

#define ADDRESSES 512
#define NODES	  128

static struct hl_tree real;
static struct hl_tree_node nodes[NODES];
static bool used[NODES];
static int naive[ADDRESSES]; /* node + 1 at each address; 0: none */
static uintptr_t longest;

static struct {
	uint64_t insert, refused, remove, find, rounds;
	size_t most;
} seen;

void model_start(struct model_in *in)
{
	memset(&real, 0, sizeof(real));
	memset(used, 0, sizeof(used));
	memset(naive, 0, sizeof(naive));
	longest = 1 + model_draw(in, 40);
	seen.rounds++;
}

static int spare(void)
{
	for (int i = 0; i < NODES; i++) {
		if (!used[i])
			return i;
	}
	return -1;
}

static bool is_free(uintptr_t from, uintptr_t to)
{
	for (uintptr_t at = from; at < to; at++) {
		if (naive[at] != 0)
			return false;
	}
	return true;
}

static void insert(struct model_in *in)
{
	uintptr_t from = model_draw(in, ADDRESSES);
	uintptr_t to = from + 1 + model_draw(in, longest);
	int i = spare();
	bool fits;

	if (i < 0)
		return;
	if (to > ADDRESSES)
		to = ADDRESSES;
	fits = is_free(from, to);
	nodes[i] = (struct hl_tree_node){.from = from, .to = to};
	model_equal(hl_tree_insert(&real, &nodes[i]), fits);
	if (!fits) {
		seen.refused++;
		return;
	}
	for (uintptr_t at = from; at < to; at++)
		naive[at] = i + 1;
	used[i] = true;
	seen.insert++;
	if (real.count > seen.most)
		seen.most = real.count;
}

static void remove_one(struct model_in *in)
{
	int i = naive[model_draw(in, ADDRESSES)] - 1;

	if (i < 0)
		return;
	hl_tree_remove(&real, &nodes[i]);
	for (uintptr_t at = nodes[i].from; at < nodes[i].to; at++)
		naive[at] = 0;
	used[i] = false;
	seen.remove++;
}

static void find(struct model_in *in)
{
	uintptr_t addr = model_draw(in, ADDRESSES), next = addr;
	struct hl_tree_node *node = hl_tree_find(&real, addr);

	model_equal(node == NULL ? 0 : node - nodes + 1, naive[addr]);
	while (next < ADDRESSES && naive[next] == 0)
		next++;
	node = hl_tree_next(&real, addr);
	model_equal(node == NULL ? 0 : node - nodes + 1,
		next < ADDRESSES ? naive[next] : 0);
	seen.find++;
}

static void compare(void)
{
	size_t count = 0;

	for (int i = 0; i < NODES; i++)
		count += used[i];
	model_equal(real.count, count);
	model_check(hl_tree_is_valid(&real));
}

void model_step(struct model_in *in)
{
	switch (model_draw(in, 4)) {
	case 0:
	case 1:
		insert(in);
		break;
	case 2:
		remove_one(in);
		break;
	default:
		find(in);
		break;
	}
	compare();
}

void model_end(void)
{
	compare();
}

void model_summary(FILE *out)
{
	fprintf(out,
		"%llu rounds: %llu inserted, %llu refused, %llu removed, "
		"%llu found; at most %zu\n",
		(unsigned long long)seen.rounds,
		(unsigned long long)seen.insert,
		(unsigned long long)seen.refused,
		(unsigned long long)seen.remove, (unsigned long long)seen.find,
		seen.most);
}
