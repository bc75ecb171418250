/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See region/shared.h.
 *
 * The kernel reserves the pages of a shared mapping for its file, whoever
 * touches them, and keeps the reservation until the file ends. It does not
 * look at the limit of the control group for pages in use, nor at a policy
 * that binds the one who touches to nodes: both kill at the touch. Populating
 * (MADV_POPULATE_WRITE, which reports) turns the promise into pages. It also
 * decides the nodes, so it is left out where it is known that the promise
 * holds.
 *
 * SysV: SHM_HUGETLB needs CAP_IPC_LOCK or the group vm.hugetlb_shm_group; the
 * kernel rounds the memory up and keeps the size that was asked for. A key
 * that exists already is never our affair: the flag means nothing for it.
 * shmat() and shmdt() of the program are not touched.
 */
#include "region/shared.h"

#include "backing/area.h"
#include "base/count.h"
#include "base/failure.h"
#include "base/log.h"
#include "base/opt.h"
#include "system/os.h"
#include "system/sys.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#ifndef SHM_NORESERVE
#define SHM_NORESERVE 010000
#endif

#define NODE_WORDS (HL_NODES_MAX / (8 * sizeof(unsigned long)))

/* ---- what is in the way ---- */

static void fell_back(
	enum hl_limit limit, size_t page_bytes, uint64_t needed, uint64_t had)
{
	size_t units = (size_t)needed * page_bytes / HL_UNIT_BYTES;

	hl_count_fallback(limit, HL_MAX(units, 1));
	hl_failure_record(limit, page_bytes, HL_NODE_ANY, needed, had);
	hl_log(HL_LOG_WARN,
		"shared memory of %lu huge pages of %K: %lu available. %s",
		(unsigned long)needed, page_bytes, (unsigned long)had,
		hl_limit_advice(limit));
}

/* False, and everything said, if so many pages cannot be had now. */
static bool can_be_had(size_t page_bytes, uint64_t hpages)
{
	enum hl_limit limit;
	uint64_t had = hl_supply_now(page_bytes, HL_NODE_ANY, &limit);

	if (had >= hpages)
		return true;
	fell_back(limit, page_bytes, hpages, had);
	return false;
}

/* The kernel refused: why, as far as it can be seen. */
static void refused(size_t page_bytes, uint64_t hpages, int err)
{
	enum hl_limit limit;
	uint64_t had = hl_supply_now(page_bytes, HL_NODE_ANY, &limit);

	if (err == -EPERM)
		limit = HL_LIMIT_PERMISSION;
	else if (err == -EINVAL)
		limit = HL_LIMIT_UNSUPPORTED;
	fell_back(limit, page_bytes, hpages, had);
}

/* ---- whether a reservation is enough ---- */

static bool is_bound(void)
{
	unsigned long nodes[NODE_WORDS];
	int mode = MPOL_DEFAULT;

	if (hl_os->get_mempolicy(&mode, nodes, HL_NODES_MAX) < 0)
		return false;
	return (mode & ~MPOL_MODE_FLAGS) == MPOL_BIND;
}

/* All nodes with memory are allowed to this process. */
static bool may_use_all_nodes(void)
{
	unsigned long allowed[NODE_WORDS] = {0};
	struct hl_topo topo;

	if (hl_os->allowed_nodes(allowed, HL_NODES_MAX) < 0 ||
		hl_topo_read(hl_supply_root, &topo) < 0)
		return false;
	for (size_t i = 0; i < NODE_WORDS; i++) {
		if ((topo.has_memory[i] & ~allowed[i]) != 0)
			return false;
	}
	return true;
}

static bool is_promise_enough(size_t page_bytes)
{
	struct hl_cgroup_hugetlb group;

	/* A group that cannot be seen may have a limit. */
	if (hl_cgroup_hugetlb(hl_supply_root, page_bytes, &group) < 0 ||
		!group.present || group.headroom_bytes != UINT64_MAX)
		return false;
	return hl_supply_nodes() == 1 || (!is_bound() && may_use_all_nodes());
}

static int populate(void *p, size_t bytes, size_t page_bytes)
{
	return hl_populate_hugetlb(p, bytes, page_bytes) == bytes / page_bytes
		       ? 0
		       : -ENOMEM;
}

/* ---- mappings ---- */

int hl_shared_map(void *hint, size_t bytes, size_t page_bytes, void **out)
{
	uint64_t hpages = bytes / page_bytes;
	void *p;
	int err;

	if (!can_be_had(page_bytes, hpages))
		return -ENOMEM;
	err = hl_os->mmap(hint, bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB |
			hl_map_huge_flag(page_bytes),
		-1, 0, &p);
	if (err) {
		refused(page_bytes, hpages, err);
		return -ENOMEM;
	}
	if (is_promise_enough(page_bytes) ||
		populate(p, bytes, page_bytes) == 0) {
		*out = p;
		return 0;
	}
	(void)hl_os->munmap(p, bytes);
	refused(page_bytes, hpages, -ENOMEM);
	return -ENOMEM;
}

/* ---- System V ---- */

static int populate_segment(int id, size_t bytes, size_t page_bytes)
{
	void *at;
	int err = hl_os->shmat(id, &at);

	if (err)
		return err;
	err = populate(at, bytes, page_bytes);
	(void)hl_os->shmdt(at);
	return err;
}

/*
 * An id; -ENOMEM after everything was said: take ordinary memory; -errno.
 * -EEXIST: another process was faster, and it is not ours to populate or to
 * remove.
 */
static int make_segment(key_t key, size_t bytes, int flags, size_t page_bytes)
{
	size_t whole = hl_align_up(bytes, page_bytes);
	uint64_t hpages = whole / page_bytes;
	int id, err;

	if (!can_be_had(page_bytes, hpages))
		return -ENOMEM;
	id = hl_os->shmget(
		key, bytes, (flags & ~SHM_NORESERVE) | SHM_HUGETLB | IPC_EXCL);
	if (id == -ENOMEM || id == -EPERM || id == -EINVAL || id == -ENOSYS) {
		refused(page_bytes, hpages, id);
		return -ENOMEM;
	}
	if (id < 0 || is_promise_enough(page_bytes))
		return id;
	err = populate_segment(id, whole, page_bytes);
	if (err == 0)
		return id;
	(void)hl_os->shmrm(id);
	refused(page_bytes, hpages, err == -EACCES ? -EPERM : -ENOMEM);
	return -ENOMEM;
}

static bool exists(key_t key)
{
	return key != IPC_PRIVATE && hl_os->shmget(key, 0, 0) != -ENOENT;
}

int hl_shared_shmget(key_t key, size_t bytes, int flags)
{
	size_t page_bytes = hl_supply_page_bytes(0);
	int id;

	/*
	 * A segment of some bytes, as PostgreSQL has one beside its buffers,
	 * would waste its page.
	 */
	if (!hl_opt.shm || page_bytes == 0 || bytes < page_bytes / 2 ||
		bytes > SIZE_MAX - page_bytes || flags & SHM_HUGETLB ||
		(key != IPC_PRIVATE && !(flags & IPC_CREAT)) || exists(key))
		return hl_os->shmget(key, bytes, flags);
	id = make_segment(key, bytes, flags, page_bytes);
	return id == -ENOMEM || id == -EEXIST ? hl_os->shmget(key, bytes, flags)
					      : id;
}
