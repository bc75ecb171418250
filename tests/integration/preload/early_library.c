/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A library whose constructor runs before the preload object's: it allocates,
 * starts threads that allocate, forks, and leaves blocks to the program. As
 * LD_PRELOAD companion (before and after ours) it does the same.
 */
#include "it.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS 200

size_t early_bytes(int i);

void *early_blocks[BLOCKS];
int early_count;

static size_t block_bytes(int i)
{
	return (size_t)i * 997 + (i % 20 == 0 ? 300000 : 0);
}

size_t early_bytes(int i)
{
	return block_bytes(i);
}

static void *allocate(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++) {
		void *p = malloc((size_t)i * 13);

		CHECK(p != NULL);
		it_fill(p, (size_t)i * 13, (unsigned)i);
		CHECK(it_is_filled(p, (size_t)i * 13, (unsigned)i));
		free(p);
	}
	return memcpy(malloc(100), "kept", 5);
}

__attribute__((constructor(101))) static void early(void)
{
	pthread_t t[3];
	int status;
	pid_t pid;

	for (int i = 0; i < BLOCKS; i++) {
		early_blocks[i] = malloc(block_bytes(i));
		CHECK(early_blocks[i] != NULL);
		it_fill(early_blocks[i], block_bytes(i), (unsigned)i);
		early_count++;
	}
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, allocate, NULL) == 0);
	for (int i = 0; i < 3; i++) {
		void *kept;

		CHECK(pthread_join(t[i], &kept) == 0);
		CHECK(strcmp(kept, "kept") == 0);
		free(kept);
	}
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		allocate(NULL);
		_exit(7);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* And at the other end: after the preload object's destructor. */
__attribute__((destructor(101))) static void late(void)
{
	static const char text[] = "late\n";
	char *p = malloc(1000000);

	CHECK(p != NULL);
	memcpy(p, text, sizeof(text));
	CHECK(write(STDOUT_FILENO, p, sizeof(text) - 1) ==
		(ssize_t)sizeof(text) - 1);
	free(p);
	free(allocate(NULL));
}
