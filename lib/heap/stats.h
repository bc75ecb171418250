/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sampling: how much of the heap is resident, on what. The counters of
 * base/count.h that are not exact by themselves are written here.
 */
#ifndef HL_HEAP_STATS_H
#define HL_HEAP_STATS_H

#include "base/base.h"

/* On slow paths, no lock held: samples if the heap grew by a sixteenth, or a
 * second has passed, and if sampling is cheap against the time since. */
void hl_heap_sample_if_due(uint64_t now_ms);

/* A large block is about to be freed, no lock held: it may have been touched
 * since the last sample, and with it goes what was the peak. */
void hl_heap_sample_before_free(size_t bytes);

/* Memory is about to go back to the kernel; GROW may be held. */
void hl_heap_sample_before_release(void);

void hl_heap_stats_fork_child(void);

#endif
