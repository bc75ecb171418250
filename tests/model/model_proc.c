/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The readers of procfs, lib/system/rootfs.c (lines), mountinfo.c, procmap.c
 * and cgroup.c: files are made of random records, of which the values must
 * come back, then bytes are overwritten, after which nothing is promised but
 * that reading ends within its buffers (run it under a sanitizer).
 */
#include "model.h"

#include "base/fmt.h"
#include "system/mountinfo.h"
#include "system/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES 16384
#define MAPS_MAX   20
#define LEVELS_MAX 5

const char model_name[] = "proc";

static struct {
	uint64_t lines;
	uint64_t cut_lines;
	uint64_t mounts;
	uint64_t maps;
	uint64_t groups;
	uint64_t hostile;
} seen;

static char text[FILE_BYTES];
static struct hl_buf out;

/* ---- a root of our own, in memory where there is one ---- */

static char directory[64];
static struct hl_root root = {.prefix = directory};

static void path_of(char *to, const char *name)
{
	sprintf(to, "%.63s%.900s", directory, name);
}

static void remove_root(void)
{
	static const char *const names[] = {"/proc/self/smaps",
		"/proc/self/cgroup", "/proc/self/mountinfo", "/proc/self",
		"/proc"};
	char path[1024];

	for (size_t i = 0; i < HL_ARRAY_SIZE(names); i++) {
		path_of(path, names[i]);
		(void)remove(path);
	}
	(void)remove(directory);
}

static void make_root(void)
{
	char path[1024];

	strcpy(directory, "/dev/shm/model-proc-XXXXXX");
	if (!mkdtemp(directory)) {
		strcpy(directory, "/tmp/model-proc-XXXXXX");
		model_check(mkdtemp(directory));
	}
	path_of(path, "/proc");
	model_equal(mkdir(path, 0700), 0);
	path_of(path, "/proc/self");
	model_equal(mkdir(path, 0700), 0);
	atexit(remove_root);
}

static void put_file(const char *name, const char *bytes, size_t n)
{
	char path[1024];
	int fd;

	path_of(path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	model_check(fd >= 0);
	model_equal(write(fd, bytes, n), n);
	close(fd);
}

void model_start(struct model_in *in)
{
	if (*directory == '\0')
		make_root();
}

void model_end(void)
{
}

static void spoil(struct model_in *in)
{
	model_spoil(in, text, &out.length, "\n\n  :-,\\0/.a9");
	seen.hostile++;
}

/* ---- lines ---- */

static int file_of(const char *bytes, size_t n)
{
	static int fd;

	if (fd == 0)
		fd = memfd_create("lines", MFD_CLOEXEC);
	model_check(fd > 0 && ftruncate(fd, 0) == 0);
	model_equal(pwrite(fd, bytes, n, 0), n);
	model_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void step_lines(struct model_in *in)
{
	static char window[600];
	size_t n = model_draw(in, 1500), at = 0;
	size_t capacity = 2 + model_draw(in, sizeof(window) - 2);
	uint64_t often = 1 + model_draw(in, 100);
	struct hl_lines lines = {.buf = window, .capacity = capacity};
	char *line;

	for (size_t i = 0; i < n; i++)
		text[i] = model_chance(in, often) ? '\n'
						  : (char)model_draw(in, 256);
	lines.fd = file_of(text, n);
	while (at < n) {
		char *newline = memchr(text + at, '\n', n - at);
		size_t length =
			newline ? (size_t)(newline - text) - at : n - at;
		size_t shown = HL_MIN(length, capacity - 1);

		model_equal(hl_lines_next(&lines, &line), 1);
		model_check(line >= window && line + shown < window + capacity);
		model_check(memcmp(line, text + at, shown) == 0);
		model_equal(line[shown], 0);
		at += length + (newline != NULL);
		seen.lines++;
		seen.cut_lines += shown < length;
	}
	model_equal(hl_lines_next(&lines, &line), 0);
}

/* ---- mountinfo ---- */

/* A name with what the kernel escapes; `plain` gets it as it is. */
static void put_name(struct model_in *in, char *plain)
{
	size_t n = 1 + model_draw(in, 12);

	for (size_t i = 0; i < n; i++) {
		static const char special[] = " \t\n\\#";
		char c = model_chance(in, 3)
				 ? special[model_draw(in, sizeof(special) - 1)]
				 : (char)('a' + model_draw(in, 26));

		plain[i] = c;
		if (c >= 'a' && c <= 'z')
			hl_buf_putc(&out, c);
		else
			hl_buf_printf(&out, "\\%u%u%u", (unsigned)c >> 6,
				(unsigned)c >> 3 & 7, (unsigned)c & 7);
	}
	plain[n] = '\0';
}

/* Our own look at an option, from the end of the list. */
static const char *naive_option(const char *list, const char *name)
{
	static char copy[256];
	const char *found = NULL;
	char *piece;

	strcpy(copy, list);
	while ((piece = strrchr(copy, ','))) {
		*piece++ = '\0';
		if (strncmp(piece, name, strlen(name)) == 0 &&
			strchr("=", piece[strlen(name)]))
			found = list + (piece - copy) + strlen(name);
	}
	if (strncmp(copy, name, strlen(name)) == 0 &&
		strchr("=", copy[strlen(name)]))
		found = list + strlen(name);
	return found && *found == '=' ? found + 1 : found;
}

static void put_options(struct model_in *in)
{
	static const char *const options[] = {"rw", "ro", "pagesize=2M",
		"size=4096", "min_size=8", "size", "ro=1", "r", "nosize=7"};

	for (size_t n = 1 + model_draw(in, 5); n > 0; n--)
		hl_buf_printf(&out, "%s%s",
			options[model_draw(in, HL_ARRAY_SIZE(options))],
			n > 1 ? "," : "");
}

static void check_options(const char *list)
{
	static const char *const names[] = {
		"rw", "ro", "size", "min_size", "pagesize", "siz"};
	const char *value, *want;
	size_t length;

	for (size_t i = 0; i < HL_ARRAY_SIZE(names); i++) {
		bool found =
			hl_mountinfo_option(list, names[i], &value, &length);

		want = naive_option(list, names[i]);
		model_equal(found, want != NULL);
		if (found) {
			model_check(value == want);
			model_equal(length, strcspn(want, ","));
		}
	}
}

static void step_mountinfo(struct model_in *in)
{
	char from[16], where[16], options[256];
	struct hl_mountinfo info;
	size_t start, fields = model_draw(in, 4);

	hl_buf_init(&out, text, sizeof(text));
	hl_buf_puts(&out, "36 35 98:0 ");
	put_name(in, from);
	hl_buf_putc(&out, ' ');
	put_name(in, where);
	hl_buf_puts(&out, " rw");
	while (fields-- > 0)
		hl_buf_puts(&out, " shared:1");
	hl_buf_puts(&out,
		model_chance(in, 2) ? " - hugetlbfs none " : " - hugetlbfs  ");
	start = out.length;
	put_options(in);
	strcpy(options, text + start);
	model_check(hl_mountinfo_is_type(text, "hugetlbfs"));
	model_check(!hl_mountinfo_is_type(text, "hugetlbf"));
	model_check(hl_mountinfo_parse(text, &info));
	model_equal(strcmp(info.root, from), 0);
	model_equal(strcmp(info.path, where), 0);
	model_equal(strcmp(info.options, "rw"), 0);
	model_equal(strcmp(info.type, "hugetlbfs"), 0);
	model_equal(strcmp(info.super_options, options), 0);
	check_options(options);
	seen.mounts++;
}

static void step_hostile_mountinfo(struct model_in *in)
{
	struct hl_mountinfo info;
	const char *value;
	size_t length;
	char from[16], *copy;

	hl_buf_init(&out, text, sizeof(text));
	hl_buf_puts(&out, "36 35 98:0 / ");
	put_name(in, from);
	hl_buf_puts(&out, " rw,ro shared:1 - hugetlbfs none ");
	put_options(in);
	spoil(in);
	text[out.length] = '\0';
	/* On the heap and of that size: a sanitizer sees one byte too far. */
	copy = strdup(text);
	model_check(copy);
	(void)hl_mountinfo_is_type(copy, "hugetlbfs");
	if (hl_mountinfo_parse(copy, &info))
		(void)hl_mountinfo_option(
			info.super_options, "size", &value, &length);
	free(copy);
}

/* ---- smaps ---- */

static struct hl_map_record maps[MAPS_MAX];
static char names[MAPS_MAX][24];
static size_t map_count, map_next;
static char scratch[64 * 1024];

static void put_value(struct model_in *in, const char *key, uint64_t *value)
{
	*value = 0;
	if (model_chance(in, 3))
		return;
	*value = model_draw(in, (uint64_t)1 << model_draw(in, 50)) * 1024;
	hl_buf_printf(
		&out, "%s: %8llu kB\n", key, (unsigned long long)*value / 1024);
	if (model_chance(in, 4))
		hl_buf_printf(&out, "Other_Key: 77 kB\n");
}

static void put_map(struct model_in *in, struct hl_map_record *r, char *name)
{
	uint64_t size;

	r->from = model_draw(in, (uint64_t)1 << 47);
	r->to = r->from + 1 + model_draw(in, 1 << 20);
	r->offset = model_draw(in, (uint64_t)1 << 40);
	r->inode = model_draw(in, UINT64_MAX);
	strcpy(r->perms, model_chance(in, 2) ? "rw-p" : "r-xs");
	sprintf(name, "%.*s", (int)model_draw(in, 23),
		"/name with [x] (deleted)");
	hl_buf_printf(&out, "%lx-%lx %s %lx 00:%lx %lu   %s\n", r->from, r->to,
		r->perms, r->offset, model_draw(in, 256), r->inode, name);
	put_value(in, "Rss", &r->rss_bytes);
	put_value(in, "KernelPageSize", &size);
	r->kernel_page_bytes = size;
	put_value(in, "Anonymous", &r->anon_bytes);
	put_value(in, "AnonHugePages", &r->anon_huge_bytes);
	put_value(in, "ShmemPmdMapped", &r->shmem_huge_bytes);
	put_value(in, "FilePmdMapped", &r->file_huge_bytes);
	put_value(in, "Shared_Hugetlb", &r->shared_hugetlb_bytes);
	put_value(in, "Private_Hugetlb", &r->private_hugetlb_bytes);
	r->ht = model_chance(in, 2);
	r->nr = model_chance(in, 2);
	r->bt = model_chance(in, 2);
	hl_buf_printf(&out, "VmFlags: rd wr%s%s%s nh\n", r->nr ? " nr" : "",
		r->ht ? " ht" : "", r->bt ? " bt" : "");
}

static int check_map(const struct hl_map_record *r, void *arg)
{
	const struct hl_map_record *want = &maps[map_next];

	model_check(map_next < map_count);
	model_equal(r->from, want->from);
	model_equal(r->to, want->to);
	model_equal(strcmp(r->perms, want->perms), 0);
	model_equal(r->offset, want->offset);
	model_equal(r->inode, want->inode);
	model_equal(r->kernel_page_bytes, want->kernel_page_bytes);
	model_equal(r->rss_bytes, want->rss_bytes);
	model_equal(r->anon_bytes, want->anon_bytes);
	model_equal(r->anon_huge_bytes, want->anon_huge_bytes);
	model_equal(r->shmem_huge_bytes, want->shmem_huge_bytes);
	model_equal(r->file_huge_bytes, want->file_huge_bytes);
	model_equal(r->shared_hugetlb_bytes, want->shared_hugetlb_bytes);
	model_equal(r->private_hugetlb_bytes, want->private_hugetlb_bytes);
	model_equal(r->ht, want->ht);
	model_equal(r->nr, want->nr);
	model_equal(r->bt, want->bt);
	model_equal(strcmp(r->path, names[map_next]), 0);
	map_next++;
	seen.maps++;
	return 0;
}

static int see_map(const struct hl_map_record *r, void *arg)
{
	model_check(strlen(r->perms) == 4 || memchr(r->perms, 0, 4));
	model_check(strlen(r->path) < sizeof(scratch));
	return 0;
}

static void step_smaps(struct model_in *in)
{
	hl_buf_init(&out, text, sizeof(text));
	map_next = 0;
	map_count = model_draw(in, MAPS_MAX);
	for (size_t i = 0; i < map_count; i++)
		put_map(in, &maps[i], names[i]);
	model_check(!out.truncated);
	put_file("/proc/self/smaps", text, out.length);
	model_equal(hl_smaps_visit(&root, 0, scratch, sizeof(scratch),
			    check_map, NULL),
		0);
	model_equal(map_next, map_count);
	spoil(in);
	put_file("/proc/self/smaps", text, out.length);
	model_equal(hl_smaps_visit(
			    &root, 0, scratch, sizeof(scratch), see_map, NULL),
		0);
}

/* ---- control groups ---- */

struct level {
	char path[96];
	uint64_t max, current;
};

static void put_number(const char *directory_path, const char *name, uint64_t n)
{
	char path[1024], number[32];

	sprintf(path, "/cg%.95s/hugetlb.2MB.%s", directory_path, name);
	if (n >= (uint64_t)1 << 62)
		put_file(path, "max\n", 4);
	else
		put_file(path, number, (size_t)sprintf(number, "%lu\n", n));
}

static void remove_level(const char *directory_path)
{
	static const char *const files[] = {
		"/hugetlb.2MB.max", "/hugetlb.2MB.current", ""};
	char path[1024];

	for (size_t i = 0; i < HL_ARRAY_SIZE(files); i++) {
		sprintf(path, "%.63s/cg%.95s%s", directory, directory_path,
			files[i]);
		(void)remove(path);
	}
}

/* Levels from the mount on; true if that one has the controller. */
static bool put_level(struct model_in *in, struct level *level)
{
	char path[1024];

	sprintf(path, "%.63s/cg%.95s", directory, level->path);
	model_equal(mkdir(path, 0700), 0);
	level->max = UINT64_MAX;
	level->current = 0;
	if (model_chance(in, 4))
		return false;
	if (!model_chance(in, 3))
		level->max = model_draw(in, 1 << 20);
	level->current = model_draw(in, 1 << 20);
	put_number(level->path, "max", level->max);
	put_number(level->path, "current", level->current);
	return true;
}

static void step_cgroup(struct model_in *in)
{
	static const char mount[] = "30 22 0:26 / /cg rw - cgroup2 cgroup rw\n";
	struct level levels[LEVELS_MAX];
	size_t depth = 1 + model_draw(in, LEVELS_MAX - 1);
	uint64_t max = UINT64_MAX, left = UINT64_MAX;
	struct hl_cgroup_hugetlb got;
	bool present = false;
	char line[128];

	levels[0].path[0] = '\0';
	for (size_t i = 0; i < depth; i++) {
		if (i > 0) {
			/* A copy: gcc cannot tell that two levels do not
			 * overlap. */
			char above[61];

			memcpy(above, levels[i - 1].path, sizeof(above));
			above[sizeof(above) - 1] = '\0';
			sprintf(levels[i].path, "%s/g%u", above,
				(unsigned)model_draw(in, 1000));
		}
		present |= put_level(in, &levels[i]);
		max = HL_MIN(max, levels[i].max);
		if (levels[i].max != UINT64_MAX)
			left = HL_MIN(left,
				levels[i].max - HL_MIN(levels[i].max,
							levels[i].current));
	}
	sprintf(line, "0::%s\n", depth == 1 ? "/" : levels[depth - 1].path);
	put_file("/proc/self/cgroup", line, strlen(line));
	put_file("/proc/self/mountinfo", mount, sizeof(mount) - 1);
	model_equal(hl_cgroup_hugetlb(&root, 2 * HL_MIB, &got), 0);
	model_equal(got.present, present);
	model_equal(got.max_bytes, max);
	model_equal(got.headroom_bytes, left);
	/* The same with bytes of both files overwritten. */
	hl_buf_init(&out, text, sizeof(text));
	hl_buf_puts(&out, line);
	spoil(in);
	put_file("/proc/self/cgroup", text, out.length);
	if (model_chance(in, 2)) {
		hl_buf_init(&out, text, sizeof(text));
		hl_buf_puts(&out, mount);
		spoil(in);
		put_file("/proc/self/mountinfo", text, out.length);
	}
	(void)hl_cgroup_hugetlb(&root, 2 * HL_MIB, &got);
	for (size_t i = depth; i > 0; i--)
		remove_level(levels[i - 1].path);
	seen.groups++;
}

void model_step(struct model_in *in)
{
	/* Files cost much more than text. */
	if (model_chance(in, 40))
		step_smaps(in);
	else if (model_chance(in, 40))
		step_cgroup(in);
	else if (model_chance(in, 10))
		step_lines(in);
	else if (model_chance(in, 2))
		step_mountinfo(in);
	else
		step_hostile_mountinfo(in);
}

void model_summary(FILE *to)
{
	fprintf(to,
		"lines %lu, cut %lu; mounts %lu; maps %lu; groups %lu; "
		"hostile %lu\n",
		seen.lines, seen.cut_lines, seen.mounts, seen.maps, seen.groups,
		seen.hostile);
}
