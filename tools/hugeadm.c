/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugeadm: pools of huge pages, mounts of hugetlbfs, and the kernel's settings,
 * shown and changed. This file is the way through a run; hugeadm.h names the
 * stations. Whoever changes something holds a lock, so that two runs with "+10"
 * make 20.
 */
#include "hugeadm_options.h"

#include <fcntl.h>
#include <sys/file.h>

#define LOCK "/run/hugeadm.lock"

/* Held until the end of the process. Without one it goes on all the same. */
static void lock(const struct adm_options *o)
{
	int fd;

	if (o->root.prefix[0] != '\0' || o->dry_run)
		return;
	fd = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		(void)flock(fd, LOCK_EX);
}

static int list(const struct adm_options *o, const struct adm_state *state)
{
	int status = TOOL_OK;

	if (o->sections & ADM_SHOW_POOLS)
		adm_list_pools(state, o->per_node);
	if (o->sections & (ADM_SHOW_SIZES | ADM_SHOW_USABLE_SIZES))
		adm_list_page_sizes(state, o->sections & ADM_SHOW_SIZES);
	if (o->sections & ADM_SHOW_MOUNTS)
		status = adm_list_mounts(state);
	if (o->sections & ADM_SHOW_BOOT) {
		char *text = adm_boot_parameters(state);

		if (*text)
			puts(text);
		else
			tool_say("no pool has pages: there is nothing to put "
				 "on the kernel's command line");
	}
	return status;
}

static int print_json(const struct adm_options *o,
	const struct adm_state *state, const struct adm_plan *plan, int status)
{
	unsigned sections = o->sections;
	int err;

	if (sections == 0 && !plan)
		sections = ADM_SHOW_ALL;
	if (o->persist)
		sections |= ADM_SHOW_BOOT;
	err = adm_print_json(state, sections, plan, o->dry_run, status);
	return err ? tool_fail("%s", strerror(-err)) : status;
}

/* Carries the plan out, or says what it is. The state is read again after. */
static int carry_out(const struct adm_options *o, struct adm_state *state,
	struct adm_plan *plan, const struct adm_requests *requests)
{
	struct adm_effort effort = o->effort;
	int status;

	effort.quiet = effort.quiet || o->json;
	if (plan->refused) {
		tool_say("%s", plan->refused);
		return plan->refused_status;
	}
	if (o->dry_run) {
		if (!o->json && adm_plan_grows(plan))
			adm_swap_print(state, &effort.swap);
		if (!o->json)
			adm_plan_print(state, plan);
		status = plan->warning ? TOOL_PARTIAL : TOOL_OK;
	} else {
		status = adm_apply(state, plan, &effort);
		if (plan->n == 0 && !effort.quiet && o->asked_count > 0)
			puts("nothing to change");
		adm_state_read(&o->root, state);
	}
	if (o->persist && status != TOOL_FAILURE) {
		const struct adm_persistence how = {
			.base = o->limits.base ? o->limits.base
					       : ADM_MOUNT_BASE,
			.dry = o->dry_run,
			.quiet = effort.quiet,
			.in_vain = requests->n < o->asked_count,
		};
		int persisted = adm_persist(state, requests, plan, &how);

		if (persisted)
			status = persisted;
		/* It was foreseen, but is not so. */
		if (o->dry_run)
			adm_state_read(&o->root, state);
	}
	return status;
}

static int change(const struct adm_options *o, struct adm_state *state)
{
	struct adm_requests requests = {0};
	struct adm_plan plan;
	int status = adm_options_requests(o, state, &requests);

	if (!status)
		status = adm_plan_make(state, &requests, &plan);
	if (status)
		return status;
	status = carry_out(o, state, &plan, &requests);
	if (o->json)
		return print_json(o, state, &plan, status);
	if (o->explain)
		adm_explain(state);
	return list(o, state) ? TOOL_FAILURE : status;
}

static int work(struct adm_options *o)
{
	static struct adm_state state;
	bool changes = o->asked_count > 0 || o->persist;
	int status;

	if (changes)
		lock(o);
	adm_state_read(&o->root, &state);
	if (o->leave) {
		status = adm_parse_amount(
			&state, "--leave", o->leave, &state.leave_bytes);
		if (status)
			return status;
		state.leave_text = tool_strdup(o->leave);
	}
	if (o->suggest)
		return adm_suggest(&state, o->operands, o->json);
	if (changes)
		return change(o, &state);
	if (o->json)
		return print_json(o, &state, NULL, TOOL_OK);
	if (o->explain)
		adm_explain(&state);
	return list(o, &state);
}

int main(int argc, char **argv)
{
	struct adm_options o;
	int status;

	tool_start("hugeadm", argv);
	status = adm_options_read(&o, argc, argv);
	if (!status && !o.done)
		status = work(&o);
	return tool_finish(status);
}
