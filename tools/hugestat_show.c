/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The snapshot as text: a table of holders, one of control groups, and per size
 * of page the balance. The columns serve JSON as well (hugestat_json.c).
 */
#include "hugestat.h"

#include <stdlib.h>
#include <string.h>

enum {
	KIND,
	SIZE,
	HELD,
	RESERVED,
	MAPPED,
	STATE,
	PID,
	USERS,
	PIDS,
	USER,
	UID,
	COMM,
	CONTAINER,
	CGROUP,
	SUBPOOL,
	PAGES,
	ID,
	KEY,
	DEVICE,
	INODE,
	NAME,
};

const struct table_column stat_columns[] = {
	[KIND] = {"KIND", TABLE_TEXT, true, "process, file, shm or mount"},
	[SIZE] = {"SIZE", TABLE_SIZE, true, "of a page"},
	[HELD] = {"HELD", TABLE_SIZE, true, "taken from the pool"},
	[RESERVED] = {"RESERVED", TABLE_SIZE, true, "promised and untouched"},
	[MAPPED] = {"MAPPED", TABLE_SIZE, true,
		"present in the process, shared files included"},
	[STATE] = {"STATE", TABLE_TEXT, true,
		"mapped, open, orphaned, attached, unattached, min_size, "
		"hidden"},
	[PID] = {"PID", TABLE_NUMBER, true, "process, or first one using it"},
	[USERS] = {"USERS", TABLE_NUMBER, false, "how many processes use it"},
	[PIDS] = {"PIDS", TABLE_LIST, false, "all of them"},
	[USER] = {"USER", TABLE_TEXT, true, "owner"},
	[UID] = {"UID", TABLE_NUMBER, false, "owner's number"},
	[COMM] = {"COMM", TABLE_TEXT, true, "name of the process"},
	[CONTAINER] = {"CONTAINER", TABLE_TEXT, true, "id, 12 characters"},
	[CGROUP] = {"CGROUP", TABLE_TEXT, false, "control group"},
	[SUBPOOL] = {"SUBPOOL", TABLE_TEXT, true,
		"limits of the library's heap"},
	[PAGES] = {"PAGES", TABLE_NUMBER, false, "HELD in pages"},
	[ID] = {"ID", TABLE_NUMBER, false, "of a SysV segment"},
	[KEY] = {"KEY", TABLE_TEXT, false, "of a SysV segment"},
	[DEVICE] = {"DEVICE", TABLE_NUMBER, false, "of a file"},
	[INODE] = {"INODE", TABLE_NUMBER, false, "of a file"},
	[NAME] = {"NAME", TABLE_TEXT, true, "path, or name"},
};
const unsigned stat_column_count = HL_ARRAY_SIZE(stat_columns);

const char *stat_file_state(const struct stat_file *f)
{
	if (f->segment)
		return f->mappers > 0 || f->attached > 0 ? "attached"
							 : "unattached";
	return f->mappers > 0 ? "mapped" : f->opened ? "open" : "orphaned";
}

static void put_user(
	struct table *t, const struct stat_snapshot *s, uint32_t uid)
{
	table_text(t, USER, stat_user(s->request, uid));
	table_number(t, UID, uid);
}

/* What names a process, in the row of what it uses. */
static void put_process(struct table *t, const struct stat_process *p)
{
	table_number(t, PID, (uint64_t)p->pid);
	table_text(t, COMM, p->comm);
	if (p->cgroup)
		table_text(t, CGROUP, p->cgroup);
	if (p->container[0] != '\0') {
		char id[13];

		snprintf(id, sizeof(id), "%.12s", p->container);
		table_text(t, CONTAINER, id);
	}
}

static void put_amounts(struct table *t, const struct stat_size *z,
	uint64_t pages, uint64_t resv)
{
	table_number(t, SIZE, z->bytes);
	table_number(t, HELD, pages * z->bytes);
	table_number(t, PAGES, pages);
	table_number(t, RESERVED, resv * z->bytes);
}

static void fill_process(struct table *t, const struct stat_snapshot *s,
	const struct stat_process *p)
{
	for (unsigned i = 0; i < s->size_count; i++) {
		const struct stat_size *z = &s->sizes[i];

		if (p->private_pages[i] + p->resv_pages[i] +
				p->mapped_pages[i] ==
			0)
			continue;
		table_row(t);
		table_text(t, KIND, "process");
		put_amounts(t, z, p->private_pages[i], p->resv_pages[i]);
		table_number(t, MAPPED, p->mapped_pages[i] * z->bytes);
		if (p->subpool)
			table_text(t, SUBPOOL, p->subpool);
		put_process(t, p);
		put_user(t, s, p->uid);
	}
	if (!p->maps_denied || p->hugetlb_bytes == 0)
		return;
	table_row(t);
	table_text(t, KIND, "process");
	table_text(t, STATE, "hidden");
	table_number(t, MAPPED, p->hugetlb_bytes);
	put_process(t, p);
	put_user(t, s, p->uid);
}

static void fill_file(struct table *t, const struct stat_snapshot *s,
	const struct stat_file *f)
{
	const struct stat_size *z = &s->sizes[f->size];
	const struct stat_process *p =
		f->pid_count ? stat_find_process(s, f->pids[0]) : NULL;

	table_row(t);
	table_text(t, KIND, f->segment ? "shm" : "file");
	put_amounts(t, z, f->pages, f->resv_pages);
	table_text(t, STATE, stat_file_state(f));
	if (p)
		put_process(t, p);
	table_number(t, USERS, f->pid_count);
	for (size_t i = 0; i < f->pid_count; i++)
		table_list(t, PIDS, (uint64_t)f->pids[i]);
	if (f->has_uid)
		put_user(t, s, f->uid);
	table_number(t, DEVICE, f->device);
	table_number(t, INODE, f->inode);
	if (f->by_shm) {
		char key[16];

		snprintf(key, sizeof(key), "0x%08x", (unsigned)f->key);
		table_number(t, ID, (uint64_t)(uint32_t)f->id);
		table_text(t, KEY, key);
	}
	if (f->segment) {
		char *name =
			tool_text("id %llu%s", (unsigned long long)f->inode,
				f->by_shm ? "" : " (other IPC name space)");

		table_text(t, NAME, name);
		free(name);
	} else if (f->name && f->linked) {
		table_text(t, NAME, f->name);
	} else if (f->name) {
		bool made = strncmp(f->name, "/memfd:", 7) == 0 ||
			    strncmp(f->name, "/anon_hugepage", 14) == 0;
		char *name =
			tool_text("%s%s", f->name, made ? "" : " (deleted)");

		table_text(t, NAME, name);
		free(name);
	}
}

static void fill_mount(struct table *t, const struct stat_snapshot *s,
	const struct stat_mount *m)
{
	if (m->resv_pages == 0)
		return;
	table_row(t);
	table_text(t, KIND, "mount");
	put_amounts(t, &s->sizes[m->size], 0, m->resv_pages);
	table_text(t, STATE, "min_size");
	table_text(t, NAME, m->path);
}

/* Most first; the list itself stays sorted by number. */
static int by_held(const void *a, const void *b)
{
	const struct stat_process *const *p = a, *const *q = b;
	uint64_t m = (*p)->hugetlb_bytes, n = (*q)->hugetlb_bytes;

	if (m != n)
		return m < n ? 1 : -1;
	return ((*p)->pid > (*q)->pid) - ((*p)->pid < (*q)->pid);
}

static int file_by_held(const void *a, const void *b)
{
	const struct stat_file *const *f = a, *const *g = b;

	if ((*f)->segment != (*g)->segment)
		return (*f)->segment ? 1 : -1;
	if ((*f)->pages != (*g)->pages)
		return (*f)->pages < (*g)->pages ? 1 : -1;
	return ((*f)->inode > (*g)->inode) - ((*f)->inode < (*g)->inode);
}

void stat_fill(struct table *t, const struct stat_snapshot *s)
{
	const struct stat_process **p =
		tool_zalloc(s->process_count, sizeof(const void *));
	const struct stat_file **f =
		tool_zalloc(s->file_count, sizeof(const void *));
	size_t n = 0;

	for (size_t i = 0; i < s->process_count; i++) {
		if (s->processes[i].uses)
			p[n++] = &s->processes[i];
	}
	qsort(p, n, sizeof(const void *), by_held);
	for (size_t i = 0; i < n; i++)
		fill_process(t, s, p[i]);
	for (size_t i = 0; i < s->file_count; i++)
		f[i] = &s->files[i];
	qsort(f, s->file_count, sizeof(const void *), file_by_held);
	for (size_t i = 0; i < s->file_count; i++)
		fill_file(t, s, f[i]);
	for (size_t i = 0; i < s->mount_count; i++)
		fill_mount(t, s, &s->mounts[i]);
	free(p);
	free(f);
}

/* ---- text ---- */

static void show_groups(const struct stat_snapshot *s, bool bytes)
{
	static const struct table_column columns[] = {
		{"SIZE", TABLE_SIZE, true, ""},
		{"CURRENT", TABLE_SIZE, true, ""},
		{"MAX", TABLE_SIZE, true, ""},
		{"RSVD", TABLE_SIZE, true, ""},
		{"RSVD-MAX", TABLE_SIZE, true, ""},
		{"CGROUP", TABLE_TEXT, true, ""},
	};
	struct table t;

	table_init(&t, columns, HL_ARRAY_SIZE(columns));
	t.bytes = bytes;
	for (size_t i = 0; i < s->group_count; i++) {
		const struct stat_group *g = &s->groups[i];

		table_row(&t);
		table_number(&t, 0, s->sizes[g->size].bytes);
		table_number(&t, 1, g->current_bytes);
		if (g->max_bytes != UINT64_MAX)
			table_number(&t, 2, g->max_bytes);
		table_number(&t, 3, g->rsvd_bytes);
		if (g->rsvd_max_bytes != UINT64_MAX)
			table_number(&t, 4, g->rsvd_max_bytes);
		table_text(&t, 5, g->path);
	}
	if (t.rows > 0)
		putchar('\n');
	table_print(&t, stdout);
	table_free(&t);
}

/* Beside the holders: these are not of a pool. */
static void show_shadows(const struct stat_snapshot *s, bool first)
{
	uint64_t bytes = 0;
	struct table t;

	if (s->shadow_count == 0)
		return;
	for (size_t i = 0; i < s->shadow_count; i++)
		bytes += s->shadows[i].used_bytes;
	stat_fill_shadows(&t, s);
	if (!first)
		putchar('\n');
	table_print(&t, stdout);
	printf("shadows of moved text: %s of tmpfs, not of a pool\n",
		tool_size(bytes).text);
	table_free(&t);
}

/* ", 3 in files", and so on, after the first. */
static void put_part(bool *any, uint64_t n, const char *where)
{
	if (n == 0)
		return;
	printf("%s%llu %s", *any ? ", " : "", (unsigned long long)n, where);
	*any = true;
}

static void show_balance(const struct stat_size *z)
{
	uint64_t used = stat_used(z), held = stat_held(z);
	uint64_t loose =
		z->pool.free > z->pool.resv ? z->pool.free - z->pool.resv : 0;
	bool any = false;

	printf("%s: %llu pages in the pool = %llu held",
		tool_size(z->bytes).text, (unsigned long long)z->pool.nr,
		(unsigned long long)held);
	if (used > held)
		printf(" + %llu unknown", (unsigned long long)(used - held));
	if (held > used)
		printf(" - %llu counted twice",
			(unsigned long long)(held - used));
	printf(" + %llu reserved + %llu free: %s\n",
		(unsigned long long)z->pool.resv, (unsigned long long)loose,
		used == held ? "balanced" : "NOT balanced");
	if (held > 0) {
		fputs("  held: ", stdout);
		put_part(&any, z->private_pages, "in processes");
		put_part(&any, z->file_pages, "in files");
		put_part(&any, z->shm_pages, "in SysV segments");
		putchar('\n');
	}
	any = false;
	if (z->pool.resv > 0) {
		fputs("  reserved: ", stdout);
		put_part(&any, z->private_resv, "by processes");
		put_part(&any, z->file_resv, "by files");
		put_part(&any, z->shm_resv, "by SysV segments");
		put_part(&any, z->mount_resv, "by mounts (min_size)");
		if (z->pool.resv > stat_resv(z))
			put_part(&any, z->pool.resv - stat_resv(z), "unknown");
		putchar('\n');
	}
	if (z->pool.surplus > 0)
		printf("  surplus: %llu\n",
			(unsigned long long)z->pool.surplus);
}

static void show_summary(const struct stat_snapshot *s)
{
	char **notes = stat_notes(s);
	bool any = false;

	for (unsigned i = 0; i < s->size_count; i++) {
		if (s->sizes[i].pool.nr + stat_held(&s->sizes[i]) == 0)
			continue;
		show_balance(&s->sizes[i]);
		any = true;
	}
	if (s->size_count == 0)
		puts("this kernel has no huge pages of pools");
	else if (!any)
		puts("no huge pages in any pool");
	for (size_t i = 0; notes[i]; i++)
		printf("note: %s\n", notes[i]);
	stat_free_notes(notes);
}

void stat_show(const struct stat_snapshot *s, const struct table *columns)
{
	struct table t = *columns;

	stat_fill(&t, s);
	table_print(&t, stdout);
	if (!t.was_chosen && !t.noheadings) {
		show_groups(s, t.bytes);
		show_shadows(s, t.rows + s->group_count == 0);
		if (t.rows + s->group_count + s->shadow_count > 0)
			putchar('\n');
		show_summary(s);
	}
	table_free(&t);
}
