/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does what the plan says, and looks in the kernel what came of each step. What
 * fails does not keep the rest from being done; the exit status tells.
 *
 * Kernels before 6.7 may change another node's pool when one is written while
 * there is surplus: so all sizes that were asked for are looked at once more at
 * the end, and written again if they moved.
 */
#include "hugeadm.h"

static int node_number(const struct adm_state *state, int node)
{
	return node < 0 ? HL_NODE_ANY : state->node[node].id;
}

static bool is_resize(const struct adm_action *a)
{
	return a->what == ADM_DO_GROW || a->what == ADM_DO_SHRINK;
}

static void failed(struct adm_action *a, int err)
{
	a->result = ADM_FAILED;
	a->why = tool_strdup(strerror(-err));
}

static int read_pages(const struct adm_state *state, const struct adm_action *a,
	struct hl_pool *pool)
{
	return hl_pool_read(
		&state->root, a->page_bytes, node_number(state, a->node), pool);
}

static void do_setting(struct adm_state *state, struct adm_action *a)
{
	int err = hl_root_write(&state->root, a->path, a->value);
	char *now;

	if (err) {
		failed(a, err);
		return;
	}
	now = adm_setting_read(&state->root, a->setting, a->page_bytes);
	if (now && strcmp(now, a->value) == 0) {
		a->result = ADM_DONE;
		return;
	}
	a->result = ADM_FAILED;
	a->why = tool_text("the kernel took the write, but it is still \"%s\"",
		now ? now : "");
}

/*
 * Before 6.7 a node gets what is written and as many pages as there are surplus
 * ones on other nodes: what was too much is taken off the next write.
 */
static int write_pages(struct adm_state *state, const struct adm_action *a,
	uint64_t pages, struct hl_pool *pool)
{
	uint64_t value = pages, now;
	int err = 0;

	for (int tries = 0; tries < 3; tries++) {
		err = hl_pool_write(&state->root, a->page_bytes,
			node_number(state, a->node), "nr_hugepages", value);
		if (!err)
			err = read_pages(state, a, pool);
		now = err ? pages : hl_pool_persistent(pool);
		if (now <= pages || a->node < 0)
			break;
		value -= HL_MIN(value, now - pages);
	}
	return err;
}

static void do_shrink(struct adm_state *state, struct adm_action *a)
{
	struct hl_pool pool;
	int err = write_pages(state, a, a->after, &pool);

	if (err) {
		failed(a, err);
		return;
	}
	a->reached = hl_pool_persistent(&pool);
	a->result = ADM_DONE;
	if (a->reached > a->after) {
		a->result = ADM_SHORT;
		a->why = tool_strdup("the kernel could not free them");
	} else if (pool.surplus > 0) {
		a->why = tool_text("%" PRIu64 " more are in use, and go when "
				   "they are let go",
			pool.surplus);
	}
}

/* The pool may have changed since the plan: pages were demoted, say. */
static void do_resize(struct adm_state *state, struct adm_action *a,
	const struct adm_effort *effort)
{
	struct hl_pool pool;

	if (read_pages(state, a, &pool) == 0 &&
		hl_pool_persistent(&pool) > a->after)
		do_shrink(state, a);
	else
		adm_grow(state, a, effort);
	if (a->result == ADM_DONE && a->reached > a->after)
		do_shrink(state, a);
}

/* Changing the size to demote to is no wish of its own: it is put back. */
static int write_demote(struct adm_state *state, const struct adm_action *a)
{
	const struct adm_pool *pool = adm_pool_of(state, a->page_bytes);
	uint64_t pages;
	int err = hl_parse_u64(a->value, &pages);

	if (!err && a->to_bytes != pool->demote_bytes)
		err = hl_pool_set_demote_size(
			&state->root, a->page_bytes, a->to_bytes);
	if (!err)
		err = hl_pool_write(&state->root, a->page_bytes,
			node_number(state, a->node), "demote", pages);
	if (a->to_bytes != pool->demote_bytes)
		(void)hl_pool_set_demote_size(
			&state->root, a->page_bytes, pool->demote_bytes);
	return err;
}

static void do_demote(struct adm_state *state, struct adm_action *a)
{
	struct hl_pool pool = {0};
	int err = write_demote(state, a);

	if (read_pages(state, a, &pool) == 0)
		a->reached = hl_pool_persistent(&pool);
	if (a->reached == a->after) {
		a->result = ADM_DONE;
	} else if (a->reached < a->before) {
		a->result = ADM_SHORT;
		a->why = tool_text("the others are in use or reserved: %" PRIu64
				   " free, %" PRIu64 " reserved",
			pool.free, pool.resv);
	} else if (err) {
		failed(a, err);
		if (err == -EBUSY)
			a->why = tool_strdup("no page is free");
	} else {
		a->result = ADM_SHORT;
		a->why = tool_strdup("no page is free");
	}
}

/*
 * The pages of that size once they were changed: the sum of the nodes where
 * nodes were, since the total of a copy of a machine's files does not follow.
 */
static uint64_t pages_now(const struct adm_state *state,
	const struct adm_plan *plan, size_t page_bytes, uint64_t total)
{
	bool on_nodes = false;
	uint64_t sum = 0;
	struct hl_pool pool;

	for (size_t i = 0; i < plan->n; i++) {
		const struct adm_action *a = &plan->at[i];

		on_nodes |= is_resize(a) && a->node >= 0 &&
			    a->page_bytes == page_bytes;
	}
	for (int k = 0; on_nodes && k < state->nodes; k++) {
		if (hl_pool_read(&state->root, page_bytes, state->node[k].id,
			    &pool) == 0)
			sum += hl_pool_persistent(&pool);
	}
	return on_nodes ? sum : total;
}

static void do_overcommit(struct adm_state *state, const struct adm_plan *plan,
	struct adm_action *a)
{
	struct hl_pool pool;
	uint64_t value = a->after, have;
	int err = hl_pool_read(&state->root, a->page_bytes, HL_NODE_ANY, &pool);

	if (err) {
		failed(a, err);
		return;
	}
	have = pages_now(state, plan, a->page_bytes, hl_pool_persistent(&pool));
	if (a->keeps_maximum)
		value = value > have ? value - have : 0;
	a->reached = pool.overcommit;
	if (value != pool.overcommit)
		err = hl_pool_write(&state->root, a->page_bytes, HL_NODE_ANY,
			"nr_overcommit_hugepages", value);
	if (!err)
		err = hl_pool_read(
			&state->root, a->page_bytes, HL_NODE_ANY, &pool);
	if (err) {
		failed(a, err);
		if (err == -EINVAL)
			a->why = tool_text("this kernel does not overcommit "
					   "pages of %s",
				tool_size(a->page_bytes).text);
		return;
	}
	a->reached = pool.overcommit;
	a->result = a->reached == value ? ADM_DONE : ADM_FAILED;
	if (a->result == ADM_FAILED)
		a->why = tool_strdup("the kernel took another value");
}

static void do_action(struct adm_state *state, const struct adm_plan *plan,
	struct adm_action *a, const struct adm_effort *effort)
{
	int err = 0;

	switch (a->what) {
	case ADM_DO_DROP_CACHES:
		err = adm_drop_caches(state);
		break;
	case ADM_DO_COMPACT:
		err = adm_compact(state, a->node);
		break;
	case ADM_DO_SET:
		do_setting(state, a);
		return;
	case ADM_DO_DEMOTE:
		do_demote(state, a);
		return;
	case ADM_DO_SHRINK:
	case ADM_DO_GROW:
		do_resize(state, a, effort);
		return;
	case ADM_DO_OVERCOMMIT:
		do_overcommit(state, plan, a);
		return;
	case ADM_DO_UNMOUNT:
		adm_unmount_do(state, a);
		return;
	case ADM_DO_MOUNT:
		adm_mount_do(state, a);
		return;
	}
	a->result = ADM_DONE;
	if (err)
		failed(a, err);
}

/* The pool as it is after all else was done. */
static void look_again(struct adm_state *state, struct adm_action *a)
{
	struct hl_pool pool;
	uint64_t now;

	if (!is_resize(a) || a->result == ADM_FAILED ||
		read_pages(state, a, &pool) != 0)
		return;
	now = hl_pool_persistent(&pool);
	if (now == a->reached)
		return;
	if (write_pages(state, a, a->reached, &pool) == 0)
		now = hl_pool_persistent(&pool);
	a->reached = now;
	if (now != a->after && a->result == ADM_DONE) {
		a->result = ADM_SHORT;
		a->why = tool_strdup("something else changes this pool");
	}
}

/* How the pages lie, for a pool that was grown as a whole. */
static char *spread(const struct adm_state *state, const struct adm_action *a)
{
	char *text = tool_strdup("");
	int n = 0;

	for (int i = 0; i < state->nodes; i++) {
		struct hl_pool pool;

		if (hl_pool_read(&state->root, a->page_bytes, state->node[i].id,
			    &pool) != 0)
			continue;
		n++;
		text = tool_text("%s%snode %d: %" PRIu64, text,
			*text ? ", " : "", state->node[i].id,
			hl_pool_persistent(&pool));
	}
	return n > 1 ? text : tool_strdup("");
}

static void report(const struct adm_state *state, const struct adm_action *a,
	const struct adm_effort *effort)
{
	const char *nodes = is_resize(a) && a->node < 0 ? spread(state, a) : "";
	const char *text = adm_action_text(state, a);

	if (a->result == ADM_DONE) {
		/* Neither to keep a maximum nor behind a demotion it need
		 * take a change. */
		if (effort->quiet ||
			((a->what == ADM_DO_OVERCOMMIT || is_resize(a)) &&
				a->reached == a->before))
			return;
		printf("%s", text);
		if (a->why || *nodes)
			printf(" (%s%s%s)", nodes, a->why && *nodes ? "; " : "",
				a->why ? a->why : "");
		putchar('\n');
	} else if (a->what == ADM_DO_GROW) {
		tool_say("%s pages%s: %" PRIu64 " of %" PRIu64 "%s%s%s: %s",
			tool_size(a->page_bytes).text,
			a->node < 0 ? ""
				    : tool_text(" on node %d",
					      state->node[a->node].id),
			a->reached, a->after, *nodes ? " (" : "", nodes,
			*nodes ? ")" : "", a->why);
	} else {
		tool_say("%s: %s", text, a->why);
	}
}

bool adm_plan_grows(const struct adm_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		if (plan->at[i].what == ADM_DO_GROW)
			return true;
	}
	return false;
}

static int status_of(const struct adm_plan *plan)
{
	size_t bad = 0, some = 0;

	for (size_t i = 0; i < plan->n; i++) {
		enum adm_result result = plan->at[i].result;

		bad += result == ADM_FAILED;
		some += result == ADM_SHORT;
	}
	if (bad == 0 && some == 0)
		return TOOL_OK;
	return bad == plan->n ? TOOL_FAILURE : TOOL_PARTIAL;
}

int adm_apply(struct adm_state *state, struct adm_plan *plan,
	const struct adm_effort *effort)
{
	const struct adm_swap *swap = &effort->swap;
	bool swaps =
		(swap->hpages > 0 || swap->ramdisk) && adm_plan_grows(plan);

	adm_interrupt_begin();
	if (swaps && adm_swap_add(state, swap) != 0) {
		adm_swap_remove(state);
		adm_interrupt_end();
		return TOOL_FAILURE;
	}
	for (size_t i = 0; i < plan->n; i++) {
		if (adm_interrupted()) {
			plan->at[i].result = ADM_FAILED;
			plan->at[i].why = tool_strdup("interrupted");
		} else {
			do_action(state, plan, &plan->at[i], effort);
		}
	}
	for (size_t i = 0; i < plan->n; i++)
		look_again(state, &plan->at[i]);
	if (swaps && !swap->keep)
		adm_swap_remove(state);
	for (size_t i = 0; i < plan->n; i++)
		report(state, &plan->at[i], effort);
	adm_interrupt_end();
	return status_of(plan);
}
