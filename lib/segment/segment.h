/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text, data and bss on huge pages, without relinking: what the preload's
 * constructor and htlb_segments_remap() call.
 *
 * Text moves at any time, whatever threads do: each huge page is swapped by one
 * system call for one with equal contents. Data moves only while there is one
 * thread. Nothing that fails changes the program; it is counted (base/count.h)
 * with the reason. The order of the ways is the ladder of base/rung.h.
 */
#ifndef HL_SEGMENT_SEGMENT_H
#define HL_SEGMENT_SEGMENT_H

#include "base/base.h"
#include "base/rung.h"

struct hl_segment_want {
	bool text;
	bool data;
	bool brk; /* what sbrk() gives, now and later: brk.h */
	/* "main", "all", or names of shared objects with commas between:
	 * "libc", "libLLVM-14.so.1", "main". NULL and "": main */
	const char *names;
	size_t text_page_bytes; /* of the pool; 0: what THP has */
	bool marked_only;	/* segments with hugeedit's mark, no others */
	bool no_shared;		/* no named shadow, whatever is possible */
	bool perf_map;		/* private text with names for profilers */
	bool all_bss;		/* populate bss, not only where it is touched */
	bool once;		/* objects that were not looked at so before */
	const char *share_path; /* directory of shadows; NULL and "": default */
};

struct hl_segment_result {
	unsigned objects;    /* that were looked at */
	uint64_t text_bytes; /* of them, whole base pages */
	uint64_t rung_bytes[HL_RUNG_COUNT_];
	uint64_t stay_bytes[HL_STAY_COUNT_]; /* text and data */
	uint64_t data_bytes;		     /* data and bss, RELRO included */
	uint64_t data_huge_bytes;	     /* moved */
	/* bss that gets huge pages where the program touches it */
	uint64_t data_lazy_bytes;
	uint64_t brk_bytes;	 /* the brk area */
	uint64_t brk_huge_bytes; /* of it: on huge pages now */
};

/*
 * Adds to the process's counters as well. 0, or -errno if nothing could be
 * looked at (-ENOSYS: no huge pages here; -ENOENT: no object of these names).
 */
int hl_segments_move(
	const struct hl_segment_want *want, struct hl_segment_result *out);

/*
 * What the environment asks for (base/opt.h): false if nothing. `marks`: the
 * program's headers may ask, too.
 */
bool hl_segments_wanted(struct hl_segment_want *want);

/* At start, before threads: as the environment and hugeedit's marks ask. */
void hl_segments_start(void);
/* Later: objects loaded since then, if the environment asks for such. */
void hl_segments_again(void);

#endif
