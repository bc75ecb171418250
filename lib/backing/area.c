/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Areas: address space, the records, and finding them again.
 *
 * The records form a list that only grows; a closed area's record is reused.
 * Opening and closing is done under list_lock; hl_area_find() takes no lock,
 * because signal handlers call it: it reads a record between two looks at its
 * sequence number, and a record that changes meanwhile is not the one it seeks,
 * as a fault can only come from an area that is open.
 *
 * An area is mapped without MAP_NORESERVE: PROT_NONE costs nothing under any
 * overcommit rule, and mprotect() to read-write is then charged and refused
 * exactly as plain malloc's memory would be.
 */
#include "backing/area_internal.h"

#include "base/syscall.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static struct hl_lock list_lock = HL_LOCK_INIT(HL_RANK_AREA);
static struct hl_area *_Atomic records;
static struct hl_pool_of record_pool = {
	.bytes = sizeof(struct hl_area),
	.align = 64,
};

uintptr_t hl_area_base(const struct hl_area *area)
{
	return atomic_load_explicit(&area->base, memory_order_relaxed);
}

bool hl_area_whole_pages(const struct hl_area *area, size_t page_bytes,
	size_t from, size_t to, size_t *start, size_t *end)
{
	size_t first = hl_area_base(area) >> HL_UNIT_SHIFT;
	size_t grain = hl_grain(page_bytes);
	size_t low = hl_align_up(first + from, grain) - first;
	size_t high = hl_align_down(first + to, grain) - first;

	/* By addresses: the last page may end before the area begins. */
	if (first + low + grain > first + to)
		return false;
	*start = low;
	*end = high;
	return true;
}

size_t hl_area_units(const struct hl_area *area)
{
	return atomic_load_explicit(&area->units, memory_order_relaxed);
}

struct hl_area *hl_area_first(void)
{
	return atomic_load_explicit(&records, memory_order_acquire);
}

struct hl_area *hl_area_next(const struct hl_area *area)
{
	return atomic_load_explicit(&area->next, memory_order_acquire);
}

/* ---- address space ---- */

static int map_at(void *hint, size_t bytes, void **out)
{
	return hl_os->mmap(hint, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0, out);
}

/*
 * Asks for the exact size first: recent kernels align large mappings by
 * themselves, and the surplus of the second way may exceed `ulimit -v`.
 */
static int map_aligned(size_t bytes, size_t align, void **out)
{
	uintptr_t hint;
	void *p;
	int rc = map_at(NULL, bytes, &p);

	if (rc < 0)
		return rc;
	hint = hl_align_down((uintptr_t)p, align);
	if (hint == (uintptr_t)p)
		goto done;
	(void)hl_os->munmap(p, bytes);
	rc = hl_map_aligned(bytes, align, PROT_NONE, out);
	if (rc == 0)
		return 0;
	rc = map_at((void *)hint, bytes, &p);
	if (rc < 0)
		return rc;
	if ((uintptr_t)p % align != 0) {
		(void)hl_os->munmap(p, bytes);
		return -ENOMEM;
	}
done:
	*out = p;
	return 0;
}

/* ---- records ---- */

static void *take_resv_node(void *arg)
{
	struct hl_area *area = arg;

	return hl_pool_of_take(&area->resv_nodes);
}

static void give_resv_node(void *arg, void *node)
{
	struct hl_area *area = arg;

	hl_pool_of_give(&area->resv_nodes, node);
}

static struct hl_area *make_record(void)
{
	struct hl_resv_alloc alloc = {
		.take = take_resv_node,
		.give = give_resv_node,
	};
	struct hl_area *area = hl_pool_of_take(&record_pool);

	if (area == NULL)
		return NULL;
	hl_lock_init(&area->lock, HL_RANK_BACKING);
	area->resv_nodes.bytes = hl_resv_node_bytes;
	area->resv_nodes.align = 16;
	alloc.arg = area;
	hl_resv_init(&area->resv, &alloc);
	/* Odd until it is open: readers pass it over. */
	atomic_store_explicit(&area->seq, 1, memory_order_relaxed);
	atomic_store_explicit(
		&area->next, hl_area_first(), memory_order_relaxed);
	atomic_store_explicit(&records, area, memory_order_release);
	return area;
}

static bool make_state(struct hl_area *area, size_t units)
{
	size_t capacity, bytes;
	hl_unit_state *state;

	if (units <= area->state_capacity)
		return true;
	/*
	 * The old words stay mapped for a handler that is just reading them.
	 * Powers of two keep the sum of what is left behind below what is in
	 * use.
	 */
	capacity = (size_t)1 << (hl_log2(units * 2 - 1));
	bytes = capacity * sizeof(*state);
	state = bytes <= 4096 ? hl_meta_alloc(bytes, 64) : hl_meta_map(bytes);
	if (state == NULL)
		return false;
	atomic_store_explicit(&area->state, state, memory_order_release);
	area->state_capacity = capacity;
	return true;
}

/* The closed record whose words fit best, or a new one. */
static struct hl_area *take_record(size_t units)
{
	struct hl_area *best = NULL, *a;

	HL_REQUIRES(&list_lock);
	for (a = hl_area_first(); a != NULL; a = hl_area_next(a)) {
		if (hl_area_units(a) != 0)
			continue;
		if (best == NULL ||
			(a->state_capacity >= units) >
				(best->state_capacity >= units) ||
			(a->state_capacity >= units &&
				a->state_capacity < best->state_capacity))
			best = a;
	}
	if (best == NULL)
		best = make_record();
	if (best == NULL || !make_state(best, units))
		return NULL;
	return best;
}

int hl_area_open(
	size_t units, size_t align, bool dedicated, struct hl_area **out)
{
	struct hl_area *area;
	size_t bytes;
	void *base;
	int rc;

	HL_ASSERT(units > 0 && (align == 0 || hl_is_pow2(align)));
	if (!hl_mul_ok(units, HL_UNIT_BYTES, &bytes))
		return -ENOMEM;
	rc = map_aligned(bytes, HL_MAX(align, HL_UNIT_BYTES), &base);
	if (rc < 0)
		return -ENOMEM;
	hl_lock_acquire(&list_lock);
	area = take_record(units);
	if (area != NULL) {
		area->dedicated = dedicated;
		atomic_store_explicit(
			&area->base, (uintptr_t)base, memory_order_relaxed);
		atomic_store_explicit(
			&area->units, units, memory_order_relaxed);
		atomic_fetch_add_explicit(&area->seq, 1, memory_order_release);
	}
	hl_lock_release(&list_lock);
	if (area == NULL) {
		(void)hl_os->munmap(base, bytes);
		return -ENOMEM;
	}
	*out = area;
	return 0;
}

/* Address space, but for what is someone else's by now. */
static void unmap(struct hl_area *area, size_t from, size_t units)
{
	size_t to;

	while (from < units) {
		bool lost = hl_unit_load(area, from) & HL_UNIT_LOST;

		for (to = from + 1; to < units; to++) {
			if ((bool)(hl_unit_load(area, to) & HL_UNIT_LOST) !=
				lost)
				break;
		}
		if (!lost)
			(void)hl_os->munmap(hl_unit_addr(area, from),
				(to - from) * HL_UNIT_BYTES);
		from = to;
	}
}

/* Units [from, to), all NONE, are as if they had never been in use. */
static void forget(struct hl_area *area, size_t from, size_t to)
{
	for (size_t u = from; u < to; u++) {
		uint32_t word = hl_unit_load(area, u);

		HL_CHECK(hl_word_kind(word) == HL_BACKING_NONE);
		if (word != 0)
			hl_unit_store(area, u, 0);
	}
	hl_lock_acquire(&area->lock);
	/* Indices that a release had no node to take out. */
	(void)hl_resv_del(&area->resv, (int64_t)from, (int64_t)to);
	hl_lock_release(&area->lock);
}

void hl_area_trim(struct hl_area *area, size_t units)
{
	size_t had = hl_area_units(area);

	HL_ASSERT(units > 0 && units <= had);
	if (units == had)
		return;
	/* First: its addresses may belong to another area in a moment. A
	 * handler must find the rest meanwhile, so that `seq` stays even. */
	atomic_store_explicit(&area->units, units, memory_order_release);
	unmap(area, units, had);
	forget(area, units, had);
}

void hl_area_close(struct hl_area *area)
{
	size_t units = hl_area_units(area);

	HL_ASSERT(units != 0);
	/* Odd first: its addresses may belong to another area in a moment. */
	atomic_fetch_add_explicit(&area->seq, 1, memory_order_acq_rel);
	unmap(area, 0, units);
	forget(area, 0, units);
	hl_lock_acquire(&area->lock);
	HL_ASSERT(area->charged == 0);
	area->subpool = NULL;
	hl_lock_release(&area->lock);

	/* From here on the record may be taken. */
	hl_lock_acquire(&list_lock);
	atomic_store_explicit(&area->base, 0, memory_order_relaxed);
	atomic_store_explicit(&area->units, 0, memory_order_relaxed);
	hl_lock_release(&list_lock);
}

struct hl_area *hl_area_find(const void *addr)
{
	uintptr_t at = (uintptr_t)addr;
	struct hl_area *a;

	for (a = hl_area_first(); a != NULL; a = hl_area_next(a)) {
		uint32_t seq =
			atomic_load_explicit(&a->seq, memory_order_acquire);
		uintptr_t base = hl_area_base(a);
		size_t units = hl_area_units(a);

		if (seq & 1 || at - base >= units * HL_UNIT_BYTES)
			continue;
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&a->seq, memory_order_relaxed) == seq)
			return a;
	}
	return NULL;
}

enum hl_backing_kind hl_area_kind(const struct hl_area *area, size_t unit)
{
	return unit < hl_area_units(area)
		       ? hl_word_kind(hl_unit_load(area, unit))
		       : HL_BACKING_NONE;
}

size_t hl_area_page_bytes(const struct hl_area *area, size_t unit)
{
	uint32_t word;

	HL_ASSERT(unit < hl_area_units(area));
	word = hl_unit_load(area, unit);
	return hl_word_kind(word) == HL_BACKING_HUGETLB
		       ? hl_word_page_bytes(word)
		       : 0;
}

/* ---- state words ---- */

uint32_t hl_unit_wait(const struct hl_area *area, size_t unit)
{
	uint32_t word;

	/* Yielding is enough: the holder copies one page and takes no lock. */
	while ((word = hl_unit_load(area, unit)) & HL_UNIT_BUSY)
		(void)hl_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	return word;
}

uint32_t hl_unit_claim(struct hl_area *area, size_t unit)
{
	uint32_t word;

	do {
		word = hl_unit_wait(area, unit);
	} while (!atomic_compare_exchange_weak_explicit(
		hl_unit_word(area, unit), &word, word | HL_UNIT_BUSY,
		memory_order_acq_rel, memory_order_relaxed));
	return word;
}

/* ---- fork ---- */

void hl_area_registry_fork_prepare(void)
{
	struct hl_area *a;

	hl_lock_acquire_fork(&list_lock);
	for (a = hl_area_first(); a != NULL; a = hl_area_next(a))
		hl_lock_acquire_fork(&a->lock);
}

void hl_area_registry_fork_parent(void)
{
	struct hl_area *a;

	for (a = hl_area_first(); a != NULL; a = hl_area_next(a))
		hl_lock_release_fork(&a->lock);
	hl_lock_release_fork(&list_lock);
}

void hl_area_registry_fork_child(void)
{
	struct hl_area *a;

	for (a = hl_area_first(); a != NULL; a = hl_area_next(a))
		hl_lock_reset(&a->lock);
	hl_lock_reset(&list_lock);
}
