/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of backing/ change on the machine: the pool of the default
 * huge page size, and a cgroup with a limit on it. Everything is put back,
 * also after a crash: each case runs in a process of its own, and the parent
 * looks after the machine.
 *
 * Without root, huge pages or leave to change the machine
 * (HL_HUGEPAGE_TESTS=1) a test is a skip, exit status 77.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SKIP 77

struct machine_case {
	const char *name;
	void (*run)(void);
	int pool; /* pages to set before */
	int ends; /* the signal it must die of, 0: none */
};

/* Runs the cases one by one; returns the exit status of the test. */
int machine_main(const struct machine_case *cases, size_t n);
/* Ends the case as one that cannot be had here. */
void machine_skip(const char *why) __attribute__((noreturn));

size_t machine_page_bytes(void);
/* A file of the pool: "nr_hugepages", "free_hugepages", ... */
long machine_pool(const char *name);
void machine_set_pool(long pages);

/* A process that takes n pages and keeps them; false if it did not get them. */
bool machine_hog_start(long pages);
void machine_hog_stop(void);

/*
 * Puts this process into a new cgroup whose limit ("max" or "rsvd.max") on huge
 * pages of the default size is so many bytes; the case's end removes it.
 */
void machine_cgroup(const char *limit, size_t bytes);

#endif
