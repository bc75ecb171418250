/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of one node: the policy of a range, and of the thread around the
 * moment when pages are taken. On a machine with one node nothing is done.
 *
 * The range's policy decides at the fault; the thread's is what the kernel
 * looks at when surplus pages are made. A policy that cannot be set is not an
 * error: the pages are then elsewhere, and the ledger writes them down as
 * borrowed.
 */
#include "backing/area_internal.h"

#include <linux/mempolicy.h>

#define BITS (8 * sizeof(unsigned long))

static bool is_pointless(int node)
{
	return node < 0 || node >= HL_NODES_MAX || hl_supply_nodes() == 1;
}

static void one_node(unsigned long *nodes, int node)
{
	for (size_t i = 0; i < HL_NODES_MAX / BITS; i++)
		nodes[i] = 0;
	nodes[(size_t)node / BITS] = 1ul << ((size_t)node % BITS);
}

void hl_policy_bind(struct hl_policy *saved, int node)
{
	unsigned long nodes[HL_NODES_MAX / BITS];

	saved->changed = false;
	if (is_pointless(node))
		return;
	if (hl_os->get_mempolicy(&saved->mode, saved->nodes, HL_NODES_MAX) < 0)
		return;
	one_node(nodes, node);
	saved->changed =
		hl_os->set_mempolicy(MPOL_BIND, nodes, HL_NODES_MAX) == 0;
}

void hl_policy_restore(const struct hl_policy *saved)
{
	if (saved->changed)
		(void)hl_os->set_mempolicy(
			saved->mode, saved->nodes, HL_NODES_MAX);
}

void hl_policy_range(void *addr, size_t bytes, int node, int mode)
{
	unsigned long nodes[HL_NODES_MAX / BITS];

	if (is_pointless(node))
		return;
	one_node(nodes, node);
	(void)hl_os->mbind(addr, bytes, mode, nodes, HL_NODES_MAX);
}
