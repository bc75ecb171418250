/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's side of the report: claims a slot of hugectl's file, and lets
 * go of everything but the mapping of that slot. Called by the preload
 * object: from its constructor, its fork handler and its destructor. No lock:
 * slots are claimed by an atomic or in a bit map that all processes share.
 *
 * Kernel behaviour relied on: /proc/PID/fd/N of a memfd can be opened again by
 * a process of the same user; a shared mapping outlives the descriptor, and is
 * inherited over fork, not over exec.
 */
#include "base/report.h"

#include "base/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

static struct hl_report_slot *slot;
static uint64_t slot_bytes;
static char report_path[256];
/* Where a child counts that got no slot. */
static struct hl_counts orphan_counts;

static uint64_t boottime_ns(void)
{
	struct timespec ts = {0};

	hl_syscall(SYS_clock_gettime, CLOCK_BOOTTIME, (long)&ts, 0, 0, 0, 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/*
 * The number that the procfs of `path` has for us. Not getpid(): in a nested
 * pid name space that would be another process for hugectl.
 */
static int32_t own_pid(void)
{
	char text[16];
	long n = hl_syscall(SYS_readlinkat, AT_FDCWD, (long)"/proc/self",
		(long)text, sizeof(text), 0, 0);
	int32_t pid = 0;

	if (n <= 0 || n > 10)
		return (int32_t)hl_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	for (long i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		pid = pid * 10 + (text[i] - '0');
	}
	return pid;
}

/* A free slot among the words [from, to) of the bit map, or -ENOSPC. */
static int64_t claim_in(
	struct hl_report_header *header, uint32_t from, uint32_t to)
{
	for (uint32_t word = from; word < to; word++) {
		uint64_t seen = atomic_load(&header->taken[word]);
		uint32_t full = word;

		while (seen != UINT64_MAX) {
			uint64_t bit = ~seen & (seen + 1); /* lowest zero */

			if (atomic_compare_exchange_weak(
				    &header->taken[word], &seen, seen | bit))
				return (int64_t)word * 64 +
				       __builtin_ctzll(bit);
		}
		atomic_compare_exchange_strong(&header->hint, &full, word + 1);
	}
	return -ENOSPC;
}

static int64_t claim(struct hl_report_header *header)
{
	uint32_t words = header->slots / 64;
	uint32_t hint = HL_MIN(atomic_load(&header->hint), words);
	int64_t index = claim_in(header, hint, words);

	/* The hint may have passed a slot that hugectl freed meanwhile. */
	if (index < 0)
		index = claim_in(header, 0, hint);
	if (index < 0)
		atomic_fetch_add(&header->lost, 1);
	return index;
}

static int check_header(const struct hl_report_header *header)
{
	if (header->magic != HL_REPORT_MAGIC ||
		header->version != HL_REPORT_VERSION ||
		header->counts_bytes != sizeof(struct hl_counts) ||
		header->slot_bytes < sizeof(struct hl_report_slot) ||
		header->slots > HL_REPORT_SLOTS_MAX)
		return -EPROTO;
	return 0;
}

static long map(int fd, uint64_t bytes, uint64_t offset)
{
	return hl_syscall(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED, fd, (long)offset);
}

/*
 * hugectl may be gone, and its number another process's: that one's file must
 * not even be opened. What follows the link is "/memfd:NAME (deleted)".
 */
static int check_name(void)
{
	static const char name[] = "/memfd:" HL_REPORT_NAME;
	char text[sizeof(name)];
	long n = hl_syscall(SYS_readlinkat, AT_FDCWD, (long)report_path,
		(long)text, sizeof(text) - 1, 0, 0);

	if (n < 0)
		return (int)n;
	for (size_t i = 0; i < sizeof(name) - 1; i++) {
		if ((long)i >= n || text[i] != name[i])
			return -EPROTO;
	}
	return 0;
}

/* Maps a fresh slot of the file; *order is the number of the claim. */
static int take_slot(
	struct hl_report_slot **out, uint64_t *bytes, uint64_t *order)
{
	struct hl_report_header *header;
	int64_t index;
	long at, fd;
	int err = check_name();

	if (err)
		return err;
	fd = hl_syscall(SYS_openat, AT_FDCWD, (long)report_path,
		O_RDWR | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return (int)fd;
	at = map((int)fd, sizeof(*header), 0);
	err = (int)at;
	if (at < 0 && at > -4096)
		goto out_close;
	header = (struct hl_report_header *)at;
	err = check_header(header);
	if (err)
		goto out_unmap;
	index = claim(header);
	err = (int)index;
	if (index < 0)
		goto out_unmap;
	at = map((int)fd, header->slot_bytes,
		hl_report_offset(header, (uint32_t)index));
	err = (int)at;
	if (at < 0 && at > -4096) {
		/* Never filled in, so hugectl finds nothing in it. */
		atomic_fetch_and(&header->taken[index / 64],
			~((uint64_t)1 << (index % 64)));
		goto out_unmap;
	}
	*out = (struct hl_report_slot *)at;
	*bytes = header->slot_bytes;
	*order = atomic_fetch_add(&header->claims, 1);
	err = 0;
out_unmap:
	hl_syscall(SYS_munmap, (long)header, sizeof(*header), 0, 0, 0, 0);
out_close:
	hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return err;
}

/* All but the state, which makes the slot visible. */
static void fill_in(
	struct hl_report_slot *s, enum hl_report_start start, uint64_t order)
{
	long n = hl_syscall(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe",
		(long)s->program, sizeof(s->program) - 1, 0, 0);

	s->program[n > 0 ? n : 0] = '\0';
	hl_syscall(SYS_prctl, PR_GET_NAME, (long)s->comm, 0, 0, 0, 0);
	s->start = (uint32_t)start;
	s->pid = own_pid();
	s->ppid = (int32_t)hl_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0);
	s->order = order;
	s->claimed_ns = boottime_ns();
}

int hl_report_attach(const char *path)
{
	uint64_t order = 0;
	size_t n = 0;
	int err;

	if (slot)
		return -EALREADY;
	while (path[n] != '\0' && n < sizeof(report_path) - 1) {
		report_path[n] = path[n];
		n++;
	}
	report_path[n] = '\0';
	if (path[n] != '\0')
		return -ENAMETOOLONG;
	err = take_slot(&slot, &slot_bytes, &order);
	if (err) {
		slot = NULL;
		report_path[0] = '\0';
		return err;
	}
	fill_in(slot, HL_REPORT_EXEC, order);
	hl_count_attach(&slot->counts);
	atomic_store(&slot->state, HL_REPORT_RUNNING);
	return 0;
}

#define CARRY(to, from, field)                                              \
	atomic_store_explicit(&(to)->field,                                 \
		atomic_load_explicit(&(from)->field, memory_order_relaxed), \
		memory_order_relaxed)

/* What the child's heap holds; what the parent's did stays the parent's. */
static void carry_over(struct hl_counts *to, const struct hl_counts *from)
{
	uint64_t cells =
		atomic_load_explicit(&from->cells, memory_order_relaxed);

	CARRY(to, from, live_bytes);
	atomic_store_explicit(&to->peak_bytes,
		atomic_load_explicit(&from->live_bytes, memory_order_relaxed),
		memory_order_relaxed);
	CARRY(to, from, wished_bytes);
	atomic_store_explicit(&to->peak_wished_bytes,
		atomic_load_explicit(&from->wished_bytes, memory_order_relaxed),
		memory_order_relaxed);
	CARRY(to, from, thp_bytes);
	CARRY(to, from, base_bytes);
	CARRY(to, from, lazy_bytes);
	CARRY(to, from, meta_bytes);
	CARRY(to, from, segment_text_bytes);
	CARRY(to, from, segment_data_bytes);
	CARRY(to, from, segment_data_huge_bytes);
	CARRY(to, from, segment_data_lazy_bytes);
	CARRY(to, from, segment_brk_bytes);
	CARRY(to, from, segment_brk_huge_bytes);
	for (unsigned i = 0; i < HL_RUNG_COUNT_; i++)
		CARRY(to, from, segment_rung_bytes[i]);
	for (unsigned i = 0; i < HL_STAY_COUNT_; i++)
		CARRY(to, from, segment_stay_bytes[i]);
	for (unsigned i = 0; i < HL_COUNT_SIZES; i++) {
		CARRY(to, from, hugetlb_page_bytes[i]);
		CARRY(to, from, hugetlb_bytes[i]);
	}
	for (unsigned i = 0; i < HL_COUNT_NODES; i++)
		CARRY(to, from, node_bytes[i]);
	if (cells > HL_COUNT_CELLS)
		cells = HL_COUNT_CELLS;
	for (uint64_t i = 0; i < cells; i++) {
		CARRY(to, from, cell[i]);
		CARRY(to, from, cell_kind[i]);
	}
	CARRY(to, from, cells);
}

void hl_report_fork_child(void)
{
	struct hl_report_slot *old = slot;
	struct hl_report_slot *fresh = NULL;
	uint64_t order = 0;
	uint64_t bytes = 0;

	if (report_path[0] == '\0')
		return;
	if (take_slot(&fresh, &bytes, &order) == 0) {
		fill_in(fresh, HL_REPORT_FORK, order);
		carry_over(&fresh->counts, hl_counts());
		atomic_store(&hl_counts_now, &fresh->counts);
		atomic_store(&fresh->state, HL_REPORT_RUNNING);
		slot = fresh;
	} else {
		/* Never the parent's slot: its figures are its own. */
		if (hl_counts() != &orphan_counts) {
			carry_over(&orphan_counts, hl_counts());
			atomic_store(&hl_counts_now, &orphan_counts);
		}
		slot = NULL;
	}
	if (old)
		hl_syscall(SYS_munmap, (long)old, (long)slot_bytes, 0, 0, 0, 0);
	if (slot)
		slot_bytes = bytes;
}

static uint64_t us_of(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_usec;
}

void hl_report_usage(struct hl_report_usage *out)
{
	struct rusage ru = {0};

	hl_syscall(SYS_getrusage, RUSAGE_SELF, (long)&ru, 0, 0, 0, 0);
	*out = (struct hl_report_usage){
		.user_us = us_of(ru.ru_utime),
		.system_us = us_of(ru.ru_stime),
		.minor_faults = (uint64_t)ru.ru_minflt,
		.major_faults = (uint64_t)ru.ru_majflt,
		.max_rss_bytes = (uint64_t)ru.ru_maxrss * 1024,
	};
}

void hl_report_finish(void)
{
	if (!slot)
		return;
	hl_report_usage(&slot->usage);
	slot->finished_ns = boottime_ns();
	atomic_store(&slot->state, HL_REPORT_FINISHED);
}
