/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmap, munmap and mremap of the program: see region/mapping.h. Without
 * HUGETLB_MMAP and HUGETLB_SHM, and before they are known, each is one test
 * away from the kernel.
 *
 * Our own mappings are made by raw system calls and never come here; neither
 * do those that the C library makes for itself (stacks of threads, its malloc,
 * shared objects). errno changes only at a failure.
 */
#include "preload/preload.h"

#include "base/syscall.h"
#include "region/mapping.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static void *failed(int err)
{
	errno = -err;
	return MAP_FAILED;
}

static void *answer(long rc)
{
	return rc < 0 && rc > -4096 ? failed((int)rc) : (void *)rc;
}

static void *map(
	void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *p;
	int err;

	if (!hl_mapping_is(
		    HL_MAPPING_PRIVATE | HL_MAPPING_SHARED | HL_MAPPING_ANY))
		return answer(hl_syscall(SYS_mmap, (long)addr, (long)bytes,
			prot, flags, fd, offset));
	err = hl_mapping_map(addr, bytes, prot, flags, fd, offset, &p);
	return err ? failed(err) : p;
}

/*
 * Both names of one function: the system's header may make one the other, so
 * they are given to functions of names of our own.
 */
void *hl_preload_mmap(void *addr, size_t bytes, int prot, int flags, int fd,
	off_t offset) __asm__("mmap");
void *hl_preload_mmap64(void *addr, size_t bytes, int prot, int flags, int fd,
	off_t offset) __asm__("mmap64");

HL_EXPORT void *hl_preload_mmap(
	void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return map(addr, bytes, prot, flags, fd, offset);
}

HL_EXPORT void *hl_preload_mmap64(
	void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return map(addr, bytes, prot, flags, fd, offset);
}

HL_EXPORT int munmap(void *addr, size_t bytes)
{
	long rc;

	if (!hl_mapping_is(HL_MAPPING_ANY))
		rc = hl_syscall(
			SYS_munmap, (long)addr, (long)bytes, 0, 0, 0, 0);
	else
		rc = hl_mapping_unmap(addr, bytes);
	if (rc == 0)
		return 0;
	errno = (int)-rc;
	return -1;
}

HL_EXPORT void *mremap(
	void *addr, size_t old_bytes, size_t new_bytes, int flags, ...)
{
	void *new_addr = NULL, *p;
	va_list ap;
	int err;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(ap, flags);
		new_addr = va_arg(ap, void *);
		va_end(ap);
	}
	if (!hl_mapping_is(HL_MAPPING_ANY))
		return answer(
			hl_syscall(SYS_mremap, (long)addr, (long)old_bytes,
				(long)new_bytes, flags, (long)new_addr, 0));
	err = hl_mapping_move(addr, old_bytes, new_bytes, flags, new_addr, &p);
	return err ? failed(err) : p;
}
