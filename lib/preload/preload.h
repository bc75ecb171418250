/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside preload/: whose malloc the process uses, the next allocator, and the
 * prototypes that no system header declares.
 */
#ifndef HL_PRELOAD_PRELOAD_H
#define HL_PRELOAD_PRELOAD_H

#include "base/base.h"
#include "heap/heap.h"

#include <stdatomic.h>

enum hl_preload_mode {
	HL_PRELOAD_UNDECIDED, /* environment not seen yet: our heap,
				 unconfigured */
	HL_PRELOAD_OURS,
	HL_PRELOAD_LIBC, /* every call is passed on, but for our own old blocks
			  */
};

extern _Atomic int hl_preload_mode; /* enum hl_preload_mode */

/* Decides if that is possible by now, and returns the mode. Allocates nothing.
 */
enum hl_preload_mode hl_preload_decide(void);

static inline bool hl_preload_is_ours(void)
{
	return hl_likely(atomic_load_explicit(&hl_preload_mode,
				 memory_order_relaxed) == HL_PRELOAD_OURS);
}

/* False in the resolver of an indirect function, early in a process (start.c).
 */
bool hl_preload_has_tls(void);

/* The malloc behind ours, mostly libc's; all members set (next.c). */
extern const struct hl_next_allocator hl_next;
/*
 * The definition of a function behind ours, or NULL. Takes the dynamic
 * linker's lock and may allocate: for rare calls only.
 */
void *hl_next_function(const char *name);
/* The same for the C++ runtime that serves the code at `caller`. */
void *hl_next_cxx_function(const char *name, const void *caller);

/* libc's malloc may have moved the break (brk.c). */
void hl_preload_see_break(void);

/*
 * Takes ourselves out of envp, in place: our entry of LD_PRELOAD and our
 * variables. path: how the dynamic linker calls this object.
 */
void hl_children_disinherit(char **envp, const char *path);

/* Exported, but in no header of glibc 2.36. */
void cfree(void *p);
void free_sized(void *p, size_t bytes);
void free_aligned_sized(void *p, size_t align, size_t bytes);

#endif
