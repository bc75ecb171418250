/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one file that uses libnuma, linked by tools alone. libnuma allocates and
 * uses stdio, so nothing of the libraries may come here.
 */
#include "system/nodestring.h"
#include "base/bitmap.h"

#include <errno.h>
#include <numa.h>
#include <string.h>

/*
 * libnuma explains to standard error what it refuses. These are its hooks, weak
 * there; what is wrong is said by the tool. Exported, so that a shared libnuma
 * finds them.
 */
HL_EXPORT void numa_warn(int number, char *fmt, ...)
{
	(void)number;
	(void)fmt;
}

HL_EXPORT void numa_error(char *where)
{
	(void)where;
}

static int copy_bits(const struct bitmask *mask, uint64_t *bits, size_t nbits)
{
	size_t count = 0;

	for (unsigned i = 0; i < mask->size; i++) {
		if (!numa_bitmask_isbitset(mask, i))
			continue;
		if (i >= nbits)
			return -ERANGE;
		count++;
	}
	if (count == 0)
		return -EINVAL;
	memset(bits, 0, HL_BITMAP_WORDS(nbits) * sizeof(*bits));
	for (unsigned i = 0; i < mask->size; i++) {
		if (numa_bitmask_isbitset(mask, i))
			hl_bitmap_set(bits, i, (size_t)i + 1);
	}
	return 0;
}

int hl_nodestring_parse(const char *s, uint64_t *bits, size_t nbits)
{
	struct bitmask *mask;
	int err;

	if (numa_available() < 0)
		return -ENOSYS;
	/* An empty string is a list of no node to libnuma. */
	if (*s == '\0')
		return -EINVAL;
	/*
	 * All nodes that exist, not only those of our cpuset: that refusal is
	 * the kernel's, and a matter of the cpuset, not of the syntax.
	 */
	mask = numa_parse_nodestring_all(s);
	if (!mask)
		return -EINVAL;
	err = copy_bits(mask, bits, nbits);
	numa_bitmask_free(mask);
	return err;
}
