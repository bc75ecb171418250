/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file with the symbols that were taken out of a program: by its build-id,
 * or by the name in .gnu_debuglink, where debuggers look as well. It counts
 * only if it has the program's build-id: a checksum would mean to read all of
 * it.
 */
#include "segment/elf_symbols.h"

#include "base/fmt.h"
#include "base/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#define DEBUG_ROOT "/usr/lib/debug"
#define ID_BYTES   64
#define PATH_BYTES 1024

static bool has_symtab(const struct hl_elf *elf)
{
	for (size_t i = 1; i < elf->count; i++) {
		if (elf->sections[i].sh_type == SHT_SYMTAB)
			return true;
	}
	return false;
}

static bool belongs(int fd, const uint8_t *id, size_t bytes)
{
	uint8_t other[ID_BYTES];
	struct hl_elf elf;
	bool same;

	if (hl_elf_open(&elf, fd))
		return false;
	same = has_symtab(&elf) &&
	       hl_elf_build_id(&elf, other, sizeof(other)) == bytes &&
	       memcmp(other, id, bytes) == 0;
	hl_elf_close(&elf);
	return same;
}

/* The path in the buffer; -1 if it is not the one. */
static int try(const struct hl_buf *path, const uint8_t *id, size_t bytes)
{
	long fd;

	if (path->truncated)
		return -1;
	fd = hl_syscall(SYS_openat, AT_FDCWD, (long)path->data,
		O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
	if (fd < 0 || belongs((int)fd, id, bytes))
		return (int)fd;
	(void)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return -1;
}

static int by_build_id(const uint8_t *id, size_t bytes)
{
	char path[PATH_BYTES];
	struct hl_buf buf;

	hl_buf_init(&buf, path, sizeof(path));
	hl_buf_printf(&buf, DEBUG_ROOT "/.build-id/%02x/", id[0]);
	for (size_t i = 1; i < bytes; i++)
		hl_buf_printf(&buf, "%02x", id[i]);
	hl_buf_puts(&buf, ".debug");
	return try(&buf, id, bytes);
}

/* A plain file name, from the section: false if there is none. */
static bool read_link(const struct hl_elf *elf, char *name, size_t capacity)
{
	const Elf64_Shdr *s = hl_elf_section(elf, ".gnu_debuglink");

	if (!s || s->sh_size < 2 || s->sh_size > capacity ||
		hl_elf_read(elf, name, s->sh_offset, s->sh_size))
		return false;
	name[s->sh_size - 1] = '\0';
	return name[0] != '\0' && strchr(name, '/') == NULL;
}

/* Of the directory that the file was opened in; false: not to be known. */
static bool read_directory(const struct hl_elf *elf, char *out, size_t capacity)
{
	char link[32];
	struct hl_buf buf;
	char *slash;
	long n;

	hl_buf_init(&buf, link, sizeof(link));
	hl_buf_printf(&buf, "/proc/self/fd/%d", elf->fd);
	n = hl_syscall(SYS_readlinkat, AT_FDCWD, (long)link, (long)out,
		(long)capacity, 0, 0);
	if (n <= 0 || n >= (long)capacity)
		return false;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

static int by_link(const struct hl_elf *elf, const uint8_t *id, size_t bytes)
{
	static const char *const places[][2] = {
		{"", "/"}, {"", "/.debug/"}, {DEBUG_ROOT, "/"}};
	char name[256], directory[PATH_BYTES], path[PATH_BYTES];
	struct hl_buf buf;
	int fd = -1;

	if (!read_link(elf, name, sizeof(name)) ||
		!read_directory(elf, directory, sizeof(directory)))
		return -1;
	for (size_t i = 0; fd < 0 && i < HL_ARRAY_SIZE(places); i++) {
		hl_buf_init(&buf, path, sizeof(path));
		hl_buf_printf(&buf, "%s%s%s%s", places[i][0], directory,
			places[i][1], name);
		fd = try(&buf, id, bytes);
	}
	return fd;
}

int hl_elf_debug_file(const struct hl_elf *elf)
{
	uint8_t id[ID_BYTES];
	size_t bytes;
	int fd;

	if (has_symtab(elf))
		return -ENOENT;
	bytes = hl_elf_build_id(elf, id, sizeof(id));
	if (bytes < 2)
		return -ENOENT;
	fd = by_build_id(id, bytes);
	if (fd < 0)
		fd = by_link(elf, id, bytes);
	return fd < 0 ? -ENOENT : fd;
}
