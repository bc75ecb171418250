/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plug-ins, with and without the preload object: opened RTLD_LOCAL and
 * RTLD_DEEPBIND, using libc's malloc behind our back, or linked with
 * libhugetlbfs2.so. Whatever is loaded, one heap; blocks of libc's are freed by
 * libc.
 */
#include "it.h"

#include <hugetlbfs2.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIND(handle, f)                               \
	do {                                          \
		f = (__typeof__(f))dlsym(handle, #f); \
		CHECK(f != NULL);                     \
	} while (0)

static void *(*plugin_malloc)(size_t);
static void (*plugin_free)(void *);
static char *(*plugin_text)(void);
static void *(*linked_malloc)(size_t);
static void *(*linked_realloc)(void *, size_t);
static void (*linked_free)(void *);
static int (*linked_stats)(struct htlb_heap_stats *);

static void *open_plugin(const char *path, int flags)
{
	void *handle = dlopen(path, RTLD_NOW | flags);

	if (handle == NULL)
		fprintf(stderr, "%s\n", dlerror());
	CHECK(handle != NULL);
	return handle;
}

/* Blocks made inside, used and freed outside. */
static void foreign_blocks(const char *path, int flags)
{
	void *handle = open_plugin(path, flags);

	FIND(handle, plugin_malloc);
	FIND(handle, plugin_free);
	FIND(handle, plugin_text);
	for (size_t n = 1; n < 3000000; n = n * 3 + 1) {
		char *p = plugin_malloc(n), *q = plugin_malloc(n);

		it_fill(p, n, 1);
		it_fill(q, n, 2);
		CHECK(malloc_usable_size(p) >= n);
		p = realloc(p, n * 2);
		CHECK(p != NULL && it_is_filled(p, n, 1));
		p = reallocarray(p, n, 1);
		CHECK(p != NULL && it_is_filled(p, n, 1));
		CHECK(it_is_filled(q, n, 2));
		free(p);
		free(q);
		/* Back inside, where it came from. */
		p = plugin_malloc(n);
		plugin_free(p);
	}
	CHECK(strcmp(plugin_text(), "from the plug-in") == 0);
	free(plugin_text());
	dlclose(handle);
}

static void *linked_thread(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		size_t n = (size_t)i * 37 % 50000;
		void *p = linked_malloc(n);

		CHECK(p != NULL);
		it_fill(p, n, (unsigned)i);
		p = linked_realloc(p, n + 1000);
		CHECK(p != NULL && it_is_filled(p, n, (unsigned)i));
		linked_free(p);
	}
	return arg;
}

static uint64_t live(int (*stats)(struct htlb_heap_stats *))
{
	struct htlb_heap_stats s = {.size = sizeof(s)};

	CHECK(stats(&s) == 0);
	return s.live_bytes;
}

static void linked_plugin(const char *path, int flags, int shared)
{
	void *handle = open_plugin(path, flags);
	uint64_t before;
	pthread_t t[4];
	int status;
	char *p;

	FIND(handle, linked_malloc);
	FIND(handle, linked_realloc);
	FIND(handle, linked_free);
	FIND(handle, linked_stats);
	before = live(linked_stats);
	p = linked_malloc(10000000);
	CHECK(p != NULL);
	it_fill(p, 10000000, 5);
	CHECK(live(linked_stats) >= before + 10000000);
	if (shared) {
		int (*stats)(struct htlb_heap_stats *) =
			(int (*)(struct htlb_heap_stats *))dlsym(
				RTLD_DEFAULT, "htlb_heap_stats");
		char *q = malloc(20000000);

		/* One heap: it counts in both, and either may free. */
		CHECK(stats != NULL);
		CHECK(live(linked_stats) >= before + 30000000);
		CHECK(live(stats) >= before + 30000000);
		free(p);
		linked_free(q);
		CHECK(live(linked_stats) < before + 10000000);
		linked_free(malloc(100));
		free(linked_malloc(100));
		p = realloc(linked_malloc(100), 1000);
		linked_free(linked_realloc(p, 100000));
	} else {
		/* malloc is libc's as before; its blocks find their way home.
		 */
		char *q = malloc(300);

		CHECK(q != NULL);
		linked_free(q);
		linked_free(p);
		CHECK(live(linked_stats) < before + 10000000);
	}
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, linked_thread, NULL) == 0);
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			linked_thread(NULL);
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	dlclose(handle);
}

int main(int argc, char **argv)
{
	int shared = it_shared();

	CHECK(argc == 3);
	foreign_blocks(argv[1], RTLD_LOCAL);
	foreign_blocks(argv[1], RTLD_LOCAL | RTLD_DEEPBIND);
	foreign_blocks(argv[1], RTLD_GLOBAL | RTLD_DEEPBIND);
	linked_plugin(argv[2], RTLD_LOCAL, shared);
	linked_plugin(argv[2], RTLD_LOCAL | RTLD_DEEPBIND, shared);
	puts("done");
	return 0;
}
