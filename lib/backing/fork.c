/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork: as many huge pages as a later copy-on-write could miss become ordinary
 * memory beforehand.
 *
 * After fork each of our H huge pages is shared, and whichever process writes
 * first needs a free page for its copy. With F really free and F < H,
 * converting c = ceil((H - F) / 2) of them leaves H - c to be copied and F + c
 * free. Pages that do not return to the pool (surplus; a pool that was shrunk)
 * make a second look necessary.
 *
 * Callers: the heap's fork handlers, with every heap lock held, one fork at a
 * time. The locks of this directory are taken last, since conversion itself
 * settles accounts. Other threads of the program run on: pages are
 * write-protected while they are copied, unless there are none.
 *
 * In the child: locks are fresh, conversions that other threads had under way
 * are undone or finished, and signals know their new process.
 */
#include "backing/area_internal.h"

#include "backing/signals.h"
#include "base/count.h"
#include "base/opt.h"
#include "base/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define ROUNDS 4

/* Whether a unit's page is of the group that is looked at. */
struct group {
	size_t page_bytes;
	int node; /* that was asked; HL_NODE_ANY: all pages of that size */
};

/* Pages of one size: in each of its groups. */
struct held {
	uint64_t all;
	uint64_t node[HL_NODE_CLAMP + 1];
};

/* For HUGETLB_FORK=copy: the child's end closes when it has copied. */
static int copied[2] = {-1, -1};

/* ---- walking the huge pages ---- */

static bool is_in(uint32_t word, const struct group *g)
{
	return hl_word_kind(word) == HL_BACKING_HUGETLB &&
	       hl_word_page_bytes(word) == g->page_bytes &&
	       (g->node < 0 || hl_word_asked(word) == g->node);
}

static bool has_hugetlb(struct hl_area *area)
{
	bool has;

	hl_lock_acquire(&area->lock);
	has = area->resv.hpages > 0;
	hl_lock_release(&area->lock);
	return has;
}

static uint64_t pages_of(uint64_t units, size_t page_bytes)
{
	if (page_bytes < HL_UNIT_BYTES)
		return units * (HL_UNIT_BYTES / page_bytes);
	return units / hl_grain(page_bytes);
}

/* All groups of a size in one walk: a heap has many units. */
static void count_pages(size_t page_bytes, struct held *held)
{
	struct group all = {page_bytes, HL_NODE_ANY};
	struct hl_area *a;

	*held = (struct held){0};
	for (a = hl_area_first(); a != NULL; a = hl_area_next(a)) {
		if (!has_hugetlb(a))
			continue;
		for (size_t u = 0; u < hl_area_units(a); u++) {
			uint32_t word = hl_unit_load(a, u);

			if (!is_in(word, &all))
				continue;
			held->all++;
			if (hl_word_asked(word) >= 0)
				held->node[hl_word_asked(word)]++;
		}
	}
	held->all = pages_of(held->all, page_bytes);
	for (int node = 0; node <= HL_NODE_CLAMP; node++)
		held->node[node] = pages_of(held->node[node], page_bytes);
}

static bool convert_one(struct hl_area *area, size_t unit, bool alone)
{
	struct hl_sigmask saved;
	bool done;

	/* Page by page, so that signals are not held up for long. */
	hl_signals_block(&saved);
	(void)hl_convert_page(area, unit, alone, &done);
	hl_signals_restore(&saved);
	return done;
}

/* Up to n pages of the group, from the end of the newest area. Returns how
 * many. */
static uint64_t convert_some(const struct group *g, uint64_t n, bool alone)
{
	uint64_t per_unit = g->page_bytes < HL_UNIT_BYTES
				    ? HL_UNIT_BYTES / g->page_bytes
				    : 1;
	uint64_t done = 0;
	struct hl_area *a;

	for (a = hl_area_first(); a != NULL; a = hl_area_next(a)) {
		if (!has_hugetlb(a))
			continue;
		for (size_t u = hl_area_units(a); u-- > 0 && done < n;) {
			if (is_in(hl_unit_load(a, u), g) &&
				convert_one(a, u, alone))
				done += per_unit;
		}
	}
	return done;
}

static void convert_all(bool alone)
{
	struct hl_area *a;

	for (a = hl_area_first(); a != NULL; a = hl_area_next(a)) {
		if (!has_hugetlb(a))
			continue;
		for (size_t u = 0; u < hl_area_units(a); u++) {
			if (hl_area_kind(a, u) == HL_BACKING_HUGETLB)
				(void)convert_one(a, u, alone);
		}
	}
}

/* ---- before ---- */

/* For the `held` pages of the group. Returns how many of them are left. */
static uint64_t make_room(const struct group *g, uint64_t held)
{
	bool alone = hl_is_single_threaded();
	uint64_t lacking, n, done;
	struct hl_supply s;

	for (int round = 0; round < ROUNDS && held > 0; round++) {
		hl_supply_read_fresh(g->page_bytes, g->node, &s);
		if (s.hpages >= held)
			break;
		lacking = held - s.hpages;
		/* What does not come back to the pool is missing in full. */
		n = round < ROUNDS - 1 ? (lacking + 1) / 2 : lacking;
		done = convert_some(g, n, alone);
		held -= HL_MIN(held, done);
		if (done < n)
			break;
	}
	return held;
}

static void make_room_for_size(size_t page_bytes)
{
	struct group g = {page_bytes, HL_NODE_ANY};
	struct held held;

	count_pages(page_bytes, &held);
	/* A bound page can only be copied to its own node. */
	if (hl_supply_nodes() > 1) {
		for (g.node = 0; g.node <= HL_NODE_CLAMP; g.node++)
			held.all -= held.node[g.node] -
				    make_room(&g, held.node[g.node]);
		g.node = HL_NODE_ANY;
	}
	(void)make_room(&g, held.all);
}

static void make_room_for_all(void)
{
	size_t size = hl_supply_smaller(SIZE_MAX);

	for (; size != 0; size = hl_supply_smaller(size))
		make_room_for_size(size);
}

static void open_pipe(void)
{
	if (hl_syscall(SYS_pipe2, (long)copied, O_CLOEXEC, 0, 0, 0, 0) < 0) {
		copied[0] = -1;
		copied[1] = -1;
	}
}

static void close_end(int i)
{
	if (copied[i] >= 0)
		(void)hl_syscall(SYS_close, copied[i], 0, 0, 0, 0, 0);
	copied[i] = -1;
}

static bool any_hugetlb(void)
{
	struct hl_area *a;

	for (a = hl_area_first(); a != NULL; a = hl_area_next(a)) {
		if (has_hugetlb(a))
			return true;
	}
	return false;
}

void hl_backing_fork_prepare(void)
{
	hl_count(forks, 1);
	hl_heal_settle();
	if (any_hugetlb()) {
		/* Threads will collide, and copies may find no page. */
		hl_heal_install();
		switch (hl_opt.fork_mode) {
		case HL_FORK_CONVERT:
			make_room_for_all();
			break;
		case HL_FORK_COPY:
			open_pipe();
			break;
		case HL_FORK_THP:
			convert_all(hl_is_single_threaded());
			break;
		case HL_FORK_OFF:
			break;
		}
		hl_heal_settle();
	}
	hl_area_registry_fork_prepare();
	hl_charge_fork_prepare();
}

static bool counts_hugetlb(void)
{
	struct hl_counts *c = hl_counts();

	for (unsigned i = 0; i < HL_COUNT_SIZES; i++) {
		if (atomic_load_explicit(
			    &c->hugetlb_bytes[i], memory_order_relaxed) != 0)
			return true;
	}
	return false;
}

/* No page can be converted now: the healer has to do. */
void hl_backing_fork_hurried_prepare(void)
{
	hl_count(forks, 1);
	if (counts_hugetlb())
		hl_heal_install();
}

/* ---- after ---- */

/* Until the child has its copy, or is dead, or fork failed: then nobody has the
 * other end. */
static void wait_for_copy(void)
{
	char byte;
	long rc;

	close_end(1);
	if (copied[0] < 0)
		return;
	do {
		rc = hl_syscall(SYS_read, copied[0], (long)&byte, 1, 0, 0, 0);
	} while (rc == -EINTR);
	close_end(0);
}

void hl_backing_fork_parent(void)
{
	wait_for_copy();
	hl_charge_fork_parent();
	hl_area_registry_fork_parent();
	hl_collapse_fork_parent();
}

/*
 * mprotect() of one base page is EINVAL below a huge page, but only if it would
 * change something: so both ways. Ends read-write where it is ordinary memory.
 */
static bool is_still_hugetlb(void *addr)
{
	size_t base = hl_base_page_bytes();

	return hl_os->mprotect(addr, base, PROT_READ) == -EINVAL ||
	       hl_os->mprotect(addr, base, PROT_READ | PROT_WRITE) == -EINVAL;
}

/*
 * Another thread of the parent was converting this unit. Its page may be
 * write-protected by now, or replaced already.
 */
static uint32_t unbusy(struct hl_area *area, size_t unit, uint32_t word)
{
	size_t page_bytes = hl_word_page_bytes(word);
	size_t first;

	word &= ~HL_UNIT_BUSY;
	if (hl_word_kind(word) != HL_BACKING_HUGETLB)
		return word;
	if (!is_still_hugetlb(hl_unit_addr(area, unit)))
		return hl_word_as(word, HL_BACKING_BASE);
	first = hl_grain_start(area, unit, page_bytes);
	(void)hl_os->mprotect(hl_unit_addr(area, first),
		HL_MAX(page_bytes, HL_UNIT_BYTES), PROT_READ | PROT_WRITE);
	return word;
}

static void reset_area(struct hl_area *area)
{
	uint32_t unsettled = 0;

	for (size_t u = 0; u < hl_area_units(area); u++) {
		uint32_t word = hl_unit_load(area, u);

		if (word & HL_UNIT_BUSY) {
			word = unbusy(area, u, word);
			hl_unit_store(area, u, word);
		}
		unsettled += hl_word_page_bytes(word) != 0 &&
			     hl_word_kind(word) != HL_BACKING_HUGETLB;
	}
	atomic_store_explicit(
		&area->unsettled, unsettled, memory_order_relaxed);
}

/* What touches words and asks the kernel, and no lock. */
void hl_backing_fork_hurried_child(void)
{
	struct hl_area *a;

	hl_signals_fork_child();
	hl_supply_forget();
	for (a = hl_area_first(); a != NULL; a = hl_area_next(a))
		reset_area(a);
}

void hl_backing_fork_child(void)
{
	hl_charge_fork_child();
	hl_area_registry_fork_child();
	hl_collapse_fork_child();
	hl_backing_fork_hurried_child();
	if (copied[1] >= 0) {
		convert_all(true);
		hl_heal_settle();
	}
	close_end(1);
	close_end(0);
}
