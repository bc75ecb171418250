/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the machine offers, for programs: sizes, pools, and asking the kernel
 * for more. Nothing is cached beyond what system/ and the supply keep, so that
 * any copy of the library will do, but for the options: those are the one
 * state's.
 */
#include "region/region_internal.h"

#include "base/record.h"
#include "system/admin.h"

#include <errno.h>

#define POOL_V1_BYTES sizeof(struct htlb_pool)

HL_EXPORT int htlb_page_sizes(size_t *sizes, size_t capacity)
{
	size_t all[HL_PAGE_SIZES_MAX];
	int n = hl_huge_page_sizes(hl_supply_root, all);

	for (size_t i = 0; i < capacity && (int)i < n; i++)
		sizes[i] = all[i];
	return n < 0 ? 0 : n;
}

size_t hl_region_default_size(void)
{
	hl_region_set_up();
	return hl_supply_default();
}

HL_EXPORT int htlb_default_page_size(size_t *out)
{
	size_t page_bytes = hl_region_entry()->default_size();

	if (page_bytes == 0)
		return -ENOSYS;
	*out = page_bytes;
	return 0;
}

static int size_of(size_t *page_bytes)
{
	if (*page_bytes == 0)
		*page_bytes = hl_region_entry()->default_size();
	return hl_is_pow2(*page_bytes) ? 0 : -ENOENT;
}

HL_EXPORT int htlb_pool_read(size_t page_bytes, int node, struct htlb_pool *out)
{
	enum hl_limit limit;
	struct htlb_pool own;
	struct hl_pool pool;
	int rc;

	if (out->size < POOL_V1_BYTES)
		return -EINVAL;
	rc = node < HTLB_NODE_ANY ? -ENOENT : size_of(&page_bytes);
	if (rc == 0)
		rc = hl_pool_read(hl_supply_root, page_bytes, node, &pool);
	if (rc < 0)
		return rc;
	own = (struct htlb_pool){
		.page_bytes = page_bytes,
		.total = pool.nr,
		.free = pool.free,
		.reserved = pool.resv,
		.surplus = pool.surplus,
		.overcommit = pool.overcommit,
		.available = hl_supply_now(page_bytes, node, &limit),
	};
	return hl_record_out(out, POOL_V1_BYTES, &own, sizeof(own));
}

HL_EXPORT int htlb_pool_resize(
	size_t page_bytes, int node, uint64_t hpages, uint64_t *got)
{
	struct hl_pool pool;
	int rc = node < HTLB_NODE_ANY ? -ENOENT : size_of(&page_bytes);

	if (rc == 0)
		rc = hl_pool_read(hl_supply_root, page_bytes, node, &pool);
	if (rc == 0)
		rc = hl_pool_write(hl_supply_root, page_bytes, node,
			"nr_hugepages", hpages);
	if (rc == 0)
		rc = hl_pool_read(hl_supply_root, page_bytes, node, &pool);
	if (rc == 0 && got != NULL)
		*got = hl_pool_persistent(&pool);
	return rc == -EPERM || rc == -EROFS ? -EACCES : rc;
}
