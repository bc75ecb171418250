/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The snapshot as one JSON document; hugestat(8) has the keys, which stay as
 * they are.
 */
#include "hugestat.h"

#include <string.h>
#include <unistd.h>

static void json_nodes(struct hl_json *json, const struct stat_snapshot *s,
	const struct stat_size *z)
{
	static struct hl_topo topo;

	hl_json_begin_array(json, "nodes");
	if (hl_topo_read(&s->request->root, &topo) != 0)
		topo.highest = -1;
	for (int node = 0; node <= topo.highest; node++) {
		struct hl_pool pool;

		if (hl_pool_read(&s->request->root, z->bytes, node, &pool) != 0)
			continue;
		hl_json_begin_object(json, NULL);
		hl_json_u64(json, "node", (uint64_t)node);
		hl_json_u64(json, "pages", pool.nr);
		hl_json_u64(json, "free_pages", pool.free);
		hl_json_u64(json, "surplus_pages", pool.surplus);
		hl_json_end(json);
	}
	hl_json_end(json);
}

static void json_pool(struct hl_json *json, const struct stat_snapshot *s,
	const struct stat_size *z)
{
	hl_json_begin_object(json, NULL);
	hl_json_u64(json, "size_bytes", z->bytes);
	hl_json_bool(json, "default", z->is_default);
	hl_json_u64(json, "pages", z->pool.nr);
	hl_json_u64(json, "used_pages", stat_used(z));
	hl_json_u64(json, "free_pages",
		z->pool.free > z->pool.resv ? z->pool.free - z->pool.resv : 0);
	hl_json_u64(json, "reserved_pages", z->pool.resv);
	hl_json_u64(json, "surplus_pages", z->pool.surplus);
	hl_json_u64(json, "overcommit_pages", z->pool.overcommit);
	hl_json_begin_object(json, "held");
	hl_json_u64(json, "process_pages", z->private_pages);
	hl_json_u64(json, "file_pages", z->file_pages);
	hl_json_u64(json, "shm_pages", z->shm_pages);
	hl_json_i64(json, "unknown_pages",
		(int64_t)stat_used(z) - (int64_t)stat_held(z));
	hl_json_end(json);
	hl_json_begin_object(json, "reserved");
	hl_json_u64(json, "process_pages", z->private_resv);
	hl_json_u64(json, "file_pages", z->file_resv);
	hl_json_u64(json, "shm_pages", z->shm_resv);
	hl_json_u64(json, "mount_pages", z->mount_resv);
	hl_json_i64(json, "unknown_pages",
		(int64_t)z->pool.resv - (int64_t)stat_resv(z));
	hl_json_end(json);
	hl_json_bool(json, "balanced", stat_is_balanced(z));
	json_nodes(json, s, z);
	hl_json_end(json);
}

/* Null: no limit. */
static void json_limit(struct hl_json *json, const char *key, uint64_t max)
{
	if (max == UINT64_MAX)
		hl_json_null(json, key);
	else
		hl_json_u64(json, key, max);
}

static void json_groups(struct hl_json *json, const struct stat_snapshot *s)
{
	hl_json_begin_array(json, "cgroups");
	for (size_t i = 0; i < s->group_count; i++) {
		const struct stat_group *g = &s->groups[i];

		hl_json_begin_object(json, NULL);
		hl_json_string(json, "cgroup", g->path);
		hl_json_u64(json, "size_bytes", s->sizes[g->size].bytes);
		hl_json_u64(json, "current_bytes", g->current_bytes);
		json_limit(json, "max_bytes", g->max_bytes);
		hl_json_u64(json, "rsvd_bytes", g->rsvd_bytes);
		json_limit(json, "rsvd_max_bytes", g->rsvd_max_bytes);
		hl_json_end(json);
	}
	hl_json_end(json);
}

static void json_mounts(struct hl_json *json, const struct stat_snapshot *s)
{
	hl_json_begin_array(json, "mounts");
	for (size_t i = 0; i < s->mount_count; i++) {
		const struct stat_mount *m = &s->mounts[i];

		hl_json_begin_object(json, NULL);
		hl_json_string(json, "path", m->path);
		hl_json_u64(json, "size_bytes", s->sizes[m->size].bytes);
		json_limit(json, "max_bytes", m->size_bytes);
		hl_json_u64(json, "min_bytes", m->min_size_bytes);
		hl_json_u64(json, "file_pages", m->file_pages);
		hl_json_u64(json, "reserved_pages", m->resv_pages);
		hl_json_end(json);
	}
	hl_json_end(json);
}

/* Only where there are any. */
static void json_shadows(struct hl_json *json, const struct stat_snapshot *s)
{
	struct table t;

	if (s->shadow_count == 0)
		return;
	stat_fill_shadows(&t, s);
	table_json(&t, json, "shadows");
	table_free(&t);
}

static void json_unseen(struct hl_json *json, const struct stat_snapshot *s)
{
	char **notes = stat_notes(s);

	hl_json_begin_object(json, "unseen");
	hl_json_u64(json, "processes_without_mappings", s->maps_denied);
	hl_json_u64(json, "hidden_bytes", s->denied_bytes);
	hl_json_u64(json, "processes_without_files", s->fds_denied);
	hl_json_u64(json, "directories", s->mounts_denied);
	hl_json_bool(json, "steady", !s->unsteady);
	hl_json_end(json);
	hl_json_begin_array(json, "notes");
	for (size_t i = 0; notes[i]; i++)
		hl_json_string(json, NULL, notes[i]);
	hl_json_end(json);
	stat_free_notes(notes);
}

int stat_json(const struct stat_snapshot *s, const struct table *columns)
{
	static char text[65536];
	struct table t = *columns;
	struct hl_json json;

	fflush(stdout);
	stat_fill(&t, s);
	hl_json_init_fd(&json, STDOUT_FILENO, text, sizeof(text));
	/* With --watch a document is a line. */
	json.indent = s->request->watch_s == 0;
	hl_json_begin_object(&json, NULL);
	hl_json_u64(&json, "version", 1);
	hl_json_string(&json, "hugestat", HL_VERSION);
	hl_json_begin_array(&json, "pools");
	for (unsigned i = 0; i < s->size_count; i++)
		json_pool(&json, s, &s->sizes[i]);
	hl_json_end(&json);
	table_json(&t, &json, "holders");
	json_groups(&json, s);
	json_mounts(&json, s);
	json_shadows(&json, s);
	json_unseen(&json, s);
	hl_json_end(&json);
	table_free(&t);
	return hl_json_finish(&json);
}
