/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The environment that the options ask for: HUGETLB_* variables, and
 * LD_PRELOAD with our object first and what was there behind it. Called
 * before the C library is initialised: see hugectl_core.h.
 *
 * 32-bit children. ld.so complains about a 64-bit object in LD_PRELOAD, and
 * about a missing one. It also expands $LIB there, to a name that differs by
 * architecture. So the object is named as DIR/$LIB/libhugetlbfs2-preload.so,
 * where DIR has a link to the real object under the native name, and under
 * those of 32-bit systems an object with nothing in it (passover/). A program
 * whose loader is not the one this build knows gets the plain path.
 */
#include "hugectl_core.h"
#include "raw.h"

#include <errno.h>
#include <fcntl.h>

/* What ld.so makes of $LIB here; from the build. "": not known. */
#ifndef HL_NATIVE_LIB
#define HL_NATIVE_LIB ""
#endif
/* Where the library is installed: from the prefix, and in full. */
#ifndef HL_LIBDIR_RELATIVE
#define HL_LIBDIR_RELATIVE "lib"
#endif
#ifndef HL_LIBDIR
#define HL_LIBDIR "/usr/local/lib"
#endif

static bool exists(const char *path)
{
	return raw4(SYS_faccessat, AT_FDCWD, (long)path, 4 /* R_OK */, 0) == 0;
}

static void set(struct ctl_plan *plan, const char *setting)
{
	if (plan->sets < CTL_SETS_MAX)
		plan->set[plan->sets++] = setting;
}

/* ---- where our object is ---- */

const char *ctl_own_directory(struct ctl_arena *arena)
{
	char *start = arena->at;
	long room = arena->end - start;
	long n = raw4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe",
		(long)start, room - 1);

	if (n <= 0 || n >= room - 1) {
		arena->full = arena->full || n > 0;
		return "";
	}
	while (n > 0 && start[n - 1] != '/')
		n--;
	start[n > 1 ? n - 1 : n] = '\0';
	arena->at = start + n + 1;
	return start;
}

static const char *parent(const char *directory, struct ctl_arena *arena)
{
	const char *last = ctl_last_part(directory);
	char *start = arena->at;

	if (last - directory < 1 || arena->end - start <= last - directory) {
		arena->full = arena->full || last - directory >= 1;
		return "";
	}
	for (const char *c = directory; c < last - 1; c++)
		*arena->at++ = *c;
	*arena->at++ = '\0';
	return start;
}

/* dir/$LIB/object if the loader will find it there, else dir/object. */
static const char *probe(struct ctl_plan *plan, const char *links,
	const char *plain, bool any_loader, struct ctl_arena *arena)
{
	char *mark = arena->at;

	if (any_loader && HL_NATIVE_LIB[0] != '\0') {
		const char *native = ctl_join(
			arena, links, "/" HL_NATIVE_LIB "/" CTL_PRELOAD, NULL);
		bool there = exists(native);

		arena->at = mark;
		if (there) {
			plan->any_loader = true;
			return ctl_join(
				arena, links, "/$LIB/" CTL_PRELOAD, NULL);
		}
	}
	const char *path = ctl_join(arena, plain, "/" CTL_PRELOAD, NULL);

	if (exists(path))
		return path;
	arena->at = mark;
	return NULL;
}

static const char *find_object(struct ctl_plan *plan, const char *directory,
	bool any_loader, struct ctl_arena *arena)
{
	/* Of the build tree, of a moved prefix, of the configured prefix. */
	const char *up = parent(directory, arena);
	const struct {
		const char *links;
		const char *plain;
	} places[] = {
		{ctl_join(arena, directory, "/passover", NULL),
			ctl_join(arena, up, "/lib/preload", NULL)},
		{ctl_join(arena, directory, "/passover", NULL),
			ctl_join(arena, up, "/lib", NULL)},
		{ctl_join(arena, up, "/" HL_LIBDIR_RELATIVE "/libhugetlbfs2",
			 NULL),
			ctl_join(arena, up, "/" HL_LIBDIR_RELATIVE, NULL)},
		{HL_LIBDIR "/libhugetlbfs2", HL_LIBDIR},
	};

	for (size_t i = 0; i < HL_ARRAY_SIZE(places); i++) {
		const char *path = probe(plan, places[i].links, places[i].plain,
			any_loader, arena);

		if (path)
			return path;
	}
	return NULL;
}

static const char *find_preload(struct ctl_plan *plan,
	const struct ctl_options *o, const struct ctl_target *t,
	const char *directory, struct ctl_arena *arena)
{
	const char *asked = o->given[CTL_LIBRARY_PATH];
	bool any_loader;

	if (o->object) {
		plan->any_loader = ctl_contains(o->object, "/$LIB/");
		return o->object;
	}
	if (o->given[CTL_LIBRARY_USE_PATH])
		return CTL_PRELOAD;
	if (asked)
		return probe(plan, "", asked, false, arena);
	/* Another loader may make something else of $LIB. */
	any_loader = !t->path || t->native_loader ||
		     (t->kind != CTL_DYNAMIC && t->kind != CTL_OWN_MALLOC);
	return find_object(plan, directory, any_loader, arena);
}

/* ---- LD_PRELOAD ---- */

static bool is_separator(char c)
{
	return c == ':' || c == ' ';
}

/* ld.so splits at these, and expands what looks like a token. */
static bool is_safe(const char *path, bool any_loader)
{
	for (const char *c = path; *c != '\0'; c++) {
		if (is_separator(*c))
			return false;
		if (*c == '$' &&
			!(any_loader && ctl_starts(c, "$LIB/" CTL_PRELOAD)))
			return false;
	}
	return true;
}

/* Appends what was there, without empty components and without ours. */
static void append_existing(
	struct ctl_arena *arena, const char *existing, const char *ours)
{
	while (existing && *existing != '\0') {
		char *mark = arena->at;
		size_t n = 0;

		while (existing[n] != '\0' && !is_separator(existing[n]))
			n++;
		if (n > 0) {
			if ((size_t)(arena->end - arena->at) < n + 2) {
				arena->full = true;
				return;
			}
			*arena->at++ = ':';
			for (size_t i = 0; i < n; i++)
				*arena->at++ = existing[i];
			*arena->at = '\0';
			if (ctl_same(mark + 1, ours))
				arena->at = mark;
		}
		existing += n;
		while (is_separator(*existing))
			existing++;
	}
	*arena->at = '\0';
}

static void set_preload(struct ctl_plan *plan, const struct ctl_target *t,
	char *const *envp, struct ctl_arena *arena)
{
	const char *first = "", *colon = "";
	const char *setting;

	if (t->kind == CTL_SANITIZER && t->sanitizer) {
		first = t->sanitizer;
		colon = ":";
	}
	setting = ctl_join(
		arena, "LD_PRELOAD=", first, colon, plan->preload, NULL);
	if (arena->full)
		return;
	arena->at--; /* its NUL */
	append_existing(arena, ctl_env(envp, "LD_PRELOAD"), plan->preload);
	arena->at++;
	set(plan, setting);
	plan->preloads = true;
}

/* Whether LD_PRELOAD may name us, for the target or what it starts. */
static bool may_preload(struct ctl_plan *plan, const struct ctl_options *o,
	const struct ctl_target *t)
{
	switch (t->path ? t->kind : CTL_DYNAMIC) {
	case CTL_DYNAMIC:
	case CTL_UNKNOWN:
		return true;
	case CTL_STATIC:
	case CTL_SETUID:
	case CTL_OWN_MALLOC:
		/* Of no use to these, and right for the programs they start. */
		plan->target_passed_over = true;
		return true;
	case CTL_32BIT:
	case CTL_OTHER_MACHINE:
	case CTL_MUSL:
		/* A loader that does not know $LIB finds nothing, silently. */
		plan->target_passed_over = true;
		return plan->any_loader || o->given[CTL_FORCE_PRELOAD];
	default:
		plan->target_passed_over = true;
		return o->given[CTL_FORCE_PRELOAD] != NULL;
	}
}

static void plan_preload(struct ctl_plan *plan, const struct ctl_options *o,
	const struct ctl_target *t, const char *directory, char *const *envp,
	struct ctl_arena *arena)
{
	const char *asked = o->given[CTL_LIBRARY_PATH];

	if (asked) {
		const char *old = ctl_env(envp, "LD_LIBRARY_PATH");
		bool kept = old && *old != '\0';

		set(plan, ctl_join(arena, "LD_LIBRARY_PATH=", asked,
				  kept ? ":" : "", kept ? old : "", NULL));
	}
	if (o->given[CTL_NO_PRELOAD])
		return;
	plan->preload = find_preload(plan, o, t, directory, arena);
	plan->preload_missing = !plan->preload;
	if (!plan->preload || !may_preload(plan, o, t))
		return;
	plan->preload_unsafe = !is_safe(plan->preload, plan->any_loader);
	if (!plan->preload_unsafe)
		set_preload(plan, t, envp, arena);
}

/* ---- HUGETLB_* ---- */

static void plan_verbose(struct ctl_plan *plan, const struct ctl_options *o,
	struct ctl_arena *arena)
{
	char digits[3];
	char *d = digits;

	if (!o->level_set)
		return;
	if (o->level >= 10)
		*d++ = (char)('0' + o->level / 10 % 10);
	*d++ = (char)('0' + o->level % 10);
	*d = '\0';
	set(plan, ctl_join(arena, "HUGETLB_VERBOSE=", digits, NULL));
	if (o->level == 99)
		set(plan, "HUGETLB_DEBUG=yes");
}

static void plan_heap(struct ctl_plan *plan, const struct ctl_options *o,
	char *const *envp, struct ctl_arena *arena)
{
	const char *heap = o->given[CTL_HEAP];

	if (o->given[CTL_THP])
		heap = "thp";
	if (!heap)
		return;
	set(plan, ctl_join(arena, "HUGETLB_MORECORE=", *heap ? heap : "yes",
			  NULL));
	/*
	 * The variable alone populates large blocks, as programs written for
	 * it expect. Through hugectl what was not touched stays lazy.
	 */
	if (!ctl_same(heap, "thp") && !ctl_same(heap, "auto") &&
		!ctl_env(envp, "HUGETLB_MORECORE_POPULATE"))
		set(plan, "HUGETLB_MORECORE_POPULATE=auto");
}

static void plan_segments(struct ctl_plan *plan, const struct ctl_options *o,
	struct ctl_arena *arena)
{
	const char *text = o->given[CTL_TEXT];
	const char *data = o->given[CTL_DATA];
	bool brk = o->given[CTL_BRK] != NULL;

	if (!data || (*data == '\0' && o->given[CTL_BSS]))
		data = o->given[CTL_BSS];
	if (!text && !data && !brk && o->given[CTL_SEGMENTS])
		text = "";
	if (o->given[CTL_DISABLE])
		set(plan, "HUGETLB_ELFMAP=no");
	else if (text && data && !*text && !*data && !brk)
		set(plan, "HUGETLB_ELFMAP=RW");
	else if (text || data || brk)
		set(plan, ctl_join(arena, "HUGETLB_ELFMAP=", text ? "R" : "",
				  text && *text ? "=" : "", text ? text : "",
				  text && data ? ":" : "", data ? "W" : "",
				  data && *data ? "=" : "", data ? data : "",
				  brk && (text || data) ? ":" : "",
				  brk ? "B" : "", NULL));
}

void ctl_plan(struct ctl_plan *plan, const struct ctl_options *o,
	const struct ctl_target *t, const char *directory, char *const *envp,
	struct ctl_arena *arena)
{
	const char *mmap_ = o->given[CTL_MMAP];

	plan->sets = 0;
	plan->preload = NULL;
	plan->preload_missing = plan->preload_unsafe = plan->preloads = false;
	plan->any_loader = plan->target_passed_over = false;
	plan_verbose(plan, o, arena);
	plan_preload(plan, o, t, directory, envp, arena);
	plan_segments(plan, o, arena);
	plan_heap(plan, o, envp, arena);
	if (mmap_)
		set(plan, ctl_join(arena, "HUGETLB_MMAP=",
				  *mmap_ ? mmap_ : "yes", NULL));
	if (o->given[CTL_SHM])
		set(plan, "HUGETLB_SHM=yes");
	if (o->given[CTL_NO_RESERVE])
		set(plan, "HUGETLB_NO_RESERVE=yes");
	if (o->given[CTL_SEGMENTS])
		set(plan, ctl_join(arena, "HUGETLB_SEGMENTS=",
				  o->given[CTL_SEGMENTS], NULL));
	if (o->given[CTL_SHARE_TEXT])
		set(plan, "HUGETLB_SHARE=1");
	if (o->given[CTL_PERF_MAP])
		set(plan, "HUGETLB_PERF_MAP=yes");
	if (o->given[CTL_NODE])
		set(plan, ctl_join(arena, "HUGETLB_NODE=", o->given[CTL_NODE],
				  NULL));
	if (o->given[CTL_HEAP_MIN])
		set(plan, ctl_join(arena, "HUGETLB_HEAP_MIN=",
				  o->given[CTL_HEAP_MIN], NULL));
	if (o->given[CTL_HEAP_MAX])
		set(plan, ctl_join(arena, "HUGETLB_HEAP_MAX=",
				  o->given[CTL_HEAP_MAX], NULL));
	if (o->given[CTL_FORK])
		set(plan, ctl_join(arena, "HUGETLB_FORK=", o->given[CTL_FORK],
				  NULL));
	if (o->given[CTL_NO_CHILDREN])
		set(plan, "HUGETLB_NO_CHILDREN=yes");
}

/* ---- the new environment ---- */

static bool same_name(const char *a, const char *b)
{
	while (*a != '\0' && *a != '=' && *a == *b) {
		a++;
		b++;
	}
	return *a == '=' && *b == '=';
}

bool ctl_environment(const struct ctl_plan *plan, char *const *envp,
	const char **out, size_t capacity)
{
	size_t n = 0;

	for (; *envp; envp++) {
		bool replaced = false;

		for (size_t i = 0; i < plan->sets && !replaced; i++)
			replaced = same_name(*envp, plan->set[i]);
		if (replaced)
			continue;
		if (n + 1 >= capacity)
			return false;
		out[n++] = *envp;
	}
	for (size_t i = 0; i < plan->sets; i++) {
		if (n + 1 >= capacity)
			return false;
		out[n++] = plan->set[i];
	}
	if (n >= capacity)
		return false;
	out[n] = NULL;
	return true;
}
