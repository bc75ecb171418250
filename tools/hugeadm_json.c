/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All that there is, as one JSON object. Keys are stable and in hugeadm(8);
 * --apply takes the object as it is printed here. Sizes are bytes, counts are
 * pages. What this kernel does not have is left out.
 */
#include "hugeadm.h"

#include <unistd.h>

static void json_pool(struct hl_json *json, const struct adm_state *state,
	const struct adm_pool *p)
{
	hl_json_begin_object(json, NULL);
	hl_json_u64(json, "page_bytes", p->page_bytes);
	hl_json_bool(json, "default", p->page_bytes == state->default_bytes);
	hl_json_u64(json, "minimum", adm_pages(p, -1));
	hl_json_u64(json, "current", p->all.nr);
	hl_json_u64(json, "maximum", adm_maximum(p));
	hl_json_u64(json, "overcommit", p->all.overcommit);
	hl_json_u64(json, "free", p->all.free);
	hl_json_u64(json, "reserved", p->all.resv);
	hl_json_u64(json, "surplus", p->all.surplus);
	if (p->demote_bytes != 0)
		hl_json_u64(json, "demotes_to_bytes", p->demote_bytes);
	hl_json_begin_array(json, "nodes");
	for (int k = 0; k < state->nodes; k++) {
		if (!p->present[k])
			continue;
		hl_json_begin_object(json, NULL);
		hl_json_i64(json, "node", state->node[k].id);
		hl_json_u64(json, "minimum", adm_pages(p, k));
		hl_json_u64(json, "current", p->node[k].nr);
		hl_json_u64(json, "free", p->node[k].free);
		hl_json_u64(json, "surplus", p->node[k].surplus);
		hl_json_end(json);
	}
	hl_json_end(json);
	hl_json_end(json);
}

static void json_memory(struct hl_json *json, const struct adm_state *state)
{
	hl_json_begin_object(json, "memory");
	hl_json_u64(json, "total_bytes", state->memory.total_bytes);
	hl_json_u64(json, "free_bytes", state->memory.free_bytes);
	hl_json_u64(json, "available_bytes", state->memory.available_bytes);
	hl_json_begin_array(json, "nodes");
	for (int k = 0; k < state->nodes; k++) {
		const struct adm_node *node = &state->node[k];

		if (!node->memory_known)
			continue;
		hl_json_begin_object(json, NULL);
		hl_json_i64(json, "node", node->id);
		hl_json_u64(json, "total_bytes", node->memory.total_bytes);
		hl_json_u64(json, "free_bytes", node->memory.free_bytes);
		hl_json_end(json);
	}
	hl_json_end(json);
	hl_json_end(json);
}

static void json_usable(struct hl_json *json, const struct adm_state *state)
{
	struct adm_mounted *mounts = NULL;
	size_t n = 0;

	(void)adm_mounts_read(state, &mounts, &n);
	hl_json_begin_array(json, "usable_page_sizes");
	for (int i = 0; i < state->pools; i++) {
		const struct adm_pool *p = &state->pool[i];

		for (size_t k = 0; k < n && adm_maximum(p) > 0; k++) {
			if (mounts[k].is.page_bytes != p->page_bytes)
				continue;
			hl_json_u64(json, NULL, p->page_bytes);
			break;
		}
	}
	hl_json_end(json);
}

static void put_limit(struct hl_json *json, const char *key, uint64_t value)
{
	if (value == UINT64_MAX)
		hl_json_null(json, key);
	else
		hl_json_u64(json, key, value);
}

static int json_mounts(struct hl_json *json, const struct adm_state *state)
{
	struct adm_mounted *mounts;
	size_t n;
	int err = adm_mounts_read(state, &mounts, &n);

	if (err)
		return err;
	hl_json_begin_array(json, "mounts");
	for (size_t i = 0; i < n; i++) {
		const struct adm_mount_facts *is = &mounts[i].is;
		char *mode = tool_text("%04o", is->mode);

		hl_json_begin_object(json, NULL);
		hl_json_string(json, "path", mounts[i].path);
		hl_json_u64(json, "page_bytes", is->page_bytes);
		put_limit(json, "size_bytes", is->size_bytes);
		hl_json_u64(json, "min_size_bytes", is->min_size_bytes);
		put_limit(json, "inodes", is->inodes);
		hl_json_u64(json, "uid", is->uid);
		hl_json_u64(json, "gid", is->gid);
		hl_json_string(json, "mode", mode);
		hl_json_bool(json, "read_only", is->read_only);
		hl_json_string(json, "options", mounts[i].options);
		hl_json_end(json);
	}
	hl_json_end(json);
	return 0;
}

static void put_setting(struct hl_json *json, const struct adm_state *state,
	const struct adm_setting *s, size_t page_bytes)
{
	char *value = adm_setting_read(&state->root, s, page_bytes);
	uint64_t number;

	if (!value)
		return;
	if (s->form != ADM_WORD && hl_parse_u64(value, &number) == 0)
		hl_json_u64(json, s->key, number);
	else
		hl_json_string(json, s->key, value);
}

static void put_section(struct hl_json *json, const struct adm_state *state,
	const char *section, size_t page_bytes)
{
	for (size_t i = 0; i < adm_setting_count; i++) {
		const struct adm_setting *s = &adm_settings[i];

		if (strcmp(s->section, section) == 0 &&
			s->per_size == (page_bytes != 0))
			put_setting(json, state, s, page_bytes);
	}
}

static void json_settings(struct hl_json *json, const struct adm_state *state)
{
	static const char *const sections[] = {
		"thp", "khugepaged", "vm", "kernel"};
	size_t sizes[HL_THP_SIZES_MAX];
	int n = hl_thp_sizes(&state->root, sizes);

	for (size_t i = 0; i < HL_ARRAY_SIZE(sections); i++) {
		hl_json_begin_object(json, sections[i]);
		put_section(json, state, sections[i], 0);
		if (strcmp(sections[i], "thp") == 0) {
			hl_json_begin_array(json, "sizes");
			for (int k = 0; k < n; k++) {
				hl_json_begin_object(json, NULL);
				hl_json_u64(json, "page_bytes", sizes[k]);
				put_section(json, state, "thp", sizes[k]);
				hl_json_end(json);
			}
			hl_json_end(json);
		}
		hl_json_end(json);
	}
}

static void json_sizes(struct hl_json *json, const struct adm_state *state)
{
	hl_json_begin_array(json, "page_sizes");
	for (int i = 0; i < state->pools; i++)
		hl_json_u64(json, NULL, state->pool[i].page_bytes);
	hl_json_end(json);
	if (state->default_bytes != 0)
		hl_json_u64(json, "default_page_size", state->default_bytes);
	else
		hl_json_null(json, "default_page_size");
}

static int json_parts(
	struct hl_json *json, const struct adm_state *state, unsigned sections)
{
	if (sections & ADM_SHOW_SIZES)
		json_sizes(json, state);
	if (sections & ADM_SHOW_USABLE_SIZES)
		json_usable(json, state);
	if ((sections & ADM_SHOW_MEMORY) && state->memory_known)
		json_memory(json, state);
	if (sections & ADM_SHOW_POOLS) {
		hl_json_begin_array(json, "pools");
		for (int i = 0; i < state->pools; i++)
			json_pool(json, state, &state->pool[i]);
		hl_json_end(json);
	}
	if (sections & ADM_SHOW_SETTINGS)
		json_settings(json, state);
	if (sections & ADM_SHOW_BOOT)
		hl_json_string(
			json, "boot_parameters", adm_boot_parameters(state));
	return sections & ADM_SHOW_MOUNTS ? json_mounts(json, state) : 0;
}

int adm_print_json(const struct adm_state *state, unsigned sections,
	const struct adm_plan *plan, bool dry, int status)
{
	char text[8192];
	struct hl_json json;
	int err, written;

	fflush(stdout);
	hl_json_init_fd(&json, STDOUT_FILENO, text, sizeof(text));
	json.indent = true;
	hl_json_begin_object(&json, NULL);
	if (plan)
		adm_plan_json(&json, state, plan, dry, status);
	err = json_parts(&json, state, sections);
	hl_json_end(&json);
	written = hl_json_finish(&json);
	return err ? err : written;
}
