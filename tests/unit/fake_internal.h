/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the fake kernel share. Tests include fake_os.h only.
 */
#ifndef FAKE_INTERNAL_H
#define FAKE_INTERNAL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_os.h"

#define FAKE_BASE 4096u

struct fake_mapping {
	char *from, *to;
	size_t page_bytes; /* of a huge page; 0: ordinary */
	int prot;
	bool advised;
	bool shared;
	bool of_segment; /* whose reservation is the segment's */
	int policy, node;
};

/* ---- fake_os.c ---- */

/* A call of that kind begins; not 0: it is refused so. */
int fake_enter(enum fake_call call);
struct fake_mapping *fake_mapping_at(const void *addr);
void fake_mapping_add(const struct fake_mapping *m);
bool fake_is_mapped(char *from, size_t bytes);
bool fake_is_inside(const struct fake_mapping *m, char *from, size_t bytes);
/* No mapping reaches over one end of the range. */
void fake_cut(char *from, size_t bytes);
void fake_advise_range(char *from, size_t bytes, bool advised);
/* The range is mapped no more. */
void fake_forget(char *from, size_t bytes);
/* Real memory somewhere, aligned unless fake.misalign. */
char *fake_place(size_t bytes, int prot, bool shared);

/* ---- fake_pages.c ---- */

void fake_pages_setup(void);
size_t fake_pages_count(void);
/* That are there in the range. */
size_t fake_pages_in(const char *from, size_t bytes);
void fake_pages_drop(const char *from, size_t bytes);
void fake_pages_move(const char *from, size_t bytes, char *to);
/* False: the pool has not so many. */
bool fake_reserve(size_t page_bytes, size_t hpages);
void fake_unreserve(size_t hpages);

int fake_madvise(void *addr, size_t bytes, int advice);
int fake_mincore(void *addr, size_t bytes, unsigned char *vec);
int fake_touch(void *addr);
int fake_pagemap(void *addr, size_t pages, uint64_t *entry);
int fake_page_node(void *addr);

/* ---- fake_shm.c ---- */

void fake_shm_setup(void);
int fake_shmget(key_t key, size_t bytes, int flags);
int fake_shmat(int id, void **out);
int fake_shmdt(const void *addr);
int fake_shmrm(int id);

#endif
