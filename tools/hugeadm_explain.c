/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --explain: how this machine stands with huge pages, in plain words, and what
 * could be done. Advice is given only where there is something to do; each one
 * names the option that does it.
 */
#include "hugeadm.h"

#include <grp.h>

static unsigned advice_count;

static void advise(const char *fmt, ...) HL_PRINTF(1, 2);

static void advise(const char *fmt, ...)
{
	va_list ap;

	if (advice_count++ == 0)
		puts("\nWhat could be done:");
	fputs("  - ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* A huge page of each zone for each of its kinds of memory, as the kernel's own
 * anti-fragmentation reckons: 11 per zone. */
uint64_t adm_recommended_min_free_kib(const struct adm_state *state)
{
	struct hl_buddy buddy;
	uint64_t kib;

	if (state->default_bytes == 0 ||
		hl_buddy_read(&state->root, HL_NODE_ANY, &buddy) != 0)
		return 0;
	kib = 11 * (uint64_t)buddy.zones * (state->default_bytes / HL_KIB);
	/* With huge default pages this would be all that there is. */
	if (state->memory_known)
		kib = HL_MIN(kib, state->memory.total_bytes / HL_KIB / 20);
	return kib;
}

uint64_t adm_recommended_shmmax(const struct adm_state *state)
{
	uint64_t sum = 0;

	for (int i = 0; i < state->pools; i++) {
		uint64_t bytes;

		if (__builtin_mul_overflow(adm_maximum(&state->pool[i]),
			    state->pool[i].page_bytes, &bytes) ||
			__builtin_add_overflow(sum, bytes, &sum))
			return UINT64_MAX;
	}
	return sum;
}

static void explain_memory(const struct adm_state *state)
{
	struct hl_buddy buddy;
	uint64_t fit = UINT64_MAX;

	if (!state->memory_known)
		return;
	printf("Memory: %s, of which %s could be had now",
		tool_human(state->memory.total_bytes).text,
		tool_human(state->memory.available_bytes).text);
	if (state->default_bytes > hl_base_page_bytes() &&
		hl_buddy_read(&state->root, HL_NODE_ANY, &buddy) == 0)
		fit = hl_buddy_fit(&buddy,
			hl_log2(state->default_bytes / hl_base_page_bytes()));
	if (fit != UINT64_MAX)
		printf("; %" PRIu64 " pages of %s lie free in one piece", fit,
			tool_size(state->default_bytes).text);
	puts(".");
}

static void explain_pool(
	const struct adm_state *state, const struct adm_pool *p)
{
	bool standard = p->page_bytes == state->default_bytes;
	int nodes = 0;

	printf("Pool of %s pages%s: ", tool_size(p->page_bytes).text,
		standard ? " (the default size)" : "");
	if (p->all.nr == 0 && p->all.overcommit == 0) {
		puts("empty.");
		return;
	}
	printf("%" PRIu64 " pages (%s), %" PRIu64 " free, %" PRIu64
	       " of these reserved",
		p->all.nr, tool_human(p->all.nr * p->page_bytes).text,
		p->all.free, p->all.resv);
	if (p->all.overcommit > 0)
		printf("; up to %" PRIu64
		       " more are made on demand, if memory can be found",
			p->all.overcommit);
	puts(".");
	for (int k = 0; k < state->nodes; k++)
		nodes += p->present[k];
	for (int k = 0; nodes > 1 && k < state->nodes; k++) {
		if (p->present[k])
			printf("  node %d: %" PRIu64 " pages, %" PRIu64
			       " free\n",
				state->node[k].id, p->node[k].nr,
				p->node[k].free);
	}
}

static void explain_cgroup(
	const struct adm_state *state, const struct adm_pool *p)
{
	struct hl_cgroup_hugetlb cgroup;

	if (hl_cgroup_hugetlb(&state->root, p->page_bytes, &cgroup) != 0 ||
		!cgroup.present || cgroup.headroom_bytes == UINT64_MAX)
		return;
	printf("  The control group of this shell may use %s more of them.\n",
		tool_human(HL_MIN(cgroup.headroom_bytes,
				   cgroup.rsvd_headroom_bytes))
			.text);
}

static void explain_mounts(const struct adm_state *state)
{
	struct adm_mounted *mounts;
	size_t n;

	if (adm_mounts_read(state, &mounts, &n) != 0)
		return;
	if (n == 0)
		puts("Mounts: none. Programs that ask for huge pages by "
		     "mmap or memfd need none.");
	for (size_t i = 0; i < n; i++)
		printf("Mount: %s, pages of %s%s.\n",
			adm_one_line(mounts[i].path),
			tool_size(mounts[i].is.page_bytes).text,
			mounts[i].is.read_only ? ", read-only" : "");
}

static void explain_thp(const struct adm_state *state)
{
	struct hl_thp thp;

	if (hl_thp_read(&state->root, &thp) != 0) {
		puts("Transparent huge pages: this kernel has none.");
		return;
	}
	printf("Transparent huge pages of %s: %s.\n",
		tool_size(thp.pmd_bytes).text,
		thp.enabled == HL_THP_ALWAYS
			? "for all memory of programs (always)"
		: thp.enabled == HL_THP_MADVISE
			? "where programs ask for them (madvise)"
			: "off (never)");
}

static void explain_shm(const struct adm_state *state)
{
	const struct adm_setting *setting =
		adm_setting_find("vm", "hugetlb_shm_group", false);
	char *gid = adm_setting_read(&state->root, setting, 0);
	uint64_t number;
	const struct group *group;

	if (!gid || hl_parse_u64(gid, &number) != 0)
		return;
	group = state->root.prefix[0] ? NULL : getgrgid((gid_t)number);
	printf("System V shared memory on huge pages: root, and group %s%s%s%s."
	       "\n",
		gid, group ? " (" : "", group ? group->gr_name : "",
		group ? ")" : "");
}

/* ---- advice ---- */

static void advise_pools(const struct adm_state *state)
{
	bool any = false;

	for (int i = 0; i < state->pools; i++) {
		const struct adm_pool *p = &state->pool[i];
		uint64_t idle = p->all.free > p->all.resv
					? p->all.free - p->all.resv
					: 0;

		any = any || p->all.nr > 0 || p->all.overcommit > 0;
		if (idle * p->page_bytes > state->memory.total_bytes / 10 &&
			state->memory_known)
			advise("%s lies idle in the pool of %s pages, and "
			       "nothing else can use it: "
			       "--pool-pages-min %s:-%" PRIu64
			       " gives it back.",
				tool_human(idle * p->page_bytes).text,
				tool_size(p->page_bytes).text,
				tool_size(p->page_bytes).text, idle);
		if (p->all.nr > 0 && idle == 0 &&
			p->all.overcommit <= p->all.surplus)
			advise("the pool of %s pages is used up: programs get "
			       "no more of them; --pool-pages-min %s:+COUNT "
			       "adds some.",
				tool_size(p->page_bytes).text,
				tool_size(p->page_bytes).text);
	}
	if (!any && state->pools > 0)
		advise("no pool has pages: --pool-pages-min DEFAULT:COUNT "
		       "makes some, --suggest PROGRAM says how many; "
		       "transparent huge pages need no pool.");
}

static void advise_settings(const struct adm_state *state)
{
	const struct adm_setting *min_free =
		adm_setting_find("vm", "min_free_kbytes", false);
	const struct adm_setting *shmmax =
		adm_setting_find("kernel", "shmmax", false);
	char *text = adm_setting_read(&state->root, min_free, 0);
	uint64_t want = adm_recommended_min_free_kib(state), have;
	struct hl_thp thp;

	if (text && hl_parse_u64(text, &have) == 0 && have < want)
		advise("vm.min_free_kbytes is %" PRIu64 "; with %" PRIu64
		       " the kernel keeps huge pages easier to find: "
		       "--set-recommended-min_free_kbytes.",
			have, want);
	text = adm_setting_read(&state->root, shmmax, 0);
	want = adm_recommended_shmmax(state);
	if (text && hl_parse_u64(text, &have) == 0 && have < want)
		advise("kernel.shmmax allows segments of %s, the pools hold "
		       "%s: --set-recommended-shmmax.",
			tool_human(have).text, tool_human(want).text);
	if (hl_thp_read(&state->root, &thp) == 0 && thp.enabled == HL_THP_NEVER)
		advise("transparent huge pages are off: --thp-madvise gives "
		       "them to programs that ask.");
}

void adm_explain(struct adm_state *state)
{
	char *boot = adm_boot_parameters(state);

	explain_memory(state);
	if (state->pools == 0)
		puts("Pools: this kernel has no huge pages of its own "
		     "(hugetlb).");
	for (int i = 0; i < state->pools; i++) {
		explain_pool(state, &state->pool[i]);
		explain_cgroup(state, &state->pool[i]);
	}
	explain_mounts(state);
	explain_thp(state);
	explain_shm(state);
	if (*boot)
		printf("These pools at boot, on the kernel's command line: "
		       "%s\n",
			boot);
	advise_pools(state);
	advise_settings(state);
	if (advice_count == 0)
		puts("\nNothing stands out that should be changed.");
}
