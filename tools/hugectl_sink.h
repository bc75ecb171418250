/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a report goes: standard error, standard output, or a file that appears
 * whole or not at all.
 */
#ifndef HL_TOOLS_HUGECTL_SINK_H
#define HL_TOOLS_HUGECTL_SINK_H

#include "base/base.h"

struct sink {
	int fd;
	char *temporary; /* to be renamed; NULL: written in place */
	char *name;
};

/*
 * The descriptor that open() and the like returned, moved if it is where a
 * closed standard stream was: messages would go into it. -errno, if it is none.
 */
int sink_above_standard(int fd);
/* True if the name has %p, and so means a file per process. */
bool sink_is_per_process(const char *name);
/*
 * name: NULL for standard error, "-" for standard output, else a file with %p
 * for pid and %% for a percent sign. 0 or -errno.
 */
int sink_open(struct sink *sink, const char *name, int32_t pid);
/* err: of the writing; then nothing appears. Returns err, or an error of its
 * own. */
int sink_close(struct sink *sink, int err);

#endif
