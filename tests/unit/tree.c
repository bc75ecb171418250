/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files below a temporary directory: see tree.h. Any failure ends the test
 * program; there is nothing to test without the tree.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[PATH_MAX];
static struct hl_root root;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int tree_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(directory, sizeof(directory), "%s/hl tree XXXXXX",
		tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(directory))
		die(directory);
	root.prefix = directory;
	return 0;
}

static int remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int tree_teardown(void **state)
{
	(void)state;
	return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const struct hl_root *tree_root(void)
{
	return &root;
}

static void full_path(char *to, size_t bytes, const char *path)
{
	if ((size_t)snprintf(to, bytes, "%s%s", directory, path) >= bytes) {
		errno = ENAMETOOLONG;
		die(path);
	}
}

static void make_parents(char *path)
{
	for (char *slash = path + strlen(directory) + 1;
		(slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			die(path);
		*slash = '/';
	}
}

void tree_put_bytes(const char *path, const void *bytes, size_t n)
{
	char whole[PATH_MAX + 64];
	int fd;

	full_path(whole, sizeof(whole), path);
	make_parents(whole);
	/*
	 * Cut off behind what was written, not emptied before: what was emptied
	 * ext4 writes to the disk when it is closed. A fake kernel writes its
	 * counters at each page.
	 */
	fd = open(whole, O_WRONLY | O_CREAT, 0666);
	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n ||
		ftruncate(fd, (off_t)n) || close(fd))
		die(whole);
}

void tree_put(const char *path, const char *text)
{
	tree_put_bytes(path, text, strlen(text));
}

void tree_remove(const char *path)
{
	char whole[PATH_MAX + 64];

	full_path(whole, sizeof(whole), path);
	if (nftw(whole, remove_one, 16, FTW_DEPTH | FTW_PHYS))
		die(whole);
}
