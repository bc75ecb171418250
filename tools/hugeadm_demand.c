/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a process, or a report of one, has that could be on huge pages.
 *
 * Heap: private anonymous memory, resident or on huge pages already, as far as
 * malloc has it in small blocks; all of it where that cannot be told. Shared
 * memory: System V segments, /dev/shm, memfd, shared anonymous memory, whole
 * pages each. Text: the whole huge pages inside the program's own executable
 * segments. A report knows more of the heap: how many units it wanted at its
 * peak, whatever the pool had; a process that counts for one is asked there.
 */
#include "hugeadm_suggest.h"
#include "json_read.h"

#include "base/report.h"
#include "system/proc.h"

#include <unistd.h>

#define SCRATCH (128 * HL_KIB)
/* The heap's coin (lib/README.md: unit), and what it keeps on base pages. */
#define UNIT_BYTES  (2 * HL_MIB)
#define SMALL_BYTES HL_MIB

struct look {
	struct adm_demand *d;
	char exe[4096];
	uint64_t heap_bytes, shm_bytes, shm_hpages, text_bytes, text_hpages;
	uint64_t *inode; /* of shared memory that was counted */
	size_t inodes;
	struct adm_range *heap; /* its mappings, ascending */
	size_t mappings;
	uint64_t *node_bytes;
	struct adm_malloc malloc;
	uintptr_t report; /* where its counters are; 0: none */
};

static uint64_t pages_up(const struct adm_demand *d, uint64_t bytes)
{
	return bytes / d->page_bytes + (bytes % d->page_bytes != 0);
}

static bool starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool is_heap(const struct hl_map_record *r)
{
	if (r->perms[1] != 'w' || r->perms[3] != 'p')
		return false;
	if (r->path[0] == '\0' || strcmp(r->path, "[heap]") == 0 ||
		starts(r->path, "[anon"))
		return true;
	/* Our own heap: anonymous huge pages have a file's name. */
	return r->ht && starts(r->path, "/anon_hugepage");
}

static void add_heap(struct look *l, const struct hl_map_record *r)
{
	l->heap_bytes += r->rss_bytes + r->private_hugetlb_bytes;
	if (r->ht)
		l->malloc.other = true;
	l->heap = tool_realloc(l->heap, l->mappings + 1, sizeof(*l->heap));
	l->heap[l->mappings++] = (struct adm_range){
		r->from, r->to, strcmp(r->path, "[heap]") == 0};
}

static bool is_shared_memory(const struct hl_map_record *r)
{
	static const char *const places[] = {
		"/SYSV", "/dev/shm/", "/memfd:", "/dev/zero"};

	/* Our own report, if it runs under hugectl. */
	if (starts(r->path, "/memfd:" HL_REPORT_NAME " "))
		return false;
	for (size_t i = 0; i < HL_ARRAY_SIZE(places); i++) {
		if (r->perms[3] == 's' && starts(r->path, places[i]))
			return true;
	}
	return false;
}

static void add_shared(struct look *l, const struct hl_map_record *r)
{
	/* Mapped twice it is there once. */
	for (size_t i = 0; i < l->inodes; i++) {
		if (l->inode[i] == r->inode)
			return;
	}
	l->inode = tool_realloc(l->inode, l->inodes + 1, sizeof(*l->inode));
	l->inode[l->inodes++] = r->inode;
	l->shm_bytes += r->to - r->from;
	l->shm_hpages += pages_up(l->d, r->to - r->from);
}

static void add_text(struct look *l, const struct hl_map_record *r)
{
	uintptr_t from = hl_align_up(r->from, l->d->page_bytes);
	uintptr_t to = hl_align_down(r->to, l->d->page_bytes);

	l->text_bytes += r->to - r->from;
	if (to > from)
		l->text_hpages += (to - from) / l->d->page_bytes;
}

static bool is_report(const struct hl_map_record *r)
{
	return r->to - r->from == hl_align_up(sizeof(struct hl_report_slot),
					  (size_t)sysconf(_SC_PAGESIZE)) &&
	       r->perms[3] == 's' &&
	       starts(r->path, "/memfd:" HL_REPORT_NAME " ");
}

static int see(const struct hl_map_record *r, void *arg)
{
	struct look *l = arg;

	if (r->perms[2] == 'x')
		adm_malloc_see(&l->malloc, r->path);
	if (is_report(r))
		l->report = r->from;
	else if (is_heap(r))
		add_heap(l, r);
	else if (is_shared_memory(r))
		add_shared(l, r);
	else if (r->perms[2] == 'x' && strcmp(r->path, l->exe) == 0)
		add_text(l, r);
	return 0;
}

static int see_nodes(const struct hl_numa_record *r, void *arg)
{
	struct look *l = arg;
	size_t low = 0, high = l->mappings;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (l->heap[middle].from < r->from)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == l->mappings || l->heap[low].from != r->from)
		return 0;
	for (int i = 0; i < l->d->state->nodes; i++) {
		int id = l->d->state->node[i].id;

		if (id < HL_NUMA_NODES)
			l->node_bytes[i] += r->pages[id] * r->page_bytes;
	}
	return 0;
}

static void keep_larger(struct adm_part *part, uint64_t bytes, uint64_t hpages)
{
	if (bytes > part->bytes)
		*part = (struct adm_part){bytes, hpages, hpages};
}

/* What a process that runs under hugectl --report has counted so far. */
static bool counted(const struct look *l, uint64_t *wished)
{
	uint64_t at = l->report +
		      offsetof(struct hl_report_slot, counts.peak_wished_bytes);

	return l->report != 0 && l->malloc.mem >= 0 &&
	       pread(l->malloc.mem, wished, sizeof(*wished), (off_t)at) ==
		       (ssize_t)sizeof(*wished);
}

static void heap_seen(struct look *l, struct adm_part *out)
{
	uint64_t small, wished;

	*out = (struct adm_part){.bytes = l->heap_bytes};
	if (counted(l, &wished)) {
		out->hpages = out->most_hpages = pages_up(l->d, wished);
		return;
	}
	out->hpages = out->most_hpages = pages_up(l->d, l->heap_bytes);
	if (!adm_malloc_is_known(&l->malloc))
		return;
	small = adm_malloc_small(&l->malloc, l->heap, l->mappings);
	small = small > SMALL_BYTES ? small - SMALL_BYTES : 0;
	out->hpages = HL_MIN(pages_up(l->d, small), out->most_hpages);
}

int adm_demand_look(struct adm_demand *d, pid_t pid)
{
	struct look l = {.d = d};
	const struct hl_root *root = &d->state->root;
	char *buf = tool_zalloc(1, SCRATCH);
	char *path = tool_text("%s/proc/%d/exe", root->prefix, pid);
	ssize_t n = readlink(path, l.exe, sizeof(l.exe) - 1);
	int err;

	l.exe[HL_MAX(n, 0)] = '\0';
	adm_malloc_open(&l.malloc, root, pid);
	l.node_bytes =
		tool_zalloc((size_t)d->state->nodes, sizeof(*l.node_bytes));
	err = hl_smaps_visit(root, pid, buf, SCRATCH, see, &l);
	if (err == 0 && l.heap_bytes > d->heap.bytes &&
		hl_numa_maps_visit(root, pid, see_nodes, &l) == 0)
		memcpy(d->node_bytes, l.node_bytes,
			(size_t)d->state->nodes * sizeof(*l.node_bytes));
	if (err == 0) {
		if (l.heap_bytes > d->heap.bytes)
			heap_seen(&l, &d->heap);
		keep_larger(&d->shm, l.shm_bytes, l.shm_hpages);
		keep_larger(&d->text, l.text_bytes, l.text_hpages);
	}
	adm_malloc_close(&l.malloc);
	free(l.heap);
	free(l.inode);
	free(l.node_bytes);
	free(path);
	free(buf);
	return err;
}

/* ---- reports ---- */

static uint64_t get(const struct json_value *object, const char *key)
{
	uint64_t value = 0;

	(void)json_u64(json_member(object, key), &value);
	return value;
}

/* Units that a limit of the pool sent to other memory. */
static uint64_t missed_units(const struct json_value *report)
{
	const struct json_value *list = json_member(report, "fallbacks");
	uint64_t units = 0;

	for (const struct json_value *v = list ? list->child : NULL; v;
		v = v->next) {
		const struct json_value *limit = json_member(v, "limit");

		if (limit && limit->type == JSON_STRING &&
			strcmp(limit->text, "memory") != 0)
			units += get(v, "units");
	}
	return units;
}

/*
 * What a pool with room was or would have been asked for. Reports without that
 * tell what was on its pages, and what would have been: at most what was wanted
 * in vain, and at most what there was at the peak.
 */
static bool heap_of(const struct adm_demand *d, const struct json_value *report,
	struct adm_part *out)
{
	const struct json_value *heap = json_member(report, "heap");
	const struct json_value *peak = json_member(heap, "peak");
	uint64_t hugetlb = get(peak, "hugetlb_bytes");
	uint64_t base = get(peak, "base_bytes");
	uint64_t other = get(peak, "thp_bytes"), missed, wished;

	if (!peak || peak->type != JSON_OBJECT)
		return false;
	other += base > SMALL_BYTES ? base - SMALL_BYTES : 0;
	missed = missed_units(report) * UNIT_BYTES;
	out->bytes = get(heap, "peak_bytes");
	if (json_u64(json_member(heap, "wished_peak_bytes"), &wished)) {
		out->hpages = out->most_hpages = pages_up(d, wished);
		return true;
	}
	out->hpages = pages_up(d, hugetlb + HL_MIN(other, missed));
	out->most_hpages = pages_up(d, hugetlb + other);
	return true;
}

int adm_demand_report(struct adm_demand *d, const char *path)
{
	FILE *file = fopen(path, "re");
	size_t room = 65536, n = 0, got;
	char *text = NULL;
	const char *expected;
	struct json_value *report;
	const struct json_value *others, *program;
	int line;

	if (!file)
		return tool_fail("%s: %s", path, strerror(errno));
	do {
		room *= 2;
		text = tool_realloc(text, room, 1);
		got = fread(text + n, 1, room - n, file);
		n += got;
	} while (got > 0 && room < 256 * HL_MIB);
	fclose(file);
	report = json_read(text, n, &line, &expected);
	if (!report)
		return tool_usage("--suggest: %s is neither a program nor a "
				  "report of hugectl (line %d: expected %s)",
			path, line, expected);
	if (!heap_of(d, report, &d->heap))
		return tool_usage("%s: no report of hugectl on a program whose "
				  "heap was counted",
			path);
	program = json_member(report, "program");
	if (!d->program)
		d->program = program && program->text ? program->text : "";
	others = json_member(report, "processes");
	for (const struct json_value *v = others ? others->child : NULL; v;
		v = v->next) {
		struct adm_part part;

		if (!heap_of(d, v, &part) || part.hpages == 0)
			continue;
		d->others++;
		d->other_hpages = HL_MAX(d->other_hpages, part.hpages);
	}
	return TOOL_OK;
}
