/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside segment/: the state of one move, and its parts. It lives in a mapping
 * of its own, since stacks may be small; nothing here is static, so that data
 * may be moved under us.
 */
#ifndef HL_SEGMENT_MOVER_H
#define HL_SEGMENT_MOVER_H

#include "segment/plan.h"
#include "segment/segment.h"

#include <link.h>

/* smaps need 64 KiB; symbols and headers are read in pieces of it as well. */
#define HL_MOVER_SCRATCH (128 * HL_KIB)
/* Huge pages of one piece: 8 GiB of 2 MiB pages. What is beyond stays. */
#define HL_MOVER_PAGES 4096

/* The file that a mapping is of, opened and known to be the same. */
struct hl_source {
	int fd;		/* -1: not to be had; contents come from memory */
	bool intact;	/* memory still has the file's contents */
	uint64_t delta; /* file offset = address - delta */
	dev_t device;
	ino_t inode;
};

struct hl_mover {
	const struct hl_segment_want *want;
	struct hl_segment_result *result;
	size_t base_bytes;
	size_t huge_bytes; /* what a PMD maps */
	size_t pool_bytes; /* of the pool's pages for text; 0: none */
	bool one_thread;
	bool is_main;
	bool text_written; /* the object's, perhaps at this moment */
	bool guarded;	   /* the text in hand has its branch targets checked */
	uintptr_t own[2];  /* code that does the move */
	/* The object in hand */
	const struct dl_phdr_info *object;
	struct hl_plan plan;
	const struct hl_piece *piece;
	struct hl_source source;
	/* Text that is not of its file any more, and of what; at 0: none */
	struct {
		uintptr_t at;
		ino_t inode;
	} moved;
	int why; /* -errno of the rung tried last */
	/* Huge pages that have moved, counted from origin on. */
	uintptr_t origin;
	uint64_t done[HL_MOVER_PAGES / 64];
	char path[4096];
	char scratch[HL_MOVER_SCRATCH];
};

/* ---- look.c: what the kernel says ---- */

struct hl_sight {
	uint64_t mapped_bytes;	/* of the range */
	uint64_t outside_bytes; /* of the range, without the right protection */
	uint64_t guarded_bytes; /* of the range: branch targets are checked */
	uint64_t locked_bytes;	/* of the range: mlock() */
	/* In mappings that touch the range: written to, in memory or swapped */
	uint64_t anon_bytes;
	uint64_t huge_bytes; /* the same: on huge pages of any kind */
	bool one_file;	     /* contiguous, of one file */
	uint64_t delta;	     /* address - offset of that file */
	dev_t device;
	ino_t inode;
};

/* perms: "r-xp" as in maps. 0 or -errno. */
int hl_look(struct hl_mover *m, uintptr_t from, uintptr_t to, const char *perms,
	struct hl_sight *out);
/*
 * New memory in the range is locked if what was seen before was: it takes no
 * more of the limit than that did.
 */
void hl_look_locked(const struct hl_sight *sight, uintptr_t from, uintptr_t to);
/* True if nothing is mapped in the range. */
bool hl_look_is_free(struct hl_mover *m, uintptr_t from, uintptr_t to);
/* True if any base page of the range is in memory. */
bool hl_look_is_touched(uintptr_t from, size_t bytes, size_t base_bytes);
/* How many threads the process has; 0: unknown. */
unsigned hl_look_threads(void);

/* ---- seen.c: objects that were looked at ---- */

bool hl_seen_is_new(struct hl_mover *m, const struct dl_phdr_info *info);
/* m->moved is of this object. */
void hl_seen_add(struct hl_mover *m, const struct dl_phdr_info *info);

/* ---- place.c: mappings beside the program, and the swap ---- */

/* PROT_* of text; guarded: with arm64's PROT_BTI. */
int hl_place_protection(bool guarded);
/* Aligned address space, PROT_NONE, for the caller to map over. */
int hl_place_reserve(
	struct hl_mover *m, size_t bytes, size_t align, char **out);
/* One system call: what is mapped at `from` comes to stand at `to`. */
int hl_place_swap(void *from, uintptr_t to, size_t bytes);
/* A range of huge pages of a file, mapped as text beside the program. */
int hl_place_text(struct hl_mover *m, int fd, uint64_t offset, size_t bytes,
	size_t align, char **out);

/*
 * Makes a run of huge pages of a file on tmpfs, from `offset` on, and fills
 * it with the text at `from`. *filled is how far it came: all of bytes, or the
 * page before the first that could not be had, and then the result is -errno.
 */
int hl_place_fill(struct hl_mover *m, int fd, uint64_t offset, uintptr_t from,
	size_t bytes, size_t *filled);
/* Huge pages, zero, in anonymous writable memory that nobody has touched. */
int hl_place_anonymous(struct hl_mover *m, char *at, size_t bytes);
/* Contents of text, from its file or from memory, to writable memory. */
int hl_place_copy(struct hl_mover *m, char *to, uintptr_t from, size_t bytes);

/* ---- rungs ---- */

/*
 * Each tries whole huge pages [from, to) and returns 0 or -errno; pages that
 * arrived are marked by hl_mover_done().
 */
typedef int hl_rung_function(struct hl_mover *m, uintptr_t from, uintptr_t to);

void hl_mover_done(struct hl_mover *m, uintptr_t from, uintptr_t to);

hl_rung_function hl_rung_shared;  /* shadow.c */
hl_rung_function hl_rung_private; /* private.c */
hl_rung_function hl_rung_hugetlb;
hl_rung_function hl_rung_anon;

/* ---- perfmap.c ---- */

/* Names of the functions in text that has no file any more, for perf. */
void hl_perfmap_write(struct hl_mover *m, uintptr_t from, uintptr_t to);

/* ---- data.c ---- */

/* A piece of data, bss or RELRO. */
void hl_data_move(struct hl_mover *m, const struct hl_piece *piece);

#endif
