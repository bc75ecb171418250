/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of hugectl: one table, one parser. Long options may be
 * abbreviated as long as they stay unique, and take their value behind "=" or,
 * where it is required, as the next word: as getopt_long has it. Called before
 * the C library is initialised: see hugectl_core.h.
 */
#include "hugectl_core.h"

/* clang-format off */
const struct ctl_option_doc ctl_option_docs[] = {
	{CTL_HEAP, "heap", 0, CTL_ARG_OPTIONAL, "SIZE|thp|auto",
		"malloc on huge pages: of the pool, of that size, or transparent ones; auto takes what there is"},
	{CTL_THP, "thp", 0, CTL_ARG_NONE, NULL,
		"malloc on transparent huge pages, never from the pool"},
	{CTL_MMAP, "mmap", 0, CTL_ARG_OPTIONAL, "thp|SIZE",
		"large anonymous mappings on huge pages"},
	{CTL_SHM, "shm", 0, CTL_ARG_OPTIONAL, "SIZE",
		"System V shared memory on huge pages; the size is ignored"},
	{CTL_TEXT, "text", 0, CTL_ARG_OPTIONAL, "SIZE",
		"text on huge pages, the program's if --segments is not given"},
	{CTL_DATA, "data", 0, CTL_ARG_OPTIONAL, "SIZE",
		"data and bss on huge pages"},
	{CTL_BSS, "bss", 0, CTL_ARG_OPTIONAL, "SIZE",
		"the same as --data"},
	{CTL_BRK, "brk", 0, CTL_ARG_NONE, NULL,
		"the brk area on huge pages: sbrk(), and malloc where it stays the C library's"},
	{CTL_SEGMENTS, "segments", 0, CTL_ARG_REQUIRED, "main|all|NAME,...",
		"whose: the program's, all shared objects' too, or those of these"},
	{CTL_SHARE_TEXT, "share-text", 0, CTL_ARG_NONE, NULL,
		"share the huge pages of text between processes"},
	{CTL_PERF_MAP, "perf-map", 0, CTL_ARG_NONE, NULL,
		"names of moved text in /tmp/perf-PID.map, for profilers attached later"},
	{CTL_DISABLE, "disable", 0, CTL_ARG_NONE, NULL,
		"leave text, data and bss where they are"},
	{CTL_NO_RESERVE, "no-reserve", 0, CTL_ARG_NONE, NULL,
		"map regions without reserving their pages first"},
	{CTL_NODE, "node", 0, CTL_ARG_REQUIRED, "LIST|local|interleave",
		"NUMA nodes of the heap's huge pages, in numactl's notation"},
	{CTL_HEAP_MIN, "heap-min", 0, CTL_ARG_REQUIRED, "BYTES",
		"huge pages set aside for the heap at the start"},
	{CTL_HEAP_MAX, "heap-max", 0, CTL_ARG_REQUIRED, "BYTES",
		"huge pages that the heap may hold; beyond, other memory"},
	{CTL_FORK, "fork", 0, CTL_ARG_REQUIRED, "convert|copy|thp|off",
		"what protects the heap over a fork"},
	{CTL_NO_CHILDREN, "no-children", 0, CTL_ARG_NONE, NULL,
		"the program alone, not what it starts"},
	{CTL_NO_PRELOAD, "no-preload", 0, CTL_ARG_NONE, NULL,
		"leave LD_PRELOAD as it is"},
	{CTL_FORCE_PRELOAD, "force-preload", 0, CTL_ARG_NONE, NULL,
		"preload even where it is known to be of no use"},
	{CTL_LIBRARY_USE_PATH, "library-use-path", 0, CTL_ARG_NONE, NULL,
		"let the dynamic linker search for the library"},
	{CTL_LIBRARY_PATH, "library-path", 0, CTL_ARG_REQUIRED, "DIR",
		"take the library from there, and add it to LD_LIBRARY_PATH"},
	{CTL_REPORT, "report", 0, CTL_ARG_OPTIONAL, "[text|json][:FILE]",
		"say at the end what was on huge pages; %p in FILE: one file per process"},
	{CTL_EXPLAIN, "explain", 0, CTL_ARG_NONE, NULL,
		"say what would be done here and why; run nothing"},
	{CTL_DRY_RUN, "dry-run", 0, CTL_ARG_NONE, NULL,
		"print the environment that would be set; run nothing"},
	{CTL_VERBOSE, "verbose", 0, CTL_ARG_REQUIRED, "LEVEL",
		"messages: 0 none, 1 errors, 2 warnings, 3 information, 4 to 99 more"},
	{CTL_MORE_VERBOSE, "", 'v', CTL_ARG_NONE, NULL,
		"one level more"},
	{CTL_QUIET, "", 'q', CTL_ARG_NONE, NULL,
		"no messages"},
	{CTL_HELP, "help", 'h', CTL_ARG_NONE, NULL,
		"this text"},
	{CTL_VERSION, "version", 0, CTL_ARG_NONE, NULL,
		"the version"},
};
/* clang-format on */
const size_t ctl_option_doc_count = HL_ARRAY_SIZE(ctl_option_docs);

/* ---- strings ---- */

size_t ctl_length(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	return n;
}

bool ctl_same(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool ctl_starts(const char *s, const char *prefix)
{
	while (*prefix != '\0' && *s == *prefix) {
		s++;
		prefix++;
	}
	return *prefix == '\0';
}

bool ctl_contains(const char *s, const char *part)
{
	for (; *s != '\0'; s++) {
		if (ctl_starts(s, part))
			return true;
	}
	return *part == '\0';
}

const char *ctl_last_part(const char *path)
{
	const char *last = path;

	for (; *path != '\0'; path++) {
		if (*path == '/')
			last = path + 1;
	}
	return last;
}

const char *ctl_env(char *const *envp, const char *name)
{
	size_t n = ctl_length(name);

	for (; *envp; envp++) {
		if (ctl_starts(*envp, name) && (*envp)[n] == '=')
			return *envp + n + 1;
	}
	return NULL;
}

const char *ctl_join(struct ctl_arena *arena, const char *first, ...)
{
	char *start = arena->at;
	char *to = start;
	__builtin_va_list ap;

	__builtin_va_start(ap, first);
	for (const char *s = first; s; s = __builtin_va_arg(ap, const char *)) {
		for (; *s != '\0'; s++) {
			if (arena->end - to < 2)
				goto full;
			*to++ = *s;
		}
	}
	__builtin_va_end(ap);
	if (arena->end - to < 1)
		goto full_closed;
	*to++ = '\0';
	arena->at = to;
	return start;
full:
	__builtin_va_end(ap);
full_closed:
	arena->full = true;
	return "";
}

/* ---- values ---- */

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Decimal, with an optional suffix: K, M, G or T, then B or iB. */
static bool read_size(const char *s, uint64_t *out)
{
	static const char units[] = "kmgt";
	uint64_t n = 0;
	unsigned shift = 0;

	if (!digit(*s))
		return false;
	for (; digit(*s); s++) {
		if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return false;
	}
	for (unsigned i = 0; *s != '\0' && units[i] != '\0'; i++) {
		if ((*s | 0x20) == units[i]) {
			shift = 10 * (i + 1);
			s++;
			break;
		}
	}
	if (shift > 0 && (*s | 0x20) == 'i' && (s[1] | 0x20) == 'b')
		s += 2;
	else if (shift > 0 && (*s | 0x20) == 'b')
		s++;
	if (*s != '\0' || n > UINT64_MAX >> shift)
		return false;
	*out = n << shift;
	return true;
}

static bool is_page_size(const char *s)
{
	uint64_t n;

	return read_size(s, &n) && hl_is_pow2(n) && n >= 4096;
}

static bool is_one_of(const char *s, const char *const *words)
{
	for (; *words; words++) {
		if (ctl_same(s, *words))
			return true;
	}
	return false;
}

static bool is_report(const char *s)
{
	if (ctl_starts(s, "text") || ctl_starts(s, "json"))
		s += 4;
	return *s == '\0' || (*s == ':' && s[1] != '\0');
}

static bool read_level(const char *s, int *out)
{
	int n = 0;

	for (; digit(*s) && n < 100; s++)
		n = n * 10 + (*s - '0');
	*out = n;
	return *s == '\0' && n < 100;
}

static bool is_good(
	struct ctl_options *o, enum ctl_option option, const char *v)
{
	static const char *const forks[] = {
		"convert", "copy", "thp", "off", NULL};
	static const char *const heaps[] = {"", "thp", "auto", NULL};
	uint64_t n;

	switch (option) {
	case CTL_HEAP:
		return is_one_of(v, heaps) || is_page_size(v);
	case CTL_MMAP:
		return *v == '\0' || ctl_same(v, "thp") || is_page_size(v);
	case CTL_TEXT:
	case CTL_DATA:
	case CTL_BSS:
	case CTL_SHM:
		return *v == '\0' || is_page_size(v);
	case CTL_HEAP_MIN:
	case CTL_HEAP_MAX:
		return read_size(v, &n);
	case CTL_FORK:
		return is_one_of(v, forks);
	case CTL_REPORT:
		return is_report(v);
	case CTL_VERBOSE:
		o->level_set = true;
		return *v != '\0' && read_level(v, &o->level);
	case CTL_NODE:
	case CTL_SEGMENTS:
	case CTL_LIBRARY_PATH:
		return *v != '\0';
	default:
		return true;
	}
}

/* ---- parser ---- */

static void fail(struct ctl_options *o, enum ctl_error error,
	const char *option, const char *value)
{
	if (o->error != CTL_OK)
		return;
	o->error = error;
	o->error_option = option;
	o->error_value = value;
}

static void give(struct ctl_options *o, const struct ctl_option_doc *doc,
	const char *value, const char *written)
{
	if (doc->option == CTL_MORE_VERBOSE || doc->option == CTL_QUIET) {
		o->level_set = true;
		o->level =
			doc->option == CTL_QUIET ? 0 : HL_MIN(o->level + 1, 99);
	}
	if (!is_good(o, doc->option, value))
		fail(o, CTL_BAD_VALUE, written, value);
	o->given[doc->option] = value;
}

/* The option whose name begins with these n characters; NULL and an error. */
static const struct ctl_option_doc *find_long(
	struct ctl_options *o, const char *name, size_t n, const char *written)
{
	const struct ctl_option_doc *found = NULL;

	for (size_t i = 0; i < ctl_option_doc_count; i++) {
		const struct ctl_option_doc *doc = &ctl_option_docs[i];
		size_t k = 0;

		while (k < n && doc->name[k] == name[k])
			k++;
		if (k < n || n == 0)
			continue;
		if (doc->name[n] == '\0')
			return doc;
		if (found) {
			fail(o, CTL_AMBIGUOUS_OPTION, written, NULL);
			return NULL;
		}
		found = doc;
	}
	if (!found)
		fail(o, CTL_UNKNOWN_OPTION, written, NULL);
	return found;
}

/* Returns how many words were used. */
static int parse_long(struct ctl_options *o, char **argv)
{
	const char *name = argv[0] + 2;
	const char *value = name;
	const struct ctl_option_doc *doc;

	while (*value != '\0' && *value != '=')
		value++;
	doc = find_long(o, name, (size_t)(value - name), argv[0]);
	if (!doc)
		return 1;
	if (*value == '=') {
		if (doc->argument == CTL_ARG_NONE)
			fail(o, CTL_TAKES_NO_VALUE, argv[0], NULL);
		if (value[1] == '\0')
			fail(o, CTL_BAD_VALUE, argv[0], "");
		give(o, doc, value + 1, argv[0]);
		return 1;
	}
	if (doc->argument != CTL_ARG_REQUIRED) {
		give(o, doc, "", argv[0]);
		return 1;
	}
	if (!argv[1]) {
		fail(o, CTL_NEEDS_VALUE, argv[0], NULL);
		return 1;
	}
	give(o, doc, argv[1], argv[0]);
	return 2;
}

static void parse_letters(struct ctl_options *o, const char *word)
{
	for (const char *c = word + 1; *c != '\0'; c++) {
		const struct ctl_option_doc *found = NULL;

		for (size_t i = 0; i < ctl_option_doc_count; i++) {
			if (ctl_option_docs[i].letter == *c)
				found = &ctl_option_docs[i];
		}
		if (found)
			give(o, found, "", word);
		else
			fail(o, CTL_UNKNOWN_OPTION, word, NULL);
	}
}

static void check_together(struct ctl_options *o)
{
	uint64_t min, max;

	if (o->error != CTL_OK)
		return;
	if (o->given[CTL_HEAP_MIN] && o->given[CTL_HEAP_MAX] &&
		read_size(o->given[CTL_HEAP_MIN], &min) &&
		read_size(o->given[CTL_HEAP_MAX], &max) && min > max)
		fail(o, CTL_MIN_ABOVE_MAX, "--heap-min",
			o->given[CTL_HEAP_MIN]);
	if (!o->target[0] && !o->given[CTL_HELP] && !o->given[CTL_VERSION] &&
		!o->given[CTL_DRY_RUN] && !o->given[CTL_EXPLAIN])
		fail(o, CTL_NO_TARGET, NULL, NULL);
}

void ctl_parse(struct ctl_options *o, int argc, char **argv)
{
	char **word = argv + (argc > 0 ? 1 : 0);

	for (size_t i = 0; i < CTL_OPTION_COUNT_; i++)
		o->given[i] = NULL;
	o->level = 2;
	o->level_set = false;
	o->object = NULL;
	o->error = CTL_OK;
	o->error_option = NULL;
	o->error_value = NULL;
	while (*word && (*word)[0] == '-' && (*word)[1] != '\0') {
		if (ctl_same(*word, "--")) {
			word++;
			break;
		}
		if ((*word)[1] == '-') {
			word += parse_long(o, word);
		} else {
			parse_letters(o, *word);
			word++;
		}
	}
	o->target = word;
	check_together(o);
}
