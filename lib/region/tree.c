/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A treap by splitting and joining: ordered by address, a heap by priority.
 * Recursion is as deep as the tree, some 2 log n expected.
 */
#include "region/tree.h"

/* xorshift64*: the priorities need to be unrelated to the addresses, no more.
 */
static uint64_t draw(struct hl_tree *tree)
{
	uint64_t x = tree->random != 0 ? tree->random : 0x9e3779b97f4a7c15;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	tree->random = x;
	return x * 0x2545f4914f6cdd1d;
}

/* Into what lies below `at` and the rest; no range reaches over it. */
static void split(struct hl_tree_node *node, uintptr_t at,
	struct hl_tree_node **below, struct hl_tree_node **above)
{
	if (node == NULL) {
		*below = NULL;
		*above = NULL;
	} else if (node->from < at) {
		split(node->right, at, &node->right, above);
		*below = node;
	} else {
		split(node->left, at, below, &node->left);
		*above = node;
	}
}

/* All of `below` lies below all of `above`. */
static struct hl_tree_node *join(
	struct hl_tree_node *below, struct hl_tree_node *above)
{
	if (below == NULL)
		return above;
	if (above == NULL)
		return below;
	if (below->priority > above->priority) {
		below->right = join(below->right, above);
		return below;
	}
	above->left = join(below, above->left);
	return above;
}

struct hl_tree_node *hl_tree_next(const struct hl_tree *tree, uintptr_t addr)
{
	struct hl_tree_node *node = tree->root, *best = NULL;

	while (node != NULL) {
		if (node->to > addr) {
			best = node;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return best;
}

struct hl_tree_node *hl_tree_find(const struct hl_tree *tree, uintptr_t addr)
{
	struct hl_tree_node *node = hl_tree_next(tree, addr);

	return node != NULL && node->from <= addr ? node : NULL;
}

bool hl_tree_insert(struct hl_tree *tree, struct hl_tree_node *node)
{
	struct hl_tree_node **link = &tree->root;
	struct hl_tree_node *next = hl_tree_next(tree, node->from);

	HL_ASSERT(node->from < node->to);
	if (next != NULL && next->from < node->to)
		return false;
	node->priority = draw(tree);
	while (*link != NULL && (*link)->priority >= node->priority)
		link = node->from < (*link)->from ? &(*link)->left
						  : &(*link)->right;
	split(*link, node->from, &node->left, &node->right);
	*link = node;
	tree->count++;
	HL_VALID3(hl_tree_is_valid(tree));
	return true;
}

void hl_tree_remove(struct hl_tree *tree, struct hl_tree_node *node)
{
	struct hl_tree_node **link = &tree->root;

	while (*link != node) {
		HL_CHECK(*link != NULL);
		link = node->from < (*link)->from ? &(*link)->left
						  : &(*link)->right;
	}
	*link = join(node->left, node->right);
	node->left = NULL;
	node->right = NULL;
	tree->count--;
	HL_VALID3(hl_tree_is_valid(tree));
}

/* Counts; SIZE_MAX if something is wrong. *at: the end of the range before. */
static size_t check(
	const struct hl_tree_node *node, uint64_t priority, uintptr_t *at)
{
	size_t left, right;

	if (node == NULL)
		return 0;
	if (node->priority > priority || node->from >= node->to)
		return SIZE_MAX;
	left = check(node->left, node->priority, at);
	if (left == SIZE_MAX || node->from < *at)
		return SIZE_MAX;
	*at = node->to;
	right = check(node->right, node->priority, at);
	return right == SIZE_MAX ? SIZE_MAX : left + 1 + right;
}

bool hl_tree_is_valid(const struct hl_tree *tree)
{
	uintptr_t at = 0;

	return check(tree->root, UINT64_MAX, &at) == tree->count;
}
