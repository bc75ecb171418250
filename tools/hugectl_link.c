/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A name without spaces, colons and dollar signs for a library that lives
 * below a directory with such a name: ld.so splits LD_PRELOAD at them.
 *
 * The name has to outlive hugectl, since the program's children read it too.
 * So it is a symbolic link that stays, one for each such directory ever used,
 * in a directory that only the user can write to: $XDG_RUNTIME_DIR, or
 * /tmp/libhugetlbfs2-UID with mode 0700. Whatever is found there is checked
 * before it is trusted: owner, mode, and where the link points.
 */
#include "hugectl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* FNV-1a: names need to differ, not to be secret. */
static uint64_t hash(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
	return h;
}

static bool is_plain(const char *path)
{
	return path[strcspn(path, " :$\t\n")] == '\0';
}

/* Ours, a directory, and nobody else can write to it. */
static int check_directory(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
		(st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EPERM;
	return 0;
}

static int open_directory(struct hl_buf *path)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (runtime && runtime[0] == '/' && is_plain(runtime) &&
		check_directory(runtime) == 0)
		hl_buf_printf(path, "%s/libhugetlbfs2", runtime);
	else
		hl_buf_printf(
			path, "/tmp/libhugetlbfs2-%u", (unsigned)geteuid());
	if (path->truncated)
		return -ENAMETOOLONG;
	if (mkdir(path->data, 0700) != 0 && errno != EEXIST)
		return -errno;
	return check_directory(path->data);
}

static int check_link(const char *link, const char *directory)
{
	char found[4096];
	ssize_t n = readlink(link, found, sizeof(found));

	if (n < 0)
		return -errno;
	if ((size_t)n != strlen(directory) ||
		memcmp(found, directory, (size_t)n) != 0)
		return -EEXIST;
	return 0;
}

int ctl_safe_link(const char *object, struct ctl_arena *arena, const char **out)
{
	/* The part that stays behind the link has no awkward characters. */
	static const char with_token[] = "/$LIB/" CTL_PRELOAD;
	size_t n = strlen(object), tail = strlen("/" CTL_PRELOAD);
	char text[512];
	struct hl_buf link;
	char *directory;
	int err;

	if (n > sizeof(with_token) - 1 &&
		strcmp(object + n - (sizeof(with_token) - 1), with_token) == 0)
		tail = sizeof(with_token) - 1;
	if (n <= tail || object[0] != '/')
		return -EINVAL;
	directory = strndup(object, n - tail);
	if (!directory)
		return -ENOMEM;
	hl_buf_init(&link, text, sizeof(text));
	err = open_directory(&link);
	if (err)
		goto out;
	hl_buf_printf(
		&link, "/%llx", (unsigned long long)hash(directory, n - tail));
	if (symlink(directory, link.data) != 0 && errno != EEXIST) {
		err = -errno;
		goto out;
	}
	err = check_link(link.data, directory);
	if (!err)
		*out = ctl_join(arena, link.data, object + n - tail, NULL);
out:
	free(directory);
	return err;
}
