/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/region on a fake kernel: whichever call is refused, a region is there as
 * a whole or nothing of it is, the failure is named, and the books are even.
 * Several nodes and 1 GiB pages are only here and in a virtual machine.
 *
 * Regions here are aligned to more than a unit, so that each has an area of its
 * own and nothing of it stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"
#include "tree.h"

#include "accounting/ledger.h"
#include "backing/area_internal.h"
#include "base/count.h"
#include "base/failure.h"
#include "base/opt.h"
#include "hugetlbfs2.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGN (4 * HL_MIB)

static struct htlb_region_options options(unsigned flags)
{
	return (struct htlb_region_options){
		.size = sizeof(struct htlb_region_options),
		.flags = flags,
		.align_bytes = ALIGN,
	};
}

static void set_pools(long first, long second)
{
	fake.nodes = second < 0 ? 1 : 2;
	fake.pool[0] = first;
	fake.pool[1] = second < 0 ? 0 : second;
	fake.live = true;
	fake_publish();
}

static int64_t backed(void)
{
	struct hl_ledger_totals t;

	hl_ledger_read(&hl_ledger, FAKE_HUGE, HL_LEDGER_ALL, &t);
	assert_int_equal(t.promised, 0);
	assert_true(hl_ledger_is_valid(&hl_ledger));
	return t.backed;
}

static struct htlb_region_info info_of(const void *p)
{
	struct htlb_region_info info = {.size = sizeof(info)};

	assert_int_equal(htlb_region_info(p, &info), 0);
	return info;
}

static enum hl_limit last_limit(void)
{
	struct hl_failure f = {.limit = HL_LIMIT_NONE};

	(void)hl_failure_read(&f);
	return f.limit;
}

static void test_strict_and_lenient(void **state)
{
	struct htlb_region_options o = options(HTLB_REGION_STRICT);
	void *p = NULL;

	set_pools(3, -1);
	assert_int_equal(htlb_region_create(4 * FAKE_HUGE, &o, &p), -ENOMEM);
	assert_null(p);
	assert_int_equal(last_limit(), HL_LIMIT_POOL);
	assert_int_equal(fake.pool[0], 3);
	assert_int_equal(fake_mappings(), 0);

	o.flags = 0;
	assert_int_equal(htlb_region_create(4 * FAKE_HUGE, &o, &p), 0);
	assert_int_equal((uintptr_t)p % ALIGN, 0);
	assert_int_equal(info_of(p).hugetlb_bytes, 3 * FAKE_HUGE);
	assert_int_equal(info_of(p).thp_bytes, FAKE_HUGE);
	assert_int_equal(info_of(p).limit, HTLB_LIMIT_POOL);
	assert_int_equal(htlb_region_destroy(p), 0);
	assert_int_equal(backed(), 0);

	o.flags = HTLB_REGION_NO_THP | HTLB_REGION_NO_BASE;
	assert_int_equal(htlb_region_create(4 * FAKE_HUGE, &o, &p), -ENOMEM);
	o.flags = HTLB_REGION_NO_THP;
	assert_int_equal(htlb_region_create(4 * FAKE_HUGE, &o, &p), 0);
	assert_int_equal(info_of(p).base_bytes, FAKE_HUGE);
	assert_int_equal(htlb_region_destroy(p), 0);
}

/* More than the machine has is refused before books are made for it. */
static void test_more_than_there_is(void **state)
{
	struct htlb_region_options o = options(HTLB_REGION_EMPTY);
	void *p = NULL;

	set_pools(4, 4);
	tree_put("/proc/meminfo",
		"MemTotal:        1572864 kB\nMemFree: 5 kB\n"
		"SwapTotal:       1048576 kB\nHugepagesize:    2048 kB\n");
	assert_int_equal(
		htlb_region_create((size_t)1 << 46, NULL, &p), -ENOMEM);
	assert_null(p);
	assert_int_equal(last_limit(), HL_LIMIT_MEMORY);
	assert_int_equal(
		htlb_region_create(5 * HL_GIB / 2 + 1, NULL, &p), -ENOMEM);
	/* Address space alone may be larger. */
	assert_int_equal(htlb_region_create(3 * HL_GIB, &o, &p), 0);
	assert_int_equal(htlb_region_destroy(p), 0);
}

static void test_bad_options(void **state)
{
	struct htlb_region_options o = options(0);
	int node = 7;
	void *p;

	set_pools(4, 4);
	assert_int_equal(htlb_region_create(0, &o, &p), -EINVAL);
	o.flags = 0x80000000u;
	assert_int_equal(htlb_region_create(1, &o, &p), -EINVAL);
	o = options(0);
	o.align_bytes = 3;
	assert_int_equal(htlb_region_create(1, &o, &p), -EINVAL);
	o = options(0);
	o.page_bytes = 3 * FAKE_HUGE;
	assert_int_equal(htlb_region_create(1, &o, &p), -EINVAL);
	o = options(0);
	o.policy = 99;
	assert_int_equal(htlb_region_create(1, &o, &p), -EINVAL);
	o.policy = HTLB_POLICY_BIND;
	assert_int_equal(htlb_region_create(1, &o, &p), -EINVAL);
	o.nodes = &node;
	o.node_count = 1;
	assert_int_equal(htlb_region_create(1, &o, &p), -EINVAL);
	o = options(0);
	assert_int_equal(htlb_region_create(SIZE_MAX, &o, &p), -ENOMEM);
	o.page_bytes = (size_t)1 << 40;
	o.flags = HTLB_REGION_STRICT;
	assert_int_equal(htlb_region_create(1, &o, &p), -EOPNOTSUPP);
	assert_int_equal(last_limit(), HL_LIMIT_UNSUPPORTED);
	assert_int_equal(fake_mappings(), 0);
}

static uint64_t fallbacks(enum hl_limit limit)
{
	return atomic_load(&hl_counts()->fallbacks[limit]);
}

/* Pages of another size stand in; the limit is the size, not their pool. */
static void lacking(unsigned flags, long pool, size_t hugetlb_bytes)
{
	struct htlb_region_options o = options(flags);
	uint64_t before, pool_before;
	struct hl_failure f;
	void *p;

	set_pools(pool, -1);
	before = fallbacks(HL_LIMIT_UNSUPPORTED);
	pool_before = fallbacks(HL_LIMIT_POOL);
	o.page_bytes = 512 * HL_MIB;
	assert_int_equal(htlb_region_create(4 * FAKE_HUGE, &o, &p), 0);
	assert_int_equal(info_of(p).limit, HTLB_LIMIT_UNSUPPORTED);
	assert_int_equal(info_of(p).page_bytes, FAKE_HUGE);
	assert_int_equal(info_of(p).hugetlb_bytes, hugetlb_bytes);
	assert_true(hl_failure_read(&f));
	assert_int_equal(f.limit, HL_LIMIT_UNSUPPORTED);
	assert_int_equal(f.page_bytes, 512 * HL_MIB);
	assert_int_equal(f.needed_hpages, 1);
	assert_int_equal(fallbacks(HL_LIMIT_UNSUPPORTED), before + 4);
	/* Of those that stood in, each that was missing. */
	assert_int_equal(fallbacks(HL_LIMIT_POOL),
		pool_before + (4 * FAKE_HUGE - hugetlb_bytes) / FAKE_HUGE);
	/* What is there already is not asked for again. */
	assert_int_equal(htlb_region_decommit(p, FAKE_HUGE), 0);
	assert_int_equal(htlb_region_commit(p, 4 * FAKE_HUGE), 0);
	assert_int_equal(fallbacks(HL_LIMIT_UNSUPPORTED), before + 5);
	assert_int_equal(htlb_region_destroy(p), 0);
	assert_int_equal(backed(), 0);
}

static void test_lacking_size(void **state)
{
	struct htlb_region_options o =
		options(HTLB_REGION_NO_THP | HTLB_REGION_NO_BASE);
	void *p;

	lacking(0, 4, 4 * FAKE_HUGE);
	lacking(0, 2, 2 * FAKE_HUGE);
	lacking(0, 0, 0);
	/* What a larger pool would mend is the pool's affair. */
	o.page_bytes = 512 * HL_MIB;
	assert_int_equal(htlb_region_create(1, &o, &p), -ENOMEM);
	assert_int_equal(last_limit(), HL_LIMIT_POOL);
}

static void test_no_huge_pages_at_all(void **state)
{
	struct htlb_region_options o = options(0);
	void *p;

	set_pools(0, -1);
	tree_remove("/sys/kernel/mm/hugepages");
	tree_put("/proc/meminfo", "MemTotal: 5 kB\n");
	hl_supply_forget();
	assert_int_equal(htlb_region_create(1, &o, &p), 0);
	assert_int_equal(info_of(p).limit, HTLB_LIMIT_UNSUPPORTED);
	assert_int_equal(info_of(p).thp_bytes, FAKE_HUGE);
	assert_int_equal(htlb_region_destroy(p), 0);
	o.flags = HTLB_REGION_STRICT;
	assert_int_equal(htlb_region_create(1, &o, &p), -EOPNOTSUPP);
	assert_int_equal(last_limit(), HL_LIMIT_UNSUPPORTED);
}

/* Zero is what htlb_default_page_size() says, whatever the variable says. */
static void test_default_size_that_is_not_there(void **state)
{
	struct htlb_subpool_options s = {.size = sizeof(s), .max_hpages = 1};
	struct htlb_region_options o = options(HTLB_REGION_STRICT);
	size_t before = hl_opt.default_page_bytes, usual;
	struct htlb_subpool_stat stat = {.size = sizeof(stat)};
	struct htlb_subpool *sp;
	void *p;

	set_pools(1, -1);
	hl_opt.default_page_bytes = (size_t)1 << 40;
	assert_int_equal(htlb_default_page_size(&usual), 0);
	assert_int_equal(usual, FAKE_HUGE);
	assert_int_equal(htlb_region_create(1, &o, &p), 0);
	assert_int_equal(info_of(p).hugetlb_bytes, FAKE_HUGE);
	assert_int_equal(htlb_region_destroy(p), 0);
	assert_int_equal(htlb_subpool_create(&s, &sp), 0);
	assert_int_equal(htlb_subpool_stat(sp, &stat), 0);
	assert_int_equal(stat.page_bytes, FAKE_HUGE);
	htlb_subpool_destroy(sp);
	hl_opt.default_page_bytes = before;
}

/* Older callers have less, newer ones more. */
static void test_sizes_of_structs(void **state)
{
	struct {
		struct htlb_region_options o;
		char more[24];
	} newer = {.o = options(0)};
	size_t least[] = {sizeof(size_t)}, size;
	struct htlb_region_info info = {.size = sizeof(info) - 1};
	struct htlb_subpool_options s = {.size = 1};
	struct htlb_subpool *sp;
	void *p;

	set_pools(4, -1);
	newer.o.size = sizeof(newer);
	assert_int_equal(htlb_region_create(1, &newer.o, &p), 0);
	assert_int_equal(htlb_region_info(p, &info), -EINVAL);
	assert_int_equal(htlb_region_destroy(p), 0);
	newer.more[23] = 1;
	assert_int_equal(htlb_region_create(1, &newer.o, &p), -E2BIG);
	newer.o.size = SIZE_MAX;
	assert_int_equal(htlb_region_create(1, &newer.o, &p), -E2BIG);
	newer.o.size = 3;
	assert_int_equal(htlb_region_create(1, &newer.o, &p), -EINVAL);
	assert_int_equal(htlb_subpool_create(&s, &sp), -EINVAL);
	/* Nothing beyond the size is looked at: everything is default. */
	size = sizeof(size_t);
	memcpy(least, &size, sizeof(size));
	assert_int_equal(
		htlb_region_create(64 * FAKE_HUGE,
			(const struct htlb_region_options *)(void *)least, &p),
		0);
	assert_int_equal(info_of(p).flags, 0);
	assert_int_equal(htlb_region_destroy(p), 0);
}

static void test_node_without_pages(void **state)
{
	struct htlb_region_options o = options(HTLB_REGION_STRICT);
	struct htlb_region_part parts[4];
	struct htlb_region_info info = {
		.size = sizeof(info), .parts = parts, .part_capacity = 4};
	struct hl_failure f;
	int both[] = {0, 1};
	void *p;

	set_pools(8, 2);
	o.policy = HTLB_POLICY_BIND;
	o.nodes = &both[1];
	o.node_count = 1;
	assert_int_equal(htlb_region_create(3 * FAKE_HUGE, &o, &p), -ENOMEM);
	assert_true(hl_failure_read(&f));
	assert_int_equal(f.limit, HL_LIMIT_NODE_POOL);
	assert_int_equal(f.node, 1);
	assert_int_equal(f.needed_hpages, 3);
	assert_int_equal(f.available_hpages, 2);
	assert_int_equal(fake.pool[1], 2);

	assert_int_equal(htlb_region_create(2 * FAKE_HUGE, &o, &p), 0);
	assert_int_equal(htlb_region_info(p, &info), 0);
	assert_int_equal(info.part_count, 1);
	assert_int_equal(parts[0].node, 1);
	assert_int_equal(parts[0].bytes, 2 * FAKE_HUGE);
	assert_int_equal(htlb_region_destroy(p), 0);

	o.flags = 0;
	assert_int_equal(htlb_region_create(3 * FAKE_HUGE, &o, &p), 0);
	assert_int_equal(info_of(p).hugetlb_bytes, 2 * FAKE_HUGE);
	assert_int_equal(fake.pool[0], 8);
	assert_int_equal(htlb_region_destroy(p), 0);

	/* Both nodes, and more than both have. */
	o.nodes = both;
	o.node_count = 2;
	o.flags = HTLB_REGION_STRICT;
	assert_int_equal(htlb_region_create(11 * FAKE_HUGE, &o, &p), -ENOMEM);
	o.flags = 0;
	assert_int_equal(htlb_region_create(11 * FAKE_HUGE, &o, &p), 0);
	assert_int_equal(info_of(p).hugetlb_bytes, 10 * FAKE_HUGE);
	assert_int_equal(htlb_region_destroy(p), 0);

	o.policy = HTLB_POLICY_INTERLEAVE;
	o.flags = HTLB_REGION_STRICT;
	assert_int_equal(htlb_region_create(8 * FAKE_HUGE, &o, &p), -ENOMEM);
	assert_true(hl_failure_read(&f));
	assert_int_equal(f.limit, HL_LIMIT_NODE_POOL);
	assert_int_equal(f.node, 1);
	assert_int_equal(backed(), 0);
}

static void test_largest_that_fits(void **state)
{
	struct htlb_region_options o = options(HTLB_REGION_STRICT);
	size_t bytes = FAKE_GIGANTIC + 3 * FAKE_HUGE;
	char *p;

	set_pools(600, -1);
	fake.gigantic[0] = 1;
	fake_publish();
	o.page_bytes = HTLB_PAGE_LARGEST;
	assert_int_equal(htlb_region_create(bytes, &o, (void **)&p), 0);
	assert_int_equal(info_of(p).bytes, bytes);
	assert_int_equal(info_of(p).hugetlb_bytes, bytes);
	assert_int_equal(fake.gigantic[0], 0);
	assert_int_equal(fake.pool[0], 597);
	/* A part of the large page is no page. */
	assert_int_equal(htlb_region_decommit(p, FAKE_HUGE), -EINVAL);
	assert_int_equal(htlb_region_decommit(p + FAKE_GIGANTIC, FAKE_HUGE), 0);
	assert_int_equal(fake.pool[0], 598);
	assert_int_equal(htlb_region_decommit(p, FAKE_GIGANTIC), 0);
	/* None of them now: small ones. */
	fake.gigantic[0] = 0;
	fake_publish();
	assert_int_equal(htlb_region_commit(p, FAKE_GIGANTIC), 0);
	assert_int_equal(fake.pool[0], 598 - 512);
	assert_int_equal(htlb_region_destroy(p), 0);
	assert_int_equal(fake.pool[0], 600);
	assert_int_equal(htlb_region_create(FAKE_GIGANTIC * 2, &o, (void **)&p),
		-ENOMEM);
	assert_int_equal(fake.pool[0], 600);
	assert_int_equal(backed(), 0);
}

static void test_parts(void **state)
{
	struct htlb_region_options o =
		options(HTLB_REGION_STRICT | HTLB_REGION_EMPTY);
	char *p;

	set_pools(4, -1);
	assert_int_equal(htlb_region_create(6 * FAKE_HUGE, &o, (void **)&p), 0);
	assert_int_equal(info_of(p).committed_bytes, 0);
	assert_true(fake_is_prot(p, 6 * FAKE_HUGE, PROT_NONE));
	assert_int_equal(htlb_region_commit(p, 7 * FAKE_HUGE), -EINVAL);
	assert_int_equal(htlb_region_commit(p + 1, FAKE_HUGE), -EINVAL);
	assert_int_equal(htlb_region_commit(p + FAKE_HUGE, FAKE_HUGE), 0);
	assert_int_equal(htlb_region_commit(p + 3 * FAKE_HUGE, FAKE_HUGE), 0);
	p[FAKE_HUGE] = 1;
	/* Four are missing and two are there: the two stay. */
	assert_int_equal(htlb_region_commit(p, 6 * FAKE_HUGE), -ENOMEM);
	assert_int_equal(info_of(p).committed_bytes, 2 * FAKE_HUGE);
	assert_int_equal(fake.pool[0], 2);
	assert_int_equal(p[FAKE_HUGE], 1);
	assert_true(fake_is_prot(p, FAKE_HUGE, PROT_NONE));
	assert_int_equal(htlb_region_commit(p, 4 * FAKE_HUGE), 0);
	assert_int_equal(p[FAKE_HUGE], 1);
	assert_int_equal(htlb_region_decommit(p, 6 * FAKE_HUGE), 0);
	assert_int_equal(fake.pool[0], 4);
	assert_int_equal(htlb_region_destroy(p), 0);
	assert_int_equal(htlb_region_destroy(p), -EINVAL);
	assert_int_equal(htlb_region_fd(p), -EINVAL);
}

static void test_subpool(void **state)
{
	struct htlb_subpool_options s = {
		.size = sizeof(s), .min_hpages = 3, .max_hpages = 5};
	struct htlb_subpool_stat stat = {.size = sizeof(stat)};
	struct htlb_region_options o = options(HTLB_REGION_STRICT);
	struct htlb_subpool *sp;
	void *p, *q;

	set_pools(2, -1);
	assert_int_equal(htlb_subpool_create(&s, &sp), -ENOMEM);
	assert_int_equal(last_limit(), HL_LIMIT_POOL);
	s.min_hpages = 6;
	assert_int_equal(htlb_subpool_create(&s, &sp), -EINVAL);
	s.min_hpages = 3;
	set_pools(4, -1);
	assert_int_equal(htlb_subpool_create(&s, &sp), 0);
	assert_int_equal(fake.pool[0], 1);
	assert_int_equal(backed(), 3);

	/* They are moved in, and work without mremap as well. */
	o.subpool = sp;
	fake.pool[0] = 0;
	fake_publish();
	assert_int_equal(htlb_region_create(2 * FAKE_HUGE, &o, &p), 0);
	assert_int_equal(backed(), 3);
	fake_refuse_all(FAKE_MREMAP, 1, -EINVAL);
	assert_int_equal(htlb_region_create(FAKE_HUGE, &o, &q), 0);
	fake_refuse_all(FAKE_MREMAP, 1, 0);
	assert_int_equal(fake_unpopulated(p, 2 * FAKE_HUGE), 0);
	assert_int_equal(fake_unpopulated(q, FAKE_HUGE), 0);
	assert_int_equal(backed(), 3);
	assert_int_equal(htlb_region_destroy(q), 0);
	assert_int_equal(htlb_subpool_stat(sp, &stat), 0);
	assert_int_equal(stat.used_hpages, 2);
	assert_int_equal(stat.held_hpages, 1);
	assert_int_equal(htlb_region_create(4 * FAKE_HUGE, &o, &q), -ENOMEM);
	assert_int_equal(last_limit(), HL_LIMIT_SUBPOOL);

	htlb_subpool_destroy(sp);
	assert_int_equal(fake.pool[0], 1);
	assert_int_equal(htlb_region_destroy(p), 0);
	assert_int_equal(fake.pool[0], 3);
	assert_int_equal(backed(), 0);
	htlb_subpool_destroy(NULL);
}

/* One refusal at a time, of any call of any kind. */
static void refuse_each(enum fake_call call, unsigned flags, int rc)
{
	struct htlb_region_options o = options(flags);
	int nodes[] = {0, 1}, made;
	void *p = NULL;

	o.policy = HTLB_POLICY_INTERLEAVE;
	o.nodes = nodes;
	o.node_count = 2;
	for (unsigned nth = 1; nth < 12; nth++) {
		fake_refuse(call, nth, rc);
		made = htlb_region_create(4 * FAKE_HUGE, &o, &p);
		fake_refuse(call, 1, 0);
		assert_true(made == 0 || made == -ENOMEM);
		if (made == 0) {
			assert_int_equal(fake_unpopulated(p, 4 * FAKE_HUGE), 0);
			assert_int_equal(htlb_region_destroy(p), 0);
		}
		assert_int_equal(fake_mappings(), 0);
		assert_int_equal(fake.pool[0] + fake.pool[1], 8);
		assert_int_equal(backed(), 0);
		fake_publish();
	}
}

static void test_any_call_may_be_refused(void **state)
{
	static const enum fake_call calls[] = {FAKE_MMAP, FAKE_MADVISE,
		FAKE_MBIND, FAKE_SET_MEMPOLICY, FAKE_GET_MEMPOLICY,
		FAKE_PAGE_NODE, FAKE_MPROTECT, FAKE_MINCORE};

	set_pools(4, 4);
	for (size_t i = 0; i < HL_ARRAY_SIZE(calls); i++) {
		refuse_each(calls[i], 0, -ENOMEM);
		refuse_each(calls[i], HTLB_REGION_STRICT, -ENOMEM);
	}
}

/* The thread's policy is what it was. */
static void test_policy_is_restored(void **state)
{
	struct htlb_region_options o = options(HTLB_REGION_STRICT);
	int nodes[] = {1};
	void *p;

	set_pools(4, 4);
	fake.policy_mode = 3;
	o.policy = HTLB_POLICY_PREFERRED;
	o.nodes = nodes;
	o.node_count = 1;
	assert_int_equal(htlb_region_create(FAKE_HUGE, &o, &p), 0);
	assert_int_equal(fake.policy_mode, 3);
	assert_true(fake.policy_changes >= 2);
	assert_int_equal(htlb_region_destroy(p), 0);
}

static void test_system_view(void **state)
{
	struct htlb_pool pool = {.size = sizeof(pool)};
	size_t sizes[4] = {0}, usual;
	uint64_t got;

	set_pools(4, 3);
	assert_int_equal(htlb_page_sizes(NULL, 0), 2);
	assert_int_equal(htlb_page_sizes(sizes, 1), 2);
	assert_int_equal(sizes[0], FAKE_HUGE);
	assert_int_equal(sizes[1], 0);
	assert_int_equal(htlb_default_page_size(&usual), 0);
	assert_int_equal(usual, FAKE_HUGE);
	assert_int_equal(htlb_pool_read(0, HTLB_NODE_ANY, &pool), 0);
	assert_int_equal(pool.total, 7);
	assert_int_equal(pool.available, 7);
	assert_int_equal(htlb_pool_read(FAKE_HUGE, 1, &pool), 0);
	assert_int_equal(pool.total, 3);
	assert_int_equal(htlb_pool_read(FAKE_HUGE, 9, &pool), -ENOENT);
	assert_int_equal(htlb_pool_read(4096, HTLB_NODE_ANY, &pool), -ENOENT);
	assert_int_equal(htlb_pool_resize(0, 1, 6, &got), 0);
	assert_int_equal(got, 6);
	pool.size = 8;
	assert_int_equal(htlb_pool_read(0, HTLB_NODE_ANY, &pool), -EINVAL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_strict_and_lenient),
		TEST(test_more_than_there_is),
		TEST(test_bad_options),
		TEST(test_lacking_size),
		TEST(test_no_huge_pages_at_all),
		TEST(test_default_size_that_is_not_there),
		TEST(test_sizes_of_structs),
		TEST(test_node_without_pages),
		TEST(test_largest_that_fits),
		TEST(test_parts),
		TEST(test_subpool),
		TEST(test_any_call_may_be_refused),
		TEST(test_policy_is_restored),
		TEST(test_system_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
