/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls of backing/, heap/ and region/, as a table, so that a fake
 * kernel can stand in and refuse the nth one. Never on the fast path of malloc.
 *
 * All return 0 (or the result) or -errno, keep errno, are raw (no libc
 * wrapper that could be interposed or cancelled) and async-signal-safe.
 */
#ifndef HL_SYSTEM_OS_H
#define HL_SYSTEM_OS_H

#include "base/base.h"

#include <sys/types.h>

struct hl_os {
	/* *out = address. flags and prot as in mmap(2). */
	int (*mmap)(void *addr, size_t bytes, int prot, int flags, int fd,
		off_t offset, void **out);
	int (*munmap)(void *addr, size_t bytes);
	int (*mprotect)(void *addr, size_t bytes, int prot);
	int (*madvise)(void *addr, size_t bytes, int advice);
	/* flags as in mremap(2); new_addr used with MREMAP_FIXED. */
	int (*mremap)(void *addr, size_t old_bytes, size_t new_bytes, int flags,
		void *new_addr, void **out);
	int (*mincore)(void *addr, size_t bytes, unsigned char *vec);
	/* Stores what is there already, as a store of ours would, into the
	 * word at addr: 0, or -EFAULT where that would kill. */
	int (*touch)(void *addr);
	/* The kernel's words of `pages` base pages from addr on:
	 * /proc/self/pagemap, proc(5). */
	int (*pagemap)(void *addr, size_t pages, uint64_t *entry);
	/* nodes: bit array of nbits. mode: MPOL_*. */
	int (*mbind)(void *addr, size_t bytes, int mode,
		const unsigned long *nodes, unsigned long nbits);
	int (*set_mempolicy)(
		int mode, const unsigned long *nodes, unsigned long nbits);
	int (*get_mempolicy)(
		int *mode, unsigned long *nodes, unsigned long nbits);
	/* The nodes that this process may have memory of. */
	int (*allowed_nodes)(unsigned long *nodes, unsigned long nbits);
	/* Node of one page: >= 0, or -ENOENT if nothing is there. */
	int (*page_node)(void *addr);
	/* Segments of System V: an id; where it is attached, read and write. */
	int (*shmget)(key_t key, size_t bytes, int flags);
	int (*shmat)(int id, void **out);
	int (*shmdt)(const void *addr);
	int (*shmrm)(int id); /* it ends with its last user */
	/* Where this thread runs. */
	int (*getcpu)(unsigned *cpu, unsigned *node);
	uint64_t (*now_ms)(void); /* CLOCK_MONOTONIC_COARSE */
	uint64_t (*now_us)(void); /* CLOCK_MONOTONIC: to time what is short */
};

/* The real kernel. Never NULL; tests point it elsewhere. */
extern const struct hl_os *hl_os;
extern const struct hl_os hl_os_linux;

#endif
