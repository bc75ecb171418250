/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which objects, and which of their segments. Runs inside dl_iterate_phdr, so
 * that no object goes away meanwhile and two moves never meet; the dynamic
 * linker's lock is recursive, and nothing here calls it.
 *
 * Objects that never move: this one, whose code does the move, and the vdso.
 */
#include "segment/brk.h"
#include "segment/segment.h"
#include "segment/text.h"

#include "base/count.h"
#include "base/meta.h"
#include "base/opt.h"
#include "base/syscall.h"
#include "system/os.h"
#include "system/sys.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct walk {
	struct hl_mover *m;
	bool first;
	bool all; /* not only the program */
};

/* ---- names ---- */

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "libLLVM" stands for libLLVM-14.so.1, and "libc" not for libcrypto.so. */
static bool is_called(const char *name, size_t n, const char *file)
{
	return n > 0 && strncmp(file, name, n) == 0 &&
	       (file[n] == '\0' || file[n] == '.' || file[n] == '-');
}

static bool is_wanted(const char *names, const char *path, bool is_main)
{
	if (!names || names[0] == '\0')
		return is_main;
	while (*names != '\0') {
		size_t n = strcspn(names, ",");

		if (n == 3 && memcmp(names, "all", 3) == 0)
			return true;
		if (n == 4 && memcmp(names, "main", 4) == 0 && is_main)
			return true;
		if (is_called(names, n, last_part(path)))
			return true;
		names += n;
		names += *names == ',';
	}
	return false;
}

/* ---- objects ---- */

static bool holds(const struct dl_phdr_info *info, uintptr_t at)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && at >= from &&
			at - from < p->p_memsz)
			return true;
	}
	return false;
}

static bool never_moves(const struct dl_phdr_info *info, bool is_main)
{
	uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);

	return (vdso != 0 && holds(info, vdso)) ||
	       (!is_main && holds(info, (uintptr_t)&never_moves));
}

/*
 * Text that the dynamic linker writes to. Another thread may be opening the
 * object at this moment: what it writes between a copy and its swap would be
 * lost.
 */
static bool is_text_written(const struct dl_phdr_info *info)
{
	const ElfW(Dyn) *d = NULL;

	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_DYNAMIC)
			d = (const void *)(info->dlpi_addr + p->p_vaddr);
	}
	for (; d && d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_TEXTREL ||
			(d->d_tag == DT_FLAGS &&
				(d->d_un.d_val & DF_TEXTREL) != 0))
			return true;
	}
	return false;
}

static void move_object(struct hl_mover *m)
{
	const struct hl_segment_want *want = m->want;
	const struct dl_phdr_info *info = m->object;

	if (hl_plan_make(&m->plan, info->dlpi_phdr, info->dlpi_phnum,
		    info->dlpi_addr, m->base_bytes, m->huge_bytes))
		return;
	m->result->objects++;
	m->text_written = !m->one_thread && is_text_written(info);
	for (unsigned i = 0; i < m->plan.pieces; i++) {
		const struct hl_piece *piece = &m->plan.piece[i];
		bool data = piece->kind == HL_PIECE_DATA ||
			    piece->kind == HL_PIECE_RELRO;

		if (want->marked_only && !piece->marked)
			continue;
		if (piece->kind == HL_PIECE_TEXT && want->text)
			hl_text_move(m, piece);
		else if (data && want->data)
			hl_data_move(m, piece);
	}
}

static int visit(struct dl_phdr_info *info, size_t bytes, void *arg)
{
	struct walk *walk = arg;
	struct hl_mover *m = walk->m;
	const char *path = info->dlpi_name ? info->dlpi_name : "";

	(void)bytes;
	m->is_main = walk->first;
	walk->first = false;
	if (m->is_main)
		path = program_invocation_name;
	if (is_wanted(m->want->names, path, m->is_main) &&
		!never_moves(info, m->is_main) &&
		(!m->want->once || hl_seen_is_new(m, info))) {
		m->object = info;
		m->moved.at = 0;
		move_object(m);
		if (m->want->once)
			hl_seen_add(m, info);
	}
	return 0;
}

/* ---- the limit on files ---- */

#define SIGSET_BYTES 8
#define XFSZ	     ((uint64_t)1 << (SIGXFSZ - 1))

/*
 * A file in memory beyond the limit on the size of files (ulimit -f) fails with
 * EFBIG, which has the next way tried, and with a signal that kills. It goes to
 * the thread that asked, hence cannot be another's; one that waited already is
 * the program's.
 */
struct hush {
	bool on;
	uint64_t before; /* blocked signals */
};

static void hush(struct hush *h)
{
	uint64_t waits = 0, xfsz = XFSZ;

	h->on = hl_rlimit(RLIMIT_FSIZE) != UINT64_MAX &&
		hl_syscall(SYS_rt_sigpending, (long)&waits, SIGSET_BYTES, 0, 0,
			0, 0) == 0 &&
		(waits & XFSZ) == 0 &&
		hl_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&xfsz,
			(long)&h->before, SIGSET_BYTES, 0, 0) == 0;
}

static void unhush(const struct hush *h)
{
	const struct timespec at_once = {0, 0};
	uint64_t xfsz = XFSZ;

	if (!h->on)
		return;
	while (hl_syscall(SYS_rt_sigtimedwait, (long)&xfsz, 0, (long)&at_once,
		       SIGSET_BYTES, 0, 0) == SIGXFSZ)
		continue;
	(void)hl_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&h->before, 0,
		SIGSET_BYTES, 0, 0);
}

/* ---- the move ---- */

static int look_at_machine(struct hl_mover *m)
{
	size_t sizes[HL_PAGE_SIZES_MAX], by_default;
	int n = hl_huge_page_sizes(&hl_root_real, sizes);
	struct hl_thp thp;

	m->base_bytes = hl_base_page_bytes();
	if (hl_thp_read(&hl_root_real, &thp) == 0 && thp.present)
		m->huge_bytes = thp.pmd_bytes;
	else if (hl_default_huge_page(&hl_root_real, &by_default) == 0)
		m->huge_bytes = by_default;
	for (int i = 0; i < n; i++) {
		if (sizes[i] == m->huge_bytes)
			m->pool_bytes = sizes[i];
	}
	if (!hl_is_pow2(m->huge_bytes) || m->huge_bytes <= m->base_bytes)
		return -ENOSYS;
	m->one_thread = hl_look_threads() == 1;
	m->own[0] = (uintptr_t)&hl_place_swap;
	m->own[1] = (uintptr_t)&syscall;
	return 0;
}

static void count(const struct hl_segment_result *r)
{
	struct hl_counts *c = hl_counts();

	hl_count_add(&c->segment_text_bytes, r->text_bytes);
	hl_count_add(&c->segment_data_bytes, r->data_bytes);
	hl_count_add(&c->segment_data_huge_bytes, r->data_huge_bytes);
	hl_count_add(&c->segment_data_lazy_bytes, r->data_lazy_bytes);
	for (unsigned i = 0; i < HL_RUNG_COUNT_; i++)
		hl_count_add(&c->segment_rung_bytes[i], r->rung_bytes[i]);
	for (unsigned i = 0; i < HL_STAY_COUNT_; i++)
		hl_count_add(&c->segment_stay_bytes[i], r->stay_bytes[i]);
}

static void move_brk(const struct hl_mover *m)
{
	const struct hl_counts *c = hl_counts();

	if (hl_brk_start(m->base_bytes, m->huge_bytes))
		return;
	m->result->brk_bytes = atomic_load_explicit(
		&c->segment_brk_bytes, memory_order_relaxed);
	m->result->brk_huge_bytes = atomic_load_explicit(
		&c->segment_brk_huge_bytes, memory_order_relaxed);
}

int hl_segments_move(
	const struct hl_segment_want *want, struct hl_segment_result *out)
{
	struct hl_mover *m = hl_meta_map(sizeof(*m));
	struct walk walk = {.m = m, .first = true};
	struct hl_segment_result result = {0};
	struct hush quiet;
	int err;

	if (!m)
		return -ENOMEM;
	m->want = want;
	m->result = &result;
	m->source.fd = -1;
	err = look_at_machine(m);
	if (err == 0) {
		hush(&quiet);
		(void)dl_iterate_phdr(visit, &walk);
		unhush(&quiet);
		if (result.objects == 0)
			err = -ENOENT;
	}
	if (err == 0 && want->brk)
		move_brk(m);
	hl_meta_unmap(m, sizeof(*m));
	if (err)
		return err;
	count(&result);
	*out = result;
	return 0;
}
