/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page sizes that the compatibility calls speak of, read anew at each call:
 * programs change what open() and opendir() show them.
 *
 * The default is HUGETLB_DEFAULT_PAGE_SIZE if the machine has that size; else
 * the kernel's, and a message. (The ancestor took whatever size came first.)
 * A kernel that names its default in meminfo but has no directory of sizes has
 * that one size. No lock, no state.
 */
#include "region/compat.h"

#include "base/log.h"
#include "base/opt.h"

#include <errno.h>

#define DIRECTORY "/sys/kernel/mm/hugepages"

static bool is_among(size_t size, const size_t *sizes, int n)
{
	for (int i = 0; i < n; i++) {
		if (sizes[i] == size)
			return true;
	}
	return false;
}

static int default_among(const size_t *sizes, int n, size_t *out)
{
	size_t asked = hl_opt.default_page_bytes, usual;
	int err = hl_default_huge_page(&hl_compat_root, &usual);

	if (err)
		return err;
	if (asked != 0 && asked != usual) {
		if (is_among(asked, sizes, n)) {
			*out = asked;
			return 0;
		}
		hl_log(HL_LOG_WARN,
			"no huge pages of %K here: the default stays %K", asked,
			usual);
	}
	*out = usual;
	return 0;
}

int hl_compat_default_size(size_t *out)
{
	size_t sizes[HL_PAGE_SIZES_MAX];
	int n = hl_opt.default_page_bytes == 0
			? 0
			: hl_huge_page_sizes(&hl_compat_root, sizes);

	return default_among(sizes, n, out);
}

static int stop(const char *name, void *arg)
{
	(void)name;
	(void)arg;
	return 1;
}

static void put(long *sizes, int n, int *count, size_t size)
{
	if (sizes != NULL && *count < n)
		sizes[*count] = (long)size;
	if (sizes == NULL || *count < n)
		(*count)++;
}

int hl_compat_sizes(long *sizes, int n)
{
	size_t all[HL_PAGE_SIZES_MAX], first = 0;
	int err = hl_root_list(&hl_compat_root, DIRECTORY, stop, NULL);
	int count = 0, found;

	if (err < 0 && err != -ENOENT)
		return err;
	found = err < 0 ? 0 : hl_huge_page_sizes(&hl_compat_root, all);
	if (default_among(all, found, &first) < 0)
		return 0;
	put(sizes, n, &count, first);
	for (int i = 0; i < found; i++) {
		if (all[i] != first)
			put(sizes, n, &count, all[i]);
	}
	return count;
}
