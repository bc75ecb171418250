/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/opt.c: environments of known and unknown names with values of any
 * kind. Whatever stands there, the result is within its types and bounds,
 * each text is one of the environment's, a set-uid program sees nothing, and
 * the order of different variables does not matter.
 */
#include "model.h"

#include "base/fmt.h"
#include "base/log.h"
#include "base/opt.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLES_MAX 12
#define VALUE_BYTES   1200

const char model_name[] = "opt";

static struct {
	uint64_t environments;
	uint64_t heaps_on;
	uint64_t restricted;
	uint64_t texts;
	uint64_t repetitions;
} seen;

static char texts[VARIABLES_MAX][VALUE_BYTES + 64];
static char *environment[VARIABLES_MAX + 1];
static size_t count;
static bool preloaded;

static const char *const programs[HL_OPT_PROGRAM_NAMES] = {
	"/usr/bin/prog", "prog2"};

void model_start(struct model_in *in)
{
	count = 0;
	environment[0] = NULL;
	preloaded = model_chance(in, 2);
}

void model_end(void)
{
}

/* What is wrong with a value is told where HUGETLB_VERBOSE asks for it: not
 * here. */
static void parse(
	struct hl_opt *o, char *const *envp, bool preload, bool secure)
{
	static int nowhere, messages;

	if (nowhere == 0) {
		nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
		messages = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
		model_check(nowhere > 0);
	}
	dup2(nowhere, STDERR_FILENO);
	/* Padding is compared as well. */
	memset(o, 0, sizeof(*o));
	hl_opt_parse(o, envp, preload, secure, programs);
	hl_log_set_level(0);
	if (messages > 0)
		dup2(messages, STDERR_FILENO);
}

static size_t any_value(struct model_in *in, char *to)
{
	static const char *const words[] = {"yes", "no", "1", "0", "thp",
		"auto", "all", "2M", "1G", "3M", "4096", "0x200000", "local",
		"interleave", "0-3", "0,2", "R", "W", "RW", "R=2M:W=1G",
		"convert", "copy", "off", "prog", "prog2:x", "99", "100", "",
		"18446744073709551616", "7f0000000000", ":", ",", "="};
	size_t length = 0;

	for (size_t n = model_draw(in, 4); n > 0; n--) {
		const char *word = words[model_draw(in, HL_ARRAY_SIZE(words))];

		length += (size_t)sprintf(to + length, "%s", word);
		/* Mostly one word, which may mean something. */
		if (!model_chance(in, 4))
			break;
	}
	if (model_chance(in, 10))
		to[length++] = (char)(1 + model_draw(in, 255));
	if (model_chance(in, 20)) {
		size_t more = model_draw(in, VALUE_BYTES - length);

		memset(to + length, 'a', more);
		length += more;
	}
	to[length] = '\0';
	return length;
}

static void any_variable(struct model_in *in, char *to)
{
	const char *name = hl_opt_docs[model_draw(in, hl_opt_doc_count)].name;
	size_t length = strlen(name);

	/* Now and then something that only begins like a name. */
	if (model_chance(in, 12))
		length = model_draw(in, length + 1);
	memcpy(to, name, length);
	if (model_chance(in, 20))
		to[length++] = 'X';
	to[length] = '\0';
	if (!model_chance(in, 20)) {
		to[length++] = '=';
		(void)any_value(in, to + length);
	}
}

/* The text of an option is "" or the end of one of our variables. */
static void check_text(const char *text, size_t capacity)
{
	size_t length = strnlen(text, capacity);
	bool written = false;

	model_check(length < capacity);
	if (length == 0)
		return;
	for (size_t i = 0; i < count && !written; i++) {
		const char *value = strchr(environment[i], '=');

		written = value && strcmp(value + 1, text) == 0;
	}
	model_check(written);
	seen.texts++;
}

static void check_bounds(const struct hl_opt *o)
{
	uint64_t bits[1024 / 64];

	model_check(o->morecore <= HL_MORECORE_THP);
	model_check(o->populate <= HL_POPULATE_SIZE);
	model_check(o->fork_mode <= HL_FORK_OFF);
	model_check(o->page_bytes == 0 ||
		    (hl_is_pow2(o->page_bytes) && o->page_bytes >= 4096));
	model_check(o->default_page_bytes == 0 ||
		    hl_is_pow2(o->default_page_bytes));
	model_check(o->heap_min_bytes <= o->heap_max_bytes);
	model_check(o->verbose >= 0 && o->verbose <= 99);
	if (o->morecore == HL_MORECORE_POOL)
		seen.heaps_on++;
	check_text(o->node, sizeof(o->node));
	check_text(o->elfmap, sizeof(o->elfmap));
	check_text(o->path, sizeof(o->path));
	check_text(o->share_path, sizeof(o->share_path));
	check_text(o->report, sizeof(o->report));
	check_text(o->features, sizeof(o->features));
	/* Words that are spelled in one way only. */
	if (strcmp(o->mmap, "yes") != 0 && strcmp(o->mmap, "thp") != 0)
		check_text(o->mmap, sizeof(o->mmap));
	model_check(*o->node == '\0' || hl_same_text(o->node, "local") ||
		    hl_same_text(o->node, "interleave") ||
		    hl_parse_list(o->node, bits, 1024) == 0);
}

static void check_nothing_is_set(const struct hl_opt *o)
{
	static char *nothing[1];
	struct hl_opt plain;

	parse(&plain, nothing, false, false);
	plain.restricted = o->restricted;
	plain.secure = o->secure;
	plain.verbose = o->verbose;
	model_check(memcmp(&plain, o, sizeof(plain)) == 0);
}

static bool names_are_equal(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");

	return length == strcspn(b, "=") && memcmp(a, b, length) == 0;
}

/* The newest variable was there before: the first one counts. */
static bool newest_is_a_repetition(void)
{
	for (size_t i = 0; i + 1 < count; i++) {
		if (names_are_equal(environment[i], environment[count - 1]))
			return true;
	}
	return false;
}

/* Exchanges two neighbours that are not the same variable. */
static bool exchange(struct model_in *in)
{
	size_t i;
	char *first;

	if (count < 2)
		return false;
	i = model_draw(in, count - 1);
	if (names_are_equal(environment[i], environment[i + 1]))
		return false;
	first = environment[i];
	environment[i] = environment[i + 1];
	environment[i + 1] = first;
	return true;
}

void model_step(struct model_in *in)
{
	static struct hl_opt opt, other;

	if (count == VARIABLES_MAX || model_chance(in, 6))
		model_start(in);
	any_variable(in, texts[count]);
	environment[count] = texts[count];
	environment[++count] = NULL;
	parse(&opt, environment, preloaded, false);
	check_bounds(&opt);
	seen.environments++;
	if (opt.restricted) {
		seen.restricted++;
		check_nothing_is_set(&opt);
	}
	if (newest_is_a_repetition()) {
		environment[count - 1] = NULL;
		parse(&other, environment, preloaded, false);
		model_check(memcmp(&opt, &other, sizeof(opt)) == 0);
		environment[count - 1] = texts[count - 1];
		seen.repetitions++;
	}
	if (exchange(in)) {
		parse(&other, environment, preloaded, false);
		model_check(memcmp(&opt, &other, sizeof(opt)) == 0);
	}
	parse(&other, environment, preloaded, true);
	model_check(other.secure && other.verbose == 0);
	check_nothing_is_set(&other);
}

void model_summary(FILE *out)
{
	fprintf(out,
		"environments %lu, heap on the pool %lu, restricted %lu, "
		"texts %lu, repetitions %lu\n",
		seen.environments, seen.heaps_on, seen.restricted, seen.texts,
		seen.repetitions);
}
