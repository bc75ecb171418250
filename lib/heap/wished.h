/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counting the units that are wished (heap/space.h), as they come and go.
 * Called by heap/grain.c and heap/space.c, with GROW of the units' arena held:
 * beside them go system calls, so that this costs nothing that shows.
 */
#ifndef HL_HEAP_WISHED_H
#define HL_HEAP_WISHED_H

#include "heap/space.h"

void hl_wished_count(int64_t units);
/* Of a stretch without a grain. They become it. */
void hl_wished_mark(struct hl_stretch *stretch, size_t first, size_t n);
/* True if they were. */
bool hl_wished_clear(struct hl_stretch *stretch, size_t first, size_t n);
/* The stretch is about to be closed with what is in it. */
void hl_wished_end(struct hl_stretch *stretch);

#endif
