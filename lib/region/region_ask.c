/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options of a region, read with care: of any age (base/record.h), checked
 * against each other and against the machine, and turned into what they mean.
 *
 * No state, no lock. Nothing is taken here.
 */
#include "region/region_internal.h"

#include "backing/budget.h"
#include "base/failure.h"
#include "base/record.h"
#include "system/admin.h"
#include "system/files.h"

#include <errno.h>
#include <string.h>

#define KNOWN_FLAGS                                                   \
	(HTLB_REGION_SHARED | HTLB_REGION_FILE | HTLB_REGION_STRICT | \
		HTLB_REGION_NO_THP | HTLB_REGION_NO_BASE | HTLB_REGION_EMPTY)

/* What the kernel takes as the name of a memfd. */
#define NAME_MAX_CHARS 249
/* From here on the machine's memory is looked at first. */
#define HOPELESS_BYTES HL_GIB

/* The smallest huge page of the machine, 0 if it has none. */
static size_t smallest(void)
{
	size_t size = 0, next = hl_supply_smaller(SIZE_MAX);

	while (next != 0) {
		size = next;
		next = hl_supply_smaller(size);
	}
	return size;
}

static bool is_there(size_t page_bytes)
{
	return page_bytes != 0 &&
	       hl_supply_page_bytes(page_bytes) == page_bytes;
}

/* Without STRICT it is said and counted where memory stands in. */
static int lacks(struct hl_ask *ask, size_t page_bytes)
{
	ask->is_lacking = true;
	ask->lacking_bytes = page_bytes;
	if (!(ask->flags & HTLB_REGION_STRICT))
		return 0;
	hl_failure_record(HL_LIMIT_UNSUPPORTED, page_bytes, HL_NODE_ANY, 1, 0);
	return -EOPNOTSUPP;
}

/* With a budget, its pages. */
static int size_of_budget(struct hl_ask *ask, size_t *page_bytes)
{
	struct hl_budget_stat stat;

	if (ask->budget == NULL)
		return 0;
	hl_budget_stat(ask->budget, &stat);
	if (*page_bytes != 0 && *page_bytes != stat.want.page_bytes)
		return -EINVAL;
	*page_bytes = stat.want.page_bytes;
	return 0;
}

static int choose_size(struct hl_ask *ask, size_t page_bytes)
{
	int rc = size_of_budget(ask, &page_bytes);

	if (rc < 0)
		return rc;
	if (page_bytes == HTLB_PAGE_LARGEST) {
		ask->largest = true;
		ask->page_bytes = hl_supply_page_bytes(ask->bytes);
		ask->step_bytes = HL_MAX(smallest(), HL_UNIT_BYTES);
		return ask->page_bytes != 0 ? 0 : lacks(ask, 0);
	}
	if (page_bytes == 0)
		page_bytes = hl_region_default_size();
	else if (!hl_is_pow2(page_bytes) || page_bytes < hl_base_page_bytes())
		return -EINVAL;
	ask->page_bytes = hl_supply_page_bytes(page_bytes);
	ask->step_bytes = HL_MAX(ask->page_bytes, HL_UNIT_BYTES);
	if (!is_there(page_bytes))
		return lacks(ask, page_bytes);
	return 0;
}

static int choose_length(struct hl_ask *ask)
{
	size_t sum;

	if (!hl_add_ok(ask->bytes, ask->step_bytes, &sum) ||
		sum > (size_t)PTRDIFF_MAX)
		return -ENOMEM;
	ask->bytes = hl_align_up(ask->bytes, ask->step_bytes);
	ask->align_bytes = HL_MAX(
		ask->align_bytes, HL_MAX(ask->page_bytes, HL_UNIT_BYTES));
	return 0;
}

/*
 * What the machine could never hold is refused before gigabytes of books are
 * made for it. Not for small ones: it costs a look at a file.
 */
static int check_memory(const struct hl_ask *ask)
{
	size_t page = HL_MAX(ask->page_bytes, HL_UNIT_BYTES);
	struct hl_memory memory;
	uint64_t most;

	if (ask->bytes < HOPELESS_BYTES || (ask->flags & HTLB_REGION_EMPTY) ||
		hl_memory_read(hl_supply_root, HL_NODE_ANY, &memory) < 0)
		return 0;
	most = memory.total_bytes + memory.swap_total_bytes;
	if (ask->bytes <= most)
		return 0;
	hl_failure_record(HL_LIMIT_MEMORY, page, HL_NODE_ANY, ask->bytes / page,
		most / page);
	return -ENOMEM;
}

int hl_ask_make(size_t bytes, const struct htlb_region_options *options,
	struct hl_ask *out)
{
	struct htlb_region_options o;
	struct hl_ask ask = {.bytes = bytes};
	int rc = hl_record_in(&o, sizeof(o), options);

	if (rc < 0)
		return rc;
	if (bytes == 0 || (o.flags & ~KNOWN_FLAGS) != 0 ||
		(o.align_bytes != 0 && !hl_is_pow2(o.align_bytes)) ||
		(o.name != NULL && strlen(o.name) > NAME_MAX_CHARS))
		return -EINVAL;
	ask.flags = o.flags;
	if (ask.flags & HTLB_REGION_FILE)
		ask.flags |= HTLB_REGION_SHARED;
	ask.budget = hl_budget_of(o.subpool);
	ask.align_bytes = o.align_bytes;
	ask.name = o.name;
	ask.path = o.path;
	rc = hl_place_resolve(o.policy, o.nodes, o.node_count, &ask.place);
	if (rc == 0)
		rc = choose_size(&ask, o.page_bytes);
	if (rc == 0)
		rc = choose_length(&ask);
	if (rc == 0)
		rc = check_memory(&ask);
	if (rc == 0)
		*out = ask;
	return rc;
}

int hl_ask_from_fd(int fd, const struct htlb_region_options *options,
	struct hl_ask *out, size_t *page_bytes, int *own)
{
	struct htlb_region_options o;
	struct hl_ask ask = {.flags = HTLB_REGION_SHARED};
	struct hl_file_info info;
	int rc = hl_record_in(&o, sizeof(o), options);

	if (rc < 0)
		return rc;
	rc = hl_files->info(fd, &info);
	if (rc < 0)
		return rc;
	if ((info.page_bytes == 0 && !info.is_shmem) || info.bytes == 0 ||
		(o.flags & ~(unsigned)HTLB_REGION_STRICT) != 0)
		return -EINVAL;
	if (!info.is_writable)
		return -EACCES;
	if (info.page_bytes == 0 && (o.flags & HTLB_REGION_STRICT))
		return -EOPNOTSUPP;
	ask.flags |= o.flags;
	ask.bytes = info.bytes;
	ask.page_bytes = info.page_bytes;
	ask.step_bytes = HL_MAX(info.page_bytes, HL_UNIT_BYTES);
	ask.place.node = HL_NODE_ANY;
	/* No region of ours has another length. */
	if (ask.bytes % ask.step_bytes != 0)
		return -EINVAL;
	rc = choose_length(&ask);
	if (rc < 0)
		return rc;
	*own = hl_files->dup(fd);
	if (*own < 0)
		return *own;
	*page_bytes = info.page_bytes;
	*out = ask;
	return 0;
}
