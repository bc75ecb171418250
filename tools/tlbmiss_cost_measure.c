/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The measurement. All kinds of page have their region at the same time, and
 * take turns for each working set and each repeat, so that a neighbour's noise
 * or a changing clock hits them alike. The figure is the median of the repeats.
 *
 * Kernel behaviour relied on: a read(2) into a page that cannot be had fails
 * with EFAULT where a store would be killed; MADV_NOHUGEPAGE and MADV_HUGEPAGE
 * decide about transparent huge pages; smaps says what came of it.
 */
#include "tlbmiss_cost.h"

#include "base/fmt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SMALLEST_SET  (32 * HL_KIB)
#define STANDARD_MOST (512 * HL_MIB)
#define LINE_BYTES    64
/* Of a measurement: long against the clock's grain, short against a slice. */
#define ACCESSES ((size_t)1 << 17)
#define SCRATCH	 (256 * HL_KIB)

/* ---- kinds ---- */

static bool is_wanted(const struct cost *c, const char *name)
{
	const char *list = c->wanted;

	while (list) {
		size_t length = strcspn(list, ","), bytes;
		char word[24];

		snprintf(word, sizeof(word), "%.*s", (int)length, list);
		if (hl_same_text(word, name) ||
			(hl_parse_size(word, &bytes) == 0 &&
				hl_same_text(tool_size(bytes).text, name)))
			return true;
		list = list[length] ? list + length + 1 : NULL;
	}
	return !c->wanted;
}

static void add_kind(
	struct cost *c, enum cost_backing backing, size_t page_bytes)
{
	struct cost_kind *k = &c->kinds[c->kind_count];

	*k = (struct cost_kind){.backing = backing, .page_bytes = page_bytes};
	snprintf(k->name, sizeof(k->name), "%s",
		backing == COST_THP ? "THP" : tool_size(page_bytes).text);
	if (is_wanted(c, k->name))
		c->kind_count++;
}

static void list_kinds(struct cost *c)
{
	size_t sizes[HL_PAGE_SIZES_MAX];
	int n = hl_huge_page_sizes(&c->root, sizes);
	struct hl_thp thp;

	add_kind(c, COST_BASE, hl_base_page_bytes());
	if (hl_thp_read(&c->root, &thp) == 0 && thp.present)
		add_kind(c, COST_THP, thp.pmd_bytes);
	for (int i = 0; i < n; i++)
		add_kind(c, COST_HUGETLB, sizes[i]);
}

/* ---- regions ---- */

/* How much of it could be had; a page at a time, never by a signal. */
static size_t populate(char *at, size_t bytes, size_t page_bytes)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	size_t done = 0;

	while (zero >= 0 && done < bytes && read(zero, at + done, 1) == 1)
		done += page_bytes;
	if (zero >= 0)
		close(zero);
	return HL_MIN(done, bytes);
}

struct range {
	uintptr_t from, to;
	size_t huge_bytes;
};

static int see_map(const struct hl_map_record *r, void *arg)
{
	struct range *range = arg;

	if (r->from < range->to && r->to > range->from)
		range->huge_bytes += r->anon_huge_bytes +
				     r->private_hugetlb_bytes +
				     r->shared_hugetlb_bytes;
	return 0;
}

static size_t huge_bytes_of(const void *at, size_t bytes)
{
	struct range range = {(uintptr_t)at, (uintptr_t)at + bytes, 0};
	char *scratch = tool_zalloc(SCRATCH, 1);

	(void)hl_smaps_visit(
		&hl_root_real, 0, scratch, SCRATCH, see_map, &range);
	free(scratch);
	return range.huge_bytes;
}

static void map_ordinary(struct cost_kind *k, size_t bytes)
{
	size_t align = HL_MAX(k->page_bytes, hl_base_page_bytes());
	char *at;

	if (bytes < k->page_bytes) {
		k->missing = tool_text(
			"the largest set is smaller than a huge page (%s)",
			tool_size(k->page_bytes).text);
		return;
	}
	at = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED) {
		k->missing = tool_text("no memory: %s", strerror(errno));
		return;
	}
	at = (char *)hl_align_up((uintptr_t)at, align);
	(void)madvise(at, bytes,
		k->backing == COST_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	k->region = at;
	k->region_bytes = populate(at, bytes, hl_base_page_bytes());
	k->huge_bytes = huge_bytes_of(at, bytes);
	if (k->backing == COST_THP && k->huge_bytes < k->region_bytes / 2)
		k->missing = tool_strdup(
			k->huge_bytes ? "most of it stayed on base pages"
				      : "none could be had (see hugeadm "
					"--explain)");
}

static void map_hugetlb(struct cost_kind *k, size_t bytes)
{
	struct hl_pool pool = {0};
	uint64_t pages;
	void *at;

	(void)hl_pool_read(&hl_root_real, k->page_bytes, HL_NODE_ANY, &pool);
	pages = hl_pool_available(&pool);
	bytes = hl_align_up(bytes, k->page_bytes);
	if (pages < bytes / k->page_bytes)
		bytes = pages * k->page_bytes;
	if (bytes == 0) {
		k->missing = tool_text("the pool has no free page (hugeadm "
				       "--pool-pages-min %s:...)",
			tool_size(k->page_bytes).text);
		return;
	}
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE |
			hl_map_huge_flag(k->page_bytes),
		-1, 0);
	if (at == MAP_FAILED) {
		k->missing = tool_text("no mapping: %s", strerror(errno));
		return;
	}
	k->region = at;
	k->region_bytes = populate(at, bytes, k->page_bytes);
	k->huge_bytes = k->region_bytes;
	if (k->region_bytes == 0)
		k->missing = tool_strdup("no page may be taken here (a control "
					 "group's limit?)");
}

/* SIZE_MAX where the kernel does not say. */
static size_t available_bytes(const struct hl_root *root)
{
	char buf[4096], *line;
	struct hl_lines lines;
	size_t bytes = SIZE_MAX;

	if (hl_lines_open(&lines, root, "/proc/meminfo", buf, sizeof(buf)))
		return bytes;
	while (hl_lines_next(&lines, &line) == 1) {
		unsigned long long kib;

		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			bytes = (size_t)kib * HL_KIB;
	}
	hl_lines_close(&lines);
	return bytes;
}

/* An eighth of what is free: there is a region for each kind. */
static size_t standard_most(size_t available)
{
	size_t most = HL_MIN(STANDARD_MOST, available / 8);

	return HL_MAX((size_t)1 << hl_log2(most | 1), SMALLEST_SET);
}

/* Sooner than have the kernel look for memory, or for a victim. */
static int check_memory(const struct cost *c, size_t available)
{
	size_t regions = 0;

	/* What pools have is not part of it. */
	for (unsigned i = 0; i < c->kind_count; i++)
		regions += c->kinds[i].backing != COST_HUGETLB;
	if (regions == 0 || c->most_bytes <= available / regions)
		return TOOL_OK;
	return tool_usage(
		"--max: %s for each of %zu kinds of page is more than the %s "
		"that are free",
		tool_size(c->most_bytes).text, regions,
		tool_human(available).text);
}

static void make_regions(struct cost *c, size_t available)
{
	size_t most = c->most_bytes ? c->most_bytes : standard_most(available);

	/* Two sets for each power of two; base pages may be larger than it. */
	for (size_t set = HL_MAX(SMALLEST_SET, 4 * hl_base_page_bytes());
		set <= most && c->sets < COST_SETS_MAX; set *= 2)
		c->set[c->sets++] = set;
	for (unsigned i = 0; i < c->kind_count; i++) {
		struct cost_kind *k = &c->kinds[i];

		if (k->backing == COST_HUGETLB)
			map_hugetlb(k, c->set[c->sets - 1]);
		else
			map_ordinary(k, c->set[c->sets - 1]);
	}
}

bool cost_has(const struct cost_kind *k, const struct cost *c, unsigned set)
{
	return !k->missing && k->region_bytes >= c->set[set];
}

/* ---- the chain ---- */

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/*
 * One cache line of each base page, a different one in each, else all lines
 * would compete for the same sets of the cache. The order is the same for all
 * kinds.
 */
static void *link_chain(char *region, size_t bytes)
{
	size_t page = hl_base_page_bytes(), n = bytes / page;
	uint32_t *order = tool_zalloc(n, sizeof(*order));
	uint64_t state = bytes;
	char *first, *last;

	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = next_random(&state) % (i + 1);
		uint32_t swap = order[i];

		order[i] = order[j];
		order[j] = swap;
	}
#define LINE_OF(i)           \
	(region + (i)*page + \
		((i)*0x9e3779b1u >> 7) % (page / LINE_BYTES) * LINE_BYTES)
	first = last = LINE_OF((size_t)order[0]);
	for (size_t i = 1; i < n; i++) {
		char *line = LINE_OF((size_t)order[i]);

		memcpy(last, &line, sizeof(line));
		last = line;
	}
	memcpy(last, &first, sizeof(first));
#undef LINE_OF
	free(order);
	return first;
}

static void *follow(void *at, size_t accesses)
{
	for (; accesses > 0; accesses -= 8) {
		at = *(void *volatile *)at;
		at = *(void *volatile *)at;
		at = *(void *volatile *)at;
		at = *(void *volatile *)at;
		at = *(void *volatile *)at;
		at = *(void *volatile *)at;
		at = *(void *volatile *)at;
		at = *(void *volatile *)at;
	}
	return at;
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void measure_once(
	struct cost *c, struct cost_kind *k, unsigned set, unsigned repeat)
{
	size_t n = c->set[set] / hl_base_page_bytes();
	void *at = link_chain(k->region, c->set[set]);
	bool count = perf_has(&c->perf, PERF_LOAD_MISSES);
	uint64_t before = 0;
	double start;

	/* Once round, so that caches have what they will have. */
	at = follow(at, HL_MIN(hl_align_up(n, 8), ACCESSES));
	if (count)
		before = perf_read(&c->perf, PERF_LOAD_MISSES);
	start = now_ns();
	at = follow(at, ACCESSES);
	k->sample[set][repeat] = (now_ns() - start) / (double)ACCESSES;
	if (count)
		k->misses[set] =
			(double)(perf_read(&c->perf, PERF_LOAD_MISSES) -
				 before) /
			(double)ACCESSES;
	/* The chain must not be optimised away. */
	__asm__ volatile("" : : "r"(at) : "memory");
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void summarise(struct cost *c, struct cost_kind *k, unsigned set)
{
	double *s = k->sample[set];
	unsigned n = c->repeats;

	qsort(s, n, sizeof(*s), compare);
	k->median[set] = n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
	k->spread[set] = (s[n - 1 - n / 4] - s[n / 4]) / 2;
}

/* ---- the processor's clock ---- */

static void find_clock(struct cost *c)
{
	char buf[8192], *line;
	struct hl_lines lines;
	double mhz;

	if (perf_has(&c->perf, PERF_CYCLES)) {
		double start = now_ns();
		uint64_t before = perf_read(&c->perf, PERF_CYCLES);

		while (now_ns() - start < 2e7)
			;
		c->mhz = (double)(perf_read(&c->perf, PERF_CYCLES) - before) *
			 1e3 / (now_ns() - start);
		c->mhz_source = "counted";
		return;
	}
	if (hl_lines_open(&lines, &c->root, "/proc/cpuinfo", buf, sizeof(buf)))
		return;
	while (c->mhz == 0 && hl_lines_next(&lines, &line) == 1) {
		if (sscanf(line, "cpu MHz : %lf", &mhz) == 1 && mhz > 0) {
			c->mhz = mhz;
			c->mhz_source = "/proc/cpuinfo";
		}
	}
	hl_lines_close(&lines);
}

/* ---- the whole ---- */

/* One turn of all kinds. */
static void measure_set(struct cost *c, unsigned set, unsigned repeat)
{
	for (unsigned i = 0; i < c->kind_count; i++) {
		struct cost_kind *k = &c->kinds[i];

		k->misses[set] = -1;
		if (cost_has(k, c, set))
			measure_once(c, k, set, repeat);
	}
}

/* Whether anything can be; if not, a line says why of each kind. */
static bool has_any(const struct cost *c)
{
	char *text = NULL;

	for (unsigned i = 0; i < c->kind_count; i++) {
		const struct cost_kind *k = &c->kinds[i];
		char *more;

		if (cost_has(k, c, 0)) {
			free(text);
			return true;
		}
		more = tool_text("%s%s%s: %s", text ? text : "",
			text ? "; " : "", k->name,
			k->missing ? k->missing : "too little could be had");
		free(text);
		text = more;
	}
	tool_say("nothing was measured: %s", text ? text : "");
	free(text);
	return false;
}

int cost_measure(struct cost *c)
{
	size_t available = available_bytes(&c->root);
	int status;

	list_kinds(c);
	if (c->kind_count == 0)
		return tool_fail(
			"no kind of page here is named \"%s\"", c->wanted);
	status = check_memory(c, available);
	if (status != TOOL_OK)
		return status;
	(void)perf_open(&c->perf, 0);
	make_regions(c, available);
	if (!has_any(c))
		return TOOL_FAILURE;
	/* Not counted: code, clock and counters have to wake up. */
	measure_set(c, 0, 0);
	for (unsigned repeat = 0; repeat < c->repeats; repeat++) {
		for (unsigned set = 0; set < c->sets; set++)
			measure_set(c, set, repeat);
	}
	for (unsigned i = 0; i < c->kind_count; i++) {
		for (unsigned set = 0; set < c->sets; set++) {
			if (cost_has(&c->kinds[i], c, set))
				summarise(c, &c->kinds[i], set);
		}
	}
	find_clock(c);
	return TOOL_OK;
}

void cost_free(struct cost *c)
{
	perf_close(&c->perf);
	for (unsigned i = 0; i < c->kind_count; i++)
		free(c->kinds[i].missing);
}

/* On the largest set that base pages and something larger both have. */
struct cost_result cost_result(const struct cost *c)
{
	struct cost_result r = {0};

	for (unsigned i = 0; i < c->kind_count; i++) {
		if (c->kinds[i].backing == COST_BASE)
			r.base = &c->kinds[i];
	}
	for (unsigned set = c->sets; r.base && !r.known && set-- > 0;) {
		for (unsigned i = 0; i < c->kind_count; i++) {
			const struct cost_kind *k = &c->kinds[i];

			if (k == r.base || !cost_has(k, c, set) ||
				!cost_has(r.base, c, set) ||
				(r.known &&
					k->median[set] >= r.huge->median[set]))
				continue;
			r.known = true;
			r.huge = k;
			r.set = set;
		}
	}
	if (!r.known)
		return r;
	r.ns = r.base->median[r.set] - r.huge->median[r.set];
	r.saved = r.ns / r.base->median[r.set];
	if (r.base->misses[r.set] - r.huge->misses[r.set] > 0.1) {
		r.counted = true;
		r.ns /= r.base->misses[r.set] - r.huge->misses[r.set];
	}
	if (r.ns > 0)
		r.cycles = (unsigned)(r.ns * c->mhz / 1000 + 0.5);
	return r;
}
