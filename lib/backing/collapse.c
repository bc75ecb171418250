/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Base pages are joined to transparent huge pages: after a fork, and where a
 * unit was on base pages for fear that little of it would be used.
 *
 * The first write to a shared THP, by parent or child, makes the kernel split
 * its mapping and copy one base page; nothing joins the unit again but
 * khugepaged, in minutes. So after a fork both processes look now and then at
 * their units: one whose base pages are all present and all this process's own
 * (bit 56 of pagemap) is asked to be one huge page, MADV_COLLAPSE (Linux 6.1).
 * That takes no more memory than is resident, and costs microseconds where the
 * unit is whole. A unit that is still shared in part is left alone: joining it
 * would double what the other process has.
 *
 * Units on base pages (BASE: sparse blocks, probes of the heap, what there was
 * no THP for) are joined once most of their pages are present.
 *
 * Callers: the heap's slow paths, with no lock held; one thread at a time works
 * here, the others pass by. A unit may be released or committed meanwhile: the
 * kernel refuses what is not mapped, and what is else joined is memory that was
 * resident a moment ago. How long this may take is a share of the time.
 */
#include "backing/area_internal.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PRESENT	  (UINT64_C(1) << 63)
#define EXCLUSIVE (UINT64_C(1) << 56)
#define CHUNK	  64u /* entries: threads' stacks may be small */

/* Look at units during 1/50 of the time, and join them during 1/8 of it. */
#define LOOK_SHARE 50u
#define JOIN_SHARE 8u
#define ROUND_US   2000u
/* Percent of a unit on base pages that must be there. More than half: the first
 * runs of a heap fill half of one, and a small program takes no huge page. */
#define FILLED 60u
/* Between passes, while another process shares memory with this one, or units
 * on base pages are not filled. */
#define PASS_MIN_MS 250u
#define PASS_MAX_MS 8000u

/* What passes look at, bits. */
#define SPLIT 1u /* a fork may have split something */
#define BASE  2u /* there are units on base pages */

static _Atomic unsigned expected;
static _Atomic unsigned again; /* the pass under way began before it */
static _Atomic bool fresh;     /* base units, since the last pass */
static _Atomic bool forked;
static _Atomic bool working;
static _Atomic uint64_t next_ms;

/* Of the thread that works. */
static struct {
	struct hl_area *area; /* where the pass is; NULL: at its start */
	size_t unit;
	unsigned left; /* what the next pass is for */
	uint64_t rest_ms;
} pass;

static void expect(unsigned what)
{
	/* In this order: see stop(). */
	atomic_fetch_or(&again, what);
	atomic_fetch_or(&expected, what);
}

/* Passes go on as long as there are any, but more and more seldom. */
void hl_collapse_expect_base(void)
{
	uint64_t soon = hl_os->now_ms() + PASS_MIN_MS;

	atomic_store_explicit(&fresh, true, memory_order_relaxed);
	if (!(atomic_load_explicit(&expected, memory_order_relaxed) & BASE))
		expect(BASE);
	else if (atomic_load_explicit(&next_ms, memory_order_relaxed) <= soon)
		return;
	atomic_store_explicit(&next_ms, soon, memory_order_relaxed);
}

void hl_collapse_hurry(void)
{
	if (!(atomic_load_explicit(&expected, memory_order_relaxed) & BASE))
		return;
	atomic_store_explicit(&fresh, true, memory_order_relaxed);
	atomic_store_explicit(&next_ms, 0, memory_order_relaxed);
}

void hl_collapse_fork_parent(void)
{
	atomic_store_explicit(
		&next_ms, hl_os->now_ms() + PASS_MIN_MS, memory_order_relaxed);
	atomic_store_explicit(&forked, true, memory_order_relaxed);
	expect(SPLIT);
}

void hl_collapse_fork_child(void)
{
	/* Whoever was at work in the parent is not here. */
	atomic_store_explicit(&working, false, memory_order_relaxed);
	hl_collapse_fork_parent();
}

/* ---- one unit ---- */

struct content {
	size_t present; /* base pages */
	bool shared;	/* another process has a part of it */
};

static bool look(char *addr, struct content *out)
{
	uint64_t entry[CHUNK];
	size_t base = hl_base_page_bytes();
	size_t pages = HL_UNIT_BYTES / base;

	*out = (struct content){0};
	for (size_t at = 0; at < pages; at += CHUNK) {
		size_t n = HL_MIN(pages - at, (size_t)CHUNK);

		if (hl_os->pagemap(addr + at * base, n, entry) < 0)
			return false;
		for (size_t i = 0; i < n; i++) {
			if (!(entry[i] & PRESENT))
				continue;
			out->present++;
			if (!(entry[i] & EXCLUSIVE))
				out->shared = true;
		}
	}
	return true;
}

/*
 * False if there is no use in going on: the kernel is older, or has no huge
 * page. The same errors answer for a unit that was released meanwhile; but what
 * the kernel does not know it refuses for no bytes as well.
 */
static bool collapse(const struct hl_area *area, size_t unit)
{
	char *addr = hl_unit_addr(area, unit);
	int rc = hl_os->madvise(addr, HL_UNIT_BYTES, MADV_COLLAPSE);

	if (rc == -EINVAL)
		return hl_os->madvise(addr, 0, MADV_COLLAPSE) == 0;
	return rc != -ENOMEM || hl_area_kind(area, unit) == HL_BACKING_NONE;
}

/* The word first: who releases the unit meanwhile is not to be contradicted. */
static bool turn(struct hl_area *area, size_t unit, enum hl_backing_kind from,
	enum hl_backing_kind to)
{
	uint32_t word = from, back = to;

	if (!atomic_compare_exchange_strong(
		    hl_unit_word(area, unit), &word, to))
		return false;
	if (hl_os->madvise(hl_unit_addr(area, unit), HL_UNIT_BYTES,
		    to == HL_BACKING_LAZY ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) ==
		0)
		return true;
	(void)atomic_compare_exchange_strong(
		hl_unit_word(area, unit), &back, from);
	return false;
}

static bool advise(struct hl_area *area, size_t unit)
{
	return turn(area, unit, HL_BACKING_BASE, HL_BACKING_LAZY);
}

void hl_area_demote(struct hl_area *area, size_t unit)
{
	if (hl_unit_load(area, unit) == HL_BACKING_LAZY &&
		hl_resident_pages(hl_unit_addr(area, unit), HL_UNIT_BYTES) ==
			0 &&
		turn(area, unit, HL_BACKING_LAZY, HL_BACKING_BASE))
		hl_collapse_expect_base();
}

bool hl_area_is_base(const struct hl_area *area, size_t unit)
{
	return hl_unit_load(area, unit) == HL_BACKING_BASE;
}

static bool is_shared(char *addr)
{
	struct content c;

	return atomic_load_explicit(&forked, memory_order_relaxed) &&
	       (!look(addr, &c) || c.shared);
}

void hl_area_promote(struct hl_area *area, size_t from, size_t to, size_t least)
{
	size_t pages = HL_MAX(least / hl_base_page_bytes(), (size_t)1);

	if (!hl_supply_thp())
		return;
	for (size_t u = from; u < to; u++) {
		char *addr = hl_unit_addr(area, u);
		size_t present;

		if (!hl_area_is_base(area, u))
			continue;
		present = hl_resident_pages(addr, HL_UNIT_BYTES);
		/* Else it could only be joined, and passes look at base units.
		 */
		if (present != 0 && present < pages)
			continue;
		if (advise(area, u) && present != 0 && !is_shared(addr) &&
			!collapse(area, u))
			return;
	}
}

/* *wait_us grows by what the time spent here costs in waiting. */
static bool join(struct hl_area *area, size_t unit, uint64_t *wait_us)
{
	char *addr = hl_unit_addr(area, unit);
	size_t pages = HL_UNIT_BYTES / hl_base_page_bytes();
	bool base = hl_area_is_base(area, unit), ok = true;
	uint64_t start = hl_os->now_us(), middle;
	struct content c;

	if (base)
		c = (struct content){hl_resident_pages(addr, HL_UNIT_BYTES),
			is_shared(addr)};
	else if (!look(addr, &c))
		c = (struct content){0};
	middle = hl_os->now_us();
	*wait_us += (middle - start) * LOOK_SHARE;
	if (c.shared || base)
		pass.left |= base ? BASE : SPLIT;
	if (c.shared || c.present < (base ? pages * FILLED / 100 : pages))
		return true;
	if (!base || advise(area, unit))
		ok = collapse(area, unit);
	*wait_us += (hl_os->now_us() - middle) * JOIN_SHARE;
	return ok;
}

/* ---- a pass over all units ---- */

static bool is_looked_at(const struct hl_area *area, size_t unit)
{
	unsigned what = atomic_load_explicit(&expected, memory_order_relaxed);

	switch (hl_area_kind(area, unit)) {
	case HL_BACKING_THP:
	case HL_BACKING_LAZY:
		return what & SPLIT;
	case HL_BACKING_BASE:
		return (what & BASE) && hl_area_is_base(area, unit);
	default:
		return false;
	}
}

/* The next unit that might be joined; false at the end. */
static bool advance(void)
{
	if (pass.area == NULL)
		pass.area = hl_area_first();
	for (; pass.area != NULL; pass.area = hl_area_next(pass.area)) {
		size_t units = hl_area_units(pass.area);

		for (; pass.unit < units; pass.unit++)
			if (is_looked_at(pass.area, pass.unit))
				return true;
		pass.unit = 0;
	}
	return false;
}

/* Nothing but `left`, and what was asked for meanwhile. */
static void stop(unsigned left)
{
	atomic_store(&expected, left);
	atomic_fetch_or(&expected, atomic_load(&again));
}

static void end_pass(uint64_t now)
{
	stop(pass.left);
	pass.left = 0;
	if (atomic_exchange_explicit(&fresh, false, memory_order_relaxed))
		pass.rest_ms = PASS_MIN_MS;
	atomic_store_explicit(
		&next_ms, now + pass.rest_ms, memory_order_relaxed);
	pass.rest_ms = HL_MIN(pass.rest_ms * 2, (uint64_t)PASS_MAX_MS);
}

static void work(uint64_t now)
{
	uint64_t start = hl_os->now_us(), wait_us = 0;

	if (atomic_exchange_explicit(&again, 0, memory_order_relaxed) != 0) {
		pass.area = NULL;
		pass.unit = 0;
		pass.left = 0;
		pass.rest_ms = PASS_MIN_MS;
	}
	if (!hl_supply_thp()) {
		stop(0);
		return;
	}
	do {
		if (!advance()) {
			end_pass(now);
			return;
		}
		if (!join(pass.area, pass.unit, &wait_us)) {
			stop(0);
			return;
		}
		pass.unit++;
	} while (hl_os->now_us() - start < ROUND_US);
	atomic_store_explicit(
		&next_ms, now + wait_us / 1000, memory_order_relaxed);
}

void hl_collapse_tick(uint64_t now)
{
	bool free = false;

	if (atomic_load_explicit(&expected, memory_order_relaxed) == 0 ||
		now < atomic_load_explicit(&next_ms, memory_order_relaxed))
		return;
	if (!atomic_compare_exchange_strong_explicit(&working, &free, true,
		    memory_order_acquire, memory_order_relaxed))
		return;
	work(now);
	atomic_store_explicit(&working, false, memory_order_release);
}
