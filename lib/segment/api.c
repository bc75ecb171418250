/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * htlb_segments_remap(). There is no state to share between copies of the
 * library but the counters: a program's call reaches the preload object's
 * function, if there is one, since that comes first in the search order.
 */
#include "segment/segment.h"

#include "base/opt.h"
#include "hugetlbfs2.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define FLAGS                                                              \
	(HTLB_SEGMENTS_TEXT | HTLB_SEGMENTS_DATA | HTLB_SEGMENTS_PRIVATE | \
		HTLB_SEGMENTS_ALL_BSS | HTLB_SEGMENTS_BRK)
#define WHAT (HTLB_SEGMENTS_TEXT | HTLB_SEGMENTS_DATA | HTLB_SEGMENTS_BRK)

/* What every caller has; a later version may make the structs longer. */
#define OPTIONS_V1_BYTES sizeof(struct htlb_segments_options)
#define RESULT_V1_BYTES	 offsetof(struct htlb_segments_result, brk_bytes)

static int read_options(
	const struct htlb_segments_options *o, struct hl_segment_want *want)
{
	*want = (struct hl_segment_want){
		.text = true,
		.no_shared = !hl_opt.share,
		.share_path = hl_opt.share_path,
		.perf_map = hl_opt.perf_map,
	};
	if (!o)
		return 0;
	if (o->size < OPTIONS_V1_BYTES || (o->flags & ~FLAGS) != 0)
		return -EINVAL;
	if (o->page_bytes != 0 && !hl_is_pow2(o->page_bytes))
		return -EINVAL;
	if ((o->flags & WHAT) != 0) {
		want->text = (o->flags & HTLB_SEGMENTS_TEXT) != 0;
		want->data = (o->flags & HTLB_SEGMENTS_DATA) != 0;
		want->brk = (o->flags & HTLB_SEGMENTS_BRK) != 0;
	}
	want->names = o->objects;
	want->text_page_bytes = o->page_bytes;
	want->all_bss = (o->flags & HTLB_SEGMENTS_ALL_BSS) != 0;
	want->no_shared |= (o->flags & HTLB_SEGMENTS_PRIVATE) != 0;
	return 0;
}

/* The size member is the caller's and stays; what we do not know is 0. */
static void hand_out(
	struct htlb_segments_result *out, const struct hl_segment_result *r)
{
	struct htlb_segments_result own = {
		.text_bytes = r->text_bytes,
		.data_bytes = r->data_bytes,
		.data_huge_bytes = r->data_huge_bytes,
		.data_lazy_bytes = r->data_lazy_bytes,
		.partial_bytes = r->stay_bytes[HL_STAY_PARTIAL],
		.brk_bytes = r->brk_bytes,
		.brk_huge_bytes = r->brk_huge_bytes,
	};
	size_t known = HL_MIN(out->size, sizeof(own));
	char *to = (char *)out;

	for (unsigned i = 0; i < HL_RUNG_COUNT_; i++)
		own.text_huge_bytes += r->rung_bytes[i];
	memcpy(to + sizeof(size_t), (const char *)&own + sizeof(size_t),
		known - sizeof(size_t));
	memset(to + known, 0, out->size - known);
}

HL_EXPORT int htlb_segments_remap(const struct htlb_segments_options *options,
	struct htlb_segments_result *result)
{
	struct hl_segment_result r;
	struct hl_segment_want want;
	int err = read_options(options, &want);

	if (err)
		return err;
	if (result && result->size < RESULT_V1_BYTES)
		return -EINVAL;
	err = hl_segments_move(&want, &r);
	if (err == 0 && result)
		hand_out(result, &r);
	return err;
}
