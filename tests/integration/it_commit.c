/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/backing: commit, release and move on real huge pages, with pools of every
 * awkward size, in a cgroup, drained by another process and shrunk in use.
 * What was asked for is always usable, no access kills, and no page is lost.
 */
#include "units.h"

#include "base/count.h"
#include "system/sys.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define UNITS 8u

static unsigned char *unit(struct hl_area *area, size_t u)
{
	return (unsigned char *)hl_area_base(area) + u * HL_UNIT_BYTES;
}

static void write_all(struct hl_area *area, size_t from, size_t to)
{
	for (size_t u = from; u < to; u++)
		memset(unit(area, u), (int)(u + 1), HL_UNIT_BYTES);
}

static void check_all(struct hl_area *area, size_t from, size_t to)
{
	for (size_t u = from; u < to; u++) {
		unsigned char *p = unit(area, u);

		CHECK(p[0] == (unsigned char)(u + 1));
		CHECK(memcmp(p, p + 1, HL_UNIT_BYTES - 1) == 0);
	}
}

static void check_zero(struct hl_area *area, size_t from, size_t to)
{
	for (size_t u = from; u < to; u++) {
		unsigned char *p = unit(area, u);

		CHECK(p[0] == 0 && memcmp(p, p + 1, HL_UNIT_BYTES - 1) == 0);
	}
}

static void open_area(size_t units, bool dedicated, struct hl_area **area)
{
	CHECK(hl_area_open(units, 0, dedicated, area) == 0);
	CHECK(hl_area_base(*area) % HL_UNIT_BYTES == 0);
	CHECK(hl_area_units(*area) >= units);
}

static uint64_t hugetlb_bytes(void)
{
	return hl_counts()
		->hugetlb_bytes[hl_count_size_index(machine_page_bytes())];
}

/* Commits UNITS, expects so many huge pages and that limit, gives all back. */
static void commit_expecting(size_t pages, enum hl_limit limit)
{
	struct hl_want want = want_huge();
	long free_before = machine_pool("free_hugepages");
	struct hl_area *area;
	struct hl_got got;
	size_t sum = 0;

	open_area(UNITS, false, &area);
	CHECK(hl_area_commit(area, 0, UNITS, &want, &got) == 0);
	for (size_t i = 0; i < HL_ARRAY_SIZE(got.units); i++)
		sum += got.units[i];
	CHECK(sum == UNITS);
	CHECK(got.units[HL_BACKING_HUGETLB] == pages);
	CHECK(got.limit == limit);
	CHECK(hl_counts()->fallbacks[limit] == (limit ? UNITS - pages : 0));
	CHECK(hugetlb_bytes() == pages * HL_UNIT_BYTES);
	CHECK(machine_pool("free_hugepages") == free_before - (long)pages);
	check_zero(area, 0, UNITS);
	write_all(area, 0, UNITS);
	check_all(area, 0, UNITS);
	hl_area_release(area, 0, UNITS);
	CHECK(hugetlb_bytes() == 0);
	CHECK(hl_counts()->hpages_given == pages);
	CHECK(machine_pool("free_hugepages") == free_before);
	hl_area_close(area);
}

static void pool_is_empty(void)
{
	commit_expecting(0, HL_LIMIT_POOL);
}

static void pool_of_one(void)
{
	commit_expecting(1, HL_LIMIT_POOL);
}

static void pool_of_seven(void)
{
	commit_expecting(7, HL_LIMIT_POOL);
}

static void pool_is_exact(void)
{
	commit_expecting(UNITS, HL_LIMIT_NONE);
}

static void pool_is_reserved(void)
{
	/* Free pages that are promised to others count for nothing. */
	CHECK(machine_hog_start(6));
	commit_expecting(2, HL_LIMIT_POOL);
}

/* The kernel knows better than what was read a moment ago. */
static void pool_drained_behind_our_back(void)
{
	CHECK(hl_supply_hpages(want_huge().page_bytes, HL_NODE_ANY) == UNITS);
	CHECK(machine_hog_start(5));
	commit_expecting(3, HL_LIMIT_POOL);
}

static void cgroup_limit(void)
{
	machine_cgroup("max", 3 * machine_page_bytes());
	commit_expecting(3, HL_LIMIT_CGROUP);
}

static void cgroup_limit_zero(void)
{
	machine_cgroup("max", 0);
	commit_expecting(0, HL_LIMIT_CGROUP);
}

static void cgroup_rsvd_limit(void)
{
	machine_cgroup("rsvd.max", 2 * machine_page_bytes());
	commit_expecting(2, HL_LIMIT_CGROUP_RSVD);
}

static void cgroup_lowered_behind_our_back(void)
{
	CHECK(hl_supply_hpages(want_huge().page_bytes, HL_NODE_ANY) == UNITS);
	machine_cgroup("max", 3 * machine_page_bytes());
	commit_expecting(3, HL_LIMIT_CGROUP);
}

static void budget_limit(void)
{
	struct hl_want want = want_huge();
	struct hl_subpool budget;
	struct hl_area *area;
	struct hl_got got;

	CHECK(hl_subpool_init(&budget, 5, -1) == 0);
	want.subpool = &budget;
	open_area(2 * UNITS, false, &area);
	CHECK(hl_area_commit(area, 0, 4, &want, &got) == 0);
	CHECK(got.units[HL_BACKING_HUGETLB] == 4 && budget.used_hpages == 4);
	CHECK(hl_area_commit(area, 4, 8, &want, &got) == 0);
	CHECK(got.units[HL_BACKING_HUGETLB] == 1);
	CHECK(got.limit == HL_LIMIT_SUBPOOL && budget.used_hpages == 5);
	hl_area_release(area, 1, 3);
	CHECK(budget.used_hpages == 3);
	CHECK(hl_area_convert(area, 0) == 0);
	CHECK(budget.used_hpages == 2);
	hl_area_release(area, 0, 1);
	hl_area_release(area, 3, 8);
	CHECK(budget.used_hpages == 0);
	hl_area_close(area);
}

static void pool_shrinks_in_use(void)
{
	struct hl_want want = want_huge();
	struct hl_area *area;
	struct hl_got got;
	size_t left;

	open_area(UNITS, false, &area);
	CHECK(hl_area_commit(area, 0, UNITS, &want, &got) == 0);
	CHECK(got.units[HL_BACKING_HUGETLB] == UNITS);
	write_all(area, 0, UNITS);
	machine_set_pool(2);
	check_all(area, 0, UNITS);
	hl_area_release(area, 4, UNITS);
	/*
	 * What was given back is not there any more. Of several nodes the
	 * kernel shrinks each as long as it has surplus pages: some may stay.
	 */
	left = (size_t)machine_pool("free_hugepages");
	CHECK(left == 0 || hl_supply_nodes() > 1);
	CHECK(hl_area_commit(area, 4, UNITS, &want, &got) == 0);
	CHECK(got.units[HL_BACKING_HUGETLB] == left);
	write_all(area, 4, UNITS);
	check_all(area, 0, UNITS);
	hl_area_release(area, 0, UNITS);
	hl_area_close(area);
	CHECK(machine_pool("nr_hugepages") == 2);
	CHECK(machine_pool("free_hugepages") == 2);
}

/* A hole in the middle, and units of every kind side by side. */
static void kinds_side_by_side(void)
{
	struct hl_want want = want_huge(), lazy = want, base = {0};
	struct hl_resident r;
	struct hl_area *area;
	struct hl_got got;

	lazy.page_bytes = 0;
	lazy.lazy = true;
	base.lazy = true;
	base.node = HL_NODE_ANY;
	open_area(UNITS, false, &area);
	CHECK(hl_area_commit(area, 0, 3, &want, &got) == 0);
	CHECK(hl_area_commit(area, 3, 5, &lazy, &got) == 0);
	CHECK(hl_area_commit(area, 5, 7, &base, &got) == 0);
	CHECK(got.units[HL_BACKING_BASE] == 2);
	CHECK(hl_area_kind(area, 0) == HL_BACKING_HUGETLB);
	CHECK(hl_area_kind(area, 6) == HL_BACKING_BASE);
	CHECK(hl_area_kind(area, 7) == HL_BACKING_NONE);
	unit(area, 5)[0] = 1;
	hl_area_resident(area, 0, UNITS, &r);
	CHECK(r.hugetlb_bytes == 3 * HL_UNIT_BYTES);
	CHECK(r.base_bytes == hl_base_page_bytes() && r.thp_bytes == 0);
	CHECK(hl_backing_resident(&r) == 0);
	CHECK(r.hugetlb_bytes == 3 * HL_UNIT_BYTES);
	CHECK(r.base_bytes == hl_base_page_bytes());
	write_all(area, 0, 7);
	hl_area_release(area, 1, 2);
	check_all(area, 0, 1);
	check_all(area, 2, 7);
	CHECK(hl_area_commit(area, 1, 2, &want, &got) == 0);
	check_zero(area, 1, 2);
	hl_area_discard(unit(area, 3), HL_UNIT_BYTES);
	check_zero(area, 3, 4);
	/* Below a huge page of the pool there is nothing to drop: cleared. */
	hl_area_discard(unit(area, 0) + 4096, 4096);
	CHECK(unit(area, 0)[4095] == 1 && unit(area, 0)[4096] == 0 &&
		unit(area, 0)[8191] == 0 && unit(area, 0)[8192] == 1);
	hl_area_release(area, 0, 7);
	hl_area_close(area);
}

/* Before 5.16 mremap(2) refuses huge pages of the pool. */
static bool kernel_moves_hugetlb(void)
{
	size_t bytes = machine_page_bytes();
	char *at, *room, *moved;

	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	CHECK(at != MAP_FAILED);
	room = mmap(
		NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(room != MAP_FAILED);
	room += -(uintptr_t)room % bytes;
	moved = mremap(at, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	CHECK(munmap(moved != MAP_FAILED ? moved : at, bytes) == 0);
	return moved != MAP_FAILED;
}

static void move_between(bool dedicated, size_t pages)
{
	struct hl_want want = want_huge();
	struct hl_area *src, *dst;
	struct hl_got got;
	bool moves = pages == 0 || kernel_moves_hugetlb();

	open_area(UNITS, dedicated, &src);
	open_area(4 * UNITS, dedicated, &dst);
	CHECK(hl_area_commit(src, 0, UNITS, &want, &got) == 0);
	CHECK(got.units[HL_BACKING_HUGETLB] == pages);
	write_all(src, 0, UNITS);
	if (pages > 0 && !moves) {
		CHECK(hl_area_move(src, 0, UNITS, dst, 0) < 0);
		check_all(src, 0, UNITS);
		for (size_t u = 0; u < UNITS; u++)
			CHECK(hl_area_kind(dst, u) == HL_BACKING_NONE);
		hl_area_release(src, 0, UNITS);
		hl_area_close(src);
		hl_area_close(dst);
		return;
	}
	CHECK(hl_area_move(src, 0, UNITS, dst, 0) == 0);
	check_all(dst, 0, UNITS);
	for (size_t u = 0; u < UNITS; u++)
		CHECK(hl_area_kind(src, u) == HL_BACKING_NONE);
	CHECK(hugetlb_bytes() == pages * HL_UNIT_BYTES);
	hl_area_close(src);
	check_all(dst, 0, UNITS);
	hl_area_release(dst, 0, UNITS);
	CHECK(hugetlb_bytes() == 0);
	hl_area_close(dst);
}

static void move_hugetlb(void)
{
	move_between(true, UNITS);
}

static void move_mixture(void)
{
	move_between(true, 3);
}

static void move_ordinary(void)
{
	move_between(false, 0);
}

static void *nothing(void *arg)
{
	return arg;
}

/* With threads, hugetlb units of a shared area are not moved but copied. */
static void move_is_refused_with_threads(void)
{
	struct hl_want want = want_huge();
	struct hl_area *src, *dst;
	struct hl_got got;
	pthread_t t;

	CHECK(pthread_create(&t, NULL, nothing, NULL) == 0);
	open_area(UNITS, false, &src);
	open_area(UNITS, false, &dst);
	CHECK(hl_area_commit(src, 0, UNITS, &want, &got) == 0);
	write_all(src, 0, UNITS);
	CHECK(hl_area_move(src, 0, UNITS, dst, 0) == -EOPNOTSUPP);
	check_all(src, 0, UNITS);
	CHECK(hl_area_kind(dst, 0) == HL_BACKING_NONE);
	hl_area_release(src, 0, UNITS);
	hl_area_close(src);
	hl_area_close(dst);
	pthread_join(t, NULL);
}

static void refused_by_rlimit_data(void)
{
	struct hl_want lazy = {.lazy = true, .thp = true, .node = HL_NODE_ANY};
	struct rlimit limit = {HL_UNIT_BYTES * 6, HL_UNIT_BYTES * 6};
	struct hl_area *area;
	struct hl_got got;

	open_area(64, false, &area);
	CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
	CHECK(hl_area_commit(area, 0, 64, &lazy, &got) == -ENOMEM);
	CHECK(got.limit == HL_LIMIT_MEMORY);
	for (size_t u = 0; u < 64; u++)
		CHECK(hl_area_kind(area, u) == HL_BACKING_NONE);
	CHECK(hl_area_commit(area, 0, 1, &lazy, &got) == 0);
	write_all(area, 0, 1);
	hl_area_release(area, 0, 1);
	hl_area_close(area);
}

static void refused_by_rlimit_as(void)
{
	struct rlimit limit = {256 * HL_MIB, 256 * HL_MIB};
	struct hl_area *area;

	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	CHECK(hl_area_open(1024, 0, false, &area) == -ENOMEM);
	open_area(16, false, &area);
	hl_area_close(area);
}

/* ---- many at once ---- */

#define THREADS 4
#define ROUNDS	300

struct worker {
	pthread_t thread;
	struct hl_area *area;
	size_t from, to;
	unsigned seed;
};

static void *commit_and_release(void *arg)
{
	struct worker *w = arg;
	struct hl_want want = want_huge();
	struct hl_got got;

	for (int i = 0; i < ROUNDS; i++) {
		size_t n = 1 + (size_t)rand_r(&w->seed) % (w->to - w->from);
		size_t at = w->from + (size_t)rand_r(&w->seed) %
					      (w->to - w->from - n + 1);

		CHECK(hl_area_commit(w->area, at, at + n, &want, &got) == 0);
		for (size_t u = at; u < at + n; u++) {
			CHECK(unit(w->area, u)[i * 64] == 0);
			unit(w->area, u)[i * 64] = 1;
		}
		hl_area_release(w->area, at, at + n);
	}
	return NULL;
}

static void many_threads_on_few_pages(void)
{
	struct worker w[THREADS];
	struct hl_area *area;

	open_area(THREADS * UNITS, false, &area);
	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.area = area,
			.from = i * UNITS,
			.to = (i + 1) * UNITS,
			.seed = i + 1};
		CHECK(pthread_create(&w[i].thread, NULL, commit_and_release,
			      &w[i]) == 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	CHECK(hugetlb_bytes() == 0);
	CHECK(hl_counts()->hpages_taken > 0);
	CHECK(hl_counts()->hpages_taken == hl_counts()->hpages_given);
	hl_area_close(area);
}

static void areas_come_and_go(void)
{
	struct hl_want want = want_huge();
	struct hl_area *area[8], *other;
	struct hl_got got;

	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 8; i++) {
			open_area(1 + (i * 7 + round) % 90, true, &area[i]);
			CHECK(hl_area_commit(area[i], 0, 1, &want, &got) == 0);
			unit(area[i], 0)[5] = (unsigned char)i;
		}
		for (unsigned i = 0; i < 8; i++) {
			other = hl_area_find(unit(area[i], 0) + 5);
			CHECK(other == area[i]);
			CHECK(unit(other, 0)[5] == i);
			hl_area_release(area[i], 0, 1);
			hl_area_close(area[i]);
		}
	}
	CHECK(hl_area_find(&area) == NULL);
}

#define CASE(f, pool)          \
	{                      \
#f, f, pool, 0 \
	}

int main(void)
{
	static const struct machine_case cases[] = {
		CASE(pool_is_empty, 0),
		CASE(pool_of_one, 1),
		CASE(pool_of_seven, 7),
		CASE(pool_is_exact, UNITS),
		CASE(pool_is_reserved, UNITS),
		CASE(pool_drained_behind_our_back, UNITS),
		CASE(cgroup_limit, UNITS),
		CASE(cgroup_limit_zero, UNITS),
		CASE(cgroup_rsvd_limit, UNITS),
		CASE(cgroup_lowered_behind_our_back, UNITS),
		CASE(budget_limit, 2 * UNITS),
		CASE(pool_shrinks_in_use, UNITS),
		CASE(kinds_side_by_side, UNITS),
		CASE(move_hugetlb, UNITS),
		CASE(move_mixture, 3),
		CASE(move_ordinary, 0),
		CASE(move_is_refused_with_threads, UNITS),
		CASE(refused_by_rlimit_data, 0),
		CASE(refused_by_rlimit_as, 0),
		CASE(many_threads_on_few_pages, 11),
		CASE(areas_come_and_go, 4),
	};

	return machine_main(cases, HL_ARRAY_SIZE(cases));
}
