/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of huge pages, found through mappings, descriptors, and by walking what
 * is mounted. A file is known by device and inode, a SysV segment by its id and
 * IPC name space as well: ids are its inode numbers, and they repeat.
 *
 * Kernel behaviour relied on: st_blocks of hugetlbfs counts exactly the pages a
 * file holds; a shared mapping reserves each page of its range once for the
 * file, and fallocate and ftruncate reserve nothing.
 */
#include "hugestat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 100

/* The slot of that file, or the empty one where it belongs. */
static size_t *find_slot(const struct stat_snapshot *s, uint64_t device,
	uint64_t inode, uint64_t ipc)
{
	uint64_t hash = (device * 31 + inode + ipc * 7) * 0x9e3779b97f4a7c15u;
	size_t mask = s->file_slot_count - 1, i = hash >> 20 & mask;

	for (; s->file_slots[i] != 0; i = (i + 1) & mask) {
		const struct stat_file *f = &s->files[s->file_slots[i] - 1];

		if (f->inode == inode && f->device == device && f->ipc == ipc)
			break;
	}
	return &s->file_slots[i];
}

/* Room for one more file, with half of the slots empty. */
static void make_room(struct stat_snapshot *s)
{
	if (2 * (s->file_count + 1) <= s->file_slot_count)
		return;
	free(s->file_slots);
	s->file_slot_count = s->file_slot_count ? 2 * s->file_slot_count : 64;
	s->file_slots = tool_zalloc(s->file_slot_count, sizeof(*s->file_slots));
	s->files = tool_realloc(
		s->files, s->file_slot_count / 2, sizeof(*s->files));
	for (size_t i = 0; i < s->file_count; i++) {
		const struct stat_file *f = &s->files[i];

		*find_slot(s, f->device, f->inode, f->ipc) = i + 1;
	}
}

struct stat_file *stat_file_at(struct stat_snapshot *s, uint64_t device,
	uint64_t inode, uint64_t ipc, unsigned size)
{
	struct stat_file *f;
	size_t *slot;

	make_room(s);
	slot = find_slot(s, device, inode, ipc);
	if (*slot != 0)
		return &s->files[*slot - 1];
	f = &s->files[s->file_count++];
	*slot = s->file_count;
	*f = (struct stat_file){
		.device = device,
		.inode = inode,
		.ipc = ipc,
		.size = size,
	};
	return f;
}

void stat_file_free(struct stat_file *f)
{
	free(f->name);
	free(f->path);
	free(f->pids);
	free(f->ranges);
}

/* Processes are looked at in ascending order. */
void stat_file_used_by(struct stat_file *f, pid_t pid)
{
	if (f->pid_count > 0 && f->pids[f->pid_count - 1] == pid)
		return;
	if ((f->pid_count & (f->pid_count - 1)) == 0)
		f->pids = tool_realloc(f->pids,
			f->pid_count ? 2 * f->pid_count : 1, sizeof(*f->pids));
	f->pids[f->pid_count++] = pid;
}

/* ---- what its mappings reserved ---- */

/* Joins the new range with all that it meets. */
void stat_file_range(struct stat_file *f, uint64_t from, uint64_t to)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->range_count; i++) {
		struct stat_range *r = &f->ranges[i];

		if (r->to < from || r->from > to) {
			f->ranges[kept++] = *r;
			continue;
		}
		from = HL_MIN(from, r->from);
		to = HL_MAX(to, r->to);
	}
	f->ranges = tool_realloc(f->ranges, kept + 1, sizeof(*f->ranges));
	f->ranges[kept++] = (struct stat_range){from, to};
	f->range_count = kept;
}

uint64_t stat_file_reserved(const struct stat_file *f)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < f->range_count; i++)
		pages += f->ranges[i].to - f->ranges[i].from;
	return pages > f->pages ? pages - f->pages : 0;
}

/* ---- below the mounts ---- */

struct walk {
	struct stat_snapshot *s;
	const struct stat_mount *mount;
	const char *prefix;
};

static void see_file(
	const struct walk *w, const struct stat *st, const char *path)
{
	struct stat_snapshot *s = w->s;
	struct stat_file *f =
		stat_file_at(s, st->st_dev, st->st_ino, 0, w->mount->size);

	f->pages = (uint64_t)st->st_blocks * 512 / s->sizes[f->size].bytes;
	f->pages_known = true;
	f->linked = true;
	f->uid = st->st_uid;
	f->has_uid = true;
	free(f->name);
	f->name = tool_strdup(path + strlen(w->prefix));
	free(f->path);
	f->path = tool_strdup(path);
	f->root = w->prefix;
}

static void walk_directory(
	const struct walk *w, int fd, const char *path, unsigned depth)
{
	DIR *directory = fdopendir(fd);
	struct dirent *entry;

	if (!directory) {
		close(fd);
		return;
	}
	while ((entry = readdir(directory))) {
		struct stat st;
		char *name;

		if (strcmp(entry->d_name, ".") == 0 ||
			strcmp(entry->d_name, "..") == 0 ||
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (st.st_dev != w->mount->device)
			continue;
		name = tool_text("%s/%s", path, entry->d_name);
		if (S_ISREG(st.st_mode)) {
			see_file(w, &st, name);
		} else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
			int below = openat(fd, entry->d_name,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
					O_CLOEXEC);

			if (below >= 0)
				walk_directory(w, below, name, depth + 1);
			else if (errno == EACCES)
				w->s->mounts_denied++;
		}
		free(name);
	}
	closedir(directory);
}

/* The same file system may be mounted in many places. */
static bool was_walked(const struct stat_snapshot *s, uint64_t device)
{
	for (size_t i = 0; i < s->mount_count; i++) {
		const struct stat_mount *m = &s->mounts[i];

		if (m->walked && m->whole && m->device == device)
			return true;
	}
	return false;
}

static void walk_mount(struct stat_snapshot *s, struct stat_mount *m)
{
	struct walk w = {s, m, m->root};
	char *path;
	struct stat st;
	int fd;

	if (m->device == 0 || was_walked(s, m->device))
		return;
	path = tool_text("%s%s", m->root, m->path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		s->mounts_denied++;
	} else if (fstat(fd, &st) != 0 || st.st_dev != m->device) {
		/* Something else is mounted over it. */
		close(fd);
	} else {
		m->walked = true;
		walk_directory(&w, fd, path, 0);
	}
	free(path);
}

/* Directories of a file system only where the whole is nowhere to be seen. */
void stat_walk_mounts(struct stat_snapshot *s)
{
	for (size_t i = 0; i < s->mount_count && s->request->live; i++) {
		if (s->mounts[i].whole)
			walk_mount(s, &s->mounts[i]);
	}
	for (size_t i = 0; i < s->mount_count && s->request->live; i++) {
		if (!s->mounts[i].whole)
			walk_mount(s, &s->mounts[i]);
	}
}
