/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report of hugectl --report: watches the slots of the shared file while
 * the program runs, and writes what they say.
 *
 * One document: the program on top, the other processes behind it. Those
 * that end earlier are put aside in an unlinked file, without their picture, so
 * that any number of them needs no memory. With %p in the file's name: a
 * document per process, written when it is gone.
 *
 * A document appears whole or not at all: it is written beside its name and
 * renamed.
 */
#include "hugectl.h"
#include "hugectl_sink.h"
#include "hugectl_slots.h"
#include "locale.h"

#include "base/syscall.h"
#include "heap/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_MIN_MS 50
#define POLL_MAX_MS 1000
#define LINES_MAX   20 /* other processes in the text form */

/* What is put aside of one image. */
struct aside {
	uint32_t images_left; /* of the same process, this one included */
	uint32_t end;	      /* enum hl_report_end */
	uint64_t dropped_images;
	struct hl_report_usage usage;
	bool usage_known;
	struct hl_report_slot slot; /* its picture is not kept */
};
#define ASIDE_BYTES offsetof(struct aside, slot.counts.cell)

struct ctl_report {
	const struct ctl_options *o;
	bool json;
	const char *file; /* NULL: standard error */
	bool per_process;
	struct slots slots;
	int aside_fd; /* -1 until needed */
	uint64_t aside_count;
	pid_t pid;
	uint64_t started_us;
	struct hl_report_usage usage; /* of the program, as a zombie */
	bool usage_known;
	bool waited; /* it waited for children */
	unsigned interval_ms;
	bool failed; /* a per-process file could not be written: said once */
	char path[64];
};

/* ---- start ---- */

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000;
}

static void parse_destination(struct ctl_report *r, const char *value)
{
	if (strncmp(value, "json", 4) == 0)
		r->json = true;
	value = strchr(value, ':');
	r->file = value ? value + 1 : NULL;
	r->per_process = sink_is_per_process(r->file);
}

/* Better now than when the work of hours is done. */
static int check_destination(const struct ctl_report *r)
{
	struct sink sink;
	int err = sink_open(&sink, r->file, (int32_t)getpid());

	if (!err)
		(void)sink_close(&sink, -ECANCELED);
	return err;
}

/* The program runs without. */
static int no_report(const struct ctl_options *o, int err)
{
	ctl_say(o, HL_LOG_ERROR,
		"--report: no report: no memory to share with the program: %s",
		ctl_reason(err));
	return 0;
}

int ctl_report_open(
	const struct ctl_options *o, struct ctl_report **out, const char **path)
{
	struct ctl_report *r = calloc(1, sizeof(*r));
	struct hl_buf buf;
	int err;

	*out = NULL;
	if (!r)
		return no_report(o, -ENOMEM);
	r->o = o;
	r->aside_fd = -1;
	r->interval_ms = POLL_MIN_MS;
	parse_destination(r, o->given[CTL_REPORT]);
	err = check_destination(r);
	if (err) {
		ctl_say(o, HL_LOG_ERROR, "--report: %s: %s", r->file,
			ctl_reason(err));
		free(r);
		return err;
	}
	err = slots_open(&r->slots);
	if (err) {
		free(r);
		return no_report(o, err);
	}
	hl_buf_init(&buf, r->path, sizeof(r->path));
	hl_buf_printf(&buf, "/proc/%d/fd/%d", (int)getpid(), r->slots.fd);
	*path = r->path;
	*out = r;
	return 0;
}

void ctl_report_started(struct ctl_report *r, pid_t pid)
{
	r->pid = pid;
	r->started_us = now_us();
}

/* ---- one image ---- */

static void describe(struct hl_report_process *p, const struct aside *a)
{
	const struct hl_report_slot *slot = &a->slot;
	bool finished = slot->state == HL_REPORT_FINISHED;

	*p = (struct hl_report_process){
		.program = slot->program,
		.comm = slot->comm,
		.pid = slot->pid,
		.ppid = slot->ppid,
		.start = (enum hl_report_start)slot->start,
		.end = (enum hl_report_end)a->end,
		.complete = finished,
		.elapsed_known = finished,
		.elapsed_us = (slot->finished_ns - slot->claimed_ns) / 1000,
	};
	if (finished)
		p->usage = &slot->usage;
	else if (a->usage_known)
		p->usage = &a->usage;
}

static enum hl_report_end end_of(
	const struct slots_process *p, unsigned image, uint32_t state)
{
	if (image + 1 < p->images)
		return HL_END_EXEC;
	if (!p->gone)
		return HL_END_RUNNING;
	return state == HL_REPORT_FINISHED ? HL_END_NORMAL : HL_END_GONE;
}

/* Image `index` of a process, read in full if asked, else without picture. */
static int load(const struct ctl_report *r, const struct slots_process *p,
	unsigned image, bool picture, struct aside *out)
{
	size_t bytes = picture ? sizeof(out->slot)
			       : offsetof(struct hl_report_slot, counts.cell);
	int err = slots_read(&r->slots, p->image[image], &out->slot, bytes);

	if (err)
		return err;
	out->slot.program[sizeof(out->slot.program) - 1] = '\0';
	out->slot.comm[sizeof(out->slot.comm) - 1] = '\0';
	out->images_left = p->images - image;
	out->dropped_images = p->dropped_images;
	out->end = end_of(p, image, out->slot.state);
	out->usage = p->usage;
	out->usage_known = p->usage_known && image + 1 == p->images;
	return 0;
}

static void json_image(struct hl_json *json, const struct aside *a)
{
	struct hl_report_process p;

	describe(&p, a);
	hl_report_json(json, &p, &a->slot.counts, 0);
}

static void json_earlier_images(struct hl_json *json,
	const struct ctl_report *r, const struct slots_process *p)
{
	static struct aside a;

	hl_json_u64(json, "images_dropped", p ? p->dropped_images : 0);
	hl_json_begin_array(json, "images");
	/* The latest is on top; these follow, latest first. */
	for (unsigned i = p && p->images ? p->images - 1 : 0; i-- > 0;) {
		if (load(r, p, i, false, &a))
			continue;
		hl_json_begin_object(json, NULL);
		json_image(json, &a);
		hl_json_end(json);
	}
	hl_json_end(json);
}

/* ---- putting aside ---- */

static int open_aside(void)
{
	const char *directory = getenv("TMPDIR");
	int fd = open(directory && *directory ? directory : "/tmp",
		O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return sink_above_standard(
		fd >= 0 ? fd : memfd_create("hugectl", MFD_CLOEXEC));
}

/* Images in the order in which they are printed: the latest first. */
static int put_aside(struct ctl_report *r, const struct slots_process *p)
{
	static struct aside a;

	if (r->aside_fd < 0)
		r->aside_fd = open_aside();
	if (r->aside_fd < 0)
		return r->aside_fd;
	for (unsigned i = p->images; i-- > 0;) {
		int err = load(r, p, i, false, &a);

		if (err)
			return err;
		a.images_left = i + 1;
		err = hl_write_all(r->aside_fd, (const char *)&a, ASIDE_BYTES);
		if (err)
			return err;
		r->aside_count++;
	}
	return 0;
}

static bool read_aside(const struct ctl_report *r, uint64_t i, struct aside *a)
{
	return pread(r->aside_fd, a, ASIDE_BYTES, (off_t)(i * ASIDE_BYTES)) ==
	       (ssize_t)ASIDE_BYTES;
}

/* ---- documents ---- */

static void json_head(struct hl_json *json)
{
	hl_json_u64(json, "version", HL_REPORT_VERSION);
	hl_json_string(json, "hugectl", HL_VERSION);
}

/* Everything put aside, as members of an array. */
static void json_processes(struct hl_json *json, const struct ctl_report *r)
{
	static struct aside a;

	hl_json_begin_array(json, "processes");
	for (uint64_t i = 0; i < r->aside_count; i++) {
		uint32_t images;

		if (!read_aside(r, i, &a))
			break;
		images = a.images_left;
		hl_json_begin_object(json, NULL);
		json_image(json, &a);
		hl_json_u64(json, "images_dropped", a.dropped_images);
		hl_json_begin_array(json, "images");
		while (--images > 0 && read_aside(r, ++i, &a)) {
			hl_json_begin_object(json, NULL);
			json_image(json, &a);
			hl_json_end(json);
		}
		hl_json_end(json);
		hl_json_end(json);
	}
	hl_json_end(json);
}

static int json_document(const struct ctl_report *r, int fd,
	const struct hl_report_process *d, const struct slots_process *p,
	const struct hl_counts *counts)
{
	static char text[65536];
	struct hl_json json;

	hl_json_init_fd(&json, fd, text, sizeof(text));
	json.indent = true;
	hl_json_begin_object(&json, NULL);
	json_head(&json);
	hl_report_json(&json, d, counts, HL_REPORT_PICTURE);
	json_earlier_images(&json, r, p);
	if (!r->per_process)
		json_processes(&json, r);
	hl_json_u64(
		&json, "processes_lost", atomic_load(&r->slots.header->lost));
	hl_json_end(&json);
	return hl_json_finish(&json);
}

static void text_processes(struct hl_buf *buf, const struct ctl_report *r)
{
	static struct aside a;
	uint64_t lines = 0, more = 0;

	for (uint64_t i = 0; i < r->aside_count; i++) {
		struct hl_report_process p;
		uint32_t images;

		if (!read_aside(r, i, &a))
			break;
		images = a.images_left;
		i += images - 1;
		if (lines++ == 0)
			hl_buf_puts(buf, "other processes:\n");
		if (lines > LINES_MAX) {
			more++;
			continue;
		}
		describe(&p, &a);
		hl_report_line(buf, &p, &a.slot.counts);
	}
	if (more > 0)
		hl_buf_printf(buf, "  and %llu more (see --report=json)\n",
			(unsigned long long)more);
}

static int text_document(const struct ctl_report *r, int fd,
	const struct hl_report_process *d, const struct slots_process *p,
	const struct hl_counts *counts)
{
	static char text[65536];
	static struct aside a;
	struct hl_buf buf;
	uint64_t lost = atomic_load(&r->slots.header->lost);

	hl_buf_init(&buf, text, sizeof(text));
	hl_report_text(&buf, d, counts,
		HL_REPORT_PICTURE | (locale_is_utf8() ? HL_REPORT_UTF8 : 0));
	for (unsigned i = p && p->images ? p->images - 1 : 0; i-- > 0;) {
		struct hl_report_process earlier;

		if (load(r, p, i, false, &a))
			continue;
		describe(&earlier, &a);
		hl_report_line(&buf, &earlier, &a.slot.counts);
	}
	if (!r->per_process)
		text_processes(&buf, r);
	if (lost > 0)
		hl_buf_printf(&buf, "not counted: %llu processes\n",
			(unsigned long long)lost);
	return hl_write_all(fd, buf.data, buf.length);
}

static int write_document(struct ctl_report *r,
	const struct hl_report_process *d, const struct slots_process *p,
	const struct hl_counts *counts)
{
	struct sink sink;
	int err = sink_open(&sink, r->file, d->pid);

	if (err)
		return err;
	err = r->json ? json_document(r, sink.fd, d, p, counts)
		      : text_document(r, sink.fd, d, p, counts);
	return sink_close(&sink, err);
}

/* ---- while it runs ---- */

/* A process other than the program, gone or left over. */
static void settle(struct ctl_report *r, struct slots_process *p)
{
	static struct aside a;
	struct hl_report_process d;
	int err;

	if (r->per_process) {
		err = load(r, p, p->images - 1, true, &a);
		if (!err) {
			describe(&d, &a);
			err = write_document(r, &d, p, &a.slot.counts);
		}
	} else {
		err = put_aside(r, p);
	}
	if (err && !r->failed) {
		r->failed = true;
		ctl_say(r->o, HL_LOG_ERROR, "--report: process %d: %s", p->pid,
			ctl_reason(err));
	}
	slots_forget(&r->slots, p);
}

static void settle_all(struct ctl_report *r, bool also_living)
{
	for (size_t i = r->slots.count; i-- > 0;) {
		struct slots_process *p = &r->slots.process[i];

		if (p->pid != r->pid && (p->gone || also_living))
			settle(r, p);
	}
}

unsigned ctl_report_poll(struct ctl_report *r)
{
	uint64_t start = now_us(), took_ms;
	int entered = slots_scan(&r->slots);
	unsigned gone = slots_check(&r->slots);
	bool waited;

	/* For its resident bytes: a zombie has none. */
	(void)slots_usage((int32_t)r->pid, &r->usage, &waited);
	settle_all(r, false);
	took_ms = (now_us() - start) / 1000;
	/* Often while processes come and go, seldom while nothing changes. */
	if (entered > 0 || gone > 0)
		r->interval_ms = POLL_MIN_MS;
	else
		r->interval_ms = HL_MIN(2 * r->interval_ms, POLL_MAX_MS);
	/* A tenth of a processor at most, however many there are. */
	return HL_MAX(r->interval_ms,
		(unsigned)HL_MIN(10 * took_ms, (uint64_t)POLL_MAX_MS * 10));
}

/* ---- at the end ---- */

static void fill_usage(struct hl_report_usage *to, const struct rusage *ru)
{
	*to = (struct hl_report_usage){
		.user_us = (uint64_t)ru->ru_utime.tv_sec * 1000000u +
			   (uint64_t)ru->ru_utime.tv_usec,
		.system_us = (uint64_t)ru->ru_stime.tv_sec * 1000000u +
			     (uint64_t)ru->ru_stime.tv_usec,
		.minor_faults = (uint64_t)ru->ru_minflt,
		.major_faults = (uint64_t)ru->ru_majflt,
		.max_rss_bytes = (uint64_t)ru->ru_maxrss * 1024,
	};
}

void ctl_report_ended(struct ctl_report *r)
{
	r->usage_known = slots_usage((int32_t)r->pid, &r->usage, &r->waited);
}

/* What the wait said goes before what the slot says. */
static void describe_program(struct hl_report_process *d,
	const struct ctl_report *r, int wait_status)
{
	d->pid = (int32_t)r->pid;
	d->ppid = (int32_t)getpid();
	d->start = HL_REPORT_EXEC;
	d->command = (const char *const *)r->o->target;
	d->elapsed_known = true;
	d->elapsed_us = now_us() - r->started_us;
	if (!d->usage && r->usage_known)
		d->usage = &r->usage;
	if (WIFSIGNALED(wait_status)) {
		d->end = HL_END_SIGNALED;
		d->signal = WTERMSIG(wait_status);
	} else {
		d->end = HL_END_EXITED;
		d->status = WEXITSTATUS(wait_status);
	}
}

int ctl_report_finish(
	struct ctl_report *r, int wait_status, const struct rusage *ru)
{
	static struct aside a;
	struct slots_process *p;
	struct hl_report_process d = {.comm = ""};
	struct hl_report_usage tree;
	bool counted;

	slots_scan(&r->slots);
	slots_check(&r->slots);
	settle_all(r, true);
	/* Nothing is left but the program, if it was ever there. */
	p = r->slots.count > 0 ? &r->slots.process[0] : NULL;
	counted = p && load(r, p, p->images - 1, true, &a) == 0;
	if (counted)
		describe(&d, &a);
	else
		d.program = r->o->target[0];
	if (counted && !d.complete)
		d.usage = NULL; /* older than what the zombie said */
	describe_program(&d, r, wait_status);
	fill_usage(&tree, ru);
	/* Without children the wait speaks of the program alone. */
	if (r->usage_known && !r->waited)
		r->usage.max_rss_bytes = tree.max_rss_bytes;
	d.tree = &tree;
	return write_document(r, &d, p, counted ? &a.slot.counts : NULL);
}
