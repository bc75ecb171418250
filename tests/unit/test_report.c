/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's side of the shared report file (lib/base/report.c). A process
 * attaches once, so each case runs in a child; what it left in the file is
 * looked at here, as hugectl would.
 */
#include "base/report.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SLOTS 256u

struct file {
	int fd;
	struct hl_report_header *header;
	char path[64];
};

static struct hl_report_slot *slot_of(const struct file *f, uint32_t index)
{
	return (void *)((char *)f->header + hl_report_offset(f->header, index));
}

static int open_file(void **state)
{
	static struct file f;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t header = hl_align_up(sizeof(*f.header), page);
	size_t bytes = hl_align_up(sizeof(struct hl_report_slot), page);

	f.fd = memfd_create(HL_REPORT_NAME, 0);
	assert_true(f.fd >= 0);
	assert_int_equal(ftruncate(f.fd, (off_t)(header + SLOTS * bytes)), 0);
	f.header = mmap(NULL, header + SLOTS * bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED, f.fd, 0);
	assert_true(f.header != MAP_FAILED);
	f.header->magic = HL_REPORT_MAGIC;
	f.header->version = HL_REPORT_VERSION;
	f.header->slots = SLOTS;
	f.header->header_bytes = header;
	f.header->slot_bytes = bytes;
	f.header->counts_bytes = sizeof(struct hl_counts);
	/* This process outlives its children, as hugectl does. */
	snprintf(f.path, sizeof(f.path), "/proc/%d/fd/%d", (int)getpid(), f.fd);
	*state = &f;
	return 0;
}

static int close_file(void **state)
{
	struct file *f = *state;

	munmap(f->header,
		f->header->header_bytes + SLOTS * f->header->slot_bytes);
	close(f->fd);
	return 0;
}

static unsigned taken(const struct file *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SLOTS / 64; i++)
		n += (unsigned)__builtin_popcountll(f->header->taken[i]);
	return n;
}

/* Runs in a child; returns its exit status. */
static int in_child(struct file *f, int (*body)(struct file *f))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(body(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* ---- attaching ---- */

static int attach(struct file *f)
{
	hl_count(forks, 7);
	if (hl_report_attach(f->path) != 0)
		return 1;
	hl_count(forks, 1);
	hl_count(live_bytes, 100);
	return 0;
}

static void test_attach(void **state)
{
	struct file *f = *state;
	struct hl_report_slot *slot = slot_of(f, 0);

	assert_int_equal(in_child(f, attach), 0);
	assert_int_equal(taken(f), 1);
	assert_int_equal(f->header->claims, 1);
	assert_int_equal(slot->state, HL_REPORT_RUNNING);
	assert_int_equal(slot->start, HL_REPORT_EXEC);
	assert_int_equal(slot->ppid, getpid());
	assert_true(slot->pid > 0 && slot->pid != getpid());
	assert_true(slot->claimed_ns > 0);
	assert_non_null(strstr(slot->program, "test_report"));
	/* Counted before and after. */
	assert_int_equal(slot->counts.forks, 8);
	assert_int_equal(slot->counts.live_bytes, 100);
}

static int attach_badly(struct file *f)
{
	char path[400];

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	if (hl_report_attach("/nonexistent/file") != -ENOENT)
		return 1;
	if (hl_report_attach(path) != -ENAMETOOLONG)
		return 2;
	/* Something else by that name: must not even be opened. */
	if (hl_report_attach("/proc/self/exe") != -EPROTO)
		return 8;
	f->header->version++;
	if (hl_report_attach(f->path) != -EPROTO)
		return 3;
	f->header->version--;
	f->header->counts_bytes += 8;
	if (hl_report_attach(f->path) != -EPROTO)
		return 4;
	f->header->counts_bytes -= 8;
	f->header->magic ^= 1;
	if (hl_report_attach(f->path) != -EPROTO)
		return 5;
	f->header->magic ^= 1;
	/* None of this stands in the way of the right one. */
	if (hl_report_attach(f->path) != 0)
		return 6;
	return hl_report_attach(f->path) == -EALREADY ? 0 : 7;
}

static void test_refusals(void **state)
{
	struct file *f = *state;

	assert_int_equal(in_child(f, attach_badly), 0);
	assert_int_equal(taken(f), 1);
}

static int leaves_nothing(struct file *f)
{
	int before = dup(0), after;

	if (hl_report_attach(f->path) != 0)
		return 1;
	after = dup(0);
	return after == before + 1 ? 0 : 2;
}

static void test_leaves_no_descriptor(void **state)
{
	assert_int_equal(in_child(*state, leaves_nothing), 0);
}

/* ---- room ---- */

static int finds_no_room(struct file *f)
{
	struct hl_counts *before = hl_counts();

	if (hl_report_attach(f->path) != -ENOSPC)
		return 1;
	hl_count(forks, 1);
	return hl_counts() == before ? 0 : 2;
}

static void test_full(void **state)
{
	struct file *f = *state;

	for (unsigned i = 0; i < SLOTS / 64; i++)
		f->header->taken[i] = UINT64_MAX;
	assert_int_equal(in_child(f, finds_no_room), 0);
	assert_int_equal(f->header->lost, 1);
	/* One in the middle is found, wherever the hint points. */
	for (unsigned hint = 0; hint <= SLOTS / 64; hint++) {
		f->header->taken[1] = ~((uint64_t)1 << 17);
		f->header->hint = hint;
		assert_int_equal(in_child(f, attach), 0);
		assert_int_equal(taken(f), SLOTS);
		assert_int_equal(slot_of(f, 64 + 17)->state, HL_REPORT_RUNNING);
	}
	assert_int_equal(f->header->lost, 1);
}

static int attach_at_once(struct file *f)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (fork() == 0)
			_exit(hl_report_attach(f->path) != 0);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		int status;

		if (wait(&status) < 0 || status != 0)
			return 1;
	}
	return 0;
}

static void test_race(void **state)
{
	struct file *f = *state;

	assert_int_equal(in_child(f, attach_at_once), 0);
	assert_int_equal(taken(f), SLOTS);
	assert_int_equal(f->header->claims, SLOTS);
	for (uint32_t i = 0; i < SLOTS; i++) {
		for (uint32_t k = 0; k < i; k++) {
			assert_int_not_equal(
				slot_of(f, i)->order, slot_of(f, k)->order);
			assert_int_not_equal(
				slot_of(f, i)->pid, slot_of(f, k)->pid);
		}
	}
}

/* ---- fork and end ---- */

static int fork_after(struct file *f)
{
	pid_t pid;
	int status;

	if (hl_report_attach(f->path) != 0)
		return 1;
	hl_count(wished_bytes, 300);
	hl_count(peak_wished_bytes, 500);
	hl_count(live_bytes, 1000);
	hl_count(peak_bytes, 5000);
	hl_count(forks, 1);
	hl_count(hpages_taken, 9);
	hl_count(hugetlb_bytes[0], 4096);
	hl_count(hugetlb_page_bytes[0], 2097152);
	hl_count_fallback(HL_LIMIT_POOL, 3);
	hl_counts()->cells = 2;
	hl_counts()->cell[1] = 200;
	pid = fork();
	if (pid == 0) {
		hl_report_fork_child();
		hl_count(live_bytes, 1);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return 2;
	hl_count(forks, 1);
	return status;
}

static void test_fork(void **state)
{
	struct file *f = *state;
	struct hl_report_slot *parent = slot_of(f, 0), *child = slot_of(f, 1);

	assert_int_equal(in_child(f, fork_after), 0);
	assert_int_equal(taken(f), 2);
	assert_int_equal(parent->counts.live_bytes, 1000);
	assert_int_equal(parent->counts.forks, 2);
	assert_int_equal(child->start, HL_REPORT_FORK);
	assert_int_equal(child->ppid, parent->pid);
	assert_string_equal(child->program, parent->program);
	/* What it holds is its own too; what happened is not. */
	assert_int_equal(child->counts.live_bytes, 1001);
	assert_int_equal(child->counts.peak_bytes, 1000);
	assert_int_equal(child->counts.wished_bytes, 300);
	assert_int_equal(child->counts.peak_wished_bytes, 300);
	assert_int_equal(child->counts.hugetlb_bytes[0], 4096);
	assert_int_equal(child->counts.hugetlb_page_bytes[0], 2097152);
	assert_int_equal(child->counts.cell[1], 200);
	assert_int_equal(child->counts.forks, 0);
	assert_int_equal(child->counts.hpages_taken, 0);
	assert_int_equal(child->counts.fallbacks[HL_LIMIT_POOL], 0);
}

static int fork_without_room(struct file *f)
{
	pid_t pid;
	int status;

	if (hl_report_attach(f->path) != 0)
		return 1;
	hl_count(live_bytes, 1000);
	for (unsigned i = 0; i < SLOTS / 64; i++)
		f->header->taken[i] = UINT64_MAX;
	pid = fork();
	if (pid == 0) {
		hl_report_fork_child();
		hl_count(live_bytes, 1);
		hl_report_finish();
		_exit(hl_counts()->live_bytes == 1001 ? 0 : 3);
	}
	return waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 2;
}

static void test_fork_without_room(void **state)
{
	struct file *f = *state;

	assert_int_equal(in_child(f, fork_without_room), 0);
	/* The child never touched what is its parent's. */
	assert_int_equal(slot_of(f, 0)->counts.live_bytes, 1000);
	assert_int_equal(slot_of(f, 0)->state, HL_REPORT_RUNNING);
	assert_int_equal(f->header->lost, 1);
}

static int finish(struct file *f)
{
	if (hl_report_attach(f->path) != 0)
		return 1;
	hl_report_finish();
	return 0;
}

static void test_finish(void **state)
{
	struct file *f = *state;
	struct hl_report_slot *slot = slot_of(f, 0);

	assert_int_equal(in_child(f, finish), 0);
	assert_int_equal(slot->state, HL_REPORT_FINISHED);
	assert_true(slot->usage.minor_faults > 0);
	assert_true(slot->usage.max_rss_bytes > 0);
	assert_true(slot->finished_ns >= slot->claimed_ns);
}

/* Without a report these do nothing. */
static void test_unattached(void **state)
{
	struct hl_counts *before = hl_counts();

	hl_report_fork_child();
	hl_report_finish();
	assert_ptr_equal(hl_counts(), before);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_file, close_file)
	const struct CMUnitTest tests[] = {
		CASE(test_attach),
		CASE(test_refusals),
		CASE(test_leaves_no_descriptor),
		CASE(test_full),
		CASE(test_race),
		CASE(test_fork),
		CASE(test_fork_without_room),
		CASE(test_finish),
		CASE(test_unattached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
