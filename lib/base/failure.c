/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Storage behind base/failure.h: one record a thread, overwritten by the next
 * shortage. Initial-exec TLS: reading it never allocates, so the slow paths of
 * malloc may record.
 */
#include "base/failure.h"

static _Thread_local struct hl_failure last;

void hl_failure_record(enum hl_limit limit, size_t page_bytes, int node,
	uint64_t needed_hpages, uint64_t available_hpages)
{
	if (limit == HL_LIMIT_NONE)
		return;
	last.limit = limit;
	last.node = node;
	last.page_bytes = page_bytes;
	last.needed_hpages = needed_hpages;
	last.available_hpages = available_hpages;
}

bool hl_failure_read(struct hl_failure *out)
{
	if (last.limit == HL_LIMIT_NONE)
		return false;
	*out = last;
	return true;
}
