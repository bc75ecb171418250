/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/probe.c and learn.c: what is behind large blocks after some of them
 * were used densely, sparsely or not yet, and what of the pool is taken for
 * them. What was learned stays for the life of a process, so that every test
 * has sizes of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#include "backing/area_internal.h"
#include "base/opt.h"
#include "heap/arena.h"
#include "heap/large.h"
#include "heap/learn.h"
#include "heap/pageheap.h"
#include "heap/pagemap.h"
#include "heap/probe.h"
#include "heap/single.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE ((size_t)4096)
#define MANY 64u
#define BLOCK                                                          \
	((size_t)300 * HL_KIB) /* of kind 18: not a multiple of a unit \
				*/

#define arena hl_arena_first

static struct hl_span *live[MANY];
static size_t blocks;

static void use_pool(long pages)
{
	fake.pool[0] = pages;
	fake_publish();
	hl_supply_forget();
}

static struct hl_span *make(size_t bytes)
{
	struct hl_span *span = hl_single_new(&arena, bytes, 1);

	assert_non_null(span);
	assert_true(blocks < MANY);
	live[blocks++] = span;
	return span;
}

static void drop(struct hl_span *span)
{
	if (span->kind == HL_SPAN_MEDIUM) {
		hl_pagemap_set(span->start, 1, NULL);
		hl_pageheap_give(span);
	} else {
		hl_large_free(span);
	}
}

static void drop_all(void)
{
	while (blocks > 0)
		drop(live[--blocks]);
}

static size_t usable(const struct hl_span *span)
{
	return span->kind == HL_SPAN_MEDIUM ? span->slots16 * HL_SLOT_BYTES
					    : hl_large_usable(span);
}

static void touch(struct hl_span *span, unsigned percent)
{
	size_t bytes = HL_MAX(usable(span) * percent / 100, (size_t)1);

	memset((void *)span->start, 0, bytes);
}

static enum hl_backing_kind kind_at(uintptr_t addr)
{
	struct hl_area *area = hl_area_find((void *)addr);

	return hl_area_kind(area, (addr - hl_area_base(area)) >> HL_UNIT_SHIFT);
}

/* Blocks that begin on memory of that kind. */
static size_t count(enum hl_backing_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < blocks; i++)
		n += kind_at(live[i]->start) == kind;
	return n;
}

static void check_probes(void)
{
	for (unsigned kind = 0; kind < HL_LEARN_KINDS; kind++) {
		const struct hl_probe *p = &arena.probe[kind];
		size_t i = 0;

		if (p->span == NULL)
			continue;
		while (i < blocks && live[i] != p->span)
			i++;
		assert_true(i < blocks);
		assert_int_equal(p->span->learn_kind, kind);
		assert_true(p->from >= p->span->start && p->from < p->to);
		assert_true(p->to <= p->span->start + hl_large_usable(p->span));
		for (uintptr_t at = p->from; at < p->to; at += PAGE)
			assert_true(kind_at(at) == HL_BACKING_BASE ||
				    kind_at(at) == HL_BACKING_LAZY);
	}
}

static int teardown(void **state)
{
	(void)state;
	check_probes();
	drop_all();
	check_probes();
	hl_lock_acquire(&arena.grow_lock);
	hl_large_decay(&arena, fake.now_ms, true);
	hl_lock_release(&arena.grow_lock);
	use_pool(0);
	return 0;
}

/* A byte in each: two units at most are huge before it is noticed. */
static void check_sparse(size_t bytes)
{
	for (unsigned i = 0; i < MANY; i++)
		touch(make(bytes), 0);
	assert_true(hl_learn_is_sparse(hl_learn_kind(bytes)));
	assert_true(count(HL_BACKING_BASE) >=
		    MANY - 2 * HL_MAX(HL_UNIT_BYTES / bytes, (size_t)1));
}

static void test_sparse(void **state)
{
	(void)state;
	check_sparse(BLOCK);
}

static void test_sparse_larger_than_a_unit(void **state)
{
	(void)state;
	check_sparse(5 * HL_MIB + 4096);
}

static void test_sparse_whole_units(void **state)
{
	(void)state;
	check_sparse(20 * HL_MIB);
}

/* Medium blocks leave the units that are populated. */
static void test_sparse_medium(void **state)
{
	size_t straddle = 0;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		struct hl_span *span = make(100 * HL_KIB);

		touch(span, 0);
		straddle += span->kind == HL_SPAN_STRADDLE;
	}
	assert_true(straddle >= MANY - 2);
	assert_true(count(HL_BACKING_BASE) >= MANY - 2);
}

static void test_dense_medium(void **state)
{
	size_t straddle = 0;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		struct hl_span *span = make(50 * HL_KIB);

		touch(span, 100);
		straddle += span->kind == HL_SPAN_STRADDLE;
	}
	/* One for each doubling. */
	assert_in_range(straddle, 1, 6);
}

/* Zeros were written: base pages tell, contents would not. */
static void test_dense(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		touch(make(700 * HL_KIB), 100);
	assert_false(hl_learn_is_sparse(hl_learn_kind(700 * HL_KIB)));
	assert_true(count(HL_BACKING_BASE) <= 3);
	assert_int_equal(count(HL_BACKING_BASE) + count(HL_BACKING_LAZY), MANY);
}

/* Made first, filled later: huge pages, also behind the probe in the end. */
static void test_filled_later(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		make(1200 * HL_KIB);
	assert_true(count(HL_BACKING_BASE) <= 2);
	for (unsigned i = 0; i < MANY; i++)
		touch(live[i], 100);
	hl_lock_acquire(&arena.grow_lock);
	hl_large_decay(&arena, fake.now_ms, false);
	hl_lock_release(&arena.grow_lock);
	assert_int_equal(count(HL_BACKING_LAZY), MANY);
	assert_true(fake_is_advised(
		(void *)live[1]->start, hl_large_usable(live[1])));
}

/* The use of a kind changes, twice. */
static void test_change(void **state)
{
	const size_t bytes = 2500 * HL_KIB;
	unsigned i;

	(void)state;
	for (i = 0; i < 16; i++)
		touch(make(bytes), 100);
	assert_false(hl_learn_is_sparse(hl_learn_kind(bytes)));
	for (; i < 40; i++)
		touch(make(bytes), 0);
	assert_true(hl_learn_is_sparse(hl_learn_kind(bytes)));
	for (; i < MANY; i++)
		touch(make(bytes), 100);
	assert_false(hl_learn_is_sparse(hl_learn_kind(bytes)));
	assert_int_equal(kind_at(live[MANY - 1]->start), HL_BACKING_LAZY);
}

/* Not known to need more than it had. */
static void test_pool_for_what_was_filled(void **state)
{
	const size_t bytes = 8 * HL_MIB, peak = 5;
	size_t was;

	(void)state;
	use_pool(400);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < peak; i++)
			memset((void *)make(bytes)->start, 1, bytes);
		drop_all();
	}
	for (unsigned i = 0; i < 20; i++)
		make(bytes);
	was = count(HL_BACKING_HUGETLB);
	assert_in_range(was, peak - 1, peak + 1);
	/* With THP off there is no other way to have huge pages. */
	fake_publish_thp("always madvise [never]\n");
	hl_supply_forget();
	for (unsigned i = 0; i < 10; i++)
		make(bytes);
	assert_true(count(HL_BACKING_HUGETLB) >= was + 9);
	fake_publish_thp("always [madvise] never\n");
	hl_supply_forget();
}

static void test_no_probe_without_thp(void **state)
{
	(void)state;
	fake_publish_thp("always madvise [never]\n");
	hl_supply_forget();
	for (unsigned i = 0; i < 20; i++)
		touch(make(10 * HL_MIB), 0);
	assert_null(arena.probe[hl_learn_kind(10 * HL_MIB)].span);
	fake_publish_thp("always [madvise] never\n");
	hl_supply_forget();
}

static size_t draw(size_t n)
{
	return (size_t)rand() % n;
}

static void one_step(void)
{
	static const size_t sizes[] = {40000, 90000, 280000, 900000, 1500000,
		4000000, 14000000, 17000000, 40000000};
	size_t bytes = sizes[draw(9)] + draw(100000), i;
	struct hl_span *span, *moved;

	if (blocks < 2 || (blocks < MANY && draw(2) == 0)) {
		touch(make(bytes), (unsigned)draw(3) * 50);
		return;
	}
	i = draw(blocks);
	span = live[i];
	switch (draw(4)) {
	case 0:
		touch(span, 100);
		break;
	case 1:
		if (span->kind == HL_SPAN_MEDIUM)
			break;
		if (!hl_large_resize(span, bytes)) {
			moved = hl_large_move(span, bytes);
			live[i] = moved != NULL ? moved : span;
		}
		break;
	default:
		live[i] = live[--blocks];
		drop(span);
	}
}

static void test_random(void **state)
{
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (unsigned n = 0; n < 2000; n++) {
		one_step();
		check_probes();
		fake.now_ms += draw(20);
	}
}

static int group_setup(void **state)
{
	fake_setup(state);
	hl_arena_start();
	hl_arena_configure();
	return 0;
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sparse),
		TEST(test_sparse_larger_than_a_unit),
		TEST(test_sparse_whole_units),
		TEST(test_sparse_medium),
		TEST(test_dense_medium),
		TEST(test_dense),
		TEST(test_filled_later),
		TEST(test_change),
		TEST(test_pool_for_what_was_filled),
		TEST(test_no_probe_without_thp),
		TEST(test_random),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
