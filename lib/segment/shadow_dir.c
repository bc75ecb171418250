/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory of shadows: who may use it, which files of it are stale, how
 * much they hold. Called when a shadow is made, and by hugestat. No lock: files
 * appear whole by rename, and a file that is removed lives on for those who
 * have it mapped.
 */
#include "segment/shadow_dir.h"

#include "base/fmt.h"
#include "base/meta.h"
#include "base/syscall.h"
#include "system/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>

#define TMPFS 0x01021994
/* What is being written has this long. */
#define UNFINISHED_NS ((int64_t)60 * 1000000000)

static int64_t ns_of(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static void close_file(int fd)
{
	(void)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

void hl_shadow_directory(
	char *out, size_t capacity, const char *path, uid_t uid)
{
	struct hl_buf buf;

	hl_buf_init(&buf, out, capacity);
	if (path && path[0] != '\0')
		hl_buf_puts(&buf, path);
	else
		hl_buf_printf(&buf, "/dev/shm/libhugetlbfs2-%u", (unsigned)uid);
}

/* Nobody else may have a say in what is in it. */
static int check_directory(int dir, uid_t uid)
{
	struct statfs fs;
	struct stat st;
	int err = (int)hl_syscall(SYS_fstat, dir, (long)&st, 0, 0, 0, 0);

	if (err)
		return err;
	if (st.st_uid != uid || (st.st_mode & 0077) != 0)
		return -EACCES;
	err = (int)hl_syscall(SYS_fstatfs, dir, (long)&fs, 0, 0, 0, 0);
	if (err)
		return err;
	return fs.f_type == TMPFS ? 0 : -EINVAL;
}

static int open_directory(const char *path, uid_t uid)
{
	long dir = hl_syscall(SYS_openat, AT_FDCWD, (long)path,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0, 0, 0);
	int err;

	if (dir < 0)
		return (int)dir;
	err = check_directory((int)dir, uid);
	if (err) {
		close_file((int)dir);
		return err;
	}
	return (int)dir;
}

int hl_shadow_open_directory(const char *path, uid_t uid, bool make)
{
	int dir = open_directory(path, uid);

	if (dir != -ENOENT || !make)
		return dir;
	(void)hl_syscall(SYS_mkdirat, AT_FDCWD, (long)path, 0700, 0, 0, 0);
	return open_directory(path, uid);
}

bool hl_shadow_same_file(const struct hl_shadow_key *key, const struct stat *st)
{
	return key->device == st->st_dev && key->inode == st->st_ino &&
	       key->file_bytes == (uint64_t)st->st_size &&
	       key->mtime_ns == ns_of(&st->st_mtim) &&
	       key->ctime_ns == ns_of(&st->st_ctim);
}

void hl_shadow_identify(struct hl_shadow_key *key, const struct stat *st)
{
	key->device = st->st_dev;
	key->inode = st->st_ino;
	key->file_bytes = (uint64_t)st->st_size;
	key->mtime_ns = ns_of(&st->st_mtim);
	key->ctime_ns = ns_of(&st->st_ctim);
}

static bool is_stale(const struct hl_shadow_key *key)
{
	struct stat st;

	return hl_syscall(SYS_newfstatat, AT_FDCWD, (long)key->original,
		       (long)&st, 0, 0, 0) != 0 ||
	       !hl_shadow_same_file(key, &st);
}

/* ---- visit ---- */

struct visit {
	int dir;
	uid_t uid;
	int64_t now_ns;
	struct hl_shadow_key *key;
	int (*visit)(const struct hl_shadow *shadow, void *arg);
	void *arg;
};

#define HASH_DIGITS 16u

/*
 * NAME-HASH, or .NAME-HASH.NUMBER while it is written. The directory may be one
 * that the user has other things in: what is not named so is none of ours, and
 * must not be taken for a spoilt shadow.
 */
static bool is_our_name(const char *name)
{
	size_t end = strlen(name), at;

	if (name[0] == '.') {
		at = end;
		while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
			at--;
		if (at == end || at < 2 || name[at - 1] != '.')
			return false;
		end = at - 1;
	}
	if (end < HASH_DIGITS + 1 || name[end - HASH_DIGITS - 1] != '-')
		return false;
	for (at = end - HASH_DIGITS; at < end; at++) {
		char c = name[at];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

static int visit_file(const char *name, void *arg)
{
	struct visit *v = arg;
	struct hl_shadow shadow = {.name = name, .original = ""};
	struct stat st;
	long fd;

	if (!is_our_name(name))
		return 0;
	fd = hl_syscall(SYS_openat, v->dir, (long)name,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
	if (fd < 0)
		return 0;
	if (hl_syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) != 0 ||
		!S_ISREG(st.st_mode)) {
		close_file((int)fd);
		return 0;
	}
	shadow.used_bytes = (uint64_t)st.st_blocks * 512;
	shadow.used_ns = ns_of(&st.st_mtim);
	if (hl_shadow_read_key((int)fd, v->key) == 0 && name[0] != '.') {
		shadow.original = v->key->original;
		shadow.stale = is_stale(v->key);
	} else {
		shadow.stale = v->now_ns - shadow.used_ns > UNFINISHED_NS;
	}
	close_file((int)fd);
	return v->visit(&shadow, v->arg);
}

int hl_shadow_visit(const char *directory, uid_t uid,
	int (*visit)(const struct hl_shadow *shadow, void *arg), void *arg)
{
	struct visit v = {.uid = uid, .visit = visit, .arg = arg};
	struct timespec now = {0};
	int err;

	v.dir = hl_shadow_open_directory(directory, uid, false);
	if (v.dir < 0)
		return v.dir;
	v.key = hl_meta_map(sizeof(*v.key));
	if (!v.key) {
		close_file(v.dir);
		return -ENOMEM;
	}
	(void)hl_syscall(
		SYS_clock_gettime, CLOCK_REALTIME, (long)&now, 0, 0, 0, 0);
	v.now_ns = ns_of(&now);
	err = hl_root_list(&hl_root_real, directory, visit_file, &v);
	hl_meta_unmap(v.key, sizeof(*v.key));
	close_file(v.dir);
	return err;
}

/* ---- making room ---- */

struct census {
	int dir;
	uint64_t sum_bytes;
	int64_t oldest_ns;
	char oldest[256];
};

static int take_census(const struct hl_shadow *shadow, void *arg)
{
	struct census *census = arg;
	struct hl_buf name;

	if (shadow->stale) {
		(void)hl_syscall(SYS_unlinkat, census->dir, (long)shadow->name,
			0, 0, 0, 0);
		return 0;
	}
	census->sum_bytes += shadow->used_bytes;
	if (census->oldest[0] == '\0' || shadow->used_ns < census->oldest_ns) {
		census->oldest_ns = shadow->used_ns;
		hl_buf_init(&name, census->oldest, sizeof(census->oldest));
		hl_buf_puts(&name, shadow->name);
	}
	return 0;
}

/* What the files together may hold: also a quarter of the file system. */
static uint64_t sum_limit(int dir)
{
	struct statfs fs;
	uint64_t limit = HL_SHADOW_SUM_BYTES;

	if (hl_syscall(SYS_fstatfs, dir, (long)&fs, 0, 0, 0, 0) == 0 &&
		fs.f_blocks > 0)
		limit = HL_MIN(limit,
			(uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize / 4);
	return limit;
}

int hl_shadow_make_room(
	const char *directory, uid_t uid, int dir, uint64_t bytes)
{
	uint64_t limit = sum_limit(dir);
	struct census census;

	if (bytes > limit)
		return -ENOSPC;
	for (;;) {
		int err;

		memset(&census, 0, sizeof(census));
		census.dir = dir;
		err = hl_shadow_visit(directory, uid, take_census, &census);
		if (err)
			return err;
		if (census.sum_bytes + bytes <= limit)
			return 0;
		err = (int)hl_syscall(
			SYS_unlinkat, dir, (long)census.oldest, 0, 0, 0, 0);
		if (err && err != -ENOENT)
			return err;
	}
}
