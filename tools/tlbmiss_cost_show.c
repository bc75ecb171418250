/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was measured, as a table with what it means, and as JSON; the keys are
 * in tlbmiss_cost(8).
 */
#include "tlbmiss_cost.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void show_table(const struct cost *c)
{
	printf("%-8s", "SET");
	for (unsigned i = 0; i < c->kind_count; i++) {
		if (!c->kinds[i].missing)
			printf(" %9s +-%%", c->kinds[i].name);
	}
	puts("   ns an access");
	for (unsigned set = 0; set < c->sets; set++) {
		printf("%-8s", tool_size(c->set[set]).text);
		for (unsigned i = 0; i < c->kind_count; i++) {
			const struct cost_kind *k = &c->kinds[i];

			if (k->missing)
				continue;
			if (!cost_has(k, c, set))
				printf(" %9s    ", "-");
			else
				printf(" %9.2f %3.0f", k->median[set],
					k->spread[set] * 100 / k->median[set]);
		}
		putchar('\n');
	}
}

static void show_missing(const struct cost *c)
{
	size_t most = c->set[c->sets - 1];

	for (unsigned i = 0; i < c->kind_count; i++) {
		const struct cost_kind *k = &c->kinds[i];

		if (k->missing)
			printf("%s: not measured: %s\n", k->name, k->missing);
		else if (k->region_bytes < most)
			printf("%s: no more than %s of it could be had\n",
				k->name, tool_human(k->region_bytes).text);
		else if (k->backing == COST_THP && k->huge_bytes < most)
			printf("%s: %s of %s are on huge pages\n", k->name,
				tool_human(k->huge_bytes).text,
				tool_size(most).text);
	}
}

static void show_method(const struct cost *c)
{
	char list[256];

	printf("timed: a chain of pointers through one line of each base page, "
	       "median of %u\n",
		c->repeats);
	if (perf_has(&c->perf, PERF_LOAD_MISSES))
		printf("counters: %s\n",
			perf_list(&c->perf, list, sizeof(list)));
	else
		printf("counters: none used: %s\n", perf_reason(&c->perf));
}

static void show_result(const struct cost *c)
{
	struct cost_result r = cost_result(c);

	if (!r.known) {
		puts("what a miss costs is not known: it takes base pages and "
		     "huge ones to compare");
		return;
	}
	/* Less than what the measurement itself varies by is nothing. */
	if (r.ns <= 0 ||
		r.base->median[r.set] - r.huge->median[r.set] <=
			r.base->spread[r.set] + r.huge->spread[r.set]) {
		printf("no difference between %s and %s on a set of %s\n",
			r.base->name, r.huge->name,
			tool_size(c->set[r.set]).text);
		return;
	}
	printf("on a set of %s, %s pages take %.0f %% off an access (%.1f "
	       "instead of %.1f ns)\n",
		tool_size(c->set[r.set]).text, r.huge->name, r.saved * 100,
		r.huge->median[r.set], r.base->median[r.set]);
	printf("a miss costs %.1f ns, %s\n", r.ns,
		r.counted ? "by the misses counted"
			  : "if each access on base pages is one");
	if (r.cycles > 0)
		printf("at %.0f MHz (%s) in cycles:\nTLB_MISS_COST=%u\n",
			c->mhz, c->mhz_source, r.cycles);
}

void cost_show(const struct cost *c)
{
	show_table(c);
	show_missing(c);
	show_method(c);
	show_result(c);
}

/* ---- JSON ---- */

static void json_number(struct hl_json *json, const char *key, double value)
{
	if (value < 0)
		hl_json_null(json, key);
	else
		hl_json_fixed(json, key, (uint64_t)(value * 1000 + 0.5), 3);
}

static void json_kind(
	struct hl_json *json, const struct cost *c, const struct cost_kind *k)
{
	hl_json_begin_object(json, NULL);
	hl_json_string(json, "name", k->name);
	hl_json_string(json, "backing",
		k->backing == COST_BASE	 ? "base"
		: k->backing == COST_THP ? "thp"
					 : "hugetlb");
	hl_json_u64(json, "page_bytes", k->page_bytes);
	if (k->missing)
		hl_json_string(json, "missing", k->missing);
	else
		hl_json_null(json, "missing");
	hl_json_u64(json, "region_bytes", k->region_bytes);
	hl_json_u64(json, "huge_bytes", k->huge_bytes);
	hl_json_begin_array(json, "sets");
	for (unsigned set = 0; set < c->sets; set++) {
		if (!cost_has(k, c, set))
			continue;
		hl_json_begin_object(json, NULL);
		hl_json_u64(json, "set_bytes", c->set[set]);
		json_number(json, "median_ns", k->median[set]);
		json_number(json, "spread_ns", k->spread[set]);
		json_number(json, "misses_per_access", k->misses[set]);
		hl_json_end(json);
	}
	hl_json_end(json);
	hl_json_end(json);
}

static void json_result(struct hl_json *json, const struct cost *c)
{
	struct cost_result r = cost_result(c);

	hl_json_begin_object(json, "result");
	hl_json_bool(json, "known", r.known);
	if (r.known) {
		hl_json_u64(json, "set_bytes", c->set[r.set]);
		hl_json_string(json, "base", r.base->name);
		hl_json_string(json, "huge", r.huge->name);
		json_number(json, "miss_ns", r.ns);
		hl_json_bool(json, "misses_counted", r.counted);
		json_number(json, "saved", r.saved);
		if (r.cycles > 0)
			hl_json_u64(json, "miss_cycles", r.cycles);
		else
			hl_json_null(json, "miss_cycles");
	}
	hl_json_end(json);
}

int cost_json(const struct cost *c)
{
	static char text[16384];
	struct hl_json json;
	char list[256];

	fflush(stdout);
	hl_json_init_fd(&json, STDOUT_FILENO, text, sizeof(text));
	json.indent = true;
	hl_json_begin_object(&json, NULL);
	hl_json_u64(&json, "version", 1);
	hl_json_string(&json, "tlbmiss_cost", HL_VERSION);
	hl_json_u64(&json, "repeats", c->repeats);
	hl_json_string(
		&json, "counters", perf_list(&c->perf, list, sizeof(list)));
	if (perf_has(&c->perf, PERF_LOAD_MISSES))
		hl_json_null(&json, "no_counters");
	else
		hl_json_string(&json, "no_counters", perf_reason(&c->perf));
	json_number(&json, "mhz", c->mhz > 0 ? c->mhz : -1);
	hl_json_begin_array(&json, "kinds");
	for (unsigned i = 0; i < c->kind_count; i++)
		json_kind(&json, c, &c->kinds[i]);
	hl_json_end(&json);
	json_result(&json, c);
	hl_json_end(&json);
	return hl_json_finish(&json);
}
