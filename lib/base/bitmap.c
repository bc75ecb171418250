/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bit ranges, a word at a time. Callers: the records of units and tracts, node
 * sets. No state, no locks: the owner of the array guards it.
 *
 * Every function masks the bits outside its range, so the last word of an
 * array may hold anything beyond nbits, and a range may start and end in the
 * middle of a word. An empty range is valid everywhere.
 */
#include "base/bitmap.h"

/* Bits [from % 64, 64) of a word. */
static inline uint64_t mask_from(size_t from)
{
	return ~(uint64_t)0 << (from % 64);
}

/* Bits [0, to) of a word, where the last bit of the range is to - 1. */
static inline uint64_t mask_to(size_t to)
{
	return ~(uint64_t)0 >> (63 - (to - 1) % 64);
}

void hl_bitmap_set(uint64_t *map, size_t from, size_t to)
{
	size_t word = from / 64, last;

	if (from >= to)
		return;
	last = (to - 1) / 64;
	if (word == last) {
		map[word] |= mask_from(from) & mask_to(to);
		return;
	}
	map[word] |= mask_from(from);
	for (word++; word < last; word++)
		map[word] = ~(uint64_t)0;
	map[last] |= mask_to(to);
}

void hl_bitmap_clear(uint64_t *map, size_t from, size_t to)
{
	size_t word = from / 64, last;

	if (from >= to)
		return;
	last = (to - 1) / 64;
	if (word == last) {
		map[word] &= ~(mask_from(from) & mask_to(to));
		return;
	}
	map[word] &= ~mask_from(from);
	for (word++; word < last; word++)
		map[word] = 0;
	map[last] &= ~mask_to(to);
}

bool hl_bitmap_all_set(const uint64_t *map, size_t from, size_t to)
{
	return from >= to || hl_bitmap_next_clear(map, to, from) == to;
}

bool hl_bitmap_all_clear(const uint64_t *map, size_t from, size_t to)
{
	return from >= to || hl_bitmap_next_set(map, to, from) == to;
}

size_t hl_bitmap_count(const uint64_t *map, size_t from, size_t to)
{
	size_t word = from / 64, last, count;

	if (from >= to)
		return 0;
	last = (to - 1) / 64;
	if (word == last)
		return (size_t)__builtin_popcountll(
			map[word] & mask_from(from) & mask_to(to));
	count = (size_t)__builtin_popcountll(map[word] & mask_from(from));
	for (word++; word < last; word++)
		count += (size_t)__builtin_popcountll(map[word]);
	return count + (size_t)__builtin_popcountll(map[last] & mask_to(to));
}

/* flip: 0 to look for set bits, all ones to look for clear ones. */
static inline size_t next(
	const uint64_t *map, size_t nbits, size_t from, uint64_t flip)
{
	size_t word = from / 64, last, bit;
	uint64_t bits;

	if (from >= nbits)
		return nbits;
	last = (nbits - 1) / 64;
	bits = (map[word] ^ flip) & mask_from(from);
	while (bits == 0) {
		if (word == last)
			return nbits;
		bits = map[++word] ^ flip;
	}
	bit = word * 64 + (size_t)__builtin_ctzll(bits);
	return bit < nbits ? bit : nbits;
}

size_t hl_bitmap_next_set(const uint64_t *map, size_t nbits, size_t from)
{
	return next(map, nbits, from, 0);
}

size_t hl_bitmap_next_clear(const uint64_t *map, size_t nbits, size_t from)
{
	return next(map, nbits, from, ~(uint64_t)0);
}

size_t hl_bitmap_clear_before(const uint64_t *map, size_t to)
{
	size_t word;
	uint64_t bits;

	if (to == 0)
		return 0;
	word = (to - 1) / 64;
	bits = map[word] & mask_to(to);
	while (bits == 0) {
		if (word == 0)
			return 0;
		bits = map[--word];
	}
	return word * 64 + 64 - (size_t)__builtin_clzll(bits);
}

size_t hl_bitmap_find_clear(
	const uint64_t *map, size_t nbits, size_t from, size_t n)
{
	size_t to;

	for (; from < nbits; from = to) {
		from = next(map, nbits, from, ~(uint64_t)0);
		if (n > nbits - from)
			break;
		to = next(map, nbits, from, 0);
		if (to - from >= n && from < nbits)
			return from;
	}
	return HL_BITMAP_NOT_FOUND;
}

size_t hl_bitmap_longest_clear(const uint64_t *map, size_t nbits)
{
	size_t from, to, longest = 0;

	/* A hole after `from` is at most as long as what is left. */
	for (from = 0; from < nbits && nbits - from > longest; from = to) {
		from = next(map, nbits, from, ~(uint64_t)0);
		to = next(map, nbits, from, 0);
		longest = HL_MAX(longest, to - from);
	}
	return longest;
}
