/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two ways, since allocators grow in two ways. A step of a huge page and more
 * is advised while nobody has touched it: the first touch then takes a huge
 * page. A page that grows together from small steps is joined by MADV_COLLAPSE,
 * one step after it is complete, so that its contents are there by then.
 *
 * Small steps are not advised. malloc touches what it takes before it returns;
 * an advice that comes later leaves a mapping for each step, which the kernel
 * never merges, and the number of mappings has a limit.
 *
 * State is atomic, without a lock. Threads that meet here may leave a page to
 * the kernel's own daemon; nothing here changes what memory holds.
 */
#include "segment/brk.h"
#include "segment/mover.h"

#include "base/count.h"
#include "base/log.h"
#include "base/meta.h"
#include "base/syscall.h"
#include "system/os.h"
#include "system/sys.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Each advice may leave two mappings more, of the 65530 that there are. */
#define ADVICES_MAX 8192u

_Atomic bool hl_brk_on;

static size_t base_page, huge_page;
static uintptr_t start;		  /* of the area */
static _Atomic uintptr_t seen;	  /* the break, when we last looked */
static _Atomic uintptr_t joined;  /* huge pages below it were looked at */
static _Atomic uintptr_t advised; /* where the last advice ends */
static _Atomic unsigned advices;
static _Atomic uint64_t huge_bytes; /* joined ones; the kernel's word for it */

static void count(uintptr_t now)
{
	struct hl_counts *c = hl_counts();

	atomic_store_explicit(&c->segment_brk_bytes,
		now > start ? now - start : 0, memory_order_relaxed);
	atomic_store_explicit(&c->segment_brk_huge_bytes,
		atomic_load_explicit(&huge_bytes, memory_order_relaxed),
		memory_order_relaxed);
}

/* Huge pages that lie below `end` as a whole; what nobody touched is left. */
static void join(uintptr_t end)
{
	uintptr_t at = atomic_load(&joined);

	end = hl_align_down(end, huge_page);
	if (at >= end || !atomic_compare_exchange_strong(&joined, &at, end))
		return;
	for (; at < end; at += huge_page) {
		if (hl_look_is_touched(at, huge_page, base_page) &&
			hl_os->madvise((void *)at, huge_page, MADV_COLLAPSE) ==
				0)
			atomic_fetch_add(&huge_bytes, huge_page);
	}
}

/*
 * Before anybody touches it. Where a shrink has cut an advised mapping inside a
 * huge page the rest of that page is advised as well: the kernel joins no page
 * of two mappings.
 */
static void advise(uintptr_t before, uintptr_t now)
{
	uintptr_t cut = hl_align_up(before, base_page);
	uintptr_t from = hl_align_up(before, huge_page);
	uintptr_t to = hl_align_down(now, huge_page);

	if (cut != from && cut == atomic_load(&advised)) {
		to = HL_MAX(to, HL_MIN(from, hl_align_up(now, base_page)));
		from = cut;
	}
	if (from >= to || atomic_fetch_add(&advices, 1) >= ADVICES_MAX)
		return;
	(void)hl_os->madvise((void *)from, to - from, MADV_HUGEPAGE);
	atomic_store(&advised, to);
}

/* What comes back after a shrink is new memory. */
static void forget(uintptr_t now)
{
	uintptr_t end = HL_MAX(
		hl_align_down(now, huge_page), hl_align_up(start, huge_page));
	uintptr_t cut = hl_align_up(now, base_page);
	uintptr_t at = atomic_load(&joined);

	if (atomic_load(&advised) > cut)
		atomic_store(&advised, cut);
	while (at > end) {
		uint64_t had = atomic_load(&huge_bytes);

		if (!atomic_compare_exchange_weak(&joined, &at, end))
			continue;
		had = HL_MIN(had, (uint64_t)(at - end));
		atomic_fetch_sub(&huge_bytes, had);
		return;
	}
}

void hl_brk_see(uintptr_t now)
{
	uintptr_t before = atomic_load_explicit(&seen, memory_order_relaxed);

	if (hl_likely(now == before))
		return;
	before = atomic_exchange(&seen, now);
	if (now > before) {
		advise(before, now);
		join(before);
	} else {
		forget(now);
	}
	count(now);
}

/* ---- what the kernel says ---- */

static void sample(struct hl_mover *m)
{
	uintptr_t now = atomic_load(&seen);
	uintptr_t from = hl_align_up(start, huge_page);
	uintptr_t to = HL_MAX(from, hl_align_down(now, huge_page));
	struct hl_sight sight;

	if (now <= start || hl_look(m, start, now, "rw-p", &sight))
		return;
	/* bss may be in the same mapping, before it. */
	atomic_store(
		&huge_bytes, HL_MIN(sight.huge_bytes, (uint64_t)(to - from)));
	count(now);
}

void hl_brk_sample(void)
{
	struct hl_mover *m;

	if (!atomic_load(&hl_brk_on))
		return;
	m = hl_meta_map(sizeof(*m));
	if (!m)
		return;
	sample(m);
	hl_meta_unmap(m, sizeof(*m));
}

/* ---- start ---- */

struct area {
	uintptr_t from, to;
};

/* The main program is the first object. */
static int see_program(struct dl_phdr_info *info, size_t bytes, void *arg)
{
	uintptr_t *end = arg;

	(void)bytes;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD)
			*end = HL_MAX(*end,
				info->dlpi_addr + p->p_vaddr + p->p_memsz);
	}
	return 1;
}

static int see_map(const struct hl_map_record *r, void *arg)
{
	struct area *area = arg;

	if (strcmp(r->path, "[heap]") == 0) {
		area->from = area->from ? area->from : r->from;
		area->to = r->to;
	}
	return 0;
}

static int find(struct hl_mover *m, struct area *area)
{
	uintptr_t now = (uintptr_t)hl_syscall(SYS_brk, 0, 0, 0, 0, 0, 0);
	uintptr_t program = 0;
	int err;

	memset(area, 0, sizeof(*area));
	err = hl_maps_visit(&hl_root_real, 0, m->scratch, sizeof(m->scratch),
		see_map, area);
	if (err < 0)
		return err;
	(void)dl_iterate_phdr(see_program, &program);
	/* Without randomisation one mapping has bss and what is behind it. */
	if (area->from == 0 || now < area->from)
		area->from = now;
	else if (program > area->from && program <= now)
		area->from = hl_align_up(program, m->base_bytes);
	area->to = now;
	return 0;
}

int hl_brk_start(size_t base_bytes, size_t huge)
{
	struct hl_mover *m = hl_meta_map(sizeof(*m));
	struct area area;
	int err;

	if (!m)
		return -ENOMEM;
	m->base_bytes = base_bytes;
	err = find(m, &area);
	if (err == 0) {
		base_page = base_bytes;
		huge_page = huge;
		start = area.from;
		atomic_store(&seen, area.to);
		atomic_store(&joined, hl_align_up(area.from, huge));
		atomic_store(&huge_bytes, 0);
		atomic_store(&hl_brk_on, true);
		advise(area.from, area.to);
		join(area.to);
		sample(m);
		hl_log(HL_LOG_INFO,
			"brk area: %llu KiB, of it %llu on huge "
			"pages",
			(unsigned long long)((area.to - area.from) >> 10),
			(unsigned long long)(atomic_load(&huge_bytes) >> 10));
	}
	hl_meta_unmap(m, sizeof(*m));
	return err;
}
