/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugestat(8): the command line, and which of the forms is asked for. The work
 * is in the files that hugestat.h names.
 *
 * Nothing is changed on the machine but by --reap --yes.
 */
#include "hugestat.h"

#include "base/fmt.h"

#include <errno.h>
#include <getopt.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"Usage: hugestat [OPTION]... [PID]\n"
	"Show who holds huge pages, or the huge pages of one process.\n"
	"\n"
	"  -o, --output COLUMNS   columns to show; +COLUMNS: these as well\n"
	"      --json             print JSON\n"
	"      --bytes            sizes in bytes\n"
	"      --noheadings       the table alone, without headings\n"
	"      --watch SECONDS    again and again\n"
	"      --metrics          print OpenMetrics text\n"
	"      --reap             list files that nobody uses; with --yes "
	"remove them\n"
	"      --yes              do it\n"
	"      --tlb PID          count TLB misses of a process, for a second\n"
	"                         or with --watch\n"
	"      --miss-cost CYCLES what a miss costs (see tlbmiss_cost)\n"
	"      --sysroot DIR      read the files of the kernel below DIR\n"
	"  -h, --help             print this help\n"
	"      --version          print the version\n"
	"\n"
	"Columns: KIND SIZE HELD RESERVED MAPPED STATE PID USERS PIDS USER UID "
	"COMM\n"
	"CONTAINER CGROUP SUBPOOL PAGES ID KEY DEVICE INODE NAME\n";

enum {
	OPT_JSON = 256,
	OPT_BYTES,
	OPT_NOHEADINGS,
	OPT_WATCH,
	OPT_METRICS,
	OPT_REAP,
	OPT_YES,
	OPT_TLB,
	OPT_MISS_COST,
	OPT_SYSROOT,
	OPT_VERSION,
};

static const struct option options[] = {
	{"output", required_argument, NULL, 'o'},
	{"json", no_argument, NULL, OPT_JSON},
	{"bytes", no_argument, NULL, OPT_BYTES},
	{"noheadings", no_argument, NULL, OPT_NOHEADINGS},
	{"watch", required_argument, NULL, OPT_WATCH},
	{"metrics", no_argument, NULL, OPT_METRICS},
	{"reap", no_argument, NULL, OPT_REAP},
	{"yes", no_argument, NULL, OPT_YES},
	{"tlb", required_argument, NULL, OPT_TLB},
	{"miss-cost", required_argument, NULL, OPT_MISS_COST},
	{"sysroot", required_argument, NULL, OPT_SYSROOT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

/* ---- values ---- */

static bool parse_pid(struct stat_request *r, const char *text)
{
	uint64_t pid;

	if (hl_parse_u64(text, &pid) != 0 || pid == 0 || pid > INT32_MAX) {
		tool_say("\"%s\" is not a process id", text);
		return false;
	}
	r->pid = (pid_t)pid;
	return true;
}

/* Above zero; digits first, so that strtod's words are out. */
static bool parse_number(
	const char *option, const char *text, double most, double *out)
{
	char *end;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (*text < '0' || *text > '9' || *end != '\0' || errno ||
		!(value > 0) || value > most) {
		tool_say("%s: \"%s\" is not a number above 0 and up to %g",
			option, text, most);
		return false;
	}
	*out = value;
	return true;
}

static bool take_option(struct stat_request *r, int c)
{
	switch (c) {
	case 'o':
		r->columns = optarg;
		return true;
	case OPT_JSON:
		return r->json = true;
	case OPT_BYTES:
		return r->bytes = true;
	case OPT_NOHEADINGS:
		return r->noheadings = true;
	case OPT_WATCH:
		return parse_number("--watch", optarg, 86400, &r->watch_s);
	case OPT_METRICS:
		return r->metrics = true;
	case OPT_REAP:
		return r->reap = true;
	case OPT_YES:
		return r->yes = true;
	case OPT_TLB:
		r->tlb = true;
		return parse_pid(r, optarg);
	case OPT_MISS_COST:
		return parse_number(
			"--miss-cost", optarg, 1e6, &r->tlb_cost_cycles);
	case OPT_SYSROOT:
		return tool_set_root(&r->root, optarg);
	default:
		return false;
	}
}

/* What does not go together; NULL if all does. */
static const char *find_conflict(const struct stat_request *r)
{
	if (r->yes && !r->reap)
		return "--yes goes with --reap";
	if (r->reap + r->metrics + r->tlb + (r->pid != 0 && !r->tlb) > 1)
		return "only one of --reap, --metrics, --tlb and a process "
		       "can be asked for";
	if (r->metrics && (r->json || r->columns || r->watch_s > 0))
		return "--metrics has a form of its own: no --json, --output "
		       "or --watch";
	if (r->reap && r->watch_s > 0)
		return "--reap does not go with --watch";
	if (r->columns && (r->pid != 0 || r->reap))
		return "--output goes with the table of all holders";
	if (r->tlb_cost_cycles > 0 && !r->tlb)
		return "--miss-cost goes with --tlb";
	if (r->reap && r->yes && r->root.prefix[0] != '\0')
		return "--reap --yes does not go with --sysroot";
	return NULL;
}

/* False, and *status, if nothing is left to do. */
static bool parse(int argc, char **argv, struct stat_request *r, int *status)
{
	const char *conflict;
	int c;

	*r = (struct stat_request){.root = hl_root_real};
	while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		*status = TOOL_OK;
		if (c == 'h') {
			fputs(usage, stdout);
			return false;
		}
		if (c == OPT_VERSION) {
			tool_version();
			return false;
		}
		*status = TOOL_USAGE;
		if (!take_option(r, c))
			return false;
	}
	*status = TOOL_USAGE;
	if (optind < argc && r->pid != 0) {
		tool_say("unexpected argument: %s", argv[optind]);
		return false;
	}
	if (optind < argc && !parse_pid(r, argv[optind++]))
		return false;
	if (optind < argc) {
		tool_say("unexpected argument: %s", argv[optind]);
		return false;
	}
	conflict = find_conflict(r);
	if (conflict)
		tool_say("%s", conflict);
	return !conflict;
}

/* ---- all holders ---- */

static bool choose_columns(const struct stat_request *r, struct table *t)
{
	const char *bad;
	size_t n;

	table_init(t, stat_columns, stat_column_count);
	t->bytes = r->bytes;
	t->noheadings = r->noheadings;
	if (!r->columns || table_choose(t, r->columns, &bad, &n) == 0)
		return true;
	tool_say("--output: there is no column \"%.*s\"", (int)n, bad);
	return false;
}

static int show_once(const struct stat_request *r, const struct table *columns)
{
	struct stat_snapshot *s = stat_take(r);
	int status = TOOL_OK, err = 0;

	if (r->metrics)
		stat_metrics(s);
	else if (r->json)
		err = stat_json(s, columns);
	else
		stat_show(s, columns);
	if (err)
		status = tool_fail("standard output: %s", strerror(-err));
	stat_free(s);
	return status;
}

static void put_time(bool terminal)
{
	char text[64];

	if (terminal)
		fputs("\033[H\033[2J", stdout);
	if (stat_time(time(NULL), text, sizeof(text)))
		puts(text);
}

static int show(const struct stat_request *r, const struct table *columns)
{
	struct timespec pause = {.tv_sec = (time_t)r->watch_s};
	int status;

	pause.tv_nsec = (long)((r->watch_s - (double)pause.tv_sec) * 1e9);
	for (;;) {
		if (r->watch_s > 0 && !r->json && !r->noheadings)
			put_time(isatty(STDOUT_FILENO));
		status = r->pid ? stat_pid(r) : show_once(r, columns);
		if (r->watch_s == 0 || status != TOOL_OK ||
			tool_finish(TOOL_OK) != TOOL_OK)
			return status;
		nanosleep(&pause, NULL);
		if (!r->json)
			putchar('\n');
	}
}

static bool is_live(const struct hl_root *root)
{
	char *path = tool_text("%s/proc", root->prefix);
	struct statfs fs;
	bool live = statfs(path, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;

	free(path);
	return live;
}

int main(int argc, char **argv)
{
	struct stat_request r;
	struct table columns;
	int status;

	tool_start("hugestat", argv);
	if (!parse(argc, argv, &r, &status))
		return tool_finish(status);
	if (!choose_columns(&r, &columns))
		return tool_finish(TOOL_USAGE);
	r.live = is_live(&r.root);
	if (r.reap)
		status = stat_reap(&r);
	else if (r.tlb)
		status = stat_tlb(&r);
	else
		status = show(&r, &columns);
	return tool_finish(status);
}
