/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * htlb_heap_report(): the report of the calling process, measured now. Called
 * by the entry table (heap/api.c). Everything is on the stack, since it may be
 * called with the heap in any state; no lock of its own.
 */
#include "heap/report.h"

#include "base/syscall.h"
#include "heap/heap.h"
#include "hugetlbfs2.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static int write_json(int fd, const struct hl_report_process *p)
{
	char text[1024];
	struct hl_json json;

	hl_json_init_fd(&json, fd, text, sizeof(text));
	json.indent = true;
	hl_json_begin_object(&json, NULL);
	hl_json_u64(&json, "version", HL_REPORT_VERSION);
	hl_json_string(&json, "library", HL_VERSION);
	hl_report_json(&json, p, hl_counts(), HL_REPORT_PICTURE);
	hl_json_end(&json);
	return hl_json_finish(&json);
}

static int write_text(int fd, const struct hl_report_process *p)
{
	char text[8192];
	struct hl_buf buf;

	hl_buf_init(&buf, text, sizeof(text));
	/* No locale here: what every terminal shows. */
	hl_report_text(&buf, p, hl_counts(), HL_REPORT_PICTURE);
	return hl_write_all(fd, buf.data, buf.length);
}

int hl_heap_report(int fd, int format)
{
	char program[4096], comm[16] = "";
	struct hl_report_usage usage;
	struct hl_report_process p = {
		.program = program,
		.comm = comm,
		.start = HL_REPORT_EXEC,
		.end = HL_END_RUNNING,
		.usage = &usage,
	};
	long n;

	if (format != HTLB_REPORT_TEXT && format != HTLB_REPORT_JSON)
		return -EINVAL;
	hl_heap_sample(true);
	hl_report_usage(&usage);
	n = hl_syscall(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe",
		(long)program, sizeof(program) - 1, 0, 0);
	program[n > 0 ? n : 0] = '\0';
	hl_syscall(SYS_prctl, PR_GET_NAME, (long)comm, 0, 0, 0, 0);
	p.pid = (int32_t)hl_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	p.ppid = (int32_t)hl_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0);
	return format == HTLB_REPORT_JSON ? write_json(fd, &p)
					  : write_text(fd, &p);
}
