/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf_event_open(2), one event a descriptor and thread, since an event that is
 * not there must not take the others with it. Only generic events: which
 * event of the processor stands behind them is the kernel's business.
 */
#include "perf.h"

#include "base/fmt.h"
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CACHE(cache, op)                                     \
	(PERF_COUNT_HW_CACHE_##cache |                       \
		(uint64_t)PERF_COUNT_HW_CACHE_OP_##op << 8 | \
		(uint64_t)PERF_COUNT_HW_CACHE_RESULT_MISS << 16)

static const struct event {
	uint32_t type;
	uint64_t config;
} events[PERF_IDS_] = {
	[PERF_LOAD_MISSES] = {PERF_TYPE_HW_CACHE, CACHE(DTLB, READ)},
	[PERF_STORE_MISSES] = {PERF_TYPE_HW_CACHE, CACHE(DTLB, WRITE)},
	[PERF_CODE_MISSES] = {PERF_TYPE_HW_CACHE, CACHE(ITLB, READ)},
	[PERF_INSTRUCTIONS] = {PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
	[PERF_CYCLES] = {PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
	[PERF_PAGE_FAULTS] = {PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS},
	[PERF_TASK_NS] = {PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK},
};

const char *const perf_names[PERF_IDS_] = {
	[PERF_LOAD_MISSES] = "dTLB-load-misses",
	[PERF_STORE_MISSES] = "dTLB-store-misses",
	[PERF_CODE_MISSES] = "iTLB-load-misses",
	[PERF_INSTRUCTIONS] = "instructions",
	[PERF_CYCLES] = "cycles",
	[PERF_PAGE_FAULTS] = "page-faults",
	[PERF_TASK_NS] = "task-clock",
};

static int open_one(const struct event *event, pid_t thread, bool kernel)
{
	struct perf_event_attr attr = {
		.type = event->type,
		.size = sizeof(attr),
		.config = event->config,
		.inherit = thread != 0,
		.exclude_kernel = !kernel,
		.exclude_hv = 1,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED |
			       PERF_FORMAT_TOTAL_TIME_RUNNING,
	};
	long fd = syscall(SYS_perf_event_open, &attr, thread, -1, -1,
		PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

/* Plain users may count what their own code does. */
static int open_event(const struct event *event, pid_t thread)
{
	int fd = open_one(event, thread, true);

	if (fd == -EACCES || fd == -EPERM)
		fd = open_one(event, thread, false);
	return fd;
}

static void add_thread(struct perf_set *set, pid_t thread)
{
	size_t n = set->threads++;

	for (unsigned i = 0; i < PERF_IDS_; i++) {
		int fd = open_event(&events[i], thread);

		set->fd[i] = tool_realloc(
			set->fd[i], set->threads, sizeof(*set->fd[i]));
		set->fd[i][n] = fd;
		/* A thread that is gone is no reason. */
		if (fd >= 0)
			set->error[i] = 0;
		else if (n == 0)
			set->error[i] = fd;
	}
}

int perf_open(struct perf_set *set, pid_t pid)
{
	char *path;
	DIR *directory;
	struct dirent *entry;

	*set = (struct perf_set){.threads = 0};
	if (pid == 0) {
		add_thread(set, 0);
		return 0;
	}
	path = tool_text("/proc/%d/task", (int)pid);
	directory = opendir(path);
	free(path);
	if (!directory)
		return -errno;
	while ((entry = readdir(directory))) {
		uint64_t thread;

		if (hl_parse_u64(entry->d_name, &thread) == 0)
			add_thread(set, (pid_t)thread);
	}
	closedir(directory);
	if (set->threads == 0)
		return -ESRCH;
	/* That one needs nothing of the processor. */
	return set->error[PERF_TASK_NS];
}

void perf_close(struct perf_set *set)
{
	for (unsigned i = 0; i < PERF_IDS_; i++) {
		for (size_t j = 0; j < set->threads; j++) {
			if (set->fd[i][j] >= 0)
				close(set->fd[i][j]);
		}
		free(set->fd[i]);
		set->fd[i] = NULL;
	}
	set->threads = 0;
}

bool perf_has(const struct perf_set *set, enum perf_id id)
{
	return set->threads > 0 && set->error[id] == 0;
}

uint64_t perf_read(const struct perf_set *set, enum perf_id id)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < set->threads; i++) {
		struct {
			uint64_t value, enabled, running;
		} v;

		if (set->fd[id][i] < 0 ||
			read(set->fd[id][i], &v, sizeof(v)) != sizeof(v))
			continue;
		if (v.running > 0 && v.running < v.enabled)
			v.value =
				(uint64_t)((double)v.value * (double)v.enabled /
					   (double)v.running);
		sum += v.value;
	}
	return sum;
}

const char *perf_list(const struct perf_set *set, char *text, size_t capacity)
{
	struct hl_buf buf;

	hl_buf_init(&buf, text, capacity);
	for (unsigned i = 0; i < PERF_PAGE_FAULTS; i++) {
		if (perf_has(set, (enum perf_id)i))
			hl_buf_printf(&buf, "%s%s", buf.length ? ", " : "",
				perf_names[i]);
	}
	return text;
}

const char *perf_reason(const struct perf_set *set)
{
	switch (-set->error[PERF_LOAD_MISSES]) {
	case 0:
		return "the counters are there";
	case EACCES:
	case EPERM:
		return "counting is not permitted (see "
		       "/proc/sys/kernel/perf_event_paranoid)";
	case ENOENT:
	case ENODEV:
	case EOPNOTSUPP:
	case ENXIO:
		return "this processor, or virtual machine, offers no counters "
		       "of TLB misses";
	default:
		return strerror(-set->error[PERF_LOAD_MISSES]);
	}
}
