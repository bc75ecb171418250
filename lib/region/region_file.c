/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files behind shared regions: memfds, and nameless files on hugetlbfs
 * mounts. O_TMPFILE never has a name; file systems without it (hugetlbfs
 * before Linux 5.1) get a random one that is unlinked at once.
 *
 * No state, no lock.
 */
#include "region/region_internal.h"

#include "base/fmt.h"
#include "base/opt.h"
#include "system/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>

#define ATTEMPTS 16

static int named(const char *directory, int flags)
{
	char path[4096];
	struct hl_buf buf;
	uint64_t random;
	int fd = -EEXIST, rc;

	for (int i = 0; i < ATTEMPTS && fd == -EEXIST; i++) {
		rc = hl_files->random(&random, sizeof(random));
		if (rc < 0)
			return rc;
		hl_buf_init(&buf, path, sizeof(path));
		hl_buf_printf(&buf, "%s/.hugetlbfs2-%lx", directory,
			(unsigned long)random);
		if (buf.truncated)
			return -ENAMETOOLONG;
		fd = hl_files->open(
			path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | flags);
	}
	if (fd >= 0)
		(void)hl_files->unlink(path);
	return fd;
}

int hl_region_unlinked(const char *directory, int flags)
{
	int fd = hl_files->open(directory, O_RDWR | O_TMPFILE | flags);

	if (fd == -EOPNOTSUPP || fd == -EISDIR || fd == -EINVAL ||
		fd == -ENOENT)
		fd = named(directory, flags);
	return fd;
}

/* A file there if it has pages of that size. */
static int on_directory(const char *path, size_t page_bytes)
{
	struct hl_file_info info;
	int fd = hl_region_unlinked(path, O_CLOEXEC), rc;

	if (fd < 0)
		return fd;
	rc = hl_files->info(fd, &info);
	/* The path named another file system, or pages of another size. */
	if (rc == 0 && info.page_bytes != page_bytes)
		rc = -EOPNOTSUPP;
	if (rc == 0)
		return fd;
	(void)hl_files->close(fd);
	return rc;
}

/* The first of the list that serves; else what the last one said. */
static int on_list(const char *list, size_t page_bytes)
{
	char path[sizeof(hl_opt.path)];
	int fd = -EOPNOTSUPP;

	while (fd < 0 && *list != '\0') {
		size_t length = strcspn(list, ":");

		if (length > 0 && length < sizeof(path)) {
			memcpy(path, list, length);
			path[length] = '\0';
			fd = on_directory(path, page_bytes);
		}
		list += length + (list[length] == ':');
	}
	return fd;
}

struct search {
	size_t page_bytes;
	int fd;
};

static int try_mount(const struct hl_mount *mount, void *arg)
{
	struct search *search = arg;

	if (mount->page_bytes != search->page_bytes || mount->read_only)
		return 0;
	search->fd = on_directory(mount->path, search->page_bytes);
	return search->fd >= 0;
}

static int on_any_mount(size_t page_bytes)
{
	struct search search = {page_bytes, -EOPNOTSUPP};
	int rc = hl_mounts_visit(hl_supply_root, try_mount, &search);

	return rc < 0 ? rc : search.fd;
}

static int on_mount(const struct hl_ask *ask, size_t page_bytes)
{
	if (ask->path != NULL)
		return on_directory(ask->path, page_bytes);
	if (hl_opt.path[0] != '\0')
		return on_list(hl_opt.path, page_bytes);
	return on_any_mount(page_bytes);
}

int hl_region_file(const struct hl_ask *ask, size_t page_bytes)
{
	const char *name = ask->name != NULL ? ask->name : "libhugetlbfs2";
	unsigned flags = MFD_CLOEXEC;
	int fd, rc;

	if (page_bytes != 0 && (ask->flags & HTLB_REGION_FILE)) {
		fd = on_mount(ask, page_bytes);
	} else {
		/* The size is encoded as in mmap's flags. */
		if (page_bytes != 0)
			flags |= MFD_HUGETLB |
				 (unsigned)hl_map_huge_flag(page_bytes);
		fd = hl_files->memfd(name, flags);
	}
	if (fd < 0)
		return fd;
	rc = hl_files->truncate(fd, (off_t)ask->bytes);
	if (rc == 0)
		return fd;
	(void)hl_files->close(fd);
	return rc;
}
