/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See base/record.h. Nothing is read or written beyond the size that the
 * caller's struct gives. No lock, no allocation.
 */
#include "base/record.h"

#include <errno.h>
#include <string.h>

/* No struct of ours comes near; a larger size is garbage. */
#define SANE_BYTES 4096

int hl_record_in(void *own, size_t own_bytes, const void *theirs)
{
	const char *from = theirs;
	size_t bytes;

	if (theirs == NULL) {
		memset(own, 0, own_bytes);
		memcpy(own, &own_bytes, sizeof(own_bytes));
		return 0;
	}
	memcpy(&bytes, theirs, sizeof(bytes));
	if (bytes < sizeof(bytes))
		return -EINVAL;
	if (bytes > SANE_BYTES)
		return -E2BIG;
	for (size_t i = own_bytes; i < bytes; i++) {
		if (from[i] != 0)
			return -E2BIG;
	}
	memset(own, 0, own_bytes);
	memcpy(own, theirs, HL_MIN(own_bytes, bytes));
	return 0;
}

int hl_record_out(void *theirs, size_t least, const void *own, size_t own_bytes)
{
	char *to = theirs;
	size_t bytes;

	memcpy(&bytes, theirs, sizeof(bytes));
	if (bytes < least)
		return -EINVAL;
	memcpy(to + sizeof(bytes), (const char *)own + sizeof(bytes),
		HL_MIN(own_bytes, bytes) - sizeof(bytes));
	if (bytes > own_bytes)
		memset(to + own_bytes, 0, bytes - own_bytes);
	return 0;
}
