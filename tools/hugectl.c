/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugectl: runs a program with its memory on huge pages. It sets variables and
 * becomes the program; with --report it stays as the parent.
 *
 * The options and the decisions are in hugectl_core.h, shared with the short
 * way of hugectl_start.c, which is tried before this file's main().
 */
#include "hugectl.h"

#include "base/bitmap.h"
#include "base/syscall.h"
#include "system/nodestring.h"
#include "system/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

struct run {
	struct ctl_options o;
	struct ctl_target t;
	struct ctl_plan plan;
	struct ctl_arena arena;
};

/* Room for every string of the environment twice, and what we add. */
static bool open_arena(struct ctl_arena *arena, char **argv)
{
	size_t bytes = 65536;
	char *memory;

	for (char **s = environ; *s; s++)
		bytes += 2 * strlen(*s) + 2;
	for (char **s = argv; *s; s++)
		bytes += 4 * strlen(*s) + 2;
	memory = malloc(bytes);
	if (!memory)
		return false;
	*arena = (struct ctl_arena){memory, memory + bytes, false};
	return true;
}

/* numactl's notation becomes the plain list that the library reads. */
static int resolve_nodes(struct run *run)
{
	const char *asked = run->o.given[CTL_NODE];
	uint64_t bits[HL_NODES_MAX / 64];
	char text[HL_NODES_MAX * 5];
	struct hl_buf buf;
	int err;

	if (!asked || strcmp(asked, "local") == 0 ||
		strcmp(asked, "interleave") == 0)
		return 0;
	err = hl_nodestring_parse(asked, bits, HL_NODES_MAX);
	if (err) {
		ctl_say(&run->o, HL_LOG_ERROR, "--node: \"%s\": %s", asked,
			err == -ENOSYS ? "this kernel has no NUMA nodes"
				       : "no such node here, or not a list");
		return err;
	}
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_list(&buf, bits, HL_NODES_MAX);
	run->o.given[CTL_NODE] = ctl_join(&run->arena, text, NULL);
	return 0;
}

/* Plans, and once more if the object needs a path that ld.so can read. */
static int make_plan(struct run *run)
{
	const char *directory = ctl_own_directory(&run->arena);
	int err;

	ctl_plan(&run->plan, &run->o, &run->t, directory, environ, &run->arena);
	if (!run->plan.preload_unsafe)
		return 0;
	err = ctl_safe_link(run->plan.preload, &run->arena, &run->o.object);
	if (err) {
		ctl_say(&run->o, HL_LOG_ERROR,
			"%s: a path with a space, colon or dollar sign cannot "
			"be preloaded, and no link could be made: %s",
			run->plan.preload, ctl_reason(err));
		return err;
	}
	ctl_plan(&run->plan, &run->o, &run->t, directory, environ, &run->arena);
	return 0;
}

/* NULL and a message if there is no memory for it. */
static char *const *make_environment(const struct run *run)
{
	const struct ctl_plan *plan = &run->plan;
	size_t n = plan->sets + 1;
	const char **envp;

	for (char **s = environ; *s; s++)
		n++;
	envp = calloc(n, sizeof(*envp));
	if (!envp || !ctl_environment(plan, environ, envp, n) ||
		run->arena.full) {
		ctl_say(&run->o, HL_LOG_ERROR, "out of memory");
		return NULL;
	}
	return (char *const *)(uintptr_t)envp;
}

static int start(struct run *run)
{
	struct ctl_report *report = NULL;
	const char *path = NULL;
	char *const *envp;
	int err;

	if (run->o.given[CTL_REPORT]) {
		if (ctl_report_open(&run->o, &report, &path))
			return CTL_EXIT_FAILURE;
		if (report)
			run->plan.set[run->plan.sets++] = ctl_join(
				&run->arena, "HUGETLB_REPORT=", path, NULL);
	}
	envp = make_environment(run);
	if (!envp)
		return CTL_EXIT_FAILURE;
	ctl_say_plan(&run->o, &run->t, &run->plan);
	if (report)
		return ctl_run(&run->o, &run->t, envp, report);
	err = ctl_exec(&run->t, run->o.target, envp);
	ctl_say(&run->o, HL_LOG_ERROR, "%s: %s", run->t.path, ctl_reason(err));
	return ctl_exit_of(err);
}

/* The exit status, or that of a failed write, told even when quiet. */
static int printed(int err, int status)
{
	struct ctl_options loud = {.level = HL_LOG_WARN};

	if (!err)
		return status;
	ctl_say(&loud, HL_LOG_ERROR, "standard output: %s", ctl_reason(err));
	return CTL_EXIT_FAILURE;
}

static int work(struct run *run, char **argv)
{
	char *const *envp;
	bool runs = !run->o.given[CTL_DRY_RUN] && !run->o.given[CTL_EXPLAIN];

	if (!open_arena(&run->arena, argv)) {
		ctl_say(&run->o, HL_LOG_ERROR, "out of memory");
		return CTL_EXIT_FAILURE;
	}
	if (resolve_nodes(run))
		return CTL_EXIT_FAILURE;
	if (run->o.target[0]) {
		ctl_judge(&run->t, run->o.target[0], environ, &run->arena);
		if (run->t.found && runs) {
			ctl_say(&run->o, HL_LOG_ERROR, "%s: %s",
				run->o.target[0], ctl_reason(run->t.found));
			return ctl_exit_of(run->t.found);
		}
	}
	if (make_plan(run))
		return CTL_EXIT_FAILURE;
	if (run->o.given[CTL_EXPLAIN]) {
		envp = make_environment(run);
		if (!envp)
			return CTL_EXIT_FAILURE;
		return printed(ctl_explain(&run->o, &run->t, &run->plan, envp),
			run->o.target[0] && run->t.found
				? ctl_exit_of(run->t.found)
				: EXIT_SUCCESS);
	}
	if (run->o.given[CTL_DRY_RUN]) {
		ctl_say_plan(&run->o, &run->t, &run->plan);
		return printed(ctl_print_settings(&run->plan), EXIT_SUCCESS);
	}
	return start(run);
}

int main(int argc, char **argv)
{
	static const char version[] =
		"hugectl (libhugetlbfs2) " HL_VERSION "\n";
	static struct run run;

	ctl_parse(&run.o, argc, argv);
	if (run.o.error != CTL_OK) {
		ctl_say_error(&run.o);
		return CTL_EXIT_FAILURE;
	}
	if (run.o.given[CTL_HELP])
		return printed(ctl_print_help(), EXIT_SUCCESS);
	if (run.o.given[CTL_VERSION])
		return printed(hl_write_all(STDOUT_FILENO, version,
				       sizeof(version) - 1),
			EXIT_SUCCESS);
	return work(&run, argv);
}
