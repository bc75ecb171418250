/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shared report file as hugectl sees it. A slot is entered once its state
 * says that it is filled in; images of one pid that follow each other belong to
 * one process, since a process is forgotten soon after it is gone. When a
 * process is forgotten its slots are punched out of the file, which clears them
 * and gives the memory back, and offered again: 100,000 processes cost no more
 * than those alive at one time.
 *
 * A process is gone if /proc has no such pid, or a zombie, or one that
 * started after the slot was claimed.
 */
#include "hugectl_slots.h"
#include "hugectl_sink.h"

#include "base/fmt.h"
#include "system/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- the file ---- */

/* The file's length under RLIMIT_FSIZE, without a SIGXFSZ. */
static uint64_t allowed_bytes(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0 ||
		limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

int slots_open(struct slots *s)
{
	uint64_t page = hl_base_page_bytes();
	uint64_t header = hl_align_up(sizeof(*s->header), page);
	uint64_t bytes = hl_align_up(sizeof(struct hl_report_slot), page);
	uint64_t slots = HL_REPORT_SLOTS_MAX;
	uint64_t allowed = allowed_bytes();
	void *at;
	int err;

	*s = (struct slots){.fd = -1};
	if (header + slots * bytes > allowed)
		slots = allowed > header ? (allowed - header) / bytes : 0;
	slots -= slots % 64;
	if (slots == 0)
		return -EFBIG;
	s->fd = sink_above_standard(memfd_create(HL_REPORT_NAME, MFD_CLOEXEC));
	if (s->fd < 0)
		return s->fd;
	if (ftruncate(s->fd, (off_t)(header + slots * bytes)) != 0)
		goto fail;
	at = mmap(NULL, sizeof(*s->header), PROT_READ | PROT_WRITE, MAP_SHARED,
		s->fd, 0);
	if (at == MAP_FAILED)
		goto fail;
	s->header = at;
	s->header->magic = HL_REPORT_MAGIC;
	s->header->version = HL_REPORT_VERSION;
	s->header->slots = (uint32_t)slots;
	s->header->header_bytes = header;
	s->header->slot_bytes = bytes;
	s->header->counts_bytes = sizeof(struct hl_counts);
	return 0;
fail:
	err = -errno;
	close(s->fd);
	return err;
}

int slots_read(const struct slots *s, uint32_t index,
	struct hl_report_slot *out, size_t bytes)
{
	ssize_t n = pread(s->fd, (void *)out, bytes,
		(off_t)hl_report_offset(s->header, index));

	return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -EIO;
}

/* ---- processes ---- */

struct slots_process *slots_find(const struct slots *s, int32_t pid)
{
	for (size_t i = s->count; i-- > 0;) {
		if (s->process[i].pid == pid && !s->process[i].gone)
			return &s->process[i];
	}
	return NULL;
}

static void free_slot(struct slots *s, uint32_t index)
{
	uint32_t word = index / 64, hint;
	uint64_t bit = (uint64_t)1 << (index % 64);

	/* Cleared before it is offered: a claimer finds it empty. */
	fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)hl_report_offset(s->header, index),
		(off_t)s->header->slot_bytes);
	s->known[word] &= ~bit;
	atomic_fetch_and(&s->header->taken[word], ~bit);
	hint = atomic_load(&s->header->hint);
	while (hint > word &&
		!atomic_compare_exchange_weak(&s->header->hint, &hint, word))
		;
}

void slots_forget(struct slots *s, struct slots_process *p)
{
	for (unsigned i = 0; i < p->images; i++)
		free_slot(s, p->image[i]);
	*p = s->process[--s->count];
}

static struct slots_process *add_process(struct slots *s, int32_t pid)
{
	struct slots_process *p;

	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 64;

		p = reallocarray(s->process, capacity, sizeof(*p));
		if (!p)
			return NULL;
		s->process = p;
		s->capacity = capacity;
	}
	p = &s->process[s->count++];
	*p = (struct slots_process){.pid = pid};
	return p;
}

static int enter(struct slots *s, uint32_t index)
{
	struct hl_report_slot slot;
	struct slots_process *p;
	int err = slots_read(
		s, index, &slot, offsetof(struct hl_report_slot, program));

	if (err || slot.state == HL_REPORT_FREE)
		return err;
	p = slots_find(s, slot.pid);
	if (!p)
		p = add_process(s, slot.pid);
	if (!p)
		return -ENOMEM;
	if (p->images == SLOTS_IMAGES_MAX) {
		/* A program that executes itself again and again. */
		free_slot(s, p->image[0]);
		memmove(p->image, p->image + 1,
			(SLOTS_IMAGES_MAX - 1) * sizeof(p->image[0]));
		p->images--;
		p->dropped_images++;
	}
	p->image[p->images++] = index;
	s->known[index / 64] |= (uint64_t)1 << (index % 64);
	return 1;
}

/* Images of one process are entered in the order of their claims. */
static void sort_images(struct slots *s, struct slots_process *p)
{
	struct hl_report_slot a, b;
	size_t bytes = offsetof(struct hl_report_slot, program);

	for (unsigned i = p->images - 1; i > 0; i--) {
		uint32_t swap = p->image[i];

		if (slots_read(s, p->image[i - 1], &a, bytes) ||
			slots_read(s, swap, &b, bytes) || a.order < b.order)
			return;
		p->image[i] = p->image[i - 1];
		p->image[i - 1] = swap;
	}
}

int slots_scan(struct slots *s)
{
	int entered = 0;

	for (uint32_t word = 0; word < s->header->slots / 64; word++) {
		uint64_t fresh =
			atomic_load(&s->header->taken[word]) & ~s->known[word];

		for (; fresh; fresh &= fresh - 1) {
			uint32_t index =
				word * 64 + (uint32_t)__builtin_ctzll(fresh);
			struct hl_report_slot slot;
			struct slots_process *p;
			int n = enter(s, index);

			if (n == -ENOMEM)
				return n;
			if (n <= 0)
				continue;
			entered++;
			if (slots_read(s, index, &slot,
				    offsetof(struct hl_report_slot, program)))
				continue;
			p = slots_find(s, slot.pid);
			if (p && p->images > 1)
				sort_images(s, p);
		}
	}
	return entered;
}

/* ---- whether they live ---- */

/* The nth field (from 3) of /proc/PID/stat, which follows the ")". */
static bool stat_field(const char *fields, unsigned n, uint64_t *out)
{
	char number[32];
	size_t length;

	for (unsigned i = 3; i < n; i++) {
		fields = strchr(fields, ' ');
		if (!fields)
			return false;
		fields++;
	}
	length = strcspn(fields, " ");
	if (length >= sizeof(number))
		return false;
	memcpy(number, fields, length);
	number[length] = '\0';
	return hl_parse_u64(number, out) == 0;
}

/* The fields of /proc/PID/stat from the third on, or NULL. */
static const char *read_stat(int32_t pid, char *text, size_t capacity)
{
	char path[64];
	struct hl_buf buf;
	char *fields;

	hl_buf_init(&buf, path, sizeof(path));
	hl_buf_printf(&buf, "/proc/%d/stat", pid);
	if (hl_root_read(&hl_root_real, path, text, capacity) < 0)
		return NULL;
	fields = strrchr(text, ')');
	return fields && fields[1] == ' ' ? fields + 2 : NULL;
}

static bool take_usage(const char *fields, struct hl_report_usage *out)
{
	uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t minor, major, user, kernel, rss;

	if (!stat_field(fields, 10, &minor) ||
		!stat_field(fields, 12, &major) ||
		!stat_field(fields, 14, &user) ||
		!stat_field(fields, 15, &kernel) ||
		!stat_field(fields, 24, &rss))
		return false;
	out->minor_faults = minor;
	out->major_faults = major;
	out->user_us = user * 1000000 / ticks;
	out->system_us = kernel * 1000000 / ticks;
	/* A zombie has no memory left: what was seen before stands. */
	out->max_rss_bytes =
		HL_MAX(out->max_rss_bytes, rss * hl_base_page_bytes());
	return true;
}

bool slots_usage(int32_t pid, struct hl_report_usage *out, bool *waited)
{
	char text[1024];
	const char *fields = read_stat(pid, text, sizeof(text));
	uint64_t faults = 0;

	*waited = fields && (!stat_field(fields, 11, &faults) || faults != 0);
	return fields && take_usage(fields, out);
}

static bool is_gone(const struct slots *s, struct slots_process *p)
{
	uint64_t started, ticks = (uint64_t)sysconf(_SC_CLK_TCK);
	char text[1024];
	const char *fields = read_stat(p->pid, text, sizeof(text));
	struct hl_report_slot first;

	if (!fields)
		return true;
	if (!stat_field(fields, 22, &started) ||
		slots_read(s, p->image[0], &first,
			offsetof(struct hl_report_slot, program)))
		return false;
	/* Another process of the same number; clocks differ by a tick. */
	if (p->dropped_images == 0 &&
		started > first.claimed_ns / (1000000000u / ticks) + 1)
		return true;
	if (take_usage(fields, &p->usage))
		p->usage_known = true;
	return fields[0] == 'Z' || fields[0] == 'X';
}

unsigned slots_check(struct slots *s)
{
	unsigned gone = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct slots_process *p = &s->process[i];

		if (!p->gone && is_gone(s, p)) {
			p->gone = true;
			gone++;
		}
	}
	return gone;
}
