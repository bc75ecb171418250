/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One piece of text and the ladder: each way is tried on the huge pages that
 * are left, and what the kernel then says (look.c) is what counts.
 *
 * Threads may run in the text meanwhile: each swap is atomic and puts equal
 * contents there. All the same the huge pages that hold the code of the move
 * itself are left alone.
 */
#include "segment/text.h"

#include "base/log.h"
#include "base/syscall.h"
#include "system/os.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define PERMS "r-xp"

/* ---- which pages are done ---- */

static size_t index_of(const struct hl_mover *m, uintptr_t at)
{
	return (at - m->origin) / m->huge_bytes;
}

static bool is_done(const struct hl_mover *m, uintptr_t at)
{
	size_t i = index_of(m, at);

	return (m->done[i / 64] >> (i % 64) & 1) != 0;
}

void hl_mover_done(struct hl_mover *m, uintptr_t from, uintptr_t to)
{
	for (; from < to; from += m->huge_bytes) {
		size_t i = index_of(m, from);

		m->done[i / 64] |= (uint64_t)1 << (i % 64);
	}
}

static bool is_own(const struct hl_mover *m, uintptr_t at)
{
	for (size_t i = 0; i < HL_ARRAY_SIZE(m->own); i++) {
		if (m->own[i] >= at && m->own[i] < at + m->huge_bytes)
			return true;
	}
	return false;
}

/* The first run at or behind *from that is still to do; false: none. */
static bool next_run(
	const struct hl_mover *m, uintptr_t *from, uintptr_t *to, uintptr_t end)
{
	uintptr_t at = *from;

	while (at < end && (is_done(m, at) || is_own(m, at)))
		at += m->huge_bytes;
	*from = at;
	while (at < end && !is_done(m, at) && !is_own(m, at))
		at += m->huge_bytes;
	*to = at;
	return *from < *to;
}

static uint64_t left_bytes(
	const struct hl_mover *m, uintptr_t from, uintptr_t end)
{
	uint64_t bytes = 0;

	for (; from < end; from += m->huge_bytes)
		bytes += is_done(m, from) ? 0 : m->huge_bytes;
	return bytes;
}

/* ---- the file behind it ---- */

static bool same_contents(const struct hl_mover *m, int fd, uintptr_t at)
{
	uint64_t word[64];
	long n = hl_syscall(SYS_pread64, fd, (long)word, sizeof(word),
		(long)(at - m->source.delta), 0, 0);

	return n == (long)sizeof(word) &&
	       memcmp(word, (const void *)at, sizeof(word)) == 0;
}

/*
 * Opened by name: it may have been replaced since. Device numbers are not
 * compared, as some file systems have two for a file.
 */
static void open_source(struct hl_mover *m, const struct hl_piece *piece,
	const struct hl_sight *sight)
{
	const char *path = m->is_main ? "/proc/self/exe" : m->object->dlpi_name;
	struct stat st;
	long fd;

	m->source.fd = -1;
	m->source.delta = sight->delta;
	m->source.inode = sight->inode;
	m->source.intact = sight->one_file && sight->anon_bytes == 0;
	if (!sight->one_file)
		return;
	fd = hl_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC,
		0, 0, 0);
	if (fd < 0)
		return;
	if (hl_syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) == 0 &&
		S_ISREG(st.st_mode) && st.st_ino == sight->inode &&
		(!m->source.intact ||
			(same_contents(m, (int)fd, piece->from) &&
				same_contents(m, (int)fd,
					piece->file_to - m->base_bytes)))) {
		m->source.fd = (int)fd;
		return;
	}
	(void)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static void close_source(struct hl_mover *m)
{
	if (m->source.fd >= 0)
		(void)hl_syscall(SYS_close, m->source.fd, 0, 0, 0, 0, 0);
	m->source.fd = -1;
}

/* ---- rungs without a copy ---- */

static bool is_congruent(const struct hl_mover *m, const struct hl_piece *piece)
{
	return (piece->from - piece->file_offset) % m->huge_bytes == 0 &&
	       piece->huge_from >= piece->from && piece->huge_to <= piece->to;
}

/* If the page cache has a huge page there, one touch maps all of it. */
static void touch(const struct hl_mover *m, const struct hl_piece *piece)
{
	if (!is_congruent(m, piece))
		return;
	for (uintptr_t at = piece->huge_from; at < piece->huge_to;
		at += m->huge_bytes)
		(void)hl_os->madvise(
			(void *)at, m->base_bytes, MADV_POPULATE_READ);
}

static int rung_collapse(struct hl_mover *m, uintptr_t from, uintptr_t to)
{
	int err = 0;

	if (!m->source.intact || !is_congruent(m, m->piece))
		return -EINVAL;
	for (; from < to && err == 0; from += m->huge_bytes) {
		err = hl_os->madvise(
			(void *)from, m->huge_bytes, MADV_COLLAPSE);
		if (err == 0)
			hl_mover_done(m, from, from + m->huge_bytes);
	}
	return err;
}

/* ---- the ladder ---- */

struct way {
	enum hl_rung rung;
	hl_rung_function *try;
};

static const struct way ladder[] = {
	{HL_RUNG_COLLAPSE, rung_collapse},
	{HL_RUNG_SHARED, hl_rung_shared},
	{HL_RUNG_PRIVATE, hl_rung_private},
	{HL_RUNG_HUGETLB, hl_rung_hugetlb},
	{HL_RUNG_ANON, hl_rung_anon},
};

/*
 * A profiler that is attached later looks into the map only for memory of no
 * file: a mapping named "/memfd:..." is a file to it, one that it cannot open.
 */
static const struct way ladder_for_map[] = {
	{HL_RUNG_COLLAPSE, rung_collapse},
	{HL_RUNG_SHARED, hl_rung_shared},
	{HL_RUNG_ANON, hl_rung_anon},
	{HL_RUNG_PRIVATE, hl_rung_private},
	{HL_RUNG_HUGETLB, hl_rung_hugetlb},
};
_Static_assert(sizeof(ladder_for_map) == sizeof(ladder), "the same ways");

/* What is left of [from, to), by one way. True if anything moved. */
static bool try_rung(struct hl_mover *m, hl_rung_function *try, uintptr_t from,
	uintptr_t end)
{
	uint64_t before = left_bytes(m, from, end);
	uintptr_t to;

	while (next_run(m, &from, &to, end)) {
		int err = try(m, from, to);

		if (err) {
			m->why = err;
			hl_log(HL_LOG_DEBUG, "text at %p: error %d",
				(void *)from, -err);
		}
		from = to;
	}
	return left_bytes(m, m->origin, end) < before;
}

/* Counts what the kernel says has come to huge pages since the last look. */
static void count_rung(struct hl_mover *m, const struct hl_piece *piece,
	enum hl_rung rung, uint64_t *seen)
{
	struct hl_sight sight;

	if (hl_look(m, piece->huge_from, piece->huge_to, PERMS, &sight))
		return;
	if (sight.huge_bytes > *seen) {
		m->result->rung_bytes[rung] += sight.huge_bytes - *seen;
		hl_log(HL_LOG_INFO, "%s: %llu KiB of text: %s",
			m->is_main ? "program" : m->object->dlpi_name,
			(unsigned long long)((sight.huge_bytes - *seen) >> 10),
			hl_rung_name(rung));
	}
	*seen = HL_MAX(*seen, sight.huge_bytes);
	if (sight.inode != m->source.inode) {
		m->moved.at = piece->huge_from;
		m->moved.inode = sight.inode;
	}
}

enum hl_stay hl_text_stay(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
	case -EFBIG:
		return HL_STAY_FORBIDDEN;
	case -EINVAL:
	case -ENOSYS:
	case -EOPNOTSUPP:
		return HL_STAY_UNSUPPORTED;
	default:
		return HL_STAY_MEMORY;
	}
}

/* Pool pages of a size that was asked for, where that is not the usual. */
static void try_asked_size(
	struct hl_mover *m, const struct hl_piece *piece, uint64_t *seen)
{
	size_t asked = m->want->text_page_bytes, usual = m->pool_bytes;
	uintptr_t from, to;

	if (asked <= m->huge_bytes)
		return;
	from = hl_align_up(piece->huge_from, asked);
	to = hl_align_down(piece->huge_to, asked);
	if (from >= to)
		return;
	m->pool_bytes = asked;
	if (try_rung(m, hl_rung_hugetlb, from, to))
		count_rung(m, piece, HL_RUNG_HUGETLB, seen);
	m->pool_bytes = usual;
}

/*
 * A named shadow may be old: where memory was short since, the kernel has split
 * huge pages of it, which map as base pages from then on. They are joined
 * again, for all processes; what cannot be is left to the next way.
 */
static void rejoin(struct hl_mover *m, const uint64_t *before, uintptr_t end)
{
	for (uintptr_t at = m->origin; at < end; at += m->huge_bytes) {
		size_t i = index_of(m, at);
		uint64_t bit = (uint64_t)1 << (i % 64);

		if ((m->done[i / 64] & ~before[i / 64] & bit) == 0)
			continue;
		if (hl_os->madvise((void *)at, m->huge_bytes, MADV_COLLAPSE))
			m->done[i / 64] &= ~bit;
	}
}

static void climb_one(struct hl_mover *m, const struct hl_piece *piece,
	const struct way *way, uint64_t *seen)
{
	uintptr_t from = piece->huge_from, end = piece->huge_to;
	uint64_t before[HL_ARRAY_SIZE(m->done)];

	memcpy(before, m->done, sizeof(before));
	if (!try_rung(m, way->try, from, end))
		return;
	count_rung(m, piece, way->rung, seen);
	if (way->rung == HL_RUNG_SHARED &&
		*seen + left_bytes(m, from, end) < end - from) {
		rejoin(m, before, end);
		count_rung(m, piece, way->rung, seen);
	}
}

static void climb(
	struct hl_mover *m, const struct hl_piece *piece, uint64_t already)
{
	const struct way *way = m->want->perf_map ? ladder_for_map : ladder;
	uint64_t whole = hl_piece_huge_bytes(piece), seen = already, own = 0;

	m->result->rung_bytes[HL_RUNG_ALREADY] += already;
	m->origin = piece->huge_from;
	m->why = -ENOSYS;
	memset(m->done, 0, sizeof(m->done));
	try_asked_size(m, piece, &seen);
	for (size_t i = 0; i < HL_ARRAY_SIZE(ladder) && seen < whole; i++)
		climb_one(m, piece, &way[i], &seen);
	for (uintptr_t at = piece->huge_from; at < piece->huge_to;
		at += m->huge_bytes)
		own += is_own(m, at) && !is_done(m, at) ? m->huge_bytes : 0;
	if (seen < whole) {
		own = HL_MIN(own, whole - seen);
		m->result->stay_bytes[HL_STAY_OWN] += own;
		m->result->stay_bytes[hl_text_stay(m->why)] +=
			whole - seen - own;
	}
}

/* Over the gaps beside a piece that was linked for huge pages. */
static void stretch(struct hl_mover *m, struct hl_piece *piece)
{
	struct hl_piece wide = *piece;

	/* With threads, somebody may map something there meanwhile. */
	if (!m->one_thread || m->plan.align_bytes < m->huge_bytes)
		return;
	hl_piece_stretch(&wide, m->huge_bytes);
	if (hl_piece_huge_bytes(&wide) == hl_piece_huge_bytes(piece) ||
		!hl_look_is_free(m, wide.huge_from, wide.from) ||
		!hl_look_is_free(m, wide.to, wide.huge_to))
		return;
	*piece = wide;
}

void hl_text_move(struct hl_mover *m, const struct hl_piece *given)
{
	struct hl_piece piece = *given;
	struct hl_sight sight;
	uint64_t bytes = piece.to - piece.from, whole;
	uintptr_t from, to;

	stretch(m, &piece);
	piece.huge_to = HL_MIN(piece.huge_to,
		piece.huge_from + HL_MOVER_PAGES * m->huge_bytes);
	from = HL_MAX(piece.from, piece.huge_from);
	to = HL_MIN(piece.to, piece.huge_to);
	whole = from < to ? to - from : 0;
	m->result->text_bytes += bytes;
	m->result->stay_bytes[HL_STAY_PARTIAL] += bytes - whole;
	if (whole == 0)
		return;
	if (m->text_written) {
		m->result->stay_bytes[HL_STAY_THREADS] += whole;
		return;
	}
	touch(m, &piece);
	if (hl_look(m, from, to, PERMS, &sight) || sight.outside_bytes > 0) {
		m->result->stay_bytes[HL_STAY_UNEXPECTED] += whole;
		return;
	}
	m->piece = &piece;
	m->guarded = sight.mapped_bytes > 0 &&
		     sight.guarded_bytes == sight.mapped_bytes;
	open_source(m, &piece, &sight);
	climb(m, &piece, HL_MIN(sight.huge_bytes, hl_piece_huge_bytes(&piece)));
	hl_look_locked(&sight, from, to);
	close_source(m);
}
