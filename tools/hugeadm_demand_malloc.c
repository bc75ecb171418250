/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a process's anonymous memory glibc's malloc has, and in large blocks:
 * only malloc's can come to stand on pages of the pool, and large blocks do so
 * only once the heap has learned that they are used as a whole. Seen from the
 * headers of its chunks: two words before a block, the second of them its
 * length with flags in the low bits. Where other places of a mapping look like
 * that we err by that much.
 *
 * Reads through /proc/PID/mem only pages that are there, since reading others
 * would make them so. The process goes on meanwhile: a chain that breaks ends
 * the walk, not the suggestion.
 */
#include "hugeadm_suggest.h"

#include <fcntl.h>
#include <unistd.h>

/* From there on blocks are large ones in our heap (lib/heap/large.h). */
#define LARGE_BYTES (256 * HL_KIB)
/* glibc maps no smaller ones by themselves; its other arenas lie so. */
#define MAPPED_MIN  (128 * HL_KIB)
#define ARENA_ALIGN (64 * HL_MIB)

#define IN_USE_BEFORE 1u /* of the chunk before this one */
#define MAPPED	      2u /* a mapping of its own */
#define FLAGS	      7u

#define PRESENT ((uint64_t)1 << 63)
#define BATCH	512

struct chunk {
	uint64_t before, length;
};

void adm_malloc_open(
	struct adm_malloc *m, const struct hl_root *root, pid_t pid)
{
	char *mem = tool_text("%s/proc/%d/mem", root->prefix, pid);
	char *map = tool_text("%s/proc/%d/pagemap", root->prefix, pid);

	*m = (struct adm_malloc){
		.mem = open(mem, O_RDONLY | O_CLOEXEC),
		.pagemap = open(map, O_RDONLY | O_CLOEXEC),
		.page_bytes = (size_t)sysconf(_SC_PAGESIZE),
	};
	free(mem);
	free(map);
}

void adm_malloc_close(struct adm_malloc *m)
{
	if (m->mem >= 0)
		close(m->mem);
	if (m->pagemap >= 0)
		close(m->pagemap);
}

/* The name of a mapped file: whose malloc does the program have? */
void adm_malloc_see(struct adm_malloc *m, const char *path)
{
	static const char *const others[] = {"jemalloc", "tcmalloc", "mimalloc",
		"snmalloc", "rpmalloc", "hugetlbfs"};
	const char *name = hl_last_component(path);

	if (strncmp(name, "libc.so.6", 9) == 0 ||
		strncmp(name, "libc-2.", 7) == 0)
		m->glibc = true;
	for (size_t i = 0; i < HL_ARRAY_SIZE(others); i++)
		if (strncmp(name, "lib", 3) == 0 && strstr(name, others[i]))
			m->other = true;
}

bool adm_malloc_is_known(const struct adm_malloc *m)
{
	return m->glibc && !m->other && m->mem >= 0 && m->pagemap >= 0;
}

static bool is_there(const struct adm_malloc *m, uint64_t at)
{
	uint64_t word;

	return pread(m->pagemap, &word, sizeof(word),
		       (off_t)(at / m->page_bytes * sizeof(word))) ==
		       (ssize_t)sizeof(word) &&
	       (word & PRESENT);
}

static uint64_t resident(const struct adm_malloc *m, uint64_t from, uint64_t to)
{
	uint64_t word[BATCH], page = from / m->page_bytes, pages = 0;
	uint64_t end = (to + m->page_bytes - 1) / m->page_bytes;

	while (page < end) {
		size_t want = (size_t)HL_MIN(end - page, (uint64_t)BATCH);
		ssize_t got = pread(m->pagemap, word, want * sizeof(*word),
			(off_t)(page * sizeof(*word)));

		if (got < (ssize_t)sizeof(*word))
			break;
		want = (size_t)got / sizeof(*word);
		for (size_t i = 0; i < want; i++)
			pages += (word[i] & PRESENT) != 0;
		page += want;
	}
	return HL_MIN(pages * m->page_bytes, to - from);
}

/* Chunks are aligned to 16 bytes: none lies across two windows. */
static bool read_chunk(struct adm_malloc *m, uint64_t at, struct chunk *out)
{
	uint64_t from = hl_align_down(at, sizeof(m->window));

	if (from != m->window_at) {
		m->window_at = 0;
		if (!is_there(m, at) ||
			pread(m->mem, m->window, sizeof(m->window),
				(off_t)from) != (ssize_t)sizeof(m->window))
			return false;
		m->window_at = from;
	}
	if (at % 16 != 0)
		return false;
	memcpy(out, m->window + (at - from), sizeof(*out));
	return true;
}

/* Chunks end to end, until the one that is the rest. */
static uint64_t walk_chunks(struct adm_malloc *m, uint64_t from, uint64_t to)
{
	uint64_t whole = resident(m, from, to), large = 0;
	struct chunk c, next;

	for (uint64_t at = from; read_chunk(m, at, &c);) {
		uint64_t bytes = c.length & ~(uint64_t)FLAGS;

		if (bytes < 2 * sizeof(c) || bytes % 16 != 0 ||
			bytes >= to - at)
			break;
		if (bytes >= LARGE_BYTES && read_chunk(m, at + bytes, &next) &&
			(next.length & IN_USE_BEFORE))
			large += resident(m, at, at + bytes);
		at += bytes;
	}
	return whole - HL_MIN(large, whole);
}

/* Blocks that are mappings, among others that the kernel has joined them to. */
static uint64_t walk_mappings(struct adm_malloc *m, uint64_t from, uint64_t to)
{
	uint64_t small = 0, bytes;
	struct chunk c;

	for (; from < to; from += bytes) {
		bytes = m->page_bytes;
		if (!read_chunk(m, from, &c) || c.before != 0 ||
			(c.length & FLAGS) != MAPPED)
			continue;
		c.length -= MAPPED;
		if (c.length % m->page_bytes != 0 || c.length < MAPPED_MIN ||
			c.length > to - from)
			continue;
		bytes = c.length;
		if (bytes < LARGE_BYTES)
			small += resident(m, from, from + bytes);
	}
	return small;
}

/* Of threads: a record, whose third word is its length, then chunks. */
static bool is_arena(const struct adm_malloc *m, uint64_t from, uint64_t to)
{
	uint64_t word[4];

	return from % ARENA_ALIGN == 0 && to - from <= ARENA_ALIGN &&
	       is_there(m, from) &&
	       pread(m->mem, word, sizeof(word), (off_t)from) ==
		       (ssize_t)sizeof(word) &&
	       word[0] != 0 && word[2] == to - from;
}

uint64_t adm_malloc_small(
	struct adm_malloc *m, const struct adm_range *range, size_t n)
{
	uint64_t small = 0;

	for (const struct adm_range *r = range; r < range + n; r++) {
		if (r->brk)
			small += walk_chunks(m, r->from, r->to);
		else if (is_arena(m, r->from, r->to))
			small += resident(m, r->from, r->to);
		else
			small += walk_mappings(m, r->from, r->to);
	}
	return small;
}
