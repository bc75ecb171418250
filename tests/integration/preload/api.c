/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugetlbfs2.h as a program uses it that is linked with -lhugetlbfs2. With the
 * preload object too there is one heap; without it malloc is not ours.
 */
#include "it.h"

#include <errno.h>
#include <hugetlbfs2.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNTOUCHED 4242

static void family(void)
{
	void *p, *mark = &p;
	char *c;

	c = htlb_calloc(3, 100000);
	CHECK(c != NULL);
	for (int i = 0; i < 300000; i++)
		CHECK(c[i] == 0);
	it_fill(c, 300000, 1);
	c = htlb_realloc(c, 6000000);
	CHECK(c != NULL && it_is_filled(c, 300000, 1));
	CHECK(htlb_usable_size(c) >= 6000000);
	CHECK(htlb_usable_size(NULL) == 0);
	htlb_free(c);
	htlb_free(NULL);

	errno = UNTOUCHED;
	CHECK(htlb_aligned_alloc(3, 10) == NULL && errno == EINVAL);
	CHECK(htlb_aligned_alloc(0, 10) == NULL && errno == EINVAL);
	errno = UNTOUCHED;
	p = htlb_aligned_alloc(1 << 20, 10);
	CHECK(p != NULL && (uintptr_t)p % (1 << 20) == 0);
	htlb_free_aligned_sized(p, 1 << 20, 10);
	p = mark;
	CHECK(htlb_posix_memalign(&p, 4, 10) == EINVAL && p == mark);
	CHECK(htlb_posix_memalign(&p, 24, 10) == EINVAL && p == mark);
	CHECK(htlb_posix_memalign(&p, 64, SIZE_MAX - 100) == ENOMEM);
	CHECK(p == mark && errno == UNTOUCHED);
	CHECK(htlb_posix_memalign(&p, 64, 100) == 0);
	CHECK((uintptr_t)p % 64 == 0);
	htlb_free_sized(p, 100);
	CHECK(errno == UNTOUCHED);
	CHECK(htlb_malloc((size_t)PTRDIFF_MAX + 1) == NULL && errno == ENOMEM);
	errno = UNTOUCHED;
	CHECK(htlb_calloc(SIZE_MAX / 2, 3) == NULL && errno == ENOMEM);
}

static void *worker(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		size_t n = (size_t)i * 53 % 70000;
		char *p = htlb_malloc(n);

		CHECK(p != NULL);
		it_fill(p, n < 200 ? n : 200, (unsigned)i);
		CHECK(it_is_filled(p, n < 200 ? n : 200, (unsigned)i));
		htlb_free(p);
	}
	return arg;
}

static void threads_and_forks(void)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, worker, NULL) == 0);
	for (int i = 0; i < 30; i++) {
		int status;
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			worker(NULL);
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
}

static void statistics(int shared)
{
	/* As built against a later version: what we do not know reads zero. */
	struct {
		struct htlb_heap_stats known;
		uint64_t later[4];
	} wide = {.known = {.size = sizeof(wide)}, .later = {1, 2, 3, 4}};
	struct htlb_heap_stats s = {.size = 8}, t = {.size = sizeof(t)};
	struct htlb_failure f = {.size = 3};
	int got;
	char *p, *q;

	CHECK(htlb_heap_stats(&s) == -EINVAL);
	s.size = sizeof(s);
	CHECK(htlb_heap_stats(&s) == 0 && s.size == sizeof(s));
	p = htlb_malloc(30000000);
	q = malloc(40000000);
	CHECK(p != NULL && q != NULL);
	it_fill(p, 30000000, 2);
	CHECK(htlb_heap_stats(&t) == 0);
	CHECK(t.live_bytes >= s.live_bytes + (shared ? 70000000 : 30000000));
	CHECK(shared || t.live_bytes < s.live_bytes + 40000000);
	CHECK(t.peak_bytes >= t.live_bytes);
	CHECK(t.hugetlb_bytes + t.thp_bytes + t.base_bytes >= 30000000);
	CHECK(t.reserved_bytes >= 30000000);
	CHECK(htlb_heap_stats(&wide.known) == 0);
	CHECK(wide.known.size == sizeof(wide));
	CHECK(wide.known.live_bytes != 0 && wide.later[0] == 0);
	htlb_free(p);
	free(q);
	got = htlb_heap_release();
	CHECK(got == 0 || got == 1);

	CHECK(htlb_last_failure(&f) == -EINVAL);
	f.size = sizeof(f);
	got = htlb_last_failure(&f);
	CHECK(got == 0 || got == -ENOENT);
	if (got == 0)
		CHECK(f.limit != HTLB_LIMIT_NONE && f.advice != NULL &&
			f.advice[0] != '\0');
}

static void report(int format, const char *has)
{
	static char text[1 << 16];
	FILE *f = tmpfile();
	size_t length;

	CHECK(f != NULL);
	CHECK(htlb_heap_report(fileno(f), format) == 0);
	rewind(f);
	length = fread(text, 1, sizeof(text) - 1, f);
	text[length] = '\0';
	CHECK(strstr(text, has) != NULL);
	fclose(f);
	CHECK(htlb_heap_report(-1, format) == -EBADF);
}

int main(void)
{
	int shared = it_shared();

	CHECK(strcmp(htlb_version(), IT_VERSION) == 0);
	family();
	threads_and_forks();
	statistics(shared);
	report(HTLB_REPORT_TEXT, "heap");
	report(HTLB_REPORT_JSON, "{");
	CHECK(htlb_heap_report(1, 99) == -EINVAL);
	puts("done");
	return 0;
}
