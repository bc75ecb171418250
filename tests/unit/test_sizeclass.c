/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every row of the table of size classes, and every size against it. */
#include "heap/sizeclass.h"
#include "heap/unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_classes_ascend_in_steps_of_16(void **state)
{
	for (unsigned c = 0; c < HL_CLASSES; c++) {
		assert_int_equal(hl_class[c].block_bytes % 16, 0);
		if (c > 0)
			assert_true(hl_class[c].block_bytes >
				    hl_class[c - 1].block_bytes);
	}
	assert_int_equal(hl_class[HL_CLASSES - 1].block_bytes, HL_SMALL_MAX);
}

static void test_every_size_gets_the_smallest_class(void **state)
{
	for (size_t n = 0; n <= HL_SMALL_MAX; n++) {
		unsigned c = hl_class_of(n);

		assert_true(c < HL_CLASSES);
		assert_true(hl_class[c].block_bytes >= n);
		if (c > 0)
			assert_true(hl_class[c - 1].block_bytes < n);
	}
}

static void test_rounding_wastes_at_most_a_ninth(void **state)
{
	for (size_t n = 129; n <= HL_SMALL_MAX; n++) {
		size_t block = hl_class[hl_class_of(n)].block_bytes;

		assert_true((block - n) * 9 <= block);
	}
}

static void test_spans_hold_blocks_and_waste_little(void **state)
{
	for (unsigned c = 0; c < HL_CLASSES; c++) {
		size_t span = hl_class[c].slots * HL_SLOT_BYTES;
		size_t block = hl_class[c].block_bytes;
		size_t blocks = span / block;

		assert_true(hl_class[c].slots >= 2 && hl_class[c].slots <= 32);
		assert_true(blocks >= (block < 1024	     ? 8u
					      : block < 8192 ? 4u
							     : 3u));
		assert_true(
			(span - blocks * block) * (block < 2048 ? 20 : 40) <=
			span);
	}
}

static void test_is_block_divides_exactly(void **state)
{
	for (unsigned c = 0; c < HL_CLASSES; c++) {
		uint32_t block = hl_class[c].block_bytes;

		for (size_t at = 0; at < 16 * HL_SLOT_BYTES; at++)
			assert_int_equal(
				hl_class_is_block(block, hl_class[c].magic, at),
				at % block == 0);
	}
}

static void test_aligned_classes(void **state)
{
	for (size_t align = 16; align <= HL_SLOT_BYTES; align *= 2) {
		for (size_t n = 0; n <= HL_SMALL_MAX; n += 7) {
			unsigned c = hl_class_aligned(n, align);

			if (c == HL_CLASS_NONE)
				continue;
			assert_true(hl_class[c].block_bytes >= n);
			assert_int_equal(hl_class[c].block_bytes % align, 0);
		}
	}
	assert_int_equal(hl_class_aligned(HL_SMALL_MAX + 1, 16), HL_CLASS_NONE);
	assert_int_equal(hl_class[hl_class_aligned(1, 4096)].block_bytes, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes_ascend_in_steps_of_16),
		cmocka_unit_test(test_every_size_gets_the_smallest_class),
		cmocka_unit_test(test_rounding_wastes_at_most_a_ninth),
		cmocka_unit_test(test_spans_hold_blocks_and_waste_little),
		cmocka_unit_test(test_is_block_divides_exactly),
		cmocka_unit_test(test_aligned_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
