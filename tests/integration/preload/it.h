/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the programs of this directory share: a check that ends the program,
 * and a look at whether the run is what its driver meant it to be.
 */
#ifndef IT_H
#define IT_H

#include "../check.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * IT_PRELOADED=1: the object must be there. =0: it must not. A test that was
 * not preloaded would prove nothing.
 */
static inline int it_preloaded(void)
{
	const char *meant = getenv("IT_PRELOADED");
	int is = dlsym(RTLD_DEFAULT, "htlb_entry_v1") != NULL;

	CHECK(meant != NULL && is == (meant[0] == '1'));
	return is;
}

/* Preloaded, and malloc is not left to libc. For programs but it_early. */
static inline int it_shared(void)
{
	const char *morecore = getenv("HUGETLB_MORECORE");

	return it_preloaded() && getenv("HUGETLB_RESTRICT_EXE") == NULL &&
	       (morecore == NULL || strcmp(morecore, "no") != 0);
}

/* Every byte tells its place, so that a mixed-up block is seen. */
static inline void it_fill(void *p, size_t bytes, unsigned seed)
{
	unsigned char *c = (unsigned char *)p;

	for (size_t i = 0; i < bytes; i++)
		c[i] = (unsigned char)(i * 31 + (i >> 8) + seed);
}

static inline int it_is_filled(const void *p, size_t bytes, unsigned seed)
{
	const unsigned char *c = (const unsigned char *)p;

	for (size_t i = 0; i < bytes; i++) {
		if (c[i] != (unsigned char)(i * 31 + (i >> 8) + seed))
			return 0;
	}
	return 1;
}

#endif
