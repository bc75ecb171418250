/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shadows of moved text (segment/shadow.h): files on tmpfs that processes
 * of one user share. They stand on transparent huge pages, so they are no
 * holders of a pool and no part of the sums; but what they hold outlives the
 * programs, and nobody else would tell whose it is.
 *
 * Looked for where the library puts them: the default directories of all users,
 * and $HUGETLB_SHARE_PATH. Only root can look into those of others. Text that
 * moved to a file without a name, or to the pool, is not here: the one has no
 * more than its process, the other is among the files.
 */
#include "hugestat.h"

#include "base/fmt.h"
#include "segment/shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PLACE  "/dev/shm"
#define PREFIX "libhugetlbfs2-"

struct directory {
	struct stat_snapshot *s;
	const char *path; /* as it can be reached from here */
	uint32_t uid;
};

static const char *state_of(
	const struct stat_snapshot *s, const struct hl_shadow *shadow)
{
	if (shadow->name[0] == '.')
		return "unfinished";
	if (shadow->original[0] == '\0')
		return "unknown";
	/* The path of the original is meant for another root. */
	if (s->request->root.prefix[0] != '\0')
		return NULL;
	return shadow->stale ? "stale" : "current";
}

/* $HUGETLB_SHARE_PATH may be one of the default directories. */
static bool is_listed(const struct stat_snapshot *s, const char *path)
{
	for (size_t i = 0; i < s->shadow_count; i++) {
		if (strcmp(s->shadows[i].path, path) == 0)
			return true;
	}
	return false;
}

static int see_shadow(const struct hl_shadow *shadow, void *arg)
{
	const struct directory *d = arg;
	struct stat_snapshot *s = d->s;
	char *path = tool_text("%s/%s", d->path, shadow->name);
	struct stat_shadow *out;
	struct stat st;

	if (is_listed(s, path)) {
		free(path);
		return 0;
	}
	if ((s->shadow_count & (s->shadow_count - 1)) == 0)
		s->shadows = tool_realloc(s->shadows,
			s->shadow_count ? 2 * s->shadow_count : 1,
			sizeof(*s->shadows));
	out = &s->shadows[s->shadow_count++];
	*out = (struct stat_shadow){
		.path = path,
		.original = shadow->original[0] != '\0'
				    ? tool_strdup(shadow->original)
				    : NULL,
		.used_bytes = shadow->used_bytes,
		.used_ns = shadow->used_ns,
		.uid = d->uid,
		.state = state_of(s, shadow),
	};
	if (lstat(out->path, &st) == 0) {
		out->device = st.st_dev;
		out->inode = st.st_ino;
	}
	return 0;
}

static void look_into(struct stat_snapshot *s, const char *path, uint32_t uid)
{
	struct directory d = {s, path, uid};
	int err = hl_shadow_visit(path, uid, see_shadow, &d);

	if (err == -EACCES || err == -EPERM)
		s->shadows_denied++;
}

/* One of the default directories? */
static int see_entry(const char *name, void *arg)
{
	struct stat_snapshot *s = arg;
	const char *digits = name + sizeof(PREFIX) - 1;
	uint64_t uid;
	char *path;

	if (strncmp(name, PREFIX, sizeof(PREFIX) - 1) != 0 ||
		digits[strspn(digits, "0123456789")] != '\0' ||
		hl_parse_u64(digits, &uid) != 0 || uid > UINT32_MAX)
		return 0;
	path = stat_path(s->request, PLACE "/%s", name);
	look_into(s, path, (uint32_t)uid);
	free(path);
	return 0;
}

static void look_where_told(struct stat_snapshot *s)
{
	const char *told = getenv("HUGETLB_SHARE_PATH");
	struct stat st;
	char *path;

	if (!told || told[0] != '/')
		return;
	path = stat_path(s->request, "%s", told);
	if (lstat(path, &st) == 0)
		look_into(s, path, st.st_uid);
	free(path);
}

/* ---- who uses them ---- */

struct looking {
	struct stat_snapshot *s;
	pid_t pid;
};

/* Ascending, as the processes are visited. */
static void used_by(struct stat_shadow *shadow, pid_t pid)
{
	size_t n = shadow->pid_count;

	if (n > 0 && shadow->pids[n - 1] == pid)
		return;
	shadow->pids = tool_realloc(shadow->pids, n + 1, sizeof(pid));
	shadow->pids[n] = pid;
	shadow->pid_count++;
}

static int see_map(const struct hl_map_record *r, void *arg)
{
	const struct looking *l = arg;

	for (size_t i = 0; i < l->s->shadow_count; i++) {
		struct stat_shadow *shadow = &l->s->shadows[i];

		if (shadow->inode == r->inode && shadow->device == r->device &&
			r->inode != 0)
			used_by(shadow, l->pid);
	}
	return 0;
}

void stat_add_shadows(struct stat_snapshot *s)
{
	(void)hl_root_list(&s->request->root, PLACE, see_entry, s);
	look_where_told(s);
	/* A captured tree has files of its own, not those of its processes. */
	if (s->shadow_count == 0 || !s->request->live)
		return;
	for (size_t i = 0; i < s->process_count; i++) {
		struct looking l = {s, s->processes[i].pid};

		(void)hl_maps_visit(&s->request->root, l.pid, s->scratch,
			STAT_SCRATCH, see_map, &l);
	}
}

void stat_free_shadows(struct stat_snapshot *s)
{
	for (size_t i = 0; i < s->shadow_count; i++) {
		free(s->shadows[i].path);
		free(s->shadows[i].original);
		free(s->shadows[i].pids);
	}
	free(s->shadows);
}

/* ---- as a table ---- */

enum {
	USED,
	STATE,
	USERS,
	PIDS,
	USER,
	UID,
	LAST_USE,
	ORIGINAL,
	PATH,
};

static const struct table_column columns[] = {
	[USED] = {"USED", TABLE_SIZE, true, ""},
	[STATE] = {"STATE", TABLE_TEXT, true, ""},
	[USERS] = {"USERS", TABLE_NUMBER, true, ""},
	[PIDS] = {"PIDS", TABLE_LIST, false, ""},
	[USER] = {"USER", TABLE_TEXT, true, ""},
	[UID] = {"UID", TABLE_NUMBER, false, ""},
	[LAST_USE] = {"LAST-USE", TABLE_TEXT, true, ""},
	[ORIGINAL] = {"ORIGINAL", TABLE_TEXT, true, ""},
	[PATH] = {"PATH", TABLE_TEXT, true, ""},
};

void stat_fill_shadows(struct table *t, const struct stat_snapshot *s)
{
	table_init(t, columns, HL_ARRAY_SIZE(columns));
	t->bytes = s->request->bytes;
	for (size_t i = 0; i < s->shadow_count; i++) {
		const struct stat_shadow *shadow = &s->shadows[i];
		char when[64];

		table_row(t);
		table_number(t, USED, shadow->used_bytes);
		if (shadow->state)
			table_text(t, STATE, shadow->state);
		if (s->request->live)
			table_number(t, USERS, shadow->pid_count);
		for (size_t n = 0; n < shadow->pid_count; n++)
			table_list(t, PIDS, (uint64_t)shadow->pids[n]);
		table_text(t, USER, stat_user(s->request, shadow->uid));
		table_number(t, UID, shadow->uid);
		if (stat_time(shadow->used_ns / 1000000000, when, sizeof(when)))
			table_text(t, LAST_USE, when);
		if (shadow->original)
			table_text(t, ORIGINAL, shadow->original);
		table_text(t, PATH, shadow->path);
	}
}
