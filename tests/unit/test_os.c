/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/os.c: each entry against the running kernel: results, errors as
 * -errno, and errno left alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "system/os.h"
#include "system/sys.h"

#include "skip.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW   (PROT_READ | PROT_WRITE)

static size_t page;

static int setup(void **state)
{
	(void)state;
	page = hl_base_page_bytes();
	errno = 4242;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return errno == 4242 ? 0 : -1;
}

static char *map(size_t bytes)
{
	void *p = NULL;

	assert_int_equal(hl_os->mmap(NULL, bytes, RW, ANON, -1, 0, &p), 0);
	assert_non_null(p);
	return p;
}

static void test_the_table_is_whole(void **state)
{
	(void)state;
	assert_ptr_equal(hl_os, &hl_os_linux);
	for (size_t i = 0; i < sizeof(*hl_os) / sizeof(void *); i++)
		assert_non_null(((void *const *)(const void *)hl_os)[i]);
}

static void test_mmap(void **state)
{
	char *p = map(2 * page);
	void *out = p;

	(void)state;
	p[0] = 1;
	p[2 * page - 1] = 1;
	/* The address is untouched where it fails. */
	assert_int_equal(hl_os->mmap(NULL, 0, RW, ANON, -1, 0, &out), -EINVAL);
	assert_int_equal(
		hl_os->mmap(NULL, page, RW, MAP_PRIVATE, -1, 0, &out), -EBADF);
	assert_ptr_equal(out, p);
	assert_int_equal(hl_os->mmap(p, page, RW, ANON | MAP_FIXED_NOREPLACE,
				 -1, 0, &out),
		-EEXIST);
	assert_int_equal(hl_os->munmap(p + 1, page), -EINVAL);
	assert_int_equal(hl_os->munmap(p, 2 * page), 0);
}

static void test_mmap_of_a_file(void **state)
{
	int fd = hl_root_open(&hl_root_real, "/proc/self/exe", O_RDONLY);
	void *elf, *second;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(
		hl_os->mmap(NULL, page, PROT_READ, MAP_PRIVATE, fd, 0, &elf),
		0);
	assert_memory_equal(elf, "\177ELF", 4);
	assert_int_equal(hl_os->mmap(NULL, page, PROT_READ, MAP_PRIVATE, fd,
				 (off_t)page, &second),
		0);
	assert_int_equal(hl_os->munmap(elf, page), 0);
	assert_int_equal(hl_os->munmap(second, page), 0);
	hl_root_close(fd);
}

static void test_protection_and_advice(void **state)
{
	char *p = map(2 * page);

	(void)state;
	p[0] = 7;
	assert_int_equal(hl_os->mprotect(p, page, PROT_READ), 0);
	assert_int_equal(p[0], 7);
	assert_int_equal(hl_os->mprotect(p, page, RW), 0);
	assert_int_equal(hl_os->madvise(p, page, MADV_DONTNEED), 0);
	assert_int_equal(p[0], 0);
	assert_int_equal(hl_os->madvise(p, page, 12345), -EINVAL);
	assert_int_equal(hl_os->munmap(p, 2 * page), 0);
	assert_int_equal(hl_os->mprotect(p, page, RW), -ENOMEM);
}

static void test_mremap(void **state)
{
	char *p = map(4 * page);
	void *out = NULL;

	(void)state;
	p[page] = 9;
	assert_int_equal(
		hl_os->mremap(p + page, page, page,
			MREMAP_MAYMOVE | MREMAP_FIXED, p + 3 * page, &out),
		0);
	assert_ptr_equal(out, p + 3 * page);
	assert_int_equal(p[3 * page], 9);
	assert_int_equal(
		hl_os->mremap(p + page, page, page, 0, NULL, &out), -EFAULT);
	assert_ptr_equal(out, p + 3 * page);
	assert_int_equal(hl_os->munmap(p, 4 * page), 0);
}

static void test_mincore(void **state)
{
	char *p = map(3 * page);
	unsigned char vec[3] = {0xff, 0xff, 0xff};

	(void)state;
	p[page] = 1;
	assert_int_equal(hl_os->mincore(p, 3 * page, vec), 0);
	assert_int_equal(vec[0] & 1, 0);
	assert_int_equal(vec[1] & 1, 1);
	assert_int_equal(vec[2] & 1, 0);
	assert_int_equal(hl_os->munmap(p, 3 * page), 0);
	assert_int_equal(hl_os->mincore(p, page, vec), -ENOMEM);
}

static void test_policies(void **state)
{
	unsigned long before[HL_NODES_MAX / 64], now[HL_NODES_MAX / 64];
	unsigned long node[1] = {0};
	struct hl_topo topo;
	int mode, first = 0;
	char *p;

	(void)state;
	if (hl_os->get_mempolicy(&mode, before, HL_NODES_MAX) == -ENOSYS)
		SKIP_BECAUSE("this kernel has no NUMA");
	assert_int_equal(hl_topo_read(&hl_root_real, &topo), 0);
	while (!(topo.has_memory[0] >> first & 1))
		first++;
	node[0] = 1ul << first;
	/* One bit less would not reach the node: max_node counts. */
	assert_int_equal(
		hl_os->set_mempolicy(MPOL_BIND, node, (unsigned long)first + 1),
		0);
	assert_int_equal(hl_os->get_mempolicy(&mode, now, HL_NODES_MAX), 0);
	assert_int_equal(mode, MPOL_BIND);
	assert_int_equal(now[0], node[0]);
	assert_int_equal(now[HL_NODES_MAX / 64 - 1], 0);
	assert_int_equal(hl_os->set_mempolicy(MPOL_DEFAULT, NULL, 0), 0);
	assert_int_equal(hl_os->get_mempolicy(&mode, now, HL_NODES_MAX), 0);
	assert_int_equal(mode, MPOL_DEFAULT);
	p = map(page);
	assert_int_equal(hl_os->mbind(p, page, MPOL_BIND, node,
				 (unsigned long)first + 1),
		0);
	p[0] = 1;
	assert_int_equal(hl_os->page_node(p), first);
	assert_int_equal(hl_os->mbind(p, page, MPOL_BIND, node, 0), -EINVAL);
	assert_int_equal(hl_os->munmap(p, page), 0);
}

static void test_allowed_nodes(void **state)
{
	unsigned long nodes[HL_NODES_MAX / 64] = {0};
	struct hl_topo topo;

	(void)state;
	if (hl_os->allowed_nodes(nodes, HL_NODES_MAX) == -ENOSYS)
		SKIP_BECAUSE("this kernel has no NUMA");
	assert_int_equal(hl_topo_read(&hl_root_real, &topo), 0);
	assert_true(nodes[0] != 0);
	assert_int_equal(nodes[0] & ~topo.online[0], 0);
}

static void test_segments(void **state)
{
	void *p = NULL, *q;
	int id;

	(void)state;
	id = hl_os->shmget(IPC_PRIVATE, 3 * page, IPC_CREAT | 0600);
	if (id == -ENOSYS)
		SKIP_BECAUSE("this kernel has no segments");
	assert_true(id >= 0);
	assert_int_equal(hl_os->shmat(id, &p), 0);
	assert_int_equal(hl_os->shmat(id, &q), 0);
	((char *)p)[3 * page - 1] = 7;
	assert_int_equal(((char *)q)[3 * page - 1], 7);
	assert_int_equal(hl_os->shmdt(q), 0);
	assert_int_equal(hl_os->shmdt(q), -EINVAL);
	assert_int_equal(hl_os->shmrm(id), 0);
	assert_int_equal(hl_os->shmdt(p), 0);
	/* The address is untouched where it fails. */
	assert_true(hl_os->shmat(id, &q) < 0);
	assert_ptr_not_equal(q, NULL);
	assert_true(hl_os->shmrm(id) < 0);
	assert_int_equal(hl_os->shmget(IPC_PRIVATE, 0, IPC_CREAT), -EINVAL);
}

static void test_where_a_page_is(void **state)
{
	char *p = map(2 * page);
	int node;

	(void)state;
	node = hl_os->page_node(p);
	if (node == -ENOSYS)
		SKIP_BECAUSE("this kernel has no NUMA");
	assert_int_equal(node, -ENOENT);
	p[page] = 1;
	assert_int_equal(hl_os->page_node(p), -ENOENT);
	assert_true(hl_os->page_node(p + page) >= 0);
	assert_true(hl_os->page_node(p + page + 5) >= 0);
	assert_int_equal(hl_os->munmap(p, 2 * page), 0);
	assert_int_equal(hl_os->page_node(p), -ENOENT);
}

static void test_where_this_thread_runs(void **state)
{
	unsigned cpu = ~0u, node = ~0u;

	(void)state;
	assert_int_equal(hl_os->getcpu(&cpu, &node), 0);
	assert_true((long)cpu < sysconf(_SC_NPROCESSORS_CONF));
	assert_true(node < HL_NODES_MAX);
	assert_int_equal(hl_os->getcpu(NULL, &node), 0);
}

static void test_touch_and_pagemap(void **state)
{
	size_t base = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t entry[2];
	void *p;
	char *at;

	(void)state;
	assert_int_equal(hl_os->mmap(NULL, 2 * base, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &p),
		0);
	at = p;
	assert_int_equal(hl_os->pagemap(p, 2, entry), 0);
	assert_int_equal(entry[0] >> 63, 0);
	assert_int_equal(hl_os->touch(at), 0);
	at[base] = 77;
	assert_int_equal(hl_os->touch(at + base), 0);
	assert_int_equal(hl_os->pagemap(p, 2, entry), 0);
	assert_int_equal(entry[0] >> 63, 1);
	assert_int_equal(entry[1] >> 63, 1);
	/* Ours alone. */
	assert_int_equal(entry[1] >> 56 & 1, 1);
	assert_int_equal(at[0], 0);
	assert_int_equal(at[base], 77);
	assert_int_equal(hl_os->mprotect(p, base, PROT_READ), 0);
	assert_int_equal(hl_os->touch(at), -EFAULT);
	assert_int_equal(hl_os->munmap(p, 2 * base), 0);
	assert_int_equal(hl_os->touch(at), -EFAULT);
}

static void test_time_goes_on(void **state)
{
	struct timespec ts;
	uint64_t start = hl_os->now_ms(), start_us = hl_os->now_us(), now;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	assert_true(now >= start && now - start < 60000);
	usleep(50000);
	assert_true(hl_os->now_ms() - start >= 30);
	now = hl_os->now_us() - start_us;
	assert_true(now >= 50000 && now < 60000000);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_table_is_whole),
		TEST(test_mmap),
		TEST(test_mmap_of_a_file),
		TEST(test_protection_and_advice),
		TEST(test_mremap),
		TEST(test_mincore),
		TEST(test_policies),
		TEST(test_allowed_nodes),
		TEST(test_segments),
		TEST(test_where_a_page_is),
		TEST(test_where_this_thread_runs),
		TEST(test_touch_and_pagemap),
		TEST(test_time_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
