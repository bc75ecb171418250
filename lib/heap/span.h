/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small spans: runs cut into blocks of one size class. A span is owned by one
 * thread, which allocates and frees in it without atomics; other threads push
 * the blocks they free on its remote list. A span that is full, or whose thread
 * ended, is owned by nobody, and the first thread that frees into it takes it.
 */
#ifndef HL_HEAP_SPAN_H
#define HL_HEAP_SPAN_H

#include "heap/types.h"

/* The slow path of malloc: a block of that class or NULL. t is a real thread.
 */
void *hl_span_refill(struct hl_thread *t, unsigned class_);

/* The slow path of free: the used count of span, t's own but not its current
 * one, became 0. */
void hl_span_emptied(struct hl_thread *t, struct hl_span *span);

/* A block of a span that t (possibly hl_thread_none) does not own. */
void hl_span_free_remote(
	struct hl_thread *t, struct hl_span *span, struct hl_block *block);

/* Thread exit: everything it owns is abandoned or given back. */
void hl_span_leave(struct hl_thread *t);

/*
 * Gives back empty spans of this thread, current ones too, looking at up to
 * `limit` queued ones of each class. True if any.
 */
bool hl_span_trim(struct hl_thread *t, size_t limit);

/* Gives back what is empty among the abandoned spans, looking at up to `limit`
 * of each class. True if any. */
bool hl_span_sweep(struct hl_arena *arena, size_t limit);

bool hl_span_is_valid(const struct hl_span *span);

#endif
