/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plug-in linked with libhugetlbfs2.so: must share the one heap, if there is
 * one. */
#include <hugetlbfs2.h>

void *linked_malloc(size_t bytes);
void *linked_realloc(void *p, size_t bytes);
void linked_free(void *p);
int linked_stats(struct htlb_heap_stats *out);

__attribute__((visibility("default"))) void *linked_malloc(size_t bytes)
{
	return htlb_malloc(bytes);
}

__attribute__((visibility("default"))) void *linked_realloc(
	void *p, size_t bytes)
{
	return htlb_realloc(p, bytes);
}

__attribute__((visibility("default"))) void linked_free(void *p)
{
	htlb_free(p);
}

__attribute__((visibility("default"))) int linked_stats(
	struct htlb_heap_stats *out)
{
	return htlb_heap_stats(out);
}
