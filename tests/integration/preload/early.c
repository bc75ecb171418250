/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes over what early_library.c allocated before any constructor of ours
 * had run. Without that library linked, only shows that the start went well.
 */
#include "it.h"

#include <unistd.h>

#define BLOCKS 200

extern void *early_blocks[BLOCKS] __attribute__((weak));
extern int early_count __attribute__((weak));
size_t early_bytes(int i) __attribute__((weak));

/*
 * Called by the dynamic linker while it relocates the program: libc has not
 * been initialised, and there is no environ yet.
 */
#define FIRST_BYTES 3000
static char *first[4];

static int answer(void)
{
	return 42;
}

__attribute__((used)) static int (*resolve_first(void))(void)
{
	static const size_t sizes[] = {FIRST_BYTES, 100000, 3000000, 1};

	for (int i = 0; i < 4; i++) {
		first[i] = malloc(sizes[i]);
		if (first[i] != NULL)
			first[i][0] = (char)('a' + i);
	}
	free(first[3]);
	first[3] = calloc(10, 7);
	first[0] = realloc(first[0], (size_t)2 * FIRST_BYTES);
	return answer;
}

int resolved(void) __attribute__((ifunc("resolve_first")));

static void take_over_first(void)
{
	CHECK(resolved() == 42);
	for (int i = 0; i < 3; i++) {
		CHECK(first[i] != NULL && first[i][0] == 'a' + i);
		first[i] = realloc(first[i], 500000);
		CHECK(first[i] != NULL && first[i][0] == 'a' + i);
		free(first[i]);
	}
	CHECK(first[3] != NULL && first[3][69] == 0);
	free(first[3]);
}

int main(void)
{
	it_preloaded();
	take_over_first();
	if (early_bytes != NULL) {
		CHECK(early_count == BLOCKS);
		for (int i = 0; i < BLOCKS; i++) {
			size_t n = early_bytes(i);
			char *p = early_blocks[i];

			CHECK(it_is_filled(p, n, (unsigned)i));
			if (i % 3 == 0) {
				p = realloc(p, n * 2 + 1);
				CHECK(p != NULL);
				CHECK(it_is_filled(p, n, (unsigned)i));
			}
			free(p);
		}
	}
	printf("main\n");
	fflush(stdout);
	return 0;
}
