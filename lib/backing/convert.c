/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversion: a hugetlb page is replaced by ordinary memory at the same
 * address, contents kept, while other threads run.
 *
 * The page is write-protected first. Without that, stores are lost: as soon as
 * another process lets go of a shared page it is writable again here, and what
 * a thread then stores between our copy and the swap is gone. Threads that
 * collide get SIGSEGV, wait in hl_heal() for the state word, and retry. The
 * swap is one mremap(), which is atomic for them. A page that is not there (the
 * program dropped it with MADV_DONTNEED) is replaced by zeros.
 *
 * Callers: fork, the SIGBUS handler, and, by hl_area_convert(), whoever is
 * about to do with a part of a page what the kernel allows for whole ones only
 * (mprotect, madvise, a signal stack, a mapping over it). The only lock is the
 * BUSY bit of the page's units, taken in ascending order. While it is held
 * nothing waits for anything else, and no signal is let in.
 *
 * Known limit: a system call of another thread that writes into the page
 * meanwhile fails with EFAULT.
 */
#include "backing/area_internal.h"

#include "base/count.h"
#include "base/log.h"
#include "base/syscall.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

_Atomic uint32_t hl_convert_seq;

/* glibc's own knowledge; other C libraries do not have it. */
extern char __libc_single_threaded HL_WEAK;

bool hl_is_single_threaded(void)
{
	return &__libc_single_threaded != NULL && __libc_single_threaded;
}

void hl_signals_block(struct hl_sigmask *saved)
{
	uint64_t all = UINT64_MAX;

	(void)hl_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all,
		(long)&saved->bits, sizeof(all), 0, 0);
}

void hl_signals_restore(const struct hl_sigmask *saved)
{
	(void)hl_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&saved->bits, 0,
		sizeof(saved->bits), 0, 0);
}

/* If the kernel does not say (EAGAIN), it is there: contents come first. */
static bool is_absent(char *page)
{
	unsigned char there = 1;

	return hl_os->mincore(page, hl_base_page_bytes(), &there) == 0 &&
	       !(there & 1);
}

/*
 * mremap() refused. It checks before it unmaps the target, so that is normally
 * untouched; if it is gone all the same, the copy goes back by hand.
 */
static int swap_failed(char *page, size_t bytes, void *copy)
{
	unsigned char there;
	void *p;

	if (hl_os->mincore(page, hl_base_page_bytes(), &there) != -ENOMEM)
		return -ENOMEM;
	if (hl_os->mmap(page, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, &p) < 0)
		hl_fatal("lost the mapping of the heap page %p", (void *)page);
	memcpy(page, copy, bytes);
	(void)hl_os->munmap(copy, bytes);
	return 0;
}

/* The page becomes ordinary memory; nothing changed on failure. */
static int replace(char *page, size_t bytes, int node, bool alone, bool *thp)
{
	void *copy, *p;
	int rc;

	if (!alone && hl_os->mprotect(page, bytes, PROT_READ) < 0)
		return -ENOMEM;
	rc = hl_map_ordinary(bytes, node, &copy, thp);
	if (rc < 0)
		goto unprotect;
	if (!is_absent(page))
		memcpy(copy, page, bytes);
	if (hl_os->mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		    page, &p) == 0)
		return 0;
	rc = swap_failed(page, bytes, copy);
	if (rc == 0)
		return 0;
	(void)hl_os->munmap(copy, bytes);
unprotect:
	if (!alone && hl_os->mprotect(page, bytes, PROT_READ | PROT_WRITE) < 0)
		hl_fatal("cannot unprotect the heap page %p", (void *)page);
	return rc;
}

/* Claims all units of the page; false (nothing claimed): not hugetlb any more.
 */
static bool claim_page(struct hl_area *area, size_t unit, size_t *from,
	size_t *to, uint32_t *word)
{
	uint32_t seen = hl_unit_load(area, unit);
	size_t page_bytes = hl_word_page_bytes(seen);

	if (hl_word_kind(seen) != HL_BACKING_HUGETLB)
		return false;
	*from = hl_grain_start(area, unit, page_bytes);
	*to = *from + hl_grain(page_bytes);
	*word = hl_unit_claim(area, *from);
	if (hl_word_kind(*word) != HL_BACKING_HUGETLB ||
		hl_word_page_bytes(*word) != page_bytes) {
		hl_unit_store(area, *from, *word);
		return false;
	}
	for (size_t u = *from + 1; u < *to; u++)
		hl_unit_claim(area, u);
	return true;
}

int hl_convert_page(struct hl_area *area, size_t unit, bool alone, bool *done)
{
	size_t from, to;
	uint32_t word;
	bool thp = false;
	int rc;

	*done = false;
	if (!claim_page(area, unit, &from, &to, &word))
		return 0;
	/* Pages below a unit are replaced by the unit. */
	rc = replace(hl_unit_addr(area, from), (to - from) * HL_UNIT_BYTES,
		hl_word_asked(word), alone, &thp);
	if (rc < 0) {
		hl_count(conversion_failures, 1);
	} else {
		hl_count(conversions, 1);
		hl_charge_count_given(word, to - from);
		/* Counted before anyone can find it to settle. */
		atomic_fetch_add_explicit(&area->unsettled,
			(uint32_t)(to - from), memory_order_relaxed);
		word = hl_word_as(word, thp ? HL_BACKING_THP : HL_BACKING_BASE);
		*done = true;
	}
	/* Downwards: the first unit is the one that others wait for. */
	for (size_t u = to; u-- > from;)
		hl_unit_store(area, u, word);
	atomic_fetch_add_explicit(&hl_convert_seq, 1, memory_order_release);
	return rc;
}

int hl_area_convert(struct hl_area *area, size_t unit)
{
	struct hl_sigmask saved;
	bool done;
	int rc;

	HL_ASSERT(unit < hl_area_units(area));
	hl_signals_block(&saved);
	rc = hl_convert_page(area, unit, hl_is_single_threaded(), &done);
	hl_signals_restore(&saved);
	hl_heal_settle();
	return rc;
}

void hl_area_convert_range(const void *from, size_t bytes)
{
	uintptr_t at = (uintptr_t)from, end = at + bytes;

	if (end < at)
		return;
	while (at < end) {
		struct hl_area *area = hl_area_find((const void *)at);
		size_t unit;

		/* A block lies in one area: none here means none behind. */
		if (area == NULL)
			return;
		unit = (at - hl_area_base(area)) >> HL_UNIT_SHIFT;
		if (hl_area_kind(area, unit) == HL_BACKING_HUGETLB)
			(void)hl_area_convert(area, unit);
		at = hl_align_down(at, HL_UNIT_BYTES) + HL_UNIT_BYTES;
	}
}
