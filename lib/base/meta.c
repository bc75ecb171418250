/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory for our own records: a bump allocator that never gives back.
 *
 * It starts in 32 KiB of .bss, goes on in anonymous mappings that grow with
 * what was used so far (an eighth of it, 128 KiB at least, 1 MiB at most), so
 * that it weighs little under ulimit -v. A request that would waste much of a
 * chunk gets a mapping of its own. If the kernel refuses a chunk, the exact
 * need is tried before we give up.
 *
 * Lock: meta_lock (HL_RANK_META) guards the bump pointers. mmap is the only
 * system call made under it. Anonymous memory arrives zeroed and every byte is
 * handed out once, so nothing is ever cleared.
 */
#include "base/meta.h"
#include "base/count.h"
#include "base/lock.h"
#include "base/syscall.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define FIRST_BYTES (32 * HL_KIB)
#define CHUNK_MIN   (128 * HL_KIB)
#define CHUNK_MAX   HL_MIB
/* What mappings are rounded to; a larger base page rounds up by itself. */
#define MAP_GRAIN (4 * HL_KIB)

static _Alignas(4096) char first_chunk[FIRST_BYTES];

static struct hl_lock meta_lock = HL_LOCK_INIT(HL_RANK_META);
static char *bump_next = first_chunk;
static char *bump_end = first_chunk + FIRST_BYTES;
static _Atomic size_t used_bytes;

static void *map(size_t bytes, int extra_flags)
{
	long result =
		hl_syscall(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);

	/* -errno is the top 4095 values; no mapping starts there. */
	return result < 0 && result >= -4095 ? NULL : (void *)result;
}

/* Bytes to skip so that bump_next is aligned. */
static size_t bump_pad(size_t align)
{
	return (size_t)(-(uintptr_t)bump_next & (align - 1));
}

static bool refill(size_t bytes)
{
	size_t used = atomic_load_explicit(&used_bytes, memory_order_relaxed);
	size_t want = hl_align_down(used / 8, CHUNK_MIN);
	void *chunk;

	want = HL_MIN(HL_MAX(want, CHUNK_MIN), CHUNK_MAX);
	chunk = map(want, 0);
	if (!chunk) {
		want = hl_align_up(bytes, MAP_GRAIN);
		chunk = map(want, 0);
	}
	if (!chunk)
		return false;
	/* Neighbours are one chunk: the old rest is not lost. */
	if (chunk != bump_end)
		bump_next = chunk;
	bump_end = (char *)chunk + want;
	return true;
}

static void *alloc_locked(size_t bytes, size_t align)
{
	size_t pad = bump_pad(align);
	char *p;

	if ((size_t)(bump_end - bump_next) < pad + bytes) {
		/* A fresh chunk is page-aligned: no pad is needed there. */
		if (bytes > CHUNK_MIN / 4)
			return map(hl_align_up(bytes, MAP_GRAIN), 0);
		if (!refill(bytes + align))
			return NULL;
		pad = bump_pad(align);
	}
	p = bump_next + pad;
	bump_next = p + bytes;
	return p;
}

void *hl_meta_alloc(size_t bytes, size_t align)
{
	void *p;

	HL_ASSERT(hl_is_pow2(align) && align <= 4096);
	if (bytes > SIZE_MAX / 2)
		return NULL;
	hl_lock_acquire(&meta_lock);
	p = alloc_locked(bytes, align);
	hl_lock_release(&meta_lock);
	if (!p)
		return NULL;
	atomic_fetch_add_explicit(&used_bytes, bytes, memory_order_relaxed);
	hl_count(meta_bytes, bytes);
	return p;
}

void *hl_meta_map(size_t bytes)
{
	void *p = map(bytes, MAP_NORESERVE);

	/* One touched entry must not make 2 MiB resident under THP=always. */
	if (p)
		(void)hl_syscall(SYS_madvise, (long)p, (long)bytes,
			MADV_NOHUGEPAGE, 0, 0, 0);
	return p;
}

void hl_meta_unmap(void *p, size_t bytes)
{
	if (p)
		(void)hl_syscall(SYS_munmap, (long)p, (long)bytes, 0, 0, 0, 0);
}

size_t hl_meta_bytes(void)
{
	return atomic_load_explicit(&used_bytes, memory_order_relaxed);
}

void hl_meta_fork_prepare(void)
{
	hl_lock_acquire_fork(&meta_lock);
}

void hl_meta_fork_parent(void)
{
	hl_lock_release_fork(&meta_lock);
}

void hl_meta_fork_child(void)
{
	hl_lock_reset(&meta_lock);
}

static void push(struct hl_pool_of *pool, void *record)
{
	*(void **)record = pool->free;
	pool->free = record;
	pool->spare++;
}

void *hl_pool_of_take(struct hl_pool_of *pool)
{
	void *record = pool->free;

	HL_ASSERT(pool->bytes >= sizeof(void *));
	if (record) {
		pool->free = *(void **)record;
		pool->spare--;
		memset(record, 0, pool->bytes);
	} else {
		record = hl_meta_alloc(pool->bytes, pool->align);
	}
	if (record)
		pool->count++;
	return record;
}

void hl_pool_of_give(struct hl_pool_of *pool, void *record)
{
	HL_ASSERT(pool->count > 0);
	pool->count--;
	push(pool, record);
}

bool hl_pool_of_reserve(struct hl_pool_of *pool, size_t n)
{
	while (pool->spare < n) {
		void *record = hl_meta_alloc(pool->bytes, pool->align);

		if (!record)
			return false;
		push(pool, record);
	}
	return true;
}
