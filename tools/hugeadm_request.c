/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading what is asked for: "2M:512@1", "DEFAULT:+10%", "1G:2:2M". Text to
 * requests, with no look at how much there is, only at what there is: sizes
 * and nodes. Whatever is not understood is said in one line.
 */
#include "hugeadm.h"

#include "base/bitmap.h"

#include <limits.h>

struct adm_request *adm_request_add(
	struct adm_requests *list, enum adm_what what, const char *from)
{
	struct adm_request *request;

	list->at = tool_realloc(list->at, list->n + 1, sizeof(*list->at));
	request = &list->at[list->n++];
	*request = (struct adm_request){.what = what, .from = from};
	return request;
}

int adm_parse_page_size(const struct adm_state *state, const char *from,
	const char *text, size_t *out)
{
	size_t bytes;

	if (state->pools == 0)
		return tool_usage("%s: this kernel has no huge pages", from);
	if (hl_same_text(text, "DEFAULT")) {
		if (state->default_bytes == 0)
			return tool_usage(
				"%s: this kernel has no default size", from);
		*out = state->default_bytes;
		return 0;
	}
	if (hl_parse_size(text, &bytes) != 0)
		return tool_usage(
			"%s: \"%s\" is not a size, nor DEFAULT", from, text);
	for (int i = 0; i < state->pools; i++) {
		if (state->pool[i].page_bytes == bytes) {
			*out = bytes;
			return 0;
		}
	}
	return tool_usage("%s: no huge pages of %s here: there are %s", from,
		text, adm_sizes_text(state));
}

/* "12", "12.5" in hundredths. */
static bool parse_percent(const char *text, size_t n, uint64_t *out)
{
	char whole[24] = "", part[3] = "00";
	size_t digits = strspn(text, "0123456789");
	uint64_t a, b;

	if (digits == 0 || digits >= sizeof(whole) || digits > n)
		return false;
	memcpy(whole, text, digits);
	if (digits < n) {
		size_t rest = n - digits - 1;

		if (text[digits] != '.' || rest == 0 || rest > 2 ||
			strspn(text + digits + 1, "0123456789") < rest)
			return false;
		memcpy(part, text + digits + 1, rest);
	}
	if (hl_parse_u64(whole, &a) != 0 || hl_parse_u64(part, &b) != 0 ||
		a > 100 || (a == 100 && b > 0))
		return false;
	*out = a * 100 + b;
	return true;
}

int adm_parse_count(const char *from, const char *text, struct adm_count *out)
{
	struct adm_count count = {0};
	const char *at = text;
	size_t bytes, n;

	if (*at == '+' || *at == '-')
		count.sign = *at++ == '+' ? 1 : -1;
	n = strlen(at);
	if (n > 0 && at[n - 1] == '%') {
		count.unit = ADM_PERCENT;
		if (parse_percent(at, n - 1, &count.value)) {
			*out = count;
			return 0;
		}
	} else if (strspn(at, "0123456789") == n) {
		if (hl_parse_u64(at, &count.value) == 0) {
			*out = count;
			return 0;
		}
	} else if (*at >= '0' && *at <= '9' && !strpbrk(at, "xX") &&
		   hl_parse_size(at, &bytes) == 0) {
		/* A hexadecimal number would be bytes, a decimal one pages. */
		count.unit = ADM_BYTES;
		count.value = bytes;
		*out = count;
		return 0;
	}
	return tool_usage("%s: \"%s\" is not a count of pages, an amount of "
			  "memory, or a percentage of it",
		from, text);
}

int adm_parse_nodes(const struct adm_state *state, const char *from,
	const char *text, uint64_t nodes[HL_NODES_MAX / 64])
{
	uint64_t bits[HL_NODES_MAX / 64] = {0};
	bool any = false;

	if (strcmp(text, "all") == 0) {
		for (int i = 0; i < state->nodes; i++) {
			size_t id = (size_t)state->node[i].id;

			if (state->pools > 0 && !state->pool[0].present[i])
				continue;
			hl_bitmap_set(bits, id, id + 1);
		}
	} else if (*text == '\0' ||
		   hl_parse_list(text, bits, HL_NODES_MAX) != 0) {
		return tool_usage("%s: \"%s\" is not a list of nodes, nor all",
			from, text);
	}
	for (int id = 0; id < HL_NODES_MAX; id++) {
		if (!hl_bitmap_test(bits, (size_t)id))
			continue;
		any = true;
		if (adm_node_index(state, id) < 0)
			return tool_usage("%s: there is no node %d", from, id);
	}
	if (!any)
		return tool_usage("%s: \"%s\" is no node", from, text);
	memcpy(nodes, bits, sizeof(bits));
	return 0;
}

/* The part before '@', and nodes of the part behind it. */
static int take_nodes(const struct adm_state *state, const char *from,
	char *text, struct adm_request *request)
{
	char *at = strchr(text, '@');
	int status;

	if (!at)
		return 0;
	*at = '\0';
	status = adm_parse_nodes(state, from, at + 1, request->nodes);
	request->on_nodes = status == 0;
	return status;
}

static int check_node_pools(struct adm_state *state,
	const struct adm_request *request, const char *from)
{
	struct adm_pool *pool = adm_pool_of(state, request->page_bytes);

	for (int i = 0; request->on_nodes && i < state->nodes; i++) {
		int id = state->node[i].id;

		if (hl_bitmap_test(request->nodes, (size_t)id) &&
			!pool->present[i])
			return tool_usage("%s: node %d has no pool of %s pages",
				from, id, tool_size(pool->page_bytes).text);
	}
	return 0;
}

int adm_parse_pool(struct adm_state *state, struct adm_requests *list,
	enum adm_what what, const char *from, const char *text)
{
	struct adm_request request = {.what = what, .from = from};
	char *size = tool_strdup(text);
	char *count = strchr(size, ':');
	int status;

	if (!count)
		return tool_usage("%s: \"%s\" is not SIZE:COUNT", from, text);
	*count++ = '\0';
	status = adm_parse_page_size(state, from, size, &request.page_bytes);
	if (!status)
		status = take_nodes(state, from, count, &request);
	if (!status)
		status = adm_parse_count(from, count, &request.count);
	if (!status)
		status = check_node_pools(state, &request, from);
	if (status)
		return status;
	if (request.on_nodes && what != ADM_MIN)
		return tool_usage(
			"%s: the kernel has no such limit per node", from);
	*adm_request_add(list, what, from) = request;
	return 0;
}

/* SIZE:COUNT[:SIZE][@NODES] */
int adm_parse_demote(struct adm_state *state, struct adm_requests *list,
	const char *from, const char *text)
{
	struct adm_request request = {.what = ADM_DEMOTE, .from = from};
	char *size = tool_strdup(text), *to = NULL;
	char *count = strchr(size, ':');
	const struct adm_pool *pool;
	int status;

	if (!count)
		return tool_usage("%s: \"%s\" is not SIZE:COUNT:SMALLER_SIZE",
			from, text);
	*count++ = '\0';
	status = adm_parse_page_size(state, from, size, &request.page_bytes);
	if (!status)
		status = take_nodes(state, from, count, &request);
	if (status)
		return status;
	to = strchr(count, ':');
	if (to)
		*to++ = '\0';
	status = adm_parse_count(from, count, &request.count);
	if (!status && to)
		status =
			adm_parse_page_size(state, from, to, &request.to_bytes);
	if (!status)
		status = check_node_pools(state, &request, from);
	if (status)
		return status;
	if (request.count.sign != 0)
		return tool_usage("%s: how many pages: \"%s\"", from, count);
	if (to && request.to_bytes >= request.page_bytes)
		return tool_usage(
			"%s: %s is not smaller than %s", from, to, size);
	pool = adm_pool_of(state, request.page_bytes);
	if (pool->demote_bytes == 0) {
		tool_say("%s: pages of %s cannot be demoted here (needs a "
			 "smaller size, and Linux 5.16)",
			from, tool_size(request.page_bytes).text);
		return TOOL_FAILURE;
	}
	*adm_request_add(list, ADM_DEMOTE, from) = request;
	return 0;
}

/* Memory kept free is nobody's: with most of it kept, nothing runs any more. */
static bool leaves_too_little(const struct adm_state *state,
	const struct adm_setting *setting, const char *value)
{
	uint64_t kib;

	return strcmp(setting->key, "min_free_kbytes") == 0 &&
	       state->memory_known && hl_parse_u64(value, &kib) == 0 &&
	       kib > state->memory.total_bytes / HL_KIB / 2;
}

int adm_parse_setting(struct adm_state *state, struct adm_requests *list,
	const char *from, const struct adm_setting *setting, size_t page_bytes,
	const char *text)
{
	struct adm_request *request;
	char *why = NULL, *value;

	value = adm_setting_value(
		&state->root, setting, page_bytes, text, &why);
	if (!value)
		return tool_usage("%s: %s", from, why);
	if (leaves_too_little(state, setting, value))
		return tool_usage(
			"%s: %s KiB are more than half of the memory, %s", from,
			value, tool_human(state->memory.total_bytes).text);
	if (!adm_setting_read(&state->root, setting, page_bytes)) {
		tool_say("%s: %s", from,
			setting->since ? setting->since
				       : "this kernel has no such setting");
		return TOOL_FAILURE;
	}
	request = adm_request_add(list, ADM_SET, from);
	request->setting = setting;
	request->page_bytes = page_bytes;
	request->value = value;
	return 0;
}

int adm_parse_amount(const struct adm_state *state, const char *from,
	const char *text, uint64_t *out)
{
	size_t n = strlen(text), bytes;
	uint64_t hundredths;

	if (n > 0 && text[n - 1] == '%' &&
		parse_percent(text, n - 1, &hundredths)) {
		if (!state->memory_known)
			return tool_fail("%s: how much memory there is is not "
					 "known",
				from);
		*out = state->memory.total_bytes / 10000 * hundredths;
		return 0;
	}
	if (*text >= '0' && *text <= '9' && hl_parse_size(text, &bytes) == 0) {
		*out = bytes;
		return 0;
	}
	return tool_usage("%s: \"%s\" is neither an amount of memory nor a "
			  "percentage of it",
		from, text);
}

uint64_t adm_count_pages(
	const struct adm_count *count, size_t page_bytes, uint64_t memory_bytes)
{
	switch (count->unit) {
	case ADM_BYTES:
		/* Never less than what was asked for. */
		return count->value / page_bytes +
		       (count->value % page_bytes != 0);
	case ADM_PERCENT:
		return memory_bytes / 10000 * count->value / page_bytes;
	case ADM_PAGES:
		break;
	}
	return count->value;
}
