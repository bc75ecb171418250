/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugeedit --check: what of a file's segments would come to stand on huge
 * pages, why the rest would not, and which flags of the linker would help. And
 * the list of marks. For people; the exit status is for scripts.
 */
#include "hugeedit.h"

#include "base/fmt.h"
#include "system/sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void put_bytes(uint64_t bytes)
{
	char text[32];
	struct hl_buf buf;

	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_human_bytes(&buf, bytes);
	fputs(text, stdout);
}

/* "K": exact, for flags and sizes of pages. */
static const char *exact(size_t bytes)
{
	static char text[32];
	struct hl_buf buf;

	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_printf(&buf, "%K", bytes);
	return text;
}

static void put_prospect(const struct elf_file *f, const char *name,
	const struct elf_prospect *p)
{
	if (p->bytes == 0)
		return;
	printf("%-8s", name);
	put_bytes(p->bytes);
	if (f->is_static) {
		puts(", stays where it is");
		return;
	}
	fputs(", on huge pages ", stdout);
	put_bytes(p->least_huge);
	if (p->least_huge != p->most_huge) {
		fputs(" to ", stdout);
		put_bytes(p->most_huge);
		fputs(", as it happens to be placed", stdout);
	} else if (p->least_huge == 0) {
		fputs(": it has no whole huge page", stdout);
	}
	putchar('\n');
}

static const char *kind_of(const struct elf_file *f)
{
	if (f->is_static)
		return "static program";
	if (f->ehdr.e_type == ET_EXEC)
		return "program at a fixed address";
	return f->is_pie_program ? "position-independent program"
				 : "shared object";
}

static uint64_t segment_align(const struct elf_file *f)
{
	uint64_t align = 0;

	for (size_t i = 0; i < f->count; i++) {
		if (f->phdr[i].p_type == PT_LOAD)
			align = HL_MAX(align, f->phdr[i].p_align);
	}
	return align;
}

/* What hugeedit --align would gain; false if nothing. */
static bool advise_align(const struct edit_request *r, const struct elf_file *f,
	size_t base_bytes, const struct elf_prospect *text)
{
	struct elf_prospect aligned;

	if (!f->is_pie_program || text->placed ||
		elf_file_prospect(f, HL_PIECE_TEXT, base_bytes, r->page_bytes,
			r->page_bytes, &aligned) ||
		aligned.least_huge == 0)
		return false;
	fputs("advice  hugeedit --align: ", stdout);
	put_bytes(aligned.least_huge);
	fputs(" of text always, in one copy for all processes\n", stdout);
	return true;
}

/* Linked so, each segment begins and ends in huge pages of its own. */
static bool advise_linking(const struct edit_request *r,
	const struct elf_file *f, const struct elf_prospect *text)
{
	uint64_t whole = hl_align_up(text->bytes, r->page_bytes);

	/* Less would waste the rest of its page. */
	if (text->bytes < r->page_bytes ||
		(!f->is_static && text->least_huge == text->bytes))
		return false;
	printf("advice  linked %swith "
	       "-Wl,-z,max-page-size=%s,-z,separate-code: "
	       "all ",
		f->is_static ? "dynamically, and " : "", exact(r->page_bytes));
	put_bytes(text->bytes);
	fputs(" of text, on ", stdout);
	put_bytes(whole);
	fputs(" of huge pages\n", stdout);
	return true;
}

int edit_check(const struct edit_request *r, const struct elf_file *f)
{
	size_t base_bytes = hl_base_page_bytes();
	struct elf_prospect text, data, relro;
	bool gain;

	if (elf_file_prospect(
		    f, HL_PIECE_TEXT, base_bytes, r->page_bytes, 0, &text) ||
		elf_file_prospect(f, HL_PIECE_DATA, base_bytes, r->page_bytes,
			0, &data) ||
		elf_file_prospect(f, HL_PIECE_RELRO, base_bytes, r->page_bytes,
			0, &relro)) {
		fprintf(stderr, "hugeedit: %s: its segments make no sense\n",
			r->path);
		return EXIT_FAILURE;
	}
	printf("%s: %s, segments aligned to %s, huge pages of ", r->path,
		kind_of(f), exact(segment_align(f)));
	printf("%s\n", exact(r->page_bytes));
	put_prospect(f, "text", &text);
	put_prospect(f, "data", &data);
	put_prospect(f, "relro", &relro);
	if (f->is_static)
		puts("static  programs without a dynamic linker are passed "
		     "over");
	else if (text.most_huge > 0)
		printf("shared  %s\n",
			text.placed ? "one copy for all processes of a user"
				    : "no: each process has a copy, since its "
				      "address is another each time");
	gain = advise_align(r, f, base_bytes, &text);
	gain |= advise_linking(r, f, &text);
	if (!gain)
		puts("advice  none: nothing to gain");
	return gain ? EXIT_FAILURE : EXIT_SUCCESS;
}

void edit_list(const struct elf_file *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const Elf64_Phdr *p = &f->phdr[i];
		const char *name = "";

		if (p->p_type != PT_LOAD)
			continue;
		if ((p->p_flags & (PF_R | PF_W | PF_X)) == (PF_R | PF_X))
			name = "TEXT";
		else if ((p->p_flags & (PF_R | PF_W | PF_X)) == (PF_R | PF_W))
			name = "DATA";
		printf("Segment %zu 0x%" PRIx64 " - 0x%" PRIx64
		       " (%s) default is %s pages\n",
			i, (uint64_t)p->p_vaddr,
			(uint64_t)(p->p_vaddr + p->p_memsz), name,
			(p->p_flags & HL_PF_HUGETLB) ? "HUGE" : "BASE");
	}
}
