/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The brk area on huge pages: what sbrk() and brk() give, and so malloc where
 * it is left to the C library. On request only.
 *
 * The kernel does not let an area that grows inherit what was advised before:
 * the new part is ordinary again. So whoever sees the break move says so here
 * (preload/brk.c). Nothing is moved, and the break never is: huge pages are
 * joined in place, where the area covers them as a whole.
 */
#ifndef HL_SEGMENT_BRK_H
#define HL_SEGMENT_BRK_H

#include "base/base.h"

#include <stdatomic.h>

/* Set once the area is looked after. */
extern _Atomic bool hl_brk_on;

/*
 * The break is at `now`. Takes no lock, allocates nothing, keeps errno: it is
 * called inside allocators.
 */
void hl_brk_see(uintptr_t now);

/* Has the counters say what smaps says. */
void hl_brk_sample(void);

/*
 * From now on the area is looked after; what there is of it comes to huge pages
 * at once. 0, or -errno and nothing changed.
 */
int hl_brk_start(size_t base_bytes, size_t huge_bytes);

#endif
