/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages to standard error by write(2), without allocation. Silent by
 * default: HUGETLB_VERBOSE sets the level (0 silent, 1 errors, 2 warnings,
 * 3 info, 4 debug; 99 everything). One write per line; keeps errno.
 */
#ifndef HL_BASE_LOG_H
#define HL_BASE_LOG_H

#include "base/base.h"

enum hl_log_level {
	HL_LOG_ERROR = 1,
	HL_LOG_WARN = 2,
	HL_LOG_INFO = 3,
	HL_LOG_DEBUG = 4,
};

void hl_log_set_level(int level);
bool hl_log_enabled(enum hl_log_level level);

/* Conversions of hl_buf_printf (base/fmt.h), not of printf. */
void hl_log(enum hl_log_level level, const char *fmt, ...);

/*
 * The heap is corrupted or misused: one line "libhugetlbfs2: <text>", then
 * abort(). Safe anywhere, also in signal handlers.
 */
HL_NORETURN void hl_fatal(const char *fmt, ...);

#endif
