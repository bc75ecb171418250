/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See elf_file.h. Headers are read, checked for their bounds, and kept; the
 * rest of the file is not looked at.
 */
#include "elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *read_headers(struct elf_file *f)
{
	size_t bytes;

	if (pread(f->fd, &f->ehdr, sizeof(f->ehdr), 0) !=
			(ssize_t)sizeof(f->ehdr) ||
		memcmp(f->ehdr.e_ident, ELFMAG, SELFMAG) != 0)
		return "not an ELF file";
	if (f->ehdr.e_ident[EI_CLASS] != ELFCLASS64)
		return "not a 64-bit program";
	if (f->ehdr.e_ident[EI_DATA] !=
		(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB
							   : ELFDATA2MSB))
		return "not for a machine of this byte order";
	if (f->ehdr.e_type != ET_EXEC && f->ehdr.e_type != ET_DYN)
		return "neither a program nor a shared object";
	if (f->ehdr.e_phentsize != sizeof(Elf64_Phdr) || f->ehdr.e_phnum == 0 ||
		f->ehdr.e_phnum == PN_XNUM)
		return "without program headers";
	bytes = f->ehdr.e_phnum * sizeof(Elf64_Phdr);
	f->phdr = malloc(bytes);
	if (!f->phdr)
		return "out of memory";
	if (f->ehdr.e_phoff > INT64_MAX ||
		pread(f->fd, f->phdr, bytes, (off_t)f->ehdr.e_phoff) !=
			(ssize_t)bytes)
		return "cut off in its program headers";
	f->count = f->ehdr.e_phnum;
	for (size_t i = 0; i < f->count; i++) {
		const Elf64_Phdr *p = &f->phdr[i];
		uint64_t bytes_there = (uint64_t)f->st.st_size;

		if (p->p_type == PT_LOAD &&
			(p->p_offset > bytes_there ||
				p->p_filesz > bytes_there - p->p_offset))
			return "cut off: its segments go beyond the end of the "
			       "file";
	}
	return NULL;
}

/* DF_1_PIE tells a program from a shared object that can be executed. */
static bool has_pie_flag(const struct elf_file *f, const Elf64_Phdr *dynamic)
{
	Elf64_Dyn entry;

	for (uint64_t i = 0; i + sizeof(entry) <= dynamic->p_filesz;
		i += sizeof(entry)) {
		if (pread(f->fd, &entry, sizeof(entry),
			    (off_t)(dynamic->p_offset + i)) !=
				(ssize_t)sizeof(entry) ||
			entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag == DT_FLAGS_1)
			return (entry.d_un.d_val & DF_1_PIE) != 0;
	}
	return false;
}

const char *elf_file_open(struct elf_file *f, const char *path, int flags)
{
	const char *why;

	memset(f, 0, sizeof(*f));
	/* Of a fifo the open would wait for its other end. */
	f->fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f->fd < 0)
		return strerror(errno);
	if (fstat(f->fd, &f->st) != 0)
		why = strerror(errno);
	else if (!S_ISREG(f->st.st_mode))
		why = "not a regular file";
	else
		why = read_headers(f);
	if (why) {
		elf_file_close(f);
		return why;
	}
	for (size_t i = 0; i < f->count; i++) {
		if (f->phdr[i].p_type == PT_INTERP)
			f->has_interpreter = true;
		if (f->phdr[i].p_type == PT_DYNAMIC && f->ehdr.e_type == ET_DYN)
			f->is_pie_program = has_pie_flag(f, &f->phdr[i]);
	}
	f->is_static = !f->has_interpreter &&
		       (f->ehdr.e_type == ET_EXEC || f->is_pie_program);
	/* Linkers before the flag: a shared object rarely has both. */
	f->is_pie_program = f->is_pie_program && f->has_interpreter;
	return NULL;
}

void elf_file_close(struct elf_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->phdr);
	f->fd = -1;
	f->phdr = NULL;
}

/* Shared objects are placed on a huge page border by recent kernels. */
static size_t load_align(const struct elf_file *f, size_t base_bytes,
	size_t huge_bytes, size_t align_bytes)
{
	if (align_bytes != 0)
		return align_bytes;
	if (f->ehdr.e_type == ET_EXEC || !f->is_pie_program)
		return huge_bytes;
	for (size_t i = 0; i < f->count; i++) {
		if (f->phdr[i].p_type == PT_LOAD &&
			hl_is_pow2(f->phdr[i].p_align))
			base_bytes = HL_MAX(base_bytes, f->phdr[i].p_align);
	}
	return HL_MIN(base_bytes, huge_bytes);
}

int elf_file_prospect(const struct elf_file *f, enum hl_piece_kind kind,
	size_t base_bytes, size_t huge_bytes, size_t align_bytes,
	struct elf_prospect *out)
{
	size_t step = load_align(f, base_bytes, huge_bytes, align_bytes);
	/* Any place will do but 0, which no program is at. */
	uintptr_t first = f->ehdr.e_type == ET_EXEC ? 0 : 16 * huge_bytes;
	struct elf_prospect r = {
		.least_huge = UINT64_MAX, .placed = step == huge_bytes};

	for (size_t i = 0; i < huge_bytes / step; i++) {
		struct hl_plan plan;
		uint64_t huge;
		int err = hl_plan_make(&plan, f->phdr, f->count,
			first + i * step, base_bytes, huge_bytes);

		if (err)
			return err;
		/* What was linked for huge pages moves with its gaps. */
		for (unsigned k = 0; k < plan.pieces; k++) {
			if (kind == HL_PIECE_TEXT &&
				plan.align_bytes >= huge_bytes)
				hl_piece_stretch(&plan.piece[k], huge_bytes);
		}
		hl_plan_sum(&plan, kind, &r.bytes, &huge);
		huge = HL_MIN(huge, r.bytes);
		r.least_huge = HL_MIN(r.least_huge, huge);
		r.most_huge = HL_MAX(r.most_huge, huge);
	}
	*out = r;
	return 0;
}
