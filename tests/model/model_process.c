/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The readers of processes and segments, lib/system/process.c, sysvshm.c and
 * numamaps.c: files are made of random values, which must come back, then bytes
 * are overwritten, after which nothing is promised but that reading ends within
 * its buffers (run it under a sanitizer). The root gives files by a call, from
 * memory.
 */
#include "model.h"

#include "base/fmt.h"
#include "system/proc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_BYTES   32768
#define SEGMENTS_MAX 12

const char model_name[] = "process";

static struct {
	uint64_t statuses;
	uint64_t groups;
	uint64_t containers;
	uint64_t variables;
	uint64_t segments;
	uint64_t nodes;
	uint64_t hostile;
} seen;

static char text[FILE_BYTES];
static struct hl_buf out;

/* Any file is what `text` has. */
static int open_text(const char *path, int flags)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	model_check(fd >= 0);
	model_equal(write(fd, text, out.length), out.length);
	model_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int list_nothing(
	const char *path, int (*visit)(const char *name, void *arg), void *arg)
{
	return 0;
}

static const struct hl_root_calls calls = {open_text, list_nothing};
static const struct hl_root root = {"", &calls};

void model_start(struct model_in *in)
{
}

void model_end(void)
{
}

static void begin(void)
{
	hl_buf_init(&out, text, sizeof(text));
}

static void spoil(struct model_in *in)
{
	model_spoil(in, text, &out.length, "\n\n  :-,\\0/.a9=N");
	seen.hostile++;
}

/* Of any magnitude. */
static uint64_t some_number(struct model_in *in, unsigned bits)
{
	return model_draw(in, (uint64_t)1 << model_draw(in, bits));
}

/* ---- status ---- */

/* Up to 15 bytes of any kind but NUL, as the kernel escapes them. */
static void put_comm(struct model_in *in, char *plain)
{
	static const char special[] = " \t\n\\()'\"";
	size_t n = 1 + model_draw(in, 15);

	for (size_t i = 0; i < n; i++) {
		char c = model_chance(in, 3)
				 ? special[model_draw(in, sizeof(special) - 1)]
				 : (char)('a' + model_draw(in, 26));

		/* A space in front cannot be told from the tab. */
		if (i == 0 && (c == ' ' || c == '\t'))
			c = '(';
		plain[i] = c;
		if (c == '\n')
			hl_buf_puts(&out, "\\n");
		else if (c == '\\')
			hl_buf_puts(&out, "\\\\");
		else
			hl_buf_putc(&out, c);
	}
	plain[n] = '\0';
}

static void step_status(struct model_in *in)
{
	struct hl_process_status status, want = {.comm = ""};
	char comm[64];
	uint64_t kib;

	begin();
	hl_buf_puts(&out, "Name:\t");
	put_comm(in, comm);
	want.uid = (uint32_t)some_number(in, 33);
	hl_buf_printf(&out, "\nUmask:\t0022\nState:\tS\nUid:\t%u\t%u\t7\t8\n",
		(unsigned)some_number(in, 32), want.uid);
	want.has_memory = !model_chance(in, 4);
	if (want.has_memory) {
		kib = some_number(in, 50);
		want.rss_bytes = kib * 1024;
		hl_buf_printf(&out, "VmPeak:\t 9 kB\nVmRSS:\t%8llu kB\n",
			(unsigned long long)kib);
		kib = some_number(in, 50);
		want.hugetlb_bytes = kib * 1024;
		hl_buf_printf(&out, "HugetlbPages:\t%8llu kB\nThreads: 1\n",
			(unsigned long long)kib);
	}
	model_equal(hl_process_status(&root, 5, &status), 0);
	model_equal(strcmp(status.comm, comm), 0);
	model_equal(status.uid, want.uid);
	model_equal(status.has_memory, want.has_memory);
	model_equal(status.rss_bytes, want.rss_bytes);
	model_equal(status.hugetlb_bytes, want.hugetlb_bytes);
	seen.statuses++;
	spoil(in);
	if (hl_process_status(&root, 5, &status) == 0)
		model_check(memchr(status.comm, 0, sizeof(status.comm)));
}

static void step_start(struct model_in *in)
{
	uint64_t want = some_number(in, 60), start;

	begin();
	hl_buf_puts(&out, "5 (");
	for (size_t n = model_draw(in, 16); n > 0; n--)
		hl_buf_putc(&out, ") (a"[model_draw(in, 4)]);
	hl_buf_puts(&out, ") S");
	for (int field = 4; field < 22; field++)
		hl_buf_printf(
			&out, " %llu", (unsigned long long)some_number(in, 40));
	hl_buf_printf(&out, " %llu 5 6\n", (unsigned long long)want);
	model_equal(hl_process_start(&root, 5, &start), 0);
	model_equal(start, want);
	spoil(in);
	(void)hl_process_start(&root, 5, &start);
}

/* ---- control groups ---- */

static void put_hex(struct model_in *in, char *id, size_t n)
{
	for (size_t i = 0; i < n; i++)
		id[i] = "0123456789abcdef"[model_draw(in, 16)];
	id[n] = '\0';
}

/* A path with a container in it or not; what must be found. */
static const char *put_path(struct model_in *in, struct hl_buf *path)
{
	static const char *const around[][2] = {{"/docker/", ""},
		{"/system.slice/docker-", ".scope"},
		{"/kubepods.slice/pod_x-y/cri-containerd-", ".scope"},
		{"/user.slice/libpod-", ".scope/container"}};
	static char id[80];
	size_t kind = model_draw(in, 8);

	hl_buf_puts(path, "/a b:c");
	if (kind < HL_ARRAY_SIZE(around)) {
		/* Of another length it is none. */
		bool right = !model_chance(in, 4);

		put_hex(in, id, right ? 64 : 63 + 2 * model_draw(in, 2));
		hl_buf_printf(
			path, "%s%s%s", around[kind][0], id, around[kind][1]);
		return right ? id : NULL;
	}
	if (kind == 4) {
		hl_buf_puts(path, "/lxc.payload.web_1/x");
		return "web_1";
	}
	if (kind == 5) {
		hl_buf_puts(path, "/machine.slice/machine-db.scope");
		return "db";
	}
	return NULL;
}

static void step_group(struct model_in *in)
{
	char name[512], found[1024], id[HL_CONTAINER_BYTES];
	const char *want;
	struct hl_buf path;
	bool v1 = model_chance(in, 2), v2 = model_chance(in, 2);

	hl_buf_init(&path, name, sizeof(name));
	want = put_path(in, &path);
	model_equal(hl_container_of_cgroup(name, id), want != NULL);
	if (want)
		model_equal(strcmp(id, want), 0);
	seen.containers += want != NULL;
	begin();
	hl_buf_puts(&out, "9:name=systemd:/nohugetlb\n8:xhugetlb:/no\n");
	if (v1)
		hl_buf_printf(&out, "7:cpu,hugetlb,x:%s\n6:cpuset:/b\n", name);
	if (v2)
		hl_buf_printf(&out, "0::%s\n", v1 ? "/other" : name);
	if (v1 || v2) {
		model_equal(hl_process_cgroup(&root, 5, found, sizeof(found)),
			strlen(name));
		model_equal(strcmp(found, name), 0);
		model_equal(
			hl_process_cgroup(&root, 5, found, 4), -ENAMETOOLONG);
	} else {
		model_equal(hl_process_cgroup(&root, 5, found, sizeof(found)),
			-ENOENT);
	}
	seen.groups++;
	spoil(in);
	(void)hl_process_cgroup(&root, 5, found, sizeof(found));
	text[HL_MIN(out.length, sizeof(text) - 1)] = '\0';
	(void)hl_container_of_cgroup(text, id);
}

/* ---- environment ---- */

static void step_variable(struct model_in *in)
{
	char value[64], found[64], path[64];
	size_t n = model_draw(in, 40), before = model_draw(in, 12);
	bool there = !model_chance(in, 4);

	for (size_t i = 0; i < n; i++)
		value[i] = (char)(1 + model_draw(in, 255));
	value[n] = '\0';
	begin();
	for (size_t i = 0; i < before; i++) {
		hl_buf_puts(
			&out, model_chance(in, 2) ? "WANTEDX=" : "XWANTED=");
		for (size_t k = some_number(in, 13); k > 0; k--)
			hl_buf_putc(&out, 'W');
		hl_buf_putn(&out, "", 1);
	}
	model_check(!out.truncated);
	if (there) {
		hl_buf_printf(&out, "WANTED=");
		hl_buf_putn(&out, value, n + 1);
	}
	hl_buf_putn(&out, "LAST=1", 7);
	strcpy(path, "untouched");
	if (there) {
		model_equal(hl_process_variable(
				    &root, 5, "WANTED", found, sizeof(found)),
			0);
		model_equal(strcmp(found, value), 0);
		model_equal(hl_process_variable(&root, 5, "WANTED", path, n),
			-ENAMETOOLONG);
	} else {
		model_equal(hl_process_variable(
				    &root, 5, "WANTED", path, sizeof(path)),
			-ENOENT);
	}
	model_equal(strcmp(path, "untouched"), 0);
	seen.variables++;
	spoil(in);
	(void)hl_process_variable(&root, 5, "WANTED", found, sizeof(found));
}

/* ---- segments ---- */

static struct hl_shm_segment segments[SEGMENTS_MAX];
static size_t segment_count, segment_next;

static int check_segment(const struct hl_shm_segment *s, void *arg)
{
	const struct hl_shm_segment *want = &segments[segment_next++];

	model_check(segment_next <= segment_count);
	model_equal(s->key, want->key);
	model_equal(s->id, want->id);
	model_equal(s->mode, want->mode);
	model_equal(s->bytes, want->bytes);
	model_equal(s->creator_pid, want->creator_pid);
	model_equal(s->attached, want->attached);
	model_equal(s->uid, want->uid);
	model_equal(s->rss_bytes, want->rss_bytes);
	seen.segments++;
	return 0;
}

static int see_segment(const struct hl_shm_segment *s, void *arg)
{
	return 0;
}

static void step_segments(struct model_in *in)
{
	/* Old kernels have no rss. */
	bool rss = !model_chance(in, 4);

	begin();
	segment_count = model_draw(in, SEGMENTS_MAX + 1);
	segment_next = 0;
	hl_buf_printf(&out,
		"       key      shmid perms       size  cpid  lpid nattch   "
		"uid "
		"  gid%s\n",
		rss ? "        rss       swap" : "");
	for (size_t i = 0; i < segment_count; i++) {
		struct hl_shm_segment *s = &segments[i];

		*s = (struct hl_shm_segment){
			.key = (int32_t)model_draw(in, UINT32_MAX),
			.id = (int32_t)some_number(in, 31),
			.mode = (uint32_t)model_draw(in, 010000),
			.bytes = some_number(in, 60),
			.creator_pid = (int32_t)some_number(in, 22),
			.attached = some_number(in, 20),
			.uid = (uint32_t)some_number(in, 32),
			.rss_bytes = rss ? some_number(in, 60) : 0,
		};
		hl_buf_printf(&out, "%d %d  %u%u%u%u %llu %d 8 %llu %u 9",
			s->key, s->id, s->mode >> 9 & 7, s->mode >> 6 & 7,
			s->mode >> 3 & 7, s->mode & 7,
			(unsigned long long)s->bytes, s->creator_pid,
			(unsigned long long)s->attached, s->uid);
		if (rss)
			hl_buf_printf(&out, " %llu 0",
				(unsigned long long)s->rss_bytes);
		hl_buf_putc(&out, '\n');
	}
	model_equal(hl_shm_visit(&root, check_segment, NULL), 0);
	model_equal(segment_next, segment_count);
	spoil(in);
	(void)hl_shm_visit(&root, see_segment, NULL);
}

/* ---- nodes ---- */

static struct hl_numa_record numa;

static int check_numa(const struct hl_numa_record *r, void *arg)
{
	model_equal(r->from, numa.from);
	model_equal(r->huge, numa.huge);
	model_equal(r->page_bytes, numa.page_bytes);
	model_equal(memcmp(r->pages, numa.pages, sizeof(r->pages)), 0);
	seen.nodes++;
	return 7;
}

static int see_numa(const struct hl_numa_record *r, void *arg)
{
	return 0;
}

static void step_nodes(struct model_in *in)
{
	uint64_t kib = (uint64_t)1 << model_draw(in, 25);

	begin();
	numa = (struct hl_numa_record){
		.from = model_draw(in, (uint64_t)1 << 47),
		.huge = model_chance(in, 2),
		.page_bytes = kib * 1024,
	};
	hl_buf_printf(&out, "%llx default file=/N1=5\\040huge",
		(unsigned long long)numa.from);
	if (numa.huge)
		hl_buf_puts(&out, " huge");
	hl_buf_puts(&out, " anon=3 hugely=1");
	for (unsigned node = 0; node < HL_NUMA_NODES + 5; node++) {
		uint64_t pages = some_number(in, 40);

		if (pages == 0 || model_chance(in, 2))
			continue;
		hl_buf_printf(
			&out, " N%u=%llu", node, (unsigned long long)pages);
		if (node < HL_NUMA_NODES)
			numa.pages[node] = pages;
	}
	hl_buf_printf(
		&out, " kernelpagesize_kB=%llu\n", (unsigned long long)kib);
	model_equal(hl_numa_maps_visit(&root, 5, check_numa, NULL), 7);
	spoil(in);
	(void)hl_numa_maps_visit(&root, 5, see_numa, NULL);
}

void model_step(struct model_in *in)
{
	static void (*const steps[])(struct model_in *) = {step_status,
		step_start, step_group, step_variable, step_segments,
		step_nodes};

	/* Files are made for each: a tenth of the usual. */
	if (model_chance(in, 10))
		steps[model_draw(in, HL_ARRAY_SIZE(steps))](in);
}

void model_summary(FILE *to)
{
	fprintf(to,
		"%llu statuses, %llu groups, %llu containers, %llu variables, "
		"%llu segments, %llu nodes, %llu spoilt files\n",
		(unsigned long long)seen.statuses,
		(unsigned long long)seen.groups,
		(unsigned long long)seen.containers,
		(unsigned long long)seen.variables,
		(unsigned long long)seen.segments,
		(unsigned long long)seen.nodes,
		(unsigned long long)seen.hostile);
}
