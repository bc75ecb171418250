/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's heap in another process. Its counters, and how full each unit
 * is, live in memory that is shared with hugectl only if the program was
 * started with --report (base/report.h): then they are read there, as hugectl
 * would. Otherwise nothing is known of it from outside, which is said.
 *
 * Kernel behaviour relied on: /proc/PID/fd/N of a memfd can be opened by the
 * same user; the environment of a process is the one that it was started with.
 */
#include "hugestat.h"
#include "locale.h"

#include "heap/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct heap {
	bool loaded;
	const char *reason; /* why there is no slot; NULL: there is one */
	char least[64], most[64];
	struct hl_report_slot slot;
};

static int see_library(const struct hl_map_record *r, void *arg)
{
	const char *name = strrchr(r->path, '/');

	return name && strncmp(name, "/libhugetlbfs2", 14) == 0;
}

static bool is_report(const char *path)
{
	static const char name[] = "/memfd:" HL_REPORT_NAME;
	char link[sizeof(name)];
	ssize_t n = readlink(path, link, sizeof(link) - 1);

	return n == (ssize_t)sizeof(link) - 1 &&
	       memcmp(link, name, sizeof(link) - 1) == 0;
}

static bool is_known(const struct hl_report_header *h)
{
	return h->magic == HL_REPORT_MAGIC && h->version == HL_REPORT_VERSION &&
	       h->counts_bytes == sizeof(struct hl_counts) &&
	       h->slot_bytes >= sizeof(struct hl_report_slot) &&
	       h->slots <= HL_REPORT_SLOTS_MAX;
}

/* The latest image of the process. */
static bool find_slot(int fd, const struct hl_report_header *h, pid_t pid,
	struct hl_report_slot *out)
{
	size_t head = offsetof(struct hl_report_slot, program);
	static struct hl_report_slot slot;
	uint64_t best = 0;
	bool found = false;

	for (uint32_t i = 0; i < h->slots; i++) {
		off_t at = (off_t)hl_report_offset(h, i);

		if (!(h->taken[i / 64] >> (i % 64) & 1) ||
			pread(fd, (void *)&slot, head, at) != (ssize_t)head ||
			slot.pid != pid || slot.state == HL_REPORT_FREE ||
			(found && slot.order < best))
			continue;
		if (pread(fd, (void *)out, sizeof(*out), at) !=
			(ssize_t)sizeof(*out))
			continue;
		best = slot.order;
		found = true;
	}
	out->program[sizeof(out->program) - 1] = '\0';
	out->comm[sizeof(out->comm) - 1] = '\0';
	return found;
}

static const char *read_slot(const char *path, pid_t pid, struct heap *heap)
{
	static struct hl_report_header header;
	const char *reason = NULL;
	int fd;

	/* Not even opened if it is something else by now. */
	if (!is_report(path))
		return "hugectl, which had the counters, is gone or out of "
		       "reach";
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return "no permission to read the counters that it shares "
		       "with hugectl";
	if (pread(fd, (void *)&header, sizeof(header), 0) !=
			(ssize_t)sizeof(header) ||
		!is_known(&header))
		reason = "its counters are of another version of the library";
	else if (!find_slot(fd, &header, pid, &heap->slot))
		reason = "it shares no counters (all slots were taken, or "
			 "process ids are those of another name space)";
	close(fd);
	return reason;
}

static void look(
	const struct stat_request *request, pid_t pid, struct heap *heap)
{
	const struct hl_root *root = &request->root;
	char *scratch = tool_zalloc(STAT_SCRATCH, 1);
	char value[256], *path;
	int err;

	heap->loaded = hl_maps_visit(root, pid, scratch, STAT_SCRATCH,
			       see_library, NULL) == 1;
	free(scratch);
	heap->least[0] = heap->most[0] = '\0';
	(void)hl_process_variable(root, pid, "HUGETLB_HEAP_MIN", heap->least,
		sizeof(heap->least));
	(void)hl_process_variable(
		root, pid, "HUGETLB_HEAP_MAX", heap->most, sizeof(heap->most));
	err = hl_process_variable(
		root, pid, "HUGETLB_REPORT", value, sizeof(value));
	if (!heap->loaded) {
		heap->reason = "libhugetlbfs2 is not loaded in this process";
	} else if (err == -EACCES || err == -EPERM) {
		heap->reason = "no permission to read its environment";
	} else if (err) {
		heap->reason = "the library is loaded, but its counters can be "
			       "seen only where the program was started with "
			       "hugectl --report";
	} else if (!request->live) {
		heap->reason = "its counters are not part of a captured tree";
	} else {
		path = stat_path(request, "%s", value);
		heap->reason = read_slot(path, pid, heap);
		free(path);
	}
}

static void describe(const struct heap *heap, struct hl_report_process *p)
{
	const struct hl_report_slot *slot = &heap->slot;

	*p = (struct hl_report_process){
		.program = slot->program,
		.comm = slot->comm,
		.pid = slot->pid,
		.ppid = slot->ppid,
		.start = slot->start == HL_REPORT_FORK ? HL_REPORT_FORK
						       : HL_REPORT_EXEC,
		.end = HL_END_RUNNING,
	};
}

void stat_heap_text(const struct stat_request *request, pid_t pid)
{
	static char text[65536];
	static struct heap heap;
	struct hl_report_process p;
	struct hl_buf buf;

	look(request, pid, &heap);
	if (heap.loaded && (heap.least[0] || heap.most[0]))
		printf("subpool of the heap: at least %s, at most %s\n",
			heap.least[0] ? heap.least : "0",
			heap.most[0] ? heap.most : "any");
	if (heap.reason) {
		printf("heap: %s\n", heap.reason);
		return;
	}
	describe(&heap, &p);
	hl_buf_init(&buf, text, sizeof(text));
	hl_report_text(&buf, &p, &heap.slot.counts,
		HL_REPORT_PICTURE | (locale_is_utf8() ? HL_REPORT_UTF8 : 0));
	printf("heap of %s", text);
}

void stat_heap_json(
	struct hl_json *json, const struct stat_request *request, pid_t pid)
{
	static struct heap heap;
	struct hl_report_process p;

	look(request, pid, &heap);
	hl_json_begin_object(json, "library");
	hl_json_bool(json, "loaded", heap.loaded);
	hl_json_string(json, "heap_min", heap.least);
	hl_json_string(json, "heap_max", heap.most);
	if (heap.reason) {
		hl_json_string(json, "unknown", heap.reason);
	} else {
		describe(&heap, &p);
		hl_json_null(json, "unknown");
		hl_report_json(json, &p, &heap.slot.counts, HL_REPORT_PICTURE);
	}
	hl_json_end(json);
}
