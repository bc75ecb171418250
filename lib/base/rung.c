/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of the ways text takes to huge pages, and of the reasons to stay.
 * Constant tables; called by segment/, the report and tools.
 */
#include "base/rung.h"
#include "base/base.h"

static const char *const rungs[HL_RUNG_COUNT_] = {
	[HL_RUNG_ALREADY] = "page cache",
	[HL_RUNG_COLLAPSE] = "collapsed",
	[HL_RUNG_SHARED] = "shared shadow",
	[HL_RUNG_PRIVATE] = "private shadow",
	[HL_RUNG_HUGETLB] = "hugetlb",
	[HL_RUNG_ANON] = "anonymous copy",
};

static const struct {
	const char *name;
	const char *advice;
} stays[HL_STAY_COUNT_] = {
	[HL_STAY_PARTIAL] = {"partial",
		"It shares its huge page with something else: hugeedit --check "
		"says what linking would gain."},
	[HL_STAY_MEMORY] = {"memory",
		"No huge page could be had: memory is short or fragmented."},
	[HL_STAY_FORBIDDEN] = {"forbidden",
		"This process may not map memory executable in any of the ways "
		"that were tried."},
	[HL_STAY_UNSUPPORTED] = {"unsupported",
		"The kernel cannot: MADV_COLLAPSE came with Linux 6.1."},
	[HL_STAY_THREADS] = {"threads",
		"Data moves only before the first thread: have it done at "
		"start, with HUGETLB_ELFMAP."},
	[HL_STAY_OWN] = {"own",
		"The code that moves pages does not move the page that it "
		"stands on."},
	[HL_STAY_UNEXPECTED] = {"unexpected",
		"The memory is not what the program's headers say, so it was "
		"left alone."},
};

const char *hl_rung_name(enum hl_rung rung)
{
	return (unsigned)rung < HL_RUNG_COUNT_ ? rungs[rung] : "none";
}

const char *hl_stay_name(enum hl_stay stay)
{
	return (unsigned)stay < HL_STAY_COUNT_ ? stays[stay].name : "none";
}

const char *hl_stay_advice(enum hl_stay stay)
{
	return (unsigned)stay < HL_STAY_COUNT_ ? stays[stay].advice : "";
}
