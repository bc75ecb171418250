/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The edits of hugeedit. Marks are written in place: the kernel refuses while
 * the program runs. An alignment is refused where it would not hold or could
 * break something:
 *  - a program at a fixed address, a static one, or a shared object: nothing
 *    to gain;
 *  - a first segment whose offset does not fit: loaders would refuse it;
 *  - files with extended attributes (labels, signatures), which a copy would
 *    lose.
 * Neither is done to a program that runs with more privilege than its user has:
 * the library stays out of it, and the kernel takes the set-uid bit or the
 * capabilities from a file that is written to, without a word.
 */
#include "hugeedit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>
#include <unistd.h>

static int fail(const char *path, const char *why)
{
	fprintf(stderr, "hugeedit: %s: %s\n", path, why);
	return EXIT_FAILURE;
}

static bool is_text(const Elf64_Phdr *p)
{
	return p->p_type == PT_LOAD && p->p_filesz == p->p_memsz &&
	       (p->p_flags & (PF_R | PF_W | PF_X)) == (PF_R | PF_X);
}

static bool is_data(const Elf64_Phdr *p)
{
	return p->p_type == PT_LOAD &&
	       (p->p_flags & (PF_R | PF_W | PF_X)) == (PF_R | PF_W);
}

static bool write_header(int fd, const struct elf_file *f, size_t i)
{
	off_t at = (off_t)(f->ehdr.e_phoff + i * sizeof(Elf64_Phdr));

	return pwrite(fd, &f->phdr[i], sizeof(Elf64_Phdr), at) ==
	       (ssize_t)sizeof(Elf64_Phdr);
}

/* NULL, or why the file is not to be written to. */
static const char *is_privileged(const struct elf_file *f)
{
	if ((f->st.st_mode & (S_ISUID | S_ISGID)) != 0)
		return "set-uid or set-gid: not edited";
	if (fgetxattr(f->fd, "security.capability", NULL, 0) > 0)
		return "has capabilities, which an edit would lose: not edited";
	return NULL;
}

int edit_mark(const struct edit_request *request, struct elf_file *f)
{
	const char *why = is_privileged(f);
	bool any = false;

	if (why)
		return fail(request->path, why);
	for (size_t i = 0; i < f->count; i++) {
		Elf64_Phdr *p = &f->phdr[i];
		bool mark = (request->text && is_text(p)) ||
			    (request->data && is_data(p));

		if (p->p_type != PT_LOAD)
			continue;
		p->p_flags &= ~HL_PF_HUGETLB;
		p->p_flags |= mark ? HL_PF_HUGETLB : 0;
		any |= mark;
		if (!write_header(f->fd, f, i))
			return fail(request->path, strerror(errno));
	}
	if (!any && !request->disable)
		return fail(request->path, "has no such segment");
	return EXIT_SUCCESS;
}

/* ---- alignment ---- */

/* The header to change; NULL and the reason if it must not be. */
static const Elf64_Phdr *first_load(
	const struct elf_file *f, size_t page_bytes, const char **why)
{
	const Elf64_Phdr *first = NULL;

	if (f->ehdr.e_type == ET_EXEC) {
		*why = "a program at a fixed address cannot be aligned: link "
		       "it anew";
		return NULL;
	}
	if (f->is_static) {
		*why = "a static program: such are passed over";
		return NULL;
	}
	if (!f->is_pie_program) {
		*why = "not a position-independent program: shared objects "
		       "are placed by the loader";
		return NULL;
	}
	*why = is_privileged(f);
	if (*why)
		return NULL;
	for (size_t i = 0; i < f->count && !first; i++) {
		if (f->phdr[i].p_type == PT_LOAD)
			first = &f->phdr[i];
	}
	if (!first || (first->p_vaddr - first->p_offset) % page_bytes != 0) {
		*why = "the offset of its first segment does not allow it";
		return NULL;
	}
	return first;
}

static bool copy_contents(int from, int to, off_t bytes)
{
	off_t at = 0;

	while (at < bytes) {
		ssize_t n = sendfile(to, from, &at, (size_t)(bytes - at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
	}
	return true;
}

static bool write_copy(
	const struct elf_file *f, int to, size_t header, size_t page_bytes)
{
	f->phdr[header].p_align = page_bytes;
	return copy_contents(f->fd, to, f->st.st_size) &&
	       write_header(to, f, header) &&
	       fchown(to, f->st.st_uid, f->st.st_gid) == 0 &&
	       fchmod(to, f->st.st_mode & 07777) == 0 && fsync(to) == 0;
}

/* The old file under another name, then the new one under its own. */
static int put_in_place(
	const struct edit_request *r, const char *copy, const char *backup)
{
	int err;

	if (!r->no_backup && link(r->path, backup) != 0) {
		err = errno;
		return fail(err == EEXIST ? backup : r->path,
			err == EEXIST ? "there is a backup already"
				      : strerror(err));
	}
	if (rename(copy, r->path) == 0)
		return EXIT_SUCCESS;
	err = errno;
	if (!r->no_backup)
		unlink(backup);
	return fail(r->path, strerror(err));
}

static int replace(
	const struct edit_request *r, const struct elf_file *f, size_t header)
{
	char copy[PATH_MAX], backup[PATH_MAX];
	int fd, status;

	if ((size_t)snprintf(copy, sizeof(copy), "%s.XXXXXX", r->path) >=
			sizeof(copy) ||
		(size_t)snprintf(backup, sizeof(backup), "%s.orig", r->path) >=
			sizeof(backup))
		return fail(r->path, strerror(ENAMETOOLONG));
	fd = mkostemp(copy, O_CLOEXEC);
	if (fd < 0)
		return fail(r->path, strerror(errno));
	if (write_copy(f, fd, header, r->page_bytes))
		status = put_in_place(r, copy, backup);
	else
		status = fail(r->path, strerror(errno));
	close(fd);
	if (status != EXIT_SUCCESS)
		unlink(copy);
	return status;
}

int edit_align(const struct edit_request *r, const struct elf_file *f)
{
	const char *why = NULL;
	const Elf64_Phdr *first = first_load(f, r->page_bytes, &why);
	char path[PATH_MAX];
	struct edit_request real = *r;

	if (!first)
		return fail(r->path, why);
	if (first->p_align >= r->page_bytes) {
		printf("%s: aligned already\n", r->path);
		return EXIT_SUCCESS;
	}
	if (flistxattr(f->fd, NULL, 0) > 0)
		return fail(r->path, "has extended attributes that an edit "
				     "would lose: not edited");
	/* A link stays one: what it names is edited. */
	if (!realpath(r->path, path))
		return fail(r->path, strerror(errno));
	real.path = path;
	return replace(&real, f, (size_t)(first - f->phdr));
}
