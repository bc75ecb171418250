/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What could be had now, for callers that ask often: pool, node, cgroup and
 * THP setting, read through system/ and kept for some milliseconds.
 *
 * Callers: commit before it asks the kernel (a request that cannot succeed
 * costs no system call), the heap's policy, fork. The figures are hints: the
 * kernel decides at commit. Between two readings the cache follows what this
 * process takes and gives, and a refusal of the kernel counts as "nothing"
 * until the next reading, whatever the files say: cpusets and fragmentation
 * do not show in them.
 *
 * No lock: entries are claimed once, and their words are atomics. Two threads
 * that refresh one entry at once store the same.
 */
#include "backing/area_internal.h"

#include "base/opt.h"

#define KEEP_MS 20 /* a reading that says there is something */
#define KEEP_NONE_MS \
	100 /* a reading that says there is nothing, or a refusal */
#define KEEP_THP_MS 500
#define ENTRIES	    64

#define relaxed memory_order_relaxed

const struct hl_root *hl_supply_root = &hl_root_real;

struct entry {
	_Atomic uint64_t key; /* log2 of the size, node + 1 above; 0: free */
	_Atomic uint64_t until_ms;
	_Atomic uint64_t hpages;
	_Atomic uint32_t limit;
};
static struct entry entries[ENTRIES];

static _Atomic uint64_t thp_until_ms;
static _Atomic bool thp_now;

/* Facts that do not change: read once. */
static _Atomic int nodes_known; /* 0: not yet */
static _Atomic bool sizes_known;
static _Atomic size_t default_bytes;
static _Atomic size_t size_list[HL_PAGE_SIZES_MAX]; /* ascending, 0 ends */

/* ---- the pool ---- */

static void narrow(struct hl_supply *s, uint64_t hpages, enum hl_limit limit)
{
	if (hpages < s->hpages) {
		s->hpages = hpages;
		s->limit = limit;
	}
}

static void measure(size_t page_bytes, int node, struct hl_supply *out)
{
	struct hl_cgroup_hugetlb group;
	struct hl_pool pool, on_node;
	uint64_t growth;

	*out = (struct hl_supply){0, HL_LIMIT_UNSUPPORTED};
	if (hl_pool_read(hl_supply_root, page_bytes, HL_NODE_ANY, &pool) < 0)
		return;
	out->hpages = hl_pool_available(&pool);
	out->limit = HL_LIMIT_POOL;
	if (out->hpages > 0 && node >= 0 &&
		hl_pool_read(hl_supply_root, page_bytes, node, &on_node) == 0) {
		growth = pool.overcommit > pool.surplus
				 ? pool.overcommit - pool.surplus
				 : 0;
		narrow(out, on_node.free + growth, HL_LIMIT_NODE_POOL);
	}
	if (out->hpages == 0 ||
		hl_cgroup_hugetlb(hl_supply_root, page_bytes, &group) < 0 ||
		!group.present)
		return;
	narrow(out, group.headroom_bytes / page_bytes, HL_LIMIT_CGROUP);
	narrow(out, group.rsvd_headroom_bytes / page_bytes,
		HL_LIMIT_CGROUP_RSVD);
}

static uint64_t key_of(size_t page_bytes, int node)
{
	return hl_log2(page_bytes) | (uint64_t)(uint32_t)(node + 1) << 8;
}

/* NULL: not there, and no room. */
static struct entry *find_entry(uint64_t key, bool claim)
{
	for (size_t i = 0; i < ENTRIES; i++) {
		uint64_t seen = atomic_load_explicit(&entries[i].key, relaxed);

		if (seen == key)
			return &entries[i];
		if (seen != 0)
			continue;
		if (!claim)
			return NULL;
		if (atomic_compare_exchange_strong_explicit(
			    &entries[i].key, &seen, key, relaxed, relaxed) ||
			seen == key)
			return &entries[i];
	}
	return NULL;
}

static void store(struct entry *e, const struct hl_supply *s)
{
	uint64_t keep = s->hpages > 0 ? KEEP_MS : KEEP_NONE_MS;

	if (e == NULL)
		return;
	atomic_store_explicit(&e->hpages, s->hpages, relaxed);
	atomic_store_explicit(&e->limit, (uint32_t)s->limit, relaxed);
	atomic_store_explicit(
		&e->until_ms, hl_os->now_ms() + keep, memory_order_release);
}

void hl_supply_read_fresh(size_t page_bytes, int node, struct hl_supply *out)
{
	measure(page_bytes, node, out);
	store(find_entry(key_of(page_bytes, node), true), out);
}

void hl_supply_read(size_t page_bytes, int node, struct hl_supply *out)
{
	struct entry *e = find_entry(key_of(page_bytes, node), true);

	if (e != NULL && hl_os->now_ms() < atomic_load_explicit(&e->until_ms,
						   memory_order_acquire)) {
		out->hpages = atomic_load_explicit(&e->hpages, relaxed);
		out->limit =
			(enum hl_limit)atomic_load_explicit(&e->limit, relaxed);
		return;
	}
	hl_supply_read_fresh(page_bytes, node, out);
}

enum hl_limit hl_supply_refused(size_t page_bytes, int node)
{
	struct hl_supply s;

	measure(page_bytes, node, &s);
	s.hpages = 0;
	store(find_entry(key_of(page_bytes, node), true), &s);
	return s.limit;
}

static void adjust(struct entry *e, int64_t hpages)
{
	uint64_t old, now;

	if (e == NULL)
		return;
	old = atomic_load_explicit(&e->hpages, relaxed);
	do {
		if (hpages < 0 && old < (uint64_t)-hpages)
			now = 0;
		else
			now = old + (uint64_t)hpages;
	} while (!atomic_compare_exchange_weak_explicit(
		&e->hpages, &old, now, relaxed, relaxed));
}

void hl_supply_moved(size_t page_bytes, int node, int64_t hpages)
{
	adjust(find_entry(key_of(page_bytes, HL_NODE_ANY), false), hpages);
	if (node >= 0)
		adjust(find_entry(key_of(page_bytes, node), false), hpages);
}

uint64_t hl_supply_hpages(size_t page_bytes, int node)
{
	struct hl_supply s;

	if (page_bytes == 0)
		return 0;
	hl_supply_read(page_bytes, node, &s);
	return s.hpages;
}

uint64_t hl_supply_now(size_t page_bytes, int node, enum hl_limit *limit)
{
	struct hl_supply s;

	hl_supply_read_fresh(page_bytes, node, &s);
	*limit = s.limit;
	return s.hpages;
}

/* ---- THP ---- */

bool hl_supply_thp(void)
{
	uint64_t now = hl_os->now_ms();
	struct hl_thp thp;
	bool can;

	if (now < atomic_load_explicit(&thp_until_ms, memory_order_acquire))
		return atomic_load_explicit(&thp_now, relaxed);
	can = hl_thp_read(hl_supply_root, &thp) == 0 && thp.present &&
	      thp.enabled != HL_THP_NEVER && !thp.process_disabled;
	atomic_store_explicit(&thp_now, can, relaxed);
	atomic_store_explicit(
		&thp_until_ms, now + KEEP_THP_MS, memory_order_release);
	return can;
}

/* ---- sizes and nodes ---- */

static void read_sizes(void)
{
	size_t sizes[HL_PAGE_SIZES_MAX], usual = 0;
	int n;

	if (atomic_load_explicit(&sizes_known, memory_order_acquire))
		return;
	n = hl_huge_page_sizes(hl_supply_root, sizes);
	for (int i = 0; i < HL_PAGE_SIZES_MAX; i++)
		atomic_store_explicit(
			&size_list[i], i < n ? sizes[i] : 0, relaxed);
	if (hl_default_huge_page(hl_supply_root, &usual) < 0)
		usual = n > 0 ? sizes[0] : 0;
	atomic_store_explicit(&default_bytes, usual, relaxed);
	atomic_store_explicit(&sizes_known, true, memory_order_release);
}

/* The largest size <= limit, 0 if none. */
static size_t largest_within(size_t limit)
{
	size_t best = 0;

	read_sizes();
	for (int i = 0; i < HL_PAGE_SIZES_MAX; i++) {
		size_t size = atomic_load_explicit(&size_list[i], relaxed);

		if (size != 0 && size <= limit)
			best = size;
	}
	return best;
}

size_t hl_supply_page_bytes(size_t asked)
{
	size_t size = asked == 0 ? 0 : largest_within(asked);

	read_sizes();
	return size != 0 ? size : atomic_load_explicit(&default_bytes, relaxed);
}

size_t hl_supply_default(void)
{
	size_t asked = hl_opt.default_page_bytes;

	if (asked != 0 && hl_supply_page_bytes(asked) == asked)
		return asked;
	return hl_supply_page_bytes(0);
}

size_t hl_supply_smaller(size_t page_bytes)
{
	return page_bytes == 0 ? 0 : largest_within(page_bytes - 1);
}

int hl_supply_nodes(void)
{
	int n = atomic_load_explicit(&nodes_known, relaxed);
	struct hl_topo topo;

	if (n != 0)
		return n;
	n = hl_topo_read(hl_supply_root, &topo) == 0 ? topo.count : 1;
	n = HL_MAX(n, 1);
	atomic_store_explicit(&nodes_known, n, relaxed);
	return n;
}

void hl_supply_forget(void)
{
	for (size_t i = 0; i < ENTRIES; i++)
		atomic_store_explicit(&entries[i].until_ms, 0, relaxed);
	atomic_store_explicit(&thp_until_ms, 0, relaxed);
	atomic_store_explicit(&nodes_known, 0, relaxed);
	atomic_store_explicit(&sizes_known, false, relaxed);
}
