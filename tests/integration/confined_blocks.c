/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program of it_limits.py. Uses nothing but the C library's malloc and
 * mmap; under a ulimit it ends with status 1 if it does not get what it needs.
 * Sizes in MiB.
 *
 *   confined_blocks returned HEAP MAP   for each of several sizes HEAP in
 * blocks of that size, freed, and then MAP by mmap
 *   confined_blocks grown TO PERCENT    an array, by realloc, so much longer
 * each time
 *   confined_blocks shrunk FROM TO MAP  a block, shrunk by realloc; then MAP
 *   confined_blocks threads N EACH BLOCK MAP   N threads with EACH in small
 * blocks, and ten of BLOCK bytes; then MAP
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MIB	    ((size_t)1 << 20)
#define PAGE	    4096u
#define SMALL	    2000u
#define THREADS_MAX 16

static int map(size_t bytes, const char *when)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		fprintf(stderr, "%s: no room\n", when);
		return 1;
	}
	return munmap(p, bytes);
}

static int returned_size(size_t bytes, size_t heap, size_t mapped)
{
	size_t count = heap / bytes, i;
	void **block = calloc(count, sizeof(*block));
	char when[64];

	if (block == NULL)
		return 1;
	for (i = 0; i < count; i++) {
		block[i] = malloc(bytes);
		if (block[i] == NULL)
			return 1;
		memset(block[i], (int)i, bytes);
	}
	for (i = 0; i < count; i++)
		free(block[i]);
	free(block);
	printf("%zu bytes: %zu blocks\n", bytes, count);
	snprintf(when, sizeof(when), "after blocks of %zu bytes", bytes);
	return map(mapped, when);
}

static int returned(size_t heap, size_t mapped)
{
	static const size_t sizes[] = {
		700, 20000, 100000, 300000, 3000000, 20000000, 100000000};
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (returned_size(sizes[i], heap, mapped) != 0)
			return 1;
	return 0;
}

static int grown(size_t to, size_t percent)
{
	size_t had = 0, n = MIB, at;
	unsigned char *p = malloc(n), *longer;
	unsigned long sum = 0;

	while (p != NULL) {
		for (at = had; at < n; at += PAGE)
			p[at] = (unsigned char)(at / PAGE % 251);
		if (n == to)
			break;
		had = n;
		n += n * percent / 100;
		if (n > to)
			n = to;
		longer = realloc(p, n);
		if (longer == NULL)
			fprintf(stderr, "no %zu bytes\n", n);
		p = longer;
	}
	for (at = 0; p != NULL && at < n; at += PAGE)
		sum = sum * 31 + p[at];
	printf("%lx\n", sum);
	return p == NULL;
}

static int shrunk(size_t from, size_t to, size_t mapped)
{
	char *p = malloc(from), *q;

	if (p == NULL)
		return 1;
	memset(p, 1, MIB);
	q = realloc(p, to);
	printf("%d\n", q != NULL && q[MIB - 1] == 1);
	return q == NULL || map(mapped, "after realloc");
}

static size_t each, block_bytes;
static pthread_barrier_t filled;

static void *fill(void *failed)
{
	size_t n = each / SMALL, i;
	char **p = malloc(n * sizeof(*p));

	for (i = 0; p != NULL && i < n; i++) {
		p[i] = malloc(SMALL);
		if (p[i] == NULL)
			break;
		p[i][0] = 1;
	}
	if (i < n)
		*(int *)failed = 1;
	for (i = 0; i < 10; i++) {
		char *q = malloc(block_bytes);

		if (q == NULL)
			*(int *)failed = 1;
		else
			q[0] = 1;
	}
	pthread_barrier_wait(&filled);
	pthread_barrier_wait(&filled);
	return NULL;
}

static int threads(size_t n, size_t mapped)
{
	pthread_t thread[THREADS_MAX];
	int failed[THREADS_MAX] = {0}, any = 0;
	pthread_attr_t attr;
	size_t i;

	if (n > THREADS_MAX)
		return 2;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, MIB);
	pthread_barrier_init(&filled, NULL, (unsigned)n + 1);
	for (i = 0; i < n; i++)
		if (pthread_create(&thread[i], &attr, fill, &failed[i]) != 0)
			_Exit(1);
	pthread_barrier_wait(&filled);
	any = map(mapped, "beside the threads");
	pthread_barrier_wait(&filled);
	for (i = 0; i < n; i++) {
		pthread_join(thread[i], NULL);
		any |= failed[i];
	}
	printf("%zu threads\n", n);
	return any;
}

int main(int argc, char **argv)
{
	size_t n[5] = {0};
	int i;

	for (i = 2; i < argc && i < 6; i++)
		n[i - 1] = (size_t)atol(argv[i]);
	if (argc == 4 && strcmp(argv[1], "returned") == 0)
		return returned(n[1] * MIB, n[2] * MIB);
	if (argc == 4 && strcmp(argv[1], "grown") == 0)
		return grown(n[1] * MIB, n[2]);
	if (argc == 5 && strcmp(argv[1], "shrunk") == 0)
		return shrunk(n[1] * MIB, n[2] * MIB, n[3] * MIB);
	if (argc == 6 && strcmp(argv[1], "threads") == 0) {
		each = n[2] * MIB;
		block_bytes = n[3];
		return threads(n[1], n[4] * MIB);
	}
	return 2;
}
