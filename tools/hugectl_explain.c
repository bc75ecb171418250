/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugectl --explain: what would be done here and why. Reads what the kernel
 * offers (lib/system), runs nothing, changes nothing. For people: no line of it
 * is meant to be parsed.
 *
 * What the heap would do is read from the environment that the program would
 * get by the library's own parser: variables that are there already count as
 * well.
 */
#include "hugectl.h"

#include "base/bitmap.h"
#include "base/opt.h"
#include "base/syscall.h"
#include "system/sys.h"

#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LINE_NAME "%-12s"

struct text {
	struct hl_buf buf;
	unsigned advice;
	struct hl_buf advices;
};

static void begin(struct text *t, const char *name)
{
	hl_buf_printf(&t->buf, LINE_NAME, name);
}

static void advise(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	hl_buf_puts(&t->advices, "  - ");
	hl_buf_vprintf(&t->advices, fmt, ap);
	hl_buf_putc(&t->advices, '\n');
	va_end(ap);
	t->advice++;
}

/* ---- program ---- */

static void put_program(struct text *t, const struct ctl_options *o,
	const struct ctl_target *target, const struct ctl_plan *plan)
{
	begin(t, "program");
	if (!o->target[0]) {
		hl_buf_puts(&t->buf, "none given\n");
	} else if (target->found) {
		hl_buf_printf(&t->buf, "%s: %s\n", o->target[0],
			ctl_reason(target->found));
	} else {
		hl_buf_printf(&t->buf, "%s", target->path);
		if (target->judged && strcmp(target->judged, target->path))
			hl_buf_printf(
				&t->buf, ", a script for %s", target->judged);
		hl_buf_printf(&t->buf, ": %s\n", ctl_kind_name(target->kind));
	}
	begin(t, "preload");
	if (o->given[CTL_NO_PRELOAD])
		hl_buf_puts(&t->buf, "nothing, as asked\n");
	else if (plan->preload_missing)
		hl_buf_printf(&t->buf, "%s was not found\n", CTL_PRELOAD);
	else if (plan->target_passed_over)
		hl_buf_printf(&t->buf, "not this program: it %s%s\n",
			ctl_kind_reason(target->kind),
			plan->preloads ? "; what it starts, yes" : "");
	else
		hl_buf_printf(&t->buf, "%s\n", plan->preload);
}

/* ---- machine ---- */

/* What a pool would give to the heap now. */
struct step {
	size_t page_bytes;
	uint64_t in_pool; /* pages, whatever other limits say */
	uint64_t allowed; /* of them, by the control group */
};

/* The pools that the heap takes pages from, the first one first. */
struct supply {
	struct step steps[HL_PAGE_SIZES_MAX];
	int count;
	bool passed_over; /* there is no pool of the size that was asked for */
	bool thp;
	size_t pmd_bytes; /* of a transparent huge page, 0: unknown */
};

static bool wants_pool(const struct hl_opt *opt)
{
	return opt->morecore != HL_MORECORE_OFF &&
	       opt->morecore != HL_MORECORE_THP &&
	       opt->fork_mode != HL_FORK_THP;
}

/* Returns how many of so many pages the control group leaves. */
static uint64_t put_cgroup(struct text *t, size_t size, uint64_t pages)
{
	struct hl_cgroup_hugetlb cg;
	uint64_t room;

	if (hl_cgroup_hugetlb(&hl_root_real, size, &cg) || !cg.present)
		return pages;
	room = HL_MIN(cg.headroom_bytes, cg.rsvd_headroom_bytes);
	if (room == UINT64_MAX)
		return pages;
	hl_buf_printf(&t->buf, "; the control group has room for %llu",
		(unsigned long long)(room / size));
	return HL_MIN(pages, room / size);
}

static struct step put_pool(struct text *t, size_t size, bool is_default)
{
	struct step step = {.page_bytes = size};
	struct hl_pool pool;

	begin(t, "pool");
	hl_buf_printf(&t->buf, "%K%s: ", size, is_default ? " (default)" : "");
	if (hl_pool_read(&hl_root_real, size, HL_NODE_ANY, &pool)) {
		hl_buf_puts(&t->buf, "cannot be read\n");
		return step;
	}
	step.in_pool = hl_pool_available(&pool);
	hl_buf_printf(&t->buf,
		"%llu pages, %llu free, %llu of them reserved, %llu more on "
		"demand; usable now %llu",
		(unsigned long long)pool.nr, (unsigned long long)pool.free,
		(unsigned long long)pool.resv,
		(unsigned long long)(pool.overcommit > pool.surplus
					     ? pool.overcommit - pool.surplus
					     : 0),
		(unsigned long long)step.in_pool);
	step.allowed = put_cgroup(t, size, step.in_pool);
	hl_buf_putc(&t->buf, '\n');
	return step;
}

/* Where the heap starts: the size asked for, or the next one below it. */
static size_t first_size(const size_t *sizes, int n, size_t asked, size_t usual)
{
	size_t best = 0;

	for (int i = 0; i < n && asked != 0; i++) {
		if (sizes[i] <= asked)
			best = sizes[i];
	}
	return best != 0 ? best : usual;
}

static void put_pools(
	struct text *t, const struct hl_opt *opt, struct supply *supply)
{
	size_t sizes[HL_PAGE_SIZES_MAX], usual = 0, first;
	int n = hl_huge_page_sizes(&hl_root_real, sizes);
	struct step steps[HL_PAGE_SIZES_MAX];

	if (n <= 0) {
		begin(t, "pool");
		hl_buf_puts(&t->buf, "this kernel has no huge page pools\n");
		return;
	}
	if (hl_default_huge_page(&hl_root_real, &usual))
		usual = sizes[0];
	for (int i = 0; i < n; i++)
		steps[i] = put_pool(t, sizes[i], sizes[i] == usual);
	if (!wants_pool(opt))
		return;
	first = first_size(sizes, n, opt->page_bytes, usual);
	supply->passed_over = opt->page_bytes != 0 && first != opt->page_bytes;
	for (int i = n - 1; i >= 0; i--) {
		if (sizes[i] <= first)
			supply->steps[supply->count++] = steps[i];
	}
}

static void put_thp(struct text *t, struct supply *supply)
{
	static const char *const modes[] = {
		[HL_THP_NEVER] = "never",
		[HL_THP_MADVISE] = "madvise",
		[HL_THP_ALWAYS] = "always",
	};
	struct hl_thp thp;

	begin(t, "THP");
	if (hl_thp_read(&hl_root_real, &thp) || !thp.present) {
		hl_buf_puts(&t->buf, "this kernel has none\n");
		return;
	}
	hl_buf_printf(&t->buf, "%s, pages of %K, defrag %s%s\n",
		modes[thp.enabled], thp.pmd_bytes, thp.defrag,
		thp.process_disabled ? ", switched off for this process" : "");
	supply->thp = thp.enabled != HL_THP_NEVER && !thp.process_disabled;
	supply->pmd_bytes = thp.pmd_bytes;
	if (thp.enabled == HL_THP_NEVER)
		advise(t, "Transparent huge pages are off: write madvise to "
			  "/sys/kernel/mm/transparent_hugepage/enabled.");
}

static void put_nodes(struct text *t, const struct hl_opt *opt)
{
	struct hl_topo topo;

	begin(t, "nodes");
	if (hl_topo_read(&hl_root_real, &topo)) {
		hl_buf_puts(&t->buf, "cannot be read\n");
		return;
	}
	hl_buf_list(&t->buf, topo.has_memory, HL_NODES_MAX);
	hl_buf_printf(&t->buf, " with memory; the heap goes to %s\n",
		opt->node[0] ? opt->node : "local");
}

static void put_limit(struct text *t, int resource, const char *name)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) != 0 ||
		limit.rlim_cur == RLIM_INFINITY)
		return;
	begin(t, "ulimit");
	hl_buf_printf(&t->buf, "%s: ", name);
	hl_buf_human_bytes(&t->buf, limit.rlim_cur);
	hl_buf_puts(&t->buf, ", huge pages count as well\n");
}

/* ---- outcome ---- */

/* Lowers the steps to what --heap-max leaves; true if that is less. */
static bool cut_to_budget(const struct hl_opt *opt, struct supply *supply)
{
	uint64_t left = opt->heap_max_bytes;
	bool cut = left < supply->steps[0].page_bytes;

	for (int i = 0; i < supply->count; i++) {
		struct step *step = &supply->steps[i];
		uint64_t most = left / step->page_bytes;

		cut = cut || most < step->allowed;
		step->allowed = HL_MIN(step->allowed, most);
		left -= step->allowed * step->page_bytes;
	}
	return cut;
}

/* One limit is the narrowest: to raise another would not help. */
static void put_supply_advice(
	struct text *t, const struct hl_opt *opt, struct supply *supply)
{
	const struct step first = supply->steps[0];

	if (supply->passed_over)
		advise(t, "The page size asked for is not one of this "
			  "machine's: see pagesize --all.");
	if (supply->count == 0)
		return;
	if (cut_to_budget(opt, supply)) {
		advise(t, "--heap-max (HUGETLB_HEAP_MAX) is the narrowest "
			  "limit.");
	} else if (first.allowed < first.in_pool) {
		advise(t,
			"The control group is the narrowest limit: raise its "
			"limit of hugetlb.%KB, or that of a group above it.",
			first.page_bytes);
	} else if (first.in_pool == 0) {
		/* The kernel makes no larger ones on demand. */
		advise(t,
			"The pool has no page to give: raise nr_hugepages%s "
			"in /sys/kernel/mm/hugepages/hugepages-%zukB.",
			first.page_bytes <= supply->pmd_bytes
				? " or nr_overcommit_hugepages"
				: "",
			first.page_bytes >> 10);
	}
}

/* Why malloc stays the C library's although our object is loaded. */
static void put_no_heap(
	struct text *t, const struct hl_opt *opt, char *const *envp)
{
	static const char *const others[] = {
		"HUGETLB_SHM", "HUGETLB_ELFMAP", "HUGETLB_MMAP"};
	const char *other = NULL;

	for (size_t i = 0; i < HL_ARRAY_SIZE(others) && !other; i++)
		other = ctl_env(envp, others[i]) ? others[i] : NULL;
	hl_buf_puts(&t->buf, "stays the C library's: ");
	if (opt->restricted)
		hl_buf_puts(&t->buf,
			"HUGETLB_RESTRICT_EXE does not name this program\n");
	else if (other && !ctl_env(envp, "HUGETLB_MORECORE"))
		hl_buf_printf(&t->buf, "%s is set, and no --heap\n", other);
	else
		hl_buf_puts(&t->buf, "HUGETLB_MORECORE says so\n");
}

static void put_heap(
	struct text *t, const struct hl_opt *opt, struct supply *supply)
{
	bool any = false;

	put_supply_advice(t, opt, supply);
	for (int i = 0; i < supply->count; i++) {
		const struct step *step = &supply->steps[i];

		if (step->allowed == 0)
			continue;
		hl_buf_puts(&t->buf, any ? "" : "the first ");
		hl_buf_human_bytes(&t->buf, step->allowed * step->page_bytes);
		hl_buf_printf(&t->buf, " on pool pages of %K, then ",
			step->page_bytes);
		any = true;
	}
	hl_buf_puts(&t->buf, supply->thp ? "transparent huge pages where the "
					   "kernel has them, else base pages\n"
					 : "base pages\n");
	begin(t, "");
	hl_buf_puts(&t->buf,
		"large blocks are backed where the program touches them, "
		"until they prove dense\n");
}

static void put_outcome(struct text *t, const struct ctl_options *o,
	const struct ctl_plan *plan, const struct hl_opt *opt,
	char *const *envp, struct supply *supply)
{
	static const char *const modes[] = {
		[HL_FORK_CONVERT] = "convert",
		[HL_FORK_COPY] = "copy",
		[HL_FORK_THP] = "thp",
		[HL_FORK_OFF] = "off",
	};
	bool ours = false;

	begin(t, "heap");
	if (plan->preload_missing || plan->target_passed_over ||
		o->given[CTL_NO_PRELOAD]) {
		hl_buf_puts(&t->buf, "stays the C library's\n");
	} else if (opt->morecore == HL_MORECORE_OFF) {
		put_no_heap(t, opt, envp);
	} else {
		put_heap(t, opt, supply);
		ours = true;
	}
	begin(t, "fork");
	hl_buf_printf(&t->buf, "%s\n",
		ours ? modes[opt->fork_mode] : "nothing to protect");
}

/* As the library would, in the program. */
static void read_options(struct hl_opt *opt, const struct ctl_options *o,
	const struct ctl_target *t, char *const *envp)
{
	const char *const names[HL_OPT_PROGRAM_NAMES] = {t->path, o->target[0]};

	hl_opt_parse(opt, envp, true, false, names);
}

int ctl_explain(const struct ctl_options *o, const struct ctl_target *t,
	const struct ctl_plan *plan, char *const *envp)
{
	static char text[16384], advices[4096];
	static struct hl_opt opt;
	struct text out = {0};
	struct supply supply = {0};

	read_options(&opt, o, t, envp);
	hl_buf_init(&out.buf, text, sizeof(text));
	hl_buf_init(&out.advices, advices, sizeof(advices));
	put_program(&out, o, t, plan);
	put_pools(&out, &opt, &supply);
	put_thp(&out, &supply);
	put_nodes(&out, &opt);
	put_limit(&out, RLIMIT_AS, "address space (-v)");
	put_limit(&out, RLIMIT_DATA, "data (-d)");
	put_outcome(&out, o, plan, &opt, envp, &supply);
	if (!plan->preload_missing && !plan->target_passed_over)
		ctl_explain_segments(&out.buf, &opt, t->judged);
	for (size_t i = 0; i < plan->sets; i++) {
		begin(&out, i == 0 ? "sets" : "");
		hl_buf_printf(&out.buf, "%s\n", plan->set[i]);
	}
	if (out.advice > 0) {
		hl_buf_puts(&out.buf, "advice\n");
		hl_buf_puts(&out.buf, advices);
	}
	return hl_write_all(STDOUT_FILENO, out.buf.data, out.buf.length);
}
