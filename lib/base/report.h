/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file in memory through which a program's counters reach hugectl, and the
 * program's side of it.
 *
 * hugectl makes a memfd, stays as the parent, and names the file in
 * HUGETLB_REPORT=/proc/PID/fd/N. Each image (a process between two execs)
 * claims a slot, maps it shared and counts there, so that whatever ends the
 * process, hugectl can still read what was counted. Nothing stays open in the
 * program: closing all descriptors does no harm.
 *
 * Layout: the header (header_bytes), then `slots` slots of slot_bytes each, a
 * multiple of the base page. The file is as long as all slots from the start,
 * and sparse: a program never has to grow it. A slot belongs to whoever set its
 * bit in taken[]; hugectl alone clears bits, once the process is gone and its
 * slot was read.
 *
 * All calls are async-signal-safe and allocate nothing.
 */
#ifndef HL_BASE_REPORT_H
#define HL_BASE_REPORT_H

#include "base/count.h"

#include <stdatomic.h>

#define HL_REPORT_MAGIC	    0x31747072656c7468u /* "htlerpt1" */
#define HL_REPORT_VERSION   1u
#define HL_REPORT_SLOTS_MAX 32768u
#define HL_REPORT_NAME	    "hugectl report" /* of the memfd */

enum hl_report_state {
	HL_REPORT_FREE, /* or being claimed */
	HL_REPORT_RUNNING,
	HL_REPORT_FINISHED, /* the program's destructors ran: final figures */
};

enum hl_report_start {
	HL_REPORT_EXEC,
	HL_REPORT_FORK,
};

struct hl_report_header {
	uint64_t magic;
	uint32_t version;
	uint32_t slots;
	uint64_t header_bytes; /* where the first slot begins */
	uint64_t slot_bytes;
	uint64_t counts_bytes; /* sizeof(struct hl_counts): both sides agree */
	_Atomic uint64_t claims; /* ever; numbers the slots in order */
	_Atomic uint64_t lost;	 /* images that found no slot */
	_Atomic uint32_t hint; /* no free slot in a word of taken[] before it */
	_Atomic uint64_t taken[HL_REPORT_SLOTS_MAX / 64];
};

/* What getrusage() says: of a slot, at the normal end. */
struct hl_report_usage {
	uint64_t user_us;
	uint64_t system_us;
	uint64_t minor_faults;
	uint64_t major_faults;
	uint64_t max_rss_bytes; /* 0: not known */
};

struct hl_report_slot {
	_Atomic uint32_t state;	      /* enum hl_report_state; written last */
	uint32_t start;		      /* enum hl_report_start */
	int32_t pid;		      /* as the file's procfs numbers it */
	int32_t ppid;		      /* 0: outside that numbering */
	uint64_t order;		      /* of the claim */
	uint64_t claimed_ns;	      /* CLOCK_BOOTTIME */
	uint64_t finished_ns;	      /* with state FINISHED */
	struct hl_report_usage usage; /* with state FINISHED */
	char comm[16];
	char program[480]; /* /proc/self/exe, cut if longer */
	struct hl_counts counts;
};

/*
 * Claims a slot of the file at `path` for this image and moves the counters
 * there. Once, from a constructor, before threads exist. 0, or -errno: the
 * counters stay where they are (-ENOENT hugectl is gone, -EPROTO another
 * version, -ENOSPC no slot free).
 */
int hl_report_attach(const char *path);

/*
 * In the child of a fork, before it counts anything: a slot of its own. Events
 * start at zero, amounts (bytes by backing, live bytes) carry over. Without
 * a free slot the child counts in memory of its own, and is not reported.
 */
void hl_report_fork_child(void);

/* Of this process, now. */
void hl_report_usage(struct hl_report_usage *out);

/* The normal end of the process: final resource usage. Counters may still move.
 */
void hl_report_finish(void);

/* Offset of a slot in the file. */
static inline uint64_t hl_report_offset(
	const struct hl_report_header *header, uint32_t index)
{
	return header->header_bytes + (uint64_t)index * header->slot_bytes;
}

#endif
