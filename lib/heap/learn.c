/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Density is judged by content: a page counts as written if any word of it is
 * not zero. Residency cannot tell, since one byte written makes all of a THP
 * resident; and this is how the kernel's own THP shrinker judges.
 */
#include "heap/learn.h"

#include "backing/area.h"
#include "base/opt.h"
#include "system/os.h"
#include "system/sys.h"

#include <stdatomic.h>

#define BUCKETS	      48u
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
} buckets[BUCKETS];

static struct bucket *bucket_of(size_t bytes)
{
	return &buckets[HL_MIN(hl_log2(bytes), BUCKETS - 1)];
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

static struct hl_learn_choice choose_auto(size_t bytes, size_t page_bytes)
{
	struct hl_learn_choice choice = {HL_LEARN_LAZY, .tell = true};
	struct bucket *b = bucket_of(bytes);
	uint32_t looked =
		atomic_load_explicit(&b->looked, memory_order_relaxed);
	uint32_t percent =
		atomic_load_explicit(&b->percent, memory_order_relaxed);

	if (looked < 2) {
		/* Without THP only populating gives huge pages at all. */
		if (!hl_supply_thp() && page_bytes != 0 && bytes <= AUTO_MAX)
			return wish(pool_is_ample(bytes, page_bytes), in_vain);
		return choice;
	}
	if (percent <= SPARSE)
		choice.backing = HL_LEARN_SPARSE;
	if (percent < DENSE || page_bytes == 0)
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
			is_written(p, page))
			written++;
	}
	return n == 0 ? 0 : written * 100 / n;
}

void hl_learn_tell(const void *block, size_t bytes)
{
	struct bucket *b = bucket_of(bytes);
	uint32_t told =
		atomic_fetch_add_explicit(&b->told, 1, memory_order_relaxed);
	uint32_t percent, now, looked;

	if (told >= ALWAYS_FIRST && told % THEN_EVERY != 0)
		return;
	now = written_percent(block, bytes);
	looked = atomic_load_explicit(&b->looked, memory_order_relaxed);
	percent = atomic_load_explicit(&b->percent, memory_order_relaxed);
	percent = looked == 0 ? now : (percent * 3 + now) / 4;
	atomic_store_explicit(&b->percent, percent, memory_order_relaxed);
	atomic_store_explicit(&b->looked, looked + 1, memory_order_relaxed);
}
