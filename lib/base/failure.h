/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last shortage of huge pages that a thread ran into, also when a fallback
 * hid it. backing/ writes it down where it counts a fallback;
 * htlb_last_failure() reads it. A few words of thread-local storage, so that
 * the library can still be opened late (static TLS is scarce).
 *
 * No lock, no system call; keeps errno. Not to be called by signal handlers.
 */
#ifndef HL_BASE_FAILURE_H
#define HL_BASE_FAILURE_H

#include "base/base.h"
#include "base/limit.h"

struct hl_failure {
	enum hl_limit limit;
	int node;		/* that was asked for, -1: any */
	size_t page_bytes;	/* of the huge page asked for; 0: none (THP) */
	uint64_t needed_hpages; /* in pages of page_bytes */
	uint64_t available_hpages; /* as far as known, else 0 */
};

/* limit NONE is ignored: an outcome without a shortage erases nothing. */
void hl_failure_record(enum hl_limit limit, size_t page_bytes, int node,
	uint64_t needed_hpages, uint64_t available_hpages);
/* False, and *out untouched, if this thread never met a shortage. */
bool hl_failure_read(struct hl_failure *out);

#endif
