/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mounts of hugetlbfs for the compatibility calls: HUGETLB_PATH, else the
 * first one in /proc/mounts for each page size that this process may use, and
 * files in them. The table is read at each call: programs mount, and show
 * other tables by interposing open().
 *
 * What is listed as a mount is looked at (statfs) before it is believed; its
 * page size is what the file system says.
 *
 * Paths that were returned are kept for ever, as the ancestor's static text
 * was; one list, which only grows, by distinct mounts. No lock.
 */
#include "region/compat.h"

#include "base/meta.h"
#include "base/opt.h"
#include "base/syscall.h"
#include "hugetlbfs.h"
#include "region/region.h"
#include "system/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINE_BYTES (32 * HL_KIB)
#define PATH_BYTES 4096

/* ---- paths that stay ---- */

struct kept {
	struct kept *next;
	char path[];
};
static struct kept *_Atomic kept;

static const char *keep(const char *path)
{
	size_t bytes = strlen(path) + 1;
	struct kept *k;

	for (k = atomic_load_explicit(&kept, memory_order_acquire); k != NULL;
		k = k->next) {
		if (strcmp(k->path, path) == 0)
			return k->path;
	}
	k = hl_meta_alloc(sizeof(*k) + bytes, _Alignof(struct kept));
	if (k == NULL)
		return NULL;
	memcpy(k->path, path, bytes);
	/* Two threads may keep the same: then it is there twice. */
	k->next = atomic_load_explicit(&kept, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(
		&kept, &k->next, k, memory_order_release, memory_order_relaxed))
		;
	return k->path;
}

/* ---- looking at a mount ---- */

int hl_compat_test_path(const char *path, size_t *page_bytes)
{
	struct statfs st;
	long rc;

	do {
		rc = hl_syscall(SYS_statfs, (long)path, (long)&st, 0, 0, 0, 0);
	} while (rc == -EINTR);
	if (rc < 0)
		return (int)rc;
	if ((unsigned long)st.f_type != HUGETLBFS_MAGIC)
		return 0;
	*page_bytes = (size_t)st.f_bsize;
	return 1;
}

static bool is_usable(const char *path, size_t page_bytes)
{
	size_t of_mount = 0;

	return hl_compat_test_path(path, &of_mount) == 1 &&
	       of_mount == page_bytes &&
	       hl_syscall(SYS_faccessat, AT_FDCWD, (long)path,
		       R_OK | W_OK | X_OK, 0, 0, 0) == 0;
}

/* ---- where mounts are named ---- */

static const char *find_in_list(const char *list, size_t page_bytes)
{
	char path[PATH_BYTES];

	while (*list != '\0') {
		size_t length = strcspn(list, ":");

		if (length > 0 && length < sizeof(path)) {
			memcpy(path, list, length);
			path[length] = '\0';
			if (is_usable(path, page_bytes))
				return keep(path);
		}
		list += length;
		if (*list == ':')
			list++;
	}
	return NULL;
}

/* "hugetlbfs /dev/hugepages hugetlbfs rw,relatime 0 0"; NULL: another kind. */
static char *mounted_at(char *line)
{
	char *path = strchr(line, ' ');
	char *type = path != NULL ? strchr(path + 1, ' ') : NULL;

	if (type == NULL || strncmp(type, " hugetlbfs ", 11) != 0)
		return NULL;
	*type = '\0';
	hl_mountinfo_unescape(path + 1);
	return path + 1;
}

static const char *find_in_table(size_t page_bytes)
{
	char *buf = hl_meta_map(LINE_BYTES);
	const char *found = NULL;
	struct hl_lines lines;
	char *line, *path;

	if (buf == NULL)
		return NULL;
	if (hl_lines_open(&lines, &hl_compat_root, "/proc/mounts", buf,
		    LINE_BYTES) == 0) {
		while (found == NULL && hl_lines_next(&lines, &line) == 1) {
			path = mounted_at(line);
			if (path != NULL && is_usable(path, page_bytes))
				found = keep(path);
		}
		hl_lines_close(&lines);
	}
	hl_meta_unmap(buf, LINE_BYTES);
	return found;
}

int hl_compat_find_path(size_t page_bytes, const char **out)
{
	const char *found;

	if (hl_opt.path[0] != '\0')
		found = find_in_list(hl_opt.path, page_bytes);
	else
		found = find_in_table(page_bytes);
	if (found == NULL)
		return -ENOENT;
	*out = found;
	return 0;
}

/* ---- files ---- */

int hl_compat_unlinked_fd(size_t page_bytes)
{
	const char *directory;
	int err = hl_compat_find_path(page_bytes, &directory);

	/* Inherited over exec, as programs expect of this call. */
	return err ? err : hl_region_unlinked(directory, 0);
}
