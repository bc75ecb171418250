/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pools as parameters of the kernel's command line: the only sure way to
 * get gigantic pages, and one that no fragmentation can spoil. A pair for each
 * size that has pages; with several nodes, counts per node (Linux 5.16).
 */
#include "hugeadm.h"

/* "512", or "0:256,1:256". */
static char *counts(const struct adm_state *state, const struct adm_pool *pool)
{
	char *text = tool_strdup("");
	int nodes = 0;

	for (int k = 0; k < state->nodes; k++)
		nodes += pool->present[k];
	if (nodes < 2)
		return tool_text("%" PRIu64, adm_pages(pool, -1));
	for (int k = 0; k < state->nodes; k++) {
		if (pool->present[k] && adm_pages(pool, k) > 0)
			text = tool_text("%s%s%d:%" PRIu64, text,
				*text ? "," : "", state->node[k].id,
				adm_pages(pool, k));
	}
	return text;
}

/* A parameter that the kernel was started with, as it stands there; or "". */
static char *now(const struct adm_state *state, const char *name)
{
	char text[8192];
	size_t n = strlen(name);

	if (hl_root_read(&state->root, "/proc/cmdline", text, sizeof(text)) < 0)
		return tool_strdup("");
	for (char *word = strtok(text, " \n"); word;
		word = strtok(NULL, " \n")) {
		if (strncmp(word, name, n) == 0 && word[n] == '=')
			return tool_text("%s ", word);
	}
	return tool_strdup("");
}

char *adm_boot_parameters(const struct adm_state *state)
{
	const struct adm_setting *hvo =
		adm_setting_find("vm", "hugetlb_optimize_vmemmap", false);
	char *value = adm_setting_read(&state->root, hvo, 0);
	char *text = tool_strdup("");

	for (int i = 0; i < state->pools; i++) {
		const struct adm_pool *pool = &state->pool[i];

		if (adm_pages(pool, -1) > 0)
			text = tool_text("%s%shugepagesz=%s hugepages=%s", text,
				*text ? " " : "",
				tool_size(pool->page_bytes).text,
				counts(state, pool));
	}
	if (*text == '\0')
		return text;
	return tool_text("%s%s%s", now(state, "default_hugepagesz"), text,
		value && strcmp(value, "1") == 0 ? " hugetlb_free_vmemmap=on"
						 : "");
}
