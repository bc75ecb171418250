/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs treat page-aligned blocks as pages: guard pages by mprotect,
 * contents given up by madvise. Below a huge page the kernel refuses that; with
 * us it must go as it does plainly, and leave the blocks around alone.
 */
#include "it.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NEIGHBOURS 100
#define BYTES	   100000
#define PAGE	   4096

static char *neighbour[NEIGHBOURS];

static void make_neighbours(void)
{
	for (int i = 0; i < NEIGHBOURS; i++) {
		neighbour[i] = malloc(BYTES);
		CHECK(neighbour[i] != NULL);
		memset(neighbour[i], i, BYTES);
	}
}

static void check_neighbours(void)
{
	for (int i = 0; i < NEIGHBOURS; i++) {
		for (int j = 0; j < BYTES; j++)
			CHECK(neighbour[i][j] == (char)i);
		free(neighbour[i]);
	}
}

static void use_pages(int round)
{
	char *p = memalign(PAGE, 3 * PAGE);

	CHECK(p != NULL);
	memset(p, 7, 3 * PAGE);
	CHECK(mprotect(p + PAGE, PAGE, PROT_NONE) == 0);
	CHECK(p[0] == 7 && p[2 * PAGE] == 7);
	p[0] = 8;
	CHECK(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
	CHECK(p[PAGE] == 7 && p[0] == 8);
	if (round % 2 == 0) {
		CHECK(madvise(p, PAGE, MADV_DONTNEED) == 0);
		CHECK(p[0] == 0 && p[PAGE] == 7);
	}
	free(p);
}

int main(void)
{
	make_neighbours();
	for (int round = 0; round < 300; round++)
		use_pages(round);
	check_neighbours();
	puts("guard pages hold");
	return 0;
}
