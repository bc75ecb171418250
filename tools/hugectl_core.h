/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The core of hugectl: options, what the target is, what environment it gets.
 *
 * These functions (hugectl_options.c, hugectl_target.c, hugectl_plan.c) also
 * run before the C library is initialised, see hugectl_start.c: they call
 * nothing but each other and the kernel, print nothing, allocate nothing. What
 * must be said to the user is a code here and a sentence in hugectl_words.c.
 * tests/tools/core_symbols.py checks that they stay that way.
 */
#ifndef HL_TOOLS_HUGECTL_CORE_H
#define HL_TOOLS_HUGECTL_CORE_H

#include "base/base.h"

#define CTL_PRELOAD "libhugetlbfs2-preload.so"

/* Own exit statuses, as env(1) has them. */
enum {
	CTL_EXIT_FAILURE = 125,
	CTL_EXIT_NOT_EXECUTABLE = 126,
	CTL_EXIT_NOT_FOUND = 127,
};

/* ---- options ---- */

enum ctl_option {
	CTL_HEAP,
	CTL_THP,
	CTL_MMAP,
	CTL_SHM,
	CTL_TEXT,
	CTL_DATA,
	CTL_BSS,
	CTL_BRK,
	CTL_SEGMENTS,
	CTL_SHARE_TEXT,
	CTL_PERF_MAP,
	CTL_DISABLE,
	CTL_NO_RESERVE,
	CTL_NODE,
	CTL_HEAP_MIN,
	CTL_HEAP_MAX,
	CTL_FORK,
	CTL_NO_CHILDREN,
	CTL_NO_PRELOAD,
	CTL_FORCE_PRELOAD,
	CTL_LIBRARY_USE_PATH,
	CTL_LIBRARY_PATH,
	CTL_REPORT,
	CTL_EXPLAIN,
	CTL_DRY_RUN,
	CTL_VERBOSE,
	CTL_MORE_VERBOSE,
	CTL_QUIET,
	CTL_HELP,
	CTL_VERSION,
	CTL_OPTION_COUNT_
};

enum ctl_argument {
	CTL_ARG_NONE,
	CTL_ARG_OPTIONAL,
	CTL_ARG_REQUIRED
};

/* One row per option: source of the parser and of --help. */
struct ctl_option_doc {
	enum ctl_option option;
	const char *name; /* without dashes, "" for none */
	char letter;	  /* 0: none */
	enum ctl_argument argument;
	const char *value; /* how --help calls the argument */
	const char *help;
};
extern const struct ctl_option_doc ctl_option_docs[];
extern const size_t ctl_option_doc_count;

enum ctl_error {
	CTL_OK,
	CTL_UNKNOWN_OPTION,
	CTL_AMBIGUOUS_OPTION,
	CTL_NEEDS_VALUE,
	CTL_TAKES_NO_VALUE,
	CTL_BAD_VALUE,
	CTL_NO_TARGET,
	CTL_MIN_ABOVE_MAX,
};

struct ctl_options {
	/* By option: NULL not given, "" given without a value. */
	const char *given[CTL_OPTION_COUNT_];
	int level; /* of messages; -v, -q, --verbose */
	bool level_set;
	char **target;	    /* argv of the program, [0] NULL if none */
	const char *object; /* what LD_PRELOAD is to say, instead of a search */
	enum ctl_error error;
	const char *error_option; /* as the user wrote it */
	const char *error_value;
};

/* Options end at the first word that is none, or at "--". */
void ctl_parse(struct ctl_options *o, int argc, char **argv);

/* ---- memory for strings ---- */

/* A caller's buffer; what no longer fits sets `full`. */
struct ctl_arena {
	char *at;
	char *end;
	bool full;
};

/* Pieces end at a NULL. Returns the string, or "" if it does not fit. */
const char *ctl_join(struct ctl_arena *arena, const char *first, ...)
	__attribute__((sentinel));

size_t ctl_length(const char *s);
bool ctl_same(const char *a, const char *b);
bool ctl_starts(const char *s, const char *prefix);
bool ctl_contains(const char *s, const char *part);
/* Behind the last slash. */
const char *ctl_last_part(const char *path);
/* The value of NAME in envp, or NULL. */
const char *ctl_env(char *const *envp, const char *name);

/* ---- target ---- */

enum ctl_kind {
	CTL_DYNAMIC,
	CTL_STATIC,
	CTL_32BIT,
	CTL_OTHER_MACHINE,
	CTL_SETUID, /* or set-gid, or file capabilities */
	CTL_MUSL,
	CTL_SANITIZER, /* a runtime that has to come first */
	CTL_SANITIZER_STATIC,
	CTL_OWN_MALLOC, /* defined in the executable, so it comes first */
	CTL_UNKNOWN,	/* not readable, or no ELF */
};

struct ctl_target {
	int found;	    /* 0, -ENOENT, -EACCES, ... */
	const char *path;   /* what is executed */
	const char *judged; /* the ELF file behind it: an interpreter, for
			       scripts */
	enum ctl_kind kind;
	bool native_loader;    /* expands $LIB as this build expects */
	const char *sanitizer; /* file name of the runtime */
};

void ctl_judge(struct ctl_target *t, const char *name, char *const *envp,
	struct ctl_arena *arena);

/* ---- plan ---- */

#define CTL_SETS_MAX 24

struct ctl_plan {
	const char *set[CTL_SETS_MAX]; /* "NAME=value" */
	size_t sets;
	const char *preload;	 /* path of our object, or NULL */
	bool preload_missing;	 /* looked for and not found */
	bool preload_unsafe;	 /* its path cannot stand in LD_PRELOAD */
	bool preloads;		 /* LD_PRELOAD has it */
	bool any_loader;	 /* with $LIB: right for 32-bit programs too */
	bool target_passed_over; /* this program cannot have it; see its kind */
};

/*
 * What the environment becomes. directory: of hugectl itself. t may be
 * unjudged (path NULL) without a target.
 */
void ctl_plan(struct ctl_plan *plan, const struct ctl_options *o,
	const struct ctl_target *t, const char *directory, char *const *envp,
	struct ctl_arena *arena);

/* Directory of the running executable in the arena; "" if unknown. */
const char *ctl_own_directory(struct ctl_arena *arena);

/*
 * The new environment, NULL-terminated, in `out` of `capacity` pointers:
 * envp with the plan's settings. False if it does not fit.
 */
bool ctl_environment(const struct ctl_plan *plan, char *const *envp,
	const char **out, size_t capacity);

#endif
