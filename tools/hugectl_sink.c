/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The destination of a report. A file is written beside its name and renamed,
 * so that a reader never sees a part of it; devices, pipes and the like are
 * written to in place. A symbolic link is followed: what it points to is
 * replaced.
 */
#include "hugectl_sink.h"

#include "base/fmt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_BYTES 4096

bool sink_is_per_process(const char *name)
{
	for (const char *c = name; c && *c; c++) {
		if (c[0] == '%' && c[1] == 'p')
			return true;
		if (c[0] == '%' && c[1] == '%')
			c++;
	}
	return false;
}

static int expand(const char *name, int32_t pid, char *out, size_t capacity)
{
	struct hl_buf buf;

	hl_buf_init(&buf, out, capacity);
	for (const char *c = name; *c; c++) {
		if (c[0] == '%' && c[1] == 'p') {
			hl_buf_printf(&buf, "%d", pid);
			c++;
			continue;
		}
		if (c[0] == '%' && c[1] == '%')
			c++;
		hl_buf_putc(&buf, *c);
	}
	return buf.truncated ? -ENAMETOOLONG : 0;
}

static bool is_special(const char *name)
{
	struct stat st;

	return stat(name, &st) == 0 && !S_ISREG(st.st_mode);
}

int sink_above_standard(int fd)
{
	int high, err;

	if (fd < 0)
		return -errno;
	if (fd > STDERR_FILENO)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	err = -errno;
	close(fd);
	return high < 0 ? err : high;
}

/* name: expanded. */
static int open_file(struct sink *sink, const char *name)
{
	char text[NAME_MAX_BYTES + 32];
	struct hl_buf buf;

	if (is_special(name)) {
		sink->fd =
			sink_above_standard(open(name, O_WRONLY | O_CLOEXEC));
		return sink->fd < 0 ? sink->fd : 0;
	}
	sink->name = realpath(name, NULL);
	if (!sink->name)
		sink->name = strdup(name);
	if (!sink->name)
		return -ENOMEM;
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_printf(&buf, "%s.%d.tmp", sink->name, (int)getpid());
	sink->temporary = strdup(text);
	if (!sink->temporary)
		return -ENOMEM;
	sink->fd = sink_above_standard(open(text,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
	return sink->fd < 0 ? sink->fd : 0;
}

static void forget(struct sink *sink)
{
	free(sink->name);
	free(sink->temporary);
	sink->name = sink->temporary = NULL;
}

int sink_open(struct sink *sink, const char *name, int32_t pid)
{
	char expanded[NAME_MAX_BYTES];
	int err;

	*sink = (struct sink){.fd = STDERR_FILENO};
	if (!name)
		return 0;
	err = expand(name, pid, expanded, sizeof(expanded));
	if (err)
		return err;
	sink->fd = STDOUT_FILENO;
	if (strcmp(expanded, "-") == 0)
		return 0;
	err = open_file(sink, expanded);
	if (err)
		forget(sink);
	return err;
}

int sink_close(struct sink *sink, int err)
{
	if (sink->fd > STDERR_FILENO && close(sink->fd) != 0 && !err)
		err = -errno;
	if (sink->temporary) {
		if (!err && rename(sink->temporary, sink->name) != 0)
			err = -errno;
		if (err)
			unlink(sink->temporary);
	}
	forget(sink);
	return err;
}
