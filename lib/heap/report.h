/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report of one process as text and as JSON: its counters (base/count.h)
 * and what is known of the process. Used by hugectl --report, which reads them
 * from shared memory, and by htlb_heap_report(), for the calling process.
 * Pure rendering: no system call but the write of the JSON writer.
 *
 * The JSON keys are documented in hugectl(8) and stay as they are: add, never
 * change.
 */
#ifndef HL_HEAP_REPORT_H
#define HL_HEAP_REPORT_H

#include "base/count.h"
#include "base/json.h"
#include "base/report.h"

#define HL_REPORT_CELLS_MAX 256 /* of the picture; more are merged */

/* How a process is known to have ended. */
enum hl_report_end {
	HL_END_RUNNING,	 /* has not */
	HL_END_EXITED,	 /* status is valid */
	HL_END_SIGNALED, /* signal is valid */
	HL_END_NORMAL,	 /* by exit or a return from main, status unknown */
	HL_END_GONE,	 /* in a way that nobody saw */
	HL_END_EXEC,	 /* another image took its place */
};

struct hl_report_process {
	const char *program; /* path, or "" */
	const char *comm;
	const char *const *command; /* argv, NULL-terminated, or NULL */
	int32_t pid, ppid;	    /* 0: unknown */
	enum hl_report_start start;
	enum hl_report_end end;
	int status, signal;
	bool complete; /* destructors ran: the figures are final */
	bool elapsed_known;
	uint64_t elapsed_us;
	const struct hl_report_usage *usage; /* its own; NULL: unknown */
	const struct hl_report_usage
		*tree; /* with the children it waited for */
};

enum {
	HL_REPORT_PICTURE = 1, /* a row of cells, one per unit */
	HL_REPORT_UTF8 = 2,    /* shades; plain ASCII without */
};

/* Members of an object that the caller begins and ends. NULL counts: nothing
 * was counted. */
void hl_report_json(struct hl_json *json, const struct hl_report_process *p,
	const struct hl_counts *counts, unsigned flags);
/* Lines for people. */
void hl_report_text(struct hl_buf *out, const struct hl_report_process *p,
	const struct hl_counts *counts, unsigned flags);

/* The same in one line, for lists. */
void hl_report_line(struct hl_buf *out, const struct hl_report_process *p,
	const struct hl_counts *counts);

/* "SIGKILL", or "signal 42". */
void hl_report_signal_name(struct hl_buf *out, int sig);

/* heap/selfreport.c: the calling process, measured now. format:
 * HTLB_REPORT_TEXT or _JSON. */
int hl_heap_report(int fd, int format);

#endif
