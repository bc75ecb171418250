/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists for people. Columns and their widths are the ancestor's, since scripts
 * read them; what is new comes in columns and options of its own, or as JSON.
 */
#include "hugeadm.h"

#include "base/bitmap.h"

void adm_list_pools(const struct adm_state *state, bool nodes)
{
	if (state->pools == 0)
		tool_say("this kernel has no huge pages");
	if (nodes)
		printf("%10s %4s %8s %8s %8s %8s\n", "Size", "Node", "Minimum",
			"Current", "Free", "Surplus");
	else
		printf("%10s %8s %8s %8s %8s\n", "Size", "Minimum", "Current",
			"Maximum", "Default");
	for (int i = 0; i < state->pools; i++) {
		const struct adm_pool *p = &state->pool[i];

		for (int k = 0; nodes && k < state->nodes; k++) {
			if (!p->present[k])
				continue;
			printf("%10zu %4d %8" PRIu64 " %8" PRIu64 " %8" PRIu64
			       " %8" PRIu64 "\n",
				p->page_bytes, state->node[k].id,
				adm_pages(p, k), p->node[k].nr, p->node[k].free,
				p->node[k].surplus);
		}
		if (nodes)
			continue;
		printf("%10zu %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8s\n",
			p->page_bytes, adm_pages(p, -1), p->all.nr,
			adm_maximum(p),
			p->page_bytes == state->default_bytes ? "*" : "");
	}
}

/* Sizes that have pages and a mount: what programs can use through files. */
static bool is_usable(const struct adm_state *state, size_t page_bytes,
	const struct adm_mounted *mounts, size_t n)
{
	for (int i = 0; i < state->pools; i++) {
		const struct adm_pool *p = &state->pool[i];

		if (p->page_bytes != page_bytes || adm_maximum(p) == 0)
			continue;
		for (size_t k = 0; k < n; k++) {
			if (mounts[k].is.page_bytes == page_bytes)
				return true;
		}
	}
	return false;
}

void adm_list_page_sizes(const struct adm_state *state, bool all)
{
	struct adm_mounted *mounts = NULL;
	size_t n = 0;

	if (!all)
		(void)adm_mounts_read(state, &mounts, &n);
	for (int i = 0; i < state->pools; i++) {
		size_t bytes = state->pool[i].page_bytes;

		if (all || is_usable(state, bytes, mounts, n))
			printf("%zu\n", bytes);
	}
}

char *adm_one_line(const char *path)
{
	char *text = tool_zalloc(4 * strlen(path) + 1, 1), *to = text;

	for (; *path != '\0'; path++) {
		unsigned char c = (unsigned char)*path;

		if (c < ' ' || c == 127 || c == '\\')
			to += sprintf(to, "\\%03o", c);
		else
			*to++ = *path;
	}
	return text;
}

int adm_list_mounts(const struct adm_state *state)
{
	struct adm_mounted *mounts;
	size_t n;
	int err = adm_mounts_read(state, &mounts, &n);

	if (err)
		return tool_fail(
			"the mounts cannot be read: %s", strerror(-err));
	if (n == 0) {
		tool_say("no hugetlbfs is mounted");
		return TOOL_OK;
	}
	printf("%-20s %s\n", "Mount Point", "Options");
	for (size_t i = 0; i < n; i++) {
		printf("%-20s %s\n", adm_one_line(mounts[i].path),
			mounts[i].options);
	}
	return TOOL_OK;
}
