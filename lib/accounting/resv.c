/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reservation map: a treap of regions, keyed by their start; each node knows
 * the sum of the pages below it, so a count costs a walk down and not one per
 * region.
 *
 * Callers: backing/, under the lock of the area whose map it is. No system
 * call but what the node allocator makes (metadata's mmap).
 *
 * Why add cannot fail: whatever a range covers, after the add it lies in
 * exactly one region, so an add needs one node at most. Each chg puts one on
 * the spare list, each add or abort takes one off: spare_count == pending. del
 * cuts nodes out of the tree before it makes new ones, and only one region cut
 * in its middle leaves it a node short; that node is taken first.
 *
 * Every change is: split the tree before and behind the regions concerned,
 * rebuild what was between, merge. Priorities are random, so the depth is a
 * small multiple of log2(regions), and recursion is safe on small stacks.
 */
#include "accounting/resv.h"

#include <errno.h>

struct hl_resv_node {
	int64_t from;
	int64_t to;
	int64_t hpages; /* of this node and all below */
	struct hl_resv_node *left;
	struct hl_resv_node *right; /* next on the spare list */
	uint64_t priority;	    /* not below that of any child */
};

const size_t hl_resv_node_bytes = sizeof(struct hl_resv_node);

/* ---- nodes ---- */

static bool push_spare(struct hl_resv *map)
{
	struct hl_resv_node *node = map->alloc.take(map->alloc.arg);

	if (node == NULL)
		return false;
	node->right = map->spare;
	map->spare = node;
	map->spare_count++;
	return true;
}

static struct hl_resv_node *pop_spare(struct hl_resv *map)
{
	struct hl_resv_node *node = map->spare;

	HL_ASSERT(node != NULL);
	map->spare = node->right;
	map->spare_count--;
	return node;
}

static void give_node(struct hl_resv *map, struct hl_resv_node *node)
{
	map->alloc.give(map->alloc.arg, node);
}

static uint64_t next_random(struct hl_resv *map)
{
	/* xorshift64: cheap, and never 0 from a state that is not 0 */
	map->random ^= map->random << 13;
	map->random ^= map->random >> 7;
	map->random ^= map->random << 17;
	return map->random;
}

static struct hl_resv_node *make_region(struct hl_resv *map,
	struct hl_resv_node *node, int64_t from, int64_t to)
{
	node->from = from;
	node->to = to;
	node->hpages = to - from;
	node->left = NULL;
	node->right = NULL;
	node->priority = next_random(map);
	map->regions++;
	map->hpages += node->hpages;
	return node;
}

/* ---- trees ---- */

static int64_t tree_hpages(const struct hl_resv_node *tree)
{
	return tree == NULL ? 0 : tree->hpages;
}

static void update(struct hl_resv_node *node)
{
	node->hpages = node->to - node->from + tree_hpages(node->left) +
		       tree_hpages(node->right);
}

/* Into the regions that start before `from`, and the others. */
static void split_by_from(struct hl_resv_node *tree, int64_t from,
	struct hl_resv_node **before, struct hl_resv_node **rest)
{
	if (tree == NULL) {
		*before = NULL;
		*rest = NULL;
	} else if (tree->from < from) {
		split_by_from(tree->right, from, &tree->right, rest);
		update(tree);
		*before = tree;
	} else {
		split_by_from(tree->left, from, before, &tree->left);
		update(tree);
		*rest = tree;
	}
}

/* Into the regions that end before `to`, and the others. */
static void split_by_to(struct hl_resv_node *tree, int64_t to,
	struct hl_resv_node **before, struct hl_resv_node **rest)
{
	if (tree == NULL) {
		*before = NULL;
		*rest = NULL;
	} else if (tree->to < to) {
		split_by_to(tree->right, to, &tree->right, rest);
		update(tree);
		*before = tree;
	} else {
		split_by_to(tree->left, to, before, &tree->left);
		update(tree);
		*rest = tree;
	}
}

/* All of a lies before all of b. */
static struct hl_resv_node *merge(
	struct hl_resv_node *a, struct hl_resv_node *b)
{
	struct hl_resv_node *top;

	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	if (a->priority >= b->priority) {
		a->right = merge(a->right, b);
		top = a;
	} else {
		b->left = merge(a, b->left);
		top = b;
	}
	update(top);
	return top;
}

static const struct hl_resv_node *first_of(const struct hl_resv_node *tree)
{
	while (tree->left != NULL)
		tree = tree->left;
	return tree;
}

static const struct hl_resv_node *last_of(const struct hl_resv_node *tree)
{
	while (tree->right != NULL)
		tree = tree->right;
	return tree;
}

/* Gives all nodes of a tree that was cut out of the map back. */
static void give_tree(struct hl_resv *map, struct hl_resv_node *tree)
{
	if (tree == NULL)
		return;
	give_tree(map, tree->left);
	give_tree(map, tree->right);
	map->regions--;
	map->hpages -= tree->to - tree->from;
	give_node(map, tree);
}

/* Pages of the map below `to`. */
static int64_t count_below(const struct hl_resv *map, int64_t to)
{
	const struct hl_resv_node *node = map->root;
	int64_t sum = 0;

	while (node != NULL) {
		if (to <= node->from) {
			node = node->left;
			continue;
		}
		sum += tree_hpages(node->left);
		sum += HL_MIN(to, node->to) - node->from;
		node = node->right;
	}
	return sum;
}

/* [from, to) lies in the middle of one region, which reaches out at both ends.
 */
static bool is_inside(const struct hl_resv *map, int64_t from, int64_t to)
{
	const struct hl_resv_node *node = map->root;

	while (node != NULL) {
		if (to <= node->from)
			node = node->left;
		else if (node->to <= from)
			node = node->right;
		else
			return node->from < from && to < node->to;
	}
	return false;
}

static void check_range(int64_t from, int64_t to)
{
	HL_ASSERT(from >= 0 && from <= to && to < INT64_MAX);
}

/* ---- the map ---- */

void hl_resv_init(struct hl_resv *map, const struct hl_resv_alloc *alloc)
{
	*map = (struct hl_resv){
		.kind = HL_RESV_SHARED,
		.random = 0x9e3779b97f4a7c15u,
		.alloc = *alloc,
	};
}

void hl_resv_destroy(struct hl_resv *map)
{
	HL_ASSERT(map->pending == 0);
	give_tree(map, map->root);
	map->root = NULL;
	while (map->spare != NULL)
		give_node(map, pop_spare(map));
	HL_ASSERT(map->regions == 0 && map->hpages == 0);
}

int64_t hl_resv_count(const struct hl_resv *map, int64_t from, int64_t to)
{
	check_range(from, to);
	return count_below(map, to) - count_below(map, from);
}

int64_t hl_resv_chg(struct hl_resv *map, int64_t from, int64_t to)
{
	int64_t there = hl_resv_count(map, from, to);

	if (!push_spare(map))
		return -ENOMEM;
	map->pending++;
	return to - from - there;
}

void hl_resv_abort(struct hl_resv *map, int64_t from, int64_t to)
{
	check_range(from, to);
	HL_ASSERT(map->pending > 0);
	map->pending--;
	give_node(map, pop_spare(map));
	HL_VALID(map->spare_count == map->pending);
}

int64_t hl_resv_add(struct hl_resv *map, int64_t from, int64_t to)
{
	struct hl_resv_node *before, *touched, *after, *node;
	int64_t had = map->hpages;

	check_range(from, to);
	if (from == to) {
		hl_resv_abort(map, from, to);
		return 0;
	}
	HL_ASSERT(map->pending > 0);
	map->pending--;
	node = pop_spare(map);

	/* What only touches the range is merged as well: to + 1 starts apart.
	 */
	split_by_to(map->root, from, &before, &touched);
	split_by_from(touched, to + 1, &touched, &after);
	if (touched != NULL) {
		from = HL_MIN(from, first_of(touched)->from);
		to = HL_MAX(to, last_of(touched)->to);
		give_tree(map, touched);
	}
	node = make_region(map, node, from, to);
	map->root = merge(merge(before, node), after);
	HL_VALID(map->spare_count == map->pending);
	HL_VALID3(hl_resv_is_valid(map));
	return map->hpages - had;
}

/* Takes one node out of a tree that was cut out of the map, for reuse. */
static struct hl_resv_node *detach_root(
	struct hl_resv *map, struct hl_resv_node **tree)
{
	struct hl_resv_node *node = *tree;

	*tree = merge(node->left, node->right);
	map->regions--;
	map->hpages -= node->to - node->from;
	return node;
}

/*
 * Takes [from, to) out. Two remainders need two nodes: two regions leave as
 * many, one region leaves one, and then the caller has brought `node`.
 */
static int64_t cut(struct hl_resv *map, int64_t from, int64_t to,
	struct hl_resv_node *node)
{
	struct hl_resv_node *before, *touched, *after;
	int64_t had = map->hpages;
	int64_t left, right;

	split_by_to(map->root, from + 1, &before, &touched);
	split_by_from(touched, to, &touched, &after);
	left = touched == NULL ? from : first_of(touched)->from;
	right = touched == NULL ? to : last_of(touched)->to;
	if (left < from) {
		if (node == NULL)
			node = detach_root(map, &touched);
		node = make_region(map, node, left, from);
		before = merge(before, node);
		node = NULL;
	}
	if (to < right) {
		if (node == NULL)
			node = detach_root(map, &touched);
		node = make_region(map, node, to, right);
		after = merge(node, after);
		node = NULL;
	}
	give_tree(map, touched);
	if (node != NULL)
		give_node(map, node);
	map->root = merge(before, after);
	HL_VALID3(hl_resv_is_valid(map));
	return had - map->hpages;
}

int64_t hl_resv_del(struct hl_resv *map, int64_t from, int64_t to)
{
	struct hl_resv_node *node = NULL;

	check_range(from, to);
	if (from == to)
		return 0;
	if (is_inside(map, from, to)) {
		/* Not from the spares: those belong to a chg under way. */
		node = map->alloc.take(map->alloc.arg);
		if (node == NULL)
			return -ENOMEM;
	}
	return cut(map, from, to, node);
}

/* ---- one page ---- */

int hl_resv_needs(struct hl_resv *map, int64_t index)
{
	int64_t absent = hl_resv_chg(map, index, index + 1);

	if (absent < 0)
		return (int)absent;
	/* Private: what is not in the map yet still has its reservation. */
	return map->kind == HL_RESV_PRIVATE ? absent == 0 : absent != 0;
}

void hl_resv_commit(struct hl_resv *map, int64_t index)
{
	hl_resv_add(map, index, index + 1);
}

void hl_resv_end(struct hl_resv *map, int64_t index)
{
	hl_resv_abort(map, index, index + 1);
}

void hl_resv_restore(struct hl_resv *map, int64_t index)
{
	struct hl_resv_node *node;

	if (map->kind == HL_RESV_SHARED) {
		hl_resv_add(map, index, index + 1);
		return;
	}
	HL_ASSERT(map->pending > 0);
	map->pending--;
	node = pop_spare(map);
	cut(map, index, index + 1, node);
}

/* ---- validity ---- */

struct walk {
	size_t regions;
	int64_t end; /* of the region before, -1: none */
	bool valid;
};

static void visit(const struct hl_resv_node *node, struct walk *walk)
{
	int64_t sum;

	if (node == NULL || !walk->valid)
		return;
	visit(node->left, walk);
	if (node->from <= walk->end || node->to <= node->from)
		walk->valid = false;
	walk->end = node->to;
	walk->regions++;
	visit(node->right, walk);

	sum = tree_hpages(node->left) + tree_hpages(node->right) + node->to -
	      node->from;
	if (sum != node->hpages)
		walk->valid = false;
	if (node->left != NULL && node->left->priority > node->priority)
		walk->valid = false;
	if (node->right != NULL && node->right->priority > node->priority)
		walk->valid = false;
}

bool hl_resv_is_valid(const struct hl_resv *map)
{
	struct walk walk = {.end = -1, .valid = true};
	size_t spares = 0;

	visit(map->root, &walk);
	for (const struct hl_resv_node *n = map->spare; n != NULL; n = n->right)
		spares++;
	return walk.valid && walk.regions == map->regions &&
	       tree_hpages(map->root) == map->hpages &&
	       spares == map->spare_count && map->spare_count == map->pending;
}
