/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sums: what all holders have, per size of page, to be held against what
 * the pool says is in use and reserved. And the sentences about what could not
 * be seen, since a sum that does not fit is no use without its reason.
 */
#include "hugestat.h"

#include <stdlib.h>
#include <string.h>

static bool is_on_mount(const struct stat_file *f, const struct stat_mount *m)
{
	size_t n = strlen(m->path);

	if (f->segment || f->size != m->size)
		return false;
	if (m->device != 0)
		return f->device == m->device;
	/* Of a captured machine only names are known. */
	return f->name && strncmp(f->name, m->path, n) == 0 &&
	       f->name[n] == '/';
}

/* The same file system at another place counts once. */
static bool is_first_mount(const struct stat_snapshot *s, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (s->mounts[index].device != 0 &&
			s->mounts[i].device == s->mounts[index].device)
			return false;
	}
	return true;
}

static void sum_mounts(struct stat_snapshot *s)
{
	for (size_t i = 0; i < s->mount_count; i++) {
		struct stat_mount *m = &s->mounts[i];
		struct stat_size *z = &s->sizes[m->size];
		uint64_t least = m->min_size_bytes / z->bytes;

		m->file_pages = m->file_resv = m->resv_pages = 0;
		if (!is_first_mount(s, i))
			continue;
		for (size_t j = 0; j < s->file_count; j++) {
			if (!is_on_mount(&s->files[j], m))
				continue;
			m->file_pages += s->files[j].pages;
			m->file_resv += s->files[j].resv_pages;
		}
		if (least > m->file_pages + m->file_resv)
			m->resv_pages = least - m->file_pages - m->file_resv;
		z->mount_resv += m->resv_pages;
	}
}

static void sum_files(struct stat_snapshot *s)
{
	for (size_t i = 0; i < s->file_count; i++) {
		struct stat_file *f = &s->files[i];
		struct stat_size *z = &s->sizes[f->size];

		/* At least what one process has of it. */
		if (!f->pages_known)
			f->pages = f->seen_pages;
		f->resv_pages = stat_file_reserved(f);
		if (f->segment) {
			z->shm_pages += f->pages;
			z->shm_resv += f->resv_pages;
		} else {
			z->file_pages += f->pages;
			z->file_resv += f->resv_pages;
		}
	}
}

void stat_sum(struct stat_snapshot *s)
{
	for (unsigned i = 0; i < s->size_count; i++) {
		struct stat_size *z = &s->sizes[i];

		z->private_pages = z->file_pages = z->shm_pages = 0;
		z->private_resv = z->file_resv = z->shm_resv = 0;
		z->mount_resv = 0;
	}
	for (size_t i = 0; i < s->process_count; i++) {
		const struct stat_process *p = &s->processes[i];

		for (unsigned j = 0; j < s->size_count; j++) {
			s->sizes[j].private_pages += p->private_pages[j];
			s->sizes[j].private_resv += p->resv_pages[j];
		}
	}
	sum_files(s);
	sum_mounts(s);
}

bool stat_is_balanced(const struct stat_size *z)
{
	return stat_held(z) == stat_used(z);
}

/* ---- what was not seen ---- */

struct notes {
	char **text;
	size_t count;
};

static void add(struct notes *n, char *text)
{
	n->text = tool_realloc(n->text, n->count + 2, sizeof(*n->text));
	n->text[n->count++] = text;
	n->text[n->count] = NULL;
}

static const char *plural(size_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

static void note_processes(struct notes *n, const struct stat_snapshot *s)
{
	if (s->maps_denied > 0)
		add(n, tool_text("the mappings of %zu %s could not be read "
				 "(no permission); %s of huge pages are "
				 "mapped there",
			       s->maps_denied,
			       plural(s->maps_denied, "process", "processes"),
			       tool_size(s->denied_bytes).text));
	if (s->fds_denied > 0)
		add(n, tool_text("the open files of %zu %s could not be read "
				 "(no permission): a file may be open that is "
				 "shown as orphaned",
			       s->fds_denied,
			       plural(s->fds_denied, "process", "processes")));
	if (s->mounts_denied > 0)
		add(n, tool_text("%zu %s of hugetlbfs could not be read (no "
				 "permission)",
			       s->mounts_denied,
			       plural(s->mounts_denied, "directory",
				       "directories")));
	if (s->shadows_denied > 0)
		add(n, tool_text("%zu %s of shadows of text could not be read "
				 "(no permission, or not the user's own)",
			       s->shadows_denied,
			       plural(s->shadows_denied, "directory",
				       "directories")));
	if (s->pfns_hidden)
		add(n, tool_strdup("frame numbers are hidden (CAP_SYS_ADMIN): "
				   "pages that a fork shares may be counted "
				   "for the wrong process, or twice"));
	if (s->unsteady)
		add(n, tool_strdup("the pools changed while they were looked "
				   "at"));
}

static void note_segments(struct notes *n, const struct stat_snapshot *s)
{
	uint64_t missing = 0;

	for (unsigned i = 0; i < s->size_count; i++) {
		const struct stat_size *z = &s->sizes[i];

		missing += z->pool.resv > stat_resv(z) ||
			   stat_used(z) > stat_held(z);
	}
	for (size_t i = 0; i < s->unsure_count && missing; i++)
		add(n, tool_text("SysV segment %d (%s, unattached) may be of "
				 "huge pages: the kernel does not say",
			       s->unsure[i].id,
			       tool_size(s->unsure[i].bytes).text));
}

static void note_size(struct notes *n, const struct stat_size *z)
{
	uint64_t used = stat_used(z), held = stat_held(z);
	uint64_t resv = stat_resv(z);
	struct tool_size size = tool_size(z->bytes);

	if (used > held)
		add(n, tool_text("%s: %llu pages in use have no holder that "
				 "could be seen (in another name space, "
				 "pinned by a device, passed over a socket)",
			       size.text, (unsigned long long)(used - held)));
	if (held > used)
		add(n, tool_text("%s: %llu pages were counted that the pool "
				 "does not have in use",
			       size.text, (unsigned long long)(held - used)));
	if (z->pool.resv > resv)
		add(n, tool_text("%s: %llu pages are reserved by what cannot "
				 "be seen (a file keeps what its mappings "
				 "reserved, also when they are gone)",
			       size.text,
			       (unsigned long long)(z->pool.resv - resv)));
	if (resv > z->pool.resv)
		add(n, tool_text("%s: %llu pages that seem reserved are not (a "
				 "fork's child, or a file whose pages are "
				 "outside of its mappings)",
			       size.text,
			       (unsigned long long)(resv - z->pool.resv)));
}

char **stat_notes(const struct stat_snapshot *s)
{
	struct notes n = {0};

	n.text = tool_zalloc(1, sizeof(*n.text));
	for (unsigned i = 0; i < s->size_count; i++)
		note_size(&n, &s->sizes[i]);
	note_processes(&n, s);
	note_segments(&n, s);
	return n.text;
}

void stat_free_notes(char **notes)
{
	for (size_t i = 0; notes[i]; i++)
		free(notes[i]);
	free(notes);
}
