/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SysV segments of huge pages. Those that a process has attached were found by
 * its maps, with their size of page. The list of segments adds key, owner, and
 * those that nobody has attached, but does not tell which are of huge pages.
 * Attaching one to look at it is out of the question: programs take an attached
 * segment for one in use. What gives them away is the resident size, which the
 * kernel gets wrong: it counts pages times base pages in a huge page, and
 * since 6.7 the pages are base pages already, so that more is resident than the
 * segment is long. Where even that leaves a doubt, a segment is taken for huge
 * only if that is what is missing in the sums.
 */
#include "hugestat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static uint64_t whole_pages(uint64_t bytes, uint64_t page_bytes)
{
	return bytes / page_bytes + (bytes % page_bytes != 0);
}

uint64_t stat_segment_pages(uint64_t rss_bytes, uint64_t bytes,
	uint64_t page_bytes, uint64_t base_bytes, bool in_base)
{
	uint64_t unit = page_bytes;

	if (in_base &&
		__builtin_mul_overflow(unit, page_bytes / base_bytes, &unit))
		return 0;
	if (rss_bytes % unit != 0 ||
		rss_bytes / unit > whole_pages(bytes, page_bytes))
		return 0;
	return rss_bytes / unit;
}

/* A number that nothing else shows: only where both meanings fit. */
static bool counts_base_pages(const struct stat_snapshot *s)
{
	struct utsname name;
	unsigned major, minor;

	if (!s->request->live || uname(&name) != 0 ||
		sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return true;
	return major > 6 || (major == 6 && minor >= 7);
}

static uint64_t pages_of(
	const struct stat_snapshot *s, const struct stat_file *f, unsigned size)
{
	uint64_t base = hl_base_page_bytes(), bytes = s->sizes[size].bytes;
	bool likely = counts_base_pages(s);
	uint64_t n =
		stat_segment_pages(f->rss_bytes, f->bytes, bytes, base, likely);

	return n ? n
		 : stat_segment_pages(
			   f->rss_bytes, f->bytes, bytes, base, !likely);
}

static void copy_segment(struct stat_file *f, const struct hl_shm_segment *g)
{
	f->segment = true;
	f->by_shm = true;
	f->key = g->key;
	f->id = g->id;
	f->bytes = g->bytes;
	f->attached = g->attached;
	f->rss_bytes = g->rss_bytes;
	f->uid = g->uid;
	f->has_uid = true;
	f->creator = g->creator_pid;
}

static struct stat_file *find_segment(struct stat_snapshot *s, int32_t id)
{
	for (size_t i = 0; i < s->file_count; i++) {
		struct stat_file *f = &s->files[i];

		if (f->segment && f->ipc == s->own_ipc &&
			f->inode == (uint64_t)(uint32_t)id)
			return f;
	}
	return NULL;
}

/* The segment is of that size. */
static void settle(struct stat_snapshot *s, struct stat_file *f)
{
	if (!f->pages_known) {
		f->pages = pages_of(s, f, f->size);
		f->pages_known = true;
	}
	/* Mapped, and not one mapping reserves: made so for all its life. */
	if (f->mappers == 0 || f->range_count > 0)
		stat_file_range(
			f, 0, whole_pages(f->bytes, s->sizes[f->size].bytes));
}

static struct stat_file *adopt(
	struct stat_snapshot *s, const struct hl_shm_segment *g, unsigned size)
{
	struct stat_file *f = stat_file_at(
		s, s->sizes[size].device, (uint32_t)g->id, s->own_ipc, size);

	copy_segment(f, g);
	if (!f->name)
		f->name = tool_text("/SYSV%08x", (unsigned)g->key);
	settle(s, f);
	return f;
}

/* Whether that rss fits any size of huge page. */
static bool may_be_huge(
	const struct stat_snapshot *s, const struct stat_file *probe)
{
	for (unsigned i = 0; i < s->size_count; i++) {
		if (probe->rss_bytes == 0 || pages_of(s, probe, i) > 0)
			return true;
	}
	return false;
}

static int see_segment(const struct hl_shm_segment *g, void *arg)
{
	struct stat_snapshot *s = arg;
	struct stat_file *f = find_segment(s, g->id);
	uint64_t base = hl_base_page_bytes();
	struct stat_file probe = {.bytes = g->bytes, .rss_bytes = g->rss_bytes};

	if (f) {
		copy_segment(f, g);
		settle(s, f);
		return 0;
	}
	/* More in it than can be: the kernel's way of counting huge pages. */
	if (g->rss_bytes > whole_pages(g->bytes, base) * base) {
		for (unsigned i = 0; i < s->size_count; i++) {
			if (pages_of(s, &probe, i) > 0) {
				adopt(s, g, i);
				return 0;
			}
		}
	}
	/* Attached by a process whose maps were seen: it would be known. */
	if ((g->attached > 0 && s->maps_denied == 0) || !may_be_huge(s, &probe))
		return 0;
	s->unsure = tool_realloc(
		s->unsure, s->unsure_count + 1, sizeof(*s->unsure));
	f = &s->unsure[s->unsure_count++];
	*f = (struct stat_file){0};
	copy_segment(f, g);
	return 0;
}

void stat_add_segments(struct stat_snapshot *s)
{
	if (s->size_count > 0)
		(void)hl_shm_visit(&s->request->root, see_segment, s);
}

/* ---- by what is missing ---- */

/* What those in doubt would hold and reserve if they were of that size. */
static void add_up(const struct stat_snapshot *s, unsigned size, bool touched,
	uint64_t *pages, uint64_t *resv)
{
	*pages = *resv = 0;
	for (size_t i = 0; i < s->unsure_count; i++) {
		const struct stat_file *f = &s->unsure[i];
		uint64_t whole = whole_pages(f->bytes, s->sizes[size].bytes);
		uint64_t n = pages_of(s, f, size);

		if ((f->rss_bytes > 0) != touched || (touched && n == 0))
			continue;
		*pages += n;
		*resv += whole - n;
	}
}

static void take_over(struct stat_snapshot *s, unsigned size, bool touched)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->unsure_count; i++) {
		struct stat_file *f = &s->unsure[i];
		struct hl_shm_segment g = {
			.key = f->key,
			.id = f->id,
			.bytes = f->bytes,
			.attached = f->attached,
			.rss_bytes = f->rss_bytes,
			.uid = f->uid,
			.creator_pid = f->creator,
		};

		if ((f->rss_bytes > 0) != touched ||
			(touched && pages_of(s, f, size) == 0))
			s->unsure[kept++] = *f;
		else
			adopt(s, &g, size)->resv_guessed = true;
	}
	s->unsure_count = kept;
}

void stat_settle_segments(struct stat_snapshot *s)
{
	for (unsigned i = 0; i < s->size_count; i++) {
		const struct stat_size *z = &s->sizes[i];
		uint64_t pages, resv;

		add_up(s, i, true, &pages, &resv);
		if (pages > 0 && pages == stat_used(z) - stat_held(z) &&
			stat_used(z) > stat_held(z)) {
			take_over(s, i, true);
			stat_sum(s);
		}
		add_up(s, i, false, &pages, &resv);
		if (resv > 0 && z->pool.resv > stat_resv(z) &&
			resv == z->pool.resv - stat_resv(z)) {
			take_over(s, i, false);
			stat_sum(s);
		}
	}
}
