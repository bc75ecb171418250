/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the machine has: pools by size and node, memory. One snapshot at the
 * start; what changes pools reads again what it needs.
 *
 * A node without a pool directory (no memory, or a kernel without NUMA) is not
 * among those of a pool. What cannot be read is as if it were not there.
 */
#include "hugeadm.h"

#include "base/bitmap.h"

/* Left for everything else: a thirty-second of the memory, at least this. */
#define LEAVE_LEAST_BYTES (128 * HL_MIB)
#define LEAVE_SHARE	  32

static void read_nodes(struct adm_state *state)
{
	struct hl_topo topo;

	if (hl_topo_read(&state->root, &topo) != 0)
		return;
	state->node =
		tool_zalloc((size_t)topo.highest + 1, sizeof(*state->node));
	for (int id = 0; id <= topo.highest; id++) {
		struct adm_node *node = &state->node[state->nodes];

		if (!hl_bitmap_test(topo.online, (size_t)id))
			continue;
		node->id = id;
		node->memory_known =
			hl_memory_read(&state->root, id, &node->memory) == 0;
		state->nodes++;
	}
}

static void read_pool(
	struct adm_state *state, struct adm_pool *pool, size_t page_bytes)
{
	size_t nodes = (size_t)state->nodes;

	pool->page_bytes = page_bytes;
	(void)hl_pool_read(&state->root, page_bytes, HL_NODE_ANY, &pool->all);
	pool->node = tool_zalloc(nodes, sizeof(*pool->node));
	pool->present = tool_zalloc(nodes, sizeof(*pool->present));
	for (int i = 0; i < state->nodes; i++)
		pool->present[i] =
			hl_pool_read(&state->root, page_bytes,
				state->node[i].id, &pool->node[i]) == 0;
	if (hl_pool_demote_size(
		    &state->root, page_bytes, &pool->demote_bytes) != 0)
		pool->demote_bytes = 0;
}

void adm_state_read(const struct hl_root *root, struct adm_state *state)
{
	size_t sizes[HL_PAGE_SIZES_MAX];
	char *leave = state->leave_text;
	uint64_t leave_bytes = state->leave_bytes;

	*state = (struct adm_state){.root = *root, .leave_text = leave};
	(void)hl_default_huge_page(root, &state->default_bytes);
	state->memory_known =
		hl_memory_read(root, HL_NODE_ANY, &state->memory) == 0;
	state->leave_bytes =
		leave ? leave_bytes
		      : HL_MAX(LEAVE_LEAST_BYTES,
				state->memory.total_bytes / LEAVE_SHARE);
	read_nodes(state);
	state->pools = hl_huge_page_sizes(root, sizes);
	for (int i = 0; i < state->pools; i++)
		read_pool(state, &state->pool[i], sizes[i]);
}

struct adm_pool *adm_pool_of(struct adm_state *state, size_t page_bytes)
{
	for (int i = 0; i < state->pools; i++) {
		if (state->pool[i].page_bytes == page_bytes)
			return &state->pool[i];
	}
	return NULL;
}

int adm_node_index(const struct adm_state *state, int id)
{
	for (int i = 0; i < state->nodes; i++) {
		if (state->node[i].id == id)
			return i;
	}
	return -1;
}

bool adm_gigantic(const struct adm_state *state, size_t page_bytes)
{
	bool copy = state->root.prefix[0] != '\0';
	size_t base = hl_base_page_bytes();
	struct hl_buddy buddy;

	/* Another machine's base pages may have another size. */
	if (copy && page_bytes < HL_GIB)
		return false;
	if (hl_buddy_read(&state->root, HL_NODE_ANY, &buddy) != 0)
		return copy;
	return page_bytes >= base &&
	       hl_buddy_fit(&buddy, hl_log2(page_bytes / base)) == UINT64_MAX;
}

uint64_t adm_pages(const struct adm_pool *pool, int node)
{
	return hl_pool_persistent(node < 0 ? &pool->all : &pool->node[node]);
}

uint64_t adm_maximum(const struct adm_pool *pool)
{
	uint64_t sum;

	return __builtin_add_overflow(
		       adm_pages(pool, -1), pool->all.overcommit, &sum)
		       ? UINT64_MAX
		       : sum;
}

char *adm_sizes_text(const struct adm_state *state)
{
	char *text = tool_strdup("");

	for (int i = 0; i < state->pools; i++)
		text = tool_text("%s%s%s", text, i ? ", " : "",
			tool_size(state->pool[i].page_bytes).text);
	return text;
}
