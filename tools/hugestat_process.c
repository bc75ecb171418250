/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each process has: mappings of huge pages and open files of theirs. All
 * processes are asked, since a mapping that was never touched shows nowhere
 * else; but only the smaps of those whose maps name hugetlbfs are read, where
 * the kernel walks page tables, and only descriptors whose link names a file
 * that may be on hugetlbfs are followed: stat(2) of a file on a dead file
 * server would not come back.
 *
 * Kernel behaviour relied on: mappings of hugetlb have the device of a
 * hugetlbfs mount, anonymous ones that of the kernel's own; map_files leads to
 * the file of a mapping even if it has no name any more; maps, fd and map_files
 * need permission to trace, status does not.
 */
#include "hugestat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the list ---- */

bool stat_describe_process(
	const struct hl_root *root, pid_t pid, struct stat_process *out)
{
	struct hl_process_status status;

	*out = (struct stat_process){.pid = pid};
	if (hl_process_status(root, pid, &status) != 0 || !status.has_memory)
		return false;
	out->uid = status.uid;
	out->hugetlb_bytes = status.hugetlb_bytes;
	out->comm = tool_strdup(status.comm);
	return true;
}

static int see_process(pid_t pid, void *arg)
{
	struct stat_snapshot *s = arg;
	struct stat_process p;

	if (!stat_describe_process(&s->request->root, pid, &p))
		return 0;
	/* Room for the next power of two. */
	if ((s->process_count & (s->process_count - 1)) == 0)
		s->processes = tool_realloc(s->processes,
			s->process_count ? 2 * s->process_count : 1,
			sizeof(*s->processes));
	s->processes[s->process_count++] = p;
	return 0;
}

void stat_list_processes(struct stat_snapshot *s)
{
	(void)hl_process_visit(&s->request->root, see_process, s);
}

/* As far as it is known from outside: what the program was started with. */
static char *subpool_of(const struct hl_root *root, pid_t pid)
{
	char least[32] = "0", most[32] = "";
	bool any = hl_process_variable(root, pid, "HUGETLB_HEAP_MIN", least,
			   sizeof(least)) == 0;

	if (hl_process_variable(
		    root, pid, "HUGETLB_HEAP_MAX", most, sizeof(most)) == 0)
		any = true;
	return any ? tool_text("%s..%s", least, most) : NULL;
}

/* A process that turned out to hold something. */
static void mark_user(struct stat_snapshot *s, struct stat_process *p)
{
	const struct hl_root *root = &s->request->root;
	char cgroup[4096];

	if (p->uses)
		return;
	p->uses = true;
	if (hl_process_cgroup(root, p->pid, cgroup, sizeof(cgroup)) > 0) {
		p->cgroup = tool_strdup(cgroup);
		if (!hl_container_of_cgroup(cgroup, p->container))
			p->container[0] = '\0';
	}
	(void)hl_process_start(root, p->pid, &p->start);
	p->subpool = subpool_of(root, p->pid);
}

/* ---- mappings ---- */

struct looking {
	struct stat_snapshot *s;
	size_t process;
};

static bool starts_with(const char *s, const char *start)
{
	return strncmp(s, start, strlen(start)) == 0;
}

static bool may_be_huge(
	const struct stat_snapshot *s, const struct hl_map_record *r)
{
	if (stat_size_of_device(s, r->device) < s->size_count)
		return true;
	/* Where no device could be had. */
	return s->sizes[0].device == 0 &&
	       (starts_with(r->path, "/anon_hugepage") ||
		       starts_with(r->path, "/memfd:") ||
		       starts_with(r->path, "/SYSV"));
}

static int see_candidate(const struct hl_map_record *r, void *arg)
{
	const struct looking *l = arg;

	return may_be_huge(l->s, r);
}

static uint64_t ipc_of(const struct stat_snapshot *s, pid_t pid)
{
	char *path;
	struct stat st;
	uint64_t ipc = s->own_ipc;

	if (!s->request->live)
		return ipc;
	path = stat_path(s->request, "/proc/%d/ns/ipc", (int)pid);
	if (stat(path, &st) == 0)
		ipc = st.st_ino;
	free(path);
	return ipc;
}

/* The kernel marks names that are gone. */
static void set_name(struct stat_file *f, const char *path)
{
	static const char mark[] = " (deleted)";
	size_t n = strlen(path), m = sizeof(mark) - 1;

	if (f->name)
		return;
	if (n > m && strcmp(path + n - m, mark) == 0)
		n -= m;
	else
		f->linked = true;
	f->name = tool_strndup(path, n);
}

static void set_pages(struct stat_file *f, const struct stat_snapshot *s,
	const struct stat *st)
{
	f->pages = (uint64_t)st->st_blocks * 512 / s->sizes[f->size].bytes;
	f->pages_known = true;
	if (st->st_nlink == 0)
		f->linked = false;
	f->uid = st->st_uid;
	f->has_uid = true;
}

static void ask_file_of_map(struct stat_snapshot *s, struct stat_file *f,
	pid_t pid, const struct hl_map_record *r)
{
	char *path;
	struct stat st;

	if (f->pages_known || !s->request->live)
		return;
	path = stat_path(s->request, "/proc/%d/map_files/%lx-%lx", (int)pid,
		(unsigned long)r->from, (unsigned long)r->to);
	/* Not if something else is there by now. */
	if (stat(path, &st) == 0 && st.st_dev == r->device &&
		st.st_ino == r->inode)
		set_pages(f, s, &st);
	free(path);
}

static void see_shared(struct stat_snapshot *s, const struct stat_process *p,
	const struct hl_map_record *r, unsigned size)
{
	uint64_t bytes = s->sizes[size].bytes;
	bool segment = starts_with(r->path, "/SYSV") &&
		       (!s->request->live || s->sizes[size].device == 0 ||
			       s->sizes[size].device == r->device);
	struct stat_file *f = stat_file_at(
		s, r->device, r->inode, segment ? ipc_of(s, p->pid) : 0, size);
	uint64_t at = r->offset / bytes;

	f->segment = segment;
	set_name(f, r->path);
	if (segment)
		f->linked = false;
	stat_file_used_by(f, p->pid);
	f->mappers++;
	f->seen_pages = HL_MAX(f->seen_pages,
		(r->shared_hugetlb_bytes + r->private_hugetlb_bytes) / bytes);
	if (!r->nr)
		stat_file_range(f, at, at + (r->to - r->from) / bytes);
	ask_file_of_map(s, f, p->pid, r);
}

static void see_private(struct stat_snapshot *s, size_t process,
	const struct hl_map_record *r, unsigned size)
{
	uint64_t bytes = s->sizes[size].bytes;
	struct stat_map *m;

	if ((s->map_count & (s->map_count - 1)) == 0)
		s->maps = tool_realloc(s->maps,
			s->map_count ? 2 * s->map_count : 1, sizeof(*s->maps));
	m = &s->maps[s->map_count++];
	*m = (struct stat_map){
		.process = process,
		.size = size,
		.from = r->from,
		.to = r->to,
		.device = r->device,
		.inode = r->inode,
		.private_pages = r->private_hugetlb_bytes / bytes,
		.shared_pages = r->shared_hugetlb_bytes / bytes,
		.noreserve = r->nr,
		.anonymous = starts_with(r->path, "/anon_hugepage"),
	};
	if (!m->anonymous) {
		struct stat_file *f =
			stat_file_at(s, r->device, r->inode, 0, size);

		set_name(f, r->path);
		stat_file_used_by(f, s->processes[process].pid);
		f->mappers++;
		ask_file_of_map(s, f, s->processes[process].pid, r);
	}
}

static int see_map(const struct hl_map_record *r, void *arg)
{
	const struct looking *l = arg;
	struct stat_snapshot *s = l->s;
	struct stat_process *p = &s->processes[l->process];
	unsigned size = stat_size_index(s, r->kernel_page_bytes);

	if (!r->ht || size == s->size_count)
		return 0;
	mark_user(s, p);
	p->mapped_pages[size] +=
		(r->shared_hugetlb_bytes + r->private_hugetlb_bytes) /
		s->sizes[size].bytes;
	if (r->perms[3] == 's')
		see_shared(s, p, r, size);
	else
		see_private(s, l->process, r, size);
	return 0;
}

static void look_at_maps(struct stat_snapshot *s, size_t process)
{
	struct looking l = {s, process};
	struct stat_process *p = &s->processes[process];
	const struct hl_root *root = &s->request->root;
	int found = 1;

	if (s->request->live && p->hugetlb_bytes == 0)
		found = hl_maps_visit(root, p->pid, s->scratch, STAT_SCRATCH,
			see_candidate, &l);
	if (found == 1)
		found = hl_smaps_visit(
			root, p->pid, s->scratch, STAT_SCRATCH, see_map, &l);
	if (found == -EACCES || found == -EPERM) {
		p->maps_denied = true;
		s->maps_denied++;
		if (p->hugetlb_bytes > 0) {
			mark_user(s, p);
			s->denied_bytes += p->hugetlb_bytes;
		}
	}
}

/* ---- descriptors ---- */

static bool is_below(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	if (strcmp(directory, "/") == 0)
		return *path == '/';
	return strncmp(path, directory, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

static bool may_be_on_hugetlbfs(const struct stat_snapshot *s, const char *link)
{
	if (starts_with(link, "/memfd:") || starts_with(link, "(unreachable)"))
		return true;
	for (size_t i = 0; i < s->mount_count; i++) {
		if (is_below(link, s->mounts[i].path))
			return true;
	}
	return false;
}

static void see_descriptor(struct stat_snapshot *s, struct stat_process *p,
	int directory, const char *name)
{
	char link[4096];
	ssize_t n = readlinkat(directory, name, link, sizeof(link) - 1);
	struct stat_file *f;
	struct stat st;
	unsigned size;

	if (n <= 0)
		return;
	link[n] = '\0';
	if (!may_be_on_hugetlbfs(s, link) ||
		fstatat(directory, name, &st, 0) != 0 || !S_ISREG(st.st_mode))
		return;
	size = stat_size_of_device(s, st.st_dev);
	if (size == s->size_count)
		return;
	mark_user(s, p);
	f = stat_file_at(s, st.st_dev, st.st_ino, 0, size);
	set_name(f, link);
	set_pages(f, s, &st);
	f->opened = true;
	stat_file_used_by(f, p->pid);
}

static void look_at_descriptors(struct stat_snapshot *s, struct stat_process *p)
{
	char *path = stat_path(s->request, "/proc/%d/fd", (int)p->pid);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	free(path);
	if (!directory) {
		if (errno == EACCES || errno == EPERM) {
			p->fds_denied = true;
			s->fds_denied++;
		}
		return;
	}
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] != '.')
			see_descriptor(s, p, fd, entry->d_name);
	}
	closedir(directory);
}

/* ---- all of them ---- */

/* Without any page there is nothing that could be held. */
static bool anything_to_find(const struct stat_snapshot *s)
{
	for (unsigned i = 0; i < s->size_count; i++) {
		if (s->sizes[i].pool.nr > 0)
			return true;
	}
	return s->request->reap && s->size_count > 0;
}

void stat_look_into_processes(struct stat_snapshot *s)
{
	if (!anything_to_find(s))
		return;
	/* All mounts before the first device is looked up. */
	for (size_t i = 0; i < s->process_count && s->request->live; i++)
		stat_add_mounts(s, s->processes[i].pid);
	for (size_t i = 0; i < s->process_count; i++) {
		look_at_maps(s, i);
		if (s->request->live)
			look_at_descriptors(s, &s->processes[i]);
	}
}
