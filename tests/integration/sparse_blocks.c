/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program of it_sparse.py. Uses nothing but the C library's malloc, so that
 * the same binary runs plainly and preloaded.
 *
 *   sparse_blocks answer BYTES        what malloc, calloc, realloc, memalign
 * say sparse_blocks touch CALL BYTES N  N scattered bytes of one block; then
 * waits for a line on stdin, so that its memory can be looked at, checks the
 * bytes and frees
 *   sparse_blocks live BYTES N WRITTEN BEFORE  first BEFORE blocks are made,
 * written and freed; then N, one after the other, WRITTEN bytes of each; waits
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say(const char *call, void *p)
{
	printf("%s: %s\n", call, p ? "granted" : strerror(errno));
	errno = 0;
	free(p);
}

static int answer(size_t bytes)
{
	void *small = malloc(100);

	say("malloc", malloc(bytes));
	say("calloc", calloc(bytes / 16, 16));
	say("memalign", memalign(1 << 21, bytes));
	say("reallocarray", reallocarray(NULL, bytes / 16, 16));
	if (!small)
		return 1;
	memset(small, 'x', 100);
	char *grown = realloc(small, bytes);

	printf("realloc: %s, contents %s\n",
		grown ? "granted" : strerror(errno),
		memchr(grown ? grown : small, 'x', 100) ? "kept" : "lost");
	free(grown ? grown : small);
	/* What was refused or freed must not stand in the way of this. */
	say("malloc of a page", malloc(4096));
	return 0;
}

/* One byte in each of n equal parts of the block, at a place of its own. */
static size_t place(size_t bytes, size_t n, size_t i)
{
	size_t part = bytes / n;

	return i * part + (i * 2654435761u) % part;
}

static int touch(const char *call, size_t bytes, size_t n)
{
	unsigned char *p;

	if (strcmp(call, "calloc") == 0)
		p = calloc(bytes, 1);
	else if (strcmp(call, "realloc") == 0)
		p = realloc(malloc(1000), bytes);
	else
		p = malloc(bytes);
	if (!p) {
		printf("refused\n");
		return 3;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned char *at = p + place(bytes, n, i);

		if (strcmp(call, "calloc") == 0 && *at != 0) {
			printf("calloc: byte %zu is not zero\n", i);
			return 1;
		}
		*at = (unsigned char)(i * 7 + 1);
	}
	printf("touched\n");
	fflush(stdout);
	if (getchar() == EOF)
		return 2;
	for (size_t i = 0; i < n; i++)
		if (p[place(bytes, n, i)] != (unsigned char)(i * 7 + 1)) {
			printf("byte %zu lost\n", i);
			return 1;
		}
	free(p);
	printf("freed\n");
	fflush(stdout);
	return getchar() == EOF ? 2 : 0;
}

static int live(size_t bytes, size_t n, size_t written, size_t before)
{
	char **block = calloc(n + before, sizeof(*block));

	for (size_t i = 0; i < before; i++) {
		block[i] = malloc(bytes);
		memset(block[i], 1, bytes);
	}
	for (size_t i = 0; i < before; i++)
		free(block[i]);
	for (size_t i = 0; i < n; i++) {
		block[i] = malloc(bytes);
		memset(block[i], (int)i, written);
	}
	printf("touched\n");
	fflush(stdout);
	if (getchar() == EOF)
		return 2;
	for (size_t i = 0; i < n; i++) {
		if (block[i][written - 1] != (char)i) {
			printf("block %zu lost\n", i);
			return 1;
		}
		free(block[i]);
	}
	free(block);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "answer") == 0)
		return answer(strtoull(argv[2], NULL, 0));
	if (argc == 5 && strcmp(argv[1], "touch") == 0)
		return touch(argv[2], strtoull(argv[3], NULL, 0),
			strtoull(argv[4], NULL, 0));
	if (argc == 6 && strcmp(argv[1], "live") == 0)
		return live(strtoull(argv[2], NULL, 0),
			strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0),
			strtoull(argv[5], NULL, 0));
	return 2;
}
