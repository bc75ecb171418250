/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data, bss and RELRO, while there is one thread: a copy on huge pages takes
 * the place of the program's own pages, with the same protection. Where bss has
 * not been touched it is only advised, so that it stays lazy; what was
 * touched of it is collapsed in place.
 *
 * Never pages of the pool: these pages are written to, and a copy-on-write
 * after fork that finds the pool empty kills.
 *
 * Between the copy and the swap nobody may write: signals are blocked, there is
 * no other thread, and the code here writes to its stack only.
 */
#include "segment/mover.h"
#include "segment/text.h"

#include "base/syscall.h"
#include "system/os.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define SIGSET_BYTES 8

/* The copy stands at `at`; 0, or -errno and nothing has changed. */
static int copy_and_swap(char *at, uintptr_t from, size_t bytes, int prot)
{
	uint64_t all = UINT64_MAX, before = 0;
	int err;

	err = (int)hl_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all,
		(long)&before, SIGSET_BYTES, 0, 0);
	if (err)
		return err;
	memcpy(at, (const void *)from, bytes);
	if (prot != (PROT_READ | PROT_WRITE))
		err = hl_os->mprotect(at, bytes, prot);
	if (err == 0)
		err = hl_place_swap(at, from, bytes);
	(void)hl_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0,
		SIGSET_BYTES, 0, 0);
	return err;
}

static int copy_range(
	struct hl_mover *m, uintptr_t from, uintptr_t to, int prot)
{
	size_t bytes = to - from;
	char *at;
	void *p;
	int err = hl_place_reserve(m, bytes, m->huge_bytes, &at);

	if (err)
		return err;
	err = hl_os->mmap(at, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, &p);
	if (err == 0)
		err = hl_place_anonymous(m, at, bytes);
	if (err == 0)
		err = copy_and_swap(at, from, bytes, prot);
	if (err)
		(void)hl_os->munmap(at, bytes);
	return err;
}

/* bss behind the copied part. */
static void advise(struct hl_mover *m, uintptr_t from, uintptr_t to)
{
	if (from >= to)
		return;
	(void)hl_os->madvise((void *)from, to - from, MADV_HUGEPAGE);
	for (uintptr_t at = from; at < to; at += m->huge_bytes) {
		if (hl_look_is_touched(at, m->huge_bytes, m->base_bytes) &&
			hl_os->madvise(
				(void *)at, m->huge_bytes, MADV_COLLAPSE) == 0)
			continue;
		m->result->data_lazy_bytes += m->huge_bytes;
	}
}

/* How much of the piece is written to before the program runs. */
static uintptr_t copied_part(
	const struct hl_mover *m, const struct hl_piece *piece)
{
	if (m->want->all_bss || piece->kind == HL_PIECE_RELRO ||
		piece->file_to >= piece->huge_to)
		return piece->huge_to;
	if (piece->file_to <= piece->huge_from)
		return piece->huge_from;
	return HL_MIN(
		hl_align_up(piece->file_to, m->huge_bytes), piece->huge_to);
}

static void move(
	struct hl_mover *m, const struct hl_piece *piece, const char *perms)
{
	bool relro = piece->kind == HL_PIECE_RELRO;
	uintptr_t middle = copied_part(m, piece);
	uint64_t whole = hl_piece_huge_bytes(piece);
	uint64_t lazy = m->result->data_lazy_bytes;
	struct hl_sight before, after;
	uint64_t moved;
	int err = 0;

	if (hl_look(m, piece->huge_from, piece->huge_to, perms, &before) ||
		before.outside_bytes > 0) {
		m->result->stay_bytes[HL_STAY_UNEXPECTED] += whole;
		return;
	}
	if (piece->huge_from < middle && before.huge_bytes < whole)
		err = copy_range(m, piece->huge_from, middle,
			relro ? PROT_READ : PROT_READ | PROT_WRITE);
	hl_look_locked(&before, piece->huge_from, middle);
	if (err == 0)
		advise(m, middle, piece->huge_to);
	if (hl_look(m, piece->huge_from, piece->huge_to, perms, &after))
		return;
	lazy = m->result->data_lazy_bytes - lazy;
	moved = HL_MIN(after.huge_bytes, whole);
	m->result->data_huge_bytes += moved;
	if (moved + lazy < whole)
		m->result->stay_bytes[hl_text_stay(err)] +=
			whole - moved - lazy;
}

void hl_data_move(struct hl_mover *m, const struct hl_piece *piece)
{
	uint64_t bytes = piece->to - piece->from;
	uint64_t whole = hl_piece_huge_bytes(piece);

	m->result->data_bytes += bytes;
	m->result->stay_bytes[HL_STAY_PARTIAL] += bytes - whole;
	if (whole == 0)
		return;
	if (!m->one_thread) {
		m->result->stay_bytes[HL_STAY_THREADS] += whole;
		return;
	}
	move(m, piece, piece->kind == HL_PIECE_RELRO ? "r--p" : "rw-p");
}
