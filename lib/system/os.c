/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The real kernel behind struct hl_os. Each entry is one raw system call: the
 * preload library interposes mmap and its like, and must not meet itself here.
 * No lock, no state, async-signal-safe, no cancellation point.
 */
#include "system/os.h"
#include "base/syscall.h"
#include "system/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <sys/ipc.h>
#include <sys/syscall.h>
#include <time.h>

/* Addresses and errors share one word: -errno is the top 4095 values. */
static int address(long result, void **out)
{
	if (result < 0 && result >= -4095)
		return (int)result;
	*out = (void *)result;
	return 0;
}

static int os_mmap(void *addr, size_t bytes, int prot, int flags, int fd,
	off_t offset, void **out)
{
	return address(hl_syscall(SYS_mmap, (long)addr, (long)bytes, prot,
			       flags, fd, (long)offset),
		out);
}

static int os_munmap(void *addr, size_t bytes)
{
	return (int)hl_syscall(SYS_munmap, (long)addr, (long)bytes, 0, 0, 0, 0);
}

static int os_mprotect(void *addr, size_t bytes, int prot)
{
	return (int)hl_syscall(
		SYS_mprotect, (long)addr, (long)bytes, prot, 0, 0, 0);
}

static int os_madvise(void *addr, size_t bytes, int advice)
{
	return (int)hl_syscall(
		SYS_madvise, (long)addr, (long)bytes, advice, 0, 0, 0);
}

static int os_mremap(void *addr, size_t old_bytes, size_t new_bytes, int flags,
	void *new_addr, void **out)
{
	return address(hl_syscall(SYS_mremap, (long)addr, (long)old_bytes,
			       (long)new_bytes, flags, (long)new_addr, 0),
		out);
}

static int os_mincore(void *addr, size_t bytes, unsigned char *vec)
{
	return (int)hl_syscall(
		SYS_mincore, (long)addr, (long)bytes, (long)vec, 0, 0, 0);
}

/* The kernel looks at one bit less than it is told. */
static long max_node(unsigned long nbits)
{
	return nbits == 0 ? 0 : (long)nbits + 1;
}

static int os_touch(void *addr)
{
	uint32_t word = 0;
	long rc = hl_syscall(SYS_futex, (long)&word,
		FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, (long)addr,
		(long)FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0));

	return rc < 0 ? (int)rc : 0;
}

static int os_pagemap(void *addr, size_t pages, uint64_t *entry)
{
	uintptr_t first = (uintptr_t)addr / hl_base_page_bytes();
	long fd = hl_syscall(SYS_openat, AT_FDCWD, (long)"/proc/self/pagemap",
		O_RDONLY | O_CLOEXEC, 0, 0, 0);
	long n;

	if (fd < 0)
		return (int)fd;
	n = hl_syscall(SYS_pread64, fd, (long)entry,
		(long)(pages * sizeof(*entry)), (long)(first * sizeof(*entry)),
		0, 0);
	(void)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	if (n < 0)
		return (int)n;
	return (size_t)n == pages * sizeof(*entry) ? 0 : -EIO;
}

static int os_mbind(void *addr, size_t bytes, int mode,
	const unsigned long *nodes, unsigned long nbits)
{
	return (int)hl_syscall(SYS_mbind, (long)addr, (long)bytes, mode,
		(long)nodes, max_node(nbits), 0);
}

static int os_set_mempolicy(
	int mode, const unsigned long *nodes, unsigned long nbits)
{
	return (int)hl_syscall(
		SYS_set_mempolicy, mode, (long)nodes, max_node(nbits), 0, 0, 0);
}

static int os_get_mempolicy(
	int *mode, unsigned long *nodes, unsigned long nbits)
{
	return (int)hl_syscall(SYS_get_mempolicy, (long)mode, (long)nodes,
		max_node(nbits), 0, 0, 0);
}

static int os_allowed_nodes(unsigned long *nodes, unsigned long nbits)
{
	return (int)hl_syscall(SYS_get_mempolicy, 0, (long)nodes,
		max_node(nbits), 0, MPOL_F_MEMS_ALLOWED, 0);
}

static int os_page_node(void *addr)
{
	/* Without target nodes, move_pages only tells where pages are. */
	int status = -ENOENT;
	long err = hl_syscall(
		SYS_move_pages, 0, 1, (long)&addr, 0, (long)&status, 0);

	if (err < 0)
		return (int)err;
	/* No mapping at all is EFAULT; for our callers nothing is there. */
	return status == -EFAULT ? -ENOENT : status;
}

static int os_shmget(key_t key, size_t bytes, int flags)
{
	return (int)hl_syscall(SYS_shmget, key, (long)bytes, flags, 0, 0, 0);
}

static int os_shmat(int id, void **out)
{
	return address(hl_syscall(SYS_shmat, id, 0, 0, 0, 0, 0), out);
}

static int os_shmdt(const void *addr)
{
	return (int)hl_syscall(SYS_shmdt, (long)addr, 0, 0, 0, 0, 0);
}

static int os_shmrm(int id)
{
	return (int)hl_syscall(SYS_shmctl, id, IPC_RMID, 0, 0, 0, 0);
}

static int os_getcpu(unsigned *cpu, unsigned *node)
{
	return (int)hl_syscall(SYS_getcpu, (long)cpu, (long)node, 0, 0, 0, 0);
}

static uint64_t os_now_ms(void)
{
	struct timespec now = {0};

	(void)hl_syscall(SYS_clock_gettime, CLOCK_MONOTONIC_COARSE, (long)&now,
		0, 0, 0, 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t os_now_us(void)
{
	struct timespec now = {0};

	(void)hl_syscall(
		SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0, 0, 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

const struct hl_os hl_os_linux = {
	.mmap = os_mmap,
	.munmap = os_munmap,
	.mprotect = os_mprotect,
	.madvise = os_madvise,
	.mremap = os_mremap,
	.mincore = os_mincore,
	.touch = os_touch,
	.pagemap = os_pagemap,
	.mbind = os_mbind,
	.set_mempolicy = os_set_mempolicy,
	.get_mempolicy = os_get_mempolicy,
	.allowed_nodes = os_allowed_nodes,
	.page_node = os_page_node,
	.shmget = os_shmget,
	.shmat = os_shmat,
	.shmdt = os_shmdt,
	.shmrm = os_shmrm,
	.getcpu = os_getcpu,
	.now_ms = os_now_ms,
	.now_us = os_now_us,
};

const struct hl_os *hl_os = &hl_os_linux;
