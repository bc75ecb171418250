/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugeedit(8): marks which segments of a program are to be on huge pages, says
 * whether they can, and edits what can be had by program headers alone.
 *
 * Marks are libhugetlbfs's (a bit of p_flags), set in place. An alignment is
 * set in a copy that then takes the file's name, so that running programs and
 * a crash in the middle do no harm.
 */
#include "hugeedit.h"

#include "base/fmt.h"
#include "system/sys.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"Usage: hugeedit [OPTION]... FILE\n"
	"Mark which segments of a program go to huge pages, or check whether "
	"they can.\n"
	"Without options: print the marks.\n"
	"\n"
	"      --text            mark text, and nothing else\n"
	"      --data            mark data and bss, and nothing else\n"
	"      --disable         clear all marks\n"
	"      --check           say what would come to huge pages, and how to "
	"link better\n"
	"      --align           have a position-independent program loaded on "
	"a huge\n"
	"                        page border; a backup is kept as FILE.orig\n"
	"      --no-backup       with --align, keep none\n"
	"      --page-size=SIZE  of a huge page; default: this machine's\n"
	"  -h, --help            print this help\n"
	"      --version         print the version\n"
	"\n"
	"Exit status: 0 done, and with --check nothing to gain; 1 failed, or "
	"there is\n"
	"something to gain; 2 bad usage.\n";

enum {
	OPT_TEXT = 256,
	OPT_DATA,
	OPT_DISABLE,
	OPT_CHECK,
	OPT_ALIGN,
	OPT_NO_BACKUP,
	OPT_PAGE_SIZE,
	OPT_VERSION
};

enum {
	EXIT_USAGE = 2
};

static const struct option options[] = {
	{"text", no_argument, NULL, OPT_TEXT},
	{"data", no_argument, NULL, OPT_DATA},
	{"disable", no_argument, NULL, OPT_DISABLE},
	{"check", no_argument, NULL, OPT_CHECK},
	{"align", no_argument, NULL, OPT_ALIGN},
	{"no-backup", no_argument, NULL, OPT_NO_BACKUP},
	{"page-size", required_argument, NULL, OPT_PAGE_SIZE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static size_t machine_page_bytes(void)
{
	struct hl_thp thp;
	size_t bytes;

	if (hl_thp_read(&hl_root_real, &thp) == 0 && thp.present)
		return thp.pmd_bytes;
	return hl_default_huge_page(&hl_root_real, &bytes) == 0 ? bytes
								: 2 * HL_MIB;
}

/* Sizes that this machine has, and those of its kind that it may lack. */
static bool is_huge_page(size_t bytes)
{
	size_t sizes[HL_PAGE_SIZES_MAX];
	int n = hl_huge_page_sizes(&hl_root_real, sizes);
	struct hl_thp thp;

#if defined(__x86_64__)
	if (bytes == 2 * HL_MIB || bytes == HL_GIB)
		return true;
#endif
	for (int i = 0; i < n; i++) {
		if (sizes[i] == bytes)
			return true;
	}
	return hl_thp_read(&hl_root_real, &thp) == 0 && thp.present &&
	       thp.pmd_bytes == bytes;
}

static int bad_usage(const char *what, const char *which)
{
	fprintf(stderr, "hugeedit: %s%s; try 'hugeedit --help'\n", what, which);
	return EXIT_USAGE;
}

static int take_option(struct edit_request *r, int c)
{
	switch (c) {
	case OPT_TEXT:
		r->text = true;
		return 0;
	case OPT_DATA:
		r->data = true;
		return 0;
	case OPT_DISABLE:
		r->disable = true;
		return 0;
	case OPT_CHECK:
		r->check = true;
		return 0;
	case OPT_ALIGN:
		r->align = true;
		return 0;
	case OPT_NO_BACKUP:
		r->no_backup = true;
		return 0;
	case OPT_PAGE_SIZE:
		if (hl_parse_size(optarg, &r->page_bytes) == 0 &&
			is_huge_page(r->page_bytes))
			return 0;
		return bad_usage("not the size of a huge page here: ", optarg);
	default:
		return -1;
	}
}

/* 0, or the exit status; -1 if all is done already. */
static int parse(int argc, char **argv, struct edit_request *r)
{
	int c, status;

	*r = (struct edit_request){0};
	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage, stdout);
			return -1;
		}
		if (c == OPT_VERSION) {
			puts("hugeedit (libhugetlbfs2) " HL_VERSION);
			return -1;
		}
		status = take_option(r, c);
		if (status < 0)
			return bad_usage("bad option: ", argv[optind - 1]);
		if (status)
			return status;
	}
	if (optind == argc)
		return bad_usage("no file given", "");
	if (optind + 1 < argc)
		return bad_usage("one file only: ", argv[optind + 1]);
	if (r->disable && (r->text || r->data))
		return bad_usage("--disable clears what the others set", "");
	if (r->check && (r->text || r->data || r->disable || r->align))
		return bad_usage("--check changes nothing: give it alone", "");
	if (r->no_backup && !r->align)
		return bad_usage("--no-backup is for --align", "");
	r->path = argv[optind];
	if (r->page_bytes == 0)
		r->page_bytes = machine_page_bytes();
	return 0;
}

static int work(const struct edit_request *r)
{
	bool marks = r->text || r->data || r->disable;
	struct elf_file f;
	const char *why = elf_file_open(&f, r->path, marks ? O_RDWR : O_RDONLY);
	int status = EXIT_SUCCESS;

	if (why) {
		fprintf(stderr, "hugeedit: %s: %s\n", r->path, why);
		return EXIT_FAILURE;
	}
	if (marks)
		status = edit_mark(r, &f);
	if (status == EXIT_SUCCESS && r->align)
		status = edit_align(r, &f);
	if (r->check)
		status = edit_check(r, &f);
	if (!marks && !r->align && !r->check)
		edit_list(&f);
	elf_file_close(&f);
	return status;
}

int main(int argc, char **argv)
{
	struct edit_request request;
	int status = parse(argc, argv, &request);

	if (status == 0)
		status = work(&request);
	else if (status < 0)
		status = EXIT_SUCCESS;
	if (fflush(stdout) != 0) {
		perror("hugeedit");
		status = EXIT_FAILURE;
	}
	return status;
}
