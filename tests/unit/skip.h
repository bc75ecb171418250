/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A case that cannot run here says why: tests/summary.py reads it. Needs
 * cmocka.h.
 */
#ifndef HL_TESTS_UNIT_SKIP_H
#define HL_TESTS_UNIT_SKIP_H

#define SKIP_BECAUSE(reason)                                       \
	do {                                                       \
		print_message("SKIP: %s: %s\n", __func__, reason); \
		skip();                                            \
	} while (0)

#endif
