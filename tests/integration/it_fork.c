/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/backing across fork: areas that fill the pool, then parent and child
 * write every byte of them, with one thread and with four that go on storing
 * while the process forks. Right bytes in both, nobody dies, no store is lost.
 *
 * A thread owns some words of each unit and knows from memory of its own what
 * they must hold: it looks before it stores. Nobody holds the pages that
 * conversion gives back, unless the case says so.
 */
#include "units.h"

#include "backing/signals.h"
#include "base/count.h"
#include "base/lock.h"
#include "base/opt.h"
#include "system/sys.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNITS	16u
#define THREADS 4u
#define WORDS	(HL_UNIT_BYTES / sizeof(uint64_t))
/* Words of each unit that a storing thread visits again and again. */
#define VISITS 64u

static struct hl_area *area;
static atomic_bool stop;
static atomic_uint started;

static uint64_t *unit(size_t u)
{
	return (uint64_t *)(hl_area_base(area) + u * HL_UNIT_BYTES);
}

static uint64_t value(uint64_t salt, size_t u, size_t word)
{
	return salt * 0x9e3779b97f4a7c15u + u * 1000003u + word;
}

static void fill(uint64_t salt)
{
	for (size_t u = 0; u < UNITS; u++)
		for (size_t i = 0; i < WORDS; i++)
			unit(u)[i] = value(salt, u, i);
}

static void check(uint64_t salt)
{
	for (size_t u = 0; u < UNITS; u++)
		for (size_t i = 0; i < WORDS; i++)
			CHECK(unit(u)[i] == value(salt, u, i));
}

static void open_and_commit(size_t expected)
{
	area = open_units(UNITS, expected);
	hl_heal_install();
}

/* As the C library does it, with our handlers registered. */
static pid_t fork_with_handlers(void)
{
	pid_t child;

	hl_backing_fork_prepare();
	child = fork();
	if (child == 0) {
		hl_lock_reset_ranks();
		hl_backing_fork_child();
	} else {
		hl_backing_fork_parent();
	}
	CHECK(child >= 0);
	return child;
}

static void check_child(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	if (status != 0)
		fprintf(stderr, "child: status %#x\n", (unsigned)status);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void release_and_close(void)
{
	hl_heal_settle();
	hl_area_release(area, 0, UNITS);
	CHECK(hl_counts()->hugetlb_bytes[0] == 0);
	hl_area_close(area);
}

/* ---- one thread ---- */

static void both_write(uint64_t round)
{
	pid_t child = fork_with_handlers();

	if (child == 0) {
		check(round);
		fill(round + 1000);
		check(round + 1000);
		/* Once more, from the child. */
		child = fork_with_handlers();
		if (child == 0) {
			check(round + 1000);
			fill(round + 2000);
			check(round + 2000);
			_exit(0);
		}
		fill(round + 3000);
		check(round + 3000);
		check_child(child);
		_exit(0);
	}
	check(round);
	fill(round + 1);
	check(round + 1);
	check_child(child);
	check(round + 1);
}

static void one_thread(void)
{
	open_and_commit(UNITS);
	fill(1);
	for (uint64_t round = 1; round < 4; round++)
		both_write(round);
	CHECK(hl_counts()->conversions > 0);
	CHECK(hl_counts()->forks == 3);
	release_and_close();
}

/* A free page for each of ours: nothing needs to be converted. */
static void pages_suffice(void)
{
	pid_t child;

	open_and_commit(UNITS);
	fill(1);
	child = fork_with_handlers();
	if (child == 0) {
		fill(2);
		check(2);
		_exit(0);
	}
	fill(3);
	check_child(child);
	check(3);
	CHECK(hl_counts()->conversions == 0);
	CHECK(hl_counts()->heals == 0);
	release_and_close();
}

/* Conversion takes just as many as needed: ceil((H - F) / 2). */
static void converts_just_enough(void)
{
	open_and_commit(UNITS);
	fill(1);
	both_write(1);
	CHECK(hl_counts()->conversions == (UNITS - 5 + 1) / 2);
	CHECK(hl_counts()->heals == 0);
	release_and_close();
}

/* ---- threads ---- */

struct writer {
	pthread_t thread;
	size_t number;
	uint64_t stores;
	uint64_t shadow[UNITS][VISITS];
};
static struct writer writers[THREADS];

/* Spread over the unit, no word shared with another thread. */
static uint64_t *word_of(size_t u, size_t visit, size_t number)
{
	return unit(u) + visit * (WORDS / VISITS) + number * 8;
}

static void *store_on(void *arg)
{
	struct writer *w = arg;
	uint64_t n = 0;

	atomic_fetch_add(&started, 1);
	while (n == 0 || !atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (size_t u = 0; u < UNITS; u++) {
			size_t visit = (n * 7 + u) % VISITS;
			volatile uint64_t *p = word_of(u, visit, w->number);

			CHECK(*p == w->shadow[u][visit]);
			*p = ++n;
			w->shadow[u][visit] = n;
		}
	}
	w->stores = n;
	return NULL;
}

static void check_shadow(const struct writer *w)
{
	for (size_t u = 0; u < UNITS; u++)
		for (size_t v = 0; v < VISITS; v++)
			CHECK(*word_of(u, v, w->number) == w->shadow[u][v]);
}

static void start_writers(void)
{
	atomic_store(&stop, false);
	atomic_store(&started, 0);
	for (size_t i = 0; i < THREADS; i++) {
		struct writer *w = &writers[i];

		w->number = i;
		for (size_t u = 0; u < UNITS; u++)
			for (size_t v = 0; v < VISITS; v++)
				w->shadow[u][v] = *word_of(u, v, i);
		CHECK(pthread_create(&w->thread, NULL, store_on, w) == 0);
	}
	while (atomic_load(&started) < THREADS)
		usleep(100);
}

static void stop_writers(void)
{
	atomic_store(&stop, true);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(writers[i].thread, NULL);
		CHECK(writers[i].stores > 0);
		check_shadow(&writers[i]);
	}
}

static void *fill_part(void *arg)
{
	size_t number = (size_t)arg;

	for (size_t u = number; u < UNITS; u += THREADS)
		for (size_t i = 0; i < WORDS; i++)
			unit(u)[i] = value(77, u, i);
	return NULL;
}

/* The child of a threaded parent: threads anew, every byte. */
static void child_writes_all(void)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, fill_part, (void *)i) ==
			0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	check(77);
}

/* Units become huge pages again, so that each round has something to do. */
static void refresh(void)
{
	struct hl_want want = want_huge();
	struct hl_got got;

	hl_heal_settle();
	for (size_t u = 0; u < UNITS; u++) {
		if (hl_area_kind(area, u) == HL_BACKING_HUGETLB)
			continue;
		hl_area_release(area, u, u + 1);
		CHECK(hl_area_commit(area, u, u + 1, &want, &got) == 0);
	}
}

static void threads_write_on(unsigned rounds)
{
	open_and_commit(UNITS);
	for (unsigned round = 0; round < rounds; round++) {
		pid_t child;

		refresh();
		start_writers();
		child = fork_with_handlers();
		if (child == 0) {
			child_writes_all();
			_exit(0);
		}
		usleep(1000 * (round % 7));
		check_child(child);
		usleep(1000);
		stop_writers();
	}
	CHECK(hl_counts()->conversions > 0);
	release_and_close();
}

static void four_threads(void)
{
	threads_write_on(12);
}

/* Only healing: nothing is done before fork. */
static void four_threads_heal(void)
{
	hl_opt.fork_mode = HL_FORK_OFF;
	threads_write_on(12);
	CHECK(hl_counts()->heals > 0);
}

/* The child goes while the parent's handlers are at work. */
static void child_ends_meanwhile(void)
{
	hl_opt.fork_mode = HL_FORK_OFF;
	open_and_commit(UNITS);
	for (unsigned round = 0; round < 40; round++) {
		pid_t child;

		refresh();
		start_writers();
		child = fork_with_handlers();
		if (child == 0) {
			usleep(round * 50 % 400);
			_exit(0);
		}
		check_child(child);
		stop_writers();
	}
	CHECK(hl_counts()->heals > 0);
	release_and_close();
}

/* Several threads fork; each child is forked while others heal. */
static pthread_mutex_t fork_mutex = PTHREAD_MUTEX_INITIALIZER;

static void *fork_often(void *arg)
{
	unsigned rounds = (unsigned)(size_t)arg;

	for (unsigned i = 0; i < rounds; i++) {
		pid_t child;

		/* The heap has a lock for this. */
		pthread_mutex_lock(&fork_mutex);
		child = fork_with_handlers();
		pthread_mutex_unlock(&fork_mutex);
		if (child == 0) {
			for (size_t u = 0; u < UNITS; u++)
				unit(u)[u] += 1;
			_exit(0);
		}
		check_child(child);
	}
	return NULL;
}

static void forks_overlap(void)
{
	pthread_t forker[2];

	hl_opt.fork_mode = HL_FORK_OFF;
	open_and_commit(UNITS);
	for (unsigned round = 0; round < 4; round++) {
		refresh();
		start_writers();
		for (size_t i = 0; i < 2; i++)
			CHECK(pthread_create(&forker[i], NULL, fork_often,
				      (void *)8) == 0);
		for (size_t i = 0; i < 2; i++)
			pthread_join(forker[i], NULL);
		stop_writers();
	}
	release_and_close();
}

/* ---- other modes, other obstacles ---- */

static void mode_thp(void)
{
	hl_opt.fork_mode = HL_FORK_THP;
	open_and_commit(UNITS);
	fill(1);
	both_write(1);
	for (size_t u = 0; u < UNITS; u++)
		CHECK(hl_area_kind(area, u) != HL_BACKING_HUGETLB);
	CHECK(hl_counts()->conversions == UNITS);
	release_and_close();
}

static void mode_copy(void)
{
	pid_t child;

	hl_opt.fork_mode = HL_FORK_COPY;
	open_and_commit(UNITS);
	fill(1);
	child = fork_with_handlers();
	if (child == 0) {
		for (size_t u = 0; u < UNITS; u++)
			CHECK(hl_area_kind(area, u) != HL_BACKING_HUGETLB);
		check(1);
		fill(2);
		check(2);
		_exit(0);
	}
	/* The child has its copy: all pages are the parent's alone. */
	fill(3);
	check(3);
	check_child(child);
	CHECK(hl_counts()->conversions == 0 && hl_counts()->heals == 0);
	for (size_t u = 0; u < UNITS; u++)
		CHECK(hl_area_kind(area, u) == HL_BACKING_HUGETLB);
	release_and_close();
}

/* fork itself fails: nothing stays locked, nobody waits. */
static void fork_fails(void)
{
	struct rlimit none = {0, 0};
	pid_t child;

	hl_opt.fork_mode = HL_FORK_COPY;
	open_and_commit(UNITS);
	fill(1);
	/* Root is exempt from the limit. */
	CHECK(setuid(65534) == 0);
	CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
	hl_backing_fork_prepare();
	child = fork();
	if (child == 0)
		_exit(0);
	hl_backing_fork_parent();
	CHECK(child < 0);
	check(1);
	release_and_close();
}

/* What conversion gives back is gone at once: a pool that was shrunk. */
static void pool_was_shrunk(void)
{
	open_and_commit(UNITS);
	fill(1);
	machine_set_pool(0);
	both_write(1);
	CHECK(hl_counts()->heals == 0);
	release_and_close();
}

static void cgroup_is_full(void)
{
	machine_cgroup("max", UNITS * machine_page_bytes());
	open_and_commit(UNITS);
	fill(1);
	both_write(1);
	CHECK(hl_counts()->conversions > 0);
	release_and_close();
}

/* Someone takes the free pages between fork and the first write. */
static void pool_is_drained_after_fork(void)
{
	int drained[2];
	pid_t child;
	char byte;

	CHECK(pipe(drained) == 0);
	open_and_commit(UNITS);
	fill(1);
	child = fork_with_handlers();
	if (child == 0) {
		CHECK(read(drained[0], &byte, 1) == 1);
		fill(2);
		check(2);
		_exit(0);
	}
	CHECK(machine_hog_start(machine_pool("free_hugepages")));
	fill(3);
	CHECK(write(drained[1], "x", 1) == 1);
	check(3);
	check_child(child);
	CHECK(hl_counts()->heals > 0);
	machine_hog_stop();
	release_and_close();
}

#define CASE(f, pool)          \
	{                      \
#f, f, pool, 0 \
	}

int main(void)
{
	static const struct machine_case cases[] = {
		CASE(one_thread, UNITS),
		CASE(pages_suffice, 2 * UNITS),
		CASE(converts_just_enough, UNITS + 5),
		CASE(four_threads, UNITS),
		CASE(four_threads_heal, UNITS),
		CASE(child_ends_meanwhile, UNITS),
		CASE(forks_overlap, UNITS),
		CASE(mode_thp, UNITS),
		CASE(mode_copy, UNITS),
		CASE(fork_fails, UNITS),
		CASE(pool_was_shrunk, UNITS),
		CASE(cgroup_is_full, UNITS),
		CASE(pool_is_drained_after_fork, UNITS),
	};

	return machine_main(cases, HL_ARRAY_SIZE(cases));
}
