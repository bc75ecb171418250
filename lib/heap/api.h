/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One heap state in a process: the table of entry points that the preload
 * object exports as htlb_entry_v1 and that every other copy of the library
 * calls through (a weak reference; NULL when nothing is preloaded).
 */
#ifndef HL_HEAP_API_H
#define HL_HEAP_API_H

#include "hugetlbfs2.h"

struct hl_entry_v1 {
	size_t bytes; /* of this table: later versions only append */
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	void *(*memalign)(size_t, size_t);
	size_t (*usable_size)(const void *);
	int (*stats)(struct htlb_heap_stats *);
	int (*release)(void);
	int (*report)(int, int);
	int (*last_failure)(struct htlb_failure *);
	int (*heap_create)(
		const struct htlb_heap_options *, struct htlb_heap **);
	void *(*heap_alloc)(struct htlb_heap *, size_t, size_t);
	void (*heap_destroy)(struct htlb_heap *);
};

extern const struct hl_entry_v1 htlb_entry_v1 __attribute__((weak));
/* This object's own functions, and their table. */
void *hl_api_malloc(size_t bytes);
void *hl_api_calloc(size_t count, size_t bytes);
void *hl_api_realloc(void *p, size_t bytes);
void *hl_api_memalign(size_t align, size_t bytes);
int hl_api_stats(struct htlb_heap_stats *out);
int hl_api_release(void);
int hl_api_last_failure(struct htlb_failure *out);
int hl_api_heap_create(
	const struct htlb_heap_options *options, struct htlb_heap **out);
extern const struct hl_entry_v1 hl_entry_own;

/* Both tables: the functions of the object that it is written in. Needs
 * heap/heap.h, heap/instance.h and heap/report.h. */
/* clang-format off */
#define HL_ENTRY_V1 { \
	.bytes = sizeof(struct hl_entry_v1), \
	.malloc = hl_api_malloc, \
	.calloc = hl_api_calloc, \
	.realloc = hl_api_realloc, \
	.free = hl_free, \
	.memalign = hl_api_memalign, \
	.usable_size = hl_usable_size, \
	.stats = hl_api_stats, \
	.release = hl_api_release, \
	.report = hl_heap_report, \
	.last_failure = hl_api_last_failure, \
	.heap_create = hl_api_heap_create, \
	.heap_alloc = hl_instance_alloc, \
	.heap_destroy = hl_instance_destroy, \
}
/* clang-format on */

#endif
