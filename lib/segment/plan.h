/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which whole huge pages of a program could move, from its program headers
 * alone. Pure arithmetic: no system call, no state. Used by the mover, by
 * hugectl --explain and by hugeedit --check.
 *
 * A piece is memory of one protection, whole base pages: what the loader maps
 * of a PT_LOAD, cut at the end of RELRO. A huge page moves if one piece covers
 * it. A piece may be stretched over a gap that belongs to nobody: `room` is how
 * far the neighbours of the same object allow that; whether the gap is free
 * only the maps can tell.
 */
#ifndef HL_SEGMENT_PLAN_H
#define HL_SEGMENT_PLAN_H

#include "base/base.h"

#include <elf.h>

#define HL_PLAN_PIECES_MAX 24

enum hl_piece_kind {
	HL_PIECE_TEXT,	 /* executable, not writable */
	HL_PIECE_RODATA, /* neither: never moves, but limits the others */
	HL_PIECE_RELRO,	 /* written by the loader, then read-only */
	HL_PIECE_DATA,	 /* writable: .data, and .bss behind it */
	HL_PIECE_OTHER,	 /* writable and executable, or unreadable: stays */
};

struct hl_piece {
	enum hl_piece_kind kind;
	uintptr_t from, to;	      /* base pages */
	uintptr_t huge_from, huge_to; /* whole huge pages; equal: none */
	uintptr_t room_from, room_to; /* up to the neighbours */
	/* Where the file's contents end and zeroes begin; `to` if nowhere. */
	uintptr_t file_to;
	uint64_t file_offset; /* of `from` */
	unsigned header;      /* index of the program header */
	bool marked;	      /* PF_LINUX_HUGETLB, by hugeedit */
};

struct hl_plan {
	struct hl_piece piece[HL_PLAN_PIECES_MAX];
	unsigned pieces;
	uintptr_t from, to; /* of the whole object */
	size_t align_bytes; /* largest p_align of a PT_LOAD */
	bool truncated;	    /* there were more pieces */
};

/* libhugetlbfs's mark in p_flags. */
#define HL_PF_HUGETLB 0x100000u

/*
 * bias: load address minus link address. base_bytes and huge_bytes are powers
 * of two. -EINVAL if the headers make no sense (unordered, overflowing).
 */
int hl_plan_make(struct hl_plan *plan, const Elf64_Phdr *phdr, size_t count,
	uintptr_t bias, size_t base_bytes, size_t huge_bytes);

/* Bytes of whole huge pages, of the piece and after stretching into `room`. */
static inline uint64_t hl_piece_huge_bytes(const struct hl_piece *piece)
{
	return piece->huge_to - piece->huge_from;
}

/* Of one kind, in all pieces: all bytes, and those in whole huge pages. */
void hl_plan_sum(const struct hl_plan *plan, enum hl_piece_kind kind,
	uint64_t *bytes, uint64_t *huge_bytes);

/*
 * Stretches the huge range to the huge pages that the piece touches, as far as
 * its neighbours leave room. The caller makes sure that the gaps are free.
 */
void hl_piece_stretch(struct hl_piece *piece, size_t huge_bytes);

#endif
