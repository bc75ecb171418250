/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of hugeadm: the table, the help, and from each option that asks
 * for a change to requests. Nothing is done while options are read, so that a
 * wrong one at the end leaves everything as it was.
 */
#include "hugeadm_options.h"

#include "base/bitmap.h"
#include "system/os.h"

#include <ctype.h>
#include <getopt.h>

static const char usage[] =
	"Usage: hugeadm [OPTION]...\n"
	"Show and change pools of huge pages, mounts of hugetlbfs, and "
	"settings.\n"
	"SIZE: 2M, 1G, DEFAULT. COUNT: pages, 4G or 10% of memory; with + or "
	"-: relative.\n"
	"Show:\n"
	"  --pool-list [--per-node]      pools; in each node\n"
	"  --page-sizes, --page-sizes-all     sizes with pages and a mount; "
	"all\n"
	"  --list-all-mounts  --explain  mounts; all in plain words, with "
	"advice\n"
	"  --boot-parameters             the pools as kernel command line\n"
	"  --json                        the above, or all there is, as JSON\n"
	"  --suggest PID|FILE|PROGRAM... huge pages it would take; FILE: a "
	"report\n"
	"Pools:\n"
	"  --pool-pages-min SIZE:COUNT[@NODES]   pages that are always there\n"
	"  --pool-pages-max SIZE:COUNT   pages at most, with those made on "
	"demand\n"
	"  --overcommit SIZE:COUNT       pages made on demand beyond the pool\n"
	"  --demote SIZE:COUNT[:SIZE][@NODES]    split pages into smaller "
	"ones\n"
	"  --obey-mempolicy, --obey-numa-mempol  sizes are for this policy's "
	"nodes\n"
	"  --hard  --drop-caches         compact and retry; drop clean caches\n"
	"  --leave AMOUNT                memory that must stay for the rest\n"
	"  --add-temp-swap[=COUNT], --add-ramdisk-swap   swap while a pool "
	"grows\n"
	"  --compact [NODES]             compact memory now\n"
	"Settings:\n"
	"  --thp-always, --thp-madvise, --thp-never   transparent huge pages\n"
	"  --thp-defrag MODE  --thp-shmem [SIZE:]MODE  --thp-size SIZE:MODE\n"
	"  --thp-khugepaged-pages N, --thp-khugepaged-scan-sleep MS,\n"
	"  --thp-khugepaged-alloc-sleep MS, --thp-khugepaged NAME=VALUE\n"
	"  --hvo on|off                  free the memory of huge pages' "
	"records\n"
	"  --set-shm-group GROUP  --set-recommended-shmmax   System V "
	"segments\n"
	"  --min-free-kbytes N, --set-recommended-min_free_kbytes\n"
	"  --enable-zone-movable, --disable-zone-movable     before Linux "
	"4.16\n"
	"Mounts:\n"
	"  --create-mounts[=SIZES], --create-global-mounts[=SIZES],\n"
	"  --create-user-mounts USER, --create-group-mounts GROUP\n"
	"  --mount-base DIR  --max-size AMOUNT  --min-size AMOUNT  "
	"--max-inodes N\n"
	"  --remove-mounts, --remove-mount PATH\n"
	"How:\n"
	"  --apply FILE                  bring the machine to this state (INI, "
	"JSON)\n"
	"  --persist                     keep what was set over a reboot\n"
	"  -d, --dry-run                 say what would be done; change "
	"nothing\n"
	"  --sysroot DIR                 the kernel's files below DIR\n"
	"  -q, --quiet  -v  --verbose LEVEL  -h, --help  --version\n"
	"Exit status: 0, 1 failure, 2 bad request, 3 done in part.\n";

enum {
	OPT_POOL_LIST = 256,
	OPT_PER_NODE,
	OPT_PAGE_SIZES,
	OPT_PAGE_SIZES_ALL,
	OPT_LIST_MOUNTS,
	OPT_EXPLAIN,
	OPT_BOOT,
	OPT_JSON,
	OPT_SUGGEST,
	OPT_MIN,
	OPT_MAX,
	OPT_OVERCOMMIT,
	OPT_DEMOTE,
	OPT_OBEY,
	OPT_HARD,
	OPT_DROP_CACHES,
	OPT_LEAVE,
	OPT_TEMP_SWAP,
	OPT_RAMDISK_SWAP,
	OPT_COMPACT,
	OPT_THP_ALWAYS,
	OPT_THP_MADVISE,
	OPT_THP_NEVER,
	OPT_THP_DEFRAG,
	OPT_THP_SHMEM,
	OPT_THP_SIZE,
	OPT_KH_PAGES,
	OPT_KH_SCAN,
	OPT_KH_ALLOC,
	OPT_KHUGEPAGED,
	OPT_HVO,
	OPT_SHM_GROUP,
	OPT_SHMMAX,
	OPT_MIN_FREE,
	OPT_REC_MIN_FREE,
	OPT_ZONE_ON,
	OPT_ZONE_OFF,
	OPT_MOUNTS,
	OPT_GLOBAL_MOUNTS,
	OPT_USER_MOUNTS,
	OPT_GROUP_MOUNTS,
	OPT_MOUNT_BASE,
	OPT_MAX_SIZE,
	OPT_MIN_SIZE,
	OPT_MAX_INODES,
	OPT_REMOVE_MOUNTS,
	OPT_REMOVE_MOUNT,
	OPT_APPLY,
	OPT_PERSIST,
	OPT_SYSROOT,
	OPT_VERSION
};

static const struct option options[] = {
	{"pool-list", no_argument, NULL, OPT_POOL_LIST},
	{"per-node", no_argument, NULL, OPT_PER_NODE},
	{"page-sizes", no_argument, NULL, OPT_PAGE_SIZES},
	{"page-sizes-all", no_argument, NULL, OPT_PAGE_SIZES_ALL},
	{"list-all-mounts", no_argument, NULL, OPT_LIST_MOUNTS},
	{"explain", no_argument, NULL, OPT_EXPLAIN},
	{"boot-parameters", no_argument, NULL, OPT_BOOT},
	{"json", no_argument, NULL, OPT_JSON},
	{"suggest", no_argument, NULL, OPT_SUGGEST},
	{"pool-pages-min", required_argument, NULL, OPT_MIN},
	{"pool-pages-max", required_argument, NULL, OPT_MAX},
	{"overcommit", required_argument, NULL, OPT_OVERCOMMIT},
	{"demote", required_argument, NULL, OPT_DEMOTE},
	{"obey-mempolicy", no_argument, NULL, OPT_OBEY},
	{"obey-numa-mempol", no_argument, NULL, OPT_OBEY},
	{"hard", no_argument, NULL, OPT_HARD},
	{"drop-caches", no_argument, NULL, OPT_DROP_CACHES},
	{"leave", required_argument, NULL, OPT_LEAVE},
	{"add-temp-swap", optional_argument, NULL, OPT_TEMP_SWAP},
	{"add-ramdisk-swap", no_argument, NULL, OPT_RAMDISK_SWAP},
	{"compact", optional_argument, NULL, OPT_COMPACT},
	{"thp-always", no_argument, NULL, OPT_THP_ALWAYS},
	{"thp-madvise", no_argument, NULL, OPT_THP_MADVISE},
	{"thp-never", no_argument, NULL, OPT_THP_NEVER},
	{"thp-defrag", required_argument, NULL, OPT_THP_DEFRAG},
	{"thp-shmem", required_argument, NULL, OPT_THP_SHMEM},
	{"thp-size", required_argument, NULL, OPT_THP_SIZE},
	{"thp-khugepaged-pages", required_argument, NULL, OPT_KH_PAGES},
	{"thp-khugepaged-scan-sleep", required_argument, NULL, OPT_KH_SCAN},
	{"thp-khugepaged-alloc-sleep", required_argument, NULL, OPT_KH_ALLOC},
	{"thp-khugepaged", required_argument, NULL, OPT_KHUGEPAGED},
	{"hvo", required_argument, NULL, OPT_HVO},
	{"set-shm-group", required_argument, NULL, OPT_SHM_GROUP},
	{"set-recommended-shmmax", no_argument, NULL, OPT_SHMMAX},
	{"min-free-kbytes", required_argument, NULL, OPT_MIN_FREE},
	{"set-recommended-min_free_kbytes", no_argument, NULL,
		OPT_REC_MIN_FREE},
	{"enable-zone-movable", no_argument, NULL, OPT_ZONE_ON},
	{"disable-zone-movable", no_argument, NULL, OPT_ZONE_OFF},
	{"create-mounts", optional_argument, NULL, OPT_MOUNTS},
	{"create-global-mounts", optional_argument, NULL, OPT_GLOBAL_MOUNTS},
	{"create-user-mounts", required_argument, NULL, OPT_USER_MOUNTS},
	{"create-group-mounts", required_argument, NULL, OPT_GROUP_MOUNTS},
	{"mount-base", required_argument, NULL, OPT_MOUNT_BASE},
	{"max-size", required_argument, NULL, OPT_MAX_SIZE},
	{"min-size", required_argument, NULL, OPT_MIN_SIZE},
	{"max-inodes", required_argument, NULL, OPT_MAX_INODES},
	{"remove-mounts", no_argument, NULL, OPT_REMOVE_MOUNTS},
	{"remove-mount", required_argument, NULL, OPT_REMOVE_MOUNT},
	{"apply", required_argument, NULL, OPT_APPLY},
	{"persist", no_argument, NULL, OPT_PERSIST},
	{"dry-run", no_argument, NULL, 'd'},
	{"sysroot", required_argument, NULL, OPT_SYSROOT},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", required_argument, NULL, 'v' + 256},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static const char *name_of(int option)
{
	for (const struct option *o = options; o->name; o++) {
		if (o->val == option)
			return tool_text("--%s", o->name);
	}
	return "";
}

static void ask(struct adm_options *o, int option, const char *value)
{
	o->asked =
		tool_realloc(o->asked, o->asked_count + 1, sizeof(*o->asked));
	o->asked[o->asked_count++] = (struct adm_asked){
		.option = option, .name = name_of(option), .value = value};
}

/* `--compact 1` is understood as well as `--compact=1`. */
static const char *next_word(int argc, char **argv)
{
	const char *word = optind < argc ? argv[optind] : NULL;

	if (!word ||
		(!isdigit((unsigned char)*word) && strcmp(word, "all") != 0))
		return NULL;
	optind++;
	return word;
}

static int take_verbose(struct adm_options *o, const char *text)
{
	uint64_t level;

	if (hl_parse_u64(text, &level) != 0 || level > 99)
		return tool_usage(
			"--verbose: \"%s\" is not a level from 0 to 99", text);
	o->verbose = (int)level;
	o->effort.quiet = level == 0;
	return 0;
}

static int take_swap(struct adm_options *o, const char *text)
{
	o->effort.swap.hpages = 5;
	if (!text)
		return 0;
	if (hl_parse_u64(text, &o->effort.swap.hpages) == 0 &&
		o->effort.swap.hpages > 0)
		return 0;
	return tool_usage("--add-temp-swap: \"%s\" is not a number of huge "
			  "pages",
		text);
}

/* Options that list, or say where and how. False: none of these. */
static bool take_plain(struct adm_options *o, int c)
{
	switch (c) {
	case OPT_POOL_LIST:
		o->sections |= ADM_SHOW_POOLS;
		break;
	case OPT_PER_NODE:
		o->per_node = true;
		break;
	case OPT_PAGE_SIZES:
		o->sections |= ADM_SHOW_USABLE_SIZES;
		break;
	case OPT_PAGE_SIZES_ALL:
		o->sections |= ADM_SHOW_SIZES;
		break;
	case OPT_LIST_MOUNTS:
		o->sections |= ADM_SHOW_MOUNTS;
		break;
	case OPT_BOOT:
		o->sections |= ADM_SHOW_BOOT;
		break;
	case OPT_EXPLAIN:
		o->explain = true;
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_OBEY:
		o->obey_policy = true;
		break;
	case OPT_HARD:
		o->effort.hard = true;
		break;
	case OPT_RAMDISK_SWAP:
		o->effort.swap.ramdisk = true;
		break;
	case OPT_PERSIST:
		o->persist = true;
		o->effort.swap.keep = true;
		break;
	case 'd':
		o->dry_run = true;
		break;
	case 'q':
		o->effort.quiet = true;
		break;
	case 'v':
		o->verbose++;
		break;
	default:
		return false;
	}
	return true;
}

/* Options with a value that are no request of their own. */
static bool take_value(struct adm_options *o, int c, int *status)
{
	switch (c) {
	case OPT_LEAVE:
		o->leave = optarg;
		break;
	case OPT_MOUNT_BASE:
		o->limits.base = optarg;
		break;
	case OPT_MAX_SIZE:
		o->limits.size = optarg;
		break;
	case OPT_MIN_SIZE:
		o->limits.min_size = optarg;
		break;
	case OPT_MAX_INODES:
		o->limits.inodes = optarg;
		break;
	case OPT_TEMP_SWAP:
		*status = take_swap(o, optarg);
		break;
	case 'v' + 256:
		*status = take_verbose(o, optarg);
		break;
	case OPT_SYSROOT:
		if (!tool_set_root(&o->root, optarg))
			*status = TOOL_USAGE;
		break;
	default:
		return false;
	}
	return true;
}

static int take_option(struct adm_options *o, int c, int argc, char **argv)
{
	int status = 0;

	switch (c) {
	case 'h':
		fputs(usage, stdout);
		o->done = true;
		return 0;
	case OPT_VERSION:
		tool_version();
		o->done = true;
		return 0;
	case '?':
		return TOOL_USAGE;
	case OPT_SUGGEST:
		/* All that follows is the program's. */
		o->suggest = true;
		o->operands = argv + optind;
		return 0;
	case OPT_COMPACT:
		ask(o, c, optarg ? optarg : next_word(argc, argv));
		return 0;
	case OPT_DROP_CACHES:
		o->effort.drop_caches = true;
		break;
	default:
		break;
	}
	if (!take_plain(o, c) && !take_value(o, c, &status))
		ask(o, c, optarg);
	return status;
}

static int check(const struct adm_options *o)
{
	if (o->suggest && !o->operands[0])
		return tool_usage("--suggest: of which process, report or "
				  "program?");
	if (o->suggest && (o->asked_count > 0 || o->persist))
		return tool_usage("--suggest changes nothing: not together "
				  "with options that do");
	if (o->per_node && !(o->sections & ADM_SHOW_POOLS))
		return tool_usage("--per-node belongs to --pool-list");
	if (o->explain && o->json)
		return tool_usage("--explain is for people: --json alone has "
				  "it all");
	if (!o->suggest && !o->explain && !o->json && !o->persist &&
		o->sections == 0 && o->asked_count == 0)
		return tool_usage("nothing is asked for: an option that shows "
				  "or changes something is missing");
	return adm_parse_limits(&o->limits);
}

int adm_options_read(struct adm_options *o, int argc, char **argv)
{
	int c, status;

	*o = (struct adm_options){.root = hl_root_real, .verbose = 1};
	if (argc < 2) {
		fputs("Try 'hugeadm --help'.\n", stderr);
		return TOOL_USAGE;
	}
	while ((c = getopt_long(argc, argv, "+dqvh", options, NULL)) != -1) {
		status = take_option(o, c, argc, argv);
		if (status || o->done)
			return status;
		if (o->suggest)
			break;
	}
	if (!o->suggest && optind < argc)
		return tool_usage("unexpected argument: %s", argv[optind]);
	return check(o);
}

/* ---- requests ---- */

/* "64K:always" for a size, "always" for all. */
static int put_word(const struct adm_asked *a, struct adm_state *state,
	struct adm_requests *list, const char *key, bool need_size)
{
	const char *colon = strchr(a->value, ':');
	size_t bytes = 0;

	if (!colon && need_size)
		return tool_usage(
			"%s: \"%s\" is not SIZE:MODE", a->name, a->value);
	if (colon && hl_parse_size(
			     tool_strndup(a->value, (size_t)(colon - a->value)),
			     &bytes) != 0)
		return tool_usage("%s: \"%s\" does not begin with a size",
			a->name, a->value);
	return adm_parse_setting(state, list, a->name,
		adm_setting_find("thp", key, colon != NULL), bytes,
		colon ? colon + 1 : a->value);
}

static int put_khugepaged(const struct adm_asked *a, struct adm_state *state,
	struct adm_requests *list)
{
	const char *equals = strchr(a->value, '=');
	const struct adm_setting *setting =
		equals ? adm_setting_find("khugepaged",
				 tool_strndup(
					 a->value, (size_t)(equals - a->value)),
				 false)
		       : NULL;

	if (!setting)
		return tool_usage("%s: \"%s\" is not NAME=VALUE with a name "
				  "that --json shows below khugepaged",
			a->name, a->value);
	return adm_parse_setting(state, list, a->name, setting, 0, equals + 1);
}

static int put_recommended(const struct adm_asked *a, struct adm_state *state,
	struct adm_requests *list)
{
	bool shmmax = a->option == OPT_SHMMAX;
	uint64_t value = shmmax ? adm_recommended_shmmax(state)
				: adm_recommended_min_free_kib(state);
	int status = adm_parse_setting(state, list, a->name,
		shmmax ? adm_setting_find("kernel", "shmmax", false)
		       : adm_setting_find("vm", "min_free_kbytes", false),
		0, tool_text("%" PRIu64, value));

	/* A recommendation never takes away. */
	if (!status)
		list->at[list->n - 1].what = ADM_RAISE;
	return status;
}

static int put_setting(const struct adm_asked *a, struct adm_state *state,
	struct adm_requests *list)
{
	static const struct {
		int option;
		const char *section, *key, *value;
	} plain[] = {
		{OPT_THP_ALWAYS, "thp", "enabled", "always"},
		{OPT_THP_MADVISE, "thp", "enabled", "madvise"},
		{OPT_THP_NEVER, "thp", "enabled", "never"},
		{OPT_THP_DEFRAG, "thp", "defrag", NULL},
		{OPT_KH_PAGES, "khugepaged", "pages_to_scan", NULL},
		{OPT_KH_SCAN, "khugepaged", "scan_sleep_millisecs", NULL},
		{OPT_KH_ALLOC, "khugepaged", "alloc_sleep_millisecs", NULL},
		{OPT_HVO, "vm", "hugetlb_optimize_vmemmap", NULL},
		{OPT_SHM_GROUP, "vm", "hugetlb_shm_group", NULL},
		{OPT_MIN_FREE, "vm", "min_free_kbytes", NULL},
		{OPT_ZONE_ON, "vm", "zone_movable", "1"},
		{OPT_ZONE_OFF, "vm", "zone_movable", "0"},
	};

	for (size_t i = 0; i < HL_ARRAY_SIZE(plain); i++) {
		if (plain[i].option == a->option)
			return adm_parse_setting(state, list, a->name,
				adm_setting_find(
					plain[i].section, plain[i].key, false),
				0, plain[i].value ? plain[i].value : a->value);
	}
	switch (a->option) {
	case OPT_THP_SHMEM:
		return put_word(a, state, list, "shmem_enabled", false);
	case OPT_THP_SIZE:
		return put_word(a, state, list, "enabled", true);
	case OPT_KHUGEPAGED:
		return put_khugepaged(a, state, list);
	default:
		return put_recommended(a, state, list);
	}
}

static int put_compaction(const struct adm_asked *a, struct adm_state *state,
	struct adm_requests *list)
{
	struct adm_request request = {.what = ADM_COMPACT, .from = a->name};
	int status = 0;

	if (a->value && strcmp(a->value, "all") != 0) {
		request.on_nodes = true;
		status = adm_parse_nodes(
			state, a->name, a->value, request.nodes);
	}
	if (!status)
		*adm_request_add(list, ADM_COMPACT, a->name) = request;
	return status;
}

static int put_mounts(const struct adm_options *o, const struct adm_asked *a,
	struct adm_state *state, struct adm_requests *list)
{
	struct adm_mount_wish wish = {.from = a->name};

	switch (a->option) {
	case OPT_USER_MOUNTS:
		wish.owner = ADM_OWNER_USER;
		wish.name = a->value;
		break;
	case OPT_GROUP_MOUNTS:
		wish.owner = ADM_OWNER_GROUP;
		wish.name = a->value;
		break;
	case OPT_GLOBAL_MOUNTS:
		wish.owner = ADM_OWNER_GLOBAL;
		wish.sizes = a->value;
		break;
	default:
		wish.sizes = a->value;
	}
	return adm_parse_mounts(state, list, &wish, &o->limits);
}

/* The nodes of this process's memory policy; false if it has none. */
static bool policy_nodes(uint64_t nodes[HL_NODES_MAX / 64])
{
	unsigned long bits[HL_NODES_MAX / (8 * sizeof(long))] = {0};
	int mode = 0;

	memset(nodes, 0, HL_NODES_MAX / 8);
	if (hl_os->get_mempolicy(&mode, bits, HL_NODES_MAX) != 0 || mode == 0)
		return false;
	for (size_t i = 0; i < HL_ARRAY_SIZE(bits); i++)
		nodes[i * sizeof(long) / 8] |= (uint64_t)bits[i];
	return hl_bitmap_count(nodes, 0, HL_NODES_MAX) > 0;
}

static int put_minimum(const struct adm_options *o, const struct adm_asked *a,
	struct adm_state *state, struct adm_requests *list)
{
	int status = adm_parse_pool(state, list, ADM_MIN, a->name, a->value);
	struct adm_request *request;
	uint64_t nodes[HL_NODES_MAX / 64];

	if (status || !o->obey_policy)
		return status;
	request = &list->at[list->n - 1];
	if (request->on_nodes)
		return tool_usage("%s: nodes are given twice: with @, and by "
				  "--obey-mempolicy",
			a->name);
	if (policy_nodes(nodes)) {
		request->on_nodes = true;
		memcpy(request->nodes, nodes, sizeof(nodes));
	}
	return 0;
}

static int put_asked(const struct adm_options *o, const struct adm_asked *a,
	struct adm_state *state, struct adm_requests *list)
{
	switch (a->option) {
	case OPT_MIN:
		return put_minimum(o, a, state, list);
	case OPT_MAX:
		return adm_parse_pool(state, list, ADM_MAX, a->name, a->value);
	case OPT_OVERCOMMIT:
		return adm_parse_pool(
			state, list, ADM_OVERCOMMIT, a->name, a->value);
	case OPT_DEMOTE:
		return adm_parse_demote(state, list, a->name, a->value);
	case OPT_COMPACT:
		return put_compaction(a, state, list);
	case OPT_DROP_CACHES:
		(void)adm_request_add(list, ADM_DROP_CACHES, a->name);
		return 0;
	case OPT_MOUNTS:
	case OPT_GLOBAL_MOUNTS:
	case OPT_USER_MOUNTS:
	case OPT_GROUP_MOUNTS:
		return put_mounts(o, a, state, list);
	case OPT_REMOVE_MOUNTS:
	case OPT_REMOVE_MOUNT:
		return adm_parse_unmount(state, list, a->name, a->value,
			o->limits.base ? o->limits.base : ADM_MOUNT_BASE);
	case OPT_APPLY:
		return adm_read_file(state, list, a->value);
	default:
		return put_setting(a, state, list);
	}
}

int adm_options_requests(const struct adm_options *o, struct adm_state *state,
	struct adm_requests *list)
{
	int status = 0;

	for (size_t i = 0; i < o->asked_count && !status; i++)
		status = put_asked(o, &o->asked[i], state, list);
	return status;
}
