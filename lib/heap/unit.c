/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots of one unit. Called by the filler, and by the page heap for the unit of
 * small programs; the arena's page_lock is held.
 *
 * Invariants: used_slots is the number of set bits, longest is the length of
 * the longest hole (exact after every call: the filler orders by it), every set
 * bit is below fresh_from, which only rises until the kernel clears the memory.
 *
 * Giving slots back can only lengthen the hole they join, so it looks at that
 * hole alone. Taking slots shortens a hole; only if that was the longest one do
 * the others matter, and take sees them all on its way.
 */
#include "heap/unit.h"

#include "base/bitmap.h"

#define WORDS (HL_UNIT_SLOTS / 64)

/* First used slot at or after `slot`; HL_UNIT_SLOTS if none. */
static inline unsigned next_used(const uint64_t *used, unsigned slot)
{
	unsigned word = slot / 64;
	uint64_t bits;

	if (slot >= HL_UNIT_SLOTS)
		return HL_UNIT_SLOTS;
	bits = used[word] >> (slot % 64);
	if (bits != 0)
		return slot + (unsigned)__builtin_ctzll(bits);
	while (++word < WORDS)
		if (used[word] != 0)
			return word * 64 +
			       (unsigned)__builtin_ctzll(used[word]);
	return HL_UNIT_SLOTS;
}

static inline unsigned next_free(const uint64_t *used, unsigned slot)
{
	unsigned word = slot / 64;
	uint64_t bits;

	if (slot >= HL_UNIT_SLOTS)
		return HL_UNIT_SLOTS;
	bits = ~used[word] >> (slot % 64);
	if (bits != 0)
		return slot + (unsigned)__builtin_ctzll(bits);
	while (++word < WORDS)
		if (~used[word] != 0)
			return word * 64 +
			       (unsigned)__builtin_ctzll(~used[word]);
	return HL_UNIT_SLOTS;
}

/* First slot of the hole that ends right before `slot`; `slot` if none. */
static inline unsigned hole_start(const uint64_t *used, unsigned slot)
{
	unsigned word;
	uint64_t bits;

	if (slot == 0)
		return 0;
	word = (slot - 1) / 64;
	/* The slot before moves to bit 63, where clz starts counting. */
	bits = used[word] << (63 - (slot - 1) % 64);
	if (bits != 0)
		return slot - (unsigned)__builtin_clzll(bits);
	while (word-- > 0)
		if (used[word] != 0)
			return word * 64 + 64 -
			       (unsigned)__builtin_clzll(used[word]);
	return 0;
}

static unsigned longest_hole(const uint64_t *used)
{
	unsigned from = 0, to, longest = 0;

	/* A hole that starts here is at most as long as what is left. */
	for (; HL_UNIT_SLOTS - from > longest; from = to) {
		from = next_free(used, from);
		to = next_used(used, from);
		if (to - from > longest)
			longest = to - from;
	}
	return longest;
}

/* Marks free slots as used; longest is the caller's. */
static void mark(struct hl_unit *unit, unsigned slot, unsigned n)
{
	HL_ASSERT(n >= 1 && slot + n <= HL_UNIT_SLOTS);
	HL_ASSERT(hl_bitmap_all_clear(unit->used, slot, slot + n));
	hl_bitmap_set(unit->used, slot, slot + n);
	unit->used_slots = (uint16_t)(unit->used_slots + n);
	if (unit->fresh_from < slot + n)
		unit->fresh_from = (uint16_t)(slot + n);
}

/* Marks used slots as free, and measures the hole that they join. */
static void unmark(struct hl_unit *unit, unsigned slot, unsigned n)
{
	unsigned hole;

	HL_ASSERT(n >= 1 && slot + n <= HL_UNIT_SLOTS);
	HL_ASSERT(hl_bitmap_all_set(unit->used, slot, slot + n));
	hl_bitmap_clear(unit->used, slot, slot + n);
	unit->used_slots = (uint16_t)(unit->used_slots - n);
	hole = next_used(unit->used, slot + n) - hole_start(unit->used, slot);
	if (hole > unit->longest)
		unit->longest = (uint16_t)hole;
}

void hl_unit_init(struct hl_unit *unit, struct hl_area *area, uint32_t index)
{
	*unit = (struct hl_unit){
		.area = area,
		.index = index,
		.longest = HL_UNIT_SLOTS,
	};
}

uintptr_t hl_unit_base(const struct hl_unit *unit)
{
	return hl_area_base(unit->area) + unit->index * HL_UNIT_BYTES;
}

unsigned hl_unit_take(struct hl_unit *unit, unsigned n, bool *zero)
{
	/* best: shortest hole that fits; rest: longest of the others seen */
	unsigned best = 0, best_len = HL_UNIT_SLOTS + 1, rest = 0;
	unsigned from, to = 0, len;

	HL_ASSERT(n >= 1 && n <= unit->longest);
	for (;;) {
		from = next_free(unit->used, to);
		if (from == HL_UNIT_SLOTS)
			break;
		to = next_used(unit->used, from);
		len = to - from;
		if (len >= n && len < best_len) {
			if (best_len <= HL_UNIT_SLOTS && best_len > rest)
				rest = best_len;
			best = from;
			best_len = len;
			/* The longest hole is elsewhere and stays. */
			if (len == n && n < unit->longest)
				break;
		} else if (len > rest) {
			rest = len;
		}
	}
	HL_CHECK(best_len <= HL_UNIT_SLOTS);
	*zero = best >= unit->fresh_from;
	mark(unit, best, n);
	unit->runs++;
	if (best_len == unit->longest)
		unit->longest = (uint16_t)HL_MAX(rest, best_len - n);
	HL_VALID(hl_unit_is_valid(unit));
	return best;
}

bool hl_unit_take_aligned(struct hl_unit *unit, unsigned n, unsigned align,
	unsigned *slot, bool *zero)
{
	unsigned from, to = 0, at, best = 0, best_len = HL_UNIT_SLOTS + 1;

	while ((from = next_free(unit->used, to)) < HL_UNIT_SLOTS) {
		to = next_used(unit->used, from);
		at = (from + align - 1) & ~(align - 1);
		if (at + n <= to && to - from < best_len) {
			best = at;
			best_len = to - from;
		}
	}
	if (best_len > HL_UNIT_SLOTS)
		return false;
	*slot = best;
	*zero = best >= unit->fresh_from;
	hl_unit_take_at(unit, best, n);
	return true;
}

void hl_unit_take_at(struct hl_unit *unit, unsigned slot, unsigned n)
{
	mark(unit, slot, n);
	unit->runs++;
	unit->longest = (uint16_t)longest_hole(unit->used);
	HL_VALID(hl_unit_is_valid(unit));
}

void hl_unit_give(struct hl_unit *unit, unsigned slot, unsigned n)
{
	HL_ASSERT(unit->runs > 0);
	unmark(unit, slot, n);
	unit->runs--;
	HL_VALID(hl_unit_is_valid(unit));
}

bool hl_unit_grow(struct hl_unit *unit, unsigned slot, unsigned n, unsigned to)
{
	unsigned end = slot + n, hole;

	HL_ASSERT(n >= 1 && to >= n);
	if (to == n)
		return true;
	if (slot + to > HL_UNIT_SLOTS)
		return false;
	hole = next_used(unit->used, end) - end;
	if (hole < to - n)
		return false;
	mark(unit, end, to - n);
	if (hole == unit->longest)
		unit->longest = (uint16_t)longest_hole(unit->used);
	HL_VALID(hl_unit_is_valid(unit));
	return true;
}

void hl_unit_shrink(
	struct hl_unit *unit, unsigned slot, unsigned n, unsigned to)
{
	HL_ASSERT(to >= 1 && to <= n);
	if (to < n)
		unmark(unit, slot + to, n - to);
	HL_VALID(hl_unit_is_valid(unit));
}

bool hl_unit_is_valid(const struct hl_unit *unit)
{
	unsigned last = hole_start(unit->used, HL_UNIT_SLOTS);

	return hl_bitmap_count(unit->used, 0, HL_UNIT_SLOTS) ==
		       unit->used_slots &&
	       longest_hole(unit->used) == unit->longest &&
	       unit->runs <= unit->used_slots &&
	       (unit->runs == 0) == (unit->used_slots == 0) &&
	       unit->fresh_from <= HL_UNIT_SLOTS && unit->fresh_from >= last;
}
