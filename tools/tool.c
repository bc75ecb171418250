/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The common part of the tools: see tool.h. A message is put together first and
 * written in one go, so that lines of several processes do not mix.
 */
#include "tool.h"

#include "base/fmt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *tool_name = "";

/* Else a file that is opened later would be where output goes. */
static void fill_standard_streams(void)
{
	int fd = 0;

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDONLY);
	if (fd >= 0)
		close(fd);
}

void tool_start(const char *name, char **argv)
{
	tool_name = name;
	if (fcntl(STDIN_FILENO, F_GETFD) < 0 ||
		fcntl(STDOUT_FILENO, F_GETFD) < 0 ||
		fcntl(STDERR_FILENO, F_GETFD) < 0)
		fill_standard_streams();
	/* getopt_long takes its name from here. */
	if (argv[0])
		argv[0] = tool_strdup(name);
}

/* What the user typed, and names of files, may have control characters: a
 * message stays one line, and no terminal does what is in it. */
static void say(const char *fmt, va_list ap)
{
	char text[4096], line[4 * sizeof(text)], *to = line;
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	for (const char *from = n < 0 ? "" : text; *from; from++) {
		unsigned char c = (unsigned char)*from;

		if (c < ' ' || c == 127)
			to += sprintf(to, "\\x%02x", c);
		else
			*to++ = *from;
	}
	*to = '\0';
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", tool_name, line);
}

void tool_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

int tool_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return TOOL_USAGE;
}

int tool_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return TOOL_FAILURE;
}

void tool_version(void)
{
	printf("%s (libhugetlbfs2) %s\n", tool_name, HL_VERSION);
}

int tool_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "%s: standard output: %s\n", tool_name,
		strerror(errno));
	return TOOL_FAILURE;
}

bool tool_set_root(struct hl_root *root, const char *directory)
{
	struct stat st;
	size_t n = strlen(directory);
	char *prefix;

	if (stat(directory, &st) != 0 || !S_ISDIR(st.st_mode)) {
		tool_say("--sysroot: \"%s\" is not a directory", directory);
		return false;
	}
	while (n > 0 && directory[n - 1] == '/')
		n--;
	prefix = tool_strndup(directory, n);
	root->prefix = prefix;
	return true;
}

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "%s: out of memory\n", tool_name);
		exit(TOOL_FAILURE);
	}
	return p;
}

void *tool_zalloc(size_t n, size_t bytes)
{
	return must(calloc(n ? n : 1, bytes));
}

void *tool_realloc(void *old, size_t n, size_t bytes)
{
	return must(reallocarray(old, n ? n : 1, bytes));
}

char *tool_strdup(const char *s)
{
	return must(strdup(s));
}

char *tool_strndup(const char *s, size_t n)
{
	return must(strndup(s, n));
}

char *tool_text(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return must(n < 0 ? NULL : text);
}

struct tool_size tool_size(uint64_t bytes)
{
	struct tool_size size;
	struct hl_buf buf;

	hl_buf_init(&buf, size.text, sizeof(size.text));
	hl_buf_printf(&buf, "%K", (size_t)bytes);
	return size;
}

struct tool_size tool_human(uint64_t bytes)
{
	struct tool_size size;
	struct hl_buf buf;

	hl_buf_init(&buf, size.text, sizeof(size.text));
	hl_buf_human_bytes(&buf, bytes);
	return size;
}
