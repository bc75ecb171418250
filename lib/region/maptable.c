/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See region/maptable.h. An array, since there are few and they live long: a
 * search is a dozen comparisons, an insertion moves at most 500 KiB.
 */
#include "region/maptable.h"

#include "base/meta.h"

#include <errno.h>
#include <string.h>

/* Index of the first entry that ends above `at`. */
static size_t first_above(const struct hl_maptable *table, uintptr_t at)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->entry[middle].to > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int hl_maptable_insert(
	struct hl_maptable *table, const struct hl_mapped *mapped)
{
	struct hl_mapped *at;

	HL_ASSERT(mapped->from < mapped->to);
	if (table->entry == NULL)
		table->entry =
			hl_meta_map(HL_MAPTABLE_MAX * sizeof(*table->entry));
	if (table->entry == NULL || table->count == HL_MAPTABLE_MAX)
		return -ENOMEM;
	at = table->entry + first_above(table, mapped->from);
	HL_ASSERT(at == table->entry + table->count || at->from >= mapped->to);
	memmove(at + 1, at,
		(size_t)(table->entry + table->count - at) * sizeof(*at));
	*at = *mapped;
	table->count++;
	return 0;
}

struct hl_mapped *hl_maptable_find(
	const struct hl_maptable *table, uintptr_t from, uintptr_t to)
{
	size_t i = first_above(table, from);

	if (i == table->count || table->entry[i].from >= to)
		return NULL;
	return table->entry + i;
}

void hl_maptable_remove(struct hl_maptable *table, struct hl_mapped *mapped)
{
	struct hl_mapped *end = table->entry + table->count;

	HL_ASSERT(mapped >= table->entry && mapped < end);
	memmove(mapped, mapped + 1,
		(size_t)(end - mapped - 1) * sizeof(*mapped));
	table->count--;
}
