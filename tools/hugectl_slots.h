/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugectl's side of the shared report file: which processes there are, which
 * slots are theirs, and how each one ended.
 */
#ifndef HL_TOOLS_HUGECTL_SLOTS_H
#define HL_TOOLS_HUGECTL_SLOTS_H

#include "base/report.h"

#include <sys/types.h>

#define SLOTS_IMAGES_MAX 16

/* One process: what it was between its start and now, the latest image last. */
struct slots_process {
	int32_t pid;
	unsigned images;
	uint32_t image[SLOTS_IMAGES_MAX]; /* slot numbers */
	uint64_t dropped_images;	  /* earlier ones */
	struct hl_report_usage usage;	  /* as /proc said last */
	bool usage_known;
	bool gone;
};

struct slots {
	int fd;
	struct hl_report_header *header;
	uint64_t known[HL_REPORT_SLOTS_MAX / 64]; /* bit: in a process below */
	struct slots_process *process;
	size_t count, capacity;
};

/* Makes the file; 0 or -errno. */
int slots_open(struct slots *s);
/* Enters new images. Returns how many there were, or -ENOMEM. */
int slots_scan(struct slots *s);
/*
 * Asks /proc about each process; sets gone and usage. Returns how many are
 * newly gone.
 */
unsigned slots_check(struct slots *s);
/*
 * What /proc says of a process, a zombie too. max_rss_bytes only grows; a
 * zombie has none. *waited: it waited for children.
 */
bool slots_usage(int32_t pid, struct hl_report_usage *out, bool *waited);
/* Copies a slot; `bytes` at most its size. 0 or -errno. */
int slots_read(const struct slots *s, uint32_t index,
	struct hl_report_slot *out, size_t bytes);
/* Gives the slots of a process back and forgets it. */
void slots_forget(struct slots *s, struct slots_process *p);
struct slots_process *slots_find(const struct slots *s, int32_t pid);

#endif
