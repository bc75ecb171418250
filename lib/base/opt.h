/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one table of HUGETLB_* environment variables: source of the parser, of
 * `hugectl --help` and of libhugetlbfs2(7).
 *
 * Read once, by hl_opt_init(); a set-uid program (AT_SECURE) sees defaults
 * only. Values are copied, since programs scribble over their environment.
 */
#ifndef HL_BASE_OPT_H
#define HL_BASE_OPT_H

#include "base/base.h"

/* How malloc is backed. */
enum hl_morecore {
	HL_MORECORE_OFF,  /* malloc stays libc's */
	HL_MORECORE_AUTO, /* pool page, else THP, else base; large blocks lazy
			   */
	HL_MORECORE_POOL, /* yes or SIZE: same chain, starting at that size */
	HL_MORECORE_THP,  /* THP, else base: never the pool */
};

enum hl_populate {
	HL_POPULATE_AUTO, /* lazy until learned dense */
	HL_POPULATE_ALL,  /* everything that the pool can hold */
	HL_POPULATE_NO,	  /* never more than what is handed out */
	HL_POPULATE_SIZE, /* blocks up to populate_bytes, if they fit */
};

enum hl_fork_mode {
	HL_FORK_CONVERT,
	HL_FORK_COPY,
	HL_FORK_THP,
	HL_FORK_OFF,
};

struct hl_opt {
	enum hl_morecore morecore;
	/* HUGETLB_MORECORE=SIZE, else HUGETLB_DEFAULT_PAGE_SIZE, else 0: the
	 * kernel's default */
	size_t page_bytes;
	size_t default_page_bytes; /* HUGETLB_DEFAULT_PAGE_SIZE or 0 */
	enum hl_populate populate;
	size_t populate_bytes;
	enum hl_fork_mode fork_mode; /* HUGETLB_FORK */
	size_t heap_min_bytes;	     /* HUGETLB_HEAP_MIN, 0: none */
	size_t heap_max_bytes;	     /* HUGETLB_HEAP_MAX, SIZE_MAX: none */
	/* HUGETLB_NODE: list in kernel syntax ("0-1,3"), "local", "interleave"
	 * or "" */
	char node[256];
	bool no_children;   /* HUGETLB_NO_CHILDREN: hugectl --no-children */
	bool harden;	    /* HUGETLB_HARDEN */
	bool shm;	    /* HUGETLB_SHM */
	char elfmap[64];    /* HUGETLB_ELFMAP, "" if unset or no */
	bool elfmap_off;    /* it says no: marks in the program do not count */
	char segments[256]; /* HUGETLB_SEGMENTS, "": main */
	bool force_elfmap;
	bool minimal_copy; /* HUGETLB_MINIMAL_COPY, default true */
	bool share;	   /* HUGETLB_SHARE, default true */
	char share_path[1024];
	bool perf_map;	    /* HUGETLB_PERF_MAP */
	char mmap[32];	    /* HUGETLB_MMAP: "thp", "yes", a size, or "" */
	char path[1024];    /* HUGETLB_PATH: mounts, separated by colons */
	char report[256];   /* HUGETLB_REPORT: shared report file, of hugectl */
	bool no_reserve;    /* HUGETLB_NO_RESERVE */
	bool no_prefault;   /* HUGETLB_NO_PREFAULT */
	char features[128]; /* HUGETLB_FEATURES, comma list */
	uint64_t heap_base; /* HUGETLB_MORECORE_HEAPBASE, 0: none */
	bool heap_shrink;   /* HUGETLB_MORECORE_SHRINK */
	/* HUGETLB_RESTRICT_EXE is set and does not name this program: all but
	 * verbose is as if nothing were set, morecore is OFF */
	bool restricted;
	bool secure; /* AT_SECURE: the environment was not looked at */
	int verbose; /* HUGETLB_VERBOSE, HUGETLB_DEBUG */
	bool debug;  /* HUGETLB_DEBUG */
	/* HUGETLB_DECAY_MS: how long empty units stay cached; default 200 */
	unsigned decay_ms;
};

/* One line per variable: name, values, default, one sentence. */
struct hl_opt_doc {
	const char *name;
	const char *values;
	const char *fallback;
	const char *help;
};

/*
 * Parses the environment (envp as in environ). Idempotent; not thread-safe:
 * called by the constructor, or earlier by the first malloc that finds environ
 * set. `preloaded` decides the default of HUGETLB_MORECORE: set nothing of
 * MORECORE, SHM, ELFMAP, MMAP means auto when preloaded, off when linked
 * (htlb_malloc itself always uses the heap, with auto).
 * A bad value is logged (level 2) and the default kept.
 */
void hl_opt_init(char *const *envp, bool preloaded);
/* The parsed options; defaults before hl_opt_init. */
extern struct hl_opt hl_opt;

/*
 * The parser below hl_opt_init, without its memory of having run: the result
 * for that environment and for the names of the program (NULL: unknown).
 */
#define HL_OPT_PROGRAM_NAMES 2
void hl_opt_parse(struct hl_opt *opt, char *const *envp, bool preloaded,
	bool secure, const char *const programs[HL_OPT_PROGRAM_NAMES]);

extern const struct hl_opt_doc hl_opt_docs[];
extern const size_t hl_opt_doc_count;

#endif
