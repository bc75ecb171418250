/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bit ranges in arrays of uint64_t. Bit i is bit i % 64 of word i / 64. Ranges
 * are [from, to). The caller owns the array and its lock. nbits need not be a
 * multiple of 64; bits beyond it are ignored.
 */
#ifndef HL_BASE_BITMAP_H
#define HL_BASE_BITMAP_H

#include "base/base.h"

#define HL_BITMAP_WORDS(nbits) (((nbits) + 63) / 64)
#define HL_BITMAP_NOT_FOUND    SIZE_MAX

static inline bool hl_bitmap_test(const uint64_t *map, size_t bit)
{
	return (map[bit / 64] >> (bit % 64)) & 1;
}

void hl_bitmap_set(uint64_t *map, size_t from, size_t to);
void hl_bitmap_clear(uint64_t *map, size_t from, size_t to);
bool hl_bitmap_all_set(const uint64_t *map, size_t from, size_t to);
bool hl_bitmap_all_clear(const uint64_t *map, size_t from, size_t to);
size_t hl_bitmap_count(const uint64_t *map, size_t from, size_t to);

/* First run of at least n >= 1 clear bits at or after `from`, or NOT_FOUND. */
size_t hl_bitmap_find_clear(
	const uint64_t *map, size_t nbits, size_t from, size_t n);
/* Next set (clear) bit at or after `from`; nbits if none. */
size_t hl_bitmap_next_set(const uint64_t *map, size_t nbits, size_t from);
size_t hl_bitmap_next_clear(const uint64_t *map, size_t nbits, size_t from);
/* First bit of the run of clear bits that ends right before `to`; `to` if none.
 */
size_t hl_bitmap_clear_before(const uint64_t *map, size_t to);
/* Length of the longest run of clear bits. */
size_t hl_bitmap_longest_clear(const uint64_t *map, size_t nbits);

#endif
