/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See wished.h. A byte per unit, as stretches are shared by arenas whose locks
 * do not exclude each other; each unit is one arena's.
 */
#include "heap/wished.h"

#include "base/count.h"

void hl_wished_count(int64_t units)
{
	struct hl_counts *c = hl_counts();
	uint64_t bytes = (uint64_t)units * HL_UNIT_BYTES;

	bytes += atomic_fetch_add_explicit(
		&c->wished_bytes, bytes, memory_order_relaxed);
	if (units > 0)
		hl_count_max(&c->peak_wished_bytes, bytes);
}

void hl_wished_mark(struct hl_stretch *s, size_t first, size_t n)
{
	size_t fresh = 0;

	if (s->dedicated) {
		s->wished_block = true;
		fresh = n;
	}
	for (size_t u = first; !s->dedicated && u < first + n; u++) {
		fresh += !s->wished[u];
		s->wished[u] = true;
	}
	if (fresh > 0)
		hl_wished_count((int64_t)fresh);
}

bool hl_wished_clear(struct hl_stretch *s, size_t first, size_t n)
{
	size_t gone = s->dedicated && s->wished_block ? n : 0;

	for (size_t u = first; !s->dedicated && u < first + n; u++) {
		gone += s->wished[u];
		s->wished[u] = false;
	}
	if (gone > 0)
		hl_wished_count(-(int64_t)gone);
	return gone > 0;
}

void hl_wished_end(struct hl_stretch *s)
{
	size_t grain = s->space->grain;

	if (s->grain == NULL) {
		/* A dedicated one that shrank has free units at its end. */
		(void)hl_wished_clear(s, 0,
			s->dedicated ? s->units - s->free_units : s->units);
		return;
	}
	for (size_t g = 0; g < s->units / grain; g++)
		if (s->grain[g].used > 0)
			hl_wished_count(-(int64_t)grain);
}
