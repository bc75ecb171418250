/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the counters live. They start in static memory, since the first malloc
 * comes before anything could be mapped; hl_count_attach() moves them once.
 * No lock: every cell is an atomic.
 */
#include "base/count.h"

static struct hl_counts own_counts;

struct hl_counts *_Atomic hl_counts_now = &own_counts;

/* 64-bit counters first, then bytes: what the copy below relies on. */
_Static_assert(offsetof(struct hl_counts, cell) % sizeof(uint64_t) == 0,
	"the counters before cell[] are words");
_Static_assert(offsetof(struct hl_counts, cell_kind) + HL_COUNT_CELLS <=
		       sizeof(struct hl_counts),
	"cell_kind[] is the last member");

void hl_count_attach(struct hl_counts *to)
{
	struct hl_counts *from = hl_counts();
	_Atomic uint64_t *src = (_Atomic uint64_t *)(void *)from;
	_Atomic uint64_t *dst = (_Atomic uint64_t *)(void *)to;
	size_t words = offsetof(struct hl_counts, cell) / sizeof(uint64_t);

	if (to == from)
		return;
	for (size_t i = 0; i < words; i++)
		atomic_store_explicit(&dst[i],
			atomic_load_explicit(&src[i], memory_order_relaxed),
			memory_order_relaxed);
	for (size_t i = 0; i < HL_COUNT_CELLS; i++) {
		atomic_store_explicit(&to->cell[i],
			atomic_load_explicit(
				&from->cell[i], memory_order_relaxed),
			memory_order_relaxed);
		atomic_store_explicit(&to->cell_kind[i],
			atomic_load_explicit(
				&from->cell_kind[i], memory_order_relaxed),
			memory_order_relaxed);
	}
	atomic_store_explicit(&hl_counts_now, to, memory_order_release);
}

unsigned hl_count_size_index(size_t page_bytes)
{
	struct hl_counts *counts = hl_counts();
	unsigned i;

	for (i = 0; i < HL_COUNT_SIZES - 1; i++) {
		uint64_t seen = atomic_load_explicit(
			&counts->hugetlb_page_bytes[i], memory_order_relaxed);

		if (seen == 0 && atomic_compare_exchange_strong_explicit(
					 &counts->hugetlb_page_bytes[i], &seen,
					 page_bytes, memory_order_relaxed,
					 memory_order_relaxed))
			return i;
		if (seen == page_bytes)
			return i;
	}
	/* More sizes than cells: the last one stands for the rest. */
	uint64_t empty = 0;

	atomic_compare_exchange_strong_explicit(&counts->hugetlb_page_bytes[i],
		&empty, page_bytes, memory_order_relaxed, memory_order_relaxed);
	return i;
}
