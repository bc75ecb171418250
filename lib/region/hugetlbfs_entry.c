/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This object's entries of libhugetlbfs's interface, and their table. What the
 * ancestor answers to bad input is answered here; nothing else is different
 * from the calls below.
 *
 * The table is in a file of its own, away from those who call through it: the
 * compiler must not take it for the one that will be used (region/compat.h).
 */
#include "region/compat.h"

#include "backing/area.h"
#include "base/log.h"
#include "hugetlbfs.h"
#include "region/shared.h"

#include <errno.h>

void hl_compat_setup(void)
{
	(void)hl_backing_set_up();
}

/* -1 and errno, or the result. */
static int answer(int rc)
{
	if (rc >= 0)
		return rc;
	errno = -rc;
	return -1;
}

static long compat_gethugepagesize(void)
{
	size_t bytes;
	int err;

	hl_compat_setup();
	err = hl_compat_default_size(&bytes);
	return err ? answer(err) : (long)bytes;
}

static bool is_bad_array(const long *sizes, int n)
{
	return n < 0 || (sizes == NULL && n > 0);
}

static int compat_gethugepagesizes(long sizes[], int n)
{
	hl_compat_setup();
	return answer(
		is_bad_array(sizes, n) ? -EINVAL : hl_compat_sizes(sizes, n));
}

static int compat_getpagesizes(long sizes[], int n)
{
	int count;

	hl_compat_setup();
	if (is_bad_array(sizes, n))
		return answer(-EINVAL);
	if (sizes == NULL) {
		count = hl_compat_sizes(NULL, 0);
		return answer(count < 0 ? count : count + 1);
	}
	if (n == 0)
		return 0;
	count = hl_compat_sizes(sizes + 1, n - 1);
	if (count < 0)
		return answer(count);
	sizes[0] = (long)hl_base_page_bytes();
	return count + 1;
}

static int compat_test_path(const char *mount)
{
	size_t page_bytes;

	hl_compat_setup();
	return answer(hl_compat_test_path(mount, &page_bytes));
}

static const char *find_path(size_t page_bytes)
{
	const char *path;
	int err = hl_compat_find_path(page_bytes, &path);

	if (err == 0)
		return path;
	errno = -err;
	return NULL;
}

static const char *compat_find_path(void)
{
	size_t page_bytes;

	hl_compat_setup();
	if (hl_compat_default_size(&page_bytes) < 0) {
		errno = ENOSYS;
		return NULL;
	}
	return find_path(page_bytes);
}

static const char *compat_find_path_for_size(long page_size)
{
	hl_compat_setup();
	return find_path((size_t)page_size);
}

static int compat_unlinked_fd_for_size(long page_size)
{
	hl_compat_setup();
	return answer(hl_compat_unlinked_fd((size_t)page_size));
}

static int compat_unlinked_fd(void)
{
	size_t page_bytes;
	int err;

	hl_compat_setup();
	err = hl_compat_default_size(&page_bytes);
	return answer(err ? err : hl_compat_unlinked_fd(page_bytes));
}

static void *memory(size_t bytes, bool fallback, bool colour)
{
	void *p;
	int err = hl_compat_get(bytes, fallback, colour, &p);

	if (err == 0)
		return p;
	errno = -err;
	return NULL;
}

static void *compat_get_huge_pages(size_t bytes, unsigned long flags)
{
	hl_compat_setup();
	if (flags & GHR_MASK)
		hl_log(HL_LOG_ERROR, "get_huge_pages: flags of another call");
	return memory(bytes, false, false);
}

static void *compat_get_hugepage_region(size_t bytes, unsigned long flags)
{
	bool fallback = (flags & GHR_FALLBACK) && !(flags & GHR_STRICT);

	hl_compat_setup();
	if (flags & GHP_MASK)
		hl_log(HL_LOG_ERROR,
			"get_hugepage_region: flags of another call");
	return memory(bytes, fallback, flags & GHR_COLOR);
}

static void give_back(const char *name, void *p)
{
	hl_compat_setup();
	if (hl_compat_free(p) < 0)
		hl_log(HL_LOG_ERROR, "%s: %p is no such memory", name, p);
}

static void compat_free_huge_pages(void *p)
{
	give_back("free_huge_pages", p);
}

static void compat_free_hugepage_region(void *p)
{
	give_back("free_hugepage_region", p);
}

/* Linked programs come here by libhugetlbfs.so.0. */
static int compat_shmget(key_t key, size_t bytes, int flags)
{
	int saved = errno, id;

	hl_compat_setup();
	id = hl_shared_shmget(key, bytes, flags);
	if (id >= 0)
		errno = saved;
	return answer(id);
}

HL_EXPORT const struct hl_compat_v1 htlb_compat_v1 = {
	.bytes = sizeof(struct hl_compat_v1),
	.gethugepagesize = compat_gethugepagesize,
	.gethugepagesizes = compat_gethugepagesizes,
	.getpagesizes = compat_getpagesizes,
	.test_path = compat_test_path,
	.find_path = compat_find_path,
	.find_path_for_size = compat_find_path_for_size,
	.unlinked_fd = compat_unlinked_fd,
	.unlinked_fd_for_size = compat_unlinked_fd_for_size,
	.get_huge_pages = compat_get_huge_pages,
	.free_huge_pages = compat_free_huge_pages,
	.get_hugepage_region = compat_get_hugepage_region,
	.free_hugepage_region = compat_free_hugepage_region,
	.shmget = compat_shmget,
};
