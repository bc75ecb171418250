/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What mapping.c and mapping_change.c share. Nobody else includes this, but
 * tests.
 */
#ifndef HL_REGION_MAPPING_INTERNAL_H
#define HL_REGION_MAPPING_INTERNAL_H

#include "region/mapping.h"

#include "backing/area.h"
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
	uint64_t forks; /* that this process made or came from */
};
extern struct hl_mapping hl_mapping;

struct hl_mapping_signals {
	uint64_t bits;
};
/* With all signals blocked. The release also tells whether there are any. */
void hl_mapping_lock(struct hl_mapping_signals *saved);
void hl_mapping_unlock(const struct hl_mapping_signals *saved);

/*
 * Something will be mapped over the range at once: 0, and we have let go of
 * it; -errno: the kernel could not do it.
 */
int hl_mapping_overlay(void *addr, size_t bytes);

/* Around fork(2), registered by hl_mapping_configure(). */
void hl_mapping_fork_prepare(void);
void hl_mapping_fork_parent(void);
void hl_mapping_fork_child(void);

#endif
