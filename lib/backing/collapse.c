/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After a fork transparent huge pages become whole again.
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
 * Callers: the heap's slow paths, with no lock held; one thread at a time works
 * here, the others pass by. A unit may be released or committed meanwhile: the
 * kernel refuses what is not mapped, and what is else joined is memory that was
 * resident a moment ago. How long this may take is a share of the time.
 */
#include "backing/area_internal.h"

#include <errno.h>

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
/* Between passes, while another process shares memory with this one. */
#define PASS_MIN_MS 250u
#define PASS_MAX_MS 8000u

enum state {
	SHARED,
	PARTIAL,
	OWN
};

static _Atomic bool expected; /* a fork may have split something */
static _Atomic bool again;    /* the pass under way began before it */
static _Atomic bool working;
static _Atomic uint64_t next_ms;

/* Of the thread that works. */
static struct {
	const struct hl_area *area; /* where the pass is; NULL: at its start */
	size_t unit;
	bool any_shared;
	uint64_t rest_ms;
} pass;

void hl_collapse_fork_parent(void)
{
	atomic_store_explicit(
		&next_ms, hl_os->now_ms() + PASS_MIN_MS, memory_order_relaxed);
	atomic_store_explicit(&again, true, memory_order_relaxed);
	atomic_store_explicit(&expected, true, memory_order_relaxed);
}

void hl_collapse_fork_child(void)
{
	/* Whoever was at work in the parent is not here. */
	atomic_store_explicit(&working, false, memory_order_relaxed);
	hl_collapse_fork_parent();
}

/* ---- one unit ---- */

static enum state look(char *addr)
{
	uint64_t entry[CHUNK];
	size_t base = hl_base_page_bytes();
	size_t pages = HL_UNIT_BYTES / base;
	enum state state = OWN;

	for (size_t at = 0; at < pages; at += CHUNK) {
		size_t n = HL_MIN(pages - at, (size_t)CHUNK);

		if (hl_os->pagemap(addr + at * base, n, entry) < 0)
			return PARTIAL;
		for (size_t i = 0; i < n; i++) {
			if (!(entry[i] & PRESENT))
				return PARTIAL;
			if (!(entry[i] & EXCLUSIVE))
				state = SHARED;
		}
	}
	return state;
}

/* False if there is no use in going on. *wait_us grows by what the time spent
 * here costs in waiting. */
static bool join(char *addr, uint64_t *wait_us)
{
	uint64_t start = hl_os->now_us(), middle;
	enum state state = look(addr);
	int rc;

	middle = hl_os->now_us();
	*wait_us += (middle - start) * LOOK_SHARE;
	if (state == SHARED)
		pass.any_shared = true;
	if (state != OWN)
		return true;
	rc = hl_os->madvise(addr, HL_UNIT_BYTES, MADV_COLLAPSE);
	*wait_us += (hl_os->now_us() - middle) * JOIN_SHARE;
	/* EINVAL: an older kernel. ENOMEM: no huge page to be had. */
	return rc != -EINVAL && rc != -ENOMEM;
}

/* ---- a pass over all units ---- */

/* The next unit that might have been split; false at the end. */
static bool advance(void)
{
	if (pass.area == NULL)
		pass.area = hl_area_first();
	for (; pass.area != NULL; pass.area = hl_area_next(pass.area)) {
		size_t units = hl_area_units(pass.area);

		for (; pass.unit < units; pass.unit++) {
			enum hl_backing_kind kind =
				hl_area_kind(pass.area, pass.unit);

			if (kind == HL_BACKING_THP || kind == HL_BACKING_LAZY)
				return true;
		}
		pass.unit = 0;
	}
	return false;
}

static void stop(void)
{
	/* Not what a fork has asked for meanwhile. */
	if (!atomic_load_explicit(&again, memory_order_relaxed))
		atomic_store_explicit(&expected, false, memory_order_relaxed);
}

static void end_pass(uint64_t now)
{
	if (!pass.any_shared) {
		stop();
		return;
	}
	pass.any_shared = false;
	atomic_store_explicit(
		&next_ms, now + pass.rest_ms, memory_order_relaxed);
	pass.rest_ms = HL_MIN(pass.rest_ms * 2, (uint64_t)PASS_MAX_MS);
}

static void work(uint64_t now)
{
	uint64_t start = hl_os->now_us(), wait_us = 0;

	if (atomic_exchange_explicit(&again, false, memory_order_relaxed)) {
		pass.area = NULL;
		pass.unit = 0;
		pass.any_shared = false;
		pass.rest_ms = PASS_MIN_MS;
	}
	if (!hl_supply_thp()) {
		stop();
		return;
	}
	do {
		if (!advance()) {
			end_pass(now);
			return;
		}
		if (!join(hl_unit_addr(pass.area, pass.unit), &wait_us)) {
			stop();
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

	if (!atomic_load_explicit(&expected, memory_order_relaxed) ||
		now < atomic_load_explicit(&next_ms, memory_order_relaxed))
		return;
	if (!atomic_compare_exchange_strong_explicit(&working, &free, true,
		    memory_order_acquire, memory_order_relaxed))
		return;
	work(now);
	atomic_store_explicit(&working, false, memory_order_release);
}
