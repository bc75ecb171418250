/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugestat --tlb PID: how often a running program misses the TLB, and which
 * share of its time that is, from performance counters. Where the machine has
 * none that is said, and what the kernel counts by itself (page faults) is
 * shown: a guess is not.
 *
 * The time in misses is misses times what one costs (--miss-cost, as
 * tlbmiss_cost(8) measures it) by cycles, as the ancestor's cpupcstat had it.
 */
#include "hugestat.h"
#include "perf.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct sample {
	double seconds;
	uint64_t value[PERF_IDS_];
};

enum {
	MISSES,
	PER_SECOND,
	INSTRUCTIONS,
	CYCLES,
	TIME,
	FAULTS,
	BUSY
};

static const struct table_column columns[] = {
	[MISSES] = {"MISSES", TABLE_NUMBER, true, ""},
	[PER_SECOND] = {"MISSES/S", TABLE_NUMBER, true, ""},
	[INSTRUCTIONS] = {"INSTR/MISS", TABLE_NUMBER, true, ""},
	[CYCLES] = {"CYCLES/MISS", TABLE_NUMBER, true, ""},
	[TIME] = {"%TIME", TABLE_TEXT, true, ""},
	[FAULTS] = {"FAULTS/S", TABLE_NUMBER, true, ""},
	[BUSY] = {"%CPU", TABLE_NUMBER, true, ""},
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void read_all(const struct perf_set *set, struct sample *s)
{
	for (unsigned i = 0; i < PERF_IDS_; i++)
		s->value[i] = perf_read(set, (enum perf_id)i);
	s->seconds = now();
}

static struct sample difference(const struct sample *a, const struct sample *b)
{
	struct sample d = {.seconds = b->seconds - a->seconds};

	for (unsigned i = 0; i < PERF_IDS_; i++)
		d.value[i] = b->value[i] > a->value[i]
				     ? b->value[i] - a->value[i]
				     : 0;
	return d;
}

static uint64_t misses_of(const struct sample *d)
{
	return d->value[PERF_LOAD_MISSES] + d->value[PERF_STORE_MISSES] +
	       d->value[PERF_CODE_MISSES];
}

static uint64_t rate(uint64_t n, double seconds)
{
	return seconds > 0 ? (uint64_t)((double)n / seconds) : 0;
}

static void fill(const struct stat_request *r, const struct perf_set *set,
	const struct sample *d, struct table *t)
{
	uint64_t misses = misses_of(d);
	uint64_t cycles = d->value[PERF_CYCLES];

	table_row(t);
	if (perf_has(set, PERF_LOAD_MISSES)) {
		table_number(t, MISSES, misses);
		table_number(t, PER_SECOND, rate(misses, d->seconds));
	}
	if (perf_has(set, PERF_INSTRUCTIONS) && misses > 0)
		table_number(
			t, INSTRUCTIONS, d->value[PERF_INSTRUCTIONS] / misses);
	if (perf_has(set, PERF_CYCLES) && misses > 0)
		table_number(t, CYCLES, cycles / misses);
	if (perf_has(set, PERF_CYCLES) && cycles > 0 &&
		r->tlb_cost_cycles > 0) {
		char text[32];

		snprintf(text, sizeof(text), "%.1f",
			(double)misses * r->tlb_cost_cycles * 100 /
				(double)cycles);
		table_text(t, TIME, text);
	}
	table_number(t, FAULTS, rate(d->value[PERF_PAGE_FAULTS], d->seconds));
	table_number(
		t, BUSY, rate(d->value[PERF_TASK_NS], d->seconds) / 10000000);
}

static void show_json(const struct stat_request *r, const struct perf_set *set,
	const struct sample *d)
{
	char text[2048];
	struct hl_json json;

	fflush(stdout);
	hl_json_init_fd(&json, STDOUT_FILENO, text, sizeof(text));
	hl_json_begin_object(&json, NULL);
	hl_json_u64(&json, "pid", (uint64_t)r->pid);
	hl_json_u64(&json, "interval_ms", (uint64_t)(d->seconds * 1000));
	hl_json_bool(&json, "counters", perf_has(set, PERF_LOAD_MISSES));
	for (unsigned i = 0; i < PERF_IDS_; i++) {
		char key[40];

		snprintf(key, sizeof(key), "%s", perf_names[i]);
		for (char *c = key; *c; c++)
			*c = *c == '-' ? '_' : (char)(*c | 0x20);
		if (perf_has(set, (enum perf_id)i))
			hl_json_u64(&json, key, d->value[i]);
		else
			hl_json_null(&json, key);
	}
	hl_json_end(&json);
	(void)hl_json_finish(&json);
}

static void show(const struct stat_request *r, const struct perf_set *set,
	const struct sample *d, bool first)
{
	struct table t;

	if (r->json) {
		show_json(r, set, d);
		return;
	}
	table_init(&t, columns, HL_ARRAY_SIZE(columns));
	t.noheadings = r->noheadings || !first;
	/* Columns stay where they are from one line to the next. */
	t.was_chosen = true;
	fill(r, set, d, &t);
	table_print(&t, stdout);
	table_free(&t);
}

static void say_what_is_counted(
	const struct stat_request *r, const struct perf_set *set)
{
	char list[256];

	if (!perf_has(set, PERF_LOAD_MISSES))
		tool_say("no TLB misses can be counted: %s", perf_reason(set));
	else if (!r->json && !r->noheadings)
		printf("counters: %s\n", perf_list(set, list, sizeof(list)));
}

int stat_tlb(const struct stat_request *request)
{
	double interval = request->watch_s > 0 ? request->watch_s : 1;
	struct timespec pause = {.tv_sec = (time_t)interval};
	struct sample before, after, d;
	struct perf_set set;
	bool first = true;
	int err;

	if (request->root.prefix[0] != '\0')
		return tool_fail("--tlb does not go with --sysroot");
	err = perf_open(&set, request->pid);
	if (err) {
		perf_close(&set);
		return tool_fail("process %d: %s", (int)request->pid,
			err == -ENOENT || err == -ESRCH ? "no such process"
							: strerror(-err));
	}
	pause.tv_nsec = (long)((interval - (double)pause.tv_sec) * 1e9);
	say_what_is_counted(request, &set);
	do {
		read_all(&set, &before);
		nanosleep(&pause, NULL);
		read_all(&set, &after);
		d = difference(&before, &after);
		show(request, &set, &d, first);
		first = false;
	} while (request->watch_s > 0 && tool_finish(TOOL_OK) == TOOL_OK &&
		 (kill(request->pid, 0) == 0 || errno == EPERM));
	perf_close(&set);
	return TOOL_OK;
}
