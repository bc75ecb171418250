/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugestat(8): who holds huge pages. One snapshot of the machine is taken
 * (hugestat_scan.c and the files it calls), its sums are made and held against
 * the kernel's pools (hugestat_balance.c), and it is shown in one of several
 * forms. A page has one holder:
 *
 *   private memory of a process, counted once where a fork shares it;
 *   a file: on hugetlbfs, a memfd, a shared anonymous mapping;
 *   a SysV segment, attached or not.
 *
 * What is reserved and untouched belongs to a mapping, file or segment, or
 * to the min_size of a mount. All counts are in huge pages of one size.
 * Single-threaded.
 */
#ifndef HL_TOOLS_HUGESTAT_H
#define HL_TOOLS_HUGESTAT_H

#include "system/proc.h"
#include "table.h"
#include "tool.h"

#include <time.h>

#define STAT_SIZES HL_PAGE_SIZES_MAX

struct stat_request {
	struct hl_root root;
	bool live; /* procfs is real: there are devices and descriptors */
	pid_t pid; /* 0: the whole machine */
	bool json, bytes, noheadings, metrics, reap, yes, tlb;
	const char *columns;	/* of -o, or NULL */
	double watch_s;		/* 0: once */
	double tlb_cost_cycles; /* of one miss; 0: unknown */
};

struct stat_size {
	size_t bytes;
	bool is_default;
	uint64_t device; /* of the kernel's own mount; 0: not known */
	struct hl_pool pool;
	/* Sums, by hugestat_balance.c. */
	uint64_t private_pages, file_pages, shm_pages;
	uint64_t private_resv, file_resv, shm_resv, mount_resv;
};

struct stat_process {
	pid_t pid;
	uint32_t uid;
	char *comm;
	char *cgroup; /* NULL: not known */
	char container[HL_CONTAINER_BYTES];
	char *subpool; /* of the library's heap, "least..most"; or NULL */
	uint64_t hugetlb_bytes; /* all sizes, as status says */
	uint64_t start;
	bool maps_denied, fds_denied;
	bool uses; /* something was found in it */
	uint64_t private_pages[STAT_SIZES];
	uint64_t resv_pages[STAT_SIZES];
	uint64_t mapped_pages[STAT_SIZES]; /* shared ones included */
};

/* A mapping of private huge pages, for those that a fork may share. */
struct stat_map {
	size_t process;
	unsigned size;
	uint64_t from, to, device, inode;
	uint64_t private_pages, shared_pages;
	bool noreserve;
	bool anonymous; /* else a private mapping of a file */
};

struct stat_range {
	uint64_t from, to; /* huge pages of the file */
};

struct stat_file {
	uint64_t device, inode;
	uint64_t ipc; /* of a segment: its name space, else 0 */
	bool segment;
	bool by_shm; /* listed by /proc/sysvipc/shm: the members below */
	unsigned size;
	char *name;
	bool linked;	  /* has a name in a mounted hugetlbfs */
	char *path;	  /* of a linked one: leads to it from here */
	const char *root; /* which that path begins with: its mount's */
	bool pages_known;
	uint64_t pages;	     /* allocated */
	uint64_t seen_pages; /* most that a process has mapped of it */
	uint64_t resv_pages;
	bool resv_guessed; /* not the kernel's word but a matching sum */
	bool opened;
	pid_t *pids; /* that map it or have it open, ascending */
	size_t pid_count;
	size_t mappers;
	struct stat_range *ranges; /* of reserving mappings */
	size_t range_count;
	bool has_uid;
	uint32_t uid;
	/* A SysV segment. */
	int32_t key, id;
	uint64_t bytes, attached;
	uint64_t rss_bytes;
	pid_t creator;
};

struct stat_mount {
	char *path; /* as its name space has it */
	char *root; /* that name space's root as seen from here, or "" */
	unsigned size;
	uint64_t device; /* 0: not known */
	uint64_t size_bytes, min_size_bytes;
	uint64_t file_pages, file_resv, resv_pages;
	bool whole; /* else only a directory of the file system is there */
	bool walked;
};

struct stat_group {
	char *path;
	unsigned size;
	uint64_t current_bytes, max_bytes;
	uint64_t rsvd_bytes, rsvd_max_bytes; /* max: UINT64_MAX: none */
};

/* Moved text that processes share, on tmpfs: holds no page of a pool. */
struct stat_shadow {
	char *path;
	char *original; /* NULL: not known */
	uint64_t used_bytes;
	int64_t used_ns; /* last use, CLOCK_REALTIME */
	uint32_t uid;
	const char *state; /* NULL: cannot be told */
	uint64_t device, inode;
	pid_t *pids; /* that map it, ascending */
	size_t pid_count;
};

struct stat_snapshot {
	const struct stat_request *request;
	unsigned size_count;
	struct stat_size sizes[STAT_SIZES];
	struct stat_process *processes; /* with memory of their own */
	size_t process_count;
	struct stat_map *maps;
	size_t map_count;
	struct stat_file *files;
	size_t file_count;
	size_t *file_slots; /* hash: index in files, plus 1; 0: empty */
	size_t file_slot_count;
	struct stat_mount *mounts;
	size_t mount_count;
	struct stat_group *groups;
	size_t group_count;
	/* Segments nobody has attached whose page size cannot be told. */
	struct stat_file *unsure;
	size_t unsure_count;
	struct stat_shadow *shadows;
	size_t shadow_count;
	uint64_t *name_spaces; /* of mounts, seen so far */
	size_t name_space_count;
	uint64_t own_ipc;
	/* What could not be seen. */
	size_t maps_denied, fds_denied, mounts_denied, shadows_denied;
	uint64_t denied_bytes; /* hugetlb memory in processes of which no
				  mapping could be seen */
	bool pfns_hidden;      /* shared private pages may count twice */
	bool unsteady;	       /* pools changed while we looked */
	char *scratch;	       /* of SCRATCH bytes, for the readers of maps */
};
#define STAT_SCRATCH (256 * HL_KIB)

/* ---- hugestat_scan.c ---- */

/* The snapshot, as steady as a few attempts get it. */
struct stat_snapshot *stat_take(const struct stat_request *request);
void stat_free(struct stat_snapshot *s);
/* Index of a page size, or size_count. */
unsigned stat_size_index(const struct stat_snapshot *s, uint64_t bytes);
/* By the device of a mapping or file; size_count if it is not hugetlbfs. */
unsigned stat_size_of_device(const struct stat_snapshot *s, uint64_t device);
/* prefix + format, to be freed: a path for libc's calls. */
char *stat_path(const struct stat_request *request, const char *fmt, ...)
	HL_PRINTF(2, 3);
/* "user" or its number. The text lives until the next call. */
const char *stat_user(const struct stat_request *request, uint32_t uid);
/* Local time; false if there is none. */
bool stat_time(time_t at, char *text, size_t capacity);
const struct stat_process *stat_find_process(
	const struct stat_snapshot *s, pid_t pid);

/* ---- hugestat_process.c ---- */

void stat_list_processes(struct stat_snapshot *s);
/* Mappings and descriptors of all processes. */
void stat_look_into_processes(struct stat_snapshot *s);
/* Fills in what names a process; false if it is gone or has no memory. */
bool stat_describe_process(
	const struct hl_root *root, pid_t pid, struct stat_process *out);

/* ---- hugestat_private.c ---- */

/* Which process has how many pages and reservations of its own. */
void stat_settle_private(struct stat_snapshot *s);

/* ---- hugestat_file.c ---- */

struct stat_file *stat_file_at(struct stat_snapshot *s, uint64_t device,
	uint64_t inode, uint64_t ipc, unsigned size);
void stat_file_used_by(struct stat_file *f, pid_t pid);
/* A reserving mapping of that part. */
void stat_file_range(struct stat_file *f, uint64_t from, uint64_t to);
uint64_t stat_file_reserved(const struct stat_file *f);
void stat_file_free(struct stat_file *f);
/* Everything below the mounts. */
void stat_walk_mounts(struct stat_snapshot *s);

/* ---- hugestat_mount.c ---- */

/* The mounts of the name space that this process is in, if it is a new one. */
void stat_add_mounts(struct stat_snapshot *s, pid_t pid);

/* ---- hugestat_shm.c ---- */

void stat_add_segments(struct stat_snapshot *s);
/* Those that nothing but sums can tell; after stat_sum(). */
void stat_settle_segments(struct stat_snapshot *s);
/*
 * Pages of a segment with that rss if its pages were of page_bytes, 0 if that
 * cannot be. in_base: the kernel counts base pages (since 6.7).
 */
uint64_t stat_segment_pages(uint64_t rss_bytes, uint64_t bytes,
	uint64_t page_bytes, uint64_t base_bytes, bool in_base);

/* ---- hugestat_shadow.c ---- */

void stat_add_shadows(struct stat_snapshot *s);
void stat_free_shadows(struct stat_snapshot *s);
/* A table of its own, to be freed. */
void stat_fill_shadows(struct table *t, const struct stat_snapshot *s);

/* ---- hugestat_cgroup.c ---- */

void stat_add_groups(struct stat_snapshot *s);

/* ---- hugestat_balance.c ---- */

void stat_sum(struct stat_snapshot *s);
static inline uint64_t stat_used(const struct stat_size *z)
{
	return z->pool.nr > z->pool.free ? z->pool.nr - z->pool.free : 0;
}
static inline uint64_t stat_held(const struct stat_size *z)
{
	return z->private_pages + z->file_pages + z->shm_pages;
}
static inline uint64_t stat_resv(const struct stat_size *z)
{
	return z->private_resv + z->file_resv + z->shm_resv + z->mount_resv;
}
/* Every page and every reservation has its holder. */
bool stat_is_balanced(const struct stat_size *z);
/* A sentence for each thing that could not be seen; ends with NULL. */
char **stat_notes(const struct stat_snapshot *s);
void stat_free_notes(char **notes);

/* ---- forms ---- */

extern const struct table_column stat_columns[];
extern const unsigned stat_column_count;
/* The holders as rows. */
void stat_fill(struct table *t, const struct stat_snapshot *s);
const char *stat_file_state(const struct stat_file *f);
/* hugestat_show.c */
void stat_show(const struct stat_snapshot *s, const struct table *columns);
/* hugestat_json.c */
int stat_json(const struct stat_snapshot *s, const struct table *columns);
/* hugestat_metrics.c */
void stat_metrics(const struct stat_snapshot *s);

/* ---- other work: exit statuses ---- */

int stat_reap(const struct stat_request *request);
int stat_pid(const struct stat_request *request);
/* The library's heap in a process, as far as it can be seen. */
void stat_heap_text(const struct stat_request *request, pid_t pid);
void stat_heap_json(
	struct hl_json *json, const struct stat_request *request, pid_t pid);
int stat_tlb(const struct stat_request *request);

#endif
