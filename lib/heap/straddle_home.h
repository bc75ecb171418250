/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The straddle with memory behind it: commits the units that come into use,
 * keeps those that fell out of use for the decay time. GROW is held throughout.
 */
#ifndef HL_HEAP_STRADDLE_HOME_H
#define HL_HEAP_STRADDLE_HOME_H

#include "heap/learn.h"
#include "heap/types.h"

/* Fills span->str, start, zero. -ENOMEM. align <= HL_UNIT_BYTES. */
int hl_straddle_home_take(struct hl_span *span, size_t bytes, size_t align,
	enum hl_learn_backing backing);
void hl_straddle_home_give(struct hl_span *span);
bool hl_straddle_home_resize(struct hl_span *span, size_t bytes);
size_t hl_straddle_home_usable(const struct hl_span *span);
/* Releases up to `most` units without a block. Returns how many. */
size_t hl_straddle_home_shed(struct hl_straddle_home *home, size_t most);
bool hl_straddle_home_decay(struct hl_straddle_home *home,
	struct hl_arena *arena, uint64_t now_ms, bool all);

#endif
