/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random operations over regions and a subpool, in two processes, against a
 * naive record of what each page must hold. After every step the library's
 * ledger, the record and the kernel's counters say the same, and no page has
 * lost its contents.
 *
 * REGION_OPS (3000) steps from REGION_SEED (1); a full run is 100000.
 */
#include "machine.h"

#include "accounting/ledger.h"
#include "hugetlbfs2.h"
#include "system/sys.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS	   10
#define MAX_PAGES  6
#define LIVE_PAGES 20
#define POOL	   64
#define MIN_HELD   4

struct slot {
	unsigned char *p; /* NULL: free */
	size_t pages;
	bool shared, budgeted;
	bool there[MAX_PAGES];
	unsigned char value[MAX_PAGES];
	/* In the child: has its own copy of the page. */
	bool copied[MAX_PAGES];
};

static size_t page;
static struct slot slots[SLOTS];
static struct htlb_subpool *subpool;
static uint64_t seed = 1;
static long live;      /* pages of all slots */
static long by_budget; /* of these, in the subpool */
static long steps_done;

static size_t draw(size_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % bound);
}

static long used(void)
{
	return machine_pool("nr_hugepages") - machine_pool("free_hugepages");
}

static int64_t booked(void)
{
	struct hl_ledger_totals t;

	hl_ledger_read(&hl_ledger, page, HL_LEDGER_ALL, &t);
	CHECK(t.promised == 0);
	CHECK(hl_ledger_is_valid(&hl_ledger));
	return t.backed;
}

static long held(void)
{
	return by_budget < MIN_HELD ? MIN_HELD - by_budget : 0;
}

static void check_page(const struct slot *s, size_t i)
{
	const unsigned char *p = s->p + i * page;

	CHECK(p[0] == s->value[i] && p[page / 2] == s->value[i] &&
		p[page - 1] == s->value[i]);
}

static void check_slot(const struct slot *s)
{
	for (size_t i = 0; s->p != NULL && i < s->pages; i++) {
		if (s->there[i])
			check_page(s, i);
	}
}

/*
 * Whoever looks at /proc/PID of a process that has just ended keeps its memory
 * for that moment.
 */
static void check_used(long hpages)
{
	for (int i = 0; i < 3000 && used() != hpages; i++)
		usleep(10000);
	if (used() != hpages)
		fprintf(stderr, "step %ld: %ld pages used, not %ld\n",
			steps_done, used(), hpages);
	CHECK(used() == hpages);
}

/* What this process does not share with its parent is `own`. */
static void check(long own)
{
	CHECK(booked() == live + held());
	check_used(live + held() + own);
	CHECK(machine_pool("resv_hugepages") == 0);
	check_slot(&slots[draw(SLOTS)]);
}

static void count(const struct slot *s, long pages)
{
	live += pages;
	if (s->budgeted)
		by_budget += pages;
}

/* ---- operations ---- */

static void write_page(struct slot *s, size_t i)
{
	unsigned char *p = s->p + i * page;
	unsigned char value = (unsigned char)draw(256);

	p[0] = value;
	p[page / 2] = value;
	p[page - 1] = value;
	s->value[i] = value;
}

static void make(struct slot *s)
{
	struct htlb_region_options o = {
		.size = sizeof(o), .flags = HTLB_REGION_STRICT};
	bool empty = draw(5) == 0;
	int rc;

	memset(s, 0, sizeof(*s));
	s->pages = 1 + draw(MAX_PAGES);
	s->shared = draw(2);
	s->budgeted = draw(3) == 0;
	if (s->shared)
		o.flags |= HTLB_REGION_SHARED;
	if (empty)
		o.flags |= HTLB_REGION_EMPTY;
	if (s->budgeted)
		o.subpool = subpool;
	if (!empty && live + (long)s->pages > LIVE_PAGES)
		return;
	rc = htlb_region_create(s->pages * page, &o, (void **)&s->p);
	CHECK(rc == 0);
	for (size_t i = 0; i < s->pages; i++)
		s->there[i] = !empty;
	count(s, empty ? 0 : (long)s->pages);
}

static void commit(struct slot *s)
{
	size_t from = draw(s->pages), to = from + 1 + draw(s->pages - from);
	long fresh = 0;

	for (size_t i = from; i < to; i++)
		fresh += !s->there[i];
	if (live + fresh > LIVE_PAGES)
		return;
	CHECK(htlb_region_commit(s->p + from * page, (to - from) * page) == 0);
	for (size_t i = from; i < to; i++) {
		if (!s->there[i])
			s->value[i] = 0;
		s->there[i] = true;
	}
	count(s, fresh);
}

static void decommit(struct slot *s)
{
	size_t from = draw(s->pages), to = from + 1 + draw(s->pages - from);
	long gone = 0;

	CHECK(htlb_region_decommit(s->p + from * page, (to - from) * page) ==
		0);
	for (size_t i = from; i < to; i++) {
		gone += s->there[i];
		s->there[i] = false;
	}
	count(s, -gone);
}

static void unmake(struct slot *s)
{
	long gone = 0;

	if (draw(4) == 0 && s->there[0])
		CHECK(mprotect(s->p, page, PROT_READ) == 0);
	CHECK(htlb_region_destroy(s->p) == 0);
	for (size_t i = 0; i < s->pages; i++)
		gone += s->there[i];
	count(s, -gone);
	s->p = NULL;
}

static void overdraw(void)
{
	struct htlb_region_options o = {
		.size = sizeof(o), .flags = HTLB_REGION_STRICT};
	void *p;

	if (draw(2))
		o.flags |= HTLB_REGION_SHARED;
	CHECK(htlb_region_create((POOL + 1) * page, &o, &p) == -ENOMEM);
}

static void mistake(const struct slot *s)
{
	CHECK(htlb_region_decommit(s->p + 1, page) == -EINVAL);
	CHECK(htlb_region_commit(s->p, (s->pages + 1) * page) == -EINVAL);
	CHECK(htlb_region_destroy(s->p + page / 2) == -EINVAL);
}

static void step(struct slot *s)
{
	size_t i;

	if (s->p == NULL) {
		make(s);
		return;
	}
	switch (draw(8)) {
	case 0:
		unmake(s);
		break;
	case 1:
	case 2:
		commit(s);
		break;
	case 3:
	case 4:
		decommit(s);
		break;
	case 5:
		overdraw();
		break;
	case 6:
		mistake(s);
		break;
	default:
		i = draw(s->pages);
		if (s->there[i])
			write_page(s, i);
		break;
	}
}

/* ---- the other process ---- */

/*
 * Inherits everything: its writes into private pages copy them, those into
 * shared ones are the parent's as well. What it destroys stays the parent's.
 */
static long child_step(struct slot *s, long own)
{
	size_t i;
	void *q;

	if (s->p == NULL)
		return own;
	i = draw(s->pages);
	if (s->shared) {
		CHECK(htlb_region_fd(s->p) >= 0);
		/* Without holes nothing is promised again. */
		for (size_t k = 0; k < s->pages; k++) {
			if (!s->there[k])
				return own;
		}
		CHECK(htlb_region_open_fd(htlb_region_fd(s->p), NULL, &q) == 0);
		CHECK(memcmp((char *)q + i * page, s->p + i * page, page) == 0);
		CHECK(htlb_region_destroy(q) == 0);
		return own;
	}
	if (draw(6) == 0) {
		CHECK(htlb_region_destroy(s->p) == 0);
		for (size_t k = 0; k < s->pages; k++)
			own -= s->there[k] && s->copied[k];
		s->p = NULL;
		return own;
	}
	if (!s->there[i])
		return own;
	write_page(s, i);
	if (!s->copied[i])
		own++;
	s->copied[i] = true;
	return own;
}

static void child(void)
{
	long own = 0, before = live + held();

	for (int n = 0; n < 12; n++) {
		own = child_step(&slots[draw(SLOTS)], own);
		check_used(before + own);
		check_slot(&slots[draw(SLOTS)]);
	}
	_exit(0);
}

static void two_processes(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		child();
	CHECK(wait(&status) == pid);
	CHECK(status == 0);
	(void)draw(2);
}

/* ---- the run ---- */

static long number(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text != NULL && *text != '\0' ? atol(text) : otherwise;
}

static void random_operations(void)
{
	struct htlb_subpool_options o = {
		.size = sizeof(o), .min_hpages = MIN_HELD};
	long steps = number("REGION_OPS", 3000);

	page = machine_page_bytes();
	if (page < 2 * HL_MIB)
		machine_skip("regions are multiples of 2 MiB");
	seed = (uint64_t)number("REGION_SEED", 1);
	printf("%ld steps, seed %ld\n", steps, (long)seed);
	CHECK(htlb_subpool_create(&o, &subpool) == 0);
	check(0);
	for (long i = 0; i < steps; i++) {
		if (draw(50) == 0)
			two_processes();
		else
			step(&slots[draw(SLOTS)]);
		check(0);
		steps_done++;
	}
	for (size_t i = 0; i < SLOTS; i++) {
		check_slot(&slots[i]);
		if (slots[i].p != NULL)
			unmake(&slots[i]);
	}
	check(0);
	htlb_subpool_destroy(subpool);
	CHECK(booked() == 0 && used() == 0);
}

int main(void)
{
	static const struct machine_case cases[] = {
		{"random_operations", random_operations, POOL, 0},
	};

	return machine_main(cases, HL_ARRAY_SIZE(cases));
}
