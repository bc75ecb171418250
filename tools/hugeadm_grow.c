/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Growing a pool: in steps of about 1 GiB, so that the memory that must stay
 * for the rest (--leave) is looked at on the way and not afterwards. The kernel
 * meets a write as far as it can and says nothing, so each step is read back.
 *
 * With --hard, memory is compacted (and caches dropped, if asked for) where a
 * step came short, and the step tried again: at most five times in a row
 * without a single page more.
 */
#include "hugeadm.h"

#include "base/bitmap.h"

#include <time.h>
#include <unistd.h>

#define STEP_BYTES HL_GIB
#define TRIES	   5
#define WAIT_MS	   100U /* doubled with each try */
#define TELL_MS	   1000

struct growth {
	struct adm_state *state;
	struct adm_action *action;
	const struct adm_effort *effort;
	int node; /* number, or HL_NODE_ANY */
	uint64_t now, told_ms;
	unsigned tries;
	bool for_memory; /* stopped by --leave */
	bool told;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void wait_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

int adm_compact(const struct adm_state *state, int node)
{
	char *path;

	if (node < 0)
		return hl_root_write(
			&state->root, "/proc/sys/vm/compact_memory", "1");
	path = tool_text("/sys/devices/system/node/node%d/compact",
		state->node[node].id);
	return hl_root_write(&state->root, path, "1");
}

int adm_drop_caches(const struct adm_state *state)
{
	/* Dirty pages are none of the caches that can be dropped. */
	if (state->root.prefix[0] == '\0')
		sync();
	return hl_root_write(&state->root, "/proc/sys/vm/drop_caches", "3");
}

/* Memory that the pool may still take; UINT64_MAX if that is not known. */
static uint64_t room_bytes(const struct adm_state *state, int node)
{
	struct hl_memory memory;
	uint64_t leave = state->leave_bytes, room = UINT64_MAX, here;

	if (hl_memory_read(&state->root, HL_NODE_ANY, &memory) == 0)
		room = memory.available_bytes > leave
			       ? memory.available_bytes - leave
			       : 0;
	if (node == HL_NODE_ANY ||
		hl_memory_read(&state->root, node, &memory) != 0)
		return room;
	leave /= (uint64_t)HL_MAX(state->nodes, 1);
	here = memory.available_bytes > leave ? memory.available_bytes - leave
					      : 0;
	return HL_MIN(room, here);
}

static int reread(struct growth *g)
{
	struct hl_pool pool;
	int err = hl_pool_read(
		&g->state->root, g->action->page_bytes, g->node, &pool);

	if (!err)
		g->now = hl_pool_persistent(&pool);
	return err;
}

static uint64_t step_pages(struct growth *g)
{
	uint64_t size = g->action->page_bytes;
	uint64_t step = HL_MAX(STEP_BYTES / size, 1);
	uint64_t room = room_bytes(g->state, g->node) / size;

	step = HL_MIN(step, g->action->after - g->now);
	g->for_memory = room < step;
	return HL_MIN(step, room);
}

static void tell(struct growth *g)
{
	bool terminal = isatty(STDERR_FILENO);
	uint64_t ms = now_ms();

	if (g->effort->quiet ||
		ms < g->told_ms + (terminal ? 1U : 10U) * TELL_MS)
		return;
	g->told_ms = ms;
	g->told = terminal;
	fprintf(stderr, "%s%s: %s pages: %" PRIu64 " of %" PRIu64 "%s",
		terminal ? "\r" : "", tool_name,
		tool_size(g->action->page_bytes).text, g->now, g->action->after,
		terminal ? "  " : "\n");
}

/* Whether it is worth another try. */
static bool try_harder(struct growth *g)
{
	if (!g->effort->hard || g->tries >= TRIES)
		return false;
	if (g->effort->drop_caches)
		(void)adm_drop_caches(g->state);
	(void)adm_compact(g->state, g->action->node);
	if (g->tries > 0)
		wait_ms(WAIT_MS << (g->tries - 1));
	g->tries++;
	return true;
}

static int grow(struct growth *g)
{
	int err = reread(g);

	while (!err && g->now < g->action->after && !adm_interrupted()) {
		uint64_t before = g->now, step = step_pages(g);

		if (step > 0) {
			err = hl_pool_write(&g->state->root,
				g->action->page_bytes, g->node, "nr_hugepages",
				before + step);
			if (!err)
				err = reread(g);
		}
		if (err)
			return err;
		if (g->now > before)
			g->tries = 0;
		tell(g);
		if (g->now < before + HL_MAX(step, 1) && !try_harder(g))
			break;
	}
	return err;
}

/* ---- why it came short ---- */

/* Nodes with memory that the control group's cpuset forbids; "" if none. */
static char *forbidden_nodes(const struct adm_state *state)
{
	static const char key[] = "Mems_allowed_list:";
	uint64_t bits[HL_NODES_MAX / 64];
	char buf[4096], *line, *text = tool_strdup("");
	struct hl_lines lines;

	if (state->root.prefix[0] != '\0' ||
		hl_lines_open(&lines, &state->root, "/proc/self/status", buf,
			sizeof(buf)) != 0)
		return text;
	while (hl_lines_next(&lines, &line) == 1) {
		if (strncmp(line, key, sizeof(key) - 1) != 0)
			continue;
		line += sizeof(key) - 1;
		line += strspn(line, " \t");
		if (hl_parse_list(line, bits, HL_NODES_MAX) != 0)
			break;
		for (int i = 0; i < state->nodes; i++) {
			int id = state->node[i].id;

			if (state->pool[0].present[i] &&
				!hl_bitmap_test(bits, (size_t)id))
				text = tool_text(
					"%s%s%d", text, *text ? ", " : "", id);
		}
	}
	hl_lines_close(&lines);
	return text;
}

static char *why_fragmented(
	const struct adm_state *state, int node, size_t page_bytes, bool hard)
{
	struct hl_buddy buddy;
	struct hl_memory memory;
	uint64_t fit;
	const char *free_text;

	if (hl_buddy_read(&state->root, node, &buddy) != 0 ||
		hl_memory_read(&state->root, node, &memory) != 0)
		return tool_strdup("the kernel found no more");
	free_text = tool_strdup(tool_human(memory.free_bytes).text);
	fit = hl_buddy_fit(&buddy, hl_log2(page_bytes / hl_base_page_bytes()));
	if (fit == UINT64_MAX)
		return tool_text(
			"memory is fragmented: %s is free, but no %s of it in "
			"one piece; pages of that size are best set aside at "
			"boot (--boot-parameters)",
			free_text, tool_size(page_bytes).text);
	return tool_text("memory is fragmented: %s is free, %" PRIu64
			 " pages' worth of it in one piece%s",
		free_text, fit, hard ? "" : "; --hard compacts it");
}

/* Stopped by what must stay: of the machine's memory, or of the node's. */
static char *why_memory(const struct growth *g)
{
	const struct adm_state *state = g->state;
	uint64_t leave = state->leave_bytes, page = g->action->page_bytes;
	struct hl_memory memory;
	int node = HL_NODE_ANY;

	if (hl_memory_read(&state->root, node, &memory) != 0)
		return tool_strdup("not enough memory");
	if (g->node != HL_NODE_ANY && memory.available_bytes >= leave + page &&
		hl_memory_read(&state->root, g->node, &memory) == 0) {
		node = g->node;
		leave /= (uint64_t)HL_MAX(state->nodes, 1);
	}
	return tool_text("not enough memory: %s could still be had%s, %s must "
			 "stay for the rest (--leave)",
		tool_human(memory.available_bytes).text,
		node < 0 ? "" : tool_text(" on node %d", node),
		tool_human(leave).text);
}

static char *why_short(const struct growth *g)
{
	const char *nodes;

	if (adm_interrupted())
		return tool_strdup("interrupted");
	if (g->for_memory)
		return why_memory(g);
	nodes = forbidden_nodes(g->state);
	if (*nodes && g->node == HL_NODE_ANY)
		return tool_text("the cpuset of this control group forbids "
				 "node %s",
			nodes);
	return why_fragmented(
		g->state, g->node, g->action->page_bytes, g->effort->hard);
}

void adm_grow(struct adm_state *state, struct adm_action *action,
	const struct adm_effort *effort)
{
	struct growth g = {
		.state = state,
		.action = action,
		.effort = effort,
		.node = action->node < 0 ? HL_NODE_ANY
					 : state->node[action->node].id,
		.told_ms = now_ms(),
	};
	int err = grow(&g);

	if (g.told)
		fputs("\r\033[K", stderr);
	action->reached = g.now;
	if (err) {
		action->result =
			g.now > action->before ? ADM_SHORT : ADM_FAILED;
		action->why = tool_strdup(strerror(-err));
	} else if (g.now < action->after) {
		action->result = ADM_SHORT;
		action->why = why_short(&g);
	} else {
		action->result = ADM_DONE;
	}
}
