/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing the kernel's pools. A write that is met only in part succeeds all
 * the same, so callers read the pool again (system/pool.c). No lock: whoever
 * changes pools sees to it that nobody else does.
 */
#include "base/fmt.h"
#include "system/admin.h"

#include <errno.h>

uint64_t hl_pool_persistent(const struct hl_pool *pool)
{
	return pool->nr > pool->surplus ? pool->nr - pool->surplus : 0;
}

int hl_pool_path(size_t page_bytes, int node, const char *file, char *path,
	size_t capacity)
{
	struct hl_buf buf;

	hl_buf_init(&buf, path, capacity);
	if (node == HL_NODE_ANY)
		hl_buf_puts(&buf, "/sys/kernel/mm");
	else
		hl_buf_printf(&buf, "/sys/devices/system/node/node%d", node);
	hl_buf_printf(&buf, "/hugepages/hugepages-%zukB/%s",
		page_bytes / HL_KIB, file);
	return buf.truncated ? -ENAMETOOLONG : 0;
}

int hl_pool_write(const struct hl_root *root, size_t page_bytes, int node,
	const char *file, uint64_t value)
{
	char path[160], text[32];
	struct hl_buf buf;
	int err = hl_pool_path(page_bytes, node, file, path, sizeof(path));

	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_printf(&buf, "%llu", (unsigned long long)value);
	return err ? err : hl_root_write(root, path, text);
}

int hl_pool_demote_size(
	const struct hl_root *root, size_t page_bytes, size_t *out)
{
	char path[160], text[32];
	ssize_t n;
	int err = hl_pool_path(
		page_bytes, HL_NODE_ANY, "demote_size", path, sizeof(path));

	if (err)
		return err;
	/* "2048kB" */
	n = hl_root_read(root, path, text, sizeof(text));
	return n < 0 ? (int)n : hl_parse_size(text, out);
}

int hl_pool_set_demote_size(
	const struct hl_root *root, size_t page_bytes, size_t to_bytes)
{
	char path[160], text[32];
	struct hl_buf buf;
	int err = hl_pool_path(
		page_bytes, HL_NODE_ANY, "demote_size", path, sizeof(path));

	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_printf(&buf, "%zukB", to_bytes / HL_KIB);
	return err ? err : hl_root_write(root, path, text);
}
