/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structs of the API that start with their size (a size_t) and grow: a program
 * may have been built with an older or a newer header than this library.
 */
#ifndef HL_BASE_RECORD_H
#define HL_BASE_RECORD_H

#include "base/base.h"

/*
 * A caller's options into our struct of own_bytes. theirs NULL: all zero.
 * Smaller ones are filled up with zeros. -EINVAL if the size is none at all;
 * -E2BIG if they say something that we do not know.
 */
int hl_record_in(void *own, size_t own_bytes, const void *theirs);

/*
 * Our result into a caller's struct: as much as it has room for, the rest
 * zeroed; its size member stays. -EINVAL below `least` bytes, which is what
 * every caller ever had.
 */
int hl_record_out(
	void *theirs, size_t least, const void *own, size_t own_bytes);

#endif
