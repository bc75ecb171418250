/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --suggest PID|REPORT|PROGRAM: reading which of the three it is, and saying
 * what was found (hugeadm_demand.c, hugeadm_demand_run.c).
 */
#include "hugeadm_suggest.h"

#include <sys/stat.h>
#include <unistd.h>

static uint64_t all_pages(const struct adm_demand *d)
{
	return d->heap.hpages + d->shm.hpages + d->text.hpages +
	       d->other_hpages;
}

static void print_part(
	const struct adm_demand *d, const char *name, const struct adm_part *p)
{
	printf("%-14s %10s  %8" PRIu64 " pages of %s\n", name,
		tool_human(p->bytes).text, p->hpages,
		tool_size(d->page_bytes).text);
}

/* Pages of the heap on a node, by the share of it that lies there now. */
static uint64_t on_node(const struct adm_demand *d, int node)
{
	uint64_t sum = 0;

	for (int i = 0; i < d->state->nodes; i++)
		sum += d->node_bytes[i];
	if (sum == 0)
		return 0;
	return (uint64_t)((double)d->node_bytes[node] / (double)sum *
				  (double)d->heap.hpages +
			  0.5);
}

static void print_nodes(const struct adm_demand *d)
{
	uint64_t all = 0;

	for (int i = 0; i < d->state->nodes; i++)
		all += d->node_bytes[i];
	if (d->state->nodes < 2 || all == 0)
		return;
	fputs("heap by node: ", stdout);
	for (int i = 0; i < d->state->nodes; i++)
		printf("%snode %d: %" PRIu64, i ? ", " : "",
			d->state->node[i].id, on_node(d, i));
	putchar('\n');
}

static void print_advice(const struct adm_demand *d)
{
	struct hl_pool pool;
	uint64_t need = all_pages(d), have = 0;

	if (hl_pool_read(&d->state->root, d->page_bytes, HL_NODE_ANY, &pool) ==
		0)
		have = pool.free > pool.resv ? pool.free - pool.resv : 0;
	if (have >= need)
		printf("the pool has %" PRIu64 " pages for it\n", have);
	else
		printf("the pool has %" PRIu64 " pages for it: "
		       "hugeadm --pool-pages-min %s:+%" PRIu64 "\n",
			have, tool_size(d->page_bytes).text, need - have);
}

static void print_text(const struct adm_demand *d)
{
	printf("%s\n", d->program);
	print_part(d, "heap", &d->heap);
	if (d->heap.most_hpages > d->heap.hpages)
		printf("%-14s %10s  %8" PRIu64
		       " with large blocks, and what it maps by itself\n",
			"", "", d->heap.most_hpages);
	print_part(d, "shared memory", &d->shm);
	print_part(d, "text", &d->text);
	if (d->others > 0)
		printf("%" PRIu64 " more processes, the largest heap takes "
		       "%" PRIu64 " pages\n",
			d->others, d->other_hpages);
	printf("%-14s %10s  %8" PRIu64 " pages of %s\n", "in all",
		tool_human(all_pages(d) * d->page_bytes).text, all_pages(d),
		tool_size(d->page_bytes).text);
	print_nodes(d);
	print_advice(d);
}

static void json_part(struct hl_json *json, const struct adm_demand *d,
	const char *key, const struct adm_part *part)
{
	hl_json_begin_object(json, key);
	hl_json_u64(json, "bytes", part->bytes);
	hl_json_u64(json, "page_bytes", d->page_bytes);
	hl_json_u64(json, "pages", part->hpages);
	hl_json_u64(json, "most_pages", part->most_hpages);
	hl_json_end(json);
}

static int print_json(const struct adm_demand *d)
{
	char text[4096];
	struct hl_json json;

	fflush(stdout);
	hl_json_init_fd(&json, STDOUT_FILENO, text, sizeof(text));
	json.indent = true;
	hl_json_begin_object(&json, NULL);
	hl_json_string(&json, "program", d->program);
	hl_json_u64(&json, "page_bytes", d->page_bytes);
	hl_json_u64(&json, "pages", all_pages(d));
	json_part(&json, d, "heap", &d->heap);
	json_part(&json, d, "shared_memory", &d->shm);
	json_part(&json, d, "text", &d->text);
	hl_json_u64(&json, "other_processes", d->others);
	hl_json_u64(&json, "largest_other_pages", d->other_hpages);
	hl_json_begin_array(&json, "nodes");
	for (int i = 0; i < d->state->nodes; i++) {
		hl_json_begin_object(&json, NULL);
		hl_json_i64(&json, "node", d->state->node[i].id);
		hl_json_u64(&json, "heap_bytes", d->node_bytes[i]);
		hl_json_u64(&json, "heap_pages", on_node(d, i));
		hl_json_end(&json);
	}
	hl_json_end(&json);
	hl_json_end(&json);
	return hl_json_finish(&json) ? TOOL_FAILURE : TOOL_OK;
}

static int look_at_pid(struct adm_demand *d, uint64_t pid)
{
	int err = pid > INT32_MAX ? -ESRCH : adm_demand_look(d, (pid_t)pid);

	d->program = tool_text("process %" PRIu64, pid);
	if (err)
		return tool_fail("--suggest: process %" PRIu64 ": %s", pid,
			strerror(err == -ENOENT ? ESRCH : -err));
	return TOOL_OK;
}

static bool is_report(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, X_OK) != 0;
}

int adm_suggest(const struct adm_state *state, char **what, bool json)
{
	struct adm_demand d = {
		.state = state, .page_bytes = state->default_bytes};
	uint64_t pid;
	int status;

	if (d.page_bytes == 0)
		return tool_fail("--suggest: this kernel has no huge pages");
	d.node_bytes = tool_zalloc((size_t)state->nodes, sizeof(*d.node_bytes));
	if (what[0][0] == '-' || what[0][0] == '\0')
		return tool_usage("--suggest: \"%s\" is no process, report or "
				  "program",
			what[0]);
	if (!what[1] && hl_parse_u64(what[0], &pid) == 0)
		status = look_at_pid(&d, pid);
	else if (!what[1] && is_report(what[0]))
		status = adm_demand_report(&d, what[0]);
	else
		status = adm_demand_run(&d, what);
	if (status)
		return status;
	if (json)
		return print_json(&d);
	print_text(&d);
	return TOOL_OK;
}
