/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of the fake kernel's machine, below tree.h's root: pools, nodes,
 * THP, a cgroup. See fake_os.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#include "backing/area_internal.h"
#include "tree.h"

#include <stdio.h>

static void put_number(const char *dir, const char *name, long value)
{
	char path[256], text[32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(text, sizeof(text), "%ld\n", value);
	tree_put(path, text);
}

static void put_pool(const char *size, const long *free_pages, long reserved)
{
	char dir[160];
	long all = 0;

	for (int node = 0; node < fake.nodes; node++) {
		snprintf(dir, sizeof(dir),
			"/sys/devices/system/node/node%d/hugepages/%s", node,
			size);
		put_number(dir, "nr_hugepages", free_pages[node]);
		put_number(dir, "free_hugepages", free_pages[node]);
		put_number(dir, "surplus_hugepages", 0);
		all += free_pages[node];
	}
	snprintf(dir, sizeof(dir), "/sys/kernel/mm/hugepages/%s", size);
	put_number(dir, "nr_hugepages", all);
	put_number(dir, "free_hugepages", all);
	put_number(dir, "resv_hugepages", reserved);
	put_number(dir, "surplus_hugepages", 0);
	put_number(dir, "nr_overcommit_hugepages", 0);
}

void fake_put_pools(void)
{
	put_pool("hugepages-2048kB", fake.pool, fake.reserved);
	put_pool("hugepages-1048576kB", fake.gigantic, 0);
}

void fake_publish(void)
{
	const char *nodes = fake.nodes == 1 ? "0\n" : "0-1\n";

	tree_put("/proc/meminfo", "Hugepagesize:    2048 kB\n");
	fake_put_pools();
	tree_put("/sys/devices/system/node/online", nodes);
	tree_put("/sys/devices/system/node/has_memory", nodes);
	hl_supply_forget();
}

void fake_publish_thp(const char *enabled)
{
	tree_put("/sys/kernel/mm/transparent_hugepage/enabled", enabled);
	tree_put("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
		"2097152\n");
	hl_supply_forget();
}

void fake_publish_cgroup(long max_hpages, long rsvd_max_hpages)
{
	char text[32];

	tree_put("/proc/self/cgroup", "0::/g\n");
	tree_put("/proc/self/mountinfo",
		"30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	snprintf(text, sizeof(text), "%ld\n",
		max_hpages < 0 ? 9223372036854771712 : max_hpages << 21);
	tree_put("/sys/fs/cgroup/g/hugetlb.2MB.max", text);
	tree_put("/sys/fs/cgroup/g/hugetlb.2MB.current", "0\n");
	snprintf(text, sizeof(text), "%ld\n",
		rsvd_max_hpages < 0 ? 9223372036854771712
				    : rsvd_max_hpages << 21);
	tree_put("/sys/fs/cgroup/g/hugetlb.2MB.rsvd.max", text);
	tree_put("/sys/fs/cgroup/g/hugetlb.2MB.rsvd.current", "0\n");
	hl_supply_forget();
}
