/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another malloc, preloaded behind ours or linked to the program, that knows
 * its own blocks: one of anybody else's ends the program. It stands on glibc's
 * second names.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define MAGIC  0x6f746865726d616cu

extern void *__libc_memalign(size_t align, size_t bytes);
extern void __libc_free(void *p);

struct header {
	void *start;
	size_t bytes;
	uint64_t magic;
	uint64_t pad;
};

void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *p, size_t bytes);
void *aligned_alloc(size_t align, size_t bytes);
void free(void *p);
size_t malloc_usable_size(void *p);
void *other_malloc(size_t bytes);
extern _Atomic long other_count;

EXPORT _Atomic long other_count; /* blocks ever */

static struct header *header_of(void *p)
{
	struct header *h = (struct header *)p - 1;
	static const char text[] = "a block of another malloc\n";

	if (((uintptr_t)p & 15) != 0 || h->magic != MAGIC) {
		(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
		abort();
	}
	return h;
}

/* By no exported name: that would be the first object's. */
static void *take(size_t align, size_t bytes)
{
	size_t lead;
	char *start;
	struct header *h;

	if (align < sizeof(*h))
		align = sizeof(*h);
	lead = align;
	if (bytes > PTRDIFF_MAX - lead)
		return NULL;
	start = __libc_memalign(align, bytes + lead);
	if (start == NULL)
		return NULL;
	h = (struct header *)(void *)(start + lead) - 1;
	*h = (struct header){start, bytes, MAGIC, 0};
	other_count++;
	return h + 1;
}

EXPORT void *aligned_alloc(size_t align, size_t bytes)
{
	return take(align, bytes);
}

EXPORT void *malloc(size_t bytes)
{
	return take(16, bytes);
}

EXPORT void *other_malloc(size_t bytes)
{
	return take(16, bytes);
}

EXPORT void *calloc(size_t count, size_t bytes)
{
	void *p = take(16, count * bytes);

	return p != NULL ? memset(p, 0, count * bytes) : NULL;
}

static void give(void *p)
{
	struct header *h;

	if (p == NULL)
		return;
	h = header_of(p);
	h->magic = 0;
	__libc_free(h->start);
}

EXPORT void free(void *p)
{
	give(p);
}

EXPORT size_t malloc_usable_size(void *p)
{
	return p != NULL ? header_of(p)->bytes : 0;
}

EXPORT void *realloc(void *p, size_t bytes)
{
	size_t old = p != NULL ? header_of(p)->bytes : 0;
	void *q = take(16, bytes);

	if (q == NULL)
		return NULL;
	if (p != NULL)
		memcpy(q, p, old < bytes ? old : bytes);
	give(p);
	return q;
}
