/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /tmp/perf-PID.map: how profilers are told the names of functions in memory
 * that is of no file. Lines "address length name", in hexadecimal, as JIT
 * compilers write them, to whose lines ours are added.
 *
 * The name of the file is known to everybody, so it is opened without following
 * links and used only if it is the user's own.
 */
#include "segment/elf_symbols.h"
#include "segment/mover.h"

#include "base/fmt.h"
#include "base/syscall.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_map(void)
{
	char path[64];
	struct hl_buf name;
	struct stat st;
	long fd;

	hl_buf_init(&name, path, sizeof(path));
	hl_buf_printf(&name, "/tmp/perf-%d.map",
		(int)hl_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0));
	fd = hl_syscall(SYS_openat, AT_FDCWD, (long)path,
		O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC |
			O_NONBLOCK,
		0644, 0, 0);
	if (fd < 0)
		return (int)fd;
	if (hl_syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) == 0 &&
		S_ISREG(st.st_mode) && st.st_nlink == 1 &&
		st.st_uid == (uid_t)hl_syscall(SYS_geteuid, 0, 0, 0, 0, 0, 0))
		return (int)fd;
	(void)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return -1;
}

static void write_symbols(struct hl_mover *m, int fd,
	const struct hl_elf_symbols *s, uintptr_t from, uintptr_t to)
{
	uintptr_t bias = m->object->dlpi_addr;
	struct hl_buf out;

	hl_buf_init(&out, m->scratch, sizeof(m->scratch));
	for (size_t i = 1; i < s->count; i++) {
		const Elf64_Sym *sym = &s->symbol[i];
		size_t before = out.length;

		if (!hl_elf_is_function(sym, from - bias, to - bias) ||
			sym->st_name >= s->strings_bytes)
			continue;
		hl_buf_printf(&out, "%lx %lx %s\n",
			(unsigned long)(bias + sym->st_value),
			(unsigned long)HL_MAX(sym->st_size, (uint64_t)1),
			s->strings + sym->st_name);
		if (out.truncated)
			out.length = before;
		if (out.truncated || out.length > sizeof(m->scratch) / 2) {
			(void)hl_write_all(fd, out.data, out.length);
			hl_buf_init(&out, m->scratch, sizeof(m->scratch));
		}
	}
	(void)hl_write_all(fd, out.data, out.length);
}

void hl_perfmap_write(struct hl_mover *m, uintptr_t from, uintptr_t to)
{
	struct hl_elf_symbols symbols;
	struct hl_elf elf;
	int fd;

	if (m->source.fd < 0 || hl_elf_open(&elf, m->source.fd))
		return;
	if (hl_elf_symbols(&elf, &symbols) == 0) {
		fd = open_map();
		if (fd >= 0) {
			write_symbols(m, fd, &symbols, from, to);
			(void)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
		}
		hl_elf_symbols_free(&symbols);
	}
	hl_elf_close(&elf);
}
