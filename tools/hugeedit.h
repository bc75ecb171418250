/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of hugeedit: what it was told, the verdict about a file, and the
 * edits of its program headers.
 */
#ifndef HL_TOOLS_HUGEEDIT_H
#define HL_TOOLS_HUGEEDIT_H

#include "elf_file.h"

#include <stdbool.h>

struct edit_request {
	const char *path;
	bool text, data, disable; /* marks to set, or all to clear */
	bool check;
	bool align;
	bool no_backup;
	size_t page_bytes; /* of a huge page */
};

/* hugeedit_check.c: the verdict; 0 if every segment is as good as it can be,
 * 1 if linking or --align would gain something. */
int edit_check(const struct edit_request *request, const struct elf_file *f);
/* One line per PT_LOAD, as the ancestor prints it. */
void edit_list(const struct elf_file *f);

/* hugeedit_write.c. 0, or a message was printed and 1. */
int edit_mark(const struct edit_request *request, struct elf_file *f);
int edit_align(const struct edit_request *request, const struct elf_file *f);

#endif
