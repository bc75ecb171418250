/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Healing: what the SIGBUS and SIGSEGV handlers do for faults that are ours.
 *
 * SIGBUS: a write found the page shared with another process (after a fork)
 * and the pool empty. The page is converted and the write retried.
 * SIGSEGV: the write met a page that another thread is converting. Wait for
 * it, and retry.
 *
 * Runs in signal handlers: no lock but the state words, no allocation. What was
 * taken from the pool's books stays written in the state word (a size with a
 * kind that is not HUGETLB) until hl_heal_settle() is called from a slow path.
 * Memory errors of the hardware (BUS_MCEERR_*) are never ours.
 */
#include "backing/area_internal.h"

#include "backing/signals.h"
#include "base/count.h"

#include <signal.h>

/* The last fault that this thread retried without having mended anything. */
static _Thread_local uintptr_t retried_addr;
static _Thread_local uint32_t retried_seq;

/*
 * Somebody else mended it, it seems: retry, but only once as long as nothing
 * is converted, or a fault that is the program's own would repeat for ever.
 */
static bool may_retry(uintptr_t addr)
{
	uint32_t seq =
		atomic_load_explicit(&hl_convert_seq, memory_order_acquire);

	if (seq == 0 || (retried_addr == addr && retried_seq == seq))
		return false;
	retried_addr = addr;
	retried_seq = seq;
	return true;
}

static bool mend(struct hl_area *area, size_t unit, uintptr_t addr)
{
	bool done;

	if (hl_word_kind(hl_unit_wait(area, unit)) == HL_BACKING_NONE)
		return false;
	if (hl_convert_page(area, unit, false, &done) < 0)
		return false;
	if (!done)
		return may_retry(addr);
	hl_count(heals, 1);
	return true;
}

static bool wait(struct hl_area *area, size_t unit, uintptr_t addr)
{
	uint32_t word = hl_unit_load(area, unit);
	bool busy = word & HL_UNIT_BUSY;

	word = hl_unit_wait(area, unit);
	if (hl_word_kind(word) == HL_BACKING_NONE)
		return false;
	return busy || may_retry(addr);
}

bool hl_heal(int sig, int si_code, void *addr)
{
	struct hl_area *area = hl_area_find(addr);
	size_t unit;

	if (area == NULL)
		return false;
	unit = ((uintptr_t)addr - hl_area_base(area)) >> HL_UNIT_SHIFT;
	if (sig == SIGBUS && si_code == BUS_ADRERR)
		return mend(area, unit, (uintptr_t)addr);
	if (sig == SIGSEGV && si_code == SEGV_ACCERR)
		return wait(area, unit, (uintptr_t)addr);
	return false;
}

/* ---- settlement ---- */

static bool is_unsettled(uint32_t word)
{
	return hl_word_page_bytes(word) != 0 && !(word & HL_UNIT_BUSY) &&
	       hl_word_kind(word) != HL_BACKING_HUGETLB;
}

/*
 * Whoever takes the size out of the (first) word does the rest. The other
 * words of a large page follow while the first is busy, so that a release
 * waits.
 */
static bool strip(struct hl_area *area, size_t unit, size_t end, uint32_t word)
{
	uint32_t bare = (uint32_t)hl_word_kind(word);
	uint32_t busy = end > unit + 1 ? HL_UNIT_BUSY : 0;

	if (!atomic_compare_exchange_strong_explicit(hl_unit_word(area, unit),
		    &word, bare | busy, memory_order_acq_rel,
		    memory_order_relaxed))
		return false;
	for (size_t i = unit + 1; i < end; i++)
		hl_unit_store(area, i, bare);
	if (busy != 0)
		hl_unit_store(area, unit, bare);
	return true;
}

static void settle_area(struct hl_area *area)
{
	size_t units = hl_area_units(area), u = 0, end;

	while (u < units) {
		uint32_t word = hl_unit_load(area, u);

		end = u + 1;
		if (is_unsettled(word)) {
			end = u + hl_grain(hl_word_page_bytes(word));
			if (strip(area, u, end, word))
				hl_charge_return_run(area, u, end, word);
		}
		u = end;
	}
}

void hl_heal_settle(void)
{
	struct hl_area *a;

	hl_signals_thread_check();
	for (a = hl_area_first(); a != NULL; a = hl_area_next(a)) {
		if (atomic_load_explicit(&a->unsettled, memory_order_relaxed) !=
			0)
			settle_area(a);
	}
}
