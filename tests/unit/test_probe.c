/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/heap/probe.c and learn.c: what is behind large blocks after some of them
 * were used densely, sparsely or not yet, and what of the pool is taken for
 * them.
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

/* Some of the bytes that were asked for are written, and time passes. */
static void fill(struct hl_span *span, size_t bytes)
{
	memset((void *)span->start, 0, bytes);
	fake.now_ms += 5;
}

/* Lets the heap look at what it has, for some seconds. */
static void wait_for_passes(void)
{
	for (unsigned i = 0; i < 300; i++) {
		fake.now_ms += 10;
		hl_collapse_tick(fake.now_ms);
	}
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

		while (i < blocks && live[i] != p->last)
			i++;
		assert_true(p->last == NULL || (p->span != NULL && i < blocks));
		if (p->span == NULL)
			continue;
		i = 0;
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
	hl_learn_forget();
	memset(arena.probe, 0, sizeof(arena.probe));
	return 0;
}

/* A byte in each: some units at most are huge before it is noticed. */
static void check_sparse(unsigned n, size_t bytes, size_t huge)
{
	for (unsigned i = 0; i < n; i++)
		fill(make(bytes), 1);
	assert_true(hl_learn_is_sparse(hl_learn_kind(bytes)));
	assert_in_range(n - count(HL_BACKING_BASE), 0, huge);
	/* And stays so. */
	wait_for_passes();
	assert_in_range(n - count(HL_BACKING_BASE), 0, huge);
}

static void test_sparse(void **state)
{
	(void)state;
	check_sparse(MANY, BLOCK, HL_UNIT_BYTES / BLOCK + 1);
}

static void test_sparse_larger_than_a_unit(void **state)
{
	(void)state;
	check_sparse(24, 3 * HL_MIB + 4096, 2);
}

/* Of several units: only what remains so for a while. */
static void check_vast(unsigned n, size_t bytes)
{
	unsigned i;

	for (i = 0; i < n / 4; i++)
		fill(make(bytes), 1);
	assert_false(hl_learn_is_sparse(hl_learn_kind(bytes)));
	assert_true(count(HL_BACKING_BASE) <= 2);
	fake.now_ms += 200;
	for (; i < n; i++)
		fill(make(bytes), 1);
	assert_true(hl_learn_is_sparse(hl_learn_kind(bytes)));
	assert_true(count(HL_BACKING_BASE) >= n / 2);
}

static void test_sparse_of_several_units(void **state)
{
	(void)state;
	check_vast(32, 5 * HL_MIB);
}

static void test_sparse_whole_units(void **state)
{
	(void)state;
	check_vast(16, 20 * HL_MIB);
}

static size_t straddled(void)
{
	size_t n = 0;

	for (size_t i = 0; i < blocks; i++)
		n += live[i]->kind == HL_SPAN_STRADDLE;
	return n;
}

/* Medium blocks leave the units that are populated. */
static void test_sparse_medium(void **state)
{
	(void)state;
	check_sparse(MANY, 100 * HL_KIB, 2);
	assert_true(straddled() >= MANY - 2);
}

static void test_dense_medium(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		fill(make(50 * HL_KIB), 50 * HL_KIB);
	/* One for each doubling. */
	assert_in_range(straddled(), 1, 6);
}

/* Zeros were written: base pages tell, contents would not. */
static void test_dense(void **state)
{
	const size_t bytes = 700 * HL_KIB;

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		fill(make(bytes), bytes);
	assert_false(hl_learn_is_sparse(hl_learn_kind(bytes)));
	assert_true(count(HL_BACKING_BASE) <= 3);
	assert_int_equal(count(HL_BACKING_BASE) + count(HL_BACKING_LAZY), MANY);
}

/* Little of each is used, more than the end of a unit, and less than half. */
static void test_beginnings(void **state)
{
	static const struct {
		size_t bytes, used;
	} kind[] = {{2200000, 100000}, {3000000, 1000000}};

	(void)state;
	for (size_t k = 0; k < HL_ARRAY_SIZE(kind); k++) {
		for (unsigned i = 0; i < MANY; i++, fake.now_ms += 10)
			fill(make(kind[k].bytes), kind[k].used);
		assert_true(hl_learn_is_sparse(hl_learn_kind(kind[k].bytes)));
		assert_true(count(HL_BACKING_BASE) >= MANY - 3);
		teardown(state);
	}
}

/* A few full ones among many of which a fifth is used. */
static void test_varied(void **state)
{
	const size_t bytes = 300 * HL_KIB;

	(void)state;
	for (unsigned i = 0; i < MANY; i++, fake.now_ms += 10)
		fill(make(bytes), i % 5 == 4 ? bytes : bytes / 10);
	assert_true(hl_learn_is_sparse(hl_learn_kind(bytes)));
}

/* Made first, `first` bytes of each written, and filled later. */
static void check_filled_later(unsigned n, size_t bytes, size_t first)
{
	for (unsigned i = 0; i < n; i++, fake.now_ms += 100)
		fill(make(bytes), first);
	/* Those that begin in the units of the first probe. */
	if (first == 0)
		assert_true(count(HL_BACKING_BASE) <= 4);
	else
		assert_true(count(HL_BACKING_BASE) > n / 2);
	for (unsigned i = 0; i < n; i++)
		fill(live[i], bytes);
	wait_for_passes();
	assert_int_equal(count(HL_BACKING_LAZY), n);
	for (unsigned i = 0; i < n; i++)
		assert_true(fake_is_advised((void *)live[i]->start, bytes));
}

static void test_filled_later(void **state)
{
	(void)state;
	check_filled_later(MANY, 1200 * HL_KIB, 0);
}

/* Taken for sparse at first. */
static void test_begun_and_filled_later(void **state)
{
	(void)state;
	check_filled_later(MANY, 1200 * HL_KIB, 1);
}

static void test_begun_and_filled_later_in_whole_units(void **state)
{
	(void)state;
	check_filled_later(8, 20 * HL_MIB, 1);
}

/* By several threads, say: each block gains a little as the next are made. */
static void test_being_filled(void **state)
{
	const size_t bytes = 3 * HL_MIB;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		make(bytes);
		for (size_t k = 0; k <= i; k++)
			memset((void *)live[k]->start, 1, (i + 1 - k) * PAGE);
		fake.now_ms++;
		assert_false(hl_learn_is_sparse(hl_learn_kind(bytes)));
	}
}

/* The use of a kind changes, twice; the second time it is noticed soon. */
static void test_change(void **state)
{
	const size_t bytes = 2500 * HL_KIB;
	unsigned i;

	(void)state;
	for (i = 0; i < 16; i++)
		fill(make(bytes), bytes);
	assert_false(hl_learn_is_sparse(hl_learn_kind(bytes)));
	for (; i < 48; i++, fake.now_ms += 50)
		fill(make(bytes), 1);
	assert_true(hl_learn_is_sparse(hl_learn_kind(bytes)));
	drop_all();
	assert_true(hl_learn_is_sparse(hl_learn_kind(bytes)));
	for (i = 0; i < 16; i++)
		fill(make(bytes), bytes);
	assert_false(hl_learn_is_sparse(hl_learn_kind(bytes)));
	wait_for_passes();
	assert_int_equal(count(HL_BACKING_LAZY), 16);
}

/* Some that are used a little stand for nothing once others are filled. */
static void test_dense_after_a_few(void **state)
{
	const size_t bytes = HL_MIB;
	size_t base;

	(void)state;
	for (unsigned i = 0; i < 3; i++, fake.now_ms += 200)
		fill(make(bytes), bytes * 2 / 5);
	while (blocks < MANY) {
		memset((void *)make(bytes)->start, 1, bytes);
		assert_true(arena.probe[20].last == NULL ||
			    arena.probe[20].last == live[blocks - 1]);
	}
	base = count(HL_BACKING_BASE);
	assert_in_range(base, 0, 8);
}

/* What an alignment leaves in front or behind was not asked for. */
static void test_aligned(void **state)
{
	const size_t bytes = 400 * HL_KIB;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		live[blocks++] = hl_single_new(&arena, bytes, HL_MIB);
		fill(live[i], bytes);
	}
	assert_false(hl_learn_is_sparse(hl_learn_kind(bytes)));
}

/* A place that was used before tells nothing: no base pages for that. */
static void test_used_place(void **state)
{
	const size_t temporary = 300 * HL_KIB, bytes = 600 * HL_KIB;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		struct hl_span *span = make(temporary);

		fill(span, temporary);
		drop(live[--blocks]);
		fill(make(bytes), bytes);
	}
	assert_true(count(HL_BACKING_BASE) <= 10);
	wait_for_passes();
	assert_true(count(HL_BACKING_BASE) <= 3);
}

static void test_realloc_of_a_medium_block(void **state)
{
	struct hl_span *span;
	size_t bytes = 100 * HL_KIB;

	(void)state;
	check_sparse(MANY, bytes, MANY);
	span = live[blocks - 1];
	assert_int_equal(span->kind, HL_SPAN_STRADDLE);
	assert_true(hl_large_resize(span, bytes));
	assert_true(hl_large_resize(span, bytes - 1));
	assert_true(hl_large_resize(span, bytes + 20 * HL_KIB));
	assert_true(hl_large_usable(span) >= bytes + 20 * HL_KIB);
	assert_true(hl_large_resize(span, bytes / 2));
	assert_true(hl_large_usable(span) < bytes);
	assert_false(hl_large_resize(span, HL_SMALL_MAX));
}

static void test_many_blocks(void **state)
{
	const size_t bytes = 50 * HL_KIB;
	struct hl_probe *p = &arena.probe[hl_learn_kind(bytes)];
	size_t n = 0;

	(void)state;
	atomic_store(&p->made, UINT32_MAX - 100);
	atomic_store(&p->next, 0);
	for (unsigned i = 0; i < 1000; i++) {
		fill(make(bytes), bytes);
		n += straddled();
		drop(live[--blocks]);
	}
	assert_in_range(n, 0, 2);
	assert_int_equal(atomic_load(&p->made), UINT32_MAX);
}

static void test_populate_overrides(void **state)
{
	(void)state;
	use_pool(400);
	hl_opt.populate = HL_POPULATE_ALL;
	for (unsigned i = 0; i < MANY; i++)
		fill(make(i % 2 ? 100 * HL_KIB : BLOCK), 1);
	assert_int_equal(straddled(), MANY / 2);
	for (unsigned i = 0; i < MANY; i += 2)
		assert_int_equal(kind_at(live[i]->start), HL_BACKING_HUGETLB);
	drop_all();
	hl_opt.populate = HL_POPULATE_NO;
	for (unsigned i = 0; i < MANY; i++)
		fill(make(BLOCK), 1);
	assert_int_equal(count(HL_BACKING_BASE), 0);
	hl_opt.populate = HL_POPULATE_AUTO;
}

/* Not known to need more than it had. */
static void test_pool_for_what_was_filled(void **state)
{
	const size_t bytes = 4 * HL_MIB, peak = 5;
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
		fill(make(10 * HL_MIB), 1);
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
		fill(make(bytes), HL_MIN(bytes, 3 * HL_MIB) * draw(3) / 2);
		return;
	}
	i = draw(blocks);
	span = live[i];
	switch (draw(4)) {
	case 0:
		memset((void *)span->start, 1, HL_SMALL_MAX + 1);
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
	for (unsigned n = 0; n < 150; n++) {
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
		TEST(test_sparse_of_several_units),
		TEST(test_sparse_whole_units),
		TEST(test_sparse_medium),
		TEST(test_dense_medium),
		TEST(test_dense),
		TEST(test_beginnings),
		TEST(test_varied),
		TEST(test_filled_later),
		TEST(test_begun_and_filled_later),
		TEST(test_begun_and_filled_later_in_whole_units),
		TEST(test_being_filled),
		TEST(test_dense_after_a_few),
		TEST(test_aligned),
		TEST(test_used_place),
		TEST(test_realloc_of_a_medium_block),
		TEST(test_many_blocks),
		TEST(test_populate_overrides),
		TEST(test_change),
		TEST(test_pool_for_what_was_filled),
		TEST(test_no_probe_without_thp),
		TEST(test_random),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
