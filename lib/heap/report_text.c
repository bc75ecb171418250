/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text form of the report, for people: what is zero and was not asked for
 * is left out. Called by hugectl and by heap/selfreport.c.
 */
#include "heap/report_parts.h"

/* Five shades, empty to full. */
static const char *shade(unsigned fullness, bool utf8)
{
	static const char *const ascii[] = {"_", ".", ":", "+", "#"};
	static const char *const blocks[] = {"_", "\xe2\x96\x91",
		"\xe2\x96\x92", "\xe2\x96\x93", "\xe2\x96\x88"};
	unsigned i = fullness == 0 ? 0 : 1 + HL_MIN(fullness / 64, 3u);

	return utf8 ? blocks[i] : ascii[i];
}

static void text_picture(
	struct hl_buf *out, const struct hl_counts *c, unsigned flags)
{
	struct hl_report_picture pic;

	hl_report_draw(&pic, c);
	if (pic.cells == 0)
		return;
	hl_buf_printf(out, "  units of %K, shaded by fullness", HL_UNIT_BYTES);
	if (pic.units_per_cell > 1)
		hl_buf_printf(out, " (%u in a cell)", pic.units_per_cell);
	hl_buf_puts(out, ":");
	/* A row is of one kind, so that nothing depends on colours. */
	for (unsigned i = 0, column = 0; i < pic.cells; i++, column++) {
		if (i == 0 || pic.kind[i] != pic.kind[i - 1] || column == 64) {
			hl_buf_printf(out, "\n  %-8s ",
				hl_report_kind_name(pic.kind[i]));
			column = 0;
		}
		hl_buf_puts(out,
			shade(pic.fullness[i], (flags & HL_REPORT_UTF8) != 0));
	}
	hl_buf_putc(out, '\n');
}

/* "97.3 %"; nothing resident: "-". */
static void put_percent(struct hl_buf *out, uint64_t part, uint64_t whole)
{
	uint64_t permille;

	if (whole == 0) {
		hl_buf_puts(out, "-");
		return;
	}
	/* Rounded down: 100 % is said only where nothing is missing. */
	permille = part >> 50 ? part / (whole / 1000) : part * 1000 / whole;
	hl_buf_printf(out, "%llu.%u %%", (unsigned long long)(permille / 10),
		(unsigned)(permille % 10));
}

static void put_amount(struct hl_buf *out, const char *name, uint64_t bytes)
{
	if (bytes == 0)
		return;
	hl_buf_puts(out, "  ");
	hl_buf_human_bytes(out, bytes);
	hl_buf_printf(out, " %s", name);
}

/* The same with a space before; true if there was something to say. */
static bool put_amount_of(struct hl_buf *out, const char *name, uint64_t bytes)
{
	if (bytes == 0)
		return false;
	hl_buf_putc(out, ' ');
	hl_buf_human_bytes(out, bytes);
	hl_buf_printf(out, " %s", name);
	return true;
}

static void text_amounts(struct hl_buf *out, const char *when,
	const struct hl_report_amounts *a, bool measured)
{
	hl_buf_printf(out, "  %-9s ", when);
	if (!measured) {
		hl_buf_puts(out, "not measured\n");
		return;
	}
	if (hl_report_all(a) == 0) {
		hl_buf_puts(out, "nothing resident\n");
		return;
	}
	put_percent(out, hl_report_huge(a), hl_report_all(a));
	hl_buf_puts(out, " on huge pages:");
	put_amount(out, "hugetlb", a->hugetlb_bytes);
	put_amount(out, "THP", a->thp_bytes);
	put_amount(out, "base pages", a->base_bytes);
	hl_buf_putc(out, '\n');
}

static void text_by(struct hl_buf *out, const struct hl_counts *c)
{
	bool any = false;

	for (unsigned i = 0; i < HL_COUNT_SIZES; i++) {
		uint64_t bytes = hl_report_get(&c->hugetlb_bytes[i]);

		if (bytes == 0)
			continue;
		hl_buf_printf(out, "%s%llu of %K", any ? ", " : "  pages     ",
			(unsigned long long)(bytes /
					     HL_MAX(hl_report_get(
							    &c->hugetlb_page_bytes
								     [i]),
						     (uint64_t)1)),
			(size_t)hl_report_get(&c->hugetlb_page_bytes[i]));
		any = true;
	}
	if (any)
		hl_buf_putc(out, '\n');
	any = false;
	for (unsigned i = 0; i < HL_COUNT_NODES; i++) {
		uint64_t bytes = hl_report_get(&c->node_bytes[i]);

		if (bytes == 0)
			continue;
		hl_buf_printf(
			out, "%snode %u: ", any ? ", " : "  nodes     ", i);
		hl_buf_human_bytes(out, bytes);
		any = true;
	}
	if (any)
		hl_buf_putc(out, '\n');
}

static void text_events(struct hl_buf *out, const struct hl_counts *c)
{
	const struct {
		const char *name;
		uint64_t n;
	} events[] = {
		{"conversions", hl_report_get(&c->conversions)},
		{"failed conversions", hl_report_get(&c->conversion_failures)},
		{"heals", hl_report_get(&c->heals)},
		{"forks", hl_report_get(&c->forks)},
		{"blocks from libc for want of memory",
			hl_report_get(&c->libc_fallbacks)},
		{"frees of foreign pointers", hl_report_get(&c->foreign_frees)},
	};
	bool any = false;

	hl_buf_printf(out,
		"  taken     %llu units of %K from the pool, given back %llu\n",
		(unsigned long long)hl_report_get(&c->hpages_taken),
		HL_UNIT_BYTES,
		(unsigned long long)hl_report_get(&c->hpages_given));
	for (size_t i = 0; i < HL_ARRAY_SIZE(events); i++) {
		if (events[i].n == 0)
			continue;
		hl_buf_printf(out, "%s%llu %s", any ? ", " : "  events    ",
			(unsigned long long)events[i].n, events[i].name);
		any = true;
	}
	if (any)
		hl_buf_putc(out, '\n');
	for (unsigned i = 1; i < HL_LIMIT_COUNT_; i++) {
		uint64_t n = hl_report_get(&c->fallbacks[i]);

		if (n == 0)
			continue;
		hl_buf_printf(out, "  fallback  %llu units of %K (%s): %s\n",
			(unsigned long long)n, HL_UNIT_BYTES,
			hl_limit_name((enum hl_limit)i),
			hl_limit_advice((enum hl_limit)i));
	}
}

/* Text, data and bss that were to come to huge pages. */
static void text_segments(struct hl_buf *out, const struct hl_counts *c)
{
	uint64_t text = hl_report_get(&c->segment_text_bytes);
	uint64_t data = hl_report_get(&c->segment_data_bytes);
	bool any = false;

	if (text == 0 && data == 0)
		return;
	hl_buf_puts(out, "  segments ");
	put_amount_of(out, "text", text);
	put_amount_of(out, "data and bss", data);
	hl_buf_puts(out, "\n  on huge  ");
	for (unsigned i = 0; i < HL_RUNG_COUNT_; i++)
		any |= put_amount_of(out, hl_rung_name((enum hl_rung)i),
			hl_report_get(&c->segment_rung_bytes[i]));
	any |= put_amount_of(
		out, "data", hl_report_get(&c->segment_data_huge_bytes));
	any |= put_amount_of(out, "bss when touched",
		hl_report_get(&c->segment_data_lazy_bytes));
	hl_buf_puts(out, any ? "\n" : " nothing\n");
	for (unsigned i = 0; i < HL_STAY_COUNT_; i++) {
		uint64_t bytes = hl_report_get(&c->segment_stay_bytes[i]);

		if (bytes == 0)
			continue;
		hl_buf_puts(out, "  stayed   ");
		put_amount_of(out, hl_stay_name((enum hl_stay)i), bytes);
		hl_buf_printf(out, ": %s\n", hl_stay_advice((enum hl_stay)i));
	}
}

/* The brk area, where it is looked after. */
static void text_brk(struct hl_buf *out, const struct hl_counts *c)
{
	uint64_t bytes = hl_report_get(&c->segment_brk_bytes);

	if (bytes == 0)
		return;
	hl_buf_puts(out, "  brk area ");
	put_amount_of(out, "in all", bytes);
	put_amount_of(out, "on huge pages",
		hl_report_get(&c->segment_brk_huge_bytes));
	hl_buf_puts(out, "\n");
}

static void put_seconds(struct hl_buf *out, uint64_t us)
{
	hl_buf_printf(out, "%llu.%02u s", (unsigned long long)(us / 1000000),
		(unsigned)(us % 1000000 / 10000));
}

static void text_process(struct hl_buf *out, const struct hl_report_process *p)
{
	hl_buf_printf(out, "%s (pid %d", p->program[0] ? p->program : p->comm,
		p->pid);
	if (p->start == HL_REPORT_FORK)
		hl_buf_printf(out, ", forked by %d", p->ppid);
	hl_buf_puts(out, "): ");
	switch (p->end) {
	case HL_END_EXITED:
		hl_buf_printf(out, "exit status %d", p->status);
		break;
	case HL_END_SIGNALED:
		hl_buf_puts(out, "killed by ");
		hl_report_signal_name(out, p->signal);
		break;
	case HL_END_EXEC:
		hl_buf_puts(out, "replaced by exec");
		break;
	default:
		hl_buf_puts(out, hl_report_state_name(p->end));
		break;
	}
	if (p->elapsed_known) {
		hl_buf_puts(out, ", after ");
		put_seconds(out, p->elapsed_us);
	}
	hl_buf_putc(out, '\n');
	if (p->usage) {
		hl_buf_puts(out, "  time      ");
		put_seconds(out, p->usage->user_us);
		hl_buf_puts(out, " user, ");
		put_seconds(out, p->usage->system_us);
		hl_buf_printf(out,
			" system; page faults: %llu minor, %llu major; "
			"largest RSS ",
			(unsigned long long)p->usage->minor_faults,
			(unsigned long long)p->usage->major_faults);
		if (p->usage->max_rss_bytes > 0)
			hl_buf_human_bytes(out, p->usage->max_rss_bytes);
		else
			hl_buf_puts(out, "unknown");
		hl_buf_putc(out, '\n');
	}
}

void hl_report_text(struct hl_buf *out, const struct hl_report_process *p,
	const struct hl_counts *counts, unsigned flags)
{
	text_process(out, p);
	if (!counts) {
		hl_buf_puts(out,
			"  not counted: the library was not loaded into it\n");
		return;
	}
	struct hl_report_amounts end = hl_report_at_end(counts),
				 peak = hl_report_at_peak(counts);
	bool measured;

	hl_buf_puts(out, "  heap      ");
	hl_buf_human_bytes(out, hl_report_get(&counts->live_bytes));
	hl_buf_puts(out, " live, at the peak ");
	hl_buf_human_bytes(out, hl_report_get(&counts->peak_bytes));
	hl_buf_puts(out, "\n");
	/* A small heap is looked at when the program exits, if it does. */
	measured = hl_report_all(&peak) > 0 ||
		   hl_report_get(&counts->peak_bytes) == 0;
	text_amounts(out, "at peak", &peak, measured);
	text_amounts(out,
		p->end == HL_END_RUNNING ? "now"
		: p->complete		 ? "at end"
					 : "last seen",
		&end, measured);
	text_by(out, counts);
	text_segments(out, counts);
	text_brk(out, counts);
	text_events(out, counts);
	if (flags & HL_REPORT_PICTURE)
		text_picture(out, counts, flags);
}

void hl_report_line(struct hl_buf *out, const struct hl_report_process *p,
	const struct hl_counts *counts)
{
	struct hl_report_amounts peak = hl_report_at_peak(counts);
	bool forked = p->start == HL_REPORT_FORK;

	hl_buf_printf(out, "  %d %s%s, %s: peak ", p->pid,
		p->program[0] ? p->program : p->comm, forked ? " (forked)" : "",
		hl_report_state_name(p->end));
	hl_buf_human_bytes(out, hl_report_get(&counts->peak_bytes));
	hl_buf_puts(out, ", ");
	put_percent(out, hl_report_huge(&peak), hl_report_all(&peak));
	hl_buf_puts(out, " on huge pages\n");
}
