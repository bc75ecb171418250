/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Regions and subpools on real huge pages: each limit that can be made here is
 * named and leaves nothing behind, pages are where they were asked for, what is
 * shared is whole after every order of exits, and fork kills nobody.
 *
 * Nothing is assumed about the number of nodes: with one, what needs two is a
 * skip.
 */
#include "machine.h"
#include "numa_maps.h"

#include "accounting/ledger.h"
#include "hugetlbfs2.h"
#include "system/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 8u

static size_t page;

static void begin(void)
{
	page = machine_page_bytes();
	if (page < 2 * HL_MIB)
		machine_skip("regions are multiples of 2 MiB");
}

static long used(void)
{
	return machine_pool("nr_hugepages") - machine_pool("free_hugepages");
}

/* The books are the kernel's, and nothing is promised. */
static void check_books(long hpages)
{
	struct hl_ledger_totals t;

	hl_ledger_read(&hl_ledger, page, HL_LEDGER_ALL, &t);
	CHECK(t.promised == 0);
	CHECK(t.backed == hpages);
	/* Whoever looks at /proc/PID keeps the memory of a process for that
	 * moment. */
	for (int i = 0; i < 100 && used() != hpages; i++)
		usleep(10000);
	CHECK(used() == hpages);
	CHECK(machine_pool("resv_hugepages") == 0);
}

static struct htlb_region_options strict(void)
{
	return (struct htlb_region_options){
		.size = sizeof(struct htlb_region_options),
		.flags = HTLB_REGION_STRICT,
	};
}

static struct htlb_region_options lenient(unsigned flags)
{
	return (struct htlb_region_options){
		.size = sizeof(struct htlb_region_options),
		.flags = flags,
	};
}

static struct htlb_region_info info_of(const void *p)
{
	struct htlb_region_info info = {.size = sizeof(info)};

	CHECK(htlb_region_info(p, &info) == 0);
	return info;
}

static void expect_failure(
	enum htlb_limit limit, uint64_t needed, uint64_t available)
{
	struct htlb_failure f = {.size = sizeof(f)};

	CHECK(htlb_last_failure(&f) == 0);
	if (f.limit != limit || f.needed_hpages != needed ||
		f.available_hpages != available)
		fprintf(stderr, "limit %d, needs %llu of %llu\n", (int)f.limit,
			(unsigned long long)f.needed_hpages,
			(unsigned long long)f.available_hpages);
	CHECK(f.limit == limit);
	CHECK(f.page_bytes == page);
	CHECK(f.needed_hpages == needed);
	CHECK(f.available_hpages == available);
	CHECK(f.advice != NULL && strlen(f.advice) > 20);
}

static void write_all(void *p, size_t bytes)
{
	memset(p, 0x5a, bytes);
}

/* Strict is refused with that limit, fallback gives usable memory. */
static void check_limit(struct htlb_region_options o, enum htlb_limit limit,
	uint64_t needed, uint64_t available)
{
	size_t bytes = (size_t)needed * page;
	void *p;

	o.flags |= HTLB_REGION_STRICT;
	CHECK(htlb_region_create(bytes, &o, &p) == -ENOMEM);
	expect_failure(limit, needed, available);
	check_books(0);

	o.flags &= ~HTLB_REGION_STRICT;
	CHECK(htlb_region_create(bytes, &o, &p) == 0);
	write_all(p, bytes);
	CHECK(info_of(p).limit == limit);
	CHECK(info_of(p).hugetlb_bytes < bytes);
	CHECK(info_of(p).committed_bytes == bytes);
	CHECK(htlb_region_destroy(p) == 0);
	check_books(0);
}

static void check_limit_both(
	enum htlb_limit limit, uint64_t needed, uint64_t available)
{
	check_limit(lenient(0), limit, needed, available);
	check_limit(lenient(HTLB_REGION_SHARED), limit, needed, available);
}

/* ---- limits ---- */

static void pool_is_empty(void)
{
	begin();
	check_limit_both(HTLB_LIMIT_POOL, 3, 0);
}

static void pool_is_short(void)
{
	begin();
	check_limit_both(HTLB_LIMIT_POOL, PAGES + 1, PAGES);
}

static void cgroup_limit(void)
{
	begin();
	machine_cgroup("max", 2 * page);
	check_limit_both(HTLB_LIMIT_CGROUP, 5, 2);
}

static void cgroup_rsvd_limit(void)
{
	begin();
	machine_cgroup("rsvd.max", 2 * page);
	check_limit_both(HTLB_LIMIT_CGROUP_RSVD, 5, 2);
}

static struct htlb_subpool *make_subpool(uint64_t min, uint64_t max)
{
	struct htlb_subpool_options o = {
		.size = sizeof(o), .min_hpages = min, .max_hpages = max};
	struct htlb_subpool *sp;

	CHECK(htlb_subpool_create(&o, &sp) == 0);
	return sp;
}

static void subpool_limit(void)
{
	struct htlb_region_options o = lenient(0);

	begin();
	o.subpool = make_subpool(0, 2);
	check_limit(o, HTLB_LIMIT_SUBPOOL, 4, 2);
	o.flags = HTLB_REGION_SHARED;
	check_limit(o, HTLB_LIMIT_SUBPOOL, 4, 2);
	htlb_subpool_destroy(o.subpool);
}

static void become_nobody(void)
{
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
}

static void memlock_limit(void)
{
	struct htlb_region_options o = strict();
	struct rlimit limit;
	void *p;

	begin();
	CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	/* Only root may raise it, and some kernels begin with less. */
	if (limit.rlim_max > page)
		limit.rlim_max = page;
	limit.rlim_cur = limit.rlim_max;
	become_nobody();
	CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	CHECK(mlockall(MCL_FUTURE) == 0);
	CHECK(htlb_region_create(3 * page, &o, &p) == -ENOMEM);
	expect_failure(HTLB_LIMIT_MEMLOCK, 3, 0);
	check_books(0);
}

/* Over /tmp, where only this process sees it, and it ends with it. */
static const char *make_mount(uint64_t pages, unsigned mode)
{
	char options[96];

	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	snprintf(options, sizeof(options), "pagesize=%zuk,size=%llu,mode=%o",
		page / HL_KIB, (unsigned long long)(pages * page), mode);
	CHECK(mount("none", "/tmp", "hugetlbfs", 0, options) == 0);
	return "/tmp";
}

static void mount_quota(void)
{
	struct htlb_region_options o = lenient(HTLB_REGION_FILE);
	void *p;

	begin();
	o.path = make_mount(3, 0700);
	check_limit(o, HTLB_LIMIT_MOUNT_SIZE, 5, 3);

	o.flags = HTLB_REGION_FILE | HTLB_REGION_STRICT;
	CHECK(htlb_region_create(3 * page, &o, &p) == 0);
	write_all(p, 3 * page);
	check_books(3);
	CHECK(htlb_region_decommit(p, page) == 0);
	check_books(2);
	CHECK(htlb_region_commit(p, page) == 0);
	CHECK(htlb_region_destroy(p) == 0);
	check_books(0);
}

static void mount_permission(void)
{
	struct htlb_region_options o = lenient(HTLB_REGION_FILE);
	struct htlb_failure f = {.size = sizeof(f)};
	void *p;

	begin();
	o.path = make_mount(8, 0700);
	become_nobody();
	o.flags |= HTLB_REGION_STRICT;
	CHECK(htlb_region_create(page, &o, &p) == -EACCES);
	CHECK(htlb_last_failure(&f) == 0 && f.limit == HTLB_LIMIT_PERMISSION);
	o.flags &= ~HTLB_REGION_STRICT;
	CHECK(htlb_region_create(page, &o, &p) == 0);
	write_all(p, page);
	CHECK(info_of(p).base_bytes == page);
	check_books(0);
}

static void size_is_unsupported(void)
{
	struct htlb_region_options o = strict();
	struct htlb_failure f = {.size = sizeof(f)};
	void *p;

	begin();
	o.page_bytes = (size_t)1 << 45;
	CHECK(htlb_region_create(page, &o, &p) == -EOPNOTSUPP);
	CHECK(htlb_last_failure(&f) == 0 && f.limit == HTLB_LIMIT_UNSUPPORTED);
	o.flags = 0;
	CHECK(htlb_region_create(page, &o, &p) == 0);
	write_all(p, page);
	CHECK(htlb_region_destroy(p) == 0);
}

/* ---- places ---- */

/* Sets the pool of each node with memory; how many there are. */
static int set_node_pools(const long *pages, int *nodes, int max)
{
	struct hl_topo topo;
	char path[128], text[32];
	int n = 0;

	CHECK(hl_topo_read(&hl_root_real, &topo) == 0);
	for (int node = 0; node <= topo.highest && n < max; node++) {
		if (!(topo.has_memory[node / 64] >> (node % 64) & 1))
			continue;
		snprintf(path, sizeof(path),
			"/sys/devices/system/node/node%d/hugepages/"
			"hugepages-%zukB/nr_hugepages",
			node, page / HL_KIB);
		snprintf(text, sizeof(text), "%ld", pages[n]);
		if (topo.count > 1)
			CHECK(hl_root_write(&hl_root_real, path, text) == 0);
		nodes[n++] = node;
	}
	return n;
}

static void expect_parts(
	const void *p, const int *nodes, const uint64_t *pages, size_t n)
{
	struct htlb_region_part parts[16];
	struct htlb_region_info info = {
		.size = sizeof(info), .parts = parts, .part_capacity = 16};

	CHECK(htlb_region_info(p, &info) == 0);
	CHECK(info.part_count == n);
	CHECK(numa_maps_agree(p, info.bytes, page, nodes, pages, n));
	for (size_t i = 0; i < n; i++) {
		bool found = false;

		for (size_t k = 0; k < n; k++)
			found |= parts[k].node == nodes[i] &&
				 parts[k].backing == HTLB_BACKING_HUGETLB &&
				 parts[k].page_bytes == page &&
				 parts[k].bytes == pages[i] * page;
		CHECK(found);
	}
}

/* On the node of each processor, as the thread goes there. */
static void check_local(struct htlb_region_options *o, const int *nodes, int n)
{
	const uint64_t one[] = {1};
	cpu_set_t before, set;
	unsigned cpu, node;
	void *p;

	o->policy = HTLB_POLICY_LOCAL;
	o->nodes = NULL;
	o->node_count = 0;
	CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
	for (size_t at = 0; at < CPU_SETSIZE; at++) {
		int here;

		if (!CPU_ISSET(at, &before))
			continue;
		CPU_ZERO(&set);
		CPU_SET(at, &set);
		CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
		CHECK(getcpu(&cpu, &node) == 0 && cpu == at);
		here = (int)node;
		CHECK(htlb_region_create(page, o, &p) == 0);
		for (int i = 0; i < n; i++)
			if (nodes[i] == here)
				expect_parts(p, &here, one, 1);
		CHECK(htlb_region_destroy(p) == 0);
	}
	CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
}

static void check_places(unsigned flags)
{
	static const long pools[] = {PAGES, PAGES};
	struct htlb_region_options o = lenient(flags | HTLB_REGION_STRICT);
	const uint64_t all[] = {4}, halves[] = {3, 3};
	int nodes[2], n = set_node_pools(pools, nodes, 2);
	void *p;

	o.nodes = nodes;
	for (int i = 0; i < n; i++) {
		o.policy = HTLB_POLICY_BIND;
		o.nodes = &nodes[i];
		o.node_count = 1;
		CHECK(htlb_region_create(4 * page, &o, &p) == 0);
		expect_parts(p, &nodes[i], all, 1);
		CHECK(htlb_region_destroy(p) == 0);
		o.policy = HTLB_POLICY_PREFERRED;
		CHECK(htlb_region_create(4 * page, &o, &p) == 0);
		expect_parts(p, &nodes[i], all, 1);
		CHECK(htlb_region_destroy(p) == 0);
	}
	o.policy = HTLB_POLICY_INTERLEAVE;
	o.nodes = nodes;
	o.node_count = (size_t)n;
	CHECK(htlb_region_create(6 * page, &o, &p) == 0);
	if (n == 2)
		expect_parts(p, nodes, halves, 2);
	CHECK(htlb_region_destroy(p) == 0);
	check_local(&o, nodes, n);
}

static void places(void)
{
	begin();
	check_places(0);
	check_places(HTLB_REGION_SHARED);
	check_books(0);
}

static void node_without_pages(void)
{
	static const long pools[] = {PAGES, 0};
	struct htlb_region_options o = strict();
	struct htlb_failure f = {.size = sizeof(f)};
	int nodes[2];
	void *p;

	begin();
	if (set_node_pools(pools, nodes, 2) < 2)
		machine_skip("one node with memory");
	o.policy = HTLB_POLICY_BIND;
	o.nodes = &nodes[1];
	o.node_count = 1;
	for (unsigned flags = 0; flags <= HTLB_REGION_SHARED; flags++) {
		o.flags = flags | HTLB_REGION_STRICT;
		CHECK(htlb_region_create(2 * page, &o, &p) == -ENOMEM);
		expect_failure(HTLB_LIMIT_NODE_POOL, 2, 0);
		CHECK(htlb_last_failure(&f) == 0 && f.node == nodes[1]);
		o.flags = flags;
		CHECK(htlb_region_create(2 * page, &o, &p) == 0);
		write_all(p, 2 * page);
		CHECK(info_of(p).hugetlb_bytes == 0);
		CHECK(htlb_region_destroy(p) == 0);
		check_books(0);
	}
	o.policy = HTLB_POLICY_INTERLEAVE;
	o.nodes = nodes;
	o.node_count = 2;
	o.flags = HTLB_REGION_STRICT;
	CHECK(htlb_region_create(6 * page, &o, &p) == -ENOMEM);
	o.policy = HTLB_POLICY_PREFERRED;
	o.nodes = &nodes[1];
	o.node_count = 1;
	CHECK(htlb_region_create(2 * page, &o, &p) == 0);
	write_all(p, 2 * page);
	CHECK(htlb_region_destroy(p) == 0);
	check_books(0);
}

/* ---- parts, and many ---- */

static void parts(void)
{
	struct htlb_region_options o = strict();
	char *p;

	begin();
	CHECK(htlb_region_create(6 * page - 1, &o, (void **)&p) == 0);
	CHECK(info_of(p + page).bytes == 6 * page);
	write_all(p, 6 * page);
	check_books(6);
	CHECK(htlb_region_decommit(p + page / 2, page) == -EINVAL);
	CHECK(htlb_region_decommit(p, 7 * page) == -EINVAL);
	CHECK(htlb_region_decommit(p, 0) == -EINVAL);
	CHECK(htlb_region_decommit(p + page, 2 * page) == 0);
	check_books(4);
	CHECK(htlb_region_decommit(p, 4 * page) == 0);
	check_books(2);
	CHECK(htlb_region_commit(p + 2 * page, 4 * page) == 0);
	check_books(4);
	CHECK(p[2 * page] == 0 && p[4 * page] == 0x5a);
	/* Does not fit: what was there stays, what was not is not. */
	machine_hog_start(PAGES - 4);
	CHECK(htlb_region_commit(p, 6 * page) == -ENOMEM);
	CHECK(info_of(p).committed_bytes == 4 * page);
	CHECK(p[4 * page] == 0x5a);
	machine_hog_stop();
	CHECK(mprotect(p + 3 * page, page, PROT_READ) == 0);
	CHECK(htlb_region_destroy(p + page) == -EINVAL);
	CHECK(htlb_region_destroy(p) == 0);
	CHECK(htlb_region_destroy(p) == -EINVAL);
	check_books(0);
}

static void thousands(void)
{
	enum {
		REGIONS = 3000
	};
	static char *p[REGIONS];
	struct htlb_region_options o = strict();

	begin();
	o.flags |= HTLB_REGION_EMPTY;
	for (int i = 0; i < REGIONS; i++)
		CHECK(htlb_region_create((size_t)(1 + i % 5) * page, &o,
			      (void **)&p[i]) == 0);
	for (int i = 0; i < REGIONS; i++) {
		CHECK(htlb_region_commit(p[i], page) == 0);
		p[i][page - 1] = 1;
		check_books(1);
		CHECK(i % 2 == 0 || htlb_region_destroy(p[i]) == 0);
		CHECK(i % 2 == 1 || htlb_region_decommit(p[i], page) == 0);
	}
	for (int i = 0; i < REGIONS; i += 2)
		CHECK(htlb_region_destroy(p[i]) == 0);
	check_books(0);
}

/* ---- subpools ---- */

static void subpool_is_kept(void)
{
	struct htlb_region_options o = strict();
	struct htlb_subpool_stat stat = {.size = sizeof(stat)};
	void *p, *q;

	begin();
	o.subpool = make_subpool(4, 6);
	check_books(4);
	/* All that is free is someone else's now. */
	CHECK(machine_hog_start(PAGES - 4));
	CHECK(htlb_region_create(4 * page, &o, &p) == 0);
	write_all(p, 4 * page);
	CHECK(htlb_region_create(page, &o, &q) == -ENOMEM);
	expect_failure(HTLB_LIMIT_POOL, 1, 0);
	CHECK(htlb_region_destroy(p) == 0);
	o.flags |= HTLB_REGION_SHARED;
	CHECK(htlb_region_create(3 * page, &o, &p) == 0);
	write_all(p, 3 * page);
	CHECK(htlb_subpool_stat(o.subpool, &stat) == 0);
	CHECK(stat.used_hpages == 3 && stat.held_hpages == 1);
	machine_hog_stop();
	check_books(4);
	htlb_subpool_destroy(o.subpool);
	check_books(3);
	CHECK(htlb_region_decommit(p, page) == 0);
	CHECK(htlb_region_commit(p, page) == 0);
	CHECK(htlb_region_destroy(p) == 0);
	check_books(0);
}

static void subpool_cannot_be_kept(void)
{
	struct htlb_subpool_options o = {
		.size = sizeof(o), .min_hpages = PAGES + 1};
	struct htlb_subpool *sp;

	begin();
	CHECK(htlb_subpool_create(&o, &sp) == -ENOMEM);
	expect_failure(HTLB_LIMIT_POOL, PAGES + 1, PAGES);
	check_books(0);
}

static void subpool_in_child(void)
{
	struct htlb_region_options o = strict();
	struct htlb_subpool_stat stat = {.size = sizeof(stat)};
	int status;
	void *p;

	begin();
	o.subpool = make_subpool(3, 0);
	if (fork() == 0) {
		CHECK(htlb_subpool_stat(o.subpool, &stat) == 0);
		CHECK(stat.held_hpages == 0 && stat.min_hpages == 0);
		CHECK(htlb_region_create(2 * page, &o, &p) == 0);
		write_all(p, 2 * page);
		CHECK(used() == 5);
		_exit(0);
	}
	CHECK(wait(&status) > 0 && status == 0);
	check_books(3);
	CHECK(htlb_region_create(3 * page, &o, &p) == 0);
	check_books(3);
	htlb_subpool_destroy(o.subpool);
	CHECK(htlb_region_destroy(p) == 0);
	check_books(0);
}

/* ---- processes ---- */

/* More copies than there are pages: they are converted or healed. */
static void fork_on_short_pool(void)
{
	size_t bytes;
	int status;
	char *p;

	begin();
	bytes = 6 * page;
	CHECK(htlb_region_create(bytes, NULL, (void **)&p) == 0);
	write_all(p, bytes);
	if (fork() == 0) {
		for (size_t at = 0; at < bytes; at += 4096) {
			CHECK(p[at] == 0x5a);
			p[at] = 1;
		}
		CHECK(htlb_region_destroy(p) == 0);
		_exit(0);
	}
	for (size_t at = 0; at < bytes; at += 4096)
		p[at] = 2;
	CHECK(wait(&status) > 0 && status == 0);
	for (size_t at = 0; at < bytes; at += 4096)
		CHECK(p[at] == 2 && p[at + 1] == 0x5a);
	CHECK(htlb_region_destroy(p) == 0);
	check_books(0);
}

/* Opens, writes beside the parent's mark, waits for its end. */
static pid_t start_partner(int fd, int done, bool killed)
{
	pid_t pid = fork();
	char *p, byte;

	CHECK(pid >= 0);
	if (pid != 0)
		return pid;
	CHECK(htlb_region_open_fd(fd, NULL, (void **)&p) == 0);
	CHECK(p[0] == 1);
	p[1] = 2;
	p[3 * page] = 3;
	(void)!write(done, "x", 1);
	if (killed)
		pause();
	while (p[2] == 0)
		usleep(1000);
	byte = p[3 * page];
	CHECK(htlb_region_destroy(p) == 0);
	_exit(byte == 3 ? 0 : 1);
}

static void share(unsigned flags, bool killed, bool we_go_first)
{
	struct htlb_region_options o = lenient(flags | HTLB_REGION_STRICT);
	int done[2], status;
	pid_t pid;
	char *p, byte;

	CHECK(pipe(done) == 0);
	CHECK(htlb_region_create(4 * page, &o, (void **)&p) == 0);
	p[0] = 1;
	pid = start_partner(htlb_region_fd(p), done[1], killed);
	CHECK(read(done[0], &byte, 1) == 1);
	CHECK(p[1] == 2 && p[3 * page] == 3);
	if (killed)
		CHECK(kill(pid, SIGKILL) == 0);
	p[2] = 1;
	if (we_go_first)
		CHECK(htlb_region_destroy(p) == 0);
	CHECK(wait(&status) == pid);
	CHECK(killed ? WIFSIGNALED(status) : status == 0);
	if (!we_go_first)
		CHECK(htlb_region_destroy(p) == 0);
	close(done[0]);
	close(done[1]);
	check_books(0);
}

static void shared_by_two(void)
{
	begin();
	for (unsigned i = 0; i < 4; i++)
		share(HTLB_REGION_SHARED, i & 1, i & 2);
	make_mount(PAGES, 0700);
	for (unsigned i = 0; i < 4; i++)
		share(HTLB_REGION_FILE, i & 1, i & 2);
}

/* What the owner let go of is promised again to whoever opens it. */
static void opened_with_holes(void)
{
	struct htlb_region_options o =
		lenient(HTLB_REGION_SHARED | HTLB_REGION_STRICT);
	int status;
	char *p, *q;

	begin();
	CHECK(htlb_region_create(PAGES * page, &o, (void **)&p) == 0);
	CHECK(htlb_region_decommit(p + page, 3 * page) == 0);
	check_books(PAGES - 3);
	CHECK(machine_hog_start(2));
	CHECK(htlb_region_open_fd(htlb_region_fd(p), NULL, (void **)&q) ==
		-ENOMEM);
	machine_hog_stop();
	check_books(PAGES - 3);
	if (fork() == 0) {
		CHECK(htlb_region_open_fd(
			      htlb_region_fd(p), NULL, (void **)&q) == 0);
		CHECK(machine_pool("resv_hugepages") == 3);
		write_all(q, PAGES * page);
		_exit(0);
	}
	CHECK(wait(&status) > 0 && status == 0);
	CHECK(p[0] == 0x5a && used() == PAGES);
	CHECK(htlb_region_commit(p, PAGES * page) == 0);
	CHECK(p[page] == 0x5a);
	CHECK(htlb_region_destroy(p) == 0);
	check_books(0);
	CHECK(htlb_region_open_fd(0, NULL, (void **)&q) < 0);
}

/* ---- threads ---- */

static void *come_and_go(void *arg)
{
	unsigned seed = *(const unsigned *)arg;
	struct htlb_region_options o = lenient(0);
	char *p;
	int rc;

	for (int i = 0; i < 150; i++) {
		size_t pages = 1 + (size_t)rand_r(&seed) % 4;

		o.flags = rand_r(&seed) % 2 ? HTLB_REGION_SHARED : 0;
		CHECK(htlb_region_create(pages * page, &o, (void **)&p) == 0);
		p[0] = 1;
		p[pages * page - 1] = 2;
		CHECK(htlb_region_decommit(p, page) == 0);
		CHECK(info_of(p).committed_bytes == (pages - 1) * page);
		rc = htlb_region_commit(p, page);
		/* A shared one has nothing to fall back to by then. */
		CHECK(rc == 0 || (o.flags != 0 && rc == -ENOMEM));
		if (rc == 0) {
			CHECK(p[0] == 0);
			p[0] = 3;
		}
		CHECK(htlb_region_destroy(p) == 0);
	}
	return NULL;
}

/* Forks meet changes in every state; each child makes one of its own. */
static void threads_and_forks(void)
{
	static unsigned seeds[] = {1, 2, 3};
	pthread_t threads[HL_ARRAY_SIZE(seeds)];
	int status;
	void *p;

	begin();
	for (size_t i = 0; i < HL_ARRAY_SIZE(seeds); i++)
		CHECK(pthread_create(
			      &threads[i], NULL, come_and_go, &seeds[i]) == 0);
	for (int i = 0; i < 20; i++) {
		if (fork() == 0) {
			CHECK(htlb_region_create(page, NULL, &p) == 0);
			write_all(p, page);
			CHECK(htlb_region_destroy(p) == 0);
			_exit(0);
		}
		CHECK(wait(&status) > 0 && status == 0);
	}
	for (size_t i = 0; i < HL_ARRAY_SIZE(seeds); i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	check_books(0);
}

#define CASE(f, pool)          \
	{                      \
#f, f, pool, 0 \
	}

int main(void)
{
	static const struct machine_case cases[] = {
		CASE(pool_is_empty, 0),
		CASE(pool_is_short, PAGES),
		CASE(cgroup_limit, PAGES),
		CASE(cgroup_rsvd_limit, PAGES),
		CASE(subpool_limit, PAGES),
		CASE(memlock_limit, PAGES),
		CASE(mount_quota, PAGES),
		CASE(mount_permission, PAGES),
		CASE(size_is_unsupported, PAGES),
		CASE(places, 2 * PAGES),
		CASE(node_without_pages, PAGES),
		CASE(parts, PAGES),
		CASE(thousands, 2),
		CASE(subpool_is_kept, PAGES),
		CASE(subpool_cannot_be_kept, PAGES),
		CASE(subpool_in_child, PAGES),
		CASE(fork_on_short_pool, PAGES),
		CASE(shared_by_two, PAGES),
		CASE(opened_with_holes, PAGES),
		CASE(threads_and_forks, PAGES),
	};

	return machine_main(cases, HL_ARRAY_SIZE(cases));
}
