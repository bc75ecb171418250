/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Performance counters for hugestat --tlb and tlbmiss_cost, as far as there are
 * any: a virtual machine often has none, and perf_event_paranoid may forbid
 * them. Each counter says for itself why it is missing. Those of the kernel
 * (page faults, time) are there nearly always. Single-threaded.
 */
#ifndef HL_TOOLS_PERF_H
#define HL_TOOLS_PERF_H

#include "base/base.h"

#include <sys/types.h>

enum perf_id {
	PERF_LOAD_MISSES,  /* of the data TLB */
	PERF_STORE_MISSES, /* same */
	PERF_CODE_MISSES,  /* of the instruction TLB */
	PERF_INSTRUCTIONS,
	PERF_CYCLES,
	PERF_PAGE_FAULTS, /* by the kernel */
	PERF_TASK_NS,	  /* same */
	PERF_IDS_
};

struct perf_set {
	int error[PERF_IDS_]; /* 0: there; else why not, negative errno */
	int *fd[PERF_IDS_];   /* one per thread */
	size_t threads;
};

extern const char *const perf_names[PERF_IDS_];

/*
 * Opens what there is, for all threads of a process and those that they start
 * (pid 0: the calling thread). 0, or -errno if the process cannot be watched
 * at all.
 */
int perf_open(struct perf_set *set, pid_t pid);
void perf_close(struct perf_set *set);
bool perf_has(const struct perf_set *set, enum perf_id id);
/*
 * The sum over threads since perf_open(), scaled up where counters had to take
 * turns.
 */
uint64_t perf_read(const struct perf_set *set, enum perf_id id);
/* "load misses, cycles": what is there of the processor's own; "" if none. */
const char *perf_list(const struct perf_set *set, char *text, size_t capacity);
/* Why there are none of those: a sentence. */
const char *perf_reason(const struct perf_set *set);

#endif
