/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tools share (not hugectl, which starts without the C library):
 * exit statuses, messages with the tool's name, and memory that ends the tool
 * when there is none. Each message is one line on standard error.
 *
 * Single-threaded; stdio and malloc are allowed here, in tools alone.
 */
#ifndef HL_TOOLS_TOOL_H
#define HL_TOOLS_TOOL_H

#include "base/base.h"
#include "system/sys.h"

#include <stdio.h>

/* The same in all tools. */
enum tool_status {
	TOOL_OK = 0,
	TOOL_FAILURE = 1, /* what was asked for could not be done */
	TOOL_USAGE = 2,	  /* the command line, or a file, is not understood */
	TOOL_PARTIAL = 3, /* done in part, or not as far as asked */
};

/*
 * First thing in main(): messages carry this name, also those of getopt_long,
 * whose one line says enough.
 */
void tool_start(const char *name, char **argv);
extern const char *tool_name;

/* "NAME: message" on standard error. */
void tool_say(const char *fmt, ...) HL_PRINTF(1, 2);
/* The same; returns TOOL_USAGE, or TOOL_FAILURE. */
int tool_usage(const char *fmt, ...) HL_PRINTF(1, 2);
int tool_fail(const char *fmt, ...) HL_PRINTF(1, 2);
/* Prints "NAME (libhugetlbfs2) VERSION". */
void tool_version(void);

/*
 * Last thing in main(): writes out standard output. The status, or
 * TOOL_FAILURE and a message if that fails.
 */
int tool_finish(int status);

/* False, and a message, if that is no directory. */
bool tool_set_root(struct hl_root *root, const char *directory);

/* Zeroed memory for n records; never NULL. */
void *tool_zalloc(size_t n, size_t bytes);
/* The array `old`, of `bytes` a record, with room for n; never NULL. */
void *tool_realloc(void *old, size_t n, size_t bytes);
char *tool_strdup(const char *s);
char *tool_strndup(const char *s, size_t n);
/* Formatted text of any length. */
char *tool_text(const char *fmt, ...) HL_PRINTF(1, 2);

/* "2M", "1G", "64K", or plain bytes: with the largest unit that is exact. */
struct tool_size {
	char text[24];
};
struct tool_size tool_size(uint64_t bytes);
/* "1.5 GiB". */
struct tool_size tool_human(uint64_t bytes);

#endif
