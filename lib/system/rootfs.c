/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files below a root. All that this library reads of sysfs, procfs and
 * cgroupfs passes here, so that a directory can stand for a machine.
 *
 * Called on the slow paths of malloc, on small stacks: no path is ever put
 * together here; the prefix is opened and the rest resolved from there. Raw
 * system calls, no lock, no allocation.
 */
#include "system/sys.h"
#include "base/fmt.h"
#include "base/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

const struct hl_root hl_root_real = {.prefix = ""};

static long open_at(int dir, const char *path, int flags)
{
	long fd;

	do {
		fd = hl_syscall(SYS_openat, dir, (long)path, flags | O_CLOEXEC,
			0, 0, 0);
	} while (fd == -EINTR);
	return fd;
}

static long read_some(int fd, char *to, size_t bytes)
{
	long n;

	do {
		n = hl_syscall(SYS_read, fd, (long)to, (long)bytes, 0, 0, 0);
	} while (n == -EINTR);
	return n;
}

int hl_root_open(const struct hl_root *root, const char *path, int flags)
{
	long dir, fd;

	if (root->calls != NULL)
		return root->calls->open(path, flags);
	if (root->prefix[0] == '\0')
		return (int)open_at(AT_FDCWD, path, flags);
	dir = open_at(AT_FDCWD, root->prefix, O_PATH | O_DIRECTORY);
	if (dir < 0)
		return (int)dir;
	while (*path == '/')
		path++;
	fd = open_at((int)dir, *path == '\0' ? "." : path, flags);
	hl_root_close((int)dir);
	return (int)fd;
}

void hl_root_close(int fd)
{
	(void)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* Bytes read, at most capacity - 1; -EFBIG if the file goes on. */
static ssize_t read_whole(int fd, char *buf, size_t capacity)
{
	size_t length = 0;
	long n;
	char more;

	while (length < capacity - 1) {
		n = read_some(fd, buf + length, capacity - 1 - length);
		if (n < 0)
			return n;
		if (n == 0)
			return (ssize_t)length;
		length += (size_t)n;
	}
	n = read_some(fd, &more, 1);
	if (n != 0)
		return n < 0 ? n : -EFBIG;
	return (ssize_t)length;
}

/* Reads and closes. */
static ssize_t read_text(int fd, char *buf, size_t capacity)
{
	ssize_t length;

	if (fd < 0)
		return fd;
	length = capacity == 0 ? -EFBIG : read_whole(fd, buf, capacity);
	hl_root_close(fd);
	if (length < 0)
		return length;
	if (length > 0 && buf[length - 1] == '\n')
		length--;
	buf[length] = '\0';
	return length;
}

ssize_t hl_root_read(const struct hl_root *root, const char *path, char *buf,
	size_t capacity)
{
	return read_text(hl_root_open(root, path, O_RDONLY), buf, capacity);
}

ssize_t hl_root_read_at(int dir, const char *path, char *buf, size_t capacity)
{
	return read_text((int)open_at(dir, path, O_RDONLY), buf, capacity);
}

int hl_root_read_u64(
	const struct hl_root *root, const char *path, uint64_t *out)
{
	char text[32];
	ssize_t length = hl_root_read(root, path, text, sizeof(text));

	return length < 0 ? (int)length : hl_parse_u64(text, out);
}

int hl_root_write(const struct hl_root *root, const char *path, const char *s)
{
	int fd = hl_root_open(root, path, O_WRONLY | O_TRUNC);
	size_t length = strlen(s);
	long n;

	if (fd < 0)
		return fd;
	/* In one piece: the kernel takes each write for a whole value. */
	do {
		n = hl_syscall(SYS_write, fd, (long)s, (long)length, 0, 0, 0);
	} while (n == -EINTR);
	hl_root_close(fd);
	if (n < 0)
		return (int)n;
	return (size_t)n == length ? 0 : -EIO;
}

/* Of getdents64(2); libc's struct dirent64 leaves its layout to libc. */
struct entry {
	uint64_t inode;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int hl_root_list(const struct hl_root *root, const char *path,
	int (*visit)(const char *name, void *arg), void *arg)
{
	_Alignas(struct entry) char buf[1024];
	int result = 0, fd;
	long n = 0;

	if (root->calls != NULL)
		return root->calls->list(path, visit, arg);
	fd = hl_root_open(root, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	while (result == 0) {
		n = hl_syscall(
			SYS_getdents64, fd, (long)buf, sizeof(buf), 0, 0, 0);
		if (n <= 0)
			break;
		for (long at = 0; at < n && result == 0;) {
			struct entry *e = (struct entry *)(void *)(buf + at);

			at += e->bytes;
			if (!is_dots(e->name))
				result = visit(e->name, arg);
		}
	}
	hl_root_close(fd);
	return n < 0 ? (int)n : result;
}

int hl_lines_open(struct hl_lines *l, const struct hl_root *root,
	const char *path, char *buf, size_t capacity)
{
	int fd;

	if (capacity < 2)
		return -EINVAL;
	fd = hl_root_open(root, path, O_RDONLY);
	if (fd < 0)
		return fd;
	*l = (struct hl_lines){.fd = fd, .buf = buf, .capacity = capacity};
	return 0;
}

void hl_lines_close(struct hl_lines *l)
{
	hl_root_close(l->fd);
	l->fd = -1;
}

/* More bytes behind `to`; 0 or -errno. One byte stays free for the NUL. */
static int fill(struct hl_lines *l)
{
	long n;

	if (l->from > 0) {
		memmove(l->buf, l->buf + l->from, l->to - l->from);
		l->to -= l->from;
		l->from = 0;
	}
	n = read_some(l->fd, l->buf + l->to, l->capacity - 1 - l->to);
	if (n < 0)
		return (int)n;
	if (n == 0)
		l->eof = true;
	l->to += (size_t)n;
	return 0;
}

/* Drops what is left of an overlong line; 0 at its end or the file's. */
static int skip_rest(struct hl_lines *l)
{
	while (l->skipping) {
		char *start = l->buf + l->from;
		char *newline = memchr(start, '\n', l->to - l->from);

		if (newline) {
			l->from = (size_t)(newline + 1 - l->buf);
			l->skipping = false;
		} else {
			int err;

			l->from = l->to = 0;
			if (l->eof)
				return 0;
			err = fill(l);
			if (err)
				return err;
		}
	}
	return 0;
}

int hl_lines_next(struct hl_lines *l, char **line)
{
	int err = skip_rest(l);

	while (err == 0) {
		char *start = l->buf + l->from;
		char *newline = memchr(start, '\n', l->to - l->from);

		if (newline) {
			*newline = '\0';
			l->from = (size_t)(newline + 1 - l->buf);
			*line = start;
			return 1;
		}
		if (l->eof && l->from == l->to)
			return 0;
		if (l->eof || l->to - l->from == l->capacity - 1) {
			l->skipping = !l->eof;
			l->buf[l->to] = '\0';
			l->from = l->to;
			*line = start;
			return 1;
		}
		err = fill(l);
	}
	return err;
}
