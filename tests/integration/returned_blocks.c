/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * returned_blocks HEAP MAP: for each of several sizes allocates HEAP MiB in
 * blocks of that size, frees them, and then maps MAP MiB itself. Under a ulimit
 * -v that is possible only if the address space of the blocks went back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const size_t sizes[] = {
	700, 20000, 100000, 300000, 3000000, 20000000, 100000000};

static int round_of(size_t bytes, size_t heap, size_t map)
{
	size_t count = heap / bytes, i;
	void **block = calloc(count, sizeof(*block)), *mine;

	if (block == NULL)
		return 1;
	for (i = 0; i < count; i++) {
		block[i] = malloc(bytes);
		if (block[i] == NULL) {
			fprintf(stderr, "%zu bytes: no block\n", bytes);
			return 1;
		}
		memset(block[i], (int)i, bytes);
	}
	for (i = 0; i < count; i++)
		free(block[i]);
	free(block);
	mine = mmap(NULL, map, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mine == MAP_FAILED) {
		fprintf(stderr, "after blocks of %zu bytes: no room\n", bytes);
		return 1;
	}
	munmap(mine, map);
	printf("%zu bytes: %zu blocks\n", bytes, count);
	return 0;
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc != 3)
		return 2;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (round_of(sizes[i], (size_t)atol(argv[1]) << 20,
			    (size_t)atol(argv[2]) << 20) != 0)
			return 1;
	return 0;
}
