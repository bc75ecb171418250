/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program of it_giveback.py: fills a heap, frees it, and goes on in a small
 * way.
 *
 *   giveback_blocks SIZE-FROM SIZE-TO MEGABYTES HOW
 *
 * HOW: main (one thread), other (another thread frees), threads (four threads
 * fill, free what the next one filled, and exit). Prints "full", "freed",
 * "active" (after a second of small allocations), "trimmed" (after
 * malloc_trim(0)), and waits for a line on stdin after each, so that its memory
 * can be looked at.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS 4

struct part {
	pthread_t thread;
	char **block;
	size_t count;
	struct part *next;
	uint64_t random;
};

static size_t from_bytes, to_bytes, part_bytes;
static pthread_barrier_t barrier;

static void at(const char *where)
{
	printf("%s\n", where);
	fflush(stdout);
	if (getchar() == EOF)
		exit(2);
}

static void fill(struct part *part)
{
	size_t sum = 0, room = part_bytes / from_bytes + 1;

	part->block = calloc(room, sizeof(*part->block));
	if (!part->block)
		abort();
	while (sum < part_bytes && part->count < room) {
		part->random = part->random * 6364136223846793005u +
			       1442695040888963407u;
		size_t bytes = from_bytes + (part->random >> 33) %
						    (to_bytes - from_bytes + 1);
		char *p = malloc(bytes);

		if (!p)
			abort();
		memset(p, 1, bytes);
		part->block[part->count++] = p;
		sum += bytes;
	}
}

static void empty(struct part *part)
{
	for (size_t i = 0; i < part->count; i++)
		free(part->block[i]);
	free(part->block);
	part->count = 0;
	part->block = NULL;
}

static void *other(void *arg)
{
	empty(arg);
	return NULL;
}

static void *worker(void *arg)
{
	struct part *part = arg;

	fill(part);
	if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
		at("full");
	pthread_barrier_wait(&barrier);
	empty(part->next);
	return NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A program that goes on in a small way: some 20 MB a second come and go. */
static void stay_active(void)
{
	static char *ring[200];
	double end = now() + 1.0;

	for (unsigned i = 0; now() < end; i++) {
		free(ring[i % 200]);
		ring[i % 200] = malloc(64 + i * 37 % 2000);
		struct timespec pause = {.tv_nsec = 50000};
		nanosleep(&pause, NULL);
	}
	for (unsigned i = 0; i < 200; i++)
		free(ring[i]);
}

int main(int argc, char **argv)
{
	static struct part part[THREADS];

	if (argc != 5)
		return 2;
	from_bytes = strtoull(argv[1], NULL, 0);
	to_bytes = strtoull(argv[2], NULL, 0);
	part_bytes = strtoull(argv[3], NULL, 0) << 20;
	if (strcmp(argv[4], "threads") == 0) {
		part_bytes /= THREADS;
		pthread_barrier_init(&barrier, NULL, THREADS);
		for (size_t i = 0; i < THREADS; i++) {
			part[i].random = i;
			part[i].next = &part[(i + 1) % THREADS];
		}
		for (size_t i = 0; i < THREADS; i++)
			if (pthread_create(
				    &part[i].thread, NULL, worker, &part[i]))
				return 1;
		for (size_t i = 0; i < THREADS; i++)
			pthread_join(part[i].thread, NULL);
	} else {
		fill(&part[0]);
		at("full");
		if (strcmp(argv[4], "other") == 0) {
			if (pthread_create(
				    &part[0].thread, NULL, other, &part[0]))
				return 1;
			pthread_join(part[0].thread, NULL);
		} else {
			empty(&part[0]);
		}
	}
	at("freed");
	stay_active();
	at("active");
	malloc_trim(0);
	at("trimmed");
	return 0;
}
