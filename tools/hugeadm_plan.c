/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From requests to what has to be changed. Requests count in the order given:
 * "+10" twice is 20 more. Demotions are reckoned first, then sizes of pools,
 * maxima, settings; what is as asked already is left out, so that a second run
 * has nothing to do.
 *
 * A maximum is the pool and its overcommit together. It stays when the pool
 * changes below it, but only if somebody set one: a pool without overcommit
 * does not get any by shrinking.
 *
 * Pure but for reading settings and mounts: nothing here writes.
 */
#include "hugeadm.h"

#include "base/bitmap.h"

/* A pool as it will be. */
struct work {
	uint64_t now, total, maximum, overcommit;
	uint64_t *node;
	bool *node_asked;
	bool total_asked, any_node_asked, maximum_asked, overcommit_asked;
	const char *from, *from_limit;
};

struct planner {
	struct adm_state *state;
	struct adm_plan *plan;
	struct work work[HL_PAGE_SIZES_MAX];
	const struct adm_request *request;
};

struct adm_action *adm_plan_add(
	struct adm_plan *plan, enum adm_do what, const char *from)
{
	struct adm_action *action;

	plan->at = tool_realloc(plan->at, plan->n + 1, sizeof(*plan->at));
	action = &plan->at[plan->n++];
	*action = (struct adm_action){.what = what, .from = from, .node = -1};
	return action;
}

static void start(struct planner *p)
{
	for (int i = 0; i < p->state->pools; i++) {
		const struct adm_pool *pool = &p->state->pool[i];
		struct work *w = &p->work[i];
		size_t nodes = (size_t)p->state->nodes;

		w->now = w->total = adm_pages(pool, -1);
		w->maximum = adm_maximum(pool);
		w->overcommit = pool->all.overcommit;
		w->node = tool_zalloc(nodes, sizeof(*w->node));
		w->node_asked = tool_zalloc(nodes, sizeof(*w->node_asked));
		for (int k = 0; k < p->state->nodes; k++)
			w->node[k] = adm_pages(pool, k);
	}
}

static struct work *work_of(struct planner *p, size_t page_bytes)
{
	return &p->work[adm_pool_of(p->state, page_bytes) - p->state->pool];
}

static uint64_t changed(
	const struct adm_request *r, uint64_t base, uint64_t memory_bytes)
{
	uint64_t pages =
		adm_count_pages(&r->count, r->page_bytes, memory_bytes);
	uint64_t sum;

	if (r->count.sign == 0)
		return pages;
	if (r->count.sign < 0)
		return base > pages ? base - pages : 0;
	return __builtin_add_overflow(base, pages, &sum) ? UINT64_MAX : sum;
}

static int contradiction(const struct planner *p)
{
	return tool_usage("%s: either a size of the whole pool of %s pages, or "
			  "sizes per node",
		p->request->from, tool_size(p->request->page_bytes).text);
}

/*
 * The sum of the nodes is the pool; in a copy of a machine's files it is what
 * was written last.
 */
static void count_nodes(
	const struct planner *p, const struct adm_pool *pool, struct work *w)
{
	uint64_t sum = 0;

	for (int k = 0; k < p->state->nodes; k++)
		sum += adm_pages(pool, k);
	w->total += sum - w->now;
	if (w->maximum != UINT64_MAX)
		w->maximum += sum - w->now;
	w->now = sum;
}

static int take_minimum(struct planner *p)
{
	const struct adm_request *r = p->request;
	struct work *w = work_of(p, r->page_bytes);

	w->from = r->from;
	if (!r->on_nodes) {
		if (w->any_node_asked)
			return contradiction(p);
		w->total = changed(r, w->total, p->state->memory.total_bytes);
		w->total_asked = true;
		return 0;
	}
	if (w->total_asked)
		return contradiction(p);
	if (!w->any_node_asked)
		count_nodes(p, adm_pool_of(p->state, r->page_bytes), w);
	w->any_node_asked = true;
	for (int k = 0; k < p->state->nodes; k++) {
		const struct adm_node *node = &p->state->node[k];
		uint64_t now;

		if (!hl_bitmap_test(r->nodes, (size_t)node->id))
			continue;
		if (r->count.unit == ADM_PERCENT && !node->memory_known)
			return tool_fail("%s: the memory of node %d is not "
					 "known",
				r->from, node->id);
		now = changed(r, w->node[k], node->memory.total_bytes);
		w->total += now - w->node[k];
		w->node[k] = now;
		w->node_asked[k] = true;
	}
	return 0;
}

static void take_limit(struct planner *p)
{
	const struct adm_request *r = p->request;
	struct work *w = work_of(p, r->page_bytes);
	uint64_t memory = p->state->memory.total_bytes;

	w->from_limit = r->from;
	if (r->what == ADM_MAX) {
		w->maximum = changed(r, w->maximum, memory);
		w->maximum_asked = true;
	} else {
		w->overcommit = changed(r, w->overcommit, memory);
		w->overcommit_asked = true;
	}
}

static void demote_on(struct planner *p, int node, uint64_t pages)
{
	const struct adm_request *r = p->request;
	struct work *w = work_of(p, r->page_bytes), *to;
	struct adm_action *a = adm_plan_add(p->plan, ADM_DO_DEMOTE, r->from);
	uint64_t have = node < 0 ? w->total : w->node[node];

	a->page_bytes = r->page_bytes;
	a->to_bytes =
		r->to_bytes
			? r->to_bytes
			: adm_pool_of(p->state, r->page_bytes)->demote_bytes;
	a->node = node;
	a->before = have;
	a->after = have > pages ? have - pages : 0;
	a->value = tool_text("%" PRIu64, pages);
	pages = have - a->after;
	to = work_of(p, a->to_bytes);
	w->total -= pages;
	to->total += pages * (a->page_bytes / a->to_bytes);
	if (node >= 0) {
		w->node[node] -= pages;
		to->node[node] += pages * (a->page_bytes / a->to_bytes);
	}
}

static int take_demotion(struct planner *p)
{
	const struct adm_request *r = p->request;
	const struct work *w = work_of(p, r->page_bytes);
	uint64_t have, want;
	bool any = false;

	want = adm_count_pages(
		&r->count, r->page_bytes, p->state->memory.total_bytes);
	for (int k = 0; r->on_nodes && k < p->state->nodes; k++) {
		if (!hl_bitmap_test(r->nodes, (size_t)p->state->node[k].id))
			continue;
		have = w->node[k];
		if (want > have)
			return tool_fail("%s: node %d has %" PRIu64
					 " pages of %s",
				r->from, p->state->node[k].id, have,
				tool_size(r->page_bytes).text);
		if (want > 0)
			demote_on(p, k, want);
		any = true;
	}
	if (any || want == 0)
		return 0;
	if (want > w->total)
		return tool_fail("%s: there are %" PRIu64 " pages of %s",
			r->from, w->total, tool_size(r->page_bytes).text);
	demote_on(p, -1, want);
	return 0;
}

static struct adm_action *action_for_path(
	struct adm_plan *plan, const char *path, const char *from)
{
	for (size_t i = 0; i < plan->n; i++) {
		if (plan->at[i].path && strcmp(plan->at[i].path, path) == 0)
			return &plan->at[i];
	}
	return adm_plan_add(plan, ADM_DO_SET, from);
}

static void take_setting(struct planner *p)
{
	const struct adm_request *r = p->request;
	char *path = adm_setting_path(r->setting, r->page_bytes);
	char *old =
		adm_setting_read(&p->state->root, r->setting, r->page_bytes);
	struct adm_action *a;
	uint64_t now, wanted;

	if (r->what == ADM_RAISE && old && hl_parse_u64(old, &now) == 0 &&
		hl_parse_u64(r->value, &wanted) == 0 && now >= wanted)
		return;
	a = action_for_path(p->plan, path, r->from);
	a->setting = r->setting;
	a->page_bytes = r->page_bytes;
	a->path = path;
	a->old = old;
	a->value = r->value;
}

static void take_compaction(struct planner *p)
{
	const struct adm_request *r = p->request;

	if (!r->on_nodes)
		(void)adm_plan_add(p->plan, ADM_DO_COMPACT, r->from);
	for (int k = 0; r->on_nodes && k < p->state->nodes; k++) {
		if (hl_bitmap_test(r->nodes, (size_t)p->state->node[k].id))
			adm_plan_add(p->plan, ADM_DO_COMPACT, r->from)->node =
				k;
	}
}

/* Of what is not known, a percentage would be none. */
static int check_percent(const struct planner *p)
{
	const struct adm_request *r = p->request;

	if (r->count.unit != ADM_PERCENT || p->state->memory_known)
		return 0;
	return tool_fail("%s: how much memory there is is not known", r->from);
}

static int take(struct planner *p)
{
	switch (p->request->what) {
	case ADM_MIN:
		return take_minimum(p);
	case ADM_MAX:
	case ADM_OVERCOMMIT:
		take_limit(p);
		break;
	case ADM_DEMOTE:
	case ADM_UNMOUNT:
		break; /* taken before all others */
	case ADM_SET:
	case ADM_RAISE:
		take_setting(p);
		break;
	case ADM_COMPACT:
		take_compaction(p);
		break;
	case ADM_DROP_CACHES:
		(void)adm_plan_add(
			p->plan, ADM_DO_DROP_CACHES, p->request->from);
		break;
	case ADM_MOUNT:
		adm_plan_mount(p->state, p->plan, p->request);
		break;
	}
	return 0;
}

/* Two values for one setting. */
static int check_settings(const struct adm_requests *requests)
{
	for (size_t i = 0; i < requests->n; i++) {
		const struct adm_request *b = &requests->at[i];

		for (size_t k = 0; b->what == ADM_SET && k < i; k++) {
			const struct adm_request *a = &requests->at[k];

			if (a->what == ADM_SET && a->setting == b->setting &&
				a->page_bytes == b->page_bytes &&
				strcmp(a->value, b->value) != 0)
				return tool_usage(
					"%s: %s is to be %s, and by %s %s",
					b->from,
					adm_setting_path(
						b->setting, b->page_bytes),
					b->value, a->from, a->value);
		}
	}
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_mount(const struct adm_mount *a, const struct adm_mount *b)
{
	return a->page_bytes == b->page_bytes && a->mode == b->mode &&
	       a->uid == b->uid && a->gid == b->gid &&
	       same_text(a->size, b->size) &&
	       same_text(a->min_size, b->min_size) &&
	       same_text(a->inodes, b->inodes);
}

/* The first request for a mount at that place. */
static const struct adm_request *first_mount(
	const struct adm_requests *requests, const char *path)
{
	const struct adm_request *r = requests->at;

	while (r->what != ADM_MOUNT || strcmp(r->mount.path, path) != 0)
		r++;
	return r;
}

/* Two mounts at one place. */
static int check_mounts(const struct adm_requests *requests)
{
	for (size_t i = 0; i < requests->n; i++) {
		const struct adm_request *b = &requests->at[i], *a;

		if (b->what != ADM_MOUNT)
			continue;
		a = first_mount(requests, b->mount.path);
		if (!same_mount(&a->mount, &b->mount))
			return tool_usage(
				"%s: %s is to be mounted with %s, and by %s "
				"with %s",
				b->from, b->mount.path,
				adm_mount_options(&b->mount), a->from,
				adm_mount_options(&a->mount));
	}
	return 0;
}

/* What is done first counts as done for what comes after. */
static int take_before(struct planner *p)
{
	if (p->request->what == ADM_DEMOTE)
		return take_demotion(p);
	if (p->request->what == ADM_UNMOUNT)
		adm_plan_unmount(p->state, p->plan, p->request);
	return 0;
}

static int take_all(struct planner *p, const struct adm_requests *requests)
{
	int status = check_settings(requests);

	if (!status)
		status = check_mounts(requests);
	for (size_t i = 0; i < requests->n && !status; i++) {
		p->request = &requests->at[i];
		status = check_percent(p);
		if (!status)
			status = take_before(p);
	}
	for (size_t i = 0; i < requests->n && !status; i++) {
		p->request = &requests->at[i];
		if (p->request->what == ADM_MOUNT &&
			first_mount(requests, p->request->mount.path) !=
				p->request)
			continue;
		status = take(p);
	}
	return status;
}

/* What demotions do to a pool counts as there. */
static uint64_t after_demotion(const struct planner *p,
	const struct adm_pool *pool, int node, uint64_t now)
{
	for (size_t i = 0; i < p->plan->n; i++) {
		const struct adm_action *a = &p->plan->at[i];
		uint64_t pages = a->before - a->after;

		if (a->what != ADM_DO_DEMOTE || (node >= 0 && a->node != node))
			continue;
		if (a->page_bytes == pool->page_bytes)
			now -= pages;
		if (a->to_bytes == pool->page_bytes)
			now += pages * (a->page_bytes / a->to_bytes);
	}
	return now;
}

/* Whether pages of that size come or go on a node that the kernel chooses. */
static bool any_node_demotes(
	const struct planner *p, const struct adm_pool *pool)
{
	for (size_t i = 0; i < p->plan->n; i++) {
		const struct adm_action *a = &p->plan->at[i];

		if (a->what == ADM_DO_DEMOTE && a->node < 0 &&
			(a->page_bytes == pool->page_bytes ||
				a->to_bytes == pool->page_bytes))
			return true;
	}
	return false;
}

static void resize(struct planner *p, const struct adm_pool *pool,
	const struct work *w, int node, uint64_t to)
{
	uint64_t now = after_demotion(p, pool, node, adm_pages(pool, node));
	struct adm_action *a;

	if (to == now && (node < 0 || !any_node_demotes(p, pool)))
		return;
	a = adm_plan_add(
		p->plan, to < now ? ADM_DO_SHRINK : ADM_DO_GROW, w->from);
	a->page_bytes = pool->page_bytes;
	a->node = node;
	a->before = now;
	a->after = to;
}

static int check_limits(const struct adm_pool *pool, const struct work *w)
{
	const char *size = tool_strdup(tool_size(pool->page_bytes).text);

	if (w->maximum_asked && w->maximum < w->total) {
		if (w->total_asked || w->any_node_asked)
			return tool_usage("%s: a maximum of %" PRIu64
					  " is below the %" PRIu64
					  " pages of %s that are asked for",
				w->from_limit, w->maximum, w->total, size);
		return tool_fail("%s: a maximum of %" PRIu64
				 " is below the pool's %" PRIu64
				 " pages of %s: set --pool-pages-min as well",
			w->from_limit, w->maximum, w->total, size);
	}
	if (w->maximum_asked && w->overcommit_asked &&
		w->maximum - w->total != w->overcommit)
		return tool_usage("%s: a maximum of %" PRIu64
				  " and an overcommit of %" PRIu64
				  " disagree: the pool has %" PRIu64
				  " pages of %s",
			w->from_limit, w->maximum, w->overcommit, w->total,
			size);
	return 0;
}

static int limit(
	struct planner *p, const struct adm_pool *pool, const struct work *w)
{
	uint64_t maximum = w->maximum;
	struct adm_action *a;
	int status = check_limits(pool, w);

	if (status)
		return status;
	if (!w->overcommit_asked) {
		if (!w->maximum_asked &&
			(w->total == w->now || pool->all.overcommit == 0))
			return 0;
		maximum = HL_MAX(maximum, w->total);
		if (maximum - w->total == pool->all.overcommit)
			return 0;
	} else if (w->overcommit == pool->all.overcommit) {
		return 0;
	}
	if ((w->maximum_asked || w->overcommit_asked) &&
		adm_gigantic(p->state, pool->page_bytes))
		return tool_fail("%s: the kernel does not overcommit pages of "
				 "%s",
			w->from_limit, tool_size(pool->page_bytes).text);
	a = adm_plan_add(p->plan, ADM_DO_OVERCOMMIT,
		w->from_limit ? w->from_limit : w->from);
	a->page_bytes = pool->page_bytes;
	a->before = pool->all.overcommit;
	a->keeps_maximum = !w->overcommit_asked;
	a->after = a->keeps_maximum ? maximum : w->overcommit;
	return 0;
}

static int plan_pools(struct planner *p)
{
	int status = 0;

	for (int i = 0; i < p->state->pools && !status; i++) {
		const struct adm_pool *pool = &p->state->pool[i];
		const struct work *w = &p->work[i];

		if (w->total_asked)
			resize(p, pool, w, -1, w->total);
		for (int k = 0; k < p->state->nodes; k++) {
			if (w->node_asked[k])
				resize(p, pool, w, k, w->node[k]);
		}
		status = limit(p, pool, w);
	}
	return status;
}

/* By kind; larger pages first, since they need more in one piece. */
static int in_order(const void *a, const void *b)
{
	const struct adm_action *x = a, *y = b;

	if (x->what != y->what)
		return x->what < y->what ? -1 : 1;
	if (x->what == ADM_DO_GROW && x->page_bytes != y->page_bytes)
		return x->page_bytes > y->page_bytes ? -1 : 1;
	return 0;
}

static void drop_settled(struct adm_plan *plan)
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->n; i++) {
		const struct adm_action *a = &plan->at[i];

		if (a->what == ADM_DO_SET && a->old &&
			strcmp(a->old, a->value) == 0)
			continue;
		plan->at[kept++] = *a;
	}
	plan->n = kept;
}

/* Stable: what is equal stays in the order of the requests. */
static void sort(struct adm_plan *plan)
{
	for (size_t i = 1; i < plan->n; i++) {
		struct adm_action a = plan->at[i];
		size_t k = i;

		for (; k > 0 && in_order(&plan->at[k - 1], &a) > 0; k--)
			plan->at[k] = plan->at[k - 1];
		plan->at[k] = a;
	}
}

int adm_plan_make(struct adm_state *state, const struct adm_requests *requests,
	struct adm_plan *plan)
{
	struct planner p = {.state = state, .plan = plan};
	int status;

	*plan = (struct adm_plan){0};
	start(&p);
	status = take_all(&p, requests);
	if (!status)
		status = plan_pools(&p);
	if (status)
		return status;
	drop_settled(plan);
	sort(plan);
	adm_plan_fit(state, plan);
	return 0;
}
