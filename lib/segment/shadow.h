/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Named shadows: text on huge pages in a file on tmpfs, one for all processes
 * of a user that run it at the same address modulo the huge page size.
 *
 * The directory is the user's own (0700), the files 0500, made under another
 * name and renamed. A file is used only if it is exactly what would be made
 * now: its key has the identity of the original (device, inode, size, times,
 * build-id) and the place of the text. Stale ones are removed when a new one is
 * made, and the least recently used ones beyond HL_SHADOW_SUM_BYTES.
 */
#ifndef HL_SEGMENT_SHADOW_H
#define HL_SEGMENT_SHADOW_H

#include "segment/elf_symbols.h"

#include <sys/types.h>

#define HL_SHADOW_MAGIC	    0x776f646168736c68u /* "hlshadow" */
#define HL_SHADOW_VERSION   2u
#define HL_SHADOW_SUM_BYTES HL_GIB
#define HL_SHADOW_ID_BYTES  20
#define HL_SHADOW_PATH	    1024

struct hl_shadow_key {
	uint64_t magic;
	uint32_t version;
	uint32_t build_id_bytes;
	uint64_t device, inode, file_bytes;
	int64_t mtime_ns, ctime_ns;
	uint64_t huge_bytes;
	uint64_t from, to; /* link addresses of the text, whole huge pages */
	uint64_t offset;   /* of it in the original */
	uint64_t placed;   /* of it in the shadow */
	/* Where the names come from, if not from the original. */
	uint64_t debug_inode;
	int64_t debug_mtime_ns;
	uint8_t build_id[64];
	char original[HL_SHADOW_PATH]; /* path of the original */
};

/* What a visit of the directory tells. */
struct hl_shadow {
	const char *name;     /* in the directory */
	const char *original; /* "" if the file is not one of ours */
	uint64_t used_bytes;  /* on tmpfs */
	int64_t used_ns;      /* last use, CLOCK_REALTIME */
	bool stale;	      /* no process will use it again */
};

/* The default directory of a user, or `path` if that is not empty. */
void hl_shadow_directory(
	char *out, size_t capacity, const char *path, uid_t uid);
/*
 * Calls visit for each file of the directory; nonzero stops, and is returned.
 * -ENOENT without a directory, -EACCES if it is not the user's own.
 */
int hl_shadow_visit(const char *directory, uid_t uid,
	int (*visit)(const struct hl_shadow *shadow, void *arg), void *arg);

/* ---- inside segment/ ---- */

/* Writes all of a shadow but the text itself. shadow_elf.c. */
int hl_shadow_write_elf(
	int fd, const struct hl_shadow_key *key, const struct hl_elf *original);
/* Reads the key of a shadow back; 0, or -errno: it is none. */
int hl_shadow_read_key(int fd, struct hl_shadow_key *key);

#endif
