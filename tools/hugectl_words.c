/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All that hugectl says, but the report and --explain. Messages are one line
 * each, on standard error, and can be silenced (-q). No stdio: a buffer and one
 * write.
 */
#include "hugectl.h"

#include "base/opt.h"
#include "base/syscall.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

void ctl_say(const struct ctl_options *o, int level, const char *fmt, ...)
{
	const struct sigaction ignored = {.sa_handler = SIG_IGN};
	struct sigaction before;
	char text[2048];
	struct hl_buf buf;
	va_list ap;

	if (o->level < level)
		return;
	hl_buf_init(&buf, text, sizeof(text) - 1);
	hl_buf_puts(&buf, "hugectl: ");
	va_start(ap, fmt);
	hl_buf_vprintf(&buf, fmt, ap);
	va_end(ap);
	text[buf.length] = '\n';
	/* Under ulimit -f a message must not be the end of all. */
	sigaction(SIGXFSZ, &ignored, &before);
	(void)hl_write_all(STDERR_FILENO, text, buf.length + 1);
	sigaction(SIGXFSZ, &before, NULL);
}

const char *ctl_reason(int err)
{
	switch (err < 0 ? -err : err) {
	case ENOENT:
		return "no such file or directory";
	case EACCES:
		return "permission denied";
	case ENOEXEC:
		return "not an executable format";
	case E2BIG:
		return "arguments and environment are too long";
	default:
		return strerror(err < 0 ? -err : err);
	}
}

/* ---- options ---- */

/* The part of the word before "=". */
static size_t name_length(const char *word)
{
	return strcspn(word, "=");
}

static const char *expected(const char *word)
{
	size_t n = name_length(word);

	for (size_t i = 0; n > 2 && i < ctl_option_doc_count; i++) {
		const struct ctl_option_doc *doc = &ctl_option_docs[i];

		if (strncmp(doc->name, word + 2, n - 2) == 0)
			return doc->value;
	}
	return NULL;
}

#define HINT " (see hugectl --help)"

void ctl_say_error(const struct ctl_options *o)
{
	/* Told even when quiet: nothing will run. */
	struct ctl_options loud = {.level = 2};
	const char *word = o->error_option;
	const char *value, *relation;

	switch (o->error) {
	case CTL_OK:
		return;
	case CTL_UNKNOWN_OPTION:
		ctl_say(&loud, 1, "unknown option: %s" HINT, word);
		break;
	case CTL_AMBIGUOUS_OPTION:
		ctl_say(&loud, 1, "ambiguous option: %s" HINT, word);
		break;
	case CTL_NEEDS_VALUE:
		ctl_say(&loud, 1, "%s needs a value" HINT, word);
		break;
	case CTL_TAKES_NO_VALUE:
		ctl_say(&loud, 1, "%s: this option takes no value" HINT, word);
		break;
	case CTL_BAD_VALUE:
		value = expected(word);
		relation = !value		? "understood"
			   : strchr(value, '|') ? "one of "
						: "a valid ";
		ctl_say(&loud, 1, "%s: \"%s\" is not %s%s" HINT, word,
			o->error_value, relation, value ? value : "");
		break;
	case CTL_NO_TARGET:
		ctl_say(&loud, 1, "no program to run" HINT);
		break;
	case CTL_MIN_ABOVE_MAX:
		ctl_say(&loud, 1, "--heap-min is above --heap-max" HINT);
		break;
	}
}

/* ---- before the program starts ---- */

const char *ctl_kind_name(enum ctl_kind kind)
{
	static const char *const names[] = {
		[CTL_DYNAMIC] = "64-bit, dynamically linked",
		[CTL_STATIC] = "statically linked",
		[CTL_32BIT] = "32-bit",
		[CTL_OTHER_MACHINE] = "for another machine",
		[CTL_SETUID] = "set-uid, set-gid or with capabilities",
		[CTL_MUSL] = "linked against musl",
		[CTL_SANITIZER] = "built with a sanitizer",
		[CTL_SANITIZER_STATIC] = "built with a sanitizer, linked in",
		[CTL_OWN_MALLOC] = "with a malloc of its own",
		[CTL_UNKNOWN] = "of an unknown format",
	};

	return names[kind];
}

const char *ctl_kind_reason(enum ctl_kind kind)
{
	static const char *const reasons[] = {
		[CTL_STATIC] = "is statically linked, so its malloc cannot be "
			       "replaced",
		[CTL_32BIT] = "is a 32-bit program, which is not supported",
		[CTL_OTHER_MACHINE] = "is a program for another machine",
		[CTL_SETUID] = "runs with privileges of its own, so the "
			       "dynamic linker ignores LD_PRELOAD",
		[CTL_MUSL] = "is linked against musl, which this library does "
			     "not support",
		[CTL_SANITIZER] = "has a sanitizer, whose malloc must come "
				  "first",
		[CTL_SANITIZER_STATIC] = "has a sanitizer linked in, with a "
					 "malloc of its own",
		[CTL_OWN_MALLOC] = "brings a malloc of its own",
		[CTL_UNKNOWN] = "",
	};

	return reasons[kind] ? reasons[kind] : "";
}

static void say_passed_over(const struct ctl_options *o,
	const struct ctl_target *t, const struct ctl_plan *plan)
{
	ctl_say(o, HL_LOG_WARN, "%s %s: it runs on ordinary memory%s",
		t->judged, ctl_kind_reason(t->kind),
		plan->preloads ? ", what it starts does not have to" : "");
}

static void say_contradictions(const struct ctl_options *o)
{
	const char *data = o->given[CTL_DATA], *bss = o->given[CTL_BSS];
	const char *heap = o->given[CTL_HEAP];

	if (data && bss && *data && *bss && strcmp(data, bss) != 0)
		ctl_say(o, HL_LOG_WARN,
			"data and bss share one page size: %s is used", data);
	if (o->given[CTL_SHM] && *o->given[CTL_SHM])
		ctl_say(o, HL_LOG_WARN,
			"--shm takes the default page size: %s is ignored",
			o->given[CTL_SHM]);
	if (o->given[CTL_DISABLE] &&
		(o->given[CTL_TEXT] || data || bss || o->given[CTL_BRK] ||
			o->given[CTL_SEGMENTS]))
		ctl_say(o, HL_LOG_WARN,
			"--disable counts: text, data, bss and the brk area "
			"stay as they are");
	if (o->given[CTL_THP] && heap && *heap && strcmp(heap, "thp") != 0)
		ctl_say(o, HL_LOG_WARN, "--thp counts, --heap=%s does not",
			heap);
}

void ctl_say_plan(const struct ctl_options *o, const struct ctl_target *t,
	const struct ctl_plan *plan)
{
	say_contradictions(o);
	if (o->given[CTL_NO_PRELOAD])
		return;
	if (plan->preload_missing)
		ctl_say(o, HL_LOG_ERROR,
			"%s was not found: the program runs on ordinary "
			"memory (see --library-path)",
			CTL_PRELOAD);
	else if (plan->target_passed_over)
		say_passed_over(o, t, plan);
	else if (plan->preloads)
		ctl_say(o, HL_LOG_INFO, "%s: preloading %s", t->path,
			plan->preload);
}

/* ---- help ---- */

#define HELP_COLUMN 30

static void put_option(struct hl_buf *buf, const struct ctl_option_doc *doc)
{
	size_t from = buf->length, width;

	hl_buf_puts(buf, "  ");
	if (doc->letter)
		hl_buf_printf(buf, "-%c", doc->letter);
	else
		hl_buf_puts(buf, "  ");
	if (doc->name[0])
		hl_buf_printf(
			buf, "%s --%s", doc->letter ? "," : " ", doc->name);
	if (doc->argument == CTL_ARG_OPTIONAL)
		hl_buf_printf(buf, "[=%s]", doc->value);
	else if (doc->argument == CTL_ARG_REQUIRED)
		hl_buf_printf(buf, "=%s", doc->value);
	/* Texts stand in one column; behind a long name, a line below. */
	width = buf->length - from;
	if (width >= HELP_COLUMN) {
		hl_buf_putc(buf, '\n');
		width = 0;
	}
	for (; width < HELP_COLUMN; width++)
		hl_buf_putc(buf, ' ');
	hl_buf_printf(buf, "%s\n", doc->help);
}

int ctl_print_help(void)
{
	static char text[16384];
	struct hl_buf buf;

	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_puts(&buf,
		"Usage: hugectl [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
		"Run a program with its memory on huge pages, as far as there "
		"are any.\n"
		"Without options: --heap=auto.\n\n"
		"Options:\n");
	for (size_t i = 0; i < ctl_option_doc_count; i++)
		put_option(&buf, &ctl_option_docs[i]);
	hl_buf_puts(&buf, "\nEnvironment of the program:\n");
	for (size_t i = 0; i < hl_opt_doc_count; i++) {
		const struct hl_opt_doc *doc = &hl_opt_docs[i];

		hl_buf_printf(&buf, "  %s=%s\n      %s Default: %s.\n",
			doc->name, doc->values, doc->help, doc->fallback);
	}
	hl_buf_puts(&buf,
		"\nExit status: the program's; 125 if hugectl fails, 126 if "
		"the program cannot be\nexecuted, 127 if it is not found.\n");
	return hl_write_all(STDOUT_FILENO, buf.data, buf.length);
}

/* ---- dry run ---- */

/* export NAME='value'; a quote in it is one outside of quotes. */
static int print_setting(const char *set)
{
	const char *value = strchr(set, '=') + 1;
	char text[4096];
	struct hl_buf buf;
	int err = 0;

	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_puts(&buf, "export ");
	for (const char *c = set; c < value; c++)
		hl_buf_putc(&buf, *c);
	hl_buf_putc(&buf, '\'');
	for (; *value != '\0' && !err; value++) {
		if (*value == '\'')
			hl_buf_puts(&buf, "'\\'");
		hl_buf_putc(&buf, *value);
		/* Values may be longer than any buffer. */
		if (buf.length + 8 > sizeof(text)) {
			err = hl_write_all(STDOUT_FILENO, text, buf.length);
			hl_buf_init(&buf, text, sizeof(text));
		}
	}
	hl_buf_puts(&buf, "'\n");
	return err ? err : hl_write_all(STDOUT_FILENO, text, buf.length);
}

int ctl_print_settings(const struct ctl_plan *plan)
{
	for (size_t i = 0; i < plan->sets; i++) {
		int err = print_setting(plan->set[i]);

		if (err)
			return err;
	}
	return 0;
}
