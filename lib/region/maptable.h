/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stretches of address space that do not overlap, sorted, found by address:
 * the program's own mappings that stand on huge pages (mapping.c).
 *
 * Pure: no lock, no system call but for the table's memory. The caller
 * serialises.
 */
#ifndef HL_REGION_MAPTABLE_H
#define HL_REGION_MAPTABLE_H

#include "base/base.h"

struct hl_area;

struct hl_mapped {
	uintptr_t from, to; /* whole huge pages, or units */
	/* Of that, what the program has: the rest nobody knows of. */
	uintptr_t start, end;
	struct hl_area *area; /* private: what manages it. NULL: shared */
	bool is_protected;    /* the program may have made it unreadable */
	/* Private: */
	bool has_left;		      /* units have left the area */
	bool has_holes;		      /* more than the one below */
	uintptr_t kept_from, kept_to; /* outside, the program has nothing */
	uintptr_t hole_from, hole_to; /* nor here */
	/* Shared: */
	size_t page_bytes; /* of the huge page */
	uint64_t forks;	   /* of the process when it was made */
};

#define HL_MAPTABLE_MAX 4096

struct hl_maptable {
	struct hl_mapped *entry; /* NULL until the first insertion */
	size_t count;
};

/* -ENOMEM: full, or no memory for the table. It must not overlap another. */
int hl_maptable_insert(
	struct hl_maptable *table, const struct hl_mapped *mapped);
/* The lowest that has a byte in [from, to), or NULL. */
struct hl_mapped *hl_maptable_find(
	const struct hl_maptable *table, uintptr_t from, uintptr_t to);
void hl_maptable_remove(struct hl_maptable *table, struct hl_mapped *mapped);

#endif
