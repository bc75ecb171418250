/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page sizes. The kernel names its huge page sizes by directories; nothing is
 * known about them beforehand but that they are powers of two. No lock; the
 * base page size cannot change and comes from the auxiliary vector.
 */
#include "system/sys.h"
#include "base/fmt.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#define DIRECTORY  "/sys/kernel/mm/hugepages"
#define ENTRY_NAME "hugepages-"
#define FLAG_SHIFT 26 /* MAP_HUGE_SHIFT */

size_t hl_base_page_bytes(void)
{
	return getauxval(AT_PAGESZ);
}

struct found {
	size_t *sizes;
	int count, max;
};

/* "hugepages-2048kB" -> 2 MiB; false for any other name. */
static bool parse_name(const char *name, size_t *out)
{
	char text[32];
	size_t prefix = sizeof(ENTRY_NAME) - 1;
	size_t length = strlen(name);
	size_t bytes;

	if (strncmp(name, ENTRY_NAME, prefix) != 0 ||
		length - prefix >= sizeof(text) || length < prefix + 3 ||
		strcmp(name + length - 2, "kB") != 0)
		return false;
	memcpy(text, name + prefix, length - prefix + 1);
	if (hl_parse_size(text, &bytes) != 0 || !hl_is_pow2(bytes))
		return false;
	*out = bytes;
	return true;
}

static int collect(const char *name, void *arg)
{
	struct found *found = arg;
	size_t bytes;
	int i;

	if (!parse_name(name, &bytes))
		return 0;
	if (found->count == found->max)
		return 1;
	/* The kernel lists them in no order. */
	for (i = found->count++; i > 0 && found->sizes[i - 1] > bytes; i--)
		found->sizes[i] = found->sizes[i - 1];
	found->sizes[i] = bytes;
	return 0;
}

int hl_size_directories(const struct hl_root *root, const char *directory,
	size_t *sizes, int max)
{
	struct found found = {.sizes = sizes, .max = max};

	(void)hl_root_list(root, directory, collect, &found);
	return found.count;
}

int hl_huge_page_sizes(
	const struct hl_root *root, size_t sizes[HL_PAGE_SIZES_MAX])
{
	return hl_size_directories(root, DIRECTORY, sizes, HL_PAGE_SIZES_MAX);
}

/* "Hugepagesize:       2048 kB" */
static int parse_meminfo(const char *line, size_t *out)
{
	static const char key[] = "Hugepagesize:";
	uint64_t kib;
	char text[32];
	size_t length;

	if (strncmp(line, key, sizeof(key) - 1) != 0)
		return -ENOENT;
	line += sizeof(key) - 1;
	line += strspn(line, " \t");
	length = strspn(line, "0123456789");
	if (length == 0 || length >= sizeof(text))
		return -EINVAL;
	memcpy(text, line, length);
	text[length] = '\0';
	if (hl_parse_u64(text, &kib) != 0 || kib > SIZE_MAX / HL_KIB ||
		!hl_is_pow2(kib))
		return -EINVAL;
	*out = kib * HL_KIB;
	return 0;
}

int hl_default_huge_page(const struct hl_root *root, size_t *out)
{
	char buf[1024];
	struct hl_lines lines;
	char *line;
	int err =
		hl_lines_open(&lines, root, "/proc/meminfo", buf, sizeof(buf));

	if (err)
		return -ENOSYS;
	err = -ENOSYS;
	while (err == -ENOSYS && hl_lines_next(&lines, &line) == 1) {
		if (parse_meminfo(line, out) == 0)
			err = 0;
	}
	hl_lines_close(&lines);
	return err;
}

int hl_map_huge_flag(size_t page_bytes)
{
	/* 16 GiB needs the sign bit. */
	return (int)(hl_log2(page_bytes) << FLAG_SHIFT);
}
