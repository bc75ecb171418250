/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shmget of the program, on huge pages with HUGETLB_SHM: see region/shared.h.
 * Attaching, detaching and removing need no help.
 */
#include "preload/preload.h"

#include "region/shared.h"

#include <errno.h>
#include <sys/shm.h>

HL_EXPORT int shmget(key_t key, size_t bytes, int flags)
{
	int saved = errno;
	int id = hl_shared_shmget(key, bytes, flags);

	errno = id < 0 ? -id : saved;
	return id < 0 ? -1 : id;
}
