/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For hugeedit and hugectl --explain: the program headers of an ELF file, and
 * what of its segments would come to stand on huge pages once it is loaded.
 */
#ifndef HL_TOOLS_ELF_FILE_H
#define HL_TOOLS_ELF_FILE_H

#include "segment/plan.h"

#include <elf.h>
#include <sys/stat.h>

struct elf_file {
	int fd;
	struct stat st;
	Elf64_Ehdr ehdr;
	Elf64_Phdr *phdr;
	size_t count;
	bool has_interpreter;
	bool is_pie_program; /* ET_DYN and made to be executed */
	bool is_static;	     /* a program that no loader adds anything to */
};

/* NULL, or one line why the file is none that can be looked at. */
const char *elf_file_open(struct elf_file *f, const char *path, int flags);
void elf_file_close(struct elf_file *f);

/* Where the loader puts it decides how many whole huge pages there are. */
struct elf_prospect {
	uint64_t bytes;	     /* of the kind */
	uint64_t least_huge; /* over all places where it may be loaded */
	uint64_t most_huge;
	bool placed; /* always in the same place modulo the huge page size */
};
/* align_bytes: of the load address; 0: as its headers say. */
int elf_file_prospect(const struct elf_file *f, enum hl_piece_kind kind,
	size_t base_bytes, size_t huge_bytes, size_t align_bytes,
	struct elf_prospect *out);

#endif
