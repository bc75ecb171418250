/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tlbmiss_cost(8): what a miss of the TLB costs here, and what huge pages would
 * gain. A chain of pointers leads through one cache line of every base page of
 * a working set, in random order, so that nothing but latency counts; the same
 * chain on pages of each size differs in nothing but the TLB. Single-threaded.
 */
#ifndef HL_TOOLS_TLBMISS_COST_H
#define HL_TOOLS_TLBMISS_COST_H

#include "perf.h"
#include "tool.h"

#define COST_SETS_MAX	 40
#define COST_REPEATS_MAX 101
#define COST_KINDS_MAX	 (2 + HL_PAGE_SIZES_MAX)

enum cost_backing {
	COST_BASE,
	COST_THP,
	COST_HUGETLB
};

/* One kind of page, and what was measured on it. */
struct cost_kind {
	enum cost_backing backing;
	size_t page_bytes;
	char name[24];	     /* "4K", "THP", "2M" */
	char *missing;	     /* why it was not measured, or NULL */
	size_t region_bytes; /* what of the largest set it has */
	size_t huge_bytes;   /* of that, on huge pages in fact */
	void *region;
	double sample[COST_SETS_MAX][COST_REPEATS_MAX]; /* ns an access */
	double median[COST_SETS_MAX];
	double spread[COST_SETS_MAX]; /* half of the middle half, ns */
	double misses[COST_SETS_MAX]; /* an access; below 0: not counted */
};

struct cost {
	struct hl_root root;
	size_t most_bytes; /* largest working set asked for; 0: a default */
	unsigned repeats;
	const char *wanted; /* list of kinds, or NULL */
	bool json, plot;
	const char *svg;
	size_t set[COST_SETS_MAX];
	unsigned sets;
	struct cost_kind kinds[COST_KINDS_MAX];
	unsigned kind_count;
	struct perf_set perf;
	double mhz; /* of the processor; 0: not known */
	const char *mhz_source;
};

/* tlbmiss_cost_measure.c: 0, or a tool status. */
int cost_measure(struct cost *c);
void cost_free(struct cost *c);

/* What comes of it. */
struct cost_result {
	bool known;
	const struct cost_kind *base, *huge;
	unsigned set;	 /* where they were compared */
	double ns;	 /* of one miss */
	double saved;	 /* share of the time of an access, 0 to 1 */
	bool counted;	 /* misses were counted, else one an access taken */
	unsigned cycles; /* 0: the clock is not known */
};
struct cost_result cost_result(const struct cost *c);
/* Whether that kind has all of that set. */
bool cost_has(const struct cost_kind *k, const struct cost *c, unsigned set);

/* tlbmiss_cost_show.c */
void cost_show(const struct cost *c);
int cost_json(const struct cost *c);
/* tlbmiss_cost_plot.c */
void cost_plot(const struct cost *c);
int cost_svg(const struct cost *c, const char *path);

#endif
