/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a plan says: for people, as --dry-run prints it and line by line when it
 * is done, and as JSON.
 */
#include "hugeadm.h"

static char *place(const struct adm_state *state, int node)
{
	return node < 0 ? tool_strdup("")
			: tool_text(" on node %d", state->node[node].id);
}

/* Whether something came of it, be it less than asked. */
static bool is_known(const struct adm_action *a)
{
	return a->result == ADM_DONE || a->result == ADM_SHORT;
}

static char *pool_text(
	const struct adm_state *state, const struct adm_action *a)
{
	return tool_text("%s pages%s: %" PRIu64 " -> %" PRIu64,
		tool_size(a->page_bytes).text, place(state, a->node), a->before,
		is_known(a) ? a->reached : a->after);
}

static char *overcommit_text(const struct adm_action *a)
{
	const char *size = tool_strdup(tool_size(a->page_bytes).text);

	if (is_known(a))
		return tool_text("%s overcommit: %" PRIu64 " -> %" PRIu64, size,
			a->before, a->reached);
	if (a->keeps_maximum)
		return tool_text("%s overcommit: %" PRIu64 " -> up to %" PRIu64
				 " pages in all",
			size, a->before, a->after);
	return tool_text("%s overcommit: %" PRIu64 " -> %" PRIu64, size,
		a->before, a->after);
}

static char *mount_text(const struct adm_action *a)
{
	static const char *const verbs[] = {
		[ADM_NEW_MOUNT] = "mount",
		[ADM_CHANGE_OWNER] = "change owner and mode of",
		[ADM_MOUNT_ANEW] = "mount anew",
	};

	if (a->what == ADM_DO_UNMOUNT)
		return tool_text("unmount %s", adm_one_line(a->mount.path));
	return tool_text("%s %s: %s", verbs[a->remount],
		adm_one_line(a->mount.path), adm_mount_options(&a->mount));
}

char *adm_action_text(const struct adm_state *state, const struct adm_action *a)
{
	switch (a->what) {
	case ADM_DO_DROP_CACHES:
		return tool_strdup("drop clean caches");
	case ADM_DO_COMPACT:
		return tool_text("compact memory%s", place(state, a->node));
	case ADM_DO_SET:
		return tool_text("%s: %s -> %s", a->path, a->old ? a->old : "",
			a->value);
	case ADM_DO_DEMOTE:
		return tool_text("%s, by demoting them to %s",
			pool_text(state, a), tool_size(a->to_bytes).text);
	case ADM_DO_SHRINK:
	case ADM_DO_GROW:
		return pool_text(state, a);
	case ADM_DO_OVERCOMMIT:
		return overcommit_text(a);
	case ADM_DO_UNMOUNT:
	case ADM_DO_MOUNT:
		return mount_text(a);
	}
	return tool_strdup("");
}

static void print_memory(
	const struct adm_state *state, const struct adm_plan *plan)
{
	uint64_t now = state->memory.available_bytes, left;

	if (!state->memory_known ||
		(plan->takes_bytes == 0 && plan->gives_bytes == 0))
		return;
	left = now + plan->gives_bytes;
	left = left > plan->takes_bytes ? left - plan->takes_bytes : 0;
	printf("memory: %s available", tool_human(now).text);
	if (plan->gives_bytes > 0)
		printf(", %s comes back", tool_human(plan->gives_bytes).text);
	if (plan->takes_bytes > 0)
		printf(", pools take %s", tool_human(plan->takes_bytes).text);
	printf(", %s stays for the rest\n", tool_human(left).text);
}

void adm_plan_print(const struct adm_state *state, const struct adm_plan *plan)
{
	if (plan->n == 0)
		puts("nothing to change");
	for (size_t i = 0; i < plan->n; i++)
		printf("would do: %s\n", adm_action_text(state, &plan->at[i]));
	print_memory(state, plan);
	if (plan->warning)
		printf("does not fit: %s\n", plan->warning);
}

static const char *kind_name(enum adm_do what)
{
	static const char *const names[] = {
		[ADM_DO_UNMOUNT] = "unmount",
		[ADM_DO_DROP_CACHES] = "drop_caches",
		[ADM_DO_COMPACT] = "compact",
		[ADM_DO_SET] = "setting",
		[ADM_DO_DEMOTE] = "demote",
		[ADM_DO_SHRINK] = "pool",
		[ADM_DO_GROW] = "pool",
		[ADM_DO_OVERCOMMIT] = "overcommit",
		[ADM_DO_MOUNT] = "mount",
	};

	return names[what];
}

static void json_pool(struct hl_json *json, const struct adm_state *state,
	const struct adm_action *a)
{
	bool overcommit = a->what == ADM_DO_OVERCOMMIT;

	hl_json_u64(json, "page_bytes", a->page_bytes);
	if (a->what == ADM_DO_DEMOTE)
		hl_json_u64(json, "to_page_bytes", a->to_bytes);
	if (!overcommit && a->node >= 0)
		hl_json_i64(json, "node", state->node[a->node].id);
	else if (!overcommit)
		hl_json_null(json, "node");
	hl_json_u64(json, "before", a->before);
	hl_json_u64(json,
		overcommit && a->keeps_maximum ? "asked_maximum" : "asked",
		a->after);
	if (a->result == ADM_NOT_DONE)
		hl_json_null(json, "reached");
	else
		hl_json_u64(json, "reached", a->reached);
}

static void json_action(struct hl_json *json, const struct adm_state *state,
	const struct adm_action *a)
{
	static const char *const results[] = {
		[ADM_NOT_DONE] = "planned",
		[ADM_DONE] = "done",
		[ADM_SHORT] = "partial",
		[ADM_FAILED] = "failed",
	};

	hl_json_begin_object(json, NULL);
	hl_json_string(json, "what", kind_name(a->what));
	switch (a->what) {
	case ADM_DO_SET:
		hl_json_string(json, "path", a->path);
		hl_json_string(json, "before", a->old ? a->old : "");
		hl_json_string(json, "asked", a->value);
		break;
	case ADM_DO_MOUNT:
	case ADM_DO_UNMOUNT:
		hl_json_string(json, "path", a->mount.path);
		break;
	case ADM_DO_COMPACT:
		if (a->node >= 0)
			hl_json_i64(json, "node", state->node[a->node].id);
		break;
	case ADM_DO_DROP_CACHES:
		break;
	default:
		json_pool(json, state, a);
	}
	hl_json_string(json, "result", results[a->result]);
	if (a->why)
		hl_json_string(json, "why", a->why);
	hl_json_end(json);
}

static void json_files(struct hl_json *json, const struct adm_plan *plan)
{
	static const char *const results[] = {
		[ADM_WRITTEN] = "written",
		[ADM_REMOVED] = "removed",
		[ADM_UNCHANGED] = "unchanged",
		[ADM_WOULD_WRITE] = "planned",
		[ADM_WOULD_REMOVE] = "planned",
	};

	if (plan->file_count == 0)
		return;
	hl_json_begin_array(json, "files");
	for (size_t i = 0; i < plan->file_count; i++) {
		hl_json_begin_object(json, NULL);
		hl_json_string(json, "path", plan->files[i].path);
		hl_json_string(json, "result", results[plan->files[i].what]);
		hl_json_end(json);
	}
	hl_json_end(json);
}

static bool is_change(const struct adm_action *a)
{
	switch (a->what) {
	case ADM_DO_SHRINK:
	case ADM_DO_GROW:
	case ADM_DO_DEMOTE:
	case ADM_DO_OVERCOMMIT:
		return is_known(a) && a->reached != a->before;
	default:
		return is_known(a);
	}
}

void adm_plan_json(struct hl_json *json, const struct adm_state *state,
	const struct adm_plan *plan, bool dry, int status)
{
	bool changed = false;

	for (size_t i = 0; i < plan->n; i++)
		changed = changed || is_change(&plan->at[i]);
	hl_json_bool(json, "changed", changed);
	hl_json_bool(json, "dry_run", dry);
	hl_json_i64(json, "status", status);
	if (plan->refused)
		hl_json_string(json, "refused", plan->refused);
	if (plan->warning)
		hl_json_string(json, "warning", plan->warning);
	hl_json_begin_array(json, "changes");
	for (size_t i = 0; i < plan->n; i++)
		json_action(json, state, &plan->at[i]);
	hl_json_end(json);
	json_files(json, plan);
}
