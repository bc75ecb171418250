/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside segment/: the directory of shadows. */
#ifndef HL_SEGMENT_SHADOW_DIR_H
#define HL_SEGMENT_SHADOW_DIR_H

#include "segment/shadow.h"

#include <sys/stat.h>

/* A descriptor, or -errno: -EACCES not the user's own, -EINVAL not tmpfs. */
int hl_shadow_open_directory(const char *path, uid_t uid, bool make);
/* Stale files go, and the least recently used beyond the limit. */
int hl_shadow_make_room(
	const char *directory, uid_t uid, int dir, uint64_t bytes);
/* The original's identity, but for its build-id. */
void hl_shadow_identify(struct hl_shadow_key *key, const struct stat *st);
bool hl_shadow_same_file(
	const struct hl_shadow_key *key, const struct stat *st);

#endif
