/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugectl --explain about text, data, bss and the brk area: what of the program
 * lies in whole huge pages, from its headers, as the library will find it.
 */
#include "elf_file.h"
#include "hugectl.h"

#include "base/opt.h"
#include "system/sys.h"

#include <fcntl.h>
#include <string.h>

#define LINE_NAME "%-12s"

static void put_kind(struct hl_buf *buf, const struct elf_file *f,
	const char *name, enum hl_piece_kind kind, size_t huge_bytes)
{
	struct elf_prospect p;

	if (elf_file_prospect(f, kind, hl_base_page_bytes(), huge_bytes, 0, &p))
		return;
	hl_buf_printf(buf, LINE_NAME, name);
	hl_buf_human_bytes(buf, p.bytes);
	hl_buf_puts(buf, ", of it ");
	hl_buf_human_bytes(buf, p.least_huge);
	if (p.least_huge != p.most_huge) {
		hl_buf_puts(buf, " to ");
		hl_buf_human_bytes(buf, p.most_huge);
	}
	hl_buf_printf(buf, " in whole huge pages of %K%s\n", huge_bytes,
		p.least_huge != p.most_huge ? ", as it happens to be placed"
					    : "");
}

static size_t page_bytes(void)
{
	struct hl_thp thp;
	size_t by_default;

	if (hl_thp_read(&hl_root_real, &thp) == 0 && thp.present)
		return thp.pmd_bytes;
	return hl_default_huge_page(&hl_root_real, &by_default) ? 0
								: by_default;
}

static bool asks(const struct hl_opt *opt, const char *letter)
{
	return strpbrk(opt->elfmap, letter) != NULL;
}

void ctl_explain_segments(
	struct hl_buf *buf, const struct hl_opt *opt, const char *program)
{
	size_t huge_bytes = page_bytes();
	struct elf_file f;

	if (opt->elfmap[0] == '\0' || !program)
		return;
	if (huge_bytes == 0) {
		hl_buf_printf(buf, LINE_NAME "this machine has no huge pages\n",
			"segments");
		return;
	}
	if (elf_file_open(&f, program, O_RDONLY))
		return;
	if (asks(opt, "Rr"))
		put_kind(buf, &f, "text", HL_PIECE_TEXT, huge_bytes);
	if (asks(opt, "Ww"))
		put_kind(buf, &f, "data", HL_PIECE_DATA, huge_bytes);
	if (asks(opt, "Bb"))
		hl_buf_printf(buf,
			LINE_NAME "the brk area, what lies in whole huge pages "
				  "of %K, as it grows: %s\n",
			"brk", huge_bytes,
			opt->morecore == HL_MORECORE_OFF
				? "malloc of the C library, and sbrk()"
				: "sbrk() alone, as malloc is on huge pages of "
				  "its own");
	if (opt->segments[0] != '\0' && strcmp(opt->segments, "main") != 0)
		hl_buf_printf(buf,
			LINE_NAME "of shared objects, too: %s; hugeedit "
				  "--check tells what is in one\n",
			"segments", opt->segments);
	elf_file_close(&f);
}
