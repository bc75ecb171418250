/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The JSON form of the report. Every key is there, whatever its value, but
 * those of sizes and nodes; what they mean is in hugectl(8). Called by hugectl
 * and by heap/selfreport.c.
 */
#include "heap/report_parts.h"

static void json_picture(struct hl_json *json, const struct hl_counts *c)
{
	bool indent = json->indent;
	struct hl_report_picture pic;

	hl_report_draw(&pic, c);
	hl_json_begin_object(json, "picture");
	hl_json_u64(json, "unit_bytes", HL_UNIT_BYTES);
	hl_json_u64(json, "units_per_cell", pic.units_per_cell);
	hl_json_begin_array(json, "cells");
	json->indent = false;
	for (unsigned i = 0; i < pic.cells; i++) {
		hl_json_begin_object(json, NULL);
		hl_json_string(json, "kind", hl_report_kind_name(pic.kind[i]));
		hl_json_ratio(json, "fullness", pic.fullness[i], 255);
		hl_json_end(json);
	}
	hl_json_end(json);
	json->indent = indent;
	hl_json_end(json);
}

static void json_amounts(struct hl_json *json, const char *key,
	const struct hl_report_amounts *a)
{
	hl_json_begin_object(json, key);
	hl_json_u64(json, "hugetlb_bytes", a->hugetlb_bytes);
	hl_json_u64(json, "thp_bytes", a->thp_bytes);
	hl_json_u64(json, "base_bytes", a->base_bytes);
	hl_json_ratio(json, "coverage", hl_report_huge(a), hl_report_all(a));
	hl_json_end(json);
}

/* A key that is a number: sizes and nodes. */
static void json_numbered(struct hl_json *json, uint64_t number, uint64_t value)
{
	char key[24];
	struct hl_buf buf;

	hl_buf_init(&buf, key, sizeof(key));
	hl_buf_printf(&buf, "%llu", (unsigned long long)number);
	hl_json_u64(json, key, value);
}

static void json_heap(struct hl_json *json, const struct hl_counts *c)
{
	struct hl_report_amounts end = hl_report_at_end(c),
				 peak = hl_report_at_peak(c);

	hl_json_begin_object(json, "heap");
	hl_json_u64(json, "live_bytes", hl_report_get(&c->live_bytes));
	hl_json_u64(json, "peak_bytes", hl_report_get(&c->peak_bytes));
	hl_json_u64(json, "largest_block_bytes",
		hl_report_get(&c->largest_block_bytes));
	hl_json_u64(json, "metadata_bytes", hl_report_get(&c->meta_bytes));
	hl_json_u64(json, "lazy_bytes", hl_report_get(&c->lazy_bytes));
	hl_json_u64(json, "wished_bytes", hl_report_get(&c->wished_bytes));
	hl_json_u64(json, "wished_peak_bytes",
		hl_report_get(&c->peak_wished_bytes));
	json_amounts(json, "peak", &peak);
	json_amounts(json, "end", &end);
	hl_json_begin_object(json, "hugetlb_by_size");
	for (unsigned i = 0; i < HL_COUNT_SIZES; i++) {
		uint64_t size = hl_report_get(&c->hugetlb_page_bytes[i]);

		if (size != 0)
			json_numbered(json, size,
				hl_report_get(&c->hugetlb_bytes[i]));
	}
	hl_json_end(json);
	hl_json_begin_object(json, "hugetlb_by_node");
	for (unsigned i = 0; i < HL_COUNT_NODES; i++) {
		uint64_t bytes = hl_report_get(&c->node_bytes[i]);

		if (bytes != 0)
			json_numbered(json, i, bytes);
	}
	hl_json_end(json);
	hl_json_u64(json, "hpages_taken", hl_report_get(&c->hpages_taken));
	hl_json_u64(json, "hpages_given", hl_report_get(&c->hpages_given));
	hl_json_u64(json, "conversions", hl_report_get(&c->conversions));
	hl_json_u64(json, "conversion_failures",
		hl_report_get(&c->conversion_failures));
	hl_json_u64(json, "heals", hl_report_get(&c->heals));
	hl_json_u64(json, "forks", hl_report_get(&c->forks));
	hl_json_u64(json, "threads", hl_report_get(&c->threads));
	hl_json_u64(json, "adoptions", hl_report_get(&c->adoptions));
	hl_json_u64(json, "foreign_frees", hl_report_get(&c->foreign_frees));
	hl_json_u64(json, "libc_fallbacks", hl_report_get(&c->libc_fallbacks));
	hl_json_end(json);
}

static void json_segments(struct hl_json *json, const struct hl_counts *c)
{
	uint64_t huge = 0;

	hl_json_begin_object(json, "segments");
	hl_json_u64(json, "text_bytes", hl_report_get(&c->segment_text_bytes));
	hl_json_begin_object(json, "text_huge_bytes");
	for (unsigned i = 0; i < HL_RUNG_COUNT_; i++) {
		uint64_t bytes = hl_report_get(&c->segment_rung_bytes[i]);

		hl_json_u64(json, hl_rung_name((enum hl_rung)i), bytes);
		huge += bytes;
	}
	hl_json_end(json);
	hl_json_u64(json, "huge_bytes",
		huge + hl_report_get(&c->segment_data_huge_bytes));
	hl_json_u64(json, "data_bytes", hl_report_get(&c->segment_data_bytes));
	hl_json_u64(json, "data_huge_bytes",
		hl_report_get(&c->segment_data_huge_bytes));
	hl_json_u64(json, "data_lazy_bytes",
		hl_report_get(&c->segment_data_lazy_bytes));
	hl_json_u64(json, "brk_bytes", hl_report_get(&c->segment_brk_bytes));
	hl_json_u64(json, "brk_huge_bytes",
		hl_report_get(&c->segment_brk_huge_bytes));
	hl_json_begin_object(json, "stayed_bytes");
	for (unsigned i = 0; i < HL_STAY_COUNT_; i++)
		hl_json_u64(json, hl_stay_name((enum hl_stay)i),
			hl_report_get(&c->segment_stay_bytes[i]));
	hl_json_end(json);
	hl_json_end(json);
}

static void json_fallbacks(struct hl_json *json, const struct hl_counts *c)
{
	hl_json_begin_array(json, "fallbacks");
	for (unsigned i = 1; i < HL_LIMIT_COUNT_; i++) {
		uint64_t n = hl_report_get(&c->fallbacks[i]);

		if (n == 0)
			continue;
		hl_json_begin_object(json, NULL);
		hl_json_string(json, "limit", hl_limit_name((enum hl_limit)i));
		hl_json_u64(json, "units", n);
		hl_json_string(
			json, "advice", hl_limit_advice((enum hl_limit)i));
		hl_json_end(json);
	}
	hl_json_end(json);
}

static void json_usage(struct hl_json *json, const char *key,
	const struct hl_report_usage *usage)
{
	if (!usage) {
		hl_json_null(json, key);
		return;
	}
	hl_json_begin_object(json, key);
	hl_json_fixed(json, "user_s", usage->user_us, 6);
	hl_json_fixed(json, "system_s", usage->system_us, 6);
	hl_json_u64(json, "minor_faults", usage->minor_faults);
	hl_json_u64(json, "major_faults", usage->major_faults);
	if (usage->max_rss_bytes > 0)
		hl_json_u64(json, "max_rss_bytes", usage->max_rss_bytes);
	else
		hl_json_null(json, "max_rss_bytes");
	hl_json_end(json);
}

static void json_end(struct hl_json *json, const struct hl_report_process *p)
{
	char name[32];
	struct hl_buf buf;

	hl_json_string(json, "state", hl_report_state_name(p->end));
	if (p->end == HL_END_EXITED)
		hl_json_i64(json, "exit_status", p->status);
	else
		hl_json_null(json, "exit_status");
	if (p->end == HL_END_SIGNALED) {
		hl_buf_init(&buf, name, sizeof(name));
		hl_report_signal_name(&buf, p->signal);
		hl_json_i64(json, "signal", p->signal);
		hl_json_string(json, "signal_name", name);
	} else {
		hl_json_null(json, "signal");
		hl_json_null(json, "signal_name");
	}
	hl_json_bool(json, "complete", p->complete);
}

void hl_report_json(struct hl_json *json, const struct hl_report_process *p,
	const struct hl_counts *counts, unsigned flags)
{
	hl_json_string(json, "program", p->program);
	if (p->command) {
		hl_json_begin_array(json, "command");
		for (const char *const *arg = p->command; *arg; arg++)
			hl_json_string(json, NULL, *arg);
		hl_json_end(json);
	}
	hl_json_i64(json, "pid", p->pid);
	hl_json_i64(json, "ppid", p->ppid);
	hl_json_string(
		json, "started", p->start == HL_REPORT_FORK ? "fork" : "exec");
	json_end(json, p);
	if (p->elapsed_known)
		hl_json_fixed(json, "elapsed_s", p->elapsed_us, 6);
	else
		hl_json_null(json, "elapsed_s");
	json_usage(json, "usage", p->usage);
	if (p->tree)
		json_usage(json, "usage_with_children", p->tree);
	hl_json_bool(json, "counted", counts != NULL);
	if (!counts) {
		hl_json_null(json, "coverage");
		hl_json_null(json, "heap");
		return;
	}
	struct hl_report_amounts peak = hl_report_at_peak(counts);

	hl_json_ratio(
		json, "coverage", hl_report_huge(&peak), hl_report_all(&peak));
	json_heap(json, counts);
	json_segments(json, counts);
	json_fallbacks(json, counts);
	if (flags & HL_REPORT_PICTURE)
		json_picture(json, counts);
}
