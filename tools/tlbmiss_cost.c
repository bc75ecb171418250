/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tlbmiss_cost(8): the command line. What is measured is in tlbmiss_cost.h.
 */
#include "tlbmiss_cost.h"

#include "base/fmt.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STANDARD_REPEATS 5
#define LEAST_SET	 (256 * HL_KIB)

static const char usage[] =
	"Usage: tlbmiss_cost [OPTION]...\n"
	"Measure what a miss of the TLB costs, and what huge pages gain.\n"
	"\n"
	"  -m, --max SIZE       largest working set (default: 512M, or an "
	"eighth\n"
	"                       of the free memory)\n"
	"      --pages LIST     kinds of pages: base size, THP, sizes of "
	"pools\n"
	"                       (default: all; \"4K,THP,2M\")\n"
	"      --repeat N       measure each so often, take the median "
	"(default: 5)\n"
	"      --plot           draw latency against working set\n"
	"      --svg FILE       the same as a picture\n"
	"      --json           print JSON\n"
	"  -h, --help           print this help\n"
	"      --version        print the version\n";

enum {
	OPT_PAGES = 256,
	OPT_REPEAT,
	OPT_PLOT,
	OPT_SVG,
	OPT_JSON,
	OPT_VERSION,
};

static const struct option options[] = {
	{"max", required_argument, NULL, 'm'},
	{"pages", required_argument, NULL, OPT_PAGES},
	{"repeat", required_argument, NULL, OPT_REPEAT},
	{"plot", no_argument, NULL, OPT_PLOT},
	{"svg", required_argument, NULL, OPT_SVG},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static bool parse_max(struct cost *c, const char *text)
{
	size_t bytes;

	if (hl_parse_size(text, &bytes) != 0 || bytes < LEAST_SET ||
		bytes > (size_t)1 << 44) {
		tool_say("--max: \"%s\" is not a size from 256K to 16T", text);
		return false;
	}
	c->most_bytes = bytes;
	return true;
}

static bool parse_repeat(struct cost *c, const char *text)
{
	uint64_t n;

	if (hl_parse_u64(text, &n) != 0 || n == 0 || n > COST_REPEATS_MAX) {
		tool_say("--repeat: \"%s\" is not a number from 1 to %d", text,
			COST_REPEATS_MAX);
		return false;
	}
	c->repeats = (unsigned)n;
	return true;
}

/* Whether every name in the list could be one. */
static bool parse_pages(struct cost *c, const char *list)
{
	c->wanted = list;
	for (;;) {
		size_t length = strcspn(list, ","), bytes;
		char word[24];

		snprintf(word, sizeof(word), "%.*s", (int)length, list);
		if (length >= sizeof(word) ||
			(!hl_same_text(word, "THP") &&
				(hl_parse_size(word, &bytes) != 0 ||
					!hl_is_pow2(bytes)))) {
			tool_say("--pages: \"%.*s\" is no size of a page",
				(int)length, list);
			return false;
		}
		if (list[length] == '\0')
			return true;
		list += length + 1;
	}
}

static bool take_option(struct cost *c, int option)
{
	switch (option) {
	case 'm':
		return parse_max(c, optarg);
	case OPT_PAGES:
		return parse_pages(c, optarg);
	case OPT_REPEAT:
		return parse_repeat(c, optarg);
	case OPT_PLOT:
		return c->plot = true;
	case OPT_SVG:
		c->svg = optarg;
		return true;
	case OPT_JSON:
		return c->json = true;
	default:
		return false;
	}
}

/* False, and *status, if nothing is left to do. */
static bool parse(int argc, char **argv, struct cost *c, int *status)
{
	int option;

	while ((option = getopt_long(argc, argv, "m:h", options, NULL)) != -1) {
		*status = TOOL_OK;
		if (option == 'h') {
			fputs(usage, stdout);
			return false;
		}
		if (option == OPT_VERSION) {
			tool_version();
			return false;
		}
		*status = TOOL_USAGE;
		if (!take_option(c, option))
			return false;
	}
	*status = TOOL_USAGE;
	if (optind < argc) {
		tool_say("unexpected argument: %s", argv[optind]);
		return false;
	}
	if (c->json && c->plot) {
		tool_say("--plot does not go with --json");
		return false;
	}
	return true;
}

/* Before a measurement that may take many minutes; 0 or -errno. */
static int check_writable(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0) {
		close(fd);
		return unlink(path) == 0 ? 0 : -errno;
	}
	if (errno == EEXIST && access(path, W_OK) == 0)
		return 0;
	return -errno;
}

int main(int argc, char **argv)
{
	static struct cost c = {.repeats = STANDARD_REPEATS};
	int status, err = 0;

	tool_start("tlbmiss_cost", argv);
	c.root = hl_root_real;
	if (!parse(argc, argv, &c, &status))
		return tool_finish(status);
	if (c.svg)
		err = check_writable(c.svg);
	if (err)
		return tool_finish(tool_fail("%s: %s", c.svg, strerror(-err)));
	status = cost_measure(&c);
	if (status == TOOL_OK) {
		if (c.json)
			err = cost_json(&c);
		else
			cost_show(&c);
		if (err)
			status = tool_fail(
				"standard output: %s", strerror(-err));
		if (c.plot)
			cost_plot(&c);
	}
	if (status == TOOL_OK && c.svg) {
		err = cost_svg(&c, c.svg);
		if (err)
			status = tool_fail("%s: %s", c.svg, strerror(-err));
	}
	cost_free(&c);
	return tool_finish(status);
}
