/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The limits of this process, setrlimit(2), by the raw system call: also in
 * the first malloc, before libc is ready. Callers: the heap, which keeps small
 * under a limit on memory, segment/, and the preload object. No state, no lock.
 */
#include "system/sys.h"

#include "base/syscall.h"
#include "system/scan.h"

#include <sys/resource.h>
#include <sys/syscall.h>

uint64_t hl_rlimit(int resource)
{
	/* struct rlimit64: the soft limit, the hard one; no limit: all ones. */
	uint64_t limit[2];

	if (hl_syscall(SYS_prlimit64, 0, resource, 0, (long)limit, 0, 0) < 0)
		return UINT64_MAX;
	return limit[0];
}

/* Fields of /proc/self/statm: what the kernel holds against the limits. */
enum {
	STATM_SIZE = 0,
	STATM_DATA = 5
};

uint64_t hl_rlimit_room(int resource)
{
	uint64_t limit = hl_rlimit(resource), pages = 0;
	int field = resource == RLIMIT_AS ? STATM_SIZE : STATM_DATA;
	char text[128];
	const char *at = text;

	HL_ASSERT(resource == RLIMIT_AS || resource == RLIMIT_DATA);
	if (limit == UINT64_MAX ||
		hl_root_read(&hl_root_real, "/proc/self/statm", text,
			sizeof(text)) < 0)
		return limit;
	for (; field >= 0; field--) {
		hl_scan_spaces(&at);
		pages = hl_scan_decimal(&at);
	}
	return limit - HL_MIN(limit, pages * hl_base_page_bytes());
}
