/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a plan leads to if all of it succeeds: for --persist --dry-run, which
 * says what would come of the files, not what they would have without the plan.
 */
#include "hugeadm.h"

static void put(struct hl_pool *pool, uint64_t persistent)
{
	pool->nr = persistent + pool->surplus;
}

/* A pool, on a node (index) or as a whole (-1): there the total follows. */
static void change(
	struct adm_pool *pool, int node, uint64_t before, uint64_t after)
{
	uint64_t now = adm_pages(pool, -1);

	if (node >= 0)
		put(&pool->node[node], after);
	now = after > before ? now + (after - before)
			     : now - HL_MIN(now, before - after);
	put(&pool->all, now);
}

static void demote(struct adm_state *state, const struct adm_action *a)
{
	struct adm_pool *to = adm_pool_of(state, a->to_bytes);
	uint64_t more = (a->before - a->after) * (a->page_bytes / a->to_bytes);
	uint64_t before = adm_pages(to, a->node);

	change(adm_pool_of(state, a->page_bytes), a->node, a->before, a->after);
	change(to, a->node, before, before + more);
}

static void foresee(struct adm_state *state, const struct adm_action *a)
{
	struct adm_pool *pool = adm_pool_of(state, a->page_bytes);
	uint64_t now;

	switch (a->what) {
	case ADM_DO_SHRINK:
	case ADM_DO_GROW:
		change(pool, a->node, a->before, a->after);
		break;
	case ADM_DO_DEMOTE:
		demote(state, a);
		break;
	case ADM_DO_OVERCOMMIT:
		now = a->keeps_maximum ? adm_pages(pool, -1) : 0;
		pool->all.overcommit = a->after - HL_MIN(now, a->after);
		break;
	default:
		break;
	}
}

void adm_foresee_pools(struct adm_state *state, const struct adm_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		foresee(state, &plan->at[i]);
}

const struct adm_action *adm_plan_find(
	const struct adm_plan *plan, enum adm_do what, const char *path)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct adm_action *a = &plan->at[i];
		const char *at = what == ADM_DO_SET ? a->path : a->mount.path;

		if (a->what == what && strcmp(at, path) == 0)
			return a;
	}
	return NULL;
}
