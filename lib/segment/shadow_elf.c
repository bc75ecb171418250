/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A shadow is a proper ELF file, for profilers that look at the mapping of a
 * running process: one PT_LOAD with the text, its function symbols, its
 * unwind tables, and a build-id of its own. The original's build-id would have
 * profilers take the original's layout for the shadow's.
 *
 * Whatever has an address lies at that address minus one constant, so that
 * offsets and addresses agree wherever a tool takes one for the other; tables
 * without an address come behind. Headers are at the start, where nothing of
 * the text is: hence the constant leaves a huge page there if need be.
 */
#include "segment/shadow.h"

#include "base/meta.h"
#include "base/syscall.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#define KEY_OWNER "libhugetlbfs2"

/* The head of the file: everything but the text and the tables. */
struct head {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[3];
	struct {
		Elf64_Nhdr head;
		char owner[4];
		uint8_t id[HL_SHADOW_ID_BYTES];
	} build_id;
	struct {
		Elf64_Nhdr head;
		char owner[16];
		struct hl_shadow_key key;
	} __attribute__((packed)) key; /* notes follow each other */
};

enum {
	S_NULL,
	S_BUILD_ID,
	S_KEY,
	S_TEXT,
	S_EH_FRAME_HDR,
	S_EH_FRAME,
	S_SYMTAB,
	S_STRTAB,
	S_SHSTRTAB,
	S_COUNT_
};

static const char section_names[] =
	"\0.note.gnu.build-id\0.note.libhugetlbfs2\0.text\0.eh_frame_hdr\0"
	".eh_frame\0.symtab\0.strtab\0.shstrtab";
static const uint32_t section_name[S_COUNT_] = {
	[S_NULL] = 0,
	[S_BUILD_ID] = 1,
	[S_KEY] = 20,
	[S_TEXT] = 40,
	[S_EH_FRAME_HDR] = 46,
	[S_EH_FRAME] = 60,
	[S_SYMTAB] = 70,
	[S_STRTAB] = 78,
	[S_SHSTRTAB] = 86,
};

struct writer {
	int fd;
	const struct hl_shadow_key *key;
	const struct hl_elf *original;
	struct head *head;
	Elf64_Shdr section[S_COUNT_];
	uint64_t end; /* of what was written */
	int err;
};

static void write_at(
	struct writer *w, const void *data, uint64_t bytes, uint64_t offset)
{
	const char *at = data;

	w->end = HL_MAX(w->end, offset + bytes);
	while (bytes > 0 && w->err == 0) {
		long n = hl_syscall(SYS_pwrite64, w->fd, (long)at, (long)bytes,
			(long)offset, 0, 0);

		if (n == -EINTR)
			continue;
		if (n <= 0) {
			w->err = n < 0 ? (int)n : -EIO;
			return;
		}
		at += n;
		offset += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
}

/* Behind everything so far; its offset. */
static uint64_t append(struct writer *w, const void *data, uint64_t bytes)
{
	uint64_t offset = hl_align_up(w->end, 16);

	write_at(w, data, bytes, offset);
	return offset;
}

static void describe(struct writer *w, unsigned which, uint32_t type,
	uint64_t offset, uint64_t bytes)
{
	Elf64_Shdr *s = &w->section[which];

	s->sh_name = section_name[which];
	s->sh_type = type;
	s->sh_offset = offset;
	s->sh_size = bytes;
	s->sh_addralign = 1;
}

/* ---- tables ---- */

/* FNV-1a, as often as the bytes need it. */
static void derive(const struct hl_shadow_key *key, uint8_t *id)
{
	const uint8_t *bytes = (const void *)key;
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < HL_SHADOW_ID_BYTES; i++) {
		for (size_t k = 0; k < offsetof(struct hl_shadow_key, original);
			k++)
			hash = (hash ^ bytes[k]) * 0x100000001b3u;
		hash = (hash ^ i) * 0x100000001b3u;
		id[i] = (uint8_t)(hash >> 32);
	}
}

static uint64_t placed(const struct writer *w, uint64_t vaddr)
{
	return vaddr - w->key->from + w->key->placed;
}

/* A section of the original, at the place that its address gives it. */
static void copy_section(struct writer *w, unsigned which, const char *name)
{
	const Elf64_Shdr *s = hl_elf_section(w->original, name);
	void *data;

	describe(w, which, SHT_NULL, 0, 0);
	w->section[which].sh_name = 0;
	/* What lies before the text may be where our own headers are. */
	if (!s || s->sh_type == SHT_NOBITS || s->sh_addr < w->key->from ||
		s->sh_size == 0 || s->sh_size > 64 * HL_MIB)
		return;
	data = hl_meta_map(s->sh_size);
	if (!data)
		return;
	if (hl_elf_read(w->original, data, s->sh_offset, s->sh_size) == 0) {
		write_at(w, data, s->sh_size, placed(w, s->sh_addr));
		describe(w, which, SHT_PROGBITS, placed(w, s->sh_addr),
			s->sh_size);
		w->section[which].sh_addr = s->sh_addr;
		w->section[which].sh_flags = SHF_ALLOC;
		w->section[which].sh_addralign = HL_MAX(s->sh_addralign, 1ul);
	}
	hl_meta_unmap(data, s->sh_size);
}

/*
 * Functions of the text, all of them in section .text. Names are copied as they
 * are used: most of a program's may belong to other things.
 */
static void write_symbols(struct writer *w, struct hl_elf_symbols *s)
{
	char *names = hl_meta_map(s->strings_bytes + s->count + 1);
	size_t n = 1, bytes = 1, locals = 1;

	if (!names)
		return;
	memset(&s->symbol[0], 0, sizeof(s->symbol[0]));
	for (size_t i = 1; i < s->count; i++) {
		Elf64_Sym *sym = &s->symbol[i];
		size_t length;

		if (!hl_elf_is_function(sym, w->key->from, w->key->to) ||
			sym->st_name >= s->strings_bytes)
			continue;
		length = strlen(s->strings + sym->st_name) + 1;
		if (length == 1 || bytes + length > s->strings_bytes + s->count)
			continue;
		memcpy(names + bytes, s->strings + sym->st_name, length);
		s->symbol[n] = *sym;
		s->symbol[n].st_name = (uint32_t)bytes;
		s->symbol[n].st_shndx = S_TEXT;
		bytes += length;
		if (ELF64_ST_BIND(sym->st_info) == STB_LOCAL && locals == n)
			locals = n + 1;
		n++;
	}
	describe(w, S_SYMTAB, SHT_SYMTAB,
		append(w, s->symbol, n * sizeof(Elf64_Sym)),
		n * sizeof(Elf64_Sym));
	w->section[S_SYMTAB].sh_link = S_STRTAB;
	w->section[S_SYMTAB].sh_info = (uint32_t)locals;
	w->section[S_SYMTAB].sh_entsize = sizeof(Elf64_Sym);
	w->section[S_SYMTAB].sh_addralign = 8;
	describe(w, S_STRTAB, SHT_STRTAB, append(w, names, bytes), bytes);
	hl_meta_unmap(names, s->strings_bytes + s->count + 1);
}

static void copy_symbols(struct writer *w)
{
	struct hl_elf_symbols symbols;

	describe(w, S_SYMTAB, SHT_NULL, 0, 0);
	describe(w, S_STRTAB, SHT_NULL, 0, 0);
	if (hl_elf_symbols(w->original, &symbols))
		return;
	write_symbols(w, &symbols);
	hl_elf_symbols_free(&symbols);
}

/* ---- head ---- */

static void fill_notes(struct writer *w)
{
	struct head *h = w->head;

	h->build_id.head = (Elf64_Nhdr){4, HL_SHADOW_ID_BYTES, NT_GNU_BUILD_ID};
	memcpy(h->build_id.owner, "GNU", 4);
	derive(w->key, h->build_id.id);
	h->key.head = (Elf64_Nhdr){
		sizeof(KEY_OWNER), sizeof(h->key.key), HL_SHADOW_VERSION};
	memcpy(h->key.owner, KEY_OWNER, sizeof(KEY_OWNER));
	h->key.key = *w->key;
	describe(w, S_BUILD_ID, SHT_NOTE, offsetof(struct head, build_id),
		sizeof(h->build_id));
	describe(
		w, S_KEY, SHT_NOTE, offsetof(struct head, key), sizeof(h->key));
	w->section[S_BUILD_ID].sh_addralign = 4;
	w->section[S_KEY].sh_addralign = 4;
}

static void fill_headers(struct writer *w)
{
	const struct hl_shadow_key *key = w->key;
	struct head *h = w->head;

	h->phdr[0] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = key->placed,
		.p_vaddr = key->from,
		.p_paddr = key->from,
		.p_filesz = key->to - key->from,
		.p_memsz = key->to - key->from,
		.p_align = key->huge_bytes,
	};
	h->phdr[1] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_flags = PF_R,
		.p_offset = offsetof(struct head, build_id),
		.p_filesz = sizeof(*h) - offsetof(struct head, build_id),
		.p_align = 4,
	};
	h->phdr[2].p_type = PT_NULL;
	if (w->section[S_EH_FRAME_HDR].sh_type != SHT_NULL) {
		const Elf64_Shdr *s = &w->section[S_EH_FRAME_HDR];

		h->phdr[2] = (Elf64_Phdr){
			.p_type = PT_GNU_EH_FRAME,
			.p_flags = PF_R,
			.p_offset = s->sh_offset,
			.p_vaddr = s->sh_addr,
			.p_paddr = s->sh_addr,
			.p_filesz = s->sh_size,
			.p_memsz = s->sh_size,
			.p_align = 4,
		};
	}
	h->ehdr = w->original->ehdr;
	h->ehdr.e_entry = 0;
	h->ehdr.e_phoff = offsetof(struct head, phdr);
	h->ehdr.e_phnum = HL_ARRAY_SIZE(h->phdr);
	h->ehdr.e_phentsize = sizeof(Elf64_Phdr);
	h->ehdr.e_ehsize = sizeof(Elf64_Ehdr);
	h->ehdr.e_shentsize = sizeof(Elf64_Shdr);
	h->ehdr.e_shnum = S_COUNT_;
	h->ehdr.e_shstrndx = S_SHSTRTAB;
}

static int write_all(struct writer *w)
{
	const struct hl_shadow_key *key = w->key;

	w->end = key->placed + (key->to - key->from);
	describe(w, S_TEXT, SHT_PROGBITS, key->placed, key->to - key->from);
	w->section[S_TEXT].sh_addr = key->from;
	w->section[S_TEXT].sh_flags = SHF_ALLOC | SHF_EXECINSTR;
	w->section[S_TEXT].sh_addralign = 64;
	copy_section(w, S_EH_FRAME_HDR, ".eh_frame_hdr");
	copy_section(w, S_EH_FRAME, ".eh_frame");
	copy_symbols(w);
	describe(w, S_SHSTRTAB, SHT_STRTAB,
		append(w, section_names, sizeof(section_names)),
		sizeof(section_names));
	memset(&w->section[S_NULL], 0, sizeof(Elf64_Shdr));
	fill_notes(w);
	fill_headers(w);
	w->head->ehdr.e_shoff = append(w, w->section, sizeof(w->section));
	write_at(w, w->head, sizeof(*w->head), 0);
	return w->err;
}

int hl_shadow_write_elf(
	int fd, const struct hl_shadow_key *key, const struct hl_elf *original)
{
	struct writer w = {.fd = fd, .key = key, .original = original};
	int err;

	_Static_assert(sizeof(struct head) <= 4096, "in front of the text");
	_Static_assert(sizeof(KEY_OWNER) <= 16, "padded to words");
	w.head = hl_meta_map(sizeof(*w.head));
	if (!w.head)
		return -ENOMEM;
	err = write_all(&w);
	hl_meta_unmap(w.head, sizeof(*w.head));
	return err;
}

int hl_shadow_read_key(int fd, struct hl_shadow_key *key)
{
	Elf64_Nhdr head;
	long n;

	n = hl_syscall(SYS_pread64, fd, (long)&head, sizeof(head),
		offsetof(struct head, key), 0, 0);
	if (n != (long)sizeof(head))
		return n < 0 ? (int)n : -ENOEXEC;
	if (head.n_namesz != sizeof(KEY_OWNER) ||
		head.n_descsz != sizeof(*key) ||
		head.n_type != HL_SHADOW_VERSION)
		return -ENOEXEC;
	n = hl_syscall(SYS_pread64, fd, (long)key, sizeof(*key),
		offsetof(struct head, key.key), 0, 0);
	if (n != (long)sizeof(*key))
		return n < 0 ? (int)n : -ENOEXEC;
	if (key->magic != HL_SHADOW_MAGIC ||
		key->original[HL_SHADOW_PATH - 1] != '\0')
		return -ENOEXEC;
	return 0;
}
