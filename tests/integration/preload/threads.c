/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads at the edges: stacks of 16 KiB, more pthread keys than glibc keeps
 * in the thread, destructors that allocate and set their key again, and ten
 * thousand threads one after the other, which must not make the process grow.
 */
#include "it.h"

#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#define KEYS   60
#define CHURN  10000
#define STACK  16384
#define GROWTH (4 << 20) /* bytes that 9,000 threads may add */

static pthread_key_t keys[KEYS];
static _Atomic int destroyed;

static void all_calls(unsigned seed)
{
	void *p[12];
	size_t n = 1 + seed % 3000;

	p[0] = malloc(n);
	p[1] = calloc(n, 3);
	p[2] = realloc(NULL, n);
	p[3] = memalign(128, n);
	p[4] = malloc(70000);
	p[5] = malloc(1500000);
	p[6] = malloc(5000000);
	p[7] = calloc(1, 2500000);
	p[2] = realloc(p[2], 100000);
	p[8] = aligned_alloc(4096, 8192);
	p[5] = realloc(p[5], 3000000);
	p[9] = strdup("text");
	p[10] = malloc(0);
	CHECK(posix_memalign(&p[11], 64, 640) == 0);
	for (int i = 0; i < 12; i++) {
		CHECK(p[i] != NULL);
		it_fill(p[i], i == 10 ? 0 : 1, seed);
		free(p[i]);
	}
}

/* Allocates while the thread ends, and wants to be called again. */
static void destroy(void *value)
{
	size_t *left = value;
	pthread_key_t key = keys[left[1]];

	CHECK(malloc_usable_size(left) >= 2 * sizeof(*left));
	if (left[0] > 0) {
		size_t *again = malloc(2 * sizeof(*again));

		CHECK(again != NULL);
		again[0] = left[0] - 1;
		again[1] = left[1];
		CHECK(pthread_setspecific(key, again) == 0);
	}
	free(left);
	free(malloc(5000));
	destroyed++;
}

static void *small_thread(void *arg)
{
	all_calls((unsigned)(uintptr_t)arg);
	return NULL;
}

static void *keyed_thread(void *arg)
{
	for (size_t i = 0; i < KEYS; i++) {
		size_t *value = malloc(2 * sizeof(*value));

		CHECK(value != NULL);
		value[0] = i % 3; /* how often it is set again */
		value[1] = i;
		CHECK(pthread_setspecific(keys[i], value) == 0);
	}
	return arg;
}

/* Frees what another thread made, and leaves something for the next. */
static void *relay_thread(void *arg)
{
	char **baton = arg;

	for (int i = 0; i < 40; i++) {
		free(baton[i]);
		baton[i] = malloc(10 + (size_t)i * 150);
		CHECK(baton[i] != NULL);
		it_fill(baton[i], 10, (unsigned)i);
	}
	free(malloc(200000));
	return NULL;
}

static size_t resident_bytes(void)
{
	long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f != NULL && fscanf(f, "%ld %ld", &size, &resident) == 2);
	fclose(f);
	return (size_t)resident * (size_t)getpagesize();
}

static void run(const pthread_attr_t *attr, void *(*body)(void *), void *arg)
{
	pthread_t t;

	CHECK(pthread_create(&t, attr, body, arg) == 0);
	CHECK(pthread_join(t, NULL) == 0);
}

static void churn(const pthread_attr_t *attr)
{
	static char *baton[40];
	size_t before = 0, after;

	for (int i = 0; i < CHURN; i++) {
		run(attr, relay_thread, baton);
		if (i == CHURN / 10)
			before = resident_bytes();
	}
	after = resident_bytes();
	if (after > before + GROWTH) {
		fprintf(stderr, "%zu bytes after %d threads, %zu after %d\n",
			before, CHURN / 10, after, CHURN);
		_Exit(1);
	}
	for (int i = 0; i < 40; i++) {
		CHECK(it_is_filled(baton[i], 10, (unsigned)i));
		free(baton[i]);
	}
}

int main(void)
{
	pthread_attr_t attr;
	pthread_t t[8];
	int expected = 0;

	it_preloaded();
	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, STACK) == 0);
	for (uintptr_t i = 0; i < 20; i++)
		run(&attr, small_thread, (void *)i);
	for (uintptr_t i = 0; i < 8; i++)
		CHECK(pthread_create(&t[i], &attr, small_thread, (void *)i) ==
			0);
	for (int i = 0; i < 8; i++)
		CHECK(pthread_join(t[i], NULL) == 0);

	for (int i = 0; i < KEYS; i++) {
		CHECK(pthread_key_create(&keys[i], destroy) == 0);
		expected += 1 + i % 3;
	}
	for (int i = 0; i < 50; i++)
		run(&attr, keyed_thread, NULL);
	CHECK(destroyed == 50 * expected);
	churn(&attr);
	puts("done");
	/* The main thread may end before the others. */
	CHECK(pthread_create(&t[0], NULL, keyed_thread, NULL) == 0);
	CHECK(pthread_detach(t[0]) == 0);
	pthread_exit(NULL);
}
