/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside segment/: sections of an ELF file that is open for reading, copied
 * into memory of our own: a mapping of the file could die under us. Nothing in
 * the file is believed: every offset is checked against its length.
 */
#ifndef HL_SEGMENT_ELF_SYMBOLS_H
#define HL_SEGMENT_ELF_SYMBOLS_H

#include "base/base.h"

#include <elf.h>

struct hl_elf {
	int fd;
	uint64_t file_bytes;
	Elf64_Ehdr ehdr;
	Elf64_Shdr *sections; /* NULL: none that could be read */
	size_t count;
	char *names; /* of sections, NUL-terminated */
	size_t names_bytes;
};

struct hl_elf_symbols {
	Elf64_Sym *symbol;
	size_t count;
	char *strings; /* NUL-terminated */
	size_t strings_bytes;
};

/* Reads headers; 0 or -errno (-ENOEXEC: not a 64-bit ELF file). */
int hl_elf_open(struct hl_elf *elf, int fd);
void hl_elf_close(struct hl_elf *elf);
/* NULL if there is none of that name. */
const Elf64_Shdr *hl_elf_section(const struct hl_elf *elf, const char *name);
/*
 * .symtab, else that of the separate debug file, else .dynsym; -ENOENT without
 * any.
 */
int hl_elf_symbols(const struct hl_elf *elf, struct hl_elf_symbols *out);
void hl_elf_symbols_free(struct hl_elf_symbols *symbols);
/*
 * Of a file without .symtab: a descriptor of the separate file that has it, of
 * the same build-id (debug_file.c); -ENOENT: none.
 */
int hl_elf_debug_file(const struct hl_elf *elf);
/* The build-id of a note section; returns its length, 0 if there is none. */
size_t hl_elf_build_id(const struct hl_elf *elf, uint8_t *out, size_t capacity);
/* [offset, offset + bytes) of the file, all of it: 0 or -errno. */
int hl_elf_read(
	const struct hl_elf *elf, void *to, uint64_t offset, size_t bytes);
/* Functions, at link addresses [from, to). */
bool hl_elf_is_function(const Elf64_Sym *symbol, uint64_t from, uint64_t to);

#endif
