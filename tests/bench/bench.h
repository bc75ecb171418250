/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocator workloads. Each is a function of a scale (100: the size that the
 * figures in README.md are for) that uses nothing but the C library's malloc,
 * so that the same binary runs with any allocator preloaded.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

struct bench_rng {
	uint64_t state; /* not 0 */
};

/* xorshift64*: a few instructions, so that the allocator is what is measured */
static inline uint64_t bench_draw(struct bench_rng *rng, uint64_t bound)
{
	uint64_t x = rng->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	rng->state = x;
	return (uint64_t)(((unsigned __int128)(x * 0x2545f4914f6cdd1du) *
				  bound) >>
			  64);
}

/* Sizes as programs ask for them: most are small, few are large. */
size_t bench_draw_bytes(struct bench_rng *rng);

/* malloc, or the end. */
void *bench_malloc(size_t bytes);

/*
 * Tells run.py what the process holds at this place, resident and hugetlb:
 * one line "label KiB" on standard output.
 */
void bench_held(const char *label);

/* small.c */
void bench_churn(unsigned scale);
void bench_churn2(unsigned scale);
void bench_pass(unsigned scale);
void bench_larson(unsigned scale);
void bench_strings(unsigned scale);
void bench_tree(unsigned scale);
/* large.c */
void bench_survivors(unsigned scale);
void bench_mixture(unsigned scale);
void bench_growth(unsigned scale);
void bench_medium(unsigned scale);
void bench_straddle(unsigned scale);
void bench_large(unsigned scale);

#endif
