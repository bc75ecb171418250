/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes a snapshot of who holds huge pages, in an order in which each step can
 * use what the one before found: sizes and pools; processes by name; mounts, of
 * every mount name space that is met; what is mapped and open; files; SysV
 * segments; control groups; shadows of text; then the sums. Pools are read
 * again at the end: if they moved meanwhile, or the sums do not fit, all is
 * done once more, since a page on its way from one holder to another is with
 * neither.
 *
 * Kernel behaviour relied on: a memfd on huge pages takes no page until it is
 * used, and its device is that of the kernel's own hugetlbfs mount of that
 * size, on which SysV segments and anonymous mappings are, too.
 */
#include "hugestat.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPTS 3

unsigned stat_size_index(const struct stat_snapshot *s, uint64_t bytes)
{
	unsigned i;

	for (i = 0; i < s->size_count; i++) {
		if (s->sizes[i].bytes == bytes)
			break;
	}
	return i;
}

unsigned stat_size_of_device(const struct stat_snapshot *s, uint64_t device)
{
	for (unsigned i = 0; i < s->size_count; i++) {
		if (s->sizes[i].device == device && device != 0)
			return i;
	}
	for (size_t i = 0; i < s->mount_count; i++) {
		if (s->mounts[i].device == device && device != 0)
			return s->mounts[i].size;
	}
	return s->size_count;
}

char *stat_path(const struct stat_request *request, const char *fmt, ...)
{
	va_list ap;
	char *tail, *path;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&tail, fmt, ap);
	va_end(ap);
	path = tool_text("%s%s", request->root.prefix, n < 0 ? "" : tail);
	if (n >= 0)
		free(tail);
	return path;
}

const char *stat_user(const struct stat_request *request, uint32_t uid)
{
	static char text[64];
	static uint32_t known;
	static bool any;
	/* Another machine's users are not ours. */
	struct passwd *user;

	if (any && known == uid)
		return text;
	user = request->root.prefix[0] == '\0' ? getpwuid(uid) : NULL;
	if (user)
		snprintf(text, sizeof(text), "%s", user->pw_name);
	else
		snprintf(text, sizeof(text), "%u", uid);
	known = uid;
	any = true;
	return text;
}

bool stat_time(time_t at, char *text, size_t capacity)
{
	struct tm tm;

	return localtime_r(&at, &tm) &&
	       strftime(text, capacity, "%Y-%m-%dT%H:%M:%S%z", &tm) > 0;
}

static int compare_processes(const void *a, const void *b)
{
	const struct stat_process *p = a, *q = b;

	return (p->pid > q->pid) - (p->pid < q->pid);
}

const struct stat_process *stat_find_process(
	const struct stat_snapshot *s, pid_t pid)
{
	struct stat_process key = {.pid = pid};

	return s->process_count ? bsearch(&key, s->processes, s->process_count,
					  sizeof(key), compare_processes)
				: NULL;
}

/* ---- sizes ---- */

static uint64_t internal_device(size_t page_bytes)
{
	unsigned flags = MFD_CLOEXEC | MFD_HUGETLB |
			 (unsigned)hl_map_huge_flag(page_bytes);
	int fd = memfd_create("hugestat", flags);
	struct stat st;
	uint64_t device = 0;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0)
		device = st.st_dev;
	close(fd);
	return device;
}

static void read_sizes(struct stat_snapshot *s)
{
	const struct hl_root *root = &s->request->root;
	size_t sizes[HL_PAGE_SIZES_MAX], standard = 0;

	s->size_count = (unsigned)hl_huge_page_sizes(root, sizes);
	(void)hl_default_huge_page(root, &standard);
	for (unsigned i = 0; i < s->size_count; i++) {
		struct stat_size *z = &s->sizes[i];

		z->bytes = sizes[i];
		z->is_default = sizes[i] == standard;
		if (s->request->live)
			z->device = internal_device(sizes[i]);
		(void)hl_pool_read(root, sizes[i], HL_NODE_ANY, &z->pool);
	}
}

/* Whether the pools are still as they were read. */
static bool is_steady(const struct stat_snapshot *s)
{
	for (unsigned i = 0; i < s->size_count; i++) {
		const struct stat_size *z = &s->sizes[i];
		struct hl_pool now = {0};

		(void)hl_pool_read(
			&s->request->root, z->bytes, HL_NODE_ANY, &now);
		if (now.nr != z->pool.nr || now.free != z->pool.free ||
			now.resv != z->pool.resv)
			return false;
	}
	return true;
}

/* ---- the whole ---- */

static uint64_t own_ipc(const struct stat_request *request)
{
	char *path = stat_path(request, "/proc/self/ns/ipc");
	struct stat st;
	uint64_t inode = 1; /* there is but one */

	if (request->live && stat(path, &st) == 0)
		inode = st.st_ino;
	free(path);
	return inode;
}

static struct stat_snapshot *take_once(const struct stat_request *request)
{
	struct stat_snapshot *s = tool_zalloc(1, sizeof(*s));

	s->request = request;
	s->scratch = tool_zalloc(STAT_SCRATCH, 1);
	s->own_ipc = own_ipc(request);
	read_sizes(s);
	stat_add_mounts(s, 0);
	stat_list_processes(s);
	if (s->process_count > 0)
		qsort(s->processes, s->process_count, sizeof(*s->processes),
			compare_processes);
	stat_look_into_processes(s);
	stat_settle_private(s);
	stat_walk_mounts(s);
	stat_add_segments(s);
	stat_add_groups(s);
	stat_add_shadows(s);
	stat_sum(s);
	stat_settle_segments(s);
	s->unsteady = request->live && !is_steady(s);
	return s;
}

static bool is_good(const struct stat_snapshot *s)
{
	if (s->unsteady)
		return false;
	if (!s->request->live)
		return true;
	for (unsigned i = 0; i < s->size_count; i++) {
		if (!stat_is_balanced(&s->sizes[i]))
			return false;
	}
	return true;
}

struct stat_snapshot *stat_take(const struct stat_request *request)
{
	/* Pages that were freed reach the pool a little later. */
	const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	struct stat_snapshot *s = take_once(request);

	for (int i = 1; i < ATTEMPTS && !is_good(s); i++) {
		stat_free(s);
		nanosleep(&pause, NULL);
		s = take_once(request);
	}
	return s;
}

void stat_free(struct stat_snapshot *s)
{
	for (size_t i = 0; i < s->process_count; i++) {
		free(s->processes[i].comm);
		free(s->processes[i].cgroup);
		free(s->processes[i].subpool);
	}
	for (size_t i = 0; i < s->file_count; i++)
		stat_file_free(&s->files[i]);
	for (size_t i = 0; i < s->unsure_count; i++)
		stat_file_free(&s->unsure[i]);
	for (size_t i = 0; i < s->mount_count; i++) {
		free(s->mounts[i].path);
		free(s->mounts[i].root);
	}
	for (size_t i = 0; i < s->group_count; i++)
		free(s->groups[i].path);
	stat_free_shadows(s);
	free(s->processes);
	free(s->maps);
	free(s->files);
	free(s->file_slots);
	free(s->unsure);
	free(s->mounts);
	free(s->groups);
	free(s->name_spaces);
	free(s->scratch);
	free(s);
}
