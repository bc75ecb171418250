/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The limits that a request for huge pages can hit. Every fallback is counted
 * under one of them, and the report names it.
 */
#ifndef HL_BASE_LIMIT_H
#define HL_BASE_LIMIT_H

enum hl_limit {
	HL_LIMIT_NONE = 0,
	HL_LIMIT_POOL,	      /* no free huge page in the pool */
	HL_LIMIT_NODE_POOL,   /* none on the node that was asked for */
	HL_LIMIT_CGROUP,      /* hugetlb.<size>.max of a cgroup */
	HL_LIMIT_CGROUP_RSVD, /* hugetlb.<size>.rsvd.max of a cgroup */
	HL_LIMIT_MOUNT_SIZE,  /* size= of a hugetlbfs mount */
	HL_LIMIT_SUBPOOL,     /* maximum of a subpool (hugectl --heap-max) */
	HL_LIMIT_MEMLOCK,     /* RLIMIT_MEMLOCK */
	HL_LIMIT_PERMISSION,  /* the caller may not */
	HL_LIMIT_UNSUPPORTED, /* the kernel or machine cannot */
	HL_LIMIT_MEMORY, /* ordinary memory: RLIMIT_AS, RLIMIT_DATA, overcommit,
			    max_map_count */
	HL_LIMIT_THP,	 /* no THP: switched off, or no 2 MiB could be had */
	HL_LIMIT_COUNT_
};

/* Short stable name, as in the JSON report: "pool", "node pool", "cgroup", ...
 */
const char *hl_limit_name(enum hl_limit limit);
/* One sentence that tells an administrator what to do. Never NULL. */
const char *hl_limit_advice(enum hl_limit limit);

#endif
