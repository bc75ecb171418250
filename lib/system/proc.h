/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes and shared segments as procfs shows them, for the tools that tell
 * who holds huge pages. As all of system/: below a root, no allocation, no
 * lock, 0 or -errno. A process may end at any time: -ENOENT and -ESRCH are no
 * errors but news.
 */
#ifndef HL_SYSTEM_PROC_H
#define HL_SYSTEM_PROC_H

#include "system/sys.h"

/* ---- processes (process.c) ---- */

/* Calls visit with each process id; nonzero stops and is returned. */
int hl_process_visit(const struct hl_root *root,
	int (*visit)(pid_t pid, void *arg), void *arg);

struct hl_process_status {
	char comm[64];		/* bytes as the kernel has them, unescaped */
	uint32_t uid;		/* effective */
	bool has_memory;	/* false: a kernel thread or a zombie */
	uint64_t hugetlb_bytes; /* mapped and present, of all sizes */
	uint64_t rss_bytes;	/* without them */
};
/* Of /proc/PID/status, which everyone may read. */
int hl_process_status(
	const struct hl_root *root, pid_t pid, struct hl_process_status *out);

/* Clock ticks after boot at which it started. */
int hl_process_start(const struct hl_root *root, pid_t pid, uint64_t *out);

/*
 * The control group: of the v1 hierarchy with hugetlb if there is one, else
 * of the unified one. Its length, or -errno; -ENAMETOOLONG if it does not fit.
 */
ssize_t hl_process_cgroup(
	const struct hl_root *root, pid_t pid, char *path, size_t capacity);

/*
 * The container's id in the name of a control group: 64 hexadecimal digits as
 * docker, podman, containerd and cri-o put them there, or the name behind
 * "lxc.payload." or "machine-" (lxc, systemd-nspawn). False if there is none.
 */
#define HL_CONTAINER_BYTES 80
bool hl_container_of_cgroup(const char *cgroup, char id[HL_CONTAINER_BYTES]);

/*
 * The value of a variable in the environment that a process was started with.
 * -ENOENT if it is not there, -EACCES without permission.
 */
int hl_process_variable(const struct hl_root *root, pid_t pid, const char *name,
	char *value, size_t capacity);

/* "2MB", as the kernel spells a size in the names of a control group's files
 * (cgroup.c). */
struct hl_buf;
void hl_cgroup_size_name(struct hl_buf *buf, size_t page_bytes);

/* ---- SysV segments of this IPC name space (sysvshm.c) ---- */

struct hl_shm_segment {
	int32_t key;
	int32_t id;
	uint32_t mode;
	uint64_t bytes; /* as asked for: not rounded */
	int32_t creator_pid;
	uint64_t attached;
	uint32_t uid;
	/*
	 * Resident, as the kernel says. Of a segment of huge pages that is a
	 * number of pages times base pages in a huge page times base page
	 * size, and since 6.7 the number of pages is in base pages as well.
	 */
	uint64_t rss_bytes;
};
int hl_shm_visit(const struct hl_root *root,
	int (*visit)(const struct hl_shm_segment *s, void *arg), void *arg);

/* ---- nodes of mappings (numamaps.c) ---- */

#define HL_NUMA_NODES 64 /* told one by one; higher ones are left out */

struct hl_numa_record {
	uintptr_t from;
	bool huge;
	uint64_t page_bytes; /* in which pages are counted */
	uint64_t pages[HL_NUMA_NODES];
};
/* pid 0: self; -ENOENT where the kernel has no NUMA. */
int hl_numa_maps_visit(const struct hl_root *root, pid_t pid,
	int (*visit)(const struct hl_numa_record *r, void *arg), void *arg);

#endif
