/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --suggest: what of a program could be on huge pages, from three sources that
 * fill the same record.
 */
#ifndef HL_TOOLS_HUGEADM_SUGGEST_H
#define HL_TOOLS_HUGEADM_SUGGEST_H

#include "hugeadm.h"

struct adm_part {
	uint64_t bytes;	 /* as the program has it */
	uint64_t hpages; /* of the default size that it would take */
	/* With large blocks, which stay on THP until the heap has learned that
	 * they are used as a whole, and only if the pool is far larger. */
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

/* Adds what a process has now; the larger counts. 0 or -errno. */
int adm_demand_look(struct adm_demand *d, pid_t pid);
/* From a report of hugectl; a status, and has said why. */
int adm_demand_report(struct adm_demand *d, const char *path);
/* Runs the program under hugectl, looks at it on the way. */
int adm_demand_run(struct adm_demand *d, char **argv);

#endif
