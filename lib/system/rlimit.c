/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The limits of this process, setrlimit(2), by the raw system call: also in
 * the first malloc, before libc is ready. Callers: the heap, which keeps small
 * under a limit on memory, segment/, and the preload object. No state, no lock.
 */
#include "system/sys.h"

#include "base/syscall.h"

#include <sys/syscall.h>

uint64_t hl_rlimit(int resource)
{
	/* struct rlimit64: the soft limit, the hard one; no limit: all ones. */
	uint64_t limit[2];

	if (hl_syscall(SYS_prlimit64, 0, resource, 0, (long)limit, 0, 0) < 0)
		return UINT64_MAX;
	return limit[0];
}
