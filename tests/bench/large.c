/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Workloads of mixed and large blocks: fragmentation, memory that is given
 * back, growth, clearing.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

struct item {
	char *p;
	size_t bytes;
};

static struct item make(size_t bytes)
{
	struct item item = {bench_malloc(bytes), bytes};

	memset(item.p, 0x5a, bytes);
	return item;
}

/* Blocks of random sizes, until that many bytes. Returns how many. */
static size_t fill(
	struct bench_rng *rng, struct item *item, size_t max, size_t bytes)
{
	size_t n = 0;

	while (n < max && bytes > 0) {
		size_t want = bench_draw_bytes(rng);

		want = want < bytes ? want : bytes;
		item[n++] = make(want);
		bytes -= want;
	}
	return n;
}

/*
 * 420 MiB of everything, of which a random tenth survives: what is still held?
 * Then the survivors must be lived with: the same amount again, of other sizes.
 */
void bench_survivors(unsigned scale)
{
	struct bench_rng rng = {11};
	size_t total = (size_t)scale * ((size_t)420 << 20) / 100;
	size_t max = total / 128, n, i, kept = 0;
	struct item *item = bench_malloc(max * sizeof(*item));

	n = fill(&rng, item, max, total);
	bench_held("peak");
	for (i = 0; i < n; i++) {
		if (bench_draw(&rng, 10) == 0)
			item[kept++] = item[i];
		else
			free(item[i].p);
	}
	bench_held("survivors");
	n = kept + fill(&rng, item + kept, max - kept, total * 9 / 10);
	bench_held("refilled");
	for (i = 0; i < n; i++)
		free(item[i].p);
	free(item);
	bench_held("left");
}

/* A steady state of 64 MiB in which sizes of all kinds come and go. */
void bench_mixture(unsigned scale)
{
	struct bench_rng rng = {13};
	size_t max = 1000000, n, i;
	struct item *item = bench_malloc(max * sizeof(*item));
	uint64_t left = (uint64_t)scale * 12000;

	n = fill(&rng, item, max, (size_t)64 << 20);
	for (; left > 0; left--) {
		i = bench_draw(&rng, n);
		free(item[i].p);
		item[i].bytes = bench_draw_bytes(&rng);
		item[i].p = bench_malloc(item[i].bytes);
		memset(item[i].p, 1, item[i].bytes < 512 ? item[i].bytes : 512);
	}
	bench_held("peak");
	for (i = 0; i < n; i++)
		free(item[i].p);
	free(item);
	bench_held("left");
}

/* Vectors that grow by half, two at a time, to 96 MiB each. */
void bench_growth(unsigned scale)
{
	struct item v[2];
	size_t end = (size_t)96 << 20;
	unsigned round, i;

	for (round = 0; round < (scale + 49) / 50; round++) {
		v[0] = make(1000);
		v[1] = make(3000);
		while (v[0].bytes < end || v[1].bytes < end)
			for (i = 0; i < 2; i++) {
				size_t to = v[i].bytes + v[i].bytes / 2;

				if (v[i].bytes >= end)
					continue;
				v[i].p = realloc(v[i].p, to);
				if (v[i].p == NULL)
					exit(1);
				memset(v[i].p + v[i].bytes, 1, to - v[i].bytes);
				v[i].bytes = to;
			}
		if (round == 0)
			bench_held("peak");
		free(v[0].p);
		free(v[1].p);
	}
	bench_held("left");
}

/* Blocks of lo to lo + range bytes come and go; all are written. */
static void come_and_go(struct bench_rng *rng, uint64_t ops, unsigned held,
	size_t lo, size_t range, int clear)
{
	char *block[256] = {0};

	for (; ops > 0; ops--) {
		uint64_t at = bench_draw(rng, held);
		size_t bytes = lo + bench_draw(rng, range);

		free(block[at]);
		if (clear) {
			block[at] = calloc(1, bytes);
			if (block[at] == NULL || block[at][bytes / 2] != 0)
				exit(1);
			memset(block[at], 1, bytes / 2);
		} else {
			block[at] = bench_malloc(bytes);
			memset(block[at], 1, bytes);
		}
	}
	bench_held("peak");
	for (unsigned i = 0; i < 256; i++)
		free(block[i]);
	bench_held("left");
}

/* calloc and free of 32 KiB to 512 KiB. */
void bench_medium(unsigned scale)
{
	struct bench_rng rng = {17};

	come_and_go(&rng, (uint64_t)scale * 250, 200, (size_t)32 << 10,
		(size_t)480 << 10, 1);
}

/* 1 to 5 MiB: between a huge page and some. */
void bench_straddle(unsigned scale)
{
	struct bench_rng rng = {19};

	come_and_go(&rng, (uint64_t)scale * 15, 64, (size_t)1 << 20,
		(size_t)4 << 20, 0);
}

/* Temporaries of 8 to 64 MiB, as array programs make them. */
void bench_large(unsigned scale)
{
	struct bench_rng rng = {23};

	come_and_go(
		&rng, (scale + 5) / 6, 3, (size_t)8 << 20, (size_t)56 << 20, 0);
}
