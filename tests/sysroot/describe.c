/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints all that lib/system sees of a machine:
 *
 *   describe DIRECTORY    ("" for the running one)
 *
 * compare.py holds the output against DIRECTORY/expected.txt.
 */
#include "base/fmt.h"
#include "system/sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct hl_root root;

static const char *bytes(uint64_t n)
{
	static char texts[8][32];
	static unsigned next;
	char *text = texts[next++ % 8];
	struct hl_buf buf;

	if (n == UINT64_MAX)
		return "none";
	hl_buf_init(&buf, text, sizeof(texts[0]));
	hl_buf_printf(&buf, "%K", (size_t)n);
	return text;
}

static void describe_pool(size_t page_bytes, int node)
{
	struct hl_pool pool;
	int err = hl_pool_read(&root, page_bytes, node, &pool);

	if (err)
		return;
	printf("pool %s", bytes(page_bytes));
	if (node != HL_NODE_ANY)
		printf(" node %d", node);
	printf(": nr %" PRIu64 " free %" PRIu64 " resv %" PRIu64
	       " surplus %" PRIu64 " overcommit %" PRIu64 " available %" PRIu64
	       "\n",
		pool.nr, pool.free, pool.resv, pool.surplus, pool.overcommit,
		hl_pool_available(&pool));
}

static void describe_cgroup(size_t page_bytes)
{
	struct hl_cgroup_hugetlb cgroup;
	int err = hl_cgroup_hugetlb(&root, page_bytes, &cgroup);

	if (err) {
		printf("cgroup %s: error %d\n", bytes(page_bytes), err);
		return;
	}
	printf("cgroup %s: %s max %s current %s headroom %s rsvd headroom %s\n",
		bytes(page_bytes), cgroup.present ? "present" : "absent",
		bytes(cgroup.max_bytes), bytes(cgroup.current_bytes),
		bytes(cgroup.headroom_bytes),
		bytes(cgroup.rsvd_headroom_bytes));
}

static void describe_topology(struct hl_topo *topo)
{
	char online[256], memory[256];
	struct hl_buf buf;
	int err = hl_topo_read(&root, topo);

	if (err) {
		printf("nodes: error %d\n", err);
		exit(1);
	}
	hl_buf_init(&buf, online, sizeof(online));
	hl_buf_list(&buf, topo->online, HL_NODES_MAX);
	hl_buf_init(&buf, memory, sizeof(memory));
	hl_buf_list(&buf, topo->has_memory, HL_NODES_MAX);
	printf("nodes: online %s memory %s count %d highest %d\n", online,
		memory, topo->count, topo->highest);
}

static bool is_online(const struct hl_topo *topo, int node)
{
	return topo->online[node / 64] >> (node % 64) & 1;
}

static void describe_distances(const struct hl_topo *topo)
{
	for (int from = 0; from <= topo->highest; from++) {
		if (!is_online(topo, from))
			continue;
		printf("distances of node %d:", from);
		for (int to = 0; to <= topo->highest; to++) {
			if (is_online(topo, to))
				printf(" %d",
					hl_topo_distance(&root, from, to));
		}
		putchar('\n');
	}
}

static void describe_thp(void)
{
	static const char *const modes[] = {"never", "madvise", "always"};
	struct hl_thp thp;
	int err = hl_thp_read(&root, &thp);

	if (err)
		printf("thp: error %d\n", err);
	else
		printf("thp: %s of %s, defrag %s, shmem %s\n",
			modes[thp.enabled], bytes(thp.pmd_bytes), thp.defrag,
			thp.shmem);
}

static int describe_mount(const struct hl_mount *mount, void *arg)
{
	printf("mount [%s] of %s, size %s, min_size %s%s\n", mount->path,
		bytes(mount->page_bytes), bytes(mount->size_bytes),
		bytes(mount->min_size_bytes),
		mount->read_only ? ", read-only" : "");
	return 0;
}

static int describe_map(const struct hl_map_record *r, void *arg)
{
	if (r->kernel_page_bytes > hl_base_page_bytes() || r->ht ||
		r->anon_huge_bytes + r->shmem_huge_bytes + r->file_huge_bytes)
		printf("map %" PRIxPTR "-%" PRIxPTR " %s offset %" PRIx64
		       " inode %" PRIu64
		       " [%s] page %s rss %s anon %s shmem %s file %s"
		       " shared %s private %s%s%s\n",
			r->from, r->to, r->perms, r->offset, r->inode, r->path,
			bytes(r->kernel_page_bytes), bytes(r->rss_bytes),
			bytes(r->anon_huge_bytes), bytes(r->shmem_huge_bytes),
			bytes(r->file_huge_bytes),
			bytes(r->shared_hugetlb_bytes),
			bytes(r->private_hugetlb_bytes), r->ht ? " ht" : "",
			r->nr ? " nr" : "");
	++*(int *)arg;
	return 0;
}

static void describe_sizes(size_t *sizes, int count)
{
	size_t standard;
	int err = hl_default_huge_page(&root, &standard);

	printf("sizes:");
	for (int i = 0; i < count; i++)
		printf(" %s", bytes(sizes[i]));
	if (err)
		printf(", default: error %d\n", err);
	else
		printf(", default %s\n", bytes(standard));
}

int main(int argc, char **argv)
{
	static char scratch[128 * 1024];
	size_t sizes[HL_PAGE_SIZES_MAX];
	struct hl_topo topo;
	int count, maps = 0, err;

	root.prefix = argc > 1 ? argv[1] : "";
	count = hl_huge_page_sizes(&root, sizes);
	describe_sizes(sizes, count);
	describe_topology(&topo);
	describe_distances(&topo);
	for (int i = 0; i < count; i++) {
		describe_pool(sizes[i], HL_NODE_ANY);
		for (int node = 0; node <= topo.highest; node++)
			describe_pool(sizes[i], node);
		describe_cgroup(sizes[i]);
	}
	describe_thp();
	err = hl_mounts_visit(&root, describe_mount, NULL);
	if (err)
		printf("mounts: error %d\n", err);
	err = hl_smaps_visit(
		&root, 0, scratch, sizeof(scratch), describe_map, &maps);
	if (err)
		printf("maps: error %d\n", err);
	else if (*root.prefix != '\0')
		printf("maps: %d\n", maps);
	return 0;
}
