/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a region's pages shall be: the policy of the thread while they are
 * taken, the policy of the range for later faults, what could be had there,
 * and whether they came to be there.
 *
 * The kernel's check of a policy against free pages at mmap() is a guess that
 * ignores reservations, so that a shortage is looked for beforehand (supply)
 * and afterwards (move_pages). One node alone is hl_area_commit()'s business;
 * here is what it does not know: several nodes, interleave, preferred.
 *
 * On a machine with one node everything is DEFAULT: nothing is ever called.
 * No state, no lock.
 */
#include "region/region_internal.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>

#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5
#endif

#define BITS (8 * sizeof(unsigned long))

static bool has(const struct hl_place *place, int node)
{
	return place->nodes[(size_t)node / BITS] >> ((size_t)node % BITS) & 1;
}

static void add(struct hl_place *place, int node)
{
	if (has(place, node))
		return;
	place->nodes[(size_t)node / BITS] |= 1ul << ((size_t)node % BITS);
	place->count++;
}

/* The next node of the place after `node`, or -1. */
static int next_node(const struct hl_place *place, int node)
{
	while (++node < HL_NODES_MAX) {
		if (has(place, node))
			return node;
	}
	return -1;
}

static bool is_online(const struct hl_topo *topo, int node)
{
	return node >= 0 && node < HL_NODES_MAX &&
	       (topo->online[node / 64] >> (node % 64) & 1);
}

static bool has_memory(const struct hl_topo *topo, int node)
{
	return topo->has_memory[node / 64] >> (node % 64) & 1;
}

static bool fits(unsigned policy, size_t count)
{
	switch (policy) {
	case HTLB_POLICY_DEFAULT:
	case HTLB_POLICY_LOCAL:
		return count == 0;
	case HTLB_POLICY_BIND:
		return count > 0;
	case HTLB_POLICY_INTERLEAVE:
		return true;
	case HTLB_POLICY_PREFERRED:
		return count == 1;
	default:
		return false;
	}
}

static void add_all(struct hl_place *place, const struct hl_topo *topo)
{
	for (int node = 0; node <= topo->highest; node++) {
		if (has_memory(topo, node))
			add(place, node);
	}
}

static void add_local(struct hl_place *place, const struct hl_topo *topo)
{
	unsigned cpu, node;

	if (hl_os->getcpu(&cpu, &node) == 0 && is_online(topo, (int)node))
		add(place, (int)node);
	else
		place->policy = HTLB_POLICY_DEFAULT;
}

int hl_place_resolve(
	unsigned policy, const int *nodes, size_t count, struct hl_place *out)
{
	struct hl_place place = {.policy = policy, .node = HL_NODE_ANY};
	struct hl_topo topo;

	if (!fits(policy, count) || (count > 0 && nodes == NULL))
		return -EINVAL;
	if (policy == HTLB_POLICY_DEFAULT) {
		*out = place;
		return 0;
	}
	if (hl_topo_read(hl_supply_root, &topo) < 0)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (!is_online(&topo, nodes[i]))
			return -EINVAL;
		add(&place, nodes[i]);
	}
	if (policy == HTLB_POLICY_LOCAL)
		add_local(&place, &topo);
	if (policy == HTLB_POLICY_INTERLEAVE && count == 0)
		add_all(&place, &topo);
	if (policy == HTLB_POLICY_BIND && place.count == 1)
		place.node = next_node(&place, -1);
	if (topo.count <= 1 && topo.highest == 0)
		place.policy = HTLB_POLICY_DEFAULT;
	if (place.policy == HTLB_POLICY_DEFAULT)
		place.node = HL_NODE_ANY;
	*out = place;
	return 0;
}

static int mode_of(const struct hl_place *place)
{
	switch (place->policy) {
	case HTLB_POLICY_BIND:
		return MPOL_BIND;
	case HTLB_POLICY_INTERLEAVE:
		return MPOL_INTERLEAVE;
	default:
		return MPOL_PREFERRED;
	}
}

void hl_place_enter(const struct hl_place *place, struct hl_place_saved *saved)
{
	saved->changed = false;
	if (place->policy == HTLB_POLICY_DEFAULT)
		return;
	if (hl_os->get_mempolicy(&saved->mode, saved->nodes, HL_NODES_MAX) < 0)
		return;
	saved->changed = hl_os->set_mempolicy(mode_of(place), place->nodes,
				 HL_NODES_MAX) == 0;
}

void hl_place_leave(const struct hl_place_saved *saved)
{
	if (saved->changed)
		(void)hl_os->set_mempolicy(
			saved->mode, saved->nodes, HL_NODES_MAX);
}

void hl_place_range(
	const struct hl_place *place, void *addr, size_t bytes, bool hugetlb)
{
	struct hl_place one = {0};

	if (place->policy == HTLB_POLICY_DEFAULT)
		return;
	if (hugetlb || place->policy != HTLB_POLICY_BIND) {
		(void)hl_os->mbind(addr, bytes, mode_of(place), place->nodes,
			HL_NODES_MAX);
		return;
	}
	/* Ordinary memory that is bound meets the OOM killer, not us. */
	if (place->count > 1 && hl_os->mbind(addr, bytes, MPOL_PREFERRED_MANY,
					place->nodes, HL_NODES_MAX) == 0)
		return;
	add(&one, next_node(place, -1));
	(void)hl_os->mbind(
		addr, bytes, MPOL_PREFERRED, one.nodes, HL_NODES_MAX);
}

static uint64_t supply_of_nodes(const struct hl_place *place, size_t page_bytes,
	bool even, enum hl_limit *limit, int *short_of)
{
	uint64_t sum = 0, least = UINT64_MAX, n;
	int node = -1;

	while ((node = next_node(place, node)) >= 0) {
		enum hl_limit found;

		n = hl_supply_now(page_bytes, node, &found);
		sum += n;
		if (n < least) {
			least = n;
			*limit = found;
			*short_of = node;
		}
	}
	/* One page more on some nodes is still even. */
	return even ? HL_MIN(sum, least * (uint64_t)place->count +
					  (uint64_t)place->count - 1)
		    : sum;
}

uint64_t hl_place_supply(const struct hl_place *place, size_t page_bytes,
	bool strict, enum hl_limit *limit, int *node)
{
	bool even = strict && place->policy == HTLB_POLICY_INTERLEAVE;
	enum hl_limit found = HL_LIMIT_NODE_POOL;
	int short_of = HL_NODE_ANY;
	uint64_t all, there;

	*node = HL_NODE_ANY;
	all = hl_supply_now(page_bytes, HL_NODE_ANY, limit);
	if (place->policy != HTLB_POLICY_BIND && !even)
		return all;
	there = supply_of_nodes(place, page_bytes, even, &found, &short_of);
	if (there >= all)
		return all;
	*limit = found;
	*node = short_of;
	return there;
}

bool hl_place_is_kept(const struct hl_place *place, const char *addr,
	size_t bytes, size_t page_bytes)
{
	uint64_t least = UINT64_MAX, most = 0;
	uint32_t count[HL_NODES_MAX] = {0};
	int node = -1;

	if (place->policy != HTLB_POLICY_BIND &&
		place->policy != HTLB_POLICY_INTERLEAVE)
		return true;
	for (size_t at = 0; at < bytes; at += page_bytes) {
		node = hl_os->page_node((void *)(uintptr_t)(addr + at));
		/* What the kernel does not tell is not held against it. */
		if (node < 0 || node >= HL_NODES_MAX)
			continue;
		if (!has(place, node))
			return false;
		count[node]++;
	}
	if (place->policy == HTLB_POLICY_BIND)
		return true;
	node = -1;
	while ((node = next_node(place, node)) >= 0) {
		least = HL_MIN(least, (uint64_t)count[node]);
		most = HL_MAX(most, (uint64_t)count[node]);
	}
	return most - least <= 1;
}
