/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --suggest: what of a program could be on huge pages, from three sources that
 * fill the same record.
 */
#ifndef HL_TOOLS_HUGEADM_SUGGEST_H
#define HL_TOOLS_HUGEADM_SUGGEST_H

#include "hugeadm.h"

#include "system/proc.h"

struct adm_part {
	uint64_t bytes;	 /* as the program has it */
	uint64_t hpages; /* of the default size that it would take */
	/* With what cannot be told to be in small blocks: of a process or an
	 * old report. */
	uint64_t most_hpages;
};

struct adm_demand {
	const struct adm_state *state;
	size_t page_bytes;
	char *program;
	struct adm_part heap, shm, text;
	/* Heap by node (index); all 0 if that could not be seen. */
	uint64_t *node_bytes;
	/* Other processes that it started: how many, the largest heap. */
	uint64_t others, other_hpages;
};

struct adm_range {
	uintptr_t from, to;
	bool brk; /* [heap] */
};

/* hugeadm_demand_malloc.c: what glibc's malloc has in a process. */
struct adm_malloc {
	int mem, pagemap;
	size_t page_bytes;
	bool glibc, other;  /* in the process; another takes over */
	uint64_t window_at; /* of its memory, at most a page; 0: empty */
	unsigned char window[4096];
};
void adm_malloc_open(
	struct adm_malloc *m, const struct hl_root *root, pid_t pid);
void adm_malloc_close(struct adm_malloc *m);
void adm_malloc_see(struct adm_malloc *m, const char *path);
/* It is glibc's that the process uses, and its chunks can be read. */
bool adm_malloc_is_known(const struct adm_malloc *m);
/* Resident bytes that are not large blocks, in private anonymous mappings. */
uint64_t adm_malloc_small(
	struct adm_malloc *m, const struct adm_range *range, size_t n);

/* Adds what a process has now; the larger counts. 0 or -errno. */
int adm_demand_look(struct adm_demand *d, pid_t pid);
/* From a report of hugectl; a status, and has said why. */
int adm_demand_report(struct adm_demand *d, const char *path);
/* Runs the program under hugectl, looks at it on the way. */
int adm_demand_run(struct adm_demand *d, char **argv);

#endif
