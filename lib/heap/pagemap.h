/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From an address to its span, in three loads: a root table by GiB, leaves by
 * slot of 4 KiB. All slots of a small span are entered; of a span that is one
 * block only the slot where the block begins. Leaves are mapped lazily and
 * never unmapped, so lookups take no lock and may come from any address, also
 * one that is not ours.
 *
 * A slot holds its span from before the block is handed out until the block is
 * freed; a caller who passes a live block sees a live span.
 */
#ifndef HL_HEAP_PAGEMAP_H
#define HL_HEAP_PAGEMAP_H

#include "base/base.h"
#include "heap/unit.h"

#include <stdatomic.h>

struct hl_span;

#define HL_PAGEMAP_LEAF_SHIFT 30
#if defined(__x86_64__)
#define HL_PAGEMAP_ADDR_BITS 47
#else
#define HL_PAGEMAP_ADDR_BITS 48
#endif
#define HL_PAGEMAP_ROOTS \
	((size_t)1 << (HL_PAGEMAP_ADDR_BITS - HL_PAGEMAP_LEAF_SHIFT))
#define HL_PAGEMAP_LEAF_SLOTS \
	((size_t)1 << (HL_PAGEMAP_LEAF_SHIFT - HL_SLOT_SHIFT))

struct hl_pagemap_leaf {
	_Atomic(struct hl_span *) span[HL_PAGEMAP_LEAF_SLOTS];
};
/*
 * The root table, NULL until the first leaf is made: a process that uses
 * another malloc pays nothing, and ulimit -d counts every byte of .bss. It does
 * not change after that.
 */
typedef _Atomic(struct hl_pagemap_leaf *) hl_pagemap_entry;
extern hl_pagemap_entry *_Atomic hl_pagemap_root;

/* root: below HL_PAGEMAP_ROOTS; the table is there. */
static inline hl_pagemap_entry *hl_pagemap_entry_of(size_t root)
{
	return atomic_load_explicit(&hl_pagemap_root, memory_order_relaxed) +
	       root;
}

/* The span entered for the slot of addr, or NULL. Any address. */
static inline struct hl_span *hl_pagemap_get(const void *p)
{
	uintptr_t addr = (uintptr_t)p;
	size_t root = addr >> HL_PAGEMAP_LEAF_SHIFT;
	hl_pagemap_entry *table =
		atomic_load_explicit(&hl_pagemap_root, memory_order_acquire);
	struct hl_pagemap_leaf *leaf;

	if (hl_unlikely(root >= HL_PAGEMAP_ROOTS || table == NULL))
		return NULL;
	leaf = atomic_load_explicit(&table[root], memory_order_acquire);
	if (hl_unlikely(leaf == NULL))
		return NULL;
	return atomic_load_explicit(&leaf->span[(addr >> HL_SLOT_SHIFT) &
						(HL_PAGEMAP_LEAF_SLOTS - 1)],
		memory_order_acquire);
}

/* Makes the leaves for a range of addresses; -ENOMEM. Before any lock. */
int hl_pagemap_prepare(uintptr_t addr, size_t bytes);

/* Enters span (or NULL) for `slots` slots from addr on; prepared before. */
void hl_pagemap_set(uintptr_t addr, size_t slots, struct hl_span *span);

#endif
