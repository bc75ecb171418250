/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See elf_symbols.h. Called when a shadow is made, or a perf map written; no
 * state, no lock. Tables beyond a limit are left out: they are for people.
 */
#include "segment/elf_symbols.h"

#include "base/meta.h"
#include "base/syscall.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define TABLE_MAX (256 * HL_MIB)

int hl_elf_read(
	const struct hl_elf *elf, void *to, uint64_t offset, size_t bytes)
{
	char *at = to;

	if (offset > elf->file_bytes || bytes > elf->file_bytes - offset)
		return -ENOEXEC;
	while (bytes > 0) {
		long n = hl_syscall(SYS_pread64, elf->fd, (long)at, (long)bytes,
			(long)offset, 0, 0);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -ENOEXEC;
		at += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

/* Memory with the contents, and a NUL behind them. */
static int read_table(
	const struct hl_elf *elf, uint64_t offset, uint64_t bytes, void **out)
{
	char *table;
	int err;

	if (bytes == 0 || bytes > TABLE_MAX)
		return -ENOEXEC;
	table = hl_meta_map(bytes + 1);
	if (!table)
		return -ENOMEM;
	err = hl_elf_read(elf, table, offset, bytes);
	if (err) {
		hl_meta_unmap(table, bytes + 1);
		return err;
	}
	*out = table;
	return 0;
}

static int read_sections(struct hl_elf *elf)
{
	const Elf64_Ehdr *e = &elf->ehdr;
	const Elf64_Shdr *names;
	void *table;
	int err;

	if (e->e_shentsize != sizeof(Elf64_Shdr) || e->e_shnum == 0 ||
		e->e_shstrndx >= e->e_shnum)
		return -ENOENT;
	err = read_table(elf, e->e_shoff,
		(uint64_t)e->e_shnum * sizeof(Elf64_Shdr), &table);
	if (err)
		return err;
	elf->sections = table;
	elf->count = e->e_shnum;
	names = &elf->sections[e->e_shstrndx];
	err = read_table(elf, names->sh_offset, names->sh_size, &table);
	if (err)
		return err;
	elf->names = table;
	elf->names_bytes = names->sh_size;
	return 0;
}

int hl_elf_open(struct hl_elf *elf, int fd)
{
	struct stat st;
	int err = (int)hl_syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0);

	memset(elf, 0, sizeof(*elf));
	if (err)
		return err;
	elf->fd = fd;
	elf->file_bytes = (uint64_t)st.st_size;
	err = hl_elf_read(elf, &elf->ehdr, 0, sizeof(elf->ehdr));
	if (err)
		return err;
	if (memcmp(elf->ehdr.e_ident, ELFMAG, SELFMAG) != 0 ||
		elf->ehdr.e_ident[EI_CLASS] != ELFCLASS64)
		return -ENOEXEC;
	if (read_sections(elf))
		hl_elf_close(elf);
	return 0;
}

void hl_elf_close(struct hl_elf *elf)
{
	if (elf->sections)
		hl_meta_unmap(
			elf->sections, elf->count * sizeof(Elf64_Shdr) + 1);
	if (elf->names)
		hl_meta_unmap(elf->names, elf->names_bytes + 1);
	elf->sections = NULL;
	elf->names = NULL;
	elf->count = elf->names_bytes = 0;
}

const Elf64_Shdr *hl_elf_section(const struct hl_elf *elf, const char *name)
{
	for (size_t i = 1; i < elf->count; i++) {
		const Elf64_Shdr *s = &elf->sections[i];

		if (elf->names && s->sh_name < elf->names_bytes &&
			strcmp(elf->names + s->sh_name, name) == 0)
			return s;
	}
	return NULL;
}

static const Elf64_Shdr *find_symbols(const struct hl_elf *elf, uint32_t type)
{
	for (size_t i = 1; i < elf->count; i++) {
		const Elf64_Shdr *s = &elf->sections[i];

		if (s->sh_type == type && s->sh_entsize == sizeof(Elf64_Sym) &&
			s->sh_size >= 2 * sizeof(Elf64_Sym) &&
			s->sh_link < elf->count)
			return s;
	}
	return NULL;
}

static int read_symbols(
	const struct hl_elf *elf, uint32_t type, struct hl_elf_symbols *out)
{
	const Elf64_Shdr *table = find_symbols(elf, type), *strings;
	struct hl_elf_symbols r;
	void *p;
	int err;

	if (!table)
		return -ENOENT;
	strings = &elf->sections[table->sh_link];
	r.count = table->sh_size / sizeof(Elf64_Sym);
	r.strings_bytes = strings->sh_size;
	err = read_table(
		elf, table->sh_offset, r.count * sizeof(Elf64_Sym), &p);
	if (err)
		return err;
	r.symbol = p;
	err = read_table(elf, strings->sh_offset, strings->sh_size, &p);
	if (err) {
		hl_meta_unmap(r.symbol, r.count * sizeof(Elf64_Sym) + 1);
		return err;
	}
	r.strings = p;
	*out = r;
	return 0;
}

static int separate_symbols(
	const struct hl_elf *elf, struct hl_elf_symbols *out)
{
	struct hl_elf debug;
	int fd = hl_elf_debug_file(elf);
	int err;

	if (fd < 0)
		return fd;
	err = hl_elf_open(&debug, fd);
	if (err == 0) {
		err = read_symbols(&debug, SHT_SYMTAB, out);
		hl_elf_close(&debug);
	}
	(void)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return err;
}

int hl_elf_symbols(const struct hl_elf *elf, struct hl_elf_symbols *out)
{
	if (read_symbols(elf, SHT_SYMTAB, out) == 0 ||
		separate_symbols(elf, out) == 0)
		return 0;
	return read_symbols(elf, SHT_DYNSYM, out);
}

void hl_elf_symbols_free(struct hl_elf_symbols *symbols)
{
	hl_meta_unmap(symbols->symbol, symbols->count * sizeof(Elf64_Sym) + 1);
	hl_meta_unmap(symbols->strings, symbols->strings_bytes + 1);
}

size_t hl_elf_build_id(const struct hl_elf *elf, uint8_t *out, size_t capacity)
{
	const Elf64_Shdr *s = hl_elf_section(elf, ".note.gnu.build-id");
	struct {
		Elf64_Nhdr head;
		char name[4];
		uint8_t id[64];
	} note;
	size_t bytes;

	if (!s || s->sh_size > sizeof(note) || s->sh_size < 16)
		return 0;
	if (hl_elf_read(elf, &note, s->sh_offset, s->sh_size))
		return 0;
	bytes = note.head.n_descsz;
	if (note.head.n_namesz != 4 || memcmp(note.name, "GNU", 4) != 0 ||
		bytes > s->sh_size - 16 || bytes > capacity)
		return 0;
	memcpy(out, note.id, bytes);
	return bytes;
}

bool hl_elf_is_function(const Elf64_Sym *symbol, uint64_t from, uint64_t to)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);

	return (type == STT_FUNC || type == STT_GNU_IFUNC) &&
	       symbol->st_shndx != SHN_UNDEF && symbol->st_value >= from &&
	       symbol->st_value < to;
}
