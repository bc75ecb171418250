/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The exported calls for subpools and regions, each through the one table of
 * the process: see region/region.h.
 */
#include "region/region.h"

const struct hl_region_entry_v1 hl_region_entry_own = HL_REGION_ENTRY_V1;

HL_EXPORT int htlb_region_create(
	size_t bytes, const struct htlb_region_options *options, void **out)
{
	return hl_region_entry()->create(bytes, options, out);
}

HL_EXPORT int htlb_region_destroy(void *addr)
{
	return hl_region_entry()->destroy(addr);
}

HL_EXPORT int htlb_region_commit(void *addr, size_t bytes)
{
	return hl_region_entry()->commit(addr, bytes);
}

HL_EXPORT int htlb_region_decommit(void *addr, size_t bytes)
{
	return hl_region_entry()->decommit(addr, bytes);
}

HL_EXPORT int htlb_region_info(const void *addr, struct htlb_region_info *out)
{
	return hl_region_entry()->info(addr, out);
}

HL_EXPORT int htlb_region_fd(const void *addr)
{
	return hl_region_entry()->fd(addr);
}

HL_EXPORT int htlb_region_open_fd(
	int fd, const struct htlb_region_options *options, void **out)
{
	return hl_region_entry()->open_fd(fd, options, out);
}

HL_EXPORT int htlb_subpool_create(
	const struct htlb_subpool_options *options, struct htlb_subpool **out)
{
	return hl_region_entry()->subpool_create(options, out);
}

HL_EXPORT int htlb_subpool_stat(
	struct htlb_subpool *subpool, struct htlb_subpool_stat *out)
{
	return hl_region_entry()->subpool_stat(subpool, out);
}

HL_EXPORT void htlb_subpool_destroy(struct htlb_subpool *subpool)
{
	hl_region_entry()->subpool_destroy(subpool);
}
