/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * HUGETLB_* environment variables. One table, OPTIONS, is the parser and the
 * documentation: each line has the variable, its parser, what may be written,
 * the default, and a sentence for people.
 *
 * Called by the first malloc of a process, before constructors: nothing here
 * allocates, and no getenv, which programs may interpose.
 *
 * Order in the environment does not matter: a first pass looks at the level of
 * messages, so that the second can complain; what depends on several variables
 * is decided at the end (settle). The first of two equal names counts, as
 * getenv has it.
 */
#include "base/opt.h"
#include "base/fmt.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#define NODES_MAX      1024
#define POPULATE_BYTES (64 * HL_MIB)
#define DECAY_MS       200
#define HUGE_BYTES_MIN (4 * HL_KIB)
#define PREFIX	       "HUGETLB_"
#define PREFIX_LENGTH  (sizeof(PREFIX) - 1)

/* Between the parsers of one pass. */
struct parse {
	struct hl_opt *opt;
	bool morecore_set;
	bool other_set; /* SHM, ELFMAP or MMAP */
	bool populate_set;
	size_t morecore_bytes;
	const char *const *programs;
};

static int copy_text(char *to, size_t capacity, const char *value)
{
	size_t length = strlen(value);

	if (length >= capacity)
		return -ERANGE;
	memcpy(to, value, length + 1);
	return 0;
}

static int parse_page_size(const char *value, size_t *out)
{
	size_t bytes;
	int err = hl_parse_size(value, &bytes);

	if (err)
		return err;
	if (!hl_is_pow2(bytes) || bytes < HUGE_BYTES_MIN)
		return -EINVAL;
	*out = bytes;
	return 0;
}

static int parse_morecore(struct parse *p, const char *value)
{
	bool yes;

	p->morecore_set = true;
	if (hl_same_text(value, "thp")) {
		p->opt->morecore = HL_MORECORE_THP;
	} else if (hl_same_text(value, "auto")) {
		p->opt->morecore = HL_MORECORE_AUTO;
	} else if (hl_parse_bool(value, &yes) == 0) {
		p->opt->morecore = yes ? HL_MORECORE_POOL : HL_MORECORE_OFF;
	} else {
		int err = parse_page_size(value, &p->morecore_bytes);

		/* As if unset, but malloc was plainly meant. */
		if (err)
			p->morecore_set = false;
		else
			p->opt->morecore = HL_MORECORE_POOL;
		return err;
	}
	return 0;
}

static int parse_heapbase(struct parse *p, const char *value)
{
	char hex[32] = "0x";
	bool prefixed = value[0] == '0' && (value[1] | 0x20) == 'x';

	/* The ancestor reads it as hexadecimal, prefix or not. */
	if (copy_text(hex + 2, sizeof(hex) - 2, value + (prefixed ? 2 : 0)))
		return -ERANGE;
	return hl_parse_u64(hex, &p->opt->heap_base);
}

static int parse_populate(struct parse *p, const char *value)
{
	if (hl_same_text(value, "all")) {
		p->opt->populate = HL_POPULATE_ALL;
	} else if (hl_same_text(value, "auto")) {
		p->opt->populate = HL_POPULATE_AUTO;
	} else if (hl_same_text(value, "no")) {
		p->opt->populate = HL_POPULATE_NO;
	} else {
		int err = hl_parse_size(value, &p->opt->populate_bytes);

		if (err)
			return err;
		p->opt->populate = HL_POPULATE_SIZE;
	}
	p->populate_set = true;
	return 0;
}

static int parse_fork(struct parse *p, const char *value)
{
	static const char *const modes[] = {
		[HL_FORK_CONVERT] = "convert",
		[HL_FORK_COPY] = "copy",
		[HL_FORK_THP] = "thp",
		[HL_FORK_OFF] = "off",
	};

	for (size_t i = 0; i < HL_ARRAY_SIZE(modes); i++) {
		if (hl_same_text(value, modes[i])) {
			p->opt->fork_mode = (enum hl_fork_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_node(struct parse *p, const char *value)
{
	uint64_t bits[NODES_MAX / 64];
	int err;

	if (!hl_same_text(value, "local") &&
		!hl_same_text(value, "interleave")) {
		err = hl_parse_list(value, bits, NODES_MAX);
		if (err)
			return err;
	}
	return copy_text(p->opt->node, sizeof(p->opt->node), value);
}

/* Up to three letters of R, W and B, in any case, with "=SIZE" behind. */
static int check_elfmap_part(const char *part, size_t length)
{
	char text[64];
	size_t letters = 0;
	size_t bytes;

	while (letters < length && strchr("RWBrwb", part[letters]))
		letters++;
	if (letters == 0 || letters > 3)
		return -EINVAL;
	if (letters == length)
		return 0;
	if (part[letters] != '=' || length - letters > sizeof(text))
		return -EINVAL;
	length -= letters + 1;
	memcpy(text, part + letters + 1, length);
	text[length] = '\0';
	return parse_page_size(text, &bytes);
}

static int parse_elfmap(struct parse *p, const char *value)
{
	const char *part = value;
	bool yes;

	p->other_set = true;
	if (hl_parse_bool(value, &yes) == 0 && !yes) {
		p->opt->elfmap_off = true;
		return 0;
	}
	while (*part != '\0') {
		size_t length = strcspn(part, ":");
		int err = check_elfmap_part(part, length);

		if (err)
			return err;
		part += length;
		if (*part == ':')
			part++;
	}
	return copy_text(p->opt->elfmap, sizeof(p->opt->elfmap), value);
}

static int parse_mmap(struct parse *p, const char *value)
{
	size_t bytes;
	bool yes;
	int err;

	p->other_set = true;
	if (hl_parse_bool(value, &yes) == 0) {
		if (yes)
			(void)copy_text(
				p->opt->mmap, sizeof(p->opt->mmap), "yes");
		return 0;
	}
	if (hl_same_text(value, "thp"))
		return copy_text(p->opt->mmap, sizeof(p->opt->mmap), "thp");
	err = parse_page_size(value, &bytes);
	return err ? err : copy_text(p->opt->mmap, sizeof(p->opt->mmap), value);
}

static int parse_shm(struct parse *p, const char *value)
{
	p->other_set = true;
	return hl_parse_bool(value, &p->opt->shm);
}

static bool is_this_program(
	const struct parse *p, const char *name, size_t length)
{
	for (size_t i = 0; i < HL_OPT_PROGRAM_NAMES; i++) {
		const char *own = p->programs[i];

		if (!own)
			continue;
		own = hl_last_component(own);
		if (length > 0 && strlen(own) == length &&
			memcmp(own, name, length) == 0)
			return true;
	}
	return false;
}

static int parse_restrict(struct parse *p, const char *value)
{
	p->opt->restricted = true;
	while (*value != '\0') {
		size_t length = strcspn(value, ":");

		if (is_this_program(p, value, length))
			p->opt->restricted = false;
		value += length;
		if (*value == ':')
			value++;
	}
	return 0;
}

static int parse_up_to(const char *value, uint64_t most, uint64_t *out)
{
	uint64_t number;
	int err = hl_parse_u64(value, &number);

	if (err)
		return err;
	if (number > most)
		return -ERANGE;
	*out = number;
	return 0;
}

static int parse_verbose(struct parse *p, const char *value)
{
	uint64_t level;
	int err = parse_up_to(value, 99, &level);

	if (err)
		return err;
	/* HUGETLB_DEBUG may have raised it already. */
	p->opt->verbose = HL_MAX(p->opt->verbose, (int)level);
	return 0;
}

static int parse_debug(struct parse *p, const char *value)
{
	p->opt->debug = true;
	p->opt->verbose = HL_MAX(p->opt->verbose, (int)HL_LOG_DEBUG);
	return 0;
}

static int parse_decay(struct parse *p, const char *value)
{
	uint64_t ms;
	int err = parse_up_to(value, UINT32_MAX, &ms);

	if (err)
		return err;
	p->opt->decay_ms = (unsigned)ms;
	return 0;
}

static int parse_no_prefault(struct parse *p, const char *value)
{
	p->opt->no_prefault = true;
	return 0;
}

/* Parsers of one field without further conditions. */
#define FIELD_PARSER(name, call)                                    \
	static int parse_##name(struct parse *p, const char *value) \
	{                                                           \
		return call;                                        \
	}

FIELD_PARSER(
	default_page_size, parse_page_size(value, &p->opt->default_page_bytes))
FIELD_PARSER(heap_min, hl_parse_size(value, &p->opt->heap_min_bytes))
FIELD_PARSER(heap_max, hl_parse_size(value, &p->opt->heap_max_bytes))
FIELD_PARSER(no_children, hl_parse_bool(value, &p->opt->no_children))
FIELD_PARSER(harden, hl_parse_bool(value, &p->opt->harden))
FIELD_PARSER(shrink, hl_parse_bool(value, &p->opt->heap_shrink))
FIELD_PARSER(perf_map, hl_parse_bool(value, &p->opt->perf_map))
FIELD_PARSER(force_elfmap, hl_parse_bool(value, &p->opt->force_elfmap))
FIELD_PARSER(minimal_copy, hl_parse_bool(value, &p->opt->minimal_copy))
FIELD_PARSER(share, hl_parse_bool(value, &p->opt->share))
FIELD_PARSER(no_reserve, hl_parse_bool(value, &p->opt->no_reserve))
FIELD_PARSER(
	segments, copy_text(p->opt->segments, sizeof(p->opt->segments), value))
FIELD_PARSER(share_path,
	copy_text(p->opt->share_path, sizeof(p->opt->share_path), value))
FIELD_PARSER(path, copy_text(p->opt->path, sizeof(p->opt->path), value))
FIELD_PARSER(report, copy_text(p->opt->report, sizeof(p->opt->report), value))
FIELD_PARSER(
	features, copy_text(p->opt->features, sizeof(p->opt->features), value))

/* clang-format off */
#define OPTIONS(X) \
X("HUGETLB_MORECORE", parse_morecore, "auto|yes|SIZE|thp|no", \
	"auto when preloaded and none of HUGETLB_SHM, HUGETLB_ELFMAP and HUGETLB_MMAP is set, else no", \
	"Backs malloc: with pool pages, else transparent huge pages, else base pages (auto, yes, or SIZE for that page size); never with the pool (thp); or leaves it to the C library (no).") \
X("HUGETLB_MORECORE_POPULATE", parse_populate, "auto|all|no|SIZE", \
	"64M with HUGETLB_MORECORE=yes or SIZE, else auto", \
	"Large blocks that are populated from the pool at once: those that the program was seen to fill (auto), all that fit (all), none (no), or those up to SIZE.") \
X("HUGETLB_FORK", parse_fork, "convert|copy|thp|off", "convert", \
	"What protects parent and child of a fork that the pool cannot serve twice: convert just enough huge pages before it, copy in the child, keep the heap off the pool, or nothing but the healer.") \
X("HUGETLB_HEAP_MIN", parse_heap_min, "SIZE", "0", \
	"Huge pages set aside for the heap when it starts.") \
X("HUGETLB_HEAP_MAX", parse_heap_max, "SIZE", "no limit", \
	"Huge pages that the heap may hold; beyond that it uses other memory.") \
X("HUGETLB_NODE", parse_node, "LIST|local|interleave", "local", \
	"NUMA nodes for the heap's huge pages, as in 0-1,3.") \
X("HUGETLB_DECAY_MS", parse_decay, "MILLISECONDS", "200", \
	"How long empty huge pages are kept for the next request before they go back to the pool.") \
X("HUGETLB_HARDEN", parse_harden, "yes|no", "no", \
	"Checks the heap more strictly and ends the program at the first misuse.") \
X("HUGETLB_NO_CHILDREN", parse_no_children, "yes|no", "no", \
	"Only this program uses huge pages, not the programs that it starts.") \
X("HUGETLB_REPORT", parse_report, "FILE", "none", \
	"File of counters shared with hugectl --report; set by hugectl.") \
X("HUGETLB_MMAP", parse_mmap, "thp|yes|SIZE|no", "no", \
	"Backs large anonymous private mappings with huge pages.") \
X("HUGETLB_SHM", parse_shm, "yes|no", "no", \
	"Backs System V shared memory segments, and large shared anonymous mappings, with huge pages.") \
X("HUGETLB_ELFMAP", parse_elfmap, "no|R|W|RW|R=SIZE:W=SIZE", "no", \
	"Segments that move to huge pages at start: text (R), data and bss (W); with B the brk area, too.") \
X("HUGETLB_SEGMENTS", parse_segments, "main|all|NAME[,NAME...]", "main", \
	"Whose segments HUGETLB_ELFMAP is about: the program's, those of all shared objects too, or of those named.") \
X("HUGETLB_FORCE_ELFMAP", parse_force_elfmap, "yes|no", "no", \
	"Accepted; what lies in whole huge pages always moves, also of programs that were not linked for it.") \
X("HUGETLB_MINIMAL_COPY", parse_minimal_copy, "yes|no", "yes", \
	"Leaves bss to be backed where the program touches it; no populates all of it at start.") \
X("HUGETLB_SHARE", parse_share, "1|0", "1", \
	"Shares the huge pages of text between processes, by files that stay, where the address allows it.") \
X("HUGETLB_SHARE_PATH", parse_share_path, "DIRECTORY", "/dev/shm/libhugetlbfs2-UID", \
	"Where the files of shared text are kept: on tmpfs, the user's own.") \
X("HUGETLB_PERF_MAP", parse_perf_map, "yes|no", "no", \
	"Moves text that processes cannot share so that profilers that are attached later find names, in /tmp/perf-PID.map.") \
X("HUGETLB_DEFAULT_PAGE_SIZE", parse_default_page_size, "SIZE", \
	"the kernel's default", \
	"Huge page size used where none is asked for.") \
X("HUGETLB_PATH", parse_path, "DIRECTORY[:DIRECTORY...]", "all mounts", \
	"The hugetlbfs mounts that may be used.") \
X("HUGETLB_NO_RESERVE", parse_no_reserve, "yes|no", "no", \
	"Maps regions without reserving their huge pages first.") \
X("HUGETLB_NO_PREFAULT", parse_no_prefault, "any", "unset", \
	"Accepted; memory is always populated where a shortage must be noticed.") \
X("HUGETLB_RESTRICT_EXE", parse_restrict, "NAME[:NAME...]", "all programs", \
	"Only programs of these names use huge pages.") \
X("HUGETLB_FEATURES", parse_features, "NAME[,NAME...]", "none", \
	"Accepted; features of the kernel are probed, not configured.") \
X("HUGETLB_MORECORE_HEAPBASE", parse_heapbase, "ADDRESS", "none", \
	"Accepted; the heap finds its own place.") \
X("HUGETLB_MORECORE_SHRINK", parse_shrink, "yes|no", "yes", \
	"Accepted; the heap always gives empty huge pages back.") \
X("HUGETLB_VERBOSE", parse_verbose, "0..99", "0", \
	"Messages to standard error: 1 errors, 2 warnings, 3 information, 4 and more for debugging.") \
X("HUGETLB_DEBUG", parse_debug, "any", "unset", \
	"As HUGETLB_VERBOSE=4.")
/* clang-format on */

const struct hl_opt_doc hl_opt_docs[] = {
#define X(name, parser, values, fallback, help) {name, values, fallback, help},
	OPTIONS(X)
#undef X
};
const size_t hl_opt_doc_count = HL_ARRAY_SIZE(hl_opt_docs);

static int (*const parsers[])(struct parse *, const char *) = {
#define X(name, parser, values, fallback, help) parser,
	OPTIONS(X)
#undef X
};

#define DEFAULTS                                                           \
	{                                                                  \
		.morecore = HL_MORECORE_OFF, .populate = HL_POPULATE_AUTO, \
		.populate_bytes = POPULATE_BYTES,                          \
		.fork_mode = HL_FORK_CONVERT, .heap_max_bytes = SIZE_MAX,  \
		.minimal_copy = true, .share = true, .heap_shrink = true,  \
		.decay_ms = DECAY_MS                                       \
	}

struct hl_opt hl_opt = DEFAULTS;

/* Index in the table, or hl_opt_doc_count; *value is what stands behind =. */
static size_t find(const char *entry, const char **value)
{
	size_t length = strcspn(entry, "=");
	size_t i;

	for (i = 0; i < hl_opt_doc_count; i++) {
		if (strncmp(entry, hl_opt_docs[i].name, length) == 0 &&
			hl_opt_docs[i].name[length] == '\0')
			break;
	}
	*value = entry[length] == '=' ? entry + length + 1 : "";
	return i;
}

static bool is_loudness(size_t i)
{
	return parsers[i] == parse_verbose || parsers[i] == parse_debug;
}

static void pass(struct parse *p, char *const *envp, bool loudness)
{
	uint64_t seen = 0;
	const char *value;

	_Static_assert(HL_ARRAY_SIZE(parsers) <= 64, "a bit for each");
	for (; *envp; envp++) {
		size_t i;

		if (strncmp(*envp, PREFIX, PREFIX_LENGTH) != 0)
			continue;
		i = find(*envp, &value);
		if (i == hl_opt_doc_count || (seen >> i & 1) ||
			is_loudness(i) != loudness)
			continue;
		seen |= (uint64_t)1 << i;
		if (parsers[i](p, value))
			hl_log(HL_LOG_WARN, "%s: \"%s\" is not one of %s",
				hl_opt_docs[i].name, value,
				hl_opt_docs[i].values);
	}
}

/* What depends on more than one variable. */
static void settle(struct parse *p, bool preloaded)
{
	struct hl_opt *opt = p->opt;

	if (!p->morecore_set && !p->other_set && preloaded)
		opt->morecore = HL_MORECORE_AUTO;
	opt->page_bytes =
		p->morecore_bytes ? p->morecore_bytes : opt->default_page_bytes;
	if (!p->populate_set && opt->morecore == HL_MORECORE_POOL)
		opt->populate = HL_POPULATE_SIZE;
	if (opt->heap_min_bytes > opt->heap_max_bytes) {
		hl_log(HL_LOG_WARN,
			"HUGETLB_HEAP_MIN is above HUGETLB_HEAP_MAX, which "
			"counts");
		opt->heap_min_bytes = opt->heap_max_bytes;
	}
}

void hl_opt_parse(struct hl_opt *opt, char *const *envp, bool preloaded,
	bool secure, const char *const programs[HL_OPT_PROGRAM_NAMES])
{
	struct parse p = {.opt = opt, .programs = programs};

	*opt = (struct hl_opt)DEFAULTS;
	if (secure || !envp) {
		opt->secure = secure;
		return;
	}
	pass(&p, envp, true);
	hl_log_set_level(opt->verbose);
	pass(&p, envp, false);
	settle(&p, preloaded);
	if (opt->restricted) {
		int verbose = opt->verbose;

		*opt = (struct hl_opt)DEFAULTS;
		opt->restricted = true;
		opt->verbose = verbose;
	}
}

void hl_opt_init(char *const *envp, bool preloaded)
{
	static bool done;
	const char *programs[HL_OPT_PROGRAM_NAMES];

	if (done || !envp)
		return;
	done = true;
	/*
	 * What was executed, and argv[0]: they differ for a script, whose
	 * interpreter is argv[0], and for programs of many names. libc sets
	 * the second together with environ.
	 */
	programs[0] = (const char *)getauxval(AT_EXECFN);
	programs[1] = program_invocation_name;
	hl_opt_parse(
		&hl_opt, envp, preloaded, getauxval(AT_SECURE) != 0, programs);
}
