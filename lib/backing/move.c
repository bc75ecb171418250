/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moving units to other addresses without copying, for a large realloc.
 *
 * Ordinary memory is moved with MREMAP_DONTUNMAP, which leaves a mapping
 * behind, so that no other thread's mmap() can land inside our area. hugetlb
 * mappings cannot be moved so: they leave a hole. That is fine where the hole
 * can do no harm: the source is dedicated (and will be closed without the
 * hole), or the process has one thread. Otherwise the caller copies.
 *
 * All or nothing: what was moved before a refusal is moved back.
 * The caller serialises changes of the units on both sides.
 */
#include "backing/area_internal.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define MOVE_FLAGS (MREMAP_MAYMOVE | MREMAP_FIXED)

struct move {
	struct hl_area *src, *dst;
	size_t from, to, dst_from;
	size_t hugetlb; /* units of it */
};

static int move_one(char *from, char *to, size_t bytes, int flags)
{
	void *p;

	return hl_os->mremap(from, bytes, bytes, MOVE_FLAGS | flags, to, &p);
}

static void move_back(char *from, char *to, size_t bytes, int flags)
{
	void *p;

	if (move_one(from, to, bytes, flags) == 0)
		return;
	if (flags == 0 &&
		hl_os->mmap(to, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, &p) < 0)
		hl_fatal("cannot move memory back to %p", (void *)to);
	memcpy(to, from, bytes);
}

/* Several mappings in one call are beyond older kernels: then piece by piece.
 */
static int move_bytes(
	char *from, char *to, size_t bytes, size_t piece, int flags)
{
	size_t at;
	int rc = move_one(from, to, bytes, flags);

	if (rc != -EFAULT)
		return rc;
	for (at = 0; at < bytes; at += piece) {
		rc = move_one(from + at, to + at, piece, flags);
		if (rc < 0)
			break;
	}
	if (rc == 0)
		return 0;
	while (at > 0) {
		at -= piece;
		move_back(to + at, from + at, piece, flags);
	}
	return rc;
}

static bool is_hugetlb(uint32_t word)
{
	return hl_word_kind(word) == HL_BACKING_HUGETLB;
}

/* End of the units from u on that move in one way. */
static size_t run_end(const struct hl_area *area, size_t u, size_t to)
{
	uint32_t word = hl_unit_load(area, u), other;

	for (u++; u < to; u++) {
		other = hl_unit_load(area, u);
		if (is_hugetlb(other) != is_hugetlb(word) ||
			(is_hugetlb(word) && hl_word_page_bytes(other) !=
						     hl_word_page_bytes(word)))
			break;
	}
	return u;
}

static size_t piece_of(uint32_t word)
{
	return HL_MAX(hl_word_page_bytes(word), HL_UNIT_BYTES);
}

static int flags_of(uint32_t word)
{
	return is_hugetlb(word) ? 0 : MREMAP_DONTUNMAP;
}

/* Moves runs up to `end`, or back again. */
static int move_all(const struct move *m, size_t end, size_t *stopped)
{
	size_t u = m->from, next;

	for (; u < end; u = next) {
		uint32_t word = hl_unit_load(m->src, u);
		int rc;

		next = run_end(m->src, u, end);
		rc = move_bytes(hl_unit_addr(m->src, u),
			hl_unit_addr(m->dst, m->dst_from + u - m->from),
			(next - u) * HL_UNIT_BYTES, piece_of(word),
			flags_of(word));
		if (rc < 0) {
			*stopped = u;
			return rc;
		}
	}
	return 0;
}

static void undo(const struct move *m, size_t end)
{
	size_t u = m->from, next;
	size_t bytes = (m->to - m->from) * HL_UNIT_BYTES;

	for (; u < end; u = next) {
		uint32_t word = hl_unit_load(m->src, u);

		next = run_end(m->src, u, end);
		move_back(hl_unit_addr(m->dst, m->dst_from + u - m->from),
			hl_unit_addr(m->src, u), (next - u) * HL_UNIT_BYTES,
			flags_of(word));
	}
	(void)hl_map_none(hl_unit_addr(m->dst, m->dst_from), bytes);
}

/* What the source is after its units have gone. */
static void leave(const struct move *m)
{
	size_t u = m->from, next;

	for (; u < m->to; u = next) {
		uint32_t word = hl_unit_load(m->src, u), left = 0;

		next = run_end(m->src, u, m->to);
		if (is_hugetlb(word) && m->src->dedicated)
			left = HL_UNIT_LOST;
		else if (hl_map_none(hl_unit_addr(m->src, u),
				 (next - u) * HL_UNIT_BYTES) < 0)
			left = is_hugetlb(word) ? HL_UNIT_LOST : HL_UNIT_STUCK;
		for (size_t i = u; i < next; i++)
			hl_unit_store(m->src, i, left);
	}
}

/* ---- accounting ---- */

static size_t count_charged(const struct move *m)
{
	size_t n = 0;

	for (size_t u = m->from; u < m->to; u++)
		n += (hl_unit_load(m->src, u) & HL_UNIT_CHARGED) != 0;
	return n;
}

/* Each run of hugetlb units takes a node in the map of the other side. */
static int charge_runs(const struct move *m, size_t end, bool open)
{
	struct hl_resv *map = &m->dst->resv;
	size_t u = m->from, next;

	for (; u < end; u = next) {
		int64_t at = (int64_t)(m->dst_from + u - m->from), to;

		next = run_end(m->src, u, m->to);
		to = at + (int64_t)(next - u);
		if (!is_hugetlb(hl_unit_load(m->src, u)))
			continue;
		if (!open)
			hl_resv_abort(map, at, to);
		else if (hl_resv_chg(map, at, to) < 0)
			return charge_runs(m, u, false), -ENOMEM;
	}
	return 0;
}

static int charge(const struct move *m)
{
	int rc;

	hl_lock_acquire(&m->dst->lock);
	rc = charge_runs(m, m->to, true);
	hl_lock_release(&m->dst->lock);
	return rc;
}

static void uncharge(const struct move *m)
{
	hl_lock_acquire(&m->dst->lock);
	(void)charge_runs(m, m->to, false);
	hl_lock_release(&m->dst->lock);
}

/* Pages changed their place, not their owner: only maps and words move. */
static void hand_over(const struct move *m)
{
	struct hl_subpool *subpool;
	size_t charged = count_charged(m);
	size_t u = m->from, next;

	hl_lock_acquire(&m->src->lock);
	subpool = m->src->subpool;
	m->src->charged -= charged;
	(void)hl_resv_del(&m->src->resv, (int64_t)m->from, (int64_t)m->to);
	hl_lock_release(&m->src->lock);

	hl_lock_acquire(&m->dst->lock);
	if (charged > 0) {
		HL_ASSERT(m->dst->charged == 0 || m->dst->subpool == subpool);
		m->dst->subpool = subpool;
		m->dst->charged += charged;
	}
	for (; u < m->to; u = next) {
		int64_t at = (int64_t)(m->dst_from + u - m->from);

		next = run_end(m->src, u, m->to);
		if (is_hugetlb(hl_unit_load(m->src, u)))
			hl_resv_add(
				&m->dst->resv, at, at + (int64_t)(next - u));
	}
	hl_lock_release(&m->dst->lock);
}

/* ---- the call ---- */

static int check(struct move *m)
{
	for (size_t u = m->from; u < m->to; u++) {
		uint32_t word = hl_unit_load(m->src, u);
		size_t other = m->dst_from + u - m->from;

		HL_CHECK(hl_word_kind(word) != HL_BACKING_NONE);
		if (hl_unit_load(m->dst, other) != 0)
			return -EOPNOTSUPP;
		if (!is_hugetlb(word))
			continue;
		m->hugetlb++;
		if (((uintptr_t)hl_unit_addr(m->src, u) ^
			    (uintptr_t)hl_unit_addr(m->dst, other)) &
			(hl_word_page_bytes(word) - 1))
			return -EOPNOTSUPP;
	}
	if (m->hugetlb > 0 && !m->src->dedicated && !hl_is_single_threaded())
		return -EOPNOTSUPP;
	return 0;
}

static void claim(const struct move *m)
{
	for (size_t u = m->from; u < m->to; u++)
		hl_unit_claim(m->src, u);
}

static void unclaim(const struct move *m)
{
	for (size_t u = m->from; u < m->to; u++)
		hl_unit_store(
			m->src, u, hl_unit_load(m->src, u) & ~HL_UNIT_BUSY);
}

int hl_area_move(struct hl_area *src, size_t from, size_t to,
	struct hl_area *dst, size_t dst_from)
{
	struct move m = {src, dst, from, to, dst_from, 0};
	size_t stopped = from;
	int rc;

	HL_ASSERT(from < to && to <= hl_area_units(src));
	HL_ASSERT(dst_from + (to - from) <= hl_area_units(dst));
	hl_heal_settle();
	claim(&m);
	rc = check(&m);
	if (rc < 0)
		goto unclaim;
	rc = charge(&m);
	if (rc < 0)
		goto unclaim;
	rc = move_all(&m, to, &stopped);
	if (rc < 0) {
		undo(&m, stopped);
		uncharge(&m);
		goto unclaim;
	}
	hand_over(&m);
	for (size_t u = from; u < to; u++)
		hl_unit_store(dst, dst_from + u - from,
			hl_unit_load(src, u) & ~HL_UNIT_BUSY);
	leave(&m);
	return 0;

unclaim:
	unclaim(&m);
	return rc;
}
