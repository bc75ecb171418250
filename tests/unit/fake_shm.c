/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Segments of System V on the fake kernel: what is reserved for one, and its
 * pages, which stay with it while nobody has it attached. One attachment at a
 * time. See fake_os.h.
 */
#include "fake_internal.h"

#include <errno.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#ifndef SHM_NORESERVE
#define SHM_NORESERVE 010000
#endif

#define SEGMENTS 16

static struct segment {
	bool used, removed;
	key_t key;
	size_t bytes; /* as asked */
	size_t whole;
	size_t page_bytes; /* 0: ordinary */
	int mode;
	char *home; /* address space where its pages are kept */
	char *at;   /* attached */
} segments[SEGMENTS];

static struct segment *of_id(int id)
{
	return id >= 0 && id < SEGMENTS && segments[id].used ? &segments[id]
							     : NULL;
}

static int find(key_t key)
{
	for (int id = 0; id < SEGMENTS; id++) {
		if (segments[id].used && !segments[id].removed &&
			segments[id].key == key && key != IPC_PRIVATE)
			return id;
	}
	return -ENOENT;
}

static int make(key_t key, size_t bytes, int flags)
{
	size_t page = flags & SHM_HUGETLB ? FAKE_HUGE : 0;
	size_t whole = hl_align_up(bytes, page != 0 ? page : FAKE_BASE);
	int id = 0;

	if (bytes == 0)
		return -EINVAL;
	if (page != 0 && fake.no_shm_group)
		return -EPERM;
	/* Whoever touches it could be killed. */
	assert_false(page != 0 && (flags & SHM_NORESERVE));
	if (page != 0 && !fake_reserve(page, whole / page))
		return -ENOMEM;
	while (segments[id].used)
		assert_true(++id < SEGMENTS);
	segments[id] = (struct segment){
		.used = true,
		.key = key,
		.bytes = bytes,
		.whole = whole,
		.page_bytes = page,
		.mode = flags & 0777,
		.home = fake_place(whole, PROT_NONE, false),
	};
	return id;
}

int fake_shmget(key_t key, size_t bytes, int flags)
{
	int rc = fake_enter(FAKE_SHMGET), id;

	if (rc < 0)
		return rc;
	/* Between two calls of ours, another process was here. */
	if ((flags & SHM_HUGETLB) && fake.rival_key != 0 &&
		key == fake.rival_key && find(key) < 0)
		(void)make(key, bytes, 0600);
	id = find(key);
	if (id < 0 && (key == IPC_PRIVATE || (flags & IPC_CREAT)))
		return make(key, bytes, flags);
	if (id >= 0 && (flags & IPC_CREAT) && (flags & IPC_EXCL))
		return -EEXIST;
	if (id >= 0 && bytes > segments[id].bytes)
		return -EINVAL;
	return id;
}

int fake_shmat(int id, void **out)
{
	struct segment *s = of_id(id);
	struct fake_mapping m = {.prot = PROT_READ | PROT_WRITE,
		.shared = true,
		.of_segment = true,
		.node = -1};
	int rc = fake_enter(FAKE_SHMAT);

	if (rc < 0)
		return rc;
	if (s == NULL)
		return -EINVAL;
	if ((s->mode & 0600) != 0600)
		return -EACCES;
	assert_null(s->at);
	m.page_bytes = s->page_bytes;
	m.from = fake_place(s->whole, m.prot, true);
	m.to = m.from + s->whole;
	fake_mapping_add(&m);
	fake_pages_move(s->home, s->whole, m.from);
	s->at = m.from;
	*out = m.from;
	return 0;
}

static void end(struct segment *s)
{
	if (s->page_bytes != 0)
		fake_unreserve(s->whole / s->page_bytes -
			       fake_pages_in(s->home, s->whole));
	fake_pages_drop(s->home, s->whole);
	munmap(s->home, s->whole);
	s->used = false;
}

int fake_shmdt(const void *addr)
{
	int rc = fake_enter(FAKE_SHMDT);

	if (rc < 0)
		return rc;
	for (struct segment *s = segments; s < segments + SEGMENTS; s++) {
		if (!s->used || s->at == NULL || s->at != addr)
			continue;
		fake_pages_move(s->at, s->whole, s->home);
		fake_forget(s->at, s->whole);
		munmap(s->at, s->whole);
		s->at = NULL;
		if (s->removed)
			end(s);
		return 0;
	}
	return -EINVAL;
}

int fake_shmrm(int id)
{
	struct segment *s = of_id(id);
	int rc = fake_enter(FAKE_SHMRM);

	if (rc < 0)
		return rc;
	if (s == NULL || s->removed)
		return -EINVAL;
	s->removed = true;
	if (s->at == NULL)
		end(s);
	return 0;
}

/* ---- questions ---- */

size_t fake_segment_page_bytes(int id)
{
	assert_non_null(of_id(id));
	return segments[id].page_bytes;
}

size_t fake_segment_bytes(int id)
{
	assert_non_null(of_id(id));
	return segments[id].bytes;
}

size_t fake_segment_populated(int id)
{
	assert_non_null(of_id(id));
	return fake_pages_in(segments[id].home, segments[id].whole);
}

size_t fake_segments(void)
{
	size_t n = 0;

	for (size_t i = 0; i < SEGMENTS; i++)
		n += segments[i].used;
	return n;
}

void fake_shm_setup(void)
{
	for (size_t i = 0; i < SEGMENTS; i++)
		segments[i].used = false;
}
