/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The snapshot as OpenMetrics text, for the textfile collector of
 * node_exporter:
 *
 *   hugestat --metrics >hugestat.prom.new && mv hugestat.prom.new hugestat.prom
 *
 * Processes are summed by name, user and container, so that the number of
 * series does not grow with the number of processes ever started.
 */
#include "hugestat.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

static void family(const char *name, const char *unit, const char *help)
{
	printf("# TYPE hugestat_%s gauge\n", name);
	if (unit)
		printf("# UNIT hugestat_%s %s\n", name, unit);
	printf("# HELP hugestat_%s %s\n", name, help);
}

/* One label that is not UTF-8 would cost the collector the whole file. */
struct label {
	const unsigned char *at;
	size_t left;
};

/* The next character as it is shown. */
static const unsigned char *take(struct label *l, size_t *n)
{
	static const unsigned char other[] = HL_UTF8_REPLACEMENT;
	const unsigned char *shown = l->at;
	size_t length = hl_utf8_length(l->at, l->left);

	*n = length;
	if (length == 0) {
		shown = other;
		*n = sizeof(other) - 1;
		length = 1;
	}
	l->at += length;
	l->left -= length;
	return shown;
}

static struct label label_of(const char *value)
{
	return (struct label){(const unsigned char *)value, strlen(value)};
}

static void put_label(const char *name, const char *value, bool first)
{
	struct label l = label_of(value);

	printf("%s%s=\"", first ? "" : ",", name);
	while (l.left > 0) {
		size_t n;
		const unsigned char *c = take(&l, &n);

		if (*c == '\n')
			fputs("\\n", stdout);
		else if (*c == '"' || *c == '\\')
			printf("\\%c", *c);
		else
			fwrite(c, n, 1, stdout);
	}
	putchar('"');
}

/* Two names that are shown alike would be one series given twice. */
static bool is_same_label(const char *a, const char *b)
{
	struct label l = label_of(a), m = label_of(b);

	while (l.left > 0 && m.left > 0) {
		size_t n, k;
		const unsigned char *c = take(&l, &n), *d = take(&m, &k);

		if (n != k || memcmp(c, d, n) != 0)
			return false;
	}
	return l.left == m.left;
}

static void put_sample(const char *name, const struct stat_size *z,
	const char *label, const char *value, uint64_t n)
{
	printf("hugestat_%s{size=\"%zu\"", name, z->bytes);
	if (label)
		put_label(label, value, false);
	printf("} %llu\n", (unsigned long long)n);
}

static void put_pools(const struct stat_snapshot *s)
{
	family("pool_pages", "pages", "Huge pages of the pool by state.");
	for (unsigned i = 0; i < s->size_count; i++) {
		const struct stat_size *z = &s->sizes[i];
		uint64_t resv = HL_MIN(z->pool.resv, z->pool.free);

		put_sample("pool_pages", z, "state", "used", stat_used(z));
		put_sample("pool_pages", z, "state", "reserved", resv);
		put_sample(
			"pool_pages", z, "state", "free", z->pool.free - resv);
	}
	family("pool_surplus_pages", "pages",
		"Huge pages above the pool's own size.");
	for (unsigned i = 0; i < s->size_count; i++)
		put_sample("pool_surplus_pages", &s->sizes[i], NULL, NULL,
			s->sizes[i].pool.surplus);
	family("pool_overcommit_pages", "pages",
		"Huge pages that the pool may grow by.");
	for (unsigned i = 0; i < s->size_count; i++)
		put_sample("pool_overcommit_pages", &s->sizes[i], NULL, NULL,
			s->sizes[i].pool.overcommit);
}

static void put_holders(const struct stat_snapshot *s)
{
	family("held_pages", "pages", "Huge pages in use by kind of holder.");
	for (unsigned i = 0; i < s->size_count; i++) {
		const struct stat_size *z = &s->sizes[i];

		put_sample(
			"held_pages", z, "kind", "process", z->private_pages);
		put_sample("held_pages", z, "kind", "file", z->file_pages);
		put_sample("held_pages", z, "kind", "shm", z->shm_pages);
	}
	family("unknown_pages", "pages",
		"Huge pages in use without a holder that could be seen.");
	for (unsigned i = 0; i < s->size_count; i++) {
		const struct stat_size *z = &s->sizes[i];
		uint64_t used = stat_used(z), held = stat_held(z);

		put_sample("unknown_pages", z, NULL, NULL,
			used > held ? used - held : 0);
	}
	family("reserved_pages", "pages",
		"Huge pages promised and untouched by kind of holder.");
	for (unsigned i = 0; i < s->size_count; i++) {
		const struct stat_size *z = &s->sizes[i];

		put_sample("reserved_pages", z, "kind", "process",
			z->private_resv);
		put_sample("reserved_pages", z, "kind", "file", z->file_resv);
		put_sample("reserved_pages", z, "kind", "shm", z->shm_resv);
		put_sample("reserved_pages", z, "kind", "mount", z->mount_resv);
	}
}

static void put_files(const struct stat_snapshot *s)
{
	static const char *const states[] = {
		"mapped", "open", "orphaned", "attached", "unattached"};

	family("files", NULL, "Files and SysV segments by state.");
	for (unsigned i = 0; i < s->size_count; i++) {
		for (size_t j = 0; j < HL_ARRAY_SIZE(states); j++) {
			uint64_t n = 0;

			for (size_t k = 0; k < s->file_count; k++)
				n += s->files[k].size == i &&
				     strcmp(stat_file_state(&s->files[k]),
					     states[j]) == 0;
			put_sample(
				"files", &s->sizes[i], "state", states[j], n);
		}
	}
	family("orphaned_pages", "pages",
		"Huge pages in files that no process uses.");
	for (unsigned i = 0; i < s->size_count; i++) {
		uint64_t n = 0;

		for (size_t k = 0; k < s->file_count; k++) {
			const struct stat_file *f = &s->files[k];

			if (f->size == i && !f->segment && f->pid_count == 0)
				n += f->pages;
		}
		put_sample("orphaned_pages", &s->sizes[i], NULL, NULL, n);
	}
}

static bool is_same(const struct stat_process *p, const struct stat_process *q)
{
	return p->uid == q->uid && is_same_label(p->comm, q->comm) &&
	       strcmp(p->container, q->container) == 0;
}

static void put_processes(const struct stat_snapshot *s)
{
	family("process_held_bytes", "bytes",
		"Private huge pages of processes, by name, user and "
		"container.");
	for (size_t i = 0; i < s->process_count; i++) {
		const struct stat_process *p = &s->processes[i];
		uint64_t bytes[STAT_SIZES] = {0};
		bool first = p->uses;

		for (size_t j = 0; j < i && first; j++)
			first = !s->processes[j].uses ||
				!is_same(p, &s->processes[j]);
		if (!first)
			continue;
		for (size_t j = i; j < s->process_count; j++) {
			if (!is_same(p, &s->processes[j]))
				continue;
			for (unsigned k = 0; k < s->size_count; k++)
				bytes[k] += s->processes[j].private_pages[k] *
					    s->sizes[k].bytes;
		}
		for (unsigned k = 0; k < s->size_count; k++) {
			if (bytes[k] == 0)
				continue;
			printf("hugestat_process_held_bytes{size=\"%zu\"",
				s->sizes[k].bytes);
			put_label("comm", p->comm, false);
			put_label("user", stat_user(s->request, p->uid), false);
			put_label("container", p->container, false);
			printf("} %llu\n", (unsigned long long)bytes[k]);
		}
	}
}

static void put_groups(const struct stat_snapshot *s)
{
	family("cgroup_bytes", "bytes", "What a control group is charged.");
	for (size_t i = 0; i < s->group_count; i++)
		put_sample("cgroup_bytes", &s->sizes[s->groups[i].size],
			"cgroup", s->groups[i].path,
			s->groups[i].current_bytes);
	family("cgroup_rsvd_bytes", "bytes",
		"Reservations that a control group is charged.");
	for (size_t i = 0; i < s->group_count; i++)
		put_sample("cgroup_rsvd_bytes", &s->sizes[s->groups[i].size],
			"cgroup", s->groups[i].path, s->groups[i].rsvd_bytes);
}

void stat_metrics(const struct stat_snapshot *s)
{
	put_pools(s);
	put_holders(s);
	put_files(s);
	put_processes(s);
	put_groups(s);
	family("unseen_processes", NULL,
		"Processes whose mappings could not be read.");
	printf("hugestat_unseen_processes %zu\n", s->maps_denied);
	puts("# EOF");
}
