/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How text came to stand on huge pages, and why some did not: the words in
 * which segment/ counts and the report speaks. The names are part of the JSON
 * report: never change one.
 */
#ifndef HL_BASE_RUNG_H
#define HL_BASE_RUNG_H

/* The ladder, best first. */
enum hl_rung {
	HL_RUNG_ALREADY,  /* the page cache had huge pages */
	HL_RUNG_COLLAPSE, /* of the mapping of the program's own file */
	HL_RUNG_SHARED,	  /* a named shadow file, one for all processes */
	HL_RUNG_PRIVATE,  /* an unnamed file in memory */
	HL_RUNG_HUGETLB,  /* pages of the pool */
	HL_RUNG_ANON,	  /* an anonymous copy */
	HL_RUNG_COUNT_
};

/* Why bytes stay where they are. */
enum hl_stay {
	HL_STAY_PARTIAL,     /* not in a whole huge page of the segment */
	HL_STAY_MEMORY,	     /* no huge page, or no memory, could be had */
	HL_STAY_FORBIDDEN,   /* the system does not let this process */
	HL_STAY_UNSUPPORTED, /* the kernel cannot */
	HL_STAY_THREADS,     /* data does not move under threads */
	HL_STAY_OWN,	     /* the code that does the move */
	HL_STAY_UNEXPECTED,  /* the mapping is not what its headers say */
	HL_STAY_COUNT_
};

/* Short stable names, as in the JSON report. */
const char *hl_rung_name(enum hl_rung rung);
const char *hl_stay_name(enum hl_stay stay);
/* What an administrator could do about it, one sentence. Never NULL. */
const char *hl_stay_advice(enum hl_stay stay);

#endif
