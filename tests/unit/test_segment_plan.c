/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/segment/plan.c on the headers of real programs, and on headers that no
 * linker would write.
 */
#include "segment/plan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BASE HL_KIB * 4
#define HUGE (2 * HL_MIB)

#define LOAD(flags, offset, vaddr, filesz, memsz)                           \
	{                                                                   \
		PT_LOAD, flags, offset, vaddr, vaddr, filesz, memsz, 0x1000 \
	}
#define RELRO(vaddr, memsz)                                          \
	{                                                            \
		PT_GNU_RELRO, PF_R, 0, vaddr, vaddr, memsz, memsz, 1 \
	}

static struct hl_plan plan;

static const struct hl_piece *only(enum hl_piece_kind kind)
{
	const struct hl_piece *found = NULL;

	for (unsigned i = 0; i < plan.pieces; i++) {
		if (plan.piece[i].kind == kind) {
			assert_null(found);
			found = &plan.piece[i];
		}
	}
	assert_non_null(found);
	return found;
}

static int make(const Elf64_Phdr *phdr, size_t n, uintptr_t bias)
{
	return hl_plan_make(&plan, phdr, n, bias, BASE, HUGE);
}

/* An ordinary PIE: how much is in whole pages depends on where it lies. */
static const Elf64_Phdr pie[] = {
	LOAD(PF_R, 0, 0, 0xd2188, 0xd2188),
	LOAD(PF_R | PF_X, 0xd3000, 0xd3000, 0x5e27a9, 0x5e27a9),
	LOAD(PF_R, 0x6b6000, 0x6b6000, 0x24ee24, 0x24ee24),
	LOAD(PF_R | PF_W, 0x9051c8, 0x9051c8, 0xe42a8, 0x1024d8),
	RELRO(0x9051c8, 0xd3e38),
};

static void test_a_pie_as_it_lies(void **state)
{
	const struct hl_piece *text;

	(void)state;
	assert_int_equal(make(pie, HL_ARRAY_SIZE(pie), 0x555555400000), 0);
	text = only(HL_PIECE_TEXT);
	assert_true(text->from == 0x5555554d3000);
	assert_true(text->to == 0x555555ab6000);
	assert_true(text->huge_from == 0x555555600000);
	assert_true(text->huge_to == 0x555555a00000);
	assert_int_equal(text->file_offset, 0xd3000);
	assert_int_equal(plan.align_bytes, 0x1000);
	/* Elsewhere there is less, and never more than fits. */
	assert_int_equal(make(pie, HL_ARRAY_SIZE(pie), 0x555555520000), 0);
	assert_int_equal(hl_piece_huge_bytes(only(HL_PIECE_TEXT)), 2 * HUGE);
	assert_int_equal(make(pie, HL_ARRAY_SIZE(pie), 0x5555554ff000), 0);
	assert_int_equal(hl_piece_huge_bytes(only(HL_PIECE_TEXT)), 2 * HUGE);
}

static void test_relro_is_apart_from_data(void **state)
{
	const struct hl_piece *relro, *data;

	(void)state;
	assert_int_equal(make(pie, HL_ARRAY_SIZE(pie), 0), 0);
	relro = only(HL_PIECE_RELRO);
	data = only(HL_PIECE_DATA);
	assert_true(relro->from == 0x905000 && relro->to == 0x9d9000);
	assert_true(data->from == 0x9d9000 && data->to == 0xa08000);
	assert_true(data->file_to == 0x9ea000);
	assert_int_equal(data->file_offset, 0x9d9000);
	assert_int_equal(hl_piece_huge_bytes(relro), 0);
}

/* RELRO in the middle of a segment, as other linkers have it. */
static void test_relro_in_the_middle(void **state)
{
	static const Elf64_Phdr phdr[] = {
		LOAD(PF_R | PF_W, 0, 0x200000, 0x600000, 0xa00000),
		RELRO(0x500000, 0x100000),
	};

	(void)state;
	assert_int_equal(make(phdr, 2, 0), 0);
	assert_int_equal(plan.pieces, 3);
	assert_int_equal(plan.piece[0].kind, HL_PIECE_DATA);
	assert_true(plan.piece[0].to == 0x500000);
	assert_true(plan.piece[0].huge_to == 0x400000);
	assert_true(plan.piece[0].file_to == 0x500000);
	assert_int_equal(plan.piece[1].kind, HL_PIECE_RELRO);
	assert_int_equal(plan.piece[2].kind, HL_PIECE_DATA);
	assert_true(plan.piece[2].from == 0x600000);
	assert_true(plan.piece[2].huge_to == 0xc00000);
	assert_true(plan.piece[2].file_to == 0x800000);
	assert_int_equal(plan.piece[2].file_offset, 0x400000);
}

/* Text cut in three with unused pages between: no page bridges the cuts. */
static void test_text_in_several_segments(void **state)
{
	static const Elf64_Phdr phdr[] = {
		LOAD(PF_R, 0, 0x400000, 0x76e5d8, 0x76e5d8),
		LOAD(PF_R | PF_X, 0x76f000, 0xb6f000, 0x1e90, 0x1e90),
		LOAD(PF_R | PF_X, 0x772000, 0xb72000, 0x1a8bca0, 0x1a8bca0),
		LOAD(PF_R | PF_X, 0x2200000, 0x2600000, 0x1f1, 0x1f1),
		LOAD(PF_R, 0x2201000, 0x2601000, 0x3038cae, 0x3038cae),
	};
	uint64_t bytes, huge;

	(void)state;
	assert_int_equal(make(phdr, HL_ARRAY_SIZE(phdr), 0), 0);
	hl_plan_sum(&plan, HL_PIECE_TEXT, &bytes, &huge);
	assert_int_equal(bytes, 0x2000 + 0x1a8c000 + 0x1000);
	assert_int_equal(huge, 12 * HUGE);
	hl_plan_sum(&plan, HL_PIECE_RODATA, &bytes, &huge);
	assert_int_equal(huge, 3 * HUGE + 23 * HUGE);
}

static void test_adjacent_text_is_one(void **state)
{
	static const Elf64_Phdr phdr[] = {
		LOAD(PF_R | PF_X, 0x1000, 0x1000, 0x1ff000, 0x1ff000),
		LOAD(PF_R | PF_X, 0x200000, 0x200000, 0x100000, 0x100000),
		/* another run of the file */
		LOAD(PF_R | PF_X, 0x400000, 0x300000, 0x500000, 0x500000),
	};

	(void)state;
	assert_int_equal(make(phdr, 3, 0), 0);
	assert_int_equal(plan.pieces, 2);
	assert_true(plan.piece[0].from == 0x1000);
	assert_true(plan.piece[0].to == 0x300000);
	assert_true(plan.piece[1].huge_from == 0x400000);
	assert_true(plan.piece[1].huge_to == 0x800000);
}

/* Where two segments share a page the later one has it. */
static void test_a_shared_page_goes_to_the_later(void **state)
{
	static const Elf64_Phdr phdr[] = {
		LOAD(PF_R | PF_X, 0, 0x200000, 0x200010, 0x200010),
		LOAD(PF_R | PF_W, 0x200010, 0x400010, 0x100, 0x400000),
	};

	(void)state;
	assert_int_equal(make(phdr, 2, 0), 0);
	assert_true(only(HL_PIECE_TEXT)->to == 0x400000);
	assert_true(only(HL_PIECE_DATA)->from == 0x400000);
	assert_true(only(HL_PIECE_DATA)->file_to == 0x401000);
	assert_true(only(HL_PIECE_DATA)->huge_to == 0x800000);
}

static void test_stretching_over_free_gaps(void **state)
{
	/* Linked for huge pages: each segment begins a page of its own. */
	static const Elf64_Phdr phdr[] = {
		LOAD(PF_R, 0, 0x400000, 0x500, 0x500),
		LOAD(PF_R | PF_X, 0x200000, 0x600000, 0x301234, 0x301234),
		LOAD(PF_R, 0x600000, 0xa00000, 0x1000, 0x1000),
		LOAD(PF_R | PF_X, 0x601000, 0xb01000, 0x1000, 0x1000),
	};
	struct hl_piece text;

	(void)state;
	assert_int_equal(make(phdr, HL_ARRAY_SIZE(phdr), 0), 0);
	text = plan.piece[1];
	assert_int_equal(hl_piece_huge_bytes(&text), HUGE);
	hl_piece_stretch(&text, HUGE);
	assert_true(text.huge_from == 0x600000 && text.huge_to == 0xa00000);
	/* Here the huge page begins where another segment is. */
	text = plan.piece[3];
	hl_piece_stretch(&text, HUGE);
	assert_int_equal(hl_piece_huge_bytes(&text), 0);
}

static void test_the_mark(void **state)
{
	static const Elf64_Phdr phdr[] = {
		LOAD(PF_R | PF_X | HL_PF_HUGETLB, 0, 0, 0x400000, 0x400000),
		LOAD(PF_R | PF_W, 0x400000, 0x400000, 0x400000, 0x400000),
	};

	(void)state;
	assert_int_equal(make(phdr, 2, 0), 0);
	assert_true(only(HL_PIECE_TEXT)->marked);
	assert_false(only(HL_PIECE_DATA)->marked);
}

static void test_what_never_moves(void **state)
{
	static const Elf64_Phdr phdr[] = {
		LOAD(PF_X, 0, 0, 0x400000, 0x400000),
		LOAD(PF_R | PF_W | PF_X, 0x400000, 0x400000, 0x400000,
			0x400000),
	};

	(void)state;
	assert_int_equal(make(phdr, 2, 0), 0);
	assert_int_equal(plan.pieces, 2);
	assert_int_equal(plan.piece[0].kind, HL_PIECE_OTHER);
	assert_int_equal(plan.piece[1].kind, HL_PIECE_OTHER);
}

static void test_headers_that_make_no_sense(void **state)
{
	static const Elf64_Phdr shrinks[] = {LOAD(PF_R, 0, 0, 0x2000, 0x1000)};
	static const Elf64_Phdr wraps[] = {
		LOAD(PF_R, 0, UINT64_MAX - 0x1000, 0x2000, 0x2000)};
	static const Elf64_Phdr unordered[] = {
		LOAD(PF_R, 0, 0x400000, 0x1000, 0x1000),
		LOAD(PF_R, 0x1000, 0x200000, 0x1000, 0x1000)};

	(void)state;
	assert_int_equal(make(shrinks, 1, 0), -EINVAL);
	assert_int_equal(make(wraps, 1, 0), -EINVAL);
	assert_int_equal(make(unordered, 2, 0), -EINVAL);
	/* Nothing to load is no mistake. */
	assert_int_equal(make(NULL, 0, 0), 0);
	assert_int_equal(plan.pieces, 0);
}

static void test_more_pieces_than_there_is_room_for(void **state)
{
	Elf64_Phdr phdr[HL_PLAN_PIECES_MAX + 3];

	(void)state;
	for (size_t i = 0; i < HL_ARRAY_SIZE(phdr); i++) {
		const Elf64_Phdr one = LOAD(PF_R | (i % 2 ? PF_X : 0), i * HUGE,
			i * HUGE, HUGE, HUGE);

		phdr[i] = one;
	}
	assert_int_equal(make(phdr, HL_ARRAY_SIZE(phdr), 0), 0);
	assert_int_equal(plan.pieces, HL_PLAN_PIECES_MAX);
	assert_true(plan.truncated);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pie_as_it_lies),
		cmocka_unit_test(test_relro_is_apart_from_data),
		cmocka_unit_test(test_relro_in_the_middle),
		cmocka_unit_test(test_text_in_several_segments),
		cmocka_unit_test(test_adjacent_text_is_one),
		cmocka_unit_test(test_a_shared_page_goes_to_the_later),
		cmocka_unit_test(test_stretching_over_free_gaps),
		cmocka_unit_test(test_the_mark),
		cmocka_unit_test(test_what_never_moves),
		cmocka_unit_test(test_headers_that_make_no_sense),
		cmocka_unit_test(test_more_pieces_than_there_is_room_for),
	};

	return cmocka_run_group_tests_name("segment_plan", tests, NULL, NULL);
}
