/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See pagemap.h. The root table is 1 MiB of address space of which a program
 * touches one page; a leaf is 2 MiB of address space per GiB of heap, touched
 * as far as the heap reaches.
 */
#include "heap/pagemap.h"

#include "base/meta.h"

#include <errno.h>

hl_pagemap_entry *_Atomic hl_pagemap_root;

static int make_root(void)
{
	const size_t bytes = HL_PAGEMAP_ROOTS * sizeof(hl_pagemap_entry);
	hl_pagemap_entry *fresh, *none = NULL;

	if (atomic_load_explicit(&hl_pagemap_root, memory_order_acquire) !=
		NULL)
		return 0;
	fresh = hl_meta_map(bytes);
	if (fresh == NULL)
		return -ENOMEM;
	/* Who comes second gives his table back. */
	if (!atomic_compare_exchange_strong(&hl_pagemap_root, &none, fresh))
		hl_meta_unmap(fresh, bytes);
	return 0;
}

static int make_leaf(size_t root)
{
	struct hl_pagemap_leaf *fresh, *none = NULL;

	if (atomic_load_explicit(
		    hl_pagemap_entry_of(root), memory_order_acquire) != NULL)
		return 0;
	fresh = hl_meta_map(sizeof(*fresh));
	if (fresh == NULL)
		return -ENOMEM;
	if (!atomic_compare_exchange_strong_explicit(hl_pagemap_entry_of(root),
		    &none, fresh, memory_order_acq_rel, memory_order_acquire))
		hl_meta_unmap(fresh, sizeof(*fresh));
	return 0;
}

int hl_pagemap_prepare(uintptr_t addr, size_t bytes)
{
	size_t root = addr >> HL_PAGEMAP_LEAF_SHIFT;
	size_t last = (addr + bytes - 1) >> HL_PAGEMAP_LEAF_SHIFT;
	int rc;

	if (last >= HL_PAGEMAP_ROOTS)
		return -ENOMEM;
	rc = make_root();
	if (rc < 0)
		return rc;
	for (; root <= last; root++) {
		rc = make_leaf(root);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void hl_pagemap_set(uintptr_t addr, size_t slots, struct hl_span *span)
{
	size_t i;

	for (i = 0; i < slots; i++, addr += HL_SLOT_BYTES) {
		struct hl_pagemap_leaf *leaf = atomic_load_explicit(
			hl_pagemap_entry_of(addr >> HL_PAGEMAP_LEAF_SHIFT),
			memory_order_relaxed);

		HL_ASSERT(leaf != NULL);
		atomic_store_explicit(&leaf->span[(addr >> HL_SLOT_SHIFT) &
						  (HL_PAGEMAP_LEAF_SLOTS - 1)],
			span, memory_order_release);
	}
}
