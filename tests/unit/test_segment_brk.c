/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/segment/brk.c: what it asks of the kernel as the break moves. The break
 * is a number here; the kernel is a list of what was asked.
 */
#include "segment/brk.h"

#include "base/count.h"
#include "system/os.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define BASE	 ((size_t)4096)
#define HUGE	 ((size_t)2 * HL_MIB)
#define COLLAPSE 25

struct call {
	int advice;
	uintptr_t from;
	size_t bytes;
};

static struct hl_os os;
static struct call calls[64];
static unsigned count;
static int answer;
static bool touched;
static uintptr_t zero; /* a huge page boundary beyond the real area */

static int see_madvise(void *at, size_t bytes, int advice)
{
	if (count < HL_ARRAY_SIZE(calls))
		calls[count++] = (struct call){advice, (uintptr_t)at, bytes};
	return advice == COLLAPSE ? answer : 0;
}

static int see_mincore(void *at, size_t bytes, unsigned char *vec)
{
	(void)at;
	memset(vec, 0, bytes / BASE);
	vec[bytes / BASE - 1] = touched;
	return 0;
}

static void expect(unsigned i, int advice, uintptr_t from, size_t bytes)
{
	assert_true(i < count);
	assert_int_equal(calls[i].advice, advice);
	assert_int_equal(calls[i].from - zero, from - zero);
	assert_int_equal(calls[i].bytes, bytes);
}

/* Nothing to do until the next step. */
static void move(uintptr_t now)
{
	count = 0;
	hl_brk_see(now);
}

static uint64_t huge(void)
{
	return atomic_load(&hl_counts()->segment_brk_huge_bytes);
}

static int setup(void **state)
{
	(void)state;
	os = hl_os_linux;
	os.madvise = see_madvise;
	os.mincore = see_mincore;
	hl_os = &os;
	answer = 0;
	touched = true;
	assert_int_equal(hl_brk_start(BASE, HUGE), 0);
	assert_true(atomic_load(&hl_brk_on));
	zero = hl_align_up((uintptr_t)sbrk(0), HUGE) + HL_GIB;
	touched = false;
	hl_brk_see(zero);
	hl_brk_see(zero + 8);
	touched = true;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hl_os = &hl_os_linux;
	return 0;
}

static void test_a_large_step_is_advised_at_once(void **state)
{
	(void)state;
	move(zero + 3 * HUGE + 100);
	assert_int_equal(count, 1);
	expect(0, MADV_HUGEPAGE, zero + HUGE, 2 * HUGE);
	/* And joined by the next step, where the kernel had none at the touch.
	 */
	move(zero + 3 * HUGE + 200);
	assert_int_equal(count, 3);
	for (unsigned i = 0; i < 3; i++)
		expect(i, COLLAPSE, zero + i * HUGE, HUGE);
}

static void test_small_steps_are_joined_one_step_later(void **state)
{
	uint64_t before = huge();
	uintptr_t at;

	(void)state;
	for (at = zero + 8; at < zero + HUGE; at += 135168) {
		move(at);
		assert_int_equal(count, 0);
	}
	/* Complete, but what was just taken is not written yet. */
	move(at);
	assert_int_equal(count, 0);
	move(at + 135168);
	assert_int_equal(count, 1);
	expect(0, COLLAPSE, zero, HUGE);
	assert_int_equal(huge() - before, HUGE);
	move(at + 2 * 135168);
	assert_int_equal(count, 0);
}

static void test_a_refusal_is_not_counted_nor_repeated(void **state)
{
	uint64_t before = huge();

	(void)state;
	answer = -ENOMEM;
	move(zero + HUGE + 8);
	move(zero + HUGE + 16);
	assert_int_equal(count, 1);
	expect(0, COLLAPSE, zero, HUGE);
	assert_int_equal(huge(), before);
	move(zero + HUGE + 24);
	assert_int_equal(count, 0);
}

static void test_what_nobody_touched_stays_lazy(void **state)
{
	(void)state;
	move(zero + 9 * HUGE);
	touched = false;
	move(zero + 9 * HUGE + 8);
	assert_int_equal(count, 0);
}

static void test_a_shrink_is_forgotten(void **state)
{
	uint64_t before = huge();

	(void)state;
	move(zero + 4 * HUGE);
	move(zero + 4 * HUGE + 8);
	assert_int_equal(huge() - before, 4 * HUGE);
	move(zero + 2 * HUGE + 8);
	assert_int_equal(count, 0);
	assert_int_equal(huge() - before, 2 * HUGE);
	/* The kernel cut the advised mapping at the end of the page. */
	move(zero + 2 * HUGE + HUGE / 2);
	assert_int_equal(count, 1);
	expect(0, MADV_HUGEPAGE, zero + 2 * HUGE + BASE, HUGE / 2 - BASE);
	move(zero + 3 * HUGE + 8);
	assert_int_equal(count, 1);
	expect(0, MADV_HUGEPAGE, zero + 2 * HUGE + HUGE / 2, HUGE / 2);
	move(zero + 3 * HUGE + 16);
	assert_int_equal(count, 1);
	expect(0, COLLAPSE, zero + 2 * HUGE, HUGE);
	assert_int_equal(huge() - before, 3 * HUGE);
}

static void test_advices_have_a_limit(void **state)
{
	uintptr_t at = zero;

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		move(at += HUGE);
	/* By then each step is but joined. */
	assert_int_equal(count, 1);
	expect(0, COLLAPSE, at - 2 * HUGE, HUGE);
}

int main(void)
{
	/* The last one uses up what all share. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_large_step_is_advised_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_small_steps_are_joined_one_step_later, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_a_refusal_is_not_counted_nor_repeated, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_what_nobody_touched_stays_lazy, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_shrink_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_advices_have_a_limit, setup, teardown),
	};

	return cmocka_run_group_tests_name("segment_brk", tests, NULL, NULL);
}
