/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Density of THPs is judged by content: a page counts as written if any word
 * of it is not zero. Residency cannot tell, since one byte written makes all of
 * a THP resident; and this is how the kernel's own THP shrinker judges.
 */
#include "heap/learn.h"

#include "backing/area.h"
#include "base/opt.h"
#include "system/os.h"
#include "system/sys.h"

#include <stdatomic.h>
#include <string.h>

#define SAMPLES	      24u
#define ALWAYS_FIRST  4u  /* look at that many of a kind, */
#define THEN_EVERY    16u /* then at one in so many */
#define RELEARN_EVERY 32u /* a dense kind is lazy once in so many */
#define DENSE	      90u /* percent */
#define SPARSE	      15u
#define AUTO_MAX      (64 * HL_MIB)

static struct bucket {
	_Atomic uint32_t told;	  /* blocks that came back */
	_Atomic uint32_t looked;  /* of these, looked at */
	_Atomic uint32_t percent; /* written, a running mean */
	_Atomic uint32_t chosen;
	_Atomic uint32_t live;	  /* blocks */
	_Atomic uint32_t filled;  /* at most so many were live and one full */
	_Atomic bool seen;	  /* a live block was looked at: */
	_Atomic uint32_t touched; /* percent of the last one */
} buckets[HL_LEARN_KINDS];

unsigned hl_learn_kind(size_t bytes)
{
	return HL_MAX(HL_MIN(hl_log2(bytes), HL_LEARN_KINDS - 1), 1u);
}

void hl_learn_count(unsigned kind, int change)
{
	if (kind == HL_LEARN_NONE)
		return;
	atomic_fetch_add_explicit(
		&buckets[kind].live, (uint32_t)change, memory_order_relaxed);
}

static uint32_t get(_Atomic uint32_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static void set(_Atomic uint32_t *value, uint32_t to)
{
	atomic_store_explicit(value, to, memory_order_relaxed);
}

/* A part of a page may be missing: that then stands on other memory. */
static bool pool_holds(size_t bytes, size_t page_bytes)
{
	uint64_t pages = hl_supply_hpages(page_bytes, HL_NODE_ANY);

	return pages > 0 && bytes / page_bytes <= pages;
}

static bool pool_is_ample(size_t bytes, size_t page_bytes)
{
	uint64_t pages = hl_supply_hpages(page_bytes, HL_NODE_ANY);

	return bytes / page_bytes < pages / 8;
}

/*
 * What was wished in vain is not looked at when it comes back, as little as
 * what was populated: what is learned shall not depend on the pool.
 */
static const struct hl_learn_choice in_vain = {.backing = HL_LEARN_LAZY};

/* For the pool, if it has the room. */
static struct hl_learn_choice wish(
	bool has_room, struct hl_learn_choice otherwise)
{
	if (has_room)
		otherwise =
			(struct hl_learn_choice){.backing = HL_LEARN_POPULATE};
	otherwise.wished = true;
	return otherwise;
}

/* One more than the program is known to fill; lazy does not mean base pages. */
static bool is_unheard_of(struct bucket *b)
{
	return hl_supply_thp() && get(&b->live) >= get(&b->filled);
}

static struct hl_learn_choice choose_auto(size_t bytes, size_t page_bytes)
{
	struct hl_learn_choice choice = {HL_LEARN_LAZY, .tell = true};
	unsigned kind = hl_learn_kind(bytes);
	struct bucket *b = &buckets[kind];
	uint32_t percent = get(&b->percent);

	if (hl_learn_is_sparse(kind)) {
		choice.backing = HL_LEARN_SPARSE;
		return choice;
	}
	if (get(&b->looked) < 2) {
		/* Without THP only populating gives huge pages at all. */
		if (!hl_supply_thp() && page_bytes != 0 && bytes <= AUTO_MAX)
			return wish(pool_is_ample(bytes, page_bytes), in_vain);
		return choice;
	}
	if (percent <= SPARSE)
		choice.backing = HL_LEARN_SPARSE;
	if (percent < DENSE || page_bytes == 0 || is_unheard_of(b))
		return choice;
	if (atomic_fetch_add_explicit(&b->chosen, 1, memory_order_relaxed) %
			RELEARN_EVERY ==
		RELEARN_EVERY - 1)
		return choice;
	return wish(pool_holds(bytes, page_bytes), in_vain);
}

struct hl_learn_choice hl_learn_choose(size_t bytes, size_t page_bytes)
{
	switch (hl_opt.populate) {
	case HL_POPULATE_NO:
		return in_vain;
	case HL_POPULATE_ALL:
		return page_bytes == 0
			       ? in_vain
			       : wish(pool_holds(bytes, page_bytes), in_vain);
	case HL_POPULATE_SIZE:
		/* Where it is short, what was learned still saves memory. */
		if (page_bytes != 0 && bytes <= hl_opt.populate_bytes)
			return wish(pool_holds(bytes, page_bytes),
				choose_auto(bytes, page_bytes));
		break;
	case HL_POPULATE_AUTO:
		break;
	}
	return choose_auto(bytes, page_bytes);
}

static bool is_written(const void *page, size_t bytes)
{
	const uint64_t *word = page;
	size_t i;

	for (i = 0; i < bytes / sizeof(*word); i++)
		if (word[i] != 0)
			return true;
	return false;
}

/* One byte written makes all of a THP resident, but not so of base pages. */
static bool is_exact(const void *page)
{
	const struct hl_area *area = hl_area_find(page);

	return area != NULL &&
	       hl_area_is_base(area,
		       ((uintptr_t)page - hl_area_base(area)) >> HL_UNIT_SHIFT);
}

static unsigned written_percent(const void *block, size_t bytes)
{
	size_t page = hl_base_page_bytes();
	uintptr_t from = hl_align_up((uintptr_t)block, page);
	size_t pages = ((uintptr_t)block + bytes - from) / page;
	unsigned i, written = 0, n = (unsigned)HL_MIN(pages, (size_t)SAMPLES);

	for (i = 0; i < n; i++) {
		void *p = (void *)(from + pages * i / n * page);
		unsigned char resident = 0;

		/* Not resident: reading it would make it so. */
		if (hl_os->mincore(p, page, &resident) == 0 && (resident & 1) &&
			(is_exact(p) || is_written(p, page)))
			written++;
	}
	return n == 0 ? 0 : written * 100 / n;
}

bool hl_learn_may_be_lazy(unsigned kind)
{
	switch (hl_opt.populate) {
	case HL_POPULATE_NO:
	case HL_POPULATE_ALL:
		return false;
	case HL_POPULATE_SIZE:
		return (size_t)1 << kind > hl_opt.populate_bytes;
	case HL_POPULATE_AUTO:
		break;
	}
	return true;
}

void hl_learn_live(unsigned kind, unsigned percent)
{
	set(&buckets[kind].touched, percent);
	atomic_store_explicit(&buckets[kind].seen, true, memory_order_relaxed);
}

bool hl_learn_is_sparse(unsigned kind)
{
	struct bucket *b = &buckets[kind];

	return atomic_load_explicit(&b->seen, memory_order_relaxed) &&
	       get(&b->touched) < HL_LEARN_DENSE;
}

void hl_learn_tell(unsigned kind, const void *block, size_t bytes)
{
	struct bucket *b = &buckets[kind];
	uint32_t told =
		atomic_fetch_add_explicit(&b->told, 1, memory_order_relaxed);
	uint32_t now, looked, live = get(&b->live);

	if (told >= ALWAYS_FIRST && told % THEN_EVERY != 0)
		return;
	now = written_percent(block, bytes);
	looked = get(&b->looked);
	set(&b->percent, looked == 0 ? now : (get(&b->percent) * 3 + now) / 4);
	set(&b->looked, looked + 1);
	if (now >= DENSE && live > get(&b->filled))
		set(&b->filled, live);
	/* It was on base pages in vain. */
	if (hl_learn_is_sparse(kind) && now >= HL_LEARN_DENSE)
		hl_learn_live(kind, now);
}

void hl_learn_forget(void)
{
	memset(buckets, 0, sizeof(buckets));
}
