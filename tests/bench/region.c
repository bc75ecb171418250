/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a region of one huge page costs, made and given back, against raw mmap,
 * populate and munmap of the same; alone, and among 20,000 other mappings.
 * Interleaved rounds, the median of each. One line a row:
 *
 *   others  raw_us  region_us  ratio
 *
 * A pool without pages is a skip (exit status 77).
 */
#include "hugetlbfs2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define ROUNDS 301
#define OTHERS 20000

static size_t page;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int shift_of(size_t bytes)
{
	int shift = 0;

	while (bytes >> shift > 1)
		shift++;
	return shift;
}

static double raw(void)
{
	double start = now_us();
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
			shift_of(page) << 26,
		-1, 0);

	if (p == MAP_FAILED || madvise(p, page, MADV_POPULATE_WRITE) < 0 ||
		munmap(p, page) < 0)
		return -1;
	return now_us() - start;
}

static double region(void)
{
	struct htlb_region_options o = {
		.size = sizeof(o), .flags = HTLB_REGION_STRICT};
	double start = now_us();
	void *p;

	if (htlb_region_create(page, &o, &p) < 0 || htlb_region_destroy(p) < 0)
		return -1;
	return now_us() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

static int row(int others)
{
	static double raws[ROUNDS], regions[ROUNDS];
	double a, b;

	for (int i = 0; i < ROUNDS; i++) {
		raws[i] = raw();
		regions[i] = region();
		if (raws[i] < 0 || regions[i] < 0)
			return -1;
	}
	a = median(raws);
	b = median(regions);
	printf("%6d %8.1f %10.1f %6.2f\n", others, a, b, b / a);
	return 0;
}

/* Every other one has another protection, so that none merge. */
static int map_others(void)
{
	for (int i = 0; i < OTHERS; i++) {
		if (mmap(NULL, 4096, i & 1 ? PROT_READ : PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			return -1;
	}
	return 0;
}

int main(void)
{
	struct htlb_pool pool = {.size = sizeof(pool)};

	if (htlb_default_page_size(&page) < 0 ||
		htlb_pool_read(page, HTLB_NODE_ANY, &pool) < 0 ||
		pool.available < 2) {
		fprintf(stderr, "no free huge pages\n");
		return 77;
	}
	printf("others   raw_us  region_us  ratio\n");
	if (row(0) < 0 || map_others() < 0 || row(OTHERS) < 0) {
		perror("region");
		return 1;
	}
	return 0;
}
