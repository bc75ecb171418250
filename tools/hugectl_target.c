/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the target is, from its file alone: found where, script or ELF, dynamic
 * or not, of which class, set-uid, with a sanitizer's runtime. Nothing is
 * executed. Called before the C library is initialised: see hugectl_core.h.
 *
 * Relied on: ld.so ignores LD_PRELOAD in set-uid programs, a static program
 * has no ld.so, and the kernel follows "#!" lines a few levels deep.
 */
#include "hugectl_core.h"
#include "raw.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define HEAD_BYTES   1024 /* ELF header and program headers; "#!" line */
#define SCRIPT_DEPTH 5
#define NEEDED_MAX   64

#if defined(__x86_64__)
#define OWN_MACHINE   EM_X86_64
#define NATIVE_LOADER "/lib64/ld-linux-x86-64.so.2"
#elif defined(__aarch64__)
#define OWN_MACHINE   EM_AARCH64
#define NATIVE_LOADER "/lib/ld-linux-aarch64.so.1"
#else
#define OWN_MACHINE   0 /* not checked */
#define NATIVE_LOADER ""
#endif

/* An open ELF file and where its parts are. */
struct elf {
	int fd;
	union {
		char bytes[HEAD_BYTES];
		Elf64_Ehdr header;
	} head;
	long head_bytes;
	Elf64_Phdr load[16];
	unsigned loads;
	uint64_t dynamic_offset, dynamic_bytes;
	char loader[64]; /* PT_INTERP, cut */
	bool has_loader;
	uint64_t strings, symbols, hash; /* addresses, 0: none */
	bool is_pie;
	uint64_t needed[NEEDED_MAX]; /* offsets into strings */
	unsigned needed_count;
};

static long read_at(int fd, void *to, size_t bytes, uint64_t offset)
{
	return raw4(SYS_pread64, fd, (long)to, (long)bytes, (long)offset);
}

/* ---- finding it ---- */

static int check_executable(const char *path)
{
	struct stat st;
	long err = raw4(SYS_newfstatat, AT_FDCWD, (long)path, (long)&st, 0);

	if (err)
		return (int)err;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return (int)raw4(SYS_faccessat, AT_FDCWD, (long)path, 1 /* X_OK */, 0);
}

/* The result of the first directory that has it, as execvp(3) goes. */
static void find(struct ctl_target *t, const char *name, char *const *envp,
	struct ctl_arena *arena)
{
	const char *path = ctl_env(envp, "PATH");
	bool denied = false;

	if (ctl_contains(name, "/")) {
		t->path = name;
		t->found = check_executable(name);
		return;
	}
	t->found = -ENOENT;
	if (*name == '\0')
		return;
	if (!path)
		path = "/bin:/usr/bin";
	for (;;) {
		char *mark = arena->at;
		size_t n = 0;

		while (path[n] != '\0' && path[n] != ':')
			n++;
		for (size_t i = 0; i < n && arena->end - arena->at > 1; i++)
			*arena->at++ = path[i];
		/* An empty component is the current directory. */
		ctl_join(arena, n == 0 ? "./" : "/", name, NULL);
		t->found = check_executable(mark);
		if (t->found == 0) {
			t->path = mark;
			return;
		}
		denied = denied || t->found == -EACCES;
		arena->at = mark;
		path += n;
		if (*path++ == '\0')
			break;
	}
	t->found = denied ? -EACCES : -ENOENT;
}

/* ---- reading it ---- */

static uint64_t to_offset(const struct elf *e, uint64_t address)
{
	for (unsigned i = 0; i < e->loads; i++) {
		const Elf64_Phdr *p = &e->load[i];

		if (address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz)
			return address - p->p_vaddr + p->p_offset;
	}
	return 0;
}

/* From the part that was read already, if it is there. */
static bool read_head(const struct elf *e, void *to, size_t bytes, uint64_t at)
{
	char *c = to;

	if (at > (uint64_t)e->head_bytes ||
		bytes > (uint64_t)e->head_bytes - at)
		return read_at(e->fd, to, bytes, at) == (long)bytes;
	for (size_t i = 0; i < bytes; i++)
		c[i] = e->head.bytes[at + i];
	return true;
}

static void read_program_headers(struct elf *e)
{
	const Elf64_Ehdr *h = &e->head.header;

	for (unsigned i = 0; i < h->e_phnum; i++) {
		uint64_t at = h->e_phoff + (uint64_t)i * sizeof(Elf64_Phdr);
		Elf64_Phdr p;
		long n;

		if (!read_head(e, &p, sizeof(p), at))
			return;
		switch (p.p_type) {
		case PT_INTERP:
			e->has_loader = true;
			n = read_at(e->fd, e->loader,
				HL_MIN(p.p_filesz, sizeof(e->loader) - 1),
				p.p_offset);
			e->loader[n > 0 ? n : 0] = '\0';
			break;
		case PT_DYNAMIC:
			e->dynamic_offset = p.p_offset;
			e->dynamic_bytes = p.p_filesz;
			break;
		case PT_LOAD:
			if (e->loads < HL_ARRAY_SIZE(e->load))
				e->load[e->loads++] = p;
			break;
		default:
			break;
		}
	}
}

static void read_dynamic(struct elf *e)
{
	Elf64_Dyn part[32];

	for (uint64_t at = 0; at < e->dynamic_bytes; at += sizeof(part)) {
		long n = read_at(e->fd, part,
			HL_MIN(sizeof(part), e->dynamic_bytes - at),
			e->dynamic_offset + at);

		if (n < (long)sizeof(part[0]))
			return;
		for (long i = 0; i < n / (long)sizeof(part[0]); i++) {
			switch (part[i].d_tag) {
			case DT_NULL:
				return;
			case DT_NEEDED:
				if (e->needed_count < NEEDED_MAX)
					e->needed[e->needed_count++] =
						part[i].d_un.d_val;
				break;
			case DT_STRTAB:
				e->strings = part[i].d_un.d_ptr;
				break;
			case DT_SYMTAB:
				e->symbols = part[i].d_un.d_ptr;
				break;
			case DT_GNU_HASH:
				e->hash = part[i].d_un.d_ptr;
				break;
			case DT_FLAGS_1:
				e->is_pie = (part[i].d_un.d_val & DF_1_PIE);
				break;
			default:
				break;
			}
		}
	}
}

/* A string of the dynamic string table, cut to the buffer. */
static void read_string(
	const struct elf *e, uint64_t offset, char *to, size_t bytes)
{
	uint64_t strings = to_offset(e, e->strings);
	long n = strings ? read_at(e->fd, to, bytes - 1, strings + offset) : 0;

	to[n > 0 ? n : 0] = '\0';
}

/* ---- sanitizers ---- */

/* The runtimes that bring a malloc of their own and must come first. */
static const char *sanitizer_library(
	const struct elf *e, struct ctl_arena *arena)
{
	static const char *const names[] = {"libasan.so", "libtsan.so",
		"liblsan.so", "libhwasan.so", "libclang_rt.asan",
		"libclang_rt.tsan", "libclang_rt.lsan", "libclang_rt.msan",
		"libclang_rt.hwasan", NULL};
	char name[64];

	for (unsigned i = 0; i < e->needed_count; i++) {
		read_string(e, e->needed[i], name, sizeof(name));
		for (const char *const *s = names; *s; s++) {
			if (ctl_starts(ctl_last_part(name), *s))
				return ctl_join(arena, name, NULL);
		}
	}
	return NULL;
}

static bool read_u32(const struct elf *e, uint64_t offset, uint32_t *out)
{
	return read_at(e->fd, out, sizeof(*out), offset) == sizeof(*out);
}

/* True if the file defines that dynamic symbol: a walk through .gnu.hash. */
static bool defines(const struct elf *e, const char *symbol)
{
	uint64_t at = to_offset(e, e->hash);
	uint64_t symbols = to_offset(e, e->symbols);
	uint32_t head[4]; /* buckets, first symbol, bloom words, bloom shift */
	uint32_t hash = 5381, index, entry;
	uint64_t bloom, chains;

	for (const char *c = symbol; *c != '\0'; c++)
		hash = hash * 33 + (unsigned char)*c;
	if (at == 0 || symbols == 0 ||
		read_at(e->fd, head, sizeof(head), at) != sizeof(head) ||
		head[0] == 0 || head[2] == 0)
		return false;
	at += sizeof(head);
	if (read_at(e->fd, &bloom, sizeof(bloom),
		    at + (hash / 64 % head[2]) * 8) != sizeof(bloom) ||
		!(bloom >> (hash % 64) & 1) ||
		!(bloom >> (hash >> (head[3] & 31)) % 64 & 1))
		return false;
	at += (uint64_t)head[2] * 8;
	chains = at + (uint64_t)head[0] * 4;
	if (!read_u32(e, at + (uint64_t)(hash % head[0]) * 4, &index) ||
		index < head[1])
		return false;
	for (unsigned i = 0; i < 4096; i++, index++) {
		Elf64_Sym sym;
		char name[32];

		if (!read_u32(e, chains + (uint64_t)(index - head[1]) * 4,
			    &entry))
			return false;
		if ((entry | 1) == (hash | 1) &&
			read_at(e->fd, &sym, sizeof(sym),
				symbols + (uint64_t)index * sizeof(sym)) ==
				sizeof(sym)) {
			read_string(e, sym.st_name, name, sizeof(name));
			/* A PLT entry that stands for it is there too. */
			if (ctl_same(name, symbol))
				return sym.st_shndx != SHN_UNDEF;
		}
		if (entry & 1)
			return false;
	}
	return false;
}

static bool defines_sanitizer(const struct elf *e)
{
	static const char *const entry_points[] = {"__asan_init", "__tsan_init",
		"__lsan_init", "__msan_init", "__hwasan_init", NULL};

	for (const char *const *s = entry_points; *s; s++) {
		if (defines(e, *s))
			return true;
	}
	return false;
}

/* ---- judging it ---- */

/* Set-uid, set-gid or file capabilities that give this user something. */
static bool is_privileged(int fd)
{
	struct stat st;
	char caps[64];
	long uid = raw4(SYS_geteuid, 0, 0, 0, 0);

	if (raw4(SYS_fstat, fd, (long)&st, 0, 0))
		return false;
	if ((st.st_mode & S_ISUID) && (long)st.st_uid != uid)
		return true;
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) &&
		(long)st.st_gid != raw4(SYS_getegid, 0, 0, 0, 0))
		return true;
	return uid != 0 && raw4(SYS_fgetxattr, fd, (long)"security.capability",
				   (long)caps, sizeof(caps)) > 0;
}

static enum ctl_kind judge_elf(
	struct elf *e, struct ctl_target *t, struct ctl_arena *arena)
{
	const Elf64_Ehdr *h = &e->head.header;

	if (h->e_ident[EI_CLASS] != ELFCLASS64)
		return CTL_32BIT;
	if (e->head_bytes < (long)sizeof(*h))
		return CTL_UNKNOWN;
	if (OWN_MACHINE != 0 && h->e_machine != OWN_MACHINE)
		return CTL_OTHER_MACHINE;
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return CTL_UNKNOWN;
	read_program_headers(e);
	read_dynamic(e);
	/* The dynamic linker itself, run as a command, has no interpreter. */
	if (!e->has_loader &&
		(h->e_type != ET_DYN || e->is_pie || !e->dynamic_bytes))
		return CTL_STATIC;
	if (is_privileged(e->fd))
		return CTL_SETUID;
	if (ctl_contains(e->loader, "ld-musl"))
		return CTL_MUSL;
	t->native_loader =
		e->has_loader ? ctl_same(e->loader, NATIVE_LOADER) : false;
	t->sanitizer = sanitizer_library(e, arena);
	if (t->sanitizer)
		return CTL_SANITIZER;
	if (defines_sanitizer(e))
		return CTL_SANITIZER_STATIC;
	if (defines(e, "malloc"))
		return CTL_OWN_MALLOC;
	return CTL_DYNAMIC;
}

/* The interpreter's path in a "#!" line, or NULL. */
static const char *interpreter(
	const char *head, long bytes, struct ctl_arena *arena)
{
	long from = 2, to;

	if (bytes < 3 || head[0] != '#' || head[1] != '!')
		return NULL;
	while (from < bytes && (head[from] == ' ' || head[from] == '\t'))
		from++;
	for (to = from; to < bytes; to++) {
		char c = head[to];

		if (c == ' ' || c == '\t' || c == '\n' || c == '\0')
			break;
	}
	if (to == from || to == bytes || arena->end - arena->at <= to - from) {
		arena->full = arena->full || (to > from && to < bytes);
		return NULL;
	}
	char *start = arena->at;

	for (long i = from; i < to; i++)
		*arena->at++ = head[i];
	*arena->at++ = '\0';
	return start;
}

static bool is_elf(const struct elf *e)
{
	return e->head_bytes > EI_CLASS && e->head.bytes[0] == ELFMAG0 &&
	       e->head.bytes[1] == ELFMAG1 && e->head.bytes[2] == ELFMAG2 &&
	       e->head.bytes[3] == ELFMAG3;
}

static void open_elf(struct elf *e, const char *path)
{
	e->loads = 0;
	e->dynamic_offset = e->dynamic_bytes = 0;
	e->has_loader = e->is_pie = false;
	e->loader[0] = '\0';
	e->strings = e->symbols = e->hash = 0;
	e->needed_count = 0;
	e->head_bytes = -1;
	e->fd = (int)raw4(
		SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
	if (e->fd >= 0)
		e->head_bytes = read_at(e->fd, e->head.bytes, HEAD_BYTES, 0);
}

void ctl_judge(struct ctl_target *t, const char *name, char *const *envp,
	struct ctl_arena *arena)
{
	struct elf e;

	t->path = NULL;
	t->judged = NULL;
	t->kind = CTL_UNKNOWN;
	t->native_loader = false;
	t->sanitizer = NULL;
	find(t, name, envp, arena);
	if (t->found)
		return;
	t->judged = t->path;
	for (unsigned depth = 0; t->judged && depth < SCRIPT_DEPTH; depth++) {
		const char *next;

		open_elf(&e, t->judged);
		if (e.fd < 0)
			return;
		if (is_elf(&e)) {
			t->kind = judge_elf(&e, t, arena);
			raw4(SYS_close, e.fd, 0, 0, 0);
			return;
		}
		raw4(SYS_close, e.fd, 0, 0, 0);
		next = interpreter(e.head.bytes, e.head_bytes, arena);
		/* What the kernel cannot execute is run by the shell. */
		if (!next && depth == 0)
			next = "/bin/sh";
		t->judged = next;
	}
	if (!t->judged)
		t->judged = t->path;
}
