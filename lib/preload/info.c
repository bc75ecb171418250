/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * glibc's questions about malloc: mallinfo, malloc_stats, malloc_info, mallopt,
 * malloc_trim, answered from our statistics, or passed on where malloc stays
 * libc's. The meaning of the fields follows mallinfo(3): "arena" is memory
 * taken for blocks below the large ones, "hblk" the large blocks.
 *
 * None of this is for inner loops. malloc_info writes to its caller's stream,
 * the only use of stdio in the library.
 */
#include "preload/preload.h"

#include "base/fmt.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What mallopt refuses, in glibc. */
#define MXFAST_MAX	   ((int)(80 * sizeof(size_t) / 4))
#define MMAP_THRESHOLD_MAX (32 << 20)

/* The next definition of the function that we are in, if libc's malloc rules.
 */
#define passed_on(name)                                                \
	(hl_preload_decide() == HL_PRELOAD_LIBC                        \
			? (__typeof__(&(name)))hl_next_function(#name) \
			: NULL)

static size_t minus(size_t a, size_t b)
{
	return a > b ? a - b : 0;
}

static struct mallinfo2 read_info(void)
{
	struct hl_heap_stats s;
	struct mallinfo2 m = {0};

	hl_heap_stats(&s);
	m.hblks = s.large_blocks;
	m.hblkhd = s.large_bytes;
	m.uordblks = minus(s.live_bytes, s.large_bytes);
	m.arena = minus(s.committed_bytes, s.large_bytes);
	/* Read at different moments, and without the unit of small programs. */
	m.arena = HL_MAX(m.arena, m.uordblks);
	m.fordblks = minus(m.arena, m.uordblks);
	m.ordblks = m.fordblks != 0;
	m.keepcost = s.cached_bytes;
	return m;
}

HL_EXPORT struct mallinfo2 mallinfo2(void)
{
	struct mallinfo2 (*next)(void) = passed_on(mallinfo2);

	return next != NULL ? next() : read_info();
}

/* The old form counts in int: more than that reads as INT_MAX. */
static int to_int(size_t n)
{
	return n > INT_MAX ? INT_MAX : (int)n;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
HL_EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo (*next)(void) = passed_on(mallinfo);
	struct mallinfo2 m;

	if (next != NULL)
		return next();
	m = read_info();
	return (struct mallinfo){
		.arena = to_int(m.arena),
		.ordblks = to_int(m.ordblks),
		.hblks = to_int(m.hblks),
		.hblkhd = to_int(m.hblkhd),
		.uordblks = to_int(m.uordblks),
		.fordblks = to_int(m.fordblks),
		.keepcost = to_int(m.keepcost),
	};
}
#pragma GCC diagnostic pop

HL_EXPORT void malloc_stats(void)
{
	void (*next)(void) = passed_on(malloc_stats);
	int saved = errno;
	struct mallinfo2 m;
	struct hl_buf buf;
	char text[512];

	if (next != NULL) {
		next();
		return;
	}
	m = read_info();
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_printf(&buf,
		"libhugetlbfs2:\n"
		"system bytes     = %10zu\n"
		"in use bytes     = %10zu\n"
		"Total (incl. large blocks):\n"
		"system bytes     = %10zu\n"
		"in use bytes     = %10zu\n"
		"large blocks     = %10zu\n"
		"large bytes      = %10zu\n",
		m.arena, m.uordblks, m.arena + m.hblkhd, m.uordblks + m.hblkhd,
		m.hblks, m.hblkhd);
	(void)syscall(SYS_write, STDERR_FILENO, buf.data, buf.length);
	errno = saved;
}

HL_EXPORT int malloc_info(int options, FILE *stream)
{
	int (*next)(int, FILE *) = passed_on(malloc_info);
	struct hl_heap_stats s;
	struct mallinfo2 m;
	struct hl_buf buf;
	char text[1024];

	if (next != NULL)
		return next(options, stream);
	if (options != 0)
		return EINVAL;
	m = read_info();
	hl_heap_stats(&s);
	hl_buf_init(&buf, text, sizeof(text));
	/* glibc's layout of version 1, with one heap. */
	hl_buf_printf(&buf,
		"<malloc version=\"1\">\n"
		"<heap nr=\"0\">\n<sizes>\n</sizes>\n"
		"<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
		"<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n"
		"<system type=\"current\" size=\"%zu\"/>\n"
		"<system type=\"max\" size=\"%zu\"/>\n"
		"<aspace type=\"total\" size=\"%zu\"/>\n"
		"<aspace type=\"mprotect\" size=\"%zu\"/>\n</heap>\n",
		m.ordblks, m.fordblks, m.arena, m.arena,
		(size_t)s.reserved_bytes, (size_t)s.committed_bytes);
	hl_buf_printf(&buf,
		"<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
		"<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n"
		"<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
		"<system type=\"current\" size=\"%zu\"/>\n"
		"<system type=\"max\" size=\"%zu\"/>\n"
		"<aspace type=\"total\" size=\"%zu\"/>\n"
		"<aspace type=\"mprotect\" size=\"%zu\"/>\n</malloc>\n",
		m.ordblks, m.fordblks, m.hblks, m.hblkhd, m.arena, m.arena,
		(size_t)s.reserved_bytes, (size_t)s.committed_bytes);
	return fputs(text, stream) < 0 ? -1 : 0;
}

/*
 * glibc accepts every parameter that it does not know. Nothing here changes
 * the heap: its thresholds are its own.
 */
HL_EXPORT int mallopt(int parameter, int value)
{
	int (*next)(int, int) = passed_on(mallopt);

	if (next != NULL)
		return next(parameter, value);
	return parameter != M_MXFAST || (value >= 0 && value <= MXFAST_MAX);
}

HL_EXPORT int malloc_trim(size_t pad)
{
	int (*next)(size_t) = passed_on(malloc_trim);

	(void)pad;
	if (next != NULL)
		return next(pad);
	return hl_heap_release() ? 1 : 0;
}
