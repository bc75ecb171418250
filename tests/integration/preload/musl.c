/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Built by musl-gcc and preloaded with the object that was built against
 * glibc: whatever it takes from glibc alone must be optional.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *work(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < 10000; i++) {
		char *p = malloc(i);

		if (p == NULL)
			abort();
		memset(p, 1, i);
		free(p);
	}
	return malloc(10);
}

static void threads(void)
{
	pthread_t t[3];
	void *kept;

	for (int i = 0; i < 3; i++)
		if (pthread_create(&t[i], NULL, work, NULL) != 0)
			abort();
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			free(work(NULL));
			_exit(5);
		}
		if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 5)
			abort();
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &kept);
		free(kept);
	}
}

int main(void)
{
	void *q = NULL;
	char *p;

	threads();
	p = realloc(malloc(10), 10000000);
	memset(p, 1, 10000000);
	printf("%d\n", malloc_usable_size(p) >= 10000000);
	free(p);
	p = memalign(8192, 100);
	printf("%d\n", (uintptr_t)p % 8192 == 0);
	free(p);
	errno = 0;
	p = aligned_alloc(48, 100);
	printf("%d %d\n", p == NULL, errno == EINVAL);
	printf("%d\n", posix_memalign(&q, 64, 100));
	free(q);
	errno = 0;
	printf("%d", malloc((size_t)PTRDIFF_MAX + 1) == NULL);
	printf(" %d\n", errno == ENOMEM);
	puts("ok");
	return 0;
}
