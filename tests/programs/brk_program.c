/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program for run_brk.py that takes memory from the brk area: by the C
 * library's malloc in small blocks ("malloc"), by sbrk and brk in steps of many
 * sizes ("sbrk"), in one step ("large"), to and fro ("shrink"), up to a limit
 * ("limit"), or before and after it asks for huge pages by itself ("asks"). It
 * checks that the area stays contiguous and keeps what was written, prints what
 * it saw, and waits for the end of its input.
 */
#include <hugetlbfs2.h>

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIB   ((size_t)1 << 20)
#define BLOCK 200
#define PAGE  65536 /* or less */

static unsigned char *first;
static size_t bytes;

static void die(const char *why)
{
	printf("%s: %s\n", why, strerror(errno));
	exit(1);
}

/* A word that tells where it is. */
static void fill(unsigned char *at, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8)
		memcpy(at + i, &(uintptr_t){(uintptr_t)(at + i) * 31}, 8);
}

static void check(unsigned char *at, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uintptr_t word;

		memcpy(&word, at + i, 8);
		if (word != (uintptr_t)(at + i) * 31) {
			errno = 0;
			die("contents lost");
		}
	}
}

static void grow(size_t step)
{
	unsigned char *at = sbrk((intptr_t)step);

	if (at == (void *)-1)
		die("sbrk");
	if (at != first + bytes || (unsigned char *)sbrk(0) != at + step)
		die("not contiguous");
	/* The rest of a page may have been used before. */
	for (size_t i = -(uintptr_t)at % PAGE; i < step; i++) {
		if (at[i] != 0)
			die("not zero");
	}
	fill(at, step);
	bytes += step;
}

static void by_steps(void)
{
	static const size_t steps[] = {
		8, 4096, 135168, 1000, 3 * 1048576 + 8, 65536, 24, 2 * 1048576};
	size_t i = 0;

	while (bytes < 48 * MIB)
		grow(steps[i++ % (sizeof(steps) / sizeof(steps[0]))]);
	check(first, bytes);
}

static void to_and_fro(void)
{
	for (unsigned i = 0; i < 20; i++) {
		grow(9 * MIB + 8 * i);
		grow(8);
		if (i % 2 == 0) {
			bytes -= 5 * MIB;
			if (sbrk(-(intptr_t)(5 * MIB)) == (void *)-1)
				die("shrink");
		} else {
			bytes -= 7 * MIB;
			if (brk(first + bytes) != 0)
				die("brk");
		}
		check(first, bytes & ~(size_t)7);
		if ((unsigned char *)sbrk(0) != first + bytes)
			die("the break is elsewhere");
	}
	/* Nonsense leaves it where it is. */
	if (brk(NULL) != 0 || brk((void *)4096) != 0 || brk((void *)-1) != -1 ||
		errno != ENOMEM || sbrk(INTPTR_MAX) != (void *)-1 ||
		errno != ENOMEM || (unsigned char *)sbrk(0) != first + bytes)
		die("the break moved");
	/* Behind libc's back: what libc takes for the break is asked for. */
	if (syscall(SYS_brk, first + bytes + 2 * MIB) < 0 ||
		brk(first + bytes) != 0 ||
		(unsigned char *)syscall(SYS_brk, 0) != first + bytes)
		die("the break is not where it was set");
	grow(9 * MIB);
	check(first, bytes & ~(size_t)7);
}

static void up_to_a_limit(void)
{
	struct rlimit limit = {40 * MIB, 40 * MIB};
	size_t had;

	if (setrlimit(RLIMIT_DATA, &limit) != 0)
		die("setrlimit");
	for (had = 0; had < 100 * MIB; had += MIB) {
		unsigned char *at = sbrk(0);

		if (sbrk(MIB) == (void *)-1)
			break;
		fill(at, MIB);
	}
	if (errno != ENOMEM || had > 40 * MIB)
		die("the limit does not hold");
	check(first, had);
	/* libc's malloc lives on beside the area. */
	if (brk(first + had + 100 * MIB) != -1 || errno != ENOMEM)
		die("brk beyond the limit");
	printf("limit at %zu MiB or less\n", (size_t)40);
}

static void by_malloc(void)
{
	unsigned char **block;
	size_t n = 64 * MIB / (BLOCK + 16), i;

	block = malloc(n * sizeof(*block));
	for (i = 0; i < n; i++) {
		block[i] = malloc(BLOCK);
		if (block[i] == NULL)
			die("malloc");
		fill(block[i], BLOCK);
	}
	for (i = 0; i < n; i++)
		check(block[i], BLOCK);
}

typedef int remap_function(
	const struct htlb_segments_options *, struct htlb_segments_result *);

/* The library is there by LD_PRELOAD, or it is not. */
static void by_request(void)
{
	struct htlb_segments_options o = {
		.size = sizeof(o), .flags = HTLB_SEGMENTS_BRK};
	struct htlb_segments_result r[2];
	remap_function *remap =
		(remap_function *)dlsym(RTLD_DEFAULT, "htlb_segments_remap");

	/* The lookup may have used malloc. */
	first = sbrk(0);
	by_steps();
	if (!remap)
		return;
	/* As a program from before the area was counted has it. */
	memset(r, 0x55, sizeof(r));
	r[0].size = offsetof(struct htlb_segments_result, brk_bytes);
	if (remap(&o, &r[0]) != 0 || r[0].text_bytes != 0 ||
		r[0].brk_bytes != 0x5555555555555555)
		die("the short result");
	/* As one from the future. */
	r[0].size = sizeof(r);
	if (remap(&o, &r[0]) != 0 || r[1].size != 0 ||
		r[0].brk_bytes < 48 * MIB || r[0].brk_bytes > 54 * MIB ||
		r[0].brk_huge_bytes < 44 * MIB ||
		r[0].brk_huge_bytes > r[0].brk_bytes)
		die("the result");
	check(first, bytes);
	grow(8 * MIB);
	grow(8);
	check(first, bytes);
}

static void *in_thread(void *arg)
{
	by_malloc();
	return arg;
}

static void by_threads(void)
{
	pthread_t thread[4];

	/* All in the main arena, so that they meet at the break. */
	mallopt(M_ARENA_MAX, 1);
	for (unsigned i = 0; i < 4; i++) {
		if (pthread_create(&thread[i], NULL, in_thread, NULL) != 0)
			die("pthread_create");
	}
	for (unsigned i = 0; i < 4; i++)
		(void)pthread_join(thread[i], NULL);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 1024);
	first = sbrk(0);
	if (strcmp(what, "malloc") == 0)
		by_malloc();
	else if (strcmp(what, "threads") == 0)
		by_threads();
	else if (strcmp(what, "sbrk") == 0)
		by_steps();
	else if (strcmp(what, "large") == 0)
		grow(64 * MIB);
	else if (strcmp(what, "shrink") == 0)
		to_and_fro();
	else if (strcmp(what, "asks") == 0)
		by_request();
	else if (strcmp(what, "limit") == 0)
		up_to_a_limit();
	printf("done %s\n", what);
	while (getchar() >= 0)
		;
	return 0;
}
