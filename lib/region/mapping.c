/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which anonymous mappings go on huge pages, and making them. What happens to
 * them later is in mapping_change.c.
 *
 * A mapping qualifies if nobody can tell the difference: anonymous, readable
 * and writable, at least a huge page long, at an address that the kernel is
 * free to choose. What must lie at an address, or is not accessible yet, is
 * advised for THP at most; stacks, and what the program expects to use a small
 * part of (MAP_NORESERVE), stay as they are.
 *
 * The lock is the outermost: allocation of address space and of pages happens
 * under it.
 */
#include "region/mapping_internal.h"

#include "base/atfork.h"
#include "base/count.h"
#include "base/failure.h"
#include "base/fmt.h"
#include "base/opt.h"
#include "base/syscall.h"
#include "region/shared.h"
#include "system/os.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

_Atomic unsigned hl_mapping_flags;

struct hl_mapping hl_mapping = {.lock = HL_LOCK_INIT(HL_RANK_REGION)};

/* Of what kind the kernel must be asked as the program did. */
#define SPECIAL_FLAGS                                                    \
	(MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_HUGETLB | MAP_GROWSDOWN | \
		MAP_STACK | MAP_LOCKED | MAP_32BIT_)
#ifdef MAP_32BIT
#define MAP_32BIT_ MAP_32BIT
#else
#define MAP_32BIT_ 0
#endif

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define RW (PROT_READ | PROT_WRITE)

void hl_mapping_configure(void)
{
	static atomic_flag done = ATOMIC_FLAG_INIT;
	struct hl_mapping *m = &hl_mapping;
	unsigned flags = 0;
	size_t asked = 0;

	if (atomic_flag_test_and_set(&done))
		return;
	if (hl_opt.mmap[0] != '\0') {
		/* "yes" and "thp" are no sizes. */
		if (hl_parse_size(hl_opt.mmap, &asked) == 0)
			m->private_page_bytes = hl_supply_page_bytes(asked);
		m->thp_bytes = HL_UNIT_BYTES;
		flags |= HL_MAPPING_PRIVATE;
	}
	if (hl_opt.shm) {
		m->shared_page_bytes =
			hl_supply_page_bytes(hl_opt.default_page_bytes);
		if (m->shared_page_bytes != 0)
			flags |= HL_MAPPING_SHARED;
	}
	if (flags == 0)
		return;
	hl_atfork(&hl_mapping_fork_handlers);
	atomic_store_explicit(&hl_mapping_flags, flags, memory_order_release);
}

/* ---- lock ---- */

void hl_mapping_lock(struct hl_mapping_signals *saved)
{
	uint64_t all = UINT64_MAX;

	(void)hl_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all,
		(long)&saved->bits, sizeof(all), 0, 0);
	hl_lock_acquire(&hl_mapping.lock);
}

void hl_mapping_unlock(const struct hl_mapping_signals *saved)
{
	if (hl_mapping.table.count == 0)
		atomic_fetch_and_explicit(&hl_mapping_flags, ~HL_MAPPING_ANY,
			memory_order_relaxed);
	else
		atomic_fetch_or_explicit(&hl_mapping_flags, HL_MAPPING_ANY,
			memory_order_relaxed);
	hl_lock_release(&hl_mapping.lock);
	(void)hl_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&saved->bits, 0,
		sizeof(saved->bits), 0, 0);
}

/* ---- pages of the pool, private ---- */

/* Neither the pool nor a limit of it. */
static void lacks_memory(size_t units, size_t page_bytes)
{
	hl_count_fallback(HL_LIMIT_MEMORY, units);
	hl_failure_record(HL_LIMIT_MEMORY, page_bytes, HL_NODE_ANY,
		units * HL_UNIT_BYTES / page_bytes, 0);
}

/* So many units from the first on can have pages of the pool. */
static size_t affordable(size_t units, enum hl_limit *limit)
{
	size_t page_bytes = hl_mapping.private_page_bytes;
	uint64_t hpages = hl_supply_now(page_bytes, HL_NODE_ANY, limit);
	uint64_t had = hpages * page_bytes / HL_UNIT_BYTES;
	size_t needed = units * HL_UNIT_BYTES / page_bytes;

	if (had >= units) {
		*limit = HL_LIMIT_NONE;
		return units;
	}
	hl_count_fallback(*limit, units - (size_t)had);
	hl_failure_record(*limit, page_bytes, HL_NODE_ANY, needed, hpages);
	return (size_t)had;
}

static int commit(struct hl_area *area, size_t units, size_t on_pool)
{
	struct hl_want want = {
		.page_bytes = hl_mapping.private_page_bytes,
		.thp = true,
		.node = HL_NODE_ANY,
	};
	struct hl_got got;
	int err = hl_area_commit(area, 0, on_pool, &want, &got);

	if (err || on_pool == units)
		return err;
	/* The rest only as it is touched. */
	want.page_bytes = 0;
	want.lazy = true;
	err = hl_area_commit(area, on_pool, units, &want, &got);
	if (err)
		hl_area_release(area, 0, on_pool);
	return err;
}

static int map_on_pool(size_t bytes, void **out)
{
	size_t units = hl_align_up(bytes, HL_UNIT_BYTES) / HL_UNIT_BYTES;
	struct hl_mapped mapped = {0};
	struct hl_mapping_signals saved;
	enum hl_limit limit;
	size_t on_pool = affordable(units, &limit);
	int err;

	if (on_pool == 0)
		return -ENOMEM;
	hl_mapping_lock(&saved);
	err = hl_area_open(
		units, hl_mapping.private_page_bytes, true, &mapped.area);
	if (err) {
		lacks_memory(units, hl_mapping.private_page_bytes);
		goto unlock;
	}
	err = commit(mapped.area, units, on_pool);
	if (err)
		goto close;
	mapped.from = hl_area_base(mapped.area);
	mapped.to = mapped.from + hl_area_units(mapped.area) * HL_UNIT_BYTES;
	mapped.start = mapped.from;
	mapped.end = mapped.from + hl_align_up(bytes, hl_base_page_bytes());
	hl_mapping_private_begin(&mapped);
	err = hl_maptable_insert(&hl_mapping.table, &mapped);
	if (err)
		goto release;
	*out = (void *)mapped.from;
	goto unlock;
release:
	lacks_memory(units, hl_mapping.private_page_bytes);
	hl_area_release(mapped.area, 0, units);
close:
	hl_area_close(mapped.area);
unlock:
	hl_mapping_unlock(&saved);
	return err;
}

/* ---- THP ---- */

static void trim(char *from, char *to)
{
	if (from < to)
		(void)hl_os->munmap(from, (size_t)(to - from));
}

/* One unit more, of which what is before and behind goes back. */
static int map_aligned(size_t bytes, int prot, int flags, void **out)
{
	size_t whole = hl_align_up(bytes, hl_base_page_bytes());
	char *start;
	void *p;
	int err = hl_os->mmap(
		NULL, whole + HL_UNIT_BYTES, prot, flags, -1, 0, &p);

	if (err)
		return err;
	start = (char *)hl_align_up((uintptr_t)p, HL_UNIT_BYTES);
	trim(p, start);
	trim(start + whole, (char *)p + whole + HL_UNIT_BYTES);
	*out = start;
	return 0;
}

/* All of it, or it would be several mappings, which mremap() takes for none. */
static void advise(void *p, size_t bytes)
{
	(void)hl_os->madvise(
		p, hl_align_up(bytes, hl_base_page_bytes()), MADV_HUGEPAGE);
}

/* As MAP_POPULATE, whose failures nobody hears of either. */
static void populate(void *p, size_t bytes, int prot)
{
	if (prot & PROT_WRITE)
		(void)hl_os->madvise(p, bytes, MADV_POPULATE_WRITE);
	else if (prot & PROT_READ)
		(void)hl_os->madvise(p, bytes, MADV_POPULATE_READ);
}

static int map_advised(void *addr, size_t bytes, int prot, int flags, int fd,
	off_t offset, void **out)
{
	void *p, *aligned;
	int err;

	/* Populated by the kernel, it must be advised before. */
	err = hl_os->mmap(
		addr, bytes, prot, flags & ~MAP_POPULATE, fd, offset, &p);
	if (err)
		return err;
	/* Recent kernels align by themselves; address space may be short. */
	if ((uintptr_t)p % HL_UNIT_BYTES != 0 && addr == NULL &&
		!(flags & SPECIAL_FLAGS) &&
		map_aligned(bytes, prot, flags & ~MAP_POPULATE, &aligned) ==
			0) {
		if (hl_os->munmap(p, bytes) == 0)
			p = aligned;
		else
			(void)hl_os->munmap(aligned, bytes);
	}
	advise(p, bytes);
	if (flags & MAP_POPULATE)
		populate(p, hl_align_up(bytes, hl_base_page_bytes()), prot);
	*out = p;
	return 0;
}

/* ---- shared ---- */

static int map_shared(size_t bytes, void **out)
{
	size_t page_bytes = hl_mapping.shared_page_bytes;
	struct hl_mapping_signals saved;
	struct hl_mapped mapped = {.page_bytes = page_bytes};
	size_t whole = hl_align_up(bytes, page_bytes);
	void *p;
	int err = hl_shared_map(NULL, whole, page_bytes, &p);

	if (err)
		return err;
	mapped.from = mapped.start = (uintptr_t)p;
	mapped.to = mapped.from + whole;
	mapped.end = mapped.from + hl_align_up(bytes, hl_base_page_bytes());
	hl_mapping_lock(&saved);
	mapped.forks = hl_mapping.forks;
	err = hl_maptable_insert(&hl_mapping.table, &mapped);
	hl_mapping_unlock(&saved);
	if (err) {
		(void)hl_os->munmap(p, whole);
		lacks_memory(HL_MAX(whole / HL_UNIT_BYTES, 1), page_bytes);
		return err;
	}
	*out = p;
	return 0;
}

/* ---- the call ---- */

static bool is_plain(const void *addr, int prot, int flags, int type)
{
	return (flags & MAP_TYPE) == type && addr == NULL && prot == RW &&
	       !(flags & (SPECIAL_FLAGS | MAP_NORESERVE));
}

/*
 * What the kernel would refuse in any place must not cost the program what is
 * there. Huge pages would be taken twice.
 */
static int try_elsewhere(
	size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *p;
	int err;

	if (flags & MAP_HUGETLB)
		return 0;
	flags &= ~(MAP_FIXED | MAP_POPULATE | MAP_LOCKED);
	err = hl_os->mmap(NULL, bytes, prot, flags, fd, offset, &p);
	if (err == 0)
		(void)hl_os->munmap(p, bytes);
	return err == -ENOMEM || err == -EAGAIN ? 0 : err;
}

/* Something will lie over what we know: it is ours no longer. */
static int make_way(
	void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	int err;

	if (!hl_mapping_is(HL_MAPPING_ANY) || !hl_mapping_knows(addr, bytes))
		return 0;
	err = try_elsewhere(bytes, prot, flags, fd, offset);
	return err ? err : hl_mapping_overlay(addr, bytes);
}

int hl_mapping_map(void *addr, size_t bytes, int prot, int flags, int fd,
	off_t offset, void **out)
{
	bool anonymous = (flags & MAP_ANONYMOUS) && bytes < SIZE_MAX / 2;
	int err = 0;

	if (flags & MAP_FIXED)
		err = make_way(addr, bytes, prot, flags, fd, offset);
	if (err)
		return err;
	if (anonymous && hl_mapping_is(HL_MAPPING_SHARED) &&
		bytes >= hl_mapping.shared_page_bytes &&
		is_plain(addr, prot, flags, MAP_SHARED) &&
		map_shared(bytes, out) == 0)
		return 0;
	if (!anonymous || !hl_mapping_is(HL_MAPPING_PRIVATE) ||
		(flags & MAP_TYPE) != MAP_PRIVATE ||
		bytes < hl_mapping.thp_bytes ||
		(flags & (MAP_HUGETLB | MAP_GROWSDOWN | MAP_STACK |
				 MAP_NORESERVE)))
		return hl_os->mmap(addr, bytes, prot, flags, fd, offset, out);
	if (hl_mapping.private_page_bytes != 0 &&
		bytes >= hl_mapping.private_page_bytes &&
		is_plain(addr, prot, flags, MAP_PRIVATE) &&
		map_on_pool(bytes, out) == 0)
		return 0;
	return map_advised(addr, bytes, prot, flags, fd, offset, out);
}
