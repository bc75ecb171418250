/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The exported calls of hugetlbfs2.h, except those of other modules. Each goes
 * through one table: the preload object's, if it is in the process (weak
 * reference htlb_entry_v1), else this object's own. So there is one heap,
 * however many copies of the library are loaded and in whatever scope.
 *
 * hl_entry_own sets the library up at its first use (heap/setup.h): linking
 * runs no constructor.
 */
#include "heap/api.h"

#include "backing/area.h"
#include "base/base.h"
#include "base/failure.h"
#include "base/record.h"
#include "heap/heap.h"
#include "heap/instance.h"
#include "heap/report.h"
#include "heap/setup.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#define SAME_LIMIT(name) \
	_Static_assert((int)HTLB_LIMIT_##name == (int)HL_LIMIT_##name, #name)
SAME_LIMIT(NONE);
SAME_LIMIT(POOL);
SAME_LIMIT(NODE_POOL);
SAME_LIMIT(CGROUP);
SAME_LIMIT(CGROUP_RSVD);
SAME_LIMIT(MOUNT_SIZE);
SAME_LIMIT(SUBPOOL);
SAME_LIMIT(MEMLOCK);
SAME_LIMIT(PERMISSION);
SAME_LIMIT(UNSUPPORTED);
SAME_LIMIT(MEMORY);
SAME_LIMIT(THP);

/* A later version may make the structs longer; this is what every caller has.
 */
#define FAILURE_V1_BYTES sizeof(struct htlb_failure)
#define STATS_V1_BYTES	 sizeof(struct htlb_heap_stats)

static size_t program_usable_size(void *p)
{
	return malloc_usable_size(p);
}

/*
 * Of a program that is only linked: its own malloc, whatever that is. The
 * preload object sets itself up before anyone gets here, with another table.
 */
static const struct hl_next_allocator program_allocator = {
	.malloc = malloc,
	.calloc = calloc,
	.realloc = realloc,
	.memalign = memalign,
	.free = free,
	.usable_size = program_usable_size,
};

/* True when set up: not while another thread is at it. */
static HL_COLD bool set_up_slow(void)
{
	bool done = hl_setup_preloaded != NULL
			    ? hl_setup_preloaded()
			    : hl_setup(environ, false, &program_allocator);

	if (done)
		hl_heap_configure();
	return done;
}

static inline void set_up(void)
{
	static _Atomic bool done;

	if (hl_likely(atomic_load_explicit(&done, memory_order_acquire)))
		return;
	if (set_up_slow())
		atomic_store_explicit(&done, true, memory_order_release);
}

/* For the modules beside the heap: see backing/area.h. */
bool hl_backing_set_up(void)
{
	set_up();
	if (!hl_setup_is_done())
		hl_setup_wait();
	return hl_setup_is_done();
}

/* ---- this object's own: hl_entry_own ---- */

void *hl_api_malloc(size_t bytes)
{
	set_up();
	return hl_malloc(bytes);
}

void *hl_api_calloc(size_t count, size_t bytes)
{
	set_up();
	return hl_calloc(count, bytes);
}

void *hl_api_realloc(void *p, size_t bytes)
{
	set_up();
	return hl_realloc(p, bytes);
}

void *hl_api_memalign(size_t align, size_t bytes)
{
	set_up();
	return hl_memalign(align, bytes);
}

int hl_api_stats(struct htlb_heap_stats *out)
{
	struct hl_heap_stats s;
	struct htlb_heap_stats r;

	if (out->size < STATS_V1_BYTES)
		return -EINVAL;
	hl_heap_sample(true);
	hl_heap_stats(&s);
	r = (struct htlb_heap_stats){
		.live_bytes = s.live_bytes,
		.peak_bytes = s.peak_bytes,
		.hugetlb_bytes = s.hugetlb_bytes,
		.thp_bytes = s.thp_bytes,
		.base_bytes = s.base_bytes,
		.cached_bytes = s.cached_bytes,
		.hpages_taken = s.hpages_taken,
		.hpages_given = s.hpages_given,
		.fallbacks = s.fallbacks,
		.reserved_bytes = s.reserved_bytes,
	};
	return hl_record_out(out, STATS_V1_BYTES, &r, sizeof(r));
}

int hl_api_release(void)
{
	set_up();
	return hl_heap_release() ? 1 : 0;
}

int hl_api_last_failure(struct htlb_failure *out)
{
	struct hl_failure f;
	struct htlb_failure r;

	if (out->size < FAILURE_V1_BYTES)
		return -EINVAL;
	if (!hl_failure_read(&f))
		return -ENOENT;
	r = (struct htlb_failure){
		.limit = (enum htlb_limit)f.limit,
		.page_bytes = f.page_bytes,
		.node = f.node,
		.needed_hpages = f.needed_hpages,
		.available_hpages = f.available_hpages,
		.advice = hl_limit_advice(f.limit),
	};
	return hl_record_out(out, FAILURE_V1_BYTES, &r, sizeof(r));
}

int hl_api_heap_create(
	const struct htlb_heap_options *options, struct htlb_heap **out)
{
	set_up();
	return hl_instance_create(options, out);
}

const struct hl_entry_v1 hl_entry_own = HL_ENTRY_V1;

static inline const struct hl_entry_v1 *entry(void)
{
	return &htlb_entry_v1 != NULL ? &htlb_entry_v1 : &hl_entry_own;
}

/* ---- exported ---- */

HL_EXPORT const char *htlb_version(void)
{
	return HL_VERSION;
}

HL_EXPORT int htlb_last_failure(struct htlb_failure *out)
{
	return entry()->last_failure(out);
}

HL_EXPORT void *htlb_malloc(size_t bytes)
{
	return entry()->malloc(bytes);
}

HL_EXPORT void *htlb_calloc(size_t count, size_t bytes)
{
	return entry()->calloc(count, bytes);
}

HL_EXPORT void *htlb_realloc(void *p, size_t bytes)
{
	return entry()->realloc(p, bytes);
}

HL_EXPORT void htlb_free(void *p)
{
	entry()->free(p);
}

HL_EXPORT void *htlb_aligned_alloc(size_t align, size_t bytes)
{
	if (!hl_is_pow2(align)) {
		errno = EINVAL;
		return NULL;
	}
	return entry()->memalign(align, bytes);
}

HL_EXPORT int htlb_posix_memalign(void **out, size_t align, size_t bytes)
{
	int saved = errno;
	void *p;

	if (!hl_is_pow2(align) || align % sizeof(void *) != 0)
		return EINVAL;
	p = entry()->memalign(align, bytes);
	if (p == NULL) {
		errno = saved;
		return ENOMEM;
	}
	*out = p;
	return 0;
}

HL_EXPORT size_t htlb_usable_size(const void *p)
{
	return entry()->usable_size(p);
}

HL_EXPORT void htlb_free_sized(void *p, size_t bytes)
{
	(void)bytes;
	entry()->free(p);
}

HL_EXPORT void htlb_free_aligned_sized(void *p, size_t align, size_t bytes)
{
	(void)align;
	(void)bytes;
	entry()->free(p);
}

HL_EXPORT int htlb_heap_create(
	const struct htlb_heap_options *options, struct htlb_heap **out)
{
	return entry()->heap_create(options, out);
}

HL_EXPORT void *htlb_heap_malloc(struct htlb_heap *heap, size_t bytes)
{
	return entry()->heap_alloc(heap, bytes, 1);
}

HL_EXPORT void *htlb_heap_aligned_alloc(
	struct htlb_heap *heap, size_t align, size_t bytes)
{
	if (!hl_is_pow2(align)) {
		errno = EINVAL;
		return NULL;
	}
	return entry()->heap_alloc(heap, bytes, align);
}

HL_EXPORT void htlb_heap_destroy(struct htlb_heap *heap)
{
	entry()->heap_destroy(heap);
}

HL_EXPORT int htlb_heap_stats(struct htlb_heap_stats *out)
{
	return entry()->stats(out);
}

HL_EXPORT int htlb_heap_release(void)
{
	return entry()->release();
}

HL_EXPORT int htlb_heap_report(int fd, int format)
{
	if (fd < 0)
		return -EBADF;
	return entry()->report(fd, format);
}
