/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of hugectl that run with the C library: messages, the link for
 * awkward paths, --explain, and the parent that stays for --report.
 */
#ifndef HL_TOOLS_HUGECTL_H
#define HL_TOOLS_HUGECTL_H

#include "hugectl_core.h"

#include "base/fmt.h"
#include "base/log.h"

#include <sys/types.h>

/* ---- hugectl_words.c ---- */

/* One line "hugectl: ..." on standard error if the level (enum hl_log_level) is
 * shown. */
void ctl_say(const struct ctl_options *o, int level, const char *fmt, ...);
/* What is wrong with the options. */
void ctl_say_error(const struct ctl_options *o);
/* What the user should know before the program starts. */
void ctl_say_plan(const struct ctl_options *o, const struct ctl_target *t,
	const struct ctl_plan *plan);
/* Why a program of this kind is passed over; "" for the others. */
const char *ctl_kind_reason(enum ctl_kind kind);
const char *ctl_kind_name(enum ctl_kind kind);
/* On standard output, as the next; 0 or -errno. */
int ctl_print_help(void);
/* Lines export NAME='value'. */
int ctl_print_settings(const struct ctl_plan *plan);
/* strerror without locale, for the errors that exec and open meet. */
const char *ctl_reason(int err);

/* ---- hugectl_link.c ---- */

/*
 * A path that can stand in LD_PRELOAD, for an object whose own cannot: by a
 * link in a directory of the user's own. 0 or -errno.
 */
int ctl_safe_link(
	const char *object, struct ctl_arena *arena, const char **out);

/* ---- hugectl_explain.c ---- */

/* envp: the environment that the program would get. 0, or -errno of the
 * writing. */
int ctl_explain(const struct ctl_options *o, const struct ctl_target *t,
	const struct ctl_plan *plan, char *const *envp);

/* ---- hugectl_segments.c ---- */

struct hl_opt;
/* program: the ELF file that is executed, or NULL. */
void ctl_explain_segments(
	struct hl_buf *buf, const struct hl_opt *opt, const char *program);

/* ---- hugectl_report.c ---- */

struct ctl_report;

/*
 * Makes the shared file; *path is its name for HUGETLB_REPORT. 0, or -errno and
 * a message: the destination is bad. Where there is no memory to share (ulimit
 * -f 0, say) that is said, *out is NULL, and the program goes before its
 * report.
 */
int ctl_report_open(const struct ctl_options *o, struct ctl_report **out,
	const char **path);
/* The program runs as `pid` since now. */
void ctl_report_started(struct ctl_report *r, pid_t pid);
/* Looks at all slots. Returns in how many milliseconds to look again. */
unsigned ctl_report_poll(struct ctl_report *r);
/* The program is a zombie: the last chance to read its /proc. */
void ctl_report_ended(struct ctl_report *r);
/* The program ended with that wait status; writes the report. 0 or -errno. */
struct rusage;
int ctl_report_finish(
	struct ctl_report *r, int wait_status, const struct rusage *usage);

/* ---- hugectl_run.c ---- */

/* execve, or the shell for what the kernel cannot execute. Returns -errno. */
int ctl_exec(const struct ctl_target *t, char **argv, char *const *envp);
/* hugectl's exit status for a program that was not executed. */
int ctl_exit_of(int err);
/*
 * Runs the program as a child, passes signals on, reports. Returns the exit
 * status for hugectl; ends by the same signal if the program did.
 */
int ctl_run(const struct ctl_options *o, const struct ctl_target *t,
	char *const *envp, struct ctl_report *r);

#endif
