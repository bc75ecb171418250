/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel offers and allows: read-only views below a root directory
 * ("" for the running machine; a captured tree in tests and for --sysroot).
 *
 * No allocation, no stdio, no libnuma: callable under the heap's GROW lock and
 * before constructors. 0 or -errno; -ENOENT where the kernel has no such thing.
 */
#ifndef HL_SYSTEM_SYS_H
#define HL_SYSTEM_SYS_H

#include "base/base.h"

#include <sys/types.h>

/* Files by other means than the kernel's own: 0, a descriptor, or -errno. */
struct hl_root_calls {
	int (*open)(const char *path, int flags);
	int (*list)(const char *path, int (*visit)(const char *name, void *arg),
		void *arg);
};

struct hl_root {
	const char *prefix; /* "" or a directory without trailing slash */
	const struct hl_root_calls *calls; /* NULL: straight to the kernel */
};
extern const struct hl_root hl_root_real;

/* ---- files (rootfs.c) ---- */

/*
 * Reads a whole small file, NUL-terminated, trailing newline cut. Returns its
 * length or -errno (-EFBIG if it does not fit).
 */
ssize_t hl_root_read(const struct hl_root *root, const char *path, char *buf,
	size_t capacity);
int hl_root_read_u64(
	const struct hl_root *root, const char *path, uint64_t *out);
int hl_root_write(const struct hl_root *root, const char *path, const char *s);
/* A descriptor with O_CLOEXEC, or -errno. path starts with a slash. */
int hl_root_open(const struct hl_root *root, const char *path, int flags);
void hl_root_close(int fd);
/* As hl_root_read, for a relative path below an open directory. */
ssize_t hl_root_read_at(int dir, const char *path, char *buf, size_t capacity);
/*
 * Calls visit with each name in a directory but "." and ".."; visit returns
 * nonzero to stop, which is returned.
 */
int hl_root_list(const struct hl_root *root, const char *path,
	int (*visit)(const char *name, void *arg), void *arg);

/* Line by line through a caller's buffer; for /proc files of any size. */
struct hl_lines {
	int fd;
	char *buf;
	size_t capacity;
	size_t from, to; /* unread bytes in buf */
	bool eof;
	bool skipping; /* inside a line that was longer than buf */
};
int hl_lines_open(struct hl_lines *l, const struct hl_root *root,
	const char *path, char *buf, size_t capacity);
/* 1 and the line (NUL-terminated, no newline), 0 at the end, -errno. A line
 * longer than the buffer: its start, the rest skipped. */
int hl_lines_next(struct hl_lines *l, char **line);
void hl_lines_close(struct hl_lines *l);

/* ---- page sizes (pagesize.c) ---- */

#define HL_PAGE_SIZES_MAX 8

size_t hl_base_page_bytes(void);
/* Huge page sizes of the machine, ascending. Returns how many, 0 if none. */
int hl_huge_page_sizes(
	const struct hl_root *root, size_t sizes[HL_PAGE_SIZES_MAX]);
/* The same of any directory with entries like "hugepages-2048kB". */
int hl_size_directories(const struct hl_root *root, const char *directory,
	size_t *sizes, int max);
/* The kernel's default (Hugepagesize in meminfo); -ENOSYS if none. */
int hl_default_huge_page(const struct hl_root *root, size_t *out);
/* MAP_HUGE_* encoding for mmap flags. */
int hl_map_huge_flag(size_t page_bytes);

/* ---- pools (pool.c) ---- */

struct hl_pool {
	uint64_t nr;   /* persistent + surplus */
	uint64_t free; /* reserved ones included */
	uint64_t resv; /* 0 for a node: the kernel reserves globally */
	uint64_t surplus;
	uint64_t overcommit; /* 0 for a node */
};
#define HL_NODE_ANY (-1)
int hl_pool_read(const struct hl_root *root, size_t page_bytes, int node,
	struct hl_pool *out);
/* Pages that a new request could get now: free - resv + (overcommit - surplus).
 */
uint64_t hl_pool_available(const struct hl_pool *pool);

/* ---- cgroup limits of the calling process (cgroup.c), v1 and v2 ---- */

struct hl_cgroup_hugetlb {
	bool present;	    /* some ancestor has a hugetlb controller */
	uint64_t max_bytes; /* tightest on the way to the root; UINT64_MAX: none
			     */
	uint64_t current_bytes;	 /* at the level with the least headroom */
	uint64_t headroom_bytes; /* least (max - current) over all levels */
	uint64_t rsvd_headroom_bytes;
};
int hl_cgroup_hugetlb(const struct hl_root *root, size_t page_bytes,
	struct hl_cgroup_hugetlb *out);

/* ---- THP (thp.c) ---- */

enum hl_thp_mode {
	HL_THP_NEVER,
	HL_THP_MADVISE,
	HL_THP_ALWAYS
};
struct hl_thp {
	bool present;
	enum hl_thp_mode enabled; /* effective for PMD size (per-size file and
				     inherit considered) */
	size_t pmd_bytes;
	char defrag[24];
	char shmem[24];
	bool process_disabled; /* PR_SET_THP_DISABLE, real root only */
};
int hl_thp_read(const struct hl_root *root, struct hl_thp *out);

/* ---- NUMA (topo.c) ---- */

#define HL_NODES_MAX 1024
struct hl_topo {
	uint64_t online[HL_NODES_MAX / 64]; /* node numbers may be sparse */
	uint64_t has_memory[HL_NODES_MAX / 64];
	int count;   /* nodes with memory */
	int highest; /* highest online number */
};
/* A kernel without NUMA: one node, 0. */
int hl_topo_read(const struct hl_root *root, struct hl_topo *out);
int hl_topo_distance(const struct hl_root *root, int from, int to);

/* ---- mounts (mount.c) ---- */

struct hl_mount {
	char path[4096]; /* unescaped */
	size_t page_bytes;
	uint64_t size_bytes;	 /* UINT64_MAX: no limit */
	uint64_t min_size_bytes; /* 0: none */
	uint64_t inodes;	 /* UINT64_MAX: no limit */
	bool read_only;
	bool whole; /* not only a directory of the file system (bind) */
	/* Of the mount and of its file system, comma lists; valid during the
	 * visit. */
	const char *options;
	const char *super_options;
};
/* Calls visit for each hugetlbfs mount in mountinfo; visit returns nonzero to
 * stop, which is returned. */
int hl_mounts_visit(const struct hl_root *root,
	int (*visit)(const struct hl_mount *mount, void *arg), void *arg);
/* Those of another process's mount name space; pid 0: self. */
int hl_mounts_visit_of(const struct hl_root *root, pid_t pid,
	int (*visit)(const struct hl_mount *mount, void *arg), void *arg);

/* ---- limits of this process (rlimit.c) ---- */

/* The soft limit RLIMIT_*; UINT64_MAX: none, or not known. */
uint64_t hl_rlimit(int resource);
/*
 * Of RLIMIT_AS or RLIMIT_DATA: bytes that the process can still map. UINT64_MAX
 * without a limit; the limit itself where /proc cannot be read. Reads a file.
 */
uint64_t hl_rlimit_room(int resource);

/* ---- maps (procmap.c) ---- */

struct hl_map_record {
	uintptr_t from, to;
	char perms[5];
	uint64_t offset;
	uint64_t device; /* as st_dev */
	uint64_t inode;
	size_t kernel_page_bytes;
	uint64_t rss_bytes;
	uint64_t anon_bytes; /* its own, not the file's any more */
	uint64_t swap_bytes; /* the same, not in memory */
	uint64_t anon_huge_bytes;
	uint64_t shmem_huge_bytes;
	uint64_t file_huge_bytes;
	uint64_t shared_hugetlb_bytes;
	uint64_t private_hugetlb_bytes;
	/* VmFlags; bt: arm64, branches must land on a mark; lo: locked */
	bool ht, nr, bt, lo;
	const char *path; /* valid during the visit */
};
/* pid 0: self. -EACCES without permission. buf: at least 64 KiB of scratch. */
int hl_smaps_visit(const struct hl_root *root, pid_t pid, char *buf,
	size_t capacity, int (*visit)(const struct hl_map_record *r, void *arg),
	void *arg);
/* The same from maps: where and what of, nothing about what is behind it. The
 * kernel walks no page tables for it. */
int hl_maps_visit(const struct hl_root *root, pid_t pid, char *buf,
	size_t capacity, int (*visit)(const struct hl_map_record *r, void *arg),
	void *arg);

#endif
