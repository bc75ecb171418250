/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does it fit, and what stays for the rest? Pools that could never be, since
 * they are larger than the memory of the machine or node, are refused before
 * anything changes. Pools that are larger than what can be had now are tried:
 * they grow until only --leave is left (hugeadm_grow.c), and that is said here.
 *
 * Pure arithmetic, saturating.
 */
#include "hugeadm.h"

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void add_up(const struct adm_state *state, struct adm_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct adm_action *a = &plan->at[i];

		if (a->what == ADM_DO_GROW)
			plan->takes_bytes = plus(plan->takes_bytes,
				times(a->after - a->before, a->page_bytes));
		/* Pages in use come back only when they are let go. */
		if (a->what == ADM_DO_SHRINK) {
			const struct adm_state *s = state;
			uint64_t pages = a->before - a->after;

			for (int k = 0; k < s->pools; k++) {
				const struct adm_pool *pool = &s->pool[k];

				if (pool->page_bytes == a->page_bytes)
					pages = HL_MIN(
						pages, minus(pool->all.free,
							       pool->all.resv));
			}
			plan->gives_bytes = plus(
				plan->gives_bytes, times(pages, a->page_bytes));
		}
	}
}

static void refuse(struct adm_plan *plan, char *why)
{
	if (plan->refused)
		return;
	plan->refused = why;
	plan->refused_status = TOOL_PARTIAL;
}

/* All pools as they would be, on a node (index) or in all (-1). */
static uint64_t pools_after(
	const struct adm_state *state, const struct adm_plan *plan, int node)
{
	uint64_t sum = 0;

	for (int i = 0; i < state->pools; i++)
		sum = plus(sum, times(adm_pages(&state->pool[i], node),
					state->pool[i].page_bytes));
	for (size_t i = 0; i < plan->n; i++) {
		const struct adm_action *a = &plan->at[i];

		if (node >= 0 && a->node != node)
			continue;
		if (a->what == ADM_DO_GROW)
			sum = plus(sum,
				times(a->after - a->before, a->page_bytes));
		else if (a->what == ADM_DO_SHRINK)
			sum = minus(sum,
				times(a->before - a->after, a->page_bytes));
	}
	return sum;
}

static void check_size(const struct adm_state *state, struct adm_plan *plan,
	const struct adm_action *a)
{
	const struct hl_memory *memory = &state->memory;
	char *where = tool_strdup("the machine");
	uint64_t all;

	if (a->node >= 0) {
		if (!state->node[a->node].memory_known)
			return;
		memory = &state->node[a->node].memory;
		where = tool_text("node %d", state->node[a->node].id);
	}
	all = pools_after(state, plan, a->node);
	if (all <= memory->total_bytes)
		return;
	refuse(plan,
		tool_text("%s: %" PRIu64 " pages of %s do not fit: %s has %s "
			  "in all, the pools would have %s; nothing was "
			  "changed, the pool has %" PRIu64 " of %" PRIu64
			  " pages",
			a->from, a->after, tool_size(a->page_bytes).text, where,
			tool_human(memory->total_bytes).text,
			all == UINT64_MAX ? "more than can be counted"
					  : tool_human(all).text,
			a->before, a->after));
}

static void check_room(const struct adm_state *state, struct adm_plan *plan)
{
	uint64_t room =
		minus(plus(state->memory.available_bytes, plan->gives_bytes),
			state->leave_bytes);

	if (plan->takes_bytes <= room || plan->takes_bytes == 0)
		return;
	plan->warning = tool_text(
		"pools would take %s more; %s could be had now, and %s of that "
		"must stay for the rest (--leave)",
		tool_human(plan->takes_bytes).text,
		tool_human(
			plus(state->memory.available_bytes, plan->gives_bytes))
			.text,
		tool_human(state->leave_bytes).text);
}

void adm_plan_fit(const struct adm_state *state, struct adm_plan *plan)
{
	add_up(state, plan);
	if (!state->memory_known)
		return;
	for (size_t i = 0; i < plan->n; i++) {
		if (plan->at[i].what == ADM_DO_GROW)
			check_size(state, plan, &plan->at[i]);
	}
	if (!plan->refused)
		check_room(state, plan);
}
