/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ranges of addresses that do not overlap, found by any address inside: a
 * treap, intrusive, so that nothing is allocated and nothing can fail. All
 * operations are O(log n) expected. The caller's lock guards it.
 */
#ifndef HL_REGION_TREE_H
#define HL_REGION_TREE_H

#include "base/base.h"

struct hl_tree_node {
	struct hl_tree_node *left, *right;
	uint64_t priority;
	uintptr_t from, to; /* half-open, not empty; set before insertion */
};

struct hl_tree {
	struct hl_tree_node *root;
	uint64_t random; /* state of the generator of priorities */
	size_t count;
};

/* False, and nothing changed, if it overlaps with a range that is there. */
bool hl_tree_insert(struct hl_tree *tree, struct hl_tree_node *node);
/* node is in the tree. */
void hl_tree_remove(struct hl_tree *tree, struct hl_tree_node *node);
/* The range that holds addr, or NULL. */
struct hl_tree_node *hl_tree_find(const struct hl_tree *tree, uintptr_t addr);
/* The first range that ends after addr, or NULL: to walk in order. */
struct hl_tree_node *hl_tree_next(const struct hl_tree *tree, uintptr_t addr);

/* Walks the whole tree. */
bool hl_tree_is_valid(const struct hl_tree *tree);

#endif
