/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program of it_mapping.py: random calls on its own anonymous mappings,
 * against a naive copy of what each base page must hold and allow. Uses nothing
 * but the C library's calls, so that the same binary runs plainly and
 * preloaded.
 *
 *   mapping_calls private|shared SEED STEPS
 *
 * mmap, munmap, mprotect, madvise and mremap of any base pages, other mappings
 * laid over with MAP_FIXED, children that check and write. Of shared mappings
 * no page can be replaced: what is less than a huge page may stay readable
 * when it was unmapped, and once there was a child, may be refused (EINVAL).
 */
#include "check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAPPINGS  6
#define PAGES_MAX 2000

struct page {
	uint32_t word; /* that all of it holds */
	bool there;
	int prot;
};

static struct mapping {
	char *at;
	size_t pages;
	bool forked;
	struct page page[PAGES_MAX];
} all[MAPPINGS];

static size_t page_bytes;
static bool shared;
static uint32_t next_word = 1;
static uint64_t state;

static uint32_t random_below(uint32_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((state >> 33) % n);
}

static char *address(struct mapping *m, size_t page)
{
	return m->at + page * page_bytes;
}

static int ends[2] = {-1, -1};

/*
 * A page as the kernel lets us read it; false: it does not. Through a pipe:
 * process_vm_readv() would pin the page, and take a copy for that where it is
 * shared with a child.
 */
static bool peek(const char *at, uint32_t *first, uint32_t *last)
{
	struct iovec from[2] = {{(void *)(uintptr_t)at, sizeof(*first)},
		{(void *)(uintptr_t)(at + page_bytes - sizeof(*last)),
			sizeof(*last)}};
	uint32_t words[2];
	ssize_t n;

	if (ends[0] < 0)
		CHECK(pipe(ends) == 0);
	n = writev(ends[1], from, 2);
	if (n > 0)
		CHECK(read(ends[0], words, sizeof(words)) == n);
	if (n != (ssize_t)sizeof(words))
		return false;
	*first = words[0];
	*last = words[1];
	return true;
}

static void check_page(struct mapping *m, size_t i)
{
	struct page *p = &m->page[i];
	uint32_t first = 0, last = 0;
	bool readable = peek(address(m, i), &first, &last);

	if (p->there && p->prot != PROT_NONE) {
		CHECK(readable);
		CHECK(first == p->word && last == p->word);
	} else if (p->there || !shared) {
		CHECK(!readable);
	}
}

static void check_mapping(struct mapping *m)
{
	for (size_t i = 0; i < m->pages; i++)
		check_page(m, i);
}

static void fill(struct mapping *m, size_t i)
{
	uint32_t *w = (uint32_t *)(void *)address(m, i);

	for (size_t k = 0; k < page_bytes / sizeof(*w); k += 64)
		w[k] = next_word;
	w[page_bytes / sizeof(*w) - 1] = next_word;
	m->page[i].word = next_word++;
}

static void store(struct mapping *m, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		if (m->page[i].there && m->page[i].prot & PROT_WRITE)
			fill(m, i);
	}
}

/* ---- calls ---- */

static void reset(struct mapping *m, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		m->page[i] = (struct page){0, true, PROT_READ | PROT_WRITE};
}

static int type(void)
{
	return shared ? MAP_SHARED : MAP_PRIVATE;
}

static void make(struct mapping *m)
{
	size_t pages = 1 + random_below(PAGES_MAX - 1);
	char *p = mmap(NULL, pages * page_bytes, PROT_READ | PROT_WRITE,
		type() | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	m->at = p;
	m->pages = pages;
	m->forked = false;
	reset(m, 0, pages);
	check_page(m, 0);
	check_page(m, pages - 1);
	store(m, random_below((uint32_t)pages), pages);
}

static void range(struct mapping *m, size_t *from, size_t *to)
{
	*from = random_below((uint32_t)m->pages);
	*to = *from + 1 + random_below((uint32_t)(m->pages - *from));
	if (random_below(3) == 0)
		*to = m->pages;
	if (random_below(3) == 0)
		*from = 0;
}

/* Pages [from, to) of m as a mapping of their own. */
static void cut(struct mapping *to_m, struct mapping *m, size_t from, size_t to)
{
	char *at = from < to ? address(m, from) : NULL;

	memmove(to_m->page, m->page + from, (to - from) * sizeof(*m->page));
	to_m->at = at;
	to_m->pages = to - from;
	to_m->forked = m->forked;
}

static struct mapping *unused(void)
{
	for (int i = 0; i < MAPPINGS; i++) {
		if (all[i].at == NULL)
			return &all[i];
	}
	return NULL;
}

/* A hole is anybody's: it is not looked at after this. */
static void split(struct mapping *m, size_t from, size_t to)
{
	struct mapping *other;

	for (size_t i = from; i < to; i++)
		check_page(m, i);
	if (from == 0) {
		cut(m, m, to, m->pages);
		return;
	}
	other = unused();
	if (to < m->pages && other == NULL)
		CHECK(munmap(address(m, to), (m->pages - to) * page_bytes) ==
			0);
	else if (to < m->pages)
		cut(other, m, to, m->pages);
	m->pages = from;
}

static void unmap(struct mapping *m, size_t from, size_t to)
{
	/* Also by lengths that are no whole pages. */
	size_t bytes = (to - from) * page_bytes - random_below(100);

	CHECK(munmap(address(m, from), bytes) == 0);
	for (size_t i = from; i < to; i++)
		m->page[i].there = false;
	split(m, from, to);
}

static void protect(struct mapping *m, size_t from, size_t to)
{
	static const int prots[] = {
		PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};
	int prot = prots[random_below(3)];

	if (mprotect(address(m, from), (to - from) * page_bytes, prot) < 0) {
		CHECK(shared && m->forked && errno == EINVAL);
		return;
	}
	for (size_t i = from; i < to; i++)
		m->page[i].prot = prot;
}

static void discard(struct mapping *m, size_t from, size_t to)
{
	if (shared)
		return;
	CHECK(madvise(address(m, from), (to - from) * page_bytes,
		      MADV_DONTNEED) == 0);
	for (size_t i = from; i < to; i++)
		m->page[i].word = 0;
}

static bool is_writable(const struct mapping *m)
{
	for (size_t i = 0; i < m->pages; i++) {
		if (m->page[i].prot != (PROT_READ | PROT_WRITE))
			return false;
	}
	return true;
}

static void move(struct mapping *m)
{
	size_t pages = 1 + random_below(PAGES_MAX - 1);
	char *p;

	if (!is_writable(m) || (shared && (m->forked || pages > m->pages)))
		return;
	p = mremap(m->at, m->pages * page_bytes, pages * page_bytes,
		MREMAP_MAYMOVE);
	/* The kernel wants one mapping; a program's own mprotect made more. */
	if (p == MAP_FAILED) {
		CHECK(errno == EFAULT || errno == ENOMEM || errno == EINVAL);
		return;
	}
	m->at = p;
	if (pages > m->pages)
		reset(m, m->pages, pages);
	m->pages = pages;
}

/* Something else comes to lie there, and is looked at like the rest. */
static void overlay(struct mapping *m, size_t from, size_t to)
{
	char *p = mmap(address(m, from), (to - from) * page_bytes,
		PROT_READ | PROT_WRITE, type() | MAP_ANONYMOUS | MAP_FIXED, -1,
		0);

	if (p == MAP_FAILED) {
		CHECK(shared && m->forked && errno == EINVAL);
		return;
	}
	reset(m, from, to);
}

static void check_all(void)
{
	for (int i = 0; i < MAPPINGS; i++) {
		if (all[i].at != NULL)
			check_mapping(&all[i]);
	}
}

static void store_all(void)
{
	for (int i = 0; i < MAPPINGS; i++) {
		if (all[i].at != NULL)
			store(&all[i], 0, all[i].pages);
	}
}

static void child(void)
{
	ends[0] = -1; /* a pipe of its own */
	check_all();
	store_all();
	check_all();
	for (int i = 0; i < MAPPINGS; i++) {
		if (all[i].at != NULL)
			unmap(&all[i], 0, all[i].pages);
	}
	_exit(0);
}

/* What the child stored: seen by all, in the order of store_all(). */
static void expect_stores(void)
{
	for (int i = 0; i < MAPPINGS; i++) {
		for (size_t k = 0; all[i].at != NULL && k < all[i].pages; k++) {
			if (all[i].page[k].prot & PROT_WRITE)
				all[i].page[k].word = next_word++;
		}
	}
}

static void in_child(void)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0)
		child();
	for (int i = 0; i < MAPPINGS; i++)
		all[i].forked = true;
	/* At the same time as the child: copies on both sides. */
	if (!shared)
		store_all();
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	if (shared)
		expect_stores();
	check_all();
}

static void step(void)
{
	struct mapping *m = &all[random_below(MAPPINGS)];
	size_t from, to;

	if (m->at == NULL) {
		make(m);
		return;
	}
	range(m, &from, &to);
	switch (random_below(8)) {
	case 0:
		unmap(m, from, to);
		break;
	case 1:
		protect(m, from, to);
		break;
	case 2:
		discard(m, from, to);
		break;
	case 3:
		move(m);
		break;
	case 4:
		if (random_below(4) == 0)
			overlay(m, from, to);
		break;
	case 5:
		unmap(m, 0, m->pages);
		break;
	default:
		store(m, from, to);
		break;
	}
	if (m->at != NULL)
		check_mapping(m);
}

static long mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	long n = 0;
	int c;

	CHECK(f != NULL);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* More than is needed, trimmed at both ends: nothing of it stays. */
static void trim(void)
{
	size_t bytes = (size_t)5 << 20, odd = 3 * page_bytes;
	long before = mappings();

	for (int i = 0; i < 40; i++) {
		char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			type() | MAP_ANONYMOUS, -1, 0);

		CHECK(p != MAP_FAILED);
		p[bytes / 2] = 1;
		CHECK(munmap(p, odd) == 0);
		CHECK(munmap(p + bytes - odd, odd) == 0);
		CHECK(p[bytes / 2] == 1);
		CHECK(munmap(p + odd, bytes - 2 * odd) == 0);
	}
	CHECK(mappings() < before + 20);
}

/* Of no round length; shared memory does not grow. */
static void grow(void)
{
	size_t bytes = ((size_t)5 << 20) + 3 * page_bytes;
	char *p;

	if (shared)
		return;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, type() | MAP_ANONYMOUS,
		-1, 0);
	CHECK(p != MAP_FAILED);
	p[bytes - 1] = 1;
	p = mremap(p, bytes, 2 * bytes, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED);
	CHECK(p[bytes - 1] == 1 && p[2 * bytes - 1] == 0);
	CHECK(munmap(p, 2 * bytes) == 0);
}

int main(int argc, char **argv)
{
	long steps;

	CHECK(argc == 4);
	shared = argv[1][0] == 's';
	state = strtoul(argv[2], NULL, 10);
	steps = strtol(argv[3], NULL, 10);
	page_bytes = (size_t)getpagesize();
	for (long i = 0; i < steps; i++) {
		step();
		if (random_below(100) == 0)
			in_child();
	}
	in_child();
	for (int i = 0; i < MAPPINGS; i++) {
		if (all[i].at != NULL)
			unmap(&all[i], 0, all[i].pages);
	}
	trim();
	grow();
	puts("done");
	return 0;
}
