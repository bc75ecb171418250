/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/bitmap.c: every range of a map of three words and a bit against a
 * loop over single bits, with the surroundings all clear, all set and mixed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bitmap.h"

#include <string.h>

#define NBITS 193
#define WORDS HL_BITMAP_WORDS(NBITS)

static const uint64_t patterns[][WORDS] = {
	{0, 0, 0, 0},
	{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
	{0xaaaaaaaaaaaaaaaau, 0x5555555555555555u, 0xf0f0f0f0f0f0f0f0u, 1},
	{0, UINT64_MAX, 0, 1},
	{UINT64_MAX >> 1, 1, (uint64_t)1 << 63, 0},
	/* bits beyond NBITS must not matter */
	{0, 0, 0, ~(uint64_t)1},
	{UINT64_MAX, UINT64_MAX, UINT64_MAX, 1},
};

static bool bit(const uint64_t *map, size_t i)
{
	return map[i / 64] >> (i % 64) & 1;
}

static void check_range(const uint64_t *map, size_t from, size_t to)
{
	uint64_t set[WORDS], clear[WORDS];
	size_t count = 0, i;

	memcpy(set, map, sizeof(set));
	memcpy(clear, map, sizeof(clear));
	hl_bitmap_set(set, from, to);
	hl_bitmap_clear(clear, from, to);
	for (i = 0; i < WORDS * 64; i++) {
		bool inside = i >= from && i < to;

		assert_int_equal(bit(set, i), inside || bit(map, i));
		assert_int_equal(bit(clear, i), !inside && bit(map, i));
		count += inside && bit(map, i);
	}
	assert_int_equal(hl_bitmap_count(map, from, to), count);
	assert_int_equal(hl_bitmap_all_clear(map, from, to), count == 0);
	assert_int_equal(hl_bitmap_all_set(map, from, to), count == to - from);
}

static void test_every_range(void **state)
{
	(void)state;
	for (size_t p = 0; p < HL_ARRAY_SIZE(patterns); p++)
		for (size_t from = 0; from <= NBITS; from += 1 + from % 3)
			for (size_t to = from; to <= NBITS; to++)
				check_range(patterns[p], from, to);
}

static void test_a_range_that_is_backwards_is_empty(void **state)
{
	uint64_t map[WORDS] = {0};

	(void)state;
	hl_bitmap_set(map, 100, 50);
	assert_int_equal(hl_bitmap_count(map, 0, NBITS), 0);
	assert_int_equal(hl_bitmap_count(map, 100, 50), 0);
	assert_true(hl_bitmap_all_set(map, 100, 50));
	assert_true(hl_bitmap_all_clear(map, 100, 50));
}

static size_t naive_next(
	const uint64_t *map, size_t nbits, size_t from, bool value)
{
	while (from < nbits && bit(map, from) != value)
		from++;
	return HL_MIN(from, nbits);
}

static void test_next(void **state)
{
	(void)state;
	for (size_t p = 0; p < HL_ARRAY_SIZE(patterns); p++) {
		const uint64_t *map = patterns[p];

		for (size_t nbits = 0; nbits <= NBITS; nbits++)
			for (size_t from = 0; from <= nbits + 1; from++) {
				assert_int_equal(
					hl_bitmap_next_set(map, nbits, from),
					naive_next(map, nbits, from, true));
				assert_int_equal(
					hl_bitmap_next_clear(map, nbits, from),
					naive_next(map, nbits, from, false));
			}
	}
}

static void test_clear_before(void **state)
{
	(void)state;
	for (size_t p = 0; p < HL_ARRAY_SIZE(patterns); p++)
		for (size_t to = 0; to <= NBITS; to++) {
			size_t from = to;

			while (from > 0 && !bit(patterns[p], from - 1))
				from--;
			assert_int_equal(
				hl_bitmap_clear_before(patterns[p], to), from);
		}
}

static size_t naive_find(
	const uint64_t *map, size_t nbits, size_t from, size_t n)
{
	size_t i;

	for (; from + n <= nbits; from++) {
		for (i = 0; i < n && !bit(map, from + i); i++)
			;
		if (i == n)
			return from;
	}
	return HL_BITMAP_NOT_FOUND;
}

static void test_find_and_longest(void **state)
{
	(void)state;
	for (size_t p = 0; p < HL_ARRAY_SIZE(patterns); p++) {
		const uint64_t *map = patterns[p];

		for (size_t nbits = 1; nbits <= NBITS; nbits += 8) {
			size_t longest = 0;

			for (size_t n = 1; n <= nbits + 1; n++) {
				size_t at =
					hl_bitmap_find_clear(map, nbits, 0, n);

				assert_int_equal(
					at, naive_find(map, nbits, 0, n));
				if (at != HL_BITMAP_NOT_FOUND)
					longest = n;
				assert_int_equal(hl_bitmap_find_clear(map,
							 nbits, nbits / 3, n),
					naive_find(map, nbits, nbits / 3, n));
			}
			assert_int_equal(
				hl_bitmap_longest_clear(map, nbits), longest);
		}
	}
	assert_int_equal(hl_bitmap_longest_clear(patterns[0], 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_range),
		cmocka_unit_test(test_a_range_that_is_backwards_is_empty),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_clear_before),
		cmocka_unit_test(test_find_and_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
