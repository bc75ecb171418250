/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel says about a range of addresses: smaps, read anew each time,
 * since it alone knows whether a page is huge. Called before and after a move.
 * Takes no lock; the scratch memory is the mover's.
 */
#include "segment/mover.h"

#include "base/syscall.h"
#include "system/os.h"
#include "system/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MINCORE_PAGES 1024u

struct look {
	uintptr_t from, to;
	const char *perms;
	struct hl_sight *out;
};

static int see(const struct hl_map_record *r, void *arg)
{
	const struct look *look = arg;
	struct hl_sight *out = look->out;
	uintptr_t from = HL_MAX(r->from, look->from);
	uintptr_t to = HL_MIN(r->to, look->to);
	uint64_t delta = r->from - r->offset;

	if (r->from >= look->to)
		return 1;
	if (from >= to)
		return 0;
	if (out->mapped_bytes == 0) {
		out->delta = delta;
		out->device = r->device;
		out->inode = r->inode;
		out->one_file = r->inode != 0;
	} else if (out->delta != delta || out->inode != r->inode ||
		   out->device != r->device) {
		out->one_file = false;
	}
	out->mapped_bytes += to - from;
	if (strcmp(r->perms, look->perms) != 0)
		out->outside_bytes += to - from;
	if (r->bt)
		out->guarded_bytes += to - from;
	if (r->lo)
		out->locked_bytes += to - from;
	out->anon_bytes += r->anon_bytes + r->swap_bytes;
	out->huge_bytes += r->anon_huge_bytes + r->shmem_huge_bytes +
			   r->file_huge_bytes + r->shared_hugetlb_bytes +
			   r->private_hugetlb_bytes;
	return 0;
}

int hl_look(struct hl_mover *m, uintptr_t from, uintptr_t to, const char *perms,
	struct hl_sight *out)
{
	struct look look = {from, to, perms, out};
	int err;

	memset(out, 0, sizeof(*out));
	err = hl_smaps_visit(
		&hl_root_real, 0, m->scratch, sizeof(m->scratch), see, &look);
	if (err < 0)
		return err;
	out->outside_bytes += to - from - out->mapped_bytes;
	return 0;
}

void hl_look_locked(const struct hl_sight *sight, uintptr_t from, uintptr_t to)
{
	if (sight->mapped_bytes > 0 &&
		sight->locked_bytes == sight->mapped_bytes)
		(void)hl_syscall(
			SYS_mlock, (long)from, (long)(to - from), 0, 0, 0, 0);
}

bool hl_look_is_free(struct hl_mover *m, uintptr_t from, uintptr_t to)
{
	struct hl_sight sight;
	struct look look = {from, to, "", &sight};

	memset(&sight, 0, sizeof(sight));
	return from >= to || (hl_maps_visit(&hl_root_real, 0, m->scratch,
				      sizeof(m->scratch), see, &look) >= 0 &&
				     sight.mapped_bytes == 0);
}

bool hl_look_is_touched(uintptr_t from, size_t bytes, size_t base_bytes)
{
	unsigned char vec[MINCORE_PAGES];
	size_t step = MINCORE_PAGES * base_bytes;

	for (size_t done = 0; done < bytes; done += step) {
		size_t part = HL_MIN(step, bytes - done);

		if (hl_os->mincore((void *)(from + done), part, vec))
			return false;
		for (size_t i = 0; i < part / base_bytes; i++) {
			if (vec[i] & 1)
				return true;
		}
	}
	return false;
}

/* A directory has two links of its own and one from each below it. */
unsigned hl_look_threads(void)
{
	struct stat st;
	long err = hl_syscall(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/task",
		(long)&st, 0, 0, 0);

	return err == 0 && st.st_nlink > 2 ? (unsigned)(st.st_nlink - 2) : 0;
}
