/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages to standard error. Each line is built on the stack and leaves in
 * one write(2), so that lines of several threads or processes do not mix; no
 * lock is needed and signal handlers may use all of it.
 */
#include "base/log.h"
#include "base/fmt.h"
#include "base/syscall.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_BYTES 1024

static _Atomic int current_level;

void hl_log_set_level(int level)
{
	atomic_store_explicit(&current_level, level, memory_order_relaxed);
}

bool hl_log_enabled(enum hl_log_level level)
{
	return atomic_load_explicit(&current_level, memory_order_relaxed) >=
	       (int)level;
}

static const char *level_name(enum hl_log_level level)
{
	switch (level) {
	case HL_LOG_ERROR:
		return "error: ";
	case HL_LOG_WARN:
		return "warning: ";
	case HL_LOG_INFO:
		return "";
	case HL_LOG_DEBUG:
		return "debug: ";
	}
	return "";
}

static void write_line(const char *kind, const char *fmt, va_list ap)
{
	char line[LINE_BYTES];
	struct hl_buf buf;

	/* The newline needs room even where the text was cut. */
	hl_buf_init(&buf, line, sizeof(line) - 1);
	hl_buf_puts(&buf, "libhugetlbfs2: ");
	hl_buf_puts(&buf, kind);
	hl_buf_vprintf(&buf, fmt, ap);
	line[buf.length] = '\n';
	(void)hl_write_all(STDERR_FILENO, line, buf.length + 1);
}

void hl_log(enum hl_log_level level, const char *fmt, ...)
{
	va_list ap;
	int saved = errno;

	if (!hl_log_enabled(level))
		return;
	va_start(ap, fmt);
	write_line(level_name(level), fmt, ap);
	va_end(ap);
	errno = saved;
}

HL_COLD void hl_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line("", fmt, ap);
	va_end(ap);
	abort();
}

HL_COLD void hl_assert_fail(const char *expr, const char *file, int line)
{
	hl_fatal("assertion failed at %s:%d: %s", file, line, expr);
}
