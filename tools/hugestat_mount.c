/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hugetlbfs mounts of every mount name space that a process is found in: a
 * container has its own. Each name space is read once, through the first
 * process of it, and a file system that is mounted in several is walked once
 * (hugestat_file.c).
 *
 * Kernel behaviour relied on: /proc/PID/mountinfo shows the mounts of that
 * process, /proc/PID/root leads into them; both, and ns/mnt, need permission to
 * trace.
 */
#include "hugestat.h"

#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

struct adding {
	struct stat_snapshot *s;
	char *root;
};

/* 0 also where something else is mounted over it. */
static uint64_t device_of(const struct stat_mount *m)
{
	char *path = tool_text("%s%s", m->root, m->path);
	struct statfs fs;
	struct stat st;
	uint64_t device = 0;

	if (statfs(path, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC &&
		stat(path, &st) == 0)
		device = st.st_dev;
	free(path);
	return device;
}

static int see_mount(const struct hl_mount *mount, void *arg)
{
	const struct adding *a = arg;
	struct stat_snapshot *s = a->s;
	unsigned size = stat_size_index(s, mount->page_bytes);
	struct stat_mount *m;

	if (size == s->size_count)
		return 0;
	if ((s->mount_count & (s->mount_count - 1)) == 0)
		s->mounts = tool_realloc(s->mounts,
			s->mount_count ? 2 * s->mount_count : 1,
			sizeof(*s->mounts));
	m = &s->mounts[s->mount_count++];
	*m = (struct stat_mount){
		.path = tool_strdup(mount->path),
		.root = tool_strdup(a->root),
		.size = size,
		.size_bytes = mount->size_bytes,
		.min_size_bytes = mount->min_size_bytes,
		.whole = mount->whole,
	};
	if (s->request->live)
		m->device = device_of(m);
	return 0;
}

/* Whether it is a new one, which is written down. */
static bool is_new(struct stat_snapshot *s, uint64_t name_space)
{
	for (size_t i = 0; i < s->name_space_count; i++) {
		if (s->name_spaces[i] == name_space)
			return false;
	}
	s->name_spaces = tool_realloc(s->name_spaces, s->name_space_count + 1,
		sizeof(*s->name_spaces));
	s->name_spaces[s->name_space_count++] = name_space;
	return true;
}

static uint64_t name_space_of(
	const struct stat_request *request, const char *process)
{
	char *path = stat_path(request, "/proc/%s/ns/mnt", process);
	struct stat st;
	uint64_t inode = 0;

	if (stat(path, &st) == 0)
		inode = st.st_ino;
	free(path);
	return inode;
}

void stat_add_mounts(struct stat_snapshot *s, pid_t pid)
{
	const struct stat_request *request = s->request;
	struct adding a = {.s = s};
	char process[16];

	/* Below another root the first process stands for the machine. */
	if (pid == 0 && request->live && request->root.prefix[0] != '\0')
		pid = 1;
	snprintf(process, sizeof(process), "%d", (int)pid);
	if (request->live) {
		uint64_t inode = name_space_of(request, pid ? process : "self");

		/* Unknown: no permission. Our own is read all the same. */
		if ((inode == 0 && pid != 0) || (inode && !is_new(s, inode)))
			return;
	}
	if (pid == 0)
		a.root = tool_strdup(request->live ? "" : request->root.prefix);
	else
		a.root = stat_path(request, "/proc/%d/root", (int)pid);
	(void)hl_mounts_visit_of(&request->root, pid, see_mount, &a);
	free(a.root);
}
