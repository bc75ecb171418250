/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's pools of huge pages, as sysfs shows them. A snapshot: another
 * process may take a page between two reads, so that sums need not fit; all
 * arithmetic here saturates. No lock.
 */
#include "system/sys.h"
#include "base/fmt.h"

#include <errno.h>

/* One file of the pool's directory, which stands in `path`. */
static int read_file(const struct hl_root *root, const struct hl_buf *directory,
	const char *name, uint64_t *out)
{
	struct hl_buf path = *directory;
	int err;

	hl_buf_puts(&path, name);
	err = path.truncated ? -ENAMETOOLONG
			     : hl_root_read_u64(root, path.data, out);
	/* Cut the name off again. */
	directory->data[directory->length] = '\0';
	return err;
}

int hl_pool_read(const struct hl_root *root, size_t page_bytes, int node,
	struct hl_pool *out)
{
	char text[160];
	struct hl_buf path;
	struct hl_pool pool = {0};
	int err;

	hl_buf_init(&path, text, sizeof(text));
	if (node == HL_NODE_ANY)
		hl_buf_puts(&path, "/sys/kernel/mm");
	else
		hl_buf_printf(&path, "/sys/devices/system/node/node%d", node);
	hl_buf_printf(
		&path, "/hugepages/hugepages-%zukB/", page_bytes / HL_KIB);
	err = read_file(root, &path, "nr_hugepages", &pool.nr);
	if (!err)
		err = read_file(root, &path, "free_hugepages", &pool.free);
	if (!err)
		err = read_file(
			root, &path, "surplus_hugepages", &pool.surplus);
	if (!err && node == HL_NODE_ANY)
		err = read_file(root, &path, "resv_hugepages", &pool.resv);
	if (!err && node == HL_NODE_ANY)
		err = read_file(root, &path, "nr_overcommit_hugepages",
			&pool.overcommit);
	if (err)
		return err;
	*out = pool;
	return 0;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

uint64_t hl_pool_available(const struct hl_pool *pool)
{
	uint64_t now = minus(pool->free, pool->resv);
	uint64_t later = minus(pool->overcommit, pool->surplus);
	uint64_t sum;

	return __builtin_add_overflow(now, later, &sum) ? UINT64_MAX : sum;
}
