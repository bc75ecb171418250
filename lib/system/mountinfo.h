/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line of /proc/self/mountinfo, for mount.c and cgroup.c. Pure text: no
 * system call, no lock.
 */
#ifndef HL_SYSTEM_MOUNTINFO_H
#define HL_SYSTEM_MOUNTINFO_H

#include "base/base.h"

/* Fields point into the line and are NUL-terminated; paths are unescaped. */
struct hl_mountinfo {
	char *root;	     /* directory of the file system that is mounted */
	char *path;	     /* where */
	char *options;	     /* of the mount */
	char *type;	     /* file system */
	char *super_options; /* of the file system */
};

/*
 * Whether the line is of a file system of that type, without touching it: most
 * lines are of no interest, and there may be hundreds.
 */
bool hl_mountinfo_is_type(const char *line, const char *type);

/* Takes the line apart in place. False: not such a line, or cut short. */
bool hl_mountinfo_parse(char *line, struct hl_mountinfo *out);

/* A name as mount tables write it, in place: "a\040b" is "a b". */
void hl_mountinfo_unescape(char *text);

/*
 * The value of an option in a comma list ("" for one without a value): true
 * and its start and length.
 */
bool hl_mountinfo_option(const char *options, const char *name,
	const char **value, size_t *length);

#endif
