/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rung of the named shadow: find it, check it, or make it; then swap.
 *
 * A process that finds one does not look at the text at all: the kernel maps
 * the huge pages that are there. Of two processes that make the same one at the
 * same time the later takes the other's.
 */
#include "segment/mover.h"
#include "segment/shadow_dir.h"

#include "base/fmt.h"
#include "base/meta.h"
#include "base/syscall.h"
#include "system/os.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>

/* <stdio.h> has it, which has no place here. */
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

struct shadow {
	struct hl_shadow_key key;
	struct hl_shadow_key found;
	struct hl_elf original;
	uid_t uid;
	int dir;
	char directory[HL_SHADOW_PATH];
	char name[128];
	char unfinished[160];
};

static void close_file(int fd)
{
	(void)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* The same address modulo the huge page size in every process. */
static bool is_fixed(const struct hl_mover *m)
{
	return m->object->dlpi_addr % m->huge_bytes == 0 &&
	       (!m->is_main || m->object->dlpi_addr == 0 ||
		       m->plan.align_bytes >= m->huge_bytes);
}

static uint64_t hash_key(const struct hl_shadow_key *key)
{
	const uint8_t *bytes = (const void *)key;
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < sizeof(*key); i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash;
}

/* For people: the program's name, as far as it is harmless, and the hash. */
static void make_name(struct shadow *s)
{
	const char *base = strrchr(s->key.original, '/');
	struct hl_buf buf;

	hl_buf_init(&buf, s->name, sizeof(s->name));
	base = base ? base + 1 : s->key.original;
	for (size_t i = 0; base[i] != '\0' && i < 64; i++) {
		char c = base[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || c == '-' || c == '_' ||
			     (c == '.' && i > 0);

		hl_buf_putc(&buf, plain ? c : '_');
	}
	hl_buf_printf(&buf, "-%016lx", (unsigned long)hash_key(&s->key));
	hl_buf_init(&buf, s->unfinished, sizeof(s->unfinished));
	hl_buf_printf(&buf, ".%s.%d", s->name,
		(int)hl_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0));
}

/* A debug file that comes later makes for a shadow with names. */
static void identify_names(struct shadow *s)
{
	int fd = hl_elf_debug_file(&s->original);
	struct stat st;

	if (fd < 0)
		return;
	if (hl_syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) == 0) {
		s->key.debug_inode = st.st_ino;
		s->key.debug_mtime_ns =
			(int64_t)st.st_mtim.tv_sec * 1000000000 +
			st.st_mtim.tv_nsec;
	}
	close_file(fd);
}

static int make_key(
	struct hl_mover *m, struct shadow *s, uintptr_t from, uintptr_t to)
{
	struct hl_shadow_key *key = &s->key;
	uintptr_t bias = m->object->dlpi_addr;
	uint64_t first = hl_align_down(m->plan.from - bias, m->huge_bytes);
	char link[32];
	struct hl_buf buf;
	struct stat st;
	long n;

	if (hl_syscall(SYS_fstat, m->source.fd, (long)&st, 0, 0, 0, 0) != 0)
		return -EIO;
	key->magic = HL_SHADOW_MAGIC;
	key->version = HL_SHADOW_VERSION;
	hl_shadow_identify(key, &st);
	key->huge_bytes = m->huge_bytes;
	key->from = from - bias;
	key->to = to - bias;
	key->offset = HL_MAX(from, m->piece->from) - m->source.delta;
	/* Never at the start, where the headers are. */
	key->placed = key->from - first;
	if (key->placed == 0)
		key->placed = m->huge_bytes;
	key->build_id_bytes = (uint32_t)hl_elf_build_id(
		&s->original, key->build_id, sizeof(key->build_id));
	identify_names(s);
	hl_buf_init(&buf, link, sizeof(link));
	hl_buf_printf(&buf, "/proc/self/fd/%d", m->source.fd);
	n = hl_syscall(SYS_readlinkat, AT_FDCWD, (long)link,
		(long)key->original, sizeof(key->original), 0, 0);
	if (n <= 0 || n >= (long)sizeof(key->original))
		return -ENAMETOOLONG;
	key->original[n] = '\0';
	make_name(s);
	return 0;
}

/* ---- an existing one ---- */

static bool is_sound(struct shadow *s, int fd)
{
	struct stat st;

	return hl_syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) == 0 &&
	       S_ISREG(st.st_mode) && st.st_uid == s->uid &&
	       (st.st_mode & 07777) == 0500 && st.st_nlink == 1 &&
	       (uint64_t)st.st_size >=
		       s->key.placed + (s->key.to - s->key.from) &&
	       hl_shadow_read_key(fd, &s->found) == 0 &&
	       memcmp(&s->found, &s->key, sizeof(s->key)) == 0;
}

/* A descriptor, or -errno. What is not sound goes. */
static int find(struct shadow *s)
{
	const struct timespec touched[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
	long fd = hl_syscall(SYS_openat, s->dir, (long)s->name,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0, 0, 0);

	if (fd < 0)
		return (int)fd;
	if (!is_sound(s, (int)fd)) {
		close_file((int)fd);
		(void)hl_syscall(
			SYS_unlinkat, s->dir, (long)s->name, 0, 0, 0, 0);
		return -ENOENT;
	}
	(void)hl_syscall(SYS_utimensat, fd, 0, (long)touched, 0, 0, 0);
	return (int)fd;
}

/* ---- a new one ---- */

static int fill(struct hl_mover *m, struct shadow *s, int fd, uintptr_t from,
	size_t bytes)
{
	size_t filled;
	int err;

	err = (int)hl_syscall(
		SYS_ftruncate, fd, (long)(s->key.placed + bytes), 0, 0, 0, 0);
	if (err == 0)
		err = hl_place_fill(m, fd, s->key.placed, from, bytes, &filled);
	if (err == 0)
		err = hl_shadow_write_elf(fd, &s->key, &s->original);
	/* Now it is known how much the names take; it may be its own turn. */
	if (err == 0)
		err = hl_shadow_make_room(s->directory, s->uid, s->dir, 0);
	if (err == 0)
		err = (int)hl_syscall(SYS_fchmod, fd, 0500, 0, 0, 0, 0);
	if (err == 0)
		err = (int)hl_syscall(SYS_renameat2, s->dir,
			(long)s->unfinished, s->dir, (long)s->name,
			RENAME_NOREPLACE, 0);
	return err;
}

static int make(
	struct hl_mover *m, struct shadow *s, uintptr_t from, uintptr_t to)
{
	size_t bytes = to - from;
	long fd;
	/* The tables take some more; mostly they are small beside the text. */
	int err = hl_shadow_make_room(
		s->directory, s->uid, s->dir, bytes + bytes / 4);

	if (err)
		return err;
	fd = hl_syscall(SYS_openat, s->dir, (long)s->unfinished,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600, 0, 0);
	if (fd < 0)
		return (int)fd;
	err = fill(m, s, (int)fd, from, bytes);
	close_file((int)fd);
	if (err) {
		(void)hl_syscall(
			SYS_unlinkat, s->dir, (long)s->unfinished, 0, 0, 0, 0);
		/* Another process was quicker: there shall be one copy. */
		if (err != -EEXIST)
			return err;
	}
	/* Anew, and only for reading. */
	return find(s);
}

/* ---- the rung ---- */

static int map(struct hl_mover *m, struct shadow *s, int fd, uintptr_t from,
	uintptr_t to)
{
	char *at;
	int err = hl_place_text(
		m, fd, s->key.placed, to - from, m->huge_bytes, &at);

	if (err)
		return err;
	err = hl_place_swap(at, from, to - from);
	if (err)
		(void)hl_os->munmap(at, to - from);
	else
		hl_mover_done(m, from, to);
	return err;
}

static int use(
	struct hl_mover *m, struct shadow *s, uintptr_t from, uintptr_t to)
{
	int err = make_key(m, s, from, to);
	int fd;

	if (err)
		return err;
	fd = find(s);
	if (fd < 0)
		fd = make(m, s, from, to);
	if (fd < 0)
		return fd;
	err = map(m, s, fd, from, to);
	close_file(fd);
	return err;
}

static int open_and_use(
	struct hl_mover *m, struct shadow *s, uintptr_t from, uintptr_t to)
{
	int err = hl_elf_open(&s->original, m->source.fd);

	if (err)
		return err;
	s->uid = (uid_t)hl_syscall(SYS_geteuid, 0, 0, 0, 0, 0, 0);
	hl_shadow_directory(s->directory, sizeof(s->directory),
		m->want->share_path, s->uid);
	s->dir = hl_shadow_open_directory(s->directory, s->uid, true);
	if (s->dir < 0) {
		err = s->dir;
	} else {
		err = use(m, s, from, to);
		close_file(s->dir);
	}
	hl_elf_close(&s->original);
	return err;
}

int hl_rung_shared(struct hl_mover *m, uintptr_t from, uintptr_t to)
{
	struct shadow *s;
	int err;

	if (m->want->no_shared || !m->source.intact || m->source.fd < 0 ||
		!is_fixed(m) || getauxval(AT_SECURE) != 0)
		return -EINVAL;
	s = hl_meta_map(sizeof(*s));
	if (!s)
		return -ENOMEM;
	err = open_and_use(m, s, from, to);
	hl_meta_unmap(s, sizeof(*s));
	return err;
}
