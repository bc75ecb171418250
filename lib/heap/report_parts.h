/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two forms of the report share: amounts read once, names, and the
 * picture's cells. Private to report.c, report_json.c and report_text.c, but
 * for hl_report_get(), which stats.c reads counters with.
 *
 * Counters are read one by one and once (a snapshot): they may be moving, and
 * a sum must match its parts in the output.
 */
#ifndef HL_HEAP_REPORT_PARTS_H
#define HL_HEAP_REPORT_PARTS_H

#include "backing/area.h"
#include "heap/report.h"

/* Resident bytes of one process at one time. */
struct hl_report_amounts {
	uint64_t hugetlb_bytes; /* sum over sizes */
	uint64_t thp_bytes;
	uint64_t base_bytes;
};

struct hl_report_amounts hl_report_at_end(const struct hl_counts *c);
struct hl_report_amounts hl_report_at_peak(const struct hl_counts *c);

static inline uint64_t hl_report_huge(const struct hl_report_amounts *a)
{
	return a->hugetlb_bytes + a->thp_bytes;
}

static inline uint64_t hl_report_all(const struct hl_report_amounts *a)
{
	return hl_report_huge(a) + a->base_bytes;
}

static inline uint64_t hl_report_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Stable: they are part of the JSON form. */
const char *hl_report_state_name(enum hl_report_end end);
const char *hl_report_kind_name(unsigned kind);

struct hl_report_picture {
	unsigned cells;
	unsigned units_per_cell;
	uint8_t fullness[HL_REPORT_CELLS_MAX]; /* mean of the merged units */
	uint8_t kind[HL_REPORT_CELLS_MAX];     /* of the first of them in use */
};
void hl_report_draw(struct hl_report_picture *pic, const struct hl_counts *c);

#endif
