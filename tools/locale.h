/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the reader's terminal can show. For hugectl too: no stdio, no malloc. */
#ifndef HL_TOOLS_LOCALE_H
#define HL_TOOLS_LOCALE_H

#include <stdbool.h>

/* By the environment, without setlocale(). */
bool locale_is_utf8(void);

#endif
