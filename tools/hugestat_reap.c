/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --reap: files with a name on hugetlbfs that no process maps or has open, and
 * with --yes their end. A wrong guess would take a program's memory from under
 * it, so the kernel is asked as well, at the very moment: it grants a lease for
 * writing on a file only if nobody else has it open or mapped, in whatever name
 * space, and whoever opens it meanwhile waits until we are done. Where it
 * grants no leases at all, all processes must have been seen.
 *
 * A user may own a directory there and exchange it while we look: so names
 * are resolved without symbolic links, and a name is removed only if it is
 * still that file of that file system.
 */
#include "hugestat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The inode of the first pid name space, which sees all. */
#define FIRST_PID_NS 0xEFFFFFFCu

enum {
	HELD,
	USER,
	NAME
};

static const struct table_column columns[] = {
	[HELD] = {"HELD", TABLE_SIZE, true, ""},
	[USER] = {"USER", TABLE_TEXT, true, ""},
	[NAME] = {"NAME", TABLE_TEXT, true, ""},
};

static bool is_orphan(const struct stat_file *f)
{
	return !f->segment && f->linked && f->path && f->pid_count == 0;
}

/* The directory of the file, reached without a symbolic link. */
static int open_parent(const struct stat_file *f)
{
	const char *root = f->root;
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	char *path = tool_strdup(f->path + strlen(root));
	char *top = tool_text("%s/", root);
	int from = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	long fd = from;

	free(top);
	if (from >= 0) {
		char *at = path;

		*strrchr(path, '/') = '\0';
		at += strspn(at, "/");
		fd = syscall(
			SYS_openat2, from, *at ? at : ".", &how, sizeof(how));
		/* Before 5.6: one that nobody else can write to is as good. */
		if (fd < 0 && errno == ENOSYS)
			fd = openat(from, *at ? at : ".",
				(int)how.flags | O_NOFOLLOW);
		if (fd < 0)
			fd = -errno;
		close(from);
	} else {
		fd = -errno;
	}
	free(path);
	return (int)fd;
}

static bool all_seen(const struct stat_snapshot *s)
{
	struct stat st;

	return s->maps_denied == 0 && s->fds_denied == 0 &&
	       s->mounts_denied == 0 && stat("/proc/self/ns/pid", &st) == 0 &&
	       st.st_ino == FIRST_PID_NS;
}

static bool is_still(const struct stat_file *f, const struct stat *st)
{
	return st->st_dev == f->device && st->st_ino == f->inode &&
	       S_ISREG(st->st_mode);
}

/* NULL if it is gone, else why not. */
static const char *remove_file(
	const struct stat_snapshot *s, const struct stat_file *f)
{
	const char *name = strrchr(f->path, '/') + 1, *reason = NULL;
	int parent = open_parent(f), fd;
	struct stat st;

	if (parent < 0)
		return strerror(-parent);
	fd = openat(
		parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		reason = errno == EWOULDBLOCK ? "is in use" : strerror(errno);
	} else if (fstat(fd, &st) != 0 || !is_still(f, &st)) {
		reason = "is another file by now";
	} else if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0) {
		if (errno == EAGAIN)
			reason = "is in use";
		else if (!all_seen(s))
			reason = "may be in use: not all processes could be "
				 "seen";
	}
	if (!reason && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		reason = strerror(errno);
	else if (!reason && !is_still(f, &st))
		reason = "is another file by now";
	if (!reason && unlinkat(parent, name, 0) != 0)
		reason = strerror(errno);
	/* Ends the lease. */
	if (fd >= 0)
		close(fd);
	close(parent);
	return reason;
}

static void say_unseen(const struct stat_snapshot *s)
{
	if (s->maps_denied + s->fds_denied > 0)
		tool_say(
			"not all processes could be seen: some of these may be "
			"in use");
}

static int remove_all(const struct stat_snapshot *s)
{
	size_t removed = 0, left = 0;
	uint64_t bytes = 0;

	signal(SIGIO, SIG_IGN);
	say_unseen(s);
	for (size_t i = 0; i < s->file_count; i++) {
		const struct stat_file *f = &s->files[i];
		const char *reason;

		if (!is_orphan(f))
			continue;
		reason = remove_file(s, f);
		if (reason) {
			tool_say("%s: %s", f->path, reason);
			left++;
			continue;
		}
		removed++;
		bytes += f->pages * s->sizes[f->size].bytes;
	}
	printf("removed %zu files of %s", removed, tool_size(bytes).text);
	if (left > 0)
		printf(", left %zu", left);
	putchar('\n');
	if (left == 0)
		return TOOL_OK;
	return removed > 0 ? TOOL_PARTIAL : TOOL_FAILURE;
}

static int json_list(const struct table *t)
{
	static char text[4096];
	struct hl_json json;

	hl_json_init_fd(&json, STDOUT_FILENO, text, sizeof(text));
	json.indent = true;
	hl_json_begin_object(&json, NULL);
	table_json(t, &json, "orphaned");
	hl_json_end(&json);
	return hl_json_finish(&json) ? TOOL_FAILURE : TOOL_OK;
}

static int list(const struct stat_snapshot *s)
{
	const struct stat_request *r = s->request;
	uint64_t bytes = 0;
	struct table t;
	int status = TOOL_OK;

	table_init(&t, columns, HL_ARRAY_SIZE(columns));
	t.bytes = r->bytes;
	t.noheadings = r->noheadings;
	for (size_t i = 0; i < s->file_count; i++) {
		const struct stat_file *f = &s->files[i];

		if (!is_orphan(f))
			continue;
		table_row(&t);
		table_number(&t, HELD, f->pages * s->sizes[f->size].bytes);
		table_text(&t, USER, stat_user(r, f->uid));
		table_text(&t, NAME, f->path);
		bytes += f->pages * s->sizes[f->size].bytes;
	}
	if (r->json) {
		status = json_list(&t);
	} else {
		table_print(&t, stdout);
		if (!r->noheadings && t.rows == 0)
			puts("no orphaned files");
		else if (!r->noheadings)
			printf("%zu orphaned files hold %s; --reap --yes "
			       "removes them\n",
				t.rows, tool_size(bytes).text);
	}
	say_unseen(s);
	table_free(&t);
	return status;
}

int stat_reap(const struct stat_request *request)
{
	struct stat_snapshot *s;
	int status;

	if (!request->live)
		return tool_fail("--reap needs the procfs of a running kernel");
	s = stat_take(request);
	status = request->yes ? remove_all(s) : list(s);
	stat_free(s);
	return status;
}
