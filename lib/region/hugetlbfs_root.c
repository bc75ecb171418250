/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine as the process shows it: files and directories opened through
 * the symbols open and opendir, which programs of libhugetlbfs interpose (its
 * own test-suite does, to present other page sizes and mounts). Not open64,
 * openat or stdio, which they do not.
 *
 * Callers: the compatibility calls only; everything else of the library asks
 * the kernel itself. No lock, no state. opendir() allocates: never under a
 * lock, and never from malloc.
 */
#include "region/compat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* By its plain name: fcntl.h may turn open into open64. */
extern int libc_open(const char *path, int flags, ...) __asm__("open");

static int open_shown(const char *path, int flags)
{
	int saved = errno;
	int fd;

	do {
		fd = libc_open(path, flags | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		fd = -errno;
		errno = saved;
	}
	return fd;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int list_shown(
	const char *path, int (*visit)(const char *name, void *arg), void *arg)
{
	int saved = errno, result = 0;
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (dir == NULL) {
		result = -errno;
		errno = saved;
		return result;
	}
	while (result == 0) {
		errno = 0;
		entry = readdir(dir);
		if (entry == NULL) {
			result = -errno;
			break;
		}
		if (!is_dots(entry->d_name))
			result = visit(entry->d_name, arg);
	}
	(void)closedir(dir);
	errno = saved;
	return result;
}

static const struct hl_root_calls shown = {
	.open = open_shown,
	.list = list_shown,
};

const struct hl_root hl_compat_root = {.prefix = "", .calls = &shown};
