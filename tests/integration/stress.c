/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See stress.h. The contents of a block are a stream of words that follow from
 * its key, so that what remains after a realloc is a prefix of it. Large blocks
 * are mostly filled in one word of each page: they stay as lazy as a program
 * leaves them.
 */
#include "stress.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef STRESS_DIRECT
#include "backing/area.h"
#include "heap/heap.h"
#include "heap/setup.h"

#define call_malloc	 hl_malloc
#define call_calloc	 hl_calloc
#define call_realloc	 hl_realloc
#define call_free	 hl_free
#define call_memalign	 hl_memalign
#define call_usable_size hl_usable_size
#else
#define call_malloc	 malloc
#define call_calloc	 calloc
#define call_realloc	 realloc
#define call_free	 free
#define call_memalign	 memalign
#define call_usable_size malloc_usable_size
#endif

#define PAGE  ((size_t)4096)
#define LARGE ((size_t)2 << 20)

#if !STRESS_CHILD_THREADS
#define DEFAULTS __attribute__((visibility("default")))

DEFAULTS const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

/* The copy of a page under conversion: mprotect keeps writers away from it, or
 * rather makes them wait, which the sanitizer cannot know. */
DEFAULTS const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:hl_convert_page";
}
#endif

uint64_t stress_bytes_max;
bool stress_may_fail;
_Atomic uint64_t stress_live;

static struct {
	_Atomic uint64_t made, zeroed, aligned, resized, moved, large, refused;
	_Atomic uint64_t live_peak;
} seen;

/* splitmix64 */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t stress_draw(struct stress_rng *rng, uint64_t bound)
{
	return mix(rng->state += 0x9e3779b97f4a7c15u) % bound;
}

void stress_fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "it_stress[%d]: ", (int)getpid());
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	abort();
}

void stress_setup(void)
{
#ifdef STRESS_DIRECT
	static const struct hl_next_allocator none;

	if (!hl_setup(environ, true, &none))
		stress_fail("hl_setup");
	/* What the preload object does once it has interposed sigaction. */
	hl_heal_install();
	hl_heap_configure();
#endif
}

void stress_trim(void)
{
#ifdef STRESS_DIRECT
	hl_heap_release();
#else
	malloc_trim(0);
#endif
}

static inline uint64_t word_at(uint64_t key, size_t at)
{
	return (key + at) * 0x9e3779b97f4a7c15u;
}

static void wrong(const struct stress_block *block, size_t at, const char *when)
{
	stress_fail("block %p of %zu bytes, %s: wrong at byte %zu (%s, key "
		    "%#" PRIx64 ")",
		(void *)block->p, block->bytes, when, at,
		block->dense ? "dense" : "sparse", block->key);
}

/* Bytes [0, bytes) of the stream, in a dense block. */
static void fill_dense(unsigned char *p, size_t bytes, uint64_t key)
{
	uint64_t word;
	size_t at;

	for (at = 0; at + sizeof(word) <= bytes; at += sizeof(word)) {
		word = word_at(key, at);
		memcpy(p + at, &word, sizeof(word));
	}
	word = word_at(key, at);
	memcpy(p + at, &word, bytes - at);
}

static void check_dense(
	const struct stress_block *block, size_t bytes, const char *when)
{
	uint64_t word;
	size_t at;

	for (at = 0; at + sizeof(word) <= bytes; at += sizeof(word)) {
		word = word_at(block->key, at);
		if (memcmp(block->p + at, &word, sizeof(word)) != 0)
			wrong(block, at, when);
	}
	word = word_at(block->key, at);
	if (memcmp(block->p + at, &word, bytes - at) != 0)
		wrong(block, at, when);
}

/* The place of the known word in a page differs from page to page; it is never
 * at the end, where the last byte of the block is known as well. */
static size_t place_in(size_t page)
{
	return page * PAGE + page * 2654435761u % (PAGE / 8 - 1) * 8;
}

static void fill_sparse(unsigned char *p, size_t bytes, uint64_t key)
{
	for (size_t page = 0; (page + 1) * PAGE <= bytes; page++) {
		size_t at = place_in(page);
		uint64_t word = word_at(key, at);

		memcpy(p + at, &word, sizeof(word));
	}
	p[bytes - 1] = (unsigned char)key;
}

static void check_sparse(
	const struct stress_block *block, size_t bytes, const char *when)
{
	for (size_t page = 0; (page + 1) * PAGE <= bytes; page++) {
		size_t at = place_in(page);
		uint64_t word = word_at(block->key, at);

		if (memcmp(block->p + at, &word, sizeof(word)) != 0)
			wrong(block, at, when);
	}
}

static void fill(struct stress_rng *rng, struct stress_block *block)
{
	block->key = stress_draw(rng, UINT64_MAX);
	block->dense = block->bytes < 64 * PAGE || stress_draw(rng, 8) == 0;
	if (block->dense)
		fill_dense(block->p, block->bytes, block->key);
	else
		fill_sparse(block->p, block->bytes, block->key);
}

static void check(
	const struct stress_block *block, size_t bytes, const char *when)
{
	if (block->dense)
		check_dense(block, bytes, when);
	else
		check_sparse(block, bytes, when);
}

void stress_check(const struct stress_block *block)
{
	size_t last = block->bytes - 1;

	if (block->p == NULL)
		return;
	check(block, block->bytes, "at rest");
	/* The one byte of a sparse block that no prefix of it has. */
	if (!block->dense && block->p[last] != (unsigned char)block->key)
		wrong(block, last, "at rest");
}

/* Uniform in the logarithm, 0 now and then. */
static size_t draw_up_to(struct stress_rng *rng, unsigned log2_max)
{
	size_t max = (size_t)1 << stress_draw(rng, log2_max + 1);

	return stress_draw(rng, max + 1);
}

static size_t draw_bytes(struct stress_rng *rng)
{
	uint64_t kind = stress_draw(rng, 4000);
	size_t bytes;

	if (kind < 2800)
		bytes = stress_draw(rng, 257);
	else if (kind < 3700)
		bytes = draw_up_to(rng, 15);
	else if (kind < 3930)
		bytes = draw_up_to(rng, 20);
	else if (kind < 3985)
		bytes = draw_up_to(rng, 23);
	else
		bytes = draw_up_to(rng, 26);
	if (bytes > 65536 &&
		atomic_load(&stress_live) + bytes > stress_bytes_max)
		bytes = stress_draw(rng, 1024);
	return bytes;
}

static void count_live(size_t add, size_t sub)
{
	uint64_t live = atomic_fetch_add(&stress_live, add - sub) + add - sub;
	uint64_t peak = atomic_load(&seen.live_peak);

	while (live > peak &&
		!atomic_compare_exchange_weak(&seen.live_peak, &peak, live))
		;
	if (add > LARGE)
		atomic_fetch_add(&seen.large, 1);
}

static bool is_refused(const void *p, size_t bytes)
{
	if (p != NULL)
		return false;
	if (!stress_may_fail)
		stress_fail("%zu bytes refused: %s", bytes, strerror(errno));
	if (errno != ENOMEM)
		stress_fail("refused with errno %d", errno);
	atomic_fetch_add(&seen.refused, 1);
	return true;
}

static void check_shape(const struct stress_block *block, size_t align)
{
	size_t least = block->bytes < 16 ? 8 : 16;
	size_t usable = call_usable_size(block->p);

	if (align < least)
		align = least;
	if ((uintptr_t)block->p % align != 0)
		stress_fail("block %p of %zu bytes is not aligned to %zu",
			(void *)block->p, block->bytes, align);
	if (usable < block->bytes)
		stress_fail("block %p of %zu bytes: usable %zu",
			(void *)block->p, block->bytes, usable);
	/* All of it belongs to the caller. */
	if (usable - block->bytes < PAGE)
		memset(block->p + block->bytes, 0xee, usable - block->bytes);
}

static void check_zero(struct stress_rng *rng, const struct stress_block *block)
{
	size_t bytes = block->bytes, step = 1, at;

	/* In a large one a byte of every page will do, but another each time.
	 */
	if (bytes > 64 * PAGE && stress_draw(rng, 4) != 0)
		step = PAGE - 1;
	for (at = stress_draw(rng, step); at < bytes; at += step)
		if (block->p[at] != 0)
			stress_fail("calloc of %zu bytes at %p: byte %zu is %u",
				bytes, (void *)block->p, at, block->p[at]);
	if (bytes > 0 && block->p[bytes - 1] != 0)
		stress_fail("calloc of %zu bytes at %p: the last byte is %u",
			bytes, (void *)block->p, block->p[bytes - 1]);
}

static void *make_aligned(struct stress_rng *rng, size_t bytes, size_t *align)
{
	/* Up to a page mostly, up to 4 MiB at times. */
	*align = (size_t)1 << stress_draw(
			 rng, stress_draw(rng, 16) == 0 ? 23 : 13);
	atomic_fetch_add(&seen.aligned, 1);
#ifndef STRESS_DIRECT
	if (*align >= sizeof(void *) && stress_draw(rng, 2) == 0) {
		void *p = NULL;
		int err = posix_memalign(&p, *align, bytes);

		if (err != 0) {
			errno = err;
			return NULL;
		}
		return p;
	}
#endif
	return call_memalign(*align, bytes);
}

void stress_make(struct stress_rng *rng, struct stress_block *block)
{
	uint64_t how = stress_draw(rng, 16), unit;
	size_t align = 1;

	block->bytes = draw_bytes(rng);
	if (how == 0) {
		block->p = make_aligned(rng, block->bytes, &align);
	} else if (how < 5) {
		unit = 1 + stress_draw(rng, 24);
		if (block->bytes > stress_bytes_max / 32)
			unit = 1;
		block->p = call_calloc(block->bytes / unit, unit);
		block->bytes = block->bytes / unit * unit;
	} else if (how < 6) {
		block->p = call_realloc(NULL, block->bytes);
	} else {
		block->p = call_malloc(block->bytes);
	}
	if (is_refused(block->p, block->bytes))
		return;
	count_live(block->bytes, 0);
	atomic_fetch_add(&seen.made, 1);
	if (how > 0 && how < 5) {
		atomic_fetch_add(&seen.zeroed, 1);
		check_zero(rng, block);
	}
	check_shape(block, align);
	fill(rng, block);
}

/* By a little, as a string grows; by half; to anything. */
static size_t draw_new_bytes(struct stress_rng *rng, size_t bytes)
{
	size_t to;

	switch (stress_draw(rng, 4)) {
	case 0:
		to = bytes + stress_draw(rng, 64);
		break;
	case 1:
		to = bytes + bytes / 2 + 1;
		break;
	case 2:
		to = bytes / 2 + 1;
		break;
	default:
		to = draw_bytes(rng) + 1;
		break;
	}
	/* realloc to 0 frees; that is stress_free's. */
	if (to == 0 || to > ((size_t)64 << 20) ||
		(to > bytes && to > 65536 &&
			atomic_load(&stress_live) + to > stress_bytes_max))
		to = 1 + bytes / 2;
	return to;
}

void stress_resize(struct stress_rng *rng, struct stress_block *block)
{
	size_t was = block->bytes, to;
	unsigned char *p;

	stress_check(block);
	to = draw_new_bytes(rng, was);
	p = call_realloc(block->p, to);
	if (is_refused(p, to)) {
		stress_check(block);
		return;
	}
	count_live(to, was);
	atomic_fetch_add(&seen.resized, 1);
	atomic_fetch_add(&seen.moved, p != block->p);
	block->p = p;
	block->bytes = to;
	check(block, to < was ? to : was, "after realloc");
	check_shape(block, 1);
	fill(rng, block);
}

void stress_free(struct stress_rng *rng, struct stress_block *block)
{
	if (block->p == NULL)
		return;
	stress_check(block);
	count_live(0, block->bytes);
	if (stress_draw(rng, 16) == 0 && block->bytes > 0) {
		void *gone = call_realloc(block->p, 0);

		/* Freed, or a new block of no bytes. */
		call_free(gone);
	} else {
		call_free(block->p);
	}
	*block = (struct stress_block){0};
}

void *stress_record(size_t bytes)
{
	void *record = call_malloc(bytes);

	return is_refused(record, bytes) ? NULL : record;
}

void stress_record_free(void *record)
{
	call_free(record);
}

void stress_summary(void)
{
	printf("%" PRIu64 " made (%" PRIu64 " zeroed, %" PRIu64
	       " aligned, %" PRIu64 " over 2 MiB), %" PRIu64
	       " resized (%" PRIu64 " moved), %" PRIu64
	       " refused, at most %" PRIu64 " MiB live\n",
		seen.made, seen.zeroed, seen.aligned, seen.large, seen.resized,
		seen.moved, seen.refused, seen.live_peak >> 20);
}
