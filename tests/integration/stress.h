/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks whose contents are known: made, checked, resized, freed. The random
 * number generator is the caller's, so a thread's operations follow from its
 * seed.
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Threads of a forked child: ThreadSanitizer does not allow them, and in that
 * of AddressSanitizer they wait for a lock of its own that was held at the
 * fork. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STRESS_CHILD_THREADS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define STRESS_CHILD_THREADS 0
#endif
#endif
#ifndef STRESS_CHILD_THREADS
#define STRESS_CHILD_THREADS 1
#endif

struct stress_rng {
	uint64_t state;
};
uint64_t stress_draw(struct stress_rng *rng, uint64_t bound);

struct stress_block {
	unsigned char *p; /* NULL: none */
	size_t bytes;
	uint64_t key; /* of its contents */
	bool dense;   /* every byte is known; else some of every page */
};

extern uint64_t stress_bytes_max;
extern bool stress_may_fail;
extern _Atomic uint64_t stress_live; /* bytes asked for and not freed */

/* Before the first block. */
void stress_setup(void);
/* *block is empty before; it stays so if memory is refused, which may be. */
void stress_make(struct stress_rng *rng, struct stress_block *block);
void stress_check(const struct stress_block *block);
void stress_resize(struct stress_rng *rng, struct stress_block *block);
/* Checks first. An empty block is fine. */
void stress_free(struct stress_rng *rng, struct stress_block *block);
void stress_trim(void);
/* Small blocks without known contents. */
void *stress_record(size_t bytes);
void stress_record_free(void *record);

void stress_fail(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
void stress_summary(void);

#endif
