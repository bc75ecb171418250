/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * get_huge_pages() and get_hugepage_region(): private regions of the default
 * page size, strict or not.
 *
 * Colour: a region that is longer than what was asked for starts at another
 * cache line each time, so that equal structures in several regions do not
 * compete for the same lines of a cache. The counter is shared and needs no
 * order.
 *
 * Freed by the region that the pointer is in; with colour that is anywhere
 * in the first page.
 */
#include "region/compat.h"

#include "region/region.h"

#include <errno.h>
#include <stdatomic.h>

#define LINE_BYTES 64
/* Odd, so that all lines are used in turn, and apart from each other. */
#define LINE_STEP 37

static size_t colour_offset(size_t slack_bytes)
{
	static _Atomic unsigned turn;
	size_t lines = slack_bytes / LINE_BYTES + 1;
	unsigned n = atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed);

	return (size_t)n * LINE_STEP % lines * LINE_BYTES;
}

int hl_compat_get(size_t bytes, bool fallback, bool colour, void **out)
{
	struct htlb_region_options options = {.size = sizeof(options)};
	size_t page_bytes, whole;
	void *p;
	int err;

	if (bytes == 0)
		return -EINVAL;
	err = hl_compat_default_size(&page_bytes);
	if (err && !fallback)
		return err;
	if (err)
		page_bytes = hl_base_page_bytes();
	if (!hl_add_ok(bytes, page_bytes - 1, &whole))
		return -ENOMEM;
	whole = hl_align_down(whole, page_bytes);
	options.page_bytes = err ? 0 : page_bytes;
	options.flags = fallback ? 0 : HTLB_REGION_STRICT;
	err = hl_region_entry()->create(whole, &options, &p);
	if (err)
		return err;
	*out = (char *)p + (colour ? colour_offset(whole - bytes) : 0);
	return 0;
}

int hl_compat_free(void *p)
{
	size_t bytes, page_bytes;
	void *start;

	if (!hl_region_entry()->find(p, &start, &bytes))
		return -EINVAL;
	if (hl_compat_default_size(&page_bytes) < 0)
		page_bytes = hl_base_page_bytes();
	if ((size_t)((char *)p - (char *)start) >= page_bytes)
		return -EINVAL;
	return hl_region_entry()->destroy(start);
}
