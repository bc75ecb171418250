/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Private huge pages, each counted for one process. smaps is enough where
 * nothing is shared; where a fork shares pages, or a private mapping shows
 * pages of its file, the entries of pagemap tell: a page of the file belongs to
 * the file, and a shared page to the first process that it is met in, known by
 * its frame number. Without CAP_SYS_ADMIN the kernel hides those numbers: then
 * the first process with that mapping is taken to have all that is shared.
 *
 * Kernel behaviour relied on: a mapping that a fork inherits keeps device,
 * inode and address, and the reservation stays with the parent, the process
 * that started first; each page touched uses up a part of it. A NORESERVE
 * mapping has none.
 */
#include "hugestat.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Bits of an entry. */
#define PM_PRESENT   ((uint64_t)1 << 63)
#define PM_FILE	     ((uint64_t)1 << 61)
#define PM_EXCLUSIVE ((uint64_t)1 << 56)
#define PM_FRAME     (((uint64_t)1 << 55) - 1)

/* ---- frames seen ---- */

struct frames {
	uint64_t *slot; /* 0: empty */
	size_t capacity, count;
};

static bool insert(struct frames *f, uint64_t frame)
{
	size_t i = (frame * 0x9e3779b97f4a7c15u >> 20) & (f->capacity - 1);

	while (f->slot[i] != 0) {
		if (f->slot[i] == frame)
			return false;
		i = (i + 1) & (f->capacity - 1);
	}
	f->slot[i] = frame;
	f->count++;
	return true;
}

static void grow(struct frames *f)
{
	struct frames bigger = {
		.capacity = f->capacity ? 2 * f->capacity : 1024};

	bigger.slot = tool_zalloc(bigger.capacity, sizeof(*bigger.slot));
	for (size_t i = 0; i < f->capacity; i++) {
		if (f->slot[i] != 0)
			insert(&bigger, f->slot[i]);
	}
	free(f->slot);
	*f = bigger;
}

/* True the first time. */
static bool is_fresh(struct frames *f, uint64_t frame)
{
	if (2 * f->count >= f->capacity)
		grow(f);
	return insert(f, frame);
}

/* ---- groups: the same mapping in several processes ---- */

static int compare_maps(const void *a, const void *b)
{
	const struct stat_map *m = a, *n = b;

	if (m->device != n->device)
		return m->device < n->device ? -1 : 1;
	if (m->inode != n->inode)
		return m->inode < n->inode ? -1 : 1;
	if (m->from != n->from)
		return m->from < n->from ? -1 : 1;
	return (m->process > n->process) - (m->process < n->process);
}

/* Whether the process got that mapping first. */
static bool is_older(const struct stat_snapshot *s, const struct stat_map *a,
	const struct stat_map *b)
{
	const struct stat_process *p = &s->processes[a->process];
	const struct stat_process *q = &s->processes[b->process];

	return p->start != q->start ? p->start < q->start : p->pid < q->pid;
}

static bool is_same(const struct stat_map *a, const struct stat_map *b)
{
	return a->device == b->device && a->inode == b->inode &&
	       a->from == b->from;
}

/* ---- one mapping ---- */

struct counting {
	struct stat_snapshot *s;
	struct frames frames;
};

/* Pages by pagemap; false if it cannot be read. `first` of the group. */
static bool count_entries(struct counting *c, const struct stat_map *m,
	bool first, uint64_t *pages, uint64_t *own)
{
	struct stat_snapshot *s = c->s;
	uint64_t base = hl_base_page_bytes(), bytes = s->sizes[m->size].bytes;
	char *path = stat_path(s->request, "/proc/%d/pagemap",
		(int)s->processes[m->process].pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	free(path);
	if (fd < 0)
		return false;
	*pages = *own = 0;
	for (uint64_t at = m->from; at < m->to; at += bytes) {
		if (pread(fd, &entry, sizeof(entry),
			    (off_t)(at / base * sizeof(entry))) !=
			sizeof(entry))
			break;
		if (!(entry & PM_PRESENT) || (entry & PM_FILE))
			continue;
		++*pages;
		if (entry & PM_EXCLUSIVE) {
			++*own;
		} else if ((entry & PM_FRAME) == 0) {
			s->pfns_hidden = true;
			*own += first;
		} else {
			*own += is_fresh(&c->frames, entry & PM_FRAME);
		}
	}
	close(fd);
	return true;
}

static void settle(
	struct counting *c, const struct stat_map *m, bool first, bool owner)
{
	struct stat_snapshot *s = c->s;
	struct stat_process *p = &s->processes[m->process];
	uint64_t span = (m->to - m->from) / s->sizes[m->size].bytes;
	uint64_t pages = m->private_pages + m->shared_pages, own;
	bool simple = m->anonymous && m->shared_pages == 0;

	if (simple || !s->request->live ||
		!count_entries(c, m, first, &pages, &own)) {
		own = m->private_pages + (first ? m->shared_pages : 0);
		if (!simple && s->request->live)
			s->pfns_hidden = true;
	}
	p->private_pages[m->size] += own;
	if (owner && !m->noreserve && span > pages)
		p->resv_pages[m->size] += span - pages;
}

void stat_settle_private(struct stat_snapshot *s)
{
	struct counting c = {.s = s};

	if (s->map_count > 0)
		qsort(s->maps, s->map_count, sizeof(*s->maps), compare_maps);
	for (size_t i = 0; i < s->map_count;) {
		size_t end = i, owner = i;

		while (end < s->map_count &&
			is_same(&s->maps[i], &s->maps[end])) {
			if (is_older(s, &s->maps[end], &s->maps[owner]))
				owner = end;
			end++;
		}
		/* The owner first: what is shared counts for it. */
		settle(&c, &s->maps[owner], true, true);
		for (size_t j = i; j < end; j++) {
			if (j != owner)
				settle(&c, &s->maps[j], false, false);
		}
		i = end;
	}
	free(c.frames.slot);
}
