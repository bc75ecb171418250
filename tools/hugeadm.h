/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugeadm: pools, mounts and settings of huge pages. The parts, in the order in
 * which a run passes them:
 *
 *   state    what the machine has now
 *   request  what is asked for: from the command line, or from a file
 *   plan     what has to be changed for that, and whether it fits. Pure: makes
 *            no system call, so that --dry-run changes nothing by construction
 *   apply    changes it, and looks in the kernel what came of it
 *   persist  what was set becomes files that outlive a reboot
 *
 * Counts of pages are persistent ones (without surplus) unless a name says
 * otherwise. Memory is never given back: a run is short.
 */
#ifndef HL_TOOLS_HUGEADM_H
#define HL_TOOLS_HUGEADM_H

#include "tool.h"

#include "base/fmt.h"
#include "base/json.h"
#include "system/admin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define ADM_MOUNT_BASE "/var/lib/hugetlbfs"

/* ---- state (hugeadm_state.c) ---- */

struct adm_node {
	int id;
	bool memory_known;
	struct hl_memory memory;
};

struct adm_pool {
	size_t page_bytes;
	struct hl_pool all;
	/* As many as the state has nodes; present where the node has a pool. */
	struct hl_pool *node;
	bool *present;
	size_t demote_bytes; /* 0: pages of that size cannot be demoted */
};

struct adm_state {
	struct hl_root root;
	size_t default_bytes; /* 0: no huge pages */
	int pools;
	struct adm_pool pool[HL_PAGE_SIZES_MAX];
	int nodes;
	struct adm_node *node;
	bool memory_known;
	struct hl_memory memory;
	/* What must stay of the memory for everything else. */
	uint64_t leave_bytes;
	char *leave_text; /* --leave, or NULL */
};

void adm_state_read(const struct hl_root *root, struct adm_state *state);
struct adm_pool *adm_pool_of(struct adm_state *state, size_t page_bytes);
/* Index of the node with that number, or -1. */
int adm_node_index(const struct adm_state *state, int id);
/* Persistent pages of a pool, on a node (index) or in all (-1). */
uint64_t adm_pages(const struct adm_pool *pool, int node);
uint64_t adm_maximum(const struct adm_pool *pool);
/* Pages that the kernel makes at boot or on request, but never on demand. */
bool adm_gigantic(const struct adm_state *state, size_t page_bytes);
/* "2M, 1G" */
char *adm_sizes_text(const struct adm_state *state);

/* ---- settings (hugeadm_setting.c) ---- */

enum adm_form {
	ADM_NUMBER,
	ADM_UINT,   /* as many as an unsigned int of the kernel holds */
	ADM_COUNT,  /* the same, and not zero */
	ADM_INT,    /* as many as an int holds */
	ADM_PTES,   /* at most the base pages of a THP, but one */
	ADM_SWITCH, /* 0 or 1; also on, off, yes, no */
	ADM_WORD,   /* one of those that the file offers */
	ADM_GROUP,  /* a number, or the name of a group */
};

/* A file of the kernel with one value. Section and key name it in files for
 * --apply and in JSON. */
struct adm_setting {
	const char *section;
	const char *key;
	const char *path; /* a size's directory goes where %s is */
	enum adm_form form;
	bool per_size;	    /* exists for each size of transparent huge pages */
	const char *sysctl; /* its name, if it is one */
	const char *since;  /* where there is no such file: why */
};
extern const struct adm_setting adm_settings[];
extern const size_t adm_setting_count;

const struct adm_setting *adm_setting_find(
	const char *section, const char *key, bool per_size);
/* The path, for a size where the setting has one per size. */
char *adm_setting_path(const struct adm_setting *setting, size_t page_bytes);
/* Its value now, or NULL if this kernel does not have it. */
char *adm_setting_read(const struct hl_root *root,
	const struct adm_setting *setting, size_t page_bytes);
/*
 * The value as the kernel wants it. NULL, and *why, if it is none; a word that
 * the file does not offer is none.
 */
char *adm_setting_value(const struct hl_root *root,
	const struct adm_setting *setting, size_t page_bytes, const char *text,
	char **why);

/* ---- requests (hugeadm_request.c) ---- */

enum adm_unit {
	ADM_PAGES,
	ADM_BYTES,
	ADM_PERCENT, /* of the memory, in hundredths of a percent */
};

struct adm_count {
	enum adm_unit unit;
	int sign; /* 0: that many; 1, -1: more or fewer by that */
	uint64_t value;
};

enum adm_what {
	ADM_MIN,
	ADM_MAX,
	ADM_OVERCOMMIT,
	ADM_DEMOTE,
	ADM_SET,
	ADM_RAISE, /* set, unless it is that much already */
	ADM_COMPACT,
	ADM_DROP_CACHES,
	ADM_MOUNT,
	ADM_UNMOUNT,
};

struct adm_mount {
	char *path;
	size_t page_bytes;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	/* Bytes, a percentage of the pool, or "none"; NULL: as it is, if the
	 * mount is there, else none. */
	char *size;
	char *min_size;
	char *inodes;
	/* Of one to unmount: empty directories below that go too; or NULL. */
	char *base;
};

/* A mount that is there. */
struct adm_mounted {
	struct adm_mount_facts {
		size_t page_bytes;
		uint64_t size_bytes, min_size_bytes, inodes;
		mode_t mode;
		uid_t uid;
		gid_t gid;
		bool read_only;
	} is;
	char *path, *options;
};

struct adm_request {
	enum adm_what what;
	const char *from; /* "--pool-pages-min", or "file.ini:12" */
	size_t page_bytes;
	struct adm_count count;
	bool on_nodes; /* else: the pool as a whole */
	uint64_t nodes[HL_NODES_MAX / 64];
	size_t to_bytes; /* demote */
	const struct adm_setting *setting;
	char *value;
	struct adm_mount mount;
};

struct adm_requests {
	struct adm_request *at;
	size_t n;
};

struct adm_request *adm_request_add(
	struct adm_requests *list, enum adm_what what, const char *from);

/* These return 0, or TOOL_USAGE and have said why. */
int adm_parse_page_size(const struct adm_state *state, const char *from,
	const char *text, size_t *out);
int adm_parse_pool(struct adm_state *state, struct adm_requests *list,
	enum adm_what what, const char *from, const char *text);
int adm_parse_count(const char *from, const char *text, struct adm_count *out);
int adm_parse_nodes(const struct adm_state *state, const char *from,
	const char *text, uint64_t nodes[HL_NODES_MAX / 64]);
int adm_parse_demote(struct adm_state *state, struct adm_requests *list,
	const char *from, const char *text);
int adm_parse_setting(struct adm_state *state, struct adm_requests *list,
	const char *from, const struct adm_setting *setting, size_t page_bytes,
	const char *text);
/* "5G" or "10%": of the machine's memory. */
int adm_parse_amount(const struct adm_state *state, const char *from,
	const char *text, uint64_t *out);
/* Pages of that size, of memory on these nodes; at most UINT64_MAX. */
uint64_t adm_count_pages(const struct adm_count *count, size_t page_bytes,
	uint64_t memory_bytes);

/* ---- plan (hugeadm_plan.c) ---- */

/* In the order in which they are done. */
enum adm_do {
	ADM_DO_UNMOUNT, /* a mount may have pages set aside */
	ADM_DO_DROP_CACHES,
	ADM_DO_COMPACT,
	ADM_DO_SET,
	ADM_DO_DEMOTE,
	ADM_DO_SHRINK, /* makes room for what grows */
	ADM_DO_GROW,
	ADM_DO_OVERCOMMIT, /* once it is known what the pool reached */
	ADM_DO_MOUNT,
};

enum adm_result {
	ADM_NOT_DONE,
	ADM_DONE,
	ADM_SHORT, /* in part */
	ADM_FAILED,
};

struct adm_action {
	enum adm_do what;
	const char *from;
	size_t page_bytes;
	int node; /* index, -1: the whole pool */
	uint64_t before, after, reached;
	bool keeps_maximum; /* overcommit: `after` is the maximum */
	size_t to_bytes;
	const struct adm_setting *setting;
	char *path, *old, *value;
	struct adm_mount mount;
	enum adm_remount {
		ADM_NEW_MOUNT,
		ADM_CHANGE_OWNER, /* it is there, with another owner or mode */
		ADM_MOUNT_ANEW,	  /* it is there, with other limits */
	} remount;
	enum adm_result result;
	char *why; /* of a result that is not ADM_DONE */
};

/* A file that --persist is about. */
struct adm_written {
	char *path;
	enum adm_writing {
		ADM_WRITTEN,
		ADM_REMOVED,
		ADM_UNCHANGED,
		ADM_WOULD_WRITE,
		ADM_WOULD_REMOVE,
	} what;
};

struct adm_plan {
	struct adm_action *at;
	size_t n;
	struct adm_written *files;
	size_t file_count;
	uint64_t takes_bytes, gives_bytes; /* of memory, by pools */
	char *refused;			   /* one line; nothing is to be done */
	int refused_status;
	char *warning;
};

/*
 * What the requests come to on that machine. 0, or a status and has said why
 * (requests that contradict each other or the machine).
 */
int adm_plan_make(struct adm_state *state, const struct adm_requests *requests,
	struct adm_plan *plan);
struct adm_action *adm_plan_add(
	struct adm_plan *plan, enum adm_do what, const char *from);
/* Whether it fits: hugeadm_fit.c. Sets refused, warning. */
void adm_plan_fit(const struct adm_state *state, struct adm_plan *plan);
void adm_plan_print(const struct adm_state *state, const struct adm_plan *plan);
/* "2M pages on node 1: 0 -> 512" */
char *adm_action_text(
	const struct adm_state *state, const struct adm_action *action);
/* Members "changed", "changes", ... of the object that is open. */
void adm_plan_json(struct hl_json *json, const struct adm_state *state,
	const struct adm_plan *plan, bool dry, int status);

/* ---- apply (hugeadm_apply.c) ---- */

struct adm_swap {
	uint64_t hpages; /* temporary swap file, 0: none */
	bool ramdisk;
	bool keep;
};

struct adm_effort {
	bool hard;
	bool drop_caches;
	bool quiet;
	struct adm_swap swap;
};

/*
 * hugeadm_interrupt.c: between begin and end a signal that would end the
 * process is remembered; end obeys it.
 */
void adm_interrupt_begin(void);
bool adm_interrupted(void);
void adm_interrupt_end(void);

/* A pool does, so that swap can help. */
bool adm_plan_grows(const struct adm_plan *plan);
/* Does it all; TOOL_OK, TOOL_PARTIAL or TOOL_FAILURE. */
int adm_apply(struct adm_state *state, struct adm_plan *plan,
	const struct adm_effort *effort);
/* Grows a pool: hugeadm_grow.c. Sets reached, result and why. */
void adm_grow(struct adm_state *state, struct adm_action *action,
	const struct adm_effort *effort);
/* Writes the kernel's compact file of a node, or of all (-1); 0 or -errno. */
int adm_compact(const struct adm_state *state, int node);
int adm_drop_caches(const struct adm_state *state);
/* hugeadm_swap.c: 0 or -errno, and has said why. */
int adm_swap_add(const struct adm_state *state, const struct adm_swap *swap);
/* Lines that say what would be added. */
void adm_swap_print(const struct adm_state *state, const struct adm_swap *swap);
void adm_swap_remove(const struct adm_state *state);

/* ---- mounts (hugeadm_mount.c) ---- */

struct adm_mount_wish {
	const char *from;
	enum adm_owner {
		ADM_OWNER_ROOT,
		ADM_OWNER_USER,
		ADM_OWNER_GROUP,
		ADM_OWNER_GLOBAL
	} owner;
	const char *name;  /* user or group */
	const char *sizes; /* "2M,1G", NULL: all */
};
struct adm_mount_limits {
	const char *base, *size, *min_size, *inodes;
};
int adm_parse_mounts(struct adm_state *state, struct adm_requests *list,
	const struct adm_mount_wish *wish,
	const struct adm_mount_limits *limits);
int adm_parse_limits(const struct adm_mount_limits *limits);
/* Without slashes that mean nothing, and without "." in between. */
char *adm_plain_path(const char *path);
/* As the kernel shows a mount there: plain, and without symbolic links and
 * "..". Below --sysroot only plain. */
char *adm_real_path(const struct adm_state *state, const char *path);
/* A section [mount PATH]: key = value. */
int adm_parse_mount_key(const struct adm_state *state, struct adm_mount *mount,
	const char *from, const char *key, const char *value);
/* All hugetlbfs mounts, in their order. 0 or -errno. */
int adm_mounts_read(
	const struct adm_state *state, struct adm_mounted **out, size_t *n);
/* The uppermost at that path, or NULL; count (or NULL): how many are there. */
const struct adm_mounted *adm_mounted_at(
	const struct adm_state *state, const char *path, size_t *count);
/* Requests to unmount: one path, or (NULL) all below the base. */
int adm_parse_unmount(struct adm_state *state, struct adm_requests *list,
	const char *from, const char *path, const char *base);
/* Adds what is needed so that the mount is there as asked. */
void adm_plan_mount(struct adm_state *state, struct adm_plan *plan,
	const struct adm_request *request);
void adm_plan_unmount(struct adm_state *state, struct adm_plan *plan,
	const struct adm_request *request);
void adm_mount_do(struct adm_state *state, struct adm_action *action);
void adm_unmount_do(struct adm_state *state, struct adm_action *action);
/* "pagesize=2097152,uid=0,..." */
char *adm_mount_options(const struct adm_mount *mount);
/* The mount as it will be there. */
struct adm_mounted adm_mount_foreseen(
	struct adm_state *state, const struct adm_mount *mount);

/* ---- what is there (hugeadm_list.c, hugeadm_json.c, hugeadm_explain.c) ----
 */

void adm_list_pools(const struct adm_state *state, bool nodes);
void adm_list_page_sizes(const struct adm_state *state, bool all);
int adm_list_mounts(const struct adm_state *state);
/* A path with control characters as mountinfo has them. */
char *adm_one_line(const char *path);
enum adm_section {
	ADM_SHOW_POOLS = 1,
	ADM_SHOW_SIZES = 2,
	ADM_SHOW_USABLE_SIZES = 4,
	ADM_SHOW_MOUNTS = 8,
	ADM_SHOW_SETTINGS = 16,
	ADM_SHOW_MEMORY = 32,
	ADM_SHOW_BOOT = 64,
	ADM_SHOW_ALL = ADM_SHOW_POOLS | ADM_SHOW_SIZES | ADM_SHOW_MOUNTS |
		       ADM_SHOW_SETTINGS | ADM_SHOW_MEMORY,
};
/* plan: what was done or (dry) would be; NULL: none. 0 or -errno. */
int adm_print_json(const struct adm_state *state, unsigned sections,
	const struct adm_plan *plan, bool dry, int status);
void adm_explain(struct adm_state *state);
/* What min_free_kbytes and shmmax should be at least; 0: not known. */
uint64_t adm_recommended_min_free_kib(const struct adm_state *state);
uint64_t adm_recommended_shmmax(const struct adm_state *state);

/* ---- files (hugeadm_conf.c, hugeadm_json_conf.c) ---- */

/* Requests of a file: INI, or JSON as --json prints it. 0 or a status. */
int adm_read_file(
	struct adm_state *state, struct adm_requests *list, const char *path);
/* One entry of either form; key NULL begins the section. */
int adm_conf_entry(struct adm_state *state, struct adm_requests *list,
	const char *from, const char *section, const char *name,
	const char *key, const char *value);
/* Value of a JSON file into entries. */
int adm_conf_json(struct adm_state *state, struct adm_requests *list,
	const char *path, const char *text);

/* ---- across a reboot (hugeadm_boot.c, hugeadm_persist.c) ---- */

/* "hugepagesz=1G hugepages=0:2,1:2", "" if no pool has pages. */
char *adm_boot_parameters(const struct adm_state *state);
struct adm_persistence {
	const char *base;
	bool dry;   /* what the plan would lead to, and nothing written */
	bool quiet; /* nothing printed but errors */
	/* Something is asked for that came to no request, such as mounts to
	 * be removed where there are none: not everything is meant. */
	bool in_vain;
};
/*
 * Writes files with what the kernel has now of all that the requests are about;
 * without requests: of all pools and of the mounts below the base. Adds to the
 * files of the plan. 0 or a status.
 */
int adm_persist(struct adm_state *state, const struct adm_requests *requests,
	struct adm_plan *plan, const struct adm_persistence *how);
/* hugeadm_foresee.c: the state's pools as they are once the plan is done. */
void adm_foresee_pools(struct adm_state *state, const struct adm_plan *plan);
/* The action about that setting's file, or mount; NULL if there is none. */
const struct adm_action *adm_plan_find(
	const struct adm_plan *plan, enum adm_do what, const char *path);
/* hugeadm_unit.c: files below the root. */
struct adm_file {
	const struct hl_root *root;
	struct adm_plan *plan; /* whose files are added to */
	bool dry, quiet;
	int status; /* TOOL_FAILURE once one could not be written */
};
/* NULL if there is none. */
char *adm_file_read(const struct adm_file *file, const char *path);
/* Says so; does nothing if that is in it already. text NULL: removes it. */
void adm_file_write(struct adm_file *file, const char *path, const char *text);
/* Makes the unit part of the target; on false takes it out. */
void adm_unit_enable(
	struct adm_file *file, const char *unit, const char *target, bool on);
/* service: there is a hugeadm.service, which the mount comes after. */
void adm_unit_mount(
	struct adm_file *file, const struct adm_mounted *mount, bool service);
/* Units of mounts that were written before come after it, or not, as well. */
void adm_unit_order(struct adm_file *file, bool service);
void adm_unit_unmount(struct adm_file *file, const char *path);
/* "var-lib-x\x2dy": a path as systemd names its unit. */
char *adm_unit_name(const char *path, const char *suffix);

/* ---- suggest (hugeadm_suggest.c) ---- */

int adm_suggest(const struct adm_state *state, char **what, bool json);

#endif
