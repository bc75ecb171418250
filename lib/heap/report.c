/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of the report that both its forms need. Coverage is the share of
 * the heap's resident bytes on huge pages; the figure that counts is the one at
 * the peak, since at the end a heap is often empty.
 */
#include "heap/report_parts.h"

#include <signal.h>

struct hl_report_amounts hl_report_at_end(const struct hl_counts *c)
{
	struct hl_report_amounts a = {
		0, hl_report_get(&c->thp_bytes), hl_report_get(&c->base_bytes)};

	for (unsigned i = 0; i < HL_COUNT_SIZES; i++)
		a.hugetlb_bytes += hl_report_get(&c->hugetlb_bytes[i]);
	return a;
}

struct hl_report_amounts hl_report_at_peak(const struct hl_counts *c)
{
	return (struct hl_report_amounts){hl_report_get(&c->peak_hugetlb_bytes),
		hl_report_get(&c->peak_thp_bytes),
		hl_report_get(&c->peak_base_bytes)};
}

void hl_report_signal_name(struct hl_buf *out, int sig)
{
	static const char *const names[] = {
		[SIGHUP] = "HUP",
		[SIGINT] = "INT",
		[SIGQUIT] = "QUIT",
		[SIGILL] = "ILL",
		[SIGTRAP] = "TRAP",
		[SIGABRT] = "ABRT",
		[SIGBUS] = "BUS",
		[SIGFPE] = "FPE",
		[SIGKILL] = "KILL",
		[SIGUSR1] = "USR1",
		[SIGSEGV] = "SEGV",
		[SIGUSR2] = "USR2",
		[SIGPIPE] = "PIPE",
		[SIGALRM] = "ALRM",
		[SIGTERM] = "TERM",
		[SIGXCPU] = "XCPU",
		[SIGXFSZ] = "XFSZ",
		[SIGVTALRM] = "VTALRM",
		[SIGPROF] = "PROF",
		[SIGSYS] = "SYS",
		[SIGIO] = "IO",
	};

	if (sig > 0 && (size_t)sig < HL_ARRAY_SIZE(names) && names[sig])
		hl_buf_printf(out, "SIG%s", names[sig]);
	else
		hl_buf_printf(out, "signal %d", sig);
}

const char *hl_report_state_name(enum hl_report_end end)
{
	static const char *const names[] = {
		[HL_END_RUNNING] = "running",
		[HL_END_EXITED] = "exited",
		[HL_END_SIGNALED] = "signaled",
		[HL_END_NORMAL] = "exited",
		[HL_END_GONE] = "gone",
		[HL_END_EXEC] = "replaced",
	};

	return names[end];
}

const char *hl_report_kind_name(unsigned kind)
{
	static const char *const names[] = {
		[HL_BACKING_NONE] = "none",
		[HL_BACKING_HUGETLB] = "hugetlb",
		[HL_BACKING_THP] = "thp",
		[HL_BACKING_BASE] = "base",
		[HL_BACKING_LAZY] = "lazy",
	};

	return kind < HL_ARRAY_SIZE(names) ? names[kind] : "none";
}

void hl_report_draw(struct hl_report_picture *pic, const struct hl_counts *c)
{
	uint64_t units =
		HL_MIN(hl_report_get(&c->cells), (uint64_t)HL_COUNT_CELLS);
	uint64_t per =
		HL_MAX((units + HL_REPORT_CELLS_MAX - 1) / HL_REPORT_CELLS_MAX,
			(uint64_t)1);

	pic->units_per_cell = (unsigned)per;
	pic->cells = 0;
	for (uint64_t from = 0; from < units; from += per) {
		uint64_t to = HL_MIN(from + per, units);
		unsigned sum = 0, kind = HL_BACKING_NONE;

		for (uint64_t i = from; i < to; i++) {
			sum += atomic_load_explicit(
				&c->cell[i], memory_order_relaxed);
			if (kind == HL_BACKING_NONE)
				kind = atomic_load_explicit(
					&c->cell_kind[i], memory_order_relaxed);
		}
		pic->fullness[pic->cells] = (uint8_t)(sum / (to - from));
		pic->kind[pic->cells++] = (uint8_t)kind;
	}
}
