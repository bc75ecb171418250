/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Putting pages in place now, and being told instead of killed.
 *
 * MADV_POPULATE_WRITE reports a shortage of huge pages as EFAULT and leaves
 * the pages before it in place. Before Linux 5.14 it is EINVAL; then a system
 * call that stores into each page does the same, and gets EFAULT where a store
 * of ours would get SIGBUS. It must not change the page, which another process
 * may share: futex() can "or" nothing to a word. Which way works is probed,
 * once.
 *
 * Callers: commit. No lock, no state but the probe.
 */
#include "backing/area_internal.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
	POPULATE_UNKNOWN,
	POPULATE_MADVISE,
	POPULATE_TOUCH
};
static _Atomic int populate_way;

static size_t touch_all(char *addr, size_t pages, size_t page_bytes)
{
	size_t i;

	for (i = 0; i < pages; i++) {
		if (hl_os->touch(addr + i * page_bytes) < 0)
			break;
	}
	return i;
}

/* Populates in order, so what is there is a prefix. */
static size_t count_present(char *addr, size_t pages, size_t page_bytes)
{
	unsigned char there;
	size_t i;

	for (i = 0; i < pages; i++) {
		there = 0;
		if (hl_os->mincore(addr + i * page_bytes, hl_base_page_bytes(),
			    &there) < 0 ||
			!(there & 1))
			break;
	}
	return i;
}

size_t hl_populate_hugetlb(void *addr, size_t bytes, size_t page_bytes)
{
	int way = atomic_load_explicit(&populate_way, memory_order_relaxed);
	size_t pages = bytes / page_bytes;
	int rc;

	if (way == POPULATE_TOUCH)
		return touch_all(addr, pages, page_bytes);
	do {
		rc = hl_os->madvise(addr, bytes, MADV_POPULATE_WRITE);
	} while (rc == -EINTR || rc == -EAGAIN);
	if (rc == -EINVAL && way == POPULATE_UNKNOWN) {
		atomic_store_explicit(
			&populate_way, POPULATE_TOUCH, memory_order_relaxed);
		return touch_all(addr, pages, page_bytes);
	}
	if (way == POPULATE_UNKNOWN)
		atomic_store_explicit(
			&populate_way, POPULATE_MADVISE, memory_order_relaxed);
	if (rc == 0)
		return pages;
	return count_present(addr, pages, page_bytes);
}

void hl_populate_forget(void)
{
	atomic_store_explicit(
		&populate_way, POPULATE_UNKNOWN, memory_order_relaxed);
}
