/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pagesize(1): prints sizes of pages in bytes, smallest first, one a line. The
 * base page size; with --all the sizes of huge pages as well; with --huge-only
 * only those. Where that leaves nothing to print, the exit status says so.
 */
#include "tool.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"Usage: pagesize [OPTION]...\n"
	"Print the size of a base page in bytes.\n"
	"\n"
	"  -a, --all          print the sizes of all pages, one a line\n"
	"  -H, --huge-only    print the sizes of huge pages only\n"
	"      --sysroot DIR  read the files of the kernel below DIR\n"
	"  -h, --help         print this help\n"
	"      --version      print the version\n";

enum {
	OPT_SYSROOT = 256,
	OPT_VERSION
};

static const struct option options[] = {
	{"all", no_argument, NULL, 'a'},
	{"huge-only", no_argument, NULL, 'H'},
	{"sysroot", required_argument, NULL, OPT_SYSROOT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

struct request {
	struct hl_root root;
	bool base;
	bool huge;
};

/* False, and *status, if nothing is left to do. */
static bool parse(int argc, char **argv, struct request *request, int *status)
{
	int c;

	*request = (struct request){.root = hl_root_real, .base = true};
	*status = EXIT_SUCCESS;
	while ((c = getopt_long(argc, argv, "aHh", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			request->huge = true;
			break;
		case 'H':
			request->huge = true;
			request->base = false;
			break;
		case OPT_SYSROOT:
			if (tool_set_root(&request->root, optarg))
				break;
			*status = TOOL_USAGE;
			return false;
		case 'h':
			fputs(usage, stdout);
			return false;
		case OPT_VERSION:
			tool_version();
			return false;
		default:
			*status = TOOL_USAGE;
			return false;
		}
	}
	if (optind < argc) {
		*status = tool_usage("unexpected argument: %s", argv[optind]);
		return false;
	}
	return true;
}

static int print_huge(const struct request *request)
{
	size_t sizes[HL_PAGE_SIZES_MAX];
	int count = hl_huge_page_sizes(&request->root, sizes);

	for (int i = 0; i < count; i++)
		printf("%zu\n", sizes[i]);
	return count;
}

int main(int argc, char **argv)
{
	struct request request;
	int status;

	tool_start("pagesize", argv);
	if (!parse(argc, argv, &request, &status))
		return tool_finish(status);
	if (request.base)
		printf("%zu\n", hl_base_page_bytes());
	if (request.huge && print_huge(&request) == 0 && !request.base)
		status = tool_fail("this kernel has no huge pages");
	return tool_finish(status);
}
