/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and advice for the limits that a request can hit. The names are part
 * of the JSON report: never change one.
 */
#include "base/limit.h"
#include "base/base.h"

struct text {
	const char *name;
	const char *advice;
};

static const struct text texts[HL_LIMIT_COUNT_] = {
	[HL_LIMIT_NONE] = {"none", "No limit was hit."},
	[HL_LIMIT_POOL] = {"pool",
		"The pool of huge pages had no free page: raise nr_hugepages "
		"or nr_overcommit_hugepages in /sys/kernel/mm/hugepages."},
	[HL_LIMIT_NODE_POOL] = {"node pool",
		"The pool of the requested NUMA node had no free page: raise "
		"nr_hugepages of that node, or allow more nodes."},
	[HL_LIMIT_CGROUP] = {"cgroup",
		"The control group's limit of huge pages was reached: raise "
		"hugetlb.<size>.max of the group or of one above it."},
	[HL_LIMIT_CGROUP_RSVD] = {"cgroup rsvd",
		"The control group's limit of huge page reservations was "
		"reached: raise hugetlb.<size>.rsvd.max of the group or of one "
		"above it."},
	[HL_LIMIT_MOUNT_SIZE] = {"mount size",
		"The hugetlbfs mount is full: remount it with a larger size=, "
		"or remove files from it."},
	[HL_LIMIT_SUBPOOL] = {"subpool",
		"The maximum that this heap or subpool was given was reached: "
		"raise --heap-max (HUGETLB_HEAP_MAX)."},
	[HL_LIMIT_MEMLOCK] = {"memlock",
		"The limit of locked memory was reached: raise it with "
		"ulimit -l or LimitMEMLOCK=."},
	[HL_LIMIT_PERMISSION] = {"permission",
		"The program may not use huge pages here: check the "
		"permissions of the mount, or vm.hugetlb_shm_group for shared "
		"memory segments."},
	[HL_LIMIT_UNSUPPORTED] = {"unsupported",
		"This kernel or machine has no huge pages of the requested "
		"kind: see pagesize --all for what it has."},
	[HL_LIMIT_MEMORY] = {"memory",
		"Ordinary memory or address space ran out: check ulimit -v, "
		"ulimit -d, vm.overcommit_memory and vm.max_map_count."},
	[HL_LIMIT_THP] = {"thp",
		"No transparent huge page could be had: set "
		"/sys/kernel/mm/transparent_hugepage/enabled to madvise or "
		"always; if it is, memory is too fragmented, or the program "
		"has switched them off for itself (PR_SET_THP_DISABLE, as ruby "
		"does)."},
};

static const struct text *text_of(enum hl_limit limit)
{
	if ((unsigned)limit >= HL_LIMIT_COUNT_)
		limit = HL_LIMIT_NONE;
	return &texts[limit];
}

const char *hl_limit_name(enum hl_limit limit)
{
	return text_of(limit)->name;
}

const char *hl_limit_advice(enum hl_limit limit)
{
	return text_of(limit)->advice;
}
