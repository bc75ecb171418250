/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much memory really stands behind units, and of which kind.
 *
 * Two ways. hl_area_resident() asks mincore() unit by unit and guesses: a unit
 * advised for THP all of whose base pages are resident is counted as a huge
 * page. hl_backing_resident() reads smaps, where the kernel says so itself, and
 * is slower by the number of mappings of the process. No lock.
 */
#include "backing/area_internal.h"

#include "base/meta.h"

#include <errno.h>

#define VEC_BYTES    512 /* in a signal handler too: stacks may be small */
#define SMAPS_BUFFER (64 * HL_KIB)

size_t hl_resident_pages(void *addr, size_t bytes)
{
	unsigned char vec[VEC_BYTES];
	size_t base = hl_base_page_bytes(), n = 0;

	for (size_t at = 0, step; at < bytes; at += step) {
		step = HL_MIN(bytes - at, sizeof(vec) * base);
		if (hl_os->mincore((char *)addr + at, step, vec) < 0)
			continue;
		for (size_t i = 0; i < step / base; i++)
			n += vec[i] & 1;
	}
	return n;
}

static size_t resident_bytes(void *addr)
{
	return hl_resident_pages(addr, HL_UNIT_BYTES) * hl_base_page_bytes();
}

static void add_unit(
	const struct hl_area *area, size_t unit, struct hl_resident *out)
{
	size_t bytes;

	switch (hl_area_kind(area, unit)) {
	case HL_BACKING_NONE:
		break;
	case HL_BACKING_HUGETLB:
		out->hugetlb_bytes += HL_UNIT_BYTES;
		break;
	case HL_BACKING_THP:
	case HL_BACKING_LAZY:
		bytes = resident_bytes(hl_unit_addr(area, unit));
		if (bytes == HL_UNIT_BYTES)
			out->thp_bytes += bytes;
		else
			out->base_bytes += bytes;
		break;
	case HL_BACKING_BASE:
		out->base_bytes += resident_bytes(hl_unit_addr(area, unit));
		break;
	}
}

void hl_area_resident(
	struct hl_area *area, size_t from, size_t to, struct hl_resident *out)
{
	*out = (struct hl_resident){0};
	for (size_t u = from; u < to; u++)
		add_unit(area, u, out);
}

/* Mappings of equal flags merge across the borders of areas, but only with
 * other areas of ours: nothing else is 2 MiB-aligned and adjacent by design. */
static int add_mapping(const struct hl_map_record *r, void *arg)
{
	struct hl_resident *out = arg;

	if (hl_area_find((const void *)r->from) == NULL)
		return 0;
	out->hugetlb_bytes +=
		r->shared_hugetlb_bytes + r->private_hugetlb_bytes;
	out->thp_bytes += r->anon_huge_bytes;
	out->base_bytes +=
		r->rss_bytes - HL_MIN(r->rss_bytes, r->anon_huge_bytes);
	return 0;
}

int hl_backing_resident(struct hl_resident *out)
{
	struct hl_resident sum = {0};
	char *buf = hl_meta_map(SMAPS_BUFFER);
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = hl_smaps_visit(
		&hl_root_real, 0, buf, SMAPS_BUFFER, add_mapping, &sum);
	hl_meta_unmap(buf, SMAPS_BUFFER);
	if (rc == 0)
		*out = sum;
	return rc;
}
