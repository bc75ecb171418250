/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What operators.cpp gives to a program, or a plug-in to its host. */
#ifndef OPERATORS_H
#define OPERATORS_H

/* Every form of operator new and delete, good and failing; prints what is seen.
 */
extern "C" __attribute__((visibility("default"))) int try_operators(void);

#endif
