/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every function of the malloc family, good requests and bad ones. Prints
 * what a caller may see (not addresses); compare.py runs it plainly and
 * preloaded, and both must say the same.
 */
#include "it.h"

#include <errno.h>
#include <malloc.h>
#include <unistd.h>

#define UNTOUCHED 4242 /* errno before each call */

static const size_t sizes[] = {0, 1, 2, 7, 8, 15, 16, 17, 24, 32, 48, 63, 64,
	65, 100, 127, 128, 129, 200, 256, 511, 512, 513, 1000, 1024, 2000, 4095,
	4096, 4097, 8191, 8192, 10000, 16384, 20000, 32767, 32768, 32769, 50000,
	65536, 100000, 131072, 200000, 262144, 500000, 524288, 1000000, 1048576,
	1500000, 2097151, 2097152, 2097153, 3000000, 4194304, 5000000, 9000000,
	20000000};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Keeps the compiler from knowing what it is asked for. */
static size_t opaque(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

static const char *said(const void *p)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s errno %s",
		p != NULL ? "block" : "NULL",
		errno == UNTOUCHED ? "untouched"
		: errno == ENOMEM  ? "ENOMEM"
		: errno == EINVAL  ? "EINVAL"
				   : "other");
	return text;
}

#define SAY(call)                                      \
	do {                                           \
		void *got_;                            \
		errno = UNTOUCHED;                     \
		got_ = (call);                         \
		printf("%s: %s\n", #call, said(got_)); \
		free(got_);                            \
	} while (0)

static void zero_sizes(void)
{
	void *a, *b;

	SAY(malloc(opaque(0)));
	SAY(calloc(opaque(0), 8));
	SAY(calloc(8, opaque(0)));
	SAY(realloc(NULL, opaque(0)));
	SAY(realloc(malloc(100), opaque(0)));
	SAY(realloc(malloc(5000000), opaque(0)));
	SAY(reallocarray(NULL, opaque(0), 8));
	SAY(reallocarray(malloc(10), 8, opaque(0)));
	SAY(memalign(64, opaque(0)));
	SAY(aligned_alloc(64, opaque(0)));
	SAY(valloc(opaque(0)));
	SAY(pvalloc(opaque(0)));
	a = malloc(opaque(0));
	b = malloc(opaque(0));
	printf("two of no size differ: %d\n", a != b);
	free(a);
	free(b);
}

static void too_large(void)
{
	static const size_t huge[] = {(size_t)PTRDIFF_MAX - 100,
		(size_t)PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4096,
		SIZE_MAX - 1, SIZE_MAX, (size_t)1 << 62, (size_t)1 << 48};
	void *volatile p = malloc(300); /* a failed realloc keeps it */

	it_fill(p, 300, 1);
	for (size_t i = 0; i < COUNT(huge); i++) {
		size_t n = opaque(huge[i]);

		printf("size %zx\n", n);
		SAY(malloc(n));
		SAY(calloc(1, n));
		SAY(calloc(n, 1));
		SAY(realloc(NULL, n));
		SAY(memalign(16, n));
		SAY(memalign(64, n));
		SAY(memalign(8192, n));
		SAY(memalign((size_t)1 << 30, n));
		SAY(aligned_alloc(128, n));
		SAY(valloc(n));
		SAY(pvalloc(n));
		errno = UNTOUCHED;
		printf("realloc of a block: %s\n", said(realloc(p, n)));
		errno = UNTOUCHED;
		printf("reallocarray of a block: %s\n",
			said(reallocarray(p, n, 1)));
		CHECK(it_is_filled(p, 300, 1));
	}
	SAY(calloc(opaque(SIZE_MAX / 2), opaque(3)));
	SAY(calloc(opaque((size_t)1 << 33), opaque((size_t)1 << 33)));
	SAY(reallocarray(NULL, opaque(SIZE_MAX / 2), opaque(4)));
	errno = UNTOUCHED;
	printf("reallocarray overflow: %s\n",
		said(reallocarray(
			p, opaque((size_t)1 << 33), opaque((size_t)1 << 33))));
	CHECK(it_is_filled(p, 300, 1));
	free(p);
}

static void alignments(void)
{
	static const size_t aligns[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17,
		24, 32, 33, 40, 48, 64, 96, 100, 128, 1000, 1024, 4095, 4096,
		4097, 8192, 12288, 65536, 1 << 20, 1 << 21, 3 << 20, 1 << 22,
		1 << 26, (size_t)PTRDIFF_MAX, (size_t)1 << 62, (size_t)1 << 63,
		((size_t)1 << 63) + 1, SIZE_MAX};

	for (size_t i = 0; i < COUNT(aligns); i++) {
		size_t align = opaque(aligns[i]);
		void *mark = &align, *p = mark;
		int err;

		printf("alignment %zx\n", align);
		SAY(memalign(align, 100));
		SAY(memalign(align, 100000));
		SAY(aligned_alloc(align, 100));
		SAY(aligned_alloc(align, 3000000));
		errno = UNTOUCHED;
		err = posix_memalign(&p, align, opaque(100));
		printf("posix_memalign: %d, result %s\n", err,
			p == mark ? "untouched" : "set");
		if (err == 0) {
			CHECK((uintptr_t)p % align == 0);
			free(p);
		}
		CHECK(err == ENOMEM || errno == UNTOUCHED);
		p = mark;
		err = posix_memalign(&p, align, opaque(SIZE_MAX - 10));
		printf("posix_memalign too large: %d, result %s\n", err,
			p == mark ? "untouched" : "set");
		p = mark;
		err = posix_memalign(&p, align, opaque(0));
		printf("posix_memalign of nothing: %d, result %s\n", err,
			p == mark ? "untouched" : "set");
		if (err == 0)
			free(p);
	}
}

/* Aligned as asked, at least as large as asked, writable to the last byte. */
static void check_block(void *p, size_t bytes, size_t align, unsigned seed)
{
	CHECK(p != NULL);
	CHECK((uintptr_t)p % align == 0);
	CHECK(malloc_usable_size(p) >= bytes);
	it_fill(p, malloc_usable_size(p), seed);
}

static void good_requests(void)
{
	size_t page = (size_t)getpagesize();

	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t n = sizes[i];
		unsigned s = (unsigned)i;
		unsigned char *c;
		void *p[5];

		errno = UNTOUCHED;
		check_block(p[0] = malloc(n), n, 16, s);
		check_block(p[1] = memalign(256, n), n, 256, s + 1);
		check_block(p[2] = aligned_alloc(page, n), n, page, s + 2);
		check_block(p[3] = valloc(n), n, page, s + 3);
		check_block(p[4] = pvalloc(n), (n + page - 1) / page * page,
			page, s + 4);
		CHECK(errno == UNTOUCHED);
		for (unsigned k = 0; k < COUNT(p); k++) {
			CHECK(it_is_filled(p[k], n, s + k));
			free(p[k]);
		}
		/* Over the blocks just dirtied. */
		c = calloc(n, 1);
		CHECK(c != NULL && (uintptr_t)c % 16 == 0);
		for (size_t k = 0; k < n; k++)
			CHECK(c[k] == 0);
		free(c);
		CHECK(errno == UNTOUCHED);
	}
	printf("malloc_usable_size(NULL): %zu\n", malloc_usable_size(NULL));
	errno = UNTOUCHED;
	free(NULL);
	CHECK(errno == UNTOUCHED);
}

static void reallocs(void)
{
	/* Every size to every size, up to some megabytes. */
	for (size_t i = 0; i < COUNT(sizes); i++) {
		for (size_t k = 0; k < COUNT(sizes); k++) {
			size_t from = sizes[i], to = sizes[k];
			void *p;

			/* The large ones in part: each byte is looked at. */
			if (to == 0 || (from + to > 300000 && (i + k) % 9))
				continue;
			if (from + to > 20000000)
				continue;
			p = i % 2 ? malloc(from) : memalign(64, from);
			CHECK(p != NULL);
			it_fill(p, from, 9);
			p = realloc(p, to);
			CHECK(p != NULL && malloc_usable_size(p) >= to);
			CHECK((uintptr_t)p % 16 == 0);
			CHECK(it_is_filled(p, from < to ? from : to, 9));
			it_fill(p, to, 10);
			free(p);
		}
	}
	/* Growing step by step, as vectors do. */
	for (size_t step = 1; step <= 3; step++) {
		size_t n = 1;
		char *p = malloc(1);

		it_fill(p, 1, 3);
		while (n < 4000000) {
			size_t to = n + n / step + 1;

			p = reallocarray(p, to, 1);
			CHECK(p != NULL && it_is_filled(p, n, 3));
			it_fill(p, to, 3);
			n = to;
		}
		while (n > 10) {
			n = n * 2 / 3;
			p = realloc(p, n);
			CHECK(p != NULL && it_is_filled(p, n, 3));
		}
		free(p);
	}
}

/* Something lives behind what was freed, so that it was not given back yet. */
static void trim(void)
{
	static void *blocks[20000];
	void *last;

	for (size_t i = 0; i < 20000; i++) {
		blocks[i] = malloc(600);
		CHECK(blocks[i] != NULL);
		it_fill(blocks[i], 600, 3);
	}
	last = malloc(600);
	CHECK(last != NULL);
	for (size_t i = 0; i < 20000; i++)
		free(blocks[i]);
	CHECK(malloc_trim(0) == 1);
	free(last);
}

static void questions(void)
{
	char *text = NULL;
	size_t length = 0;
	struct mallinfo2 before, after;
	FILE *stream;
	void *p, *q;

	printf("mallopt: %d %d %d %d %d %d\n", mallopt(M_MXFAST, 64),
		mallopt(M_MXFAST, 1000), mallopt(M_MMAP_THRESHOLD, 1 << 20),
		mallopt(M_TRIM_THRESHOLD, 0), mallopt(M_ARENA_MAX, 2),
		mallopt(12345, 1));
	before = mallinfo2();
	p = malloc(600);
	q = malloc(50000000);
	it_fill(p, 600, 1);
	it_fill(q, 50000000, 2);
	after = mallinfo2();
	CHECK(after.uordblks + after.hblkhd >=
		before.uordblks + before.hblkhd + 50000000);
	CHECK(after.arena >= after.uordblks);
	CHECK(after.fordblks <= after.arena);
	free(q);
	free(p);
	after = mallinfo2();
	CHECK(after.uordblks + after.hblkhd <
		before.uordblks + before.hblkhd + 50000000);
	p = malloc(0x7fff0000);
	q = malloc(0x7fff0000);
	CHECK(p != NULL && q != NULL);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	(void)mallinfo();
#pragma GCC diagnostic pop
	free(p);
	free(q);
	trim();

	stream = open_memstream(&text, &length);
	CHECK(stream != NULL);
	printf("malloc_info: %d", malloc_info(1, stream) == EINVAL);
	printf(" %d", malloc_info(0, stream));
	fclose(stream);
	printf(" %d %d\n", strncmp(text, "<malloc version=\"1\">", 20) == 0,
		strcmp(text + length - 10, "</malloc>\n") == 0);
	free(text);
	malloc_stats();
}

/* Old and very new names, which cannot be linked but may be looked up. */
static void rare_names(int preloaded)
{
	void (*f)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "cfree");
	void (*sized)(void *, size_t);
	void (*aligned)(void *, size_t, size_t);
	struct mallinfo2 before, after;

	if (!preloaded)
		return;
	CHECK(f != NULL);
	f(malloc(100));
	f(NULL);
	sized = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
	aligned = (void (*)(void *, size_t, size_t))dlsym(
		RTLD_DEFAULT, "free_aligned_sized");
	CHECK(sized != NULL && aligned != NULL);
	before = mallinfo2();
	for (int i = 0; i < 2000; i++) {
		sized(malloc(1000), 1000);
		sized(malloc(1000000), 1000000);
		aligned(aligned_alloc(4096, 1000000), 4096, 1000000);
	}
	after = mallinfo2();
	CHECK(after.uordblks + after.hblkhd <
		before.uordblks + before.hblkhd + 10000000);
	sized(NULL, 0);
	aligned(aligned_alloc(512, 1024), 512, 1024);
	aligned(NULL, 64, 0);
	errno = UNTOUCHED;
	sized(malloc(40000000), 40000000);
	CHECK(errno == UNTOUCHED);
}

int main(void)
{
	int preloaded = it_preloaded();

	zero_sizes();
	too_large();
	alignments();
	good_requests();
	reallocs();
	questions();
	rare_names(preloaded);
	puts("done");
	return 0;
}
