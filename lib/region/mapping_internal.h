/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What mapping.c and mapping_change.c share. Nobody else includes this, but
 * tests.
 */
#ifndef HL_REGION_MAPPING_INTERNAL_H
#define HL_REGION_MAPPING_INTERNAL_H

#include "region/mapping.h"

#include "backing/area.h"
#include "base/atfork.h"
#include "base/lock.h"
#include "region/maptable.h"
#include "system/sys.h"

struct hl_mapping {
	/* Constant after hl_mapping_configure(). */
	size_t private_page_bytes; /* of the pool; 0: THP only */
	size_t shared_page_bytes;
	size_t thp_bytes; /* private mappings from here on are advised */

	struct hl_lock lock; /* REGION: all below */
	struct hl_maptable table;
	_Atomic uint64_t forks; /* that this process made or came from */
};
extern struct hl_mapping hl_mapping;

struct hl_mapping_signals {
	uint64_t bits;
};
/* With all signals blocked. The release also tells whether there are any. */
void hl_mapping_lock(struct hl_mapping_signals *saved);
void hl_mapping_unlock(const struct hl_mapping_signals *saved);

/* Some of the range is in the table. */
bool hl_mapping_knows(const void *addr, size_t bytes);
/*
 * Something will be mapped over the range at once: 0, and we have let go of
 * it; -errno: the kernel could not do it.
 */
int hl_mapping_overlay(void *addr, size_t bytes);

/* PROT_NONE over whatever is there; 0 or -errno. */
int hl_mapping_map_nothing(uintptr_t from, uintptr_t to);
/* munmap(2) of what is not ours; from >= to: nothing. */
int hl_mapping_unmap_plain(uintptr_t from, uintptr_t to);

/* ---- mapping_private.c ---- */

/* A new one, of which the program has everything. */
void hl_mapping_private_begin(struct hl_mapped *m);
/*
 * [from, to) is unmapped, or about to be mapped over; `to` reaches over the
 * part that the program does not know of. 0, and the mapping may have ended; or
 * -errno, and nothing has changed.
 */
int hl_mapping_private_unmap(struct hl_mapped *m, uintptr_t from, uintptr_t to);
int hl_mapping_private_overlay(
	struct hl_mapped *m, uintptr_t from, uintptr_t to);
/* The program has its ends still, and could read what is between them. */
bool hl_mapping_private_is_whole(
	const struct hl_mapped *m, uintptr_t from, uintptr_t to);
bool hl_mapping_private_is_readable(const struct hl_mapped *m);

/* ---- mapping_shared.c ---- */

/* As above. */
int hl_mapping_shared_unmap(struct hl_mapped *m, uintptr_t from, uintptr_t to);
int hl_mapping_shared_overlay(
	struct hl_mapped *m, uintptr_t from, uintptr_t to);
/* The whole huge pages of [from, to), which reaches to the unknown parts. */
void hl_mapping_shared_whole(
	const struct hl_mapped *m, uintptr_t *from, uintptr_t *to);
/* -EINVAL: others may have it. Else it is no longer ours. */
int hl_mapping_make_ordinary(struct hl_mapped *m);

/* Around fork(2), registered by hl_mapping_configure(). */
extern const struct hl_atfork hl_mapping_fork_handlers;

#endif
