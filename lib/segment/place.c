/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory beside the program that is made ready before it takes the text's
 * place, so that the swap itself is one system call.
 *
 * Filling. Writing to a new file on tmpfs takes base pages, which a collapse
 * then has to copy. Instead one byte is written to each huge page's place,
 * MADV_COLLAPSE makes a huge page of that (it does not mind holes, nor what the
 * THP settings say), and the contents are read straight into it.
 *
 * mremap rather than mmap for the swap: page tables and their huge entries move
 * along, and profilers that watch the program see no new mapping, so that the
 * names they find are those of the program's own file.
 */
#include "segment/mover.h"

#include "base/syscall.h"
#include "system/os.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Since Linux 6.1; not in the headers of older systems. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define TRIES 3
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* arm64; elsewhere the bit may mean something else. */
#if defined(__aarch64__)
#define GUARD 0x10
#else
#define GUARD 0
#endif

/*
 * The dynamic linker sets it where a file's notes allow it, on the mapping: a
 * new one would be without, and no branch would be checked any more.
 */
int hl_place_protection(bool guarded)
{
	return PROT_READ | PROT_EXEC | (guarded ? GUARD : 0);
}

int hl_place_reserve(struct hl_mover *m, size_t bytes, size_t align, char **out)
{
	uintptr_t at, start;
	void *p;
	int err;

	err = hl_os->mmap(NULL, bytes + align, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &p);
	if (err)
		return err;
	at = (uintptr_t)p;
	start = hl_align_up(at, align);
	if (start > at)
		(void)hl_os->munmap(p, start - at);
	if (start + bytes < at + bytes + align)
		(void)hl_os->munmap(
			(void *)(start + bytes), at + align - start);
	*out = (char *)start;
	return 0;
}

int hl_place_swap(void *from, uintptr_t to, size_t bytes)
{
	void *p;

	return hl_os->mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		(void *)to, &p);
}

/* A file over reserved space; the reservation is gone if that fails. */
static int map_file(struct hl_mover *m, int fd, uint64_t offset, size_t bytes,
	size_t align, int prot, int flags, char **out)
{
	char *at;
	void *p;
	int err = hl_place_reserve(m, bytes, align, &at);

	if (err)
		return err;
	err = hl_os->mmap(
		at, bytes, prot, flags | MAP_FIXED, fd, (off_t)offset, &p);
	if (err) {
		(void)hl_os->munmap(at, bytes);
		return err;
	}
	*out = at;
	return 0;
}

int hl_place_text(struct hl_mover *m, int fd, uint64_t offset, size_t bytes,
	size_t align, char **out)
{
	char *at;
	int err = map_file(m, fd, offset, bytes, align,
		hl_place_protection(m->guarded), MAP_PRIVATE | MAP_NORESERVE,
		&at);

	if (err)
		return err;
	/* Where it is unknown the first use does it, page by huge page. */
	err = hl_os->madvise(at, bytes, MADV_POPULATE_READ);
	if (err && err != -EINVAL) {
		(void)hl_os->munmap(at, bytes);
		return err;
	}
	*out = at;
	return 0;
}

static int read_fully(int fd, char *to, size_t bytes, uint64_t offset)
{
	while (bytes > 0) {
		long n = hl_syscall(SYS_pread64, fd, (long)to, (long)bytes,
			(long)offset, 0, 0);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		to += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	/* What a mapping has behind the end of its file. */
	memset(to, 0, bytes);
	return 0;
}

int hl_place_copy(struct hl_mover *m, char *to, uintptr_t from, size_t bytes)
{
	const struct hl_piece *piece = m->piece;
	uintptr_t end = from + bytes;
	size_t lead, tail;

	/* Where the piece was stretched there is nothing to copy. */
	lead = from < piece->from ? HL_MIN(piece->from, end) - from : 0;
	tail = end > piece->to ? end - HL_MAX(piece->to, from) : 0;
	memset(to, 0, lead);
	memset(to + bytes - tail, 0, tail);
	if (lead + tail >= bytes)
		return 0;
	to += lead;
	from += lead;
	bytes -= lead + tail;
	if (m->source.fd >= 0 && m->source.intact)
		return read_fully(
			m->source.fd, to, bytes, from - m->source.delta);
	memcpy(to, (const void *)from, bytes);
	return 0;
}

/* A shortage may pass: others' pages are given back, or memory compacted. */
static int collapse(struct hl_mover *m, char *at)
{
	int err = -EAGAIN;

	for (unsigned i = 0; i < TRIES; i++) {
		err = hl_os->madvise(at, m->huge_bytes, MADV_COLLAPSE);
		if (err != -EAGAIN && err != -ENOMEM && err != -EBUSY)
			break;
	}
	return err;
}

int hl_place_anonymous(struct hl_mover *m, char *at, size_t bytes)
{
	/* Helps where a touch may give a huge page at once. */
	(void)hl_os->madvise(at, bytes, MADV_HUGEPAGE);
	for (size_t i = 0; i < bytes; i += m->huge_bytes) {
		int err;

		*(volatile char *)(at + i) = 0;
		err = collapse(m, at + i);
		if (err)
			return err;
	}
	return 0;
}

/* One huge page of a file, empty but for its first byte. */
static int make_page(struct hl_mover *m, int fd, uint64_t offset, char *mapped)
{
	long n = hl_syscall(SYS_pwrite64, fd, (long)"", 1, (long)offset, 0, 0);

	if (n < 0)
		return (int)n;
	return collapse(m, mapped);
}

int hl_place_fill(struct hl_mover *m, int fd, uint64_t offset, uintptr_t from,
	size_t bytes, size_t *filled)
{
	size_t done = 0;
	char *at;
	int err = map_file(m, fd, offset, bytes, m->huge_bytes,
		PROT_READ | PROT_WRITE, MAP_SHARED, &at);

	*filled = 0;
	if (err)
		return err;
	while (done < bytes && err == 0) {
		err = make_page(m, fd, offset + done, at + done);
		if (err == 0)
			err = hl_place_copy(
				m, at + done, from + done, m->huge_bytes);
		if (err == 0)
			done += m->huge_bytes;
	}
	(void)hl_os->munmap(at, bytes);
	*filled = done;
	return err;
}
