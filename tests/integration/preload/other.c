/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * With another malloc behind ours (other_malloc.c): where malloc stays as it
 * was every block is that one's, and its blocks go back to it always.
 */
#include "it.h"

#include <malloc.h>

extern _Atomic long other_count;
void *other_malloc(size_t bytes);

int main(void)
{
	int shared = it_shared();
	long before;
	void *p;

	before = other_count;
	for (size_t i = 1; i < 200; i++) {
		p = i % 2 ? malloc(i * 99) : aligned_alloc(64, i * 99);
		CHECK(p != NULL && malloc_usable_size(p) >= i * 99);
		it_fill(p, i * 99, 1);
		p = realloc(p, i * 200);
		CHECK(p != NULL && it_is_filled(p, i * 99, 1));
		free(p);
		free(calloc(i, 3));
	}
	CHECK(shared ? other_count == before : other_count > before + 500);
	/* As one of its own functions would give it out. */
	p = other_malloc(1000);
	it_fill(p, 1000, 2);
	CHECK(malloc_usable_size(p) == 1000);
	p = realloc(p, 5000);
	CHECK(p != NULL && it_is_filled(p, 1000, 2));
	free(p);
	free(other_malloc(7));
	puts("done");
	return 0;
}
