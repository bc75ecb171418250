/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugestat PID: one process, mapping by mapping: what of it stands on pages of
 * the pools, what on transparent huge pages, on which nodes, what is reserved;
 * and the library's heap in it (hugestat_heap.c). Mappings without huge pages
 * are summed up in a line, and neighbours of one kind are a row.
 */
#include "hugestat.h"

#include "base/fmt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ADDRESS,
	LENGTH,
	MAPPINGS,
	PAGE,
	PRIVATE,
	SHARED,
	RESERVED,
	THP,
	NODES,
	FLAGS,
	NAME
};

static const struct table_column columns[] = {
	[ADDRESS] = {"ADDRESS", TABLE_TEXT, true, ""},
	[LENGTH] = {"LENGTH", TABLE_SIZE, true, ""},
	[MAPPINGS] = {"MAPPINGS", TABLE_NUMBER, true, ""},
	[PAGE] = {"PAGE", TABLE_SIZE, true, ""},
	[PRIVATE] = {"PRIVATE", TABLE_SIZE, true, ""},
	[SHARED] = {"SHARED", TABLE_SIZE, true, ""},
	[RESERVED] = {"RESERVED", TABLE_SIZE, true, ""},
	[THP] = {"THP", TABLE_SIZE, true, ""},
	[NODES] = {"NODES", TABLE_TEXT, true, ""},
	[FLAGS] = {"FLAGS", TABLE_TEXT, true, ""},
	[NAME] = {"NAME", TABLE_TEXT, true, ""},
};

struct node_pages {
	uintptr_t from;
	uint64_t pages[HL_NUMA_NODES]; /* of the mapping's page size */
};

/* Neighbours of the same kind: a heap has a mapping for each of its pages. */
struct run {
	size_t mappings; /* 0: none */
	struct hl_map_record sum;
	char *name;
	uint64_t thp_bytes, resv_bytes;
	uint64_t pages[HL_NUMA_NODES];
};

struct view {
	const struct stat_request *request;
	struct table table;
	struct node_pages *nodes; /* ascending, as the kernel lists them */
	size_t node_count, next_node;
	struct run run;
	uint64_t hugetlb_bytes, thp_bytes, rss_bytes, resv_bytes;
	size_t mappings;
};

/* ---- nodes ---- */

static int see_numa(const struct hl_numa_record *r, void *arg)
{
	struct view *v = arg;
	struct node_pages *n;

	if (!r->huge)
		return 0;
	if ((v->node_count & (v->node_count - 1)) == 0)
		v->nodes = tool_realloc(v->nodes,
			v->node_count ? 2 * v->node_count : 1,
			sizeof(*v->nodes));
	n = &v->nodes[v->node_count++];
	n->from = r->from;
	memcpy(n->pages, r->pages, sizeof(n->pages));
	return 0;
}

static void add_nodes(struct view *v, uintptr_t from)
{
	while (v->next_node < v->node_count &&
		v->nodes[v->next_node].from < from)
		v->next_node++;
	if (v->next_node == v->node_count ||
		v->nodes[v->next_node].from != from)
		return;
	for (unsigned i = 0; i < HL_NUMA_NODES; i++)
		v->run.pages[i] += v->nodes[v->next_node].pages[i];
}

/* "0:3,1:1"; nothing where no page is. */
static void put_nodes(struct table *t, const uint64_t *pages)
{
	char text[HL_NUMA_NODES * 24];
	struct hl_buf buf;

	hl_buf_init(&buf, text, sizeof(text));
	for (unsigned node = 0; node < HL_NUMA_NODES; node++) {
		if (pages[node] > 0)
			hl_buf_printf(&buf, "%s%u:%llu", buf.length ? "," : "",
				node, (unsigned long long)pages[node]);
	}
	if (buf.length > 0)
		table_text(t, NODES, text);
}

/* ---- mappings ---- */

static void put_flags(struct table *t, const struct hl_map_record *r)
{
	char *text =
		tool_text("%s%s", r->perms[3] == 's' ? "shared" : "private",
			r->nr ? ",noreserve" : "");

	table_text(t, FLAGS, text);
	free(text);
}

static void end_run(struct view *v)
{
	struct table *t = &v->table;
	struct run *run = &v->run;
	char address[48];

	if (run->mappings == 0)
		return;
	snprintf(address, sizeof(address), "%lx", (unsigned long)run->sum.from);
	table_row(t);
	table_text(t, ADDRESS, address);
	table_number(t, LENGTH, run->sum.to - run->sum.from);
	table_number(t, MAPPINGS, run->mappings);
	table_number(t, PAGE, run->sum.kernel_page_bytes);
	if (run->sum.ht) {
		table_number(t, PRIVATE, run->sum.private_hugetlb_bytes);
		table_number(t, SHARED, run->sum.shared_hugetlb_bytes);
		put_nodes(t, run->pages);
	}
	if (run->resv_bytes > 0)
		table_number(t, RESERVED, run->resv_bytes);
	if (run->thp_bytes > 0)
		table_number(t, THP, run->thp_bytes);
	put_flags(t, &run->sum);
	if (*run->name)
		table_text(t, NAME, run->name);
	free(run->name);
	*run = (struct run){.mappings = 0};
}

static bool goes_on(const struct run *run, const struct hl_map_record *r)
{
	return run->mappings > 0 && run->sum.to == r->from &&
	       run->sum.kernel_page_bytes == r->kernel_page_bytes &&
	       run->sum.ht == r->ht && run->sum.nr == r->nr &&
	       run->sum.perms[3] == r->perms[3] &&
	       strcmp(run->name, r->path) == 0;
}

static uint64_t thp_of(const struct hl_map_record *r)
{
	return r->anon_huge_bytes + r->shmem_huge_bytes + r->file_huge_bytes;
}

static int see_map(const struct hl_map_record *r, void *arg)
{
	uint64_t present = r->private_hugetlb_bytes + r->shared_hugetlb_bytes;
	uint64_t length = r->to - r->from;
	struct view *v = arg;
	struct run *run = &v->run;

	v->mappings++;
	v->rss_bytes += r->rss_bytes;
	v->thp_bytes += thp_of(r);
	v->hugetlb_bytes += present;
	if (!r->ht && thp_of(r) == 0)
		return 0;
	if (!goes_on(run, r)) {
		end_run(v);
		run->sum = *r;
		run->name = tool_strdup(r->path);
	} else {
		run->sum.to = r->to;
		run->sum.private_hugetlb_bytes += r->private_hugetlb_bytes;
		run->sum.shared_hugetlb_bytes += r->shared_hugetlb_bytes;
	}
	run->mappings++;
	run->thp_bytes += thp_of(r);
	if (r->ht)
		add_nodes(v, r->from);
	/* What a file reserved is the file's, wherever it is mapped. */
	if (r->ht && r->perms[3] == 'p' && !r->nr && length > present) {
		run->resv_bytes += length - present;
		v->resv_bytes += length - present;
	}
	return 0;
}

/* ---- forms ---- */

static uint64_t huge_of(const struct view *v)
{
	return v->hugetlb_bytes + v->thp_bytes;
}

static void show_text(
	const struct view *v, const struct stat_process *p, const char *cgroup)
{
	uint64_t all = v->rss_bytes + v->hugetlb_bytes;

	printf("%d %s, user %s", (int)p->pid, p->comm,
		stat_user(v->request, p->uid));
	if (*cgroup)
		printf(", cgroup %s", cgroup);
	if (p->container[0])
		printf(", container %.12s", p->container);
	putchar('\n');
	table_print(&v->table, stdout);
	printf("%zu mappings: %s of hugetlb, ", v->mappings,
		tool_human(v->hugetlb_bytes).text);
	printf("%s of THP, ", tool_human(v->thp_bytes).text);
	printf("%s resident in all", tool_human(all).text);
	if (all > 0)
		printf(": %.1f %% on huge pages",
			(double)huge_of(v) * 100 / (double)all);
	putchar('\n');
	if (v->resv_bytes > 0)
		printf("%s reserved and untouched (unless a parent of this "
		       "process owns the reservation)\n",
			tool_human(v->resv_bytes).text);
	stat_heap_text(v->request, p->pid);
}

static int show_json(
	const struct view *v, const struct stat_process *p, const char *cgroup)
{
	static char text[65536];
	struct hl_json json;

	fflush(stdout);
	hl_json_init_fd(&json, STDOUT_FILENO, text, sizeof(text));
	json.indent = v->request->watch_s == 0;
	hl_json_begin_object(&json, NULL);
	hl_json_u64(&json, "version", 1);
	hl_json_string(&json, "hugestat", HL_VERSION);
	hl_json_u64(&json, "pid", (uint64_t)p->pid);
	hl_json_string(&json, "comm", p->comm);
	hl_json_u64(&json, "uid", p->uid);
	hl_json_string(&json, "cgroup", cgroup);
	hl_json_string(&json, "container", p->container);
	hl_json_u64(&json, "rss_bytes", v->rss_bytes);
	hl_json_u64(&json, "hugetlb_bytes", v->hugetlb_bytes);
	hl_json_u64(&json, "thp_bytes", v->thp_bytes);
	hl_json_u64(&json, "reserved_bytes", v->resv_bytes);
	hl_json_ratio(
		&json, "coverage", huge_of(v), v->rss_bytes + v->hugetlb_bytes);
	hl_json_u64(&json, "mappings_in_all", v->mappings);
	table_json(&v->table, &json, "mappings");
	stat_heap_json(&json, v->request, p->pid);
	hl_json_end(&json);
	return hl_json_finish(&json) ? TOOL_FAILURE : TOOL_OK;
}

static int look(struct view *v, const struct stat_process *p)
{
	const struct hl_root *root = &v->request->root;
	char *scratch = tool_zalloc(STAT_SCRATCH, 1);
	char cgroup[4096] = "";
	struct stat_process named = *p;
	int err, status = TOOL_OK;

	(void)hl_numa_maps_visit(root, p->pid, see_numa, v);
	err = hl_smaps_visit(root, p->pid, scratch, STAT_SCRATCH, see_map, v);
	free(scratch);
	end_run(v);
	if (hl_process_cgroup(root, p->pid, cgroup, sizeof(cgroup)) < 0)
		cgroup[0] = '\0';
	if (!hl_container_of_cgroup(cgroup, named.container))
		named.container[0] = '\0';
	if (err == -EACCES || err == -EPERM)
		return tool_fail("process %d (%s): no permission to read its "
				 "mappings; %s of huge pages are mapped in it",
			(int)p->pid, p->comm, tool_size(p->hugetlb_bytes).text);
	if (err)
		return tool_fail("process %d: %s", (int)p->pid,
			err == -ESRCH || err == -ENOENT ? "has ended"
							: strerror(-err));
	if (v->request->json)
		status = show_json(v, &named, cgroup);
	else
		show_text(v, &named, cgroup);
	return status;
}

int stat_pid(const struct stat_request *request)
{
	struct view v = {.request = request};
	struct stat_process p;
	int status;

	if (!stat_describe_process(&request->root, request->pid, &p))
		return tool_fail("process %d: no such process, or one without "
				 "memory of its own",
			(int)request->pid);
	table_init(&v.table, columns, HL_ARRAY_SIZE(columns));
	v.table.bytes = request->bytes;
	v.table.noheadings = request->noheadings;
	status = look(&v, &p);
	table_free(&v.table);
	free(v.nodes);
	free(p.comm);
	return status;
}
