/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rungs that give a process a copy of its own: an unnamed file in memory,
 * pages of the pool, an anonymous copy. In all of them the copy is complete,
 * on huge pages and executable before it takes the place of the text.
 *
 * Only the last one needs writable memory to become executable; the others map
 * a file that was written through another mapping, which MemoryDenyWriteExecute
 * and PR_SET_MDWE allow.
 */
#include "segment/mover.h"

#include "base/syscall.h"
#include "system/os.h"
#include "system/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

/* Mapping a file as text does not need the file to be executable. */
static int open_memory(unsigned flags)
{
	static const char name[] = "libhugetlbfs2 text";
	long fd = hl_syscall(SYS_memfd_create, (long)name,
		(long)(flags | MFD_CLOEXEC | MFD_NOEXEC_SEAL), 0, 0, 0, 0);

	if (fd == -EINVAL)
		fd = hl_syscall(SYS_memfd_create, (long)name,
			(long)(flags | MFD_CLOEXEC), 0, 0, 0, 0);
	return (int)fd;
}

static void close_file(int fd)
{
	(void)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* The text at `at`, all of it huge, takes its place. */
static int take_place(
	struct hl_mover *m, char *at, uintptr_t from, size_t bytes)
{
	int err = hl_place_swap(at, from, bytes);

	if (err)
		(void)hl_os->munmap(at, bytes);
	else
		hl_mover_done(m, from, from + bytes);
	return err;
}

static int private_file(
	struct hl_mover *m, int fd, uintptr_t from, size_t bytes)
{
	size_t filled;
	char *at;
	int err, late;

	err = (int)hl_syscall(SYS_ftruncate, fd, (long)bytes, 0, 0, 0, 0);
	if (err)
		return err;
	/* What could be had moves, also when it is not all. */
	err = hl_place_fill(m, fd, 0, from, bytes, &filled);
	if (filled == 0)
		return err;
	late = hl_place_text(m, fd, 0, filled, m->huge_bytes, &at);
	if (late == 0)
		late = take_place(m, at, from, filled);
	return late ? late : err;
}

int hl_rung_private(struct hl_mover *m, uintptr_t from, uintptr_t to)
{
	int fd = open_memory(0);
	int err;

	if (fd < 0)
		return fd;
	err = private_file(m, fd, from, to - from);
	close_file(fd);
	return err;
}

/* ---- pages of the pool ---- */

static int pool_file(struct hl_mover *m, int fd, uintptr_t from, size_t bytes,
	size_t page_bytes)
{
	void *w;
	char *at;
	int err;

	err = (int)hl_syscall(SYS_ftruncate, fd, (long)bytes, 0, 0, 0, 0);
	/* Takes the pages or says that there are none; a touch would kill. */
	if (err == 0)
		err = (int)hl_syscall(
			SYS_fallocate, fd, 0, 0, (long)bytes, 0, 0);
	if (err)
		return err;
	err = hl_os->mmap(
		NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, &w);
	if (err)
		return err;
	err = hl_place_copy(m, w, from, bytes);
	(void)hl_os->munmap(w, bytes);
	if (err == 0)
		err = hl_place_text(m, fd, 0, bytes, page_bytes, &at);
	return err ? err : take_place(m, at, from, bytes);
}

int hl_rung_hugetlb(struct hl_mover *m, uintptr_t from, uintptr_t to)
{
	unsigned size = (unsigned)hl_map_huge_flag(m->pool_bytes);
	int fd, err;

	if (m->pool_bytes == 0)
		return -ENOSYS;
	fd = open_memory(MFD_HUGETLB | size);
	if (fd < 0)
		return fd;
	err = pool_file(m, fd, from, to - from, m->pool_bytes);
	close_file(fd);
	return err == -ENOSPC ? -ENOMEM : err;
}

/* ---- an anonymous copy ---- */

static int fill_anonymous(
	struct hl_mover *m, char *at, uintptr_t from, size_t bytes)
{
	void *p;
	int err = hl_os->mmap(at, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, &p);

	if (err == 0)
		err = hl_place_anonymous(m, at, bytes);
	if (err == 0)
		err = hl_place_copy(m, at, from, bytes);
	if (err == 0)
		err = hl_os->mprotect(
			at, bytes, hl_place_protection(m->guarded));
	return err;
}

int hl_rung_anon(struct hl_mover *m, uintptr_t from, uintptr_t to)
{
	size_t bytes = to - from;
	char *at;
	int err = hl_place_reserve(m, bytes, m->huge_bytes, &at);

	if (err)
		return err;
	err = fill_anonymous(m, at, from, bytes);
	if (err) {
		(void)hl_os->munmap(at, bytes);
		return err;
	}
	err = take_place(m, at, from, bytes);
	if (err == 0)
		hl_perfmap_write(m, from, to);
	return err;
}
