/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A check that ends the test program, whatever the build type. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(e)                                                           \
	do {                                                               \
		if (!(e)) {                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, \
				#e);                                       \
			_Exit(1);                                          \
		}                                                          \
	} while (0)

#endif
