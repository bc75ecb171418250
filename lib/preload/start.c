/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Start and end of the preload object: the only constructor and destructor of
 * the project, the decision whose malloc the process uses, and the table that
 * gives all copies of the library one heap.
 *
 * The first malloc comes from the dynamic linker, long before any constructor.
 * The environment can be read there all the same: on the initial stack, which
 * glibc's loader exports as __libc_stack_end. Elsewhere the heap works
 * unconfigured, on base pages, until environ is set.
 *
 * The decision is made once: options, RESTRICT_EXE, set-uid, ulimit. Blocks
 * that our heap gave out before it stay ours; the calls in malloc.c know them
 * by the page map.
 */
#include "preload/preload.h"

#include "base/count.h"
#include "base/failure.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/report.h"
#include "heap/api.h"
#include "heap/instance.h"
#include "heap/report.h"
#include "heap/setup.h"
#include "region/mapping.h"
#include "segment/brk.h"
#include "segment/segment.h"
#include "system/sys.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

extern void *__libc_stack_end HL_WEAK;

_Atomic int hl_preload_mode = HL_PRELOAD_UNDECIDED;

/*
 * False until the dynamic linker has copied the initial values of thread-local
 * variables, which it does after relocation: a malloc in the resolver of an
 * indirect function comes before that, when our heap cannot work yet.
 */
static _Thread_local volatile bool has_tls = true;

bool hl_preload_has_tls(void)
{
	return has_tls;
}

HL_EXPORT const struct hl_entry_v1 htlb_entry_v1 = HL_ENTRY_V1;

/* argc, argv..., NULL, envp..., NULL */
static char **initial_environment(void)
{
	char **stack;
	uintptr_t argc;

	if (&__libc_stack_end == NULL || __libc_stack_end == NULL)
		return NULL;
	stack = __libc_stack_end;
	argc = (uintptr_t)stack[0];
	/* Loaders that were run as a command have moved things about. */
	if (argc == 0 || argc > INT32_MAX || stack[1 + argc] != NULL)
		return NULL;
	return stack + 1 + argc + 1;
}

/*
 * Under a small ulimit -v or -d the heap's tables, and what is in use in part
 * of its units, would take what the program needs: some 14 MiB at worst.
 */
#define CONFINED_AS_BYTES   (512 * HL_MIB)
#define CONFINED_DATA_BYTES (256 * HL_MIB)

static bool is_confined(void)
{
	if (hl_rlimit(RLIMIT_AS) >= CONFINED_AS_BYTES &&
		hl_rlimit(RLIMIT_DATA) >= CONFINED_DATA_BYTES)
		return false;
	hl_count_fallback(HL_LIMIT_MEMORY, 1);
	hl_failure_record(HL_LIMIT_MEMORY, 0, -1, 0, 0);
	return true;
}

static char **find_environment(void)
{
	return environ != NULL ? environ : initial_environment();
}

static bool is_restricted(char **envp)
{
	static const char prefix[] = "HUGETLB_RESTRICT_EXE=";

	for (; *envp != NULL; envp++) {
		if (strncmp(*envp, prefix, sizeof(prefix) - 1) == 0)
			return true;
	}
	return false;
}

bool hl_setup_preloaded(void)
{
	char **envp = find_environment();

	if (envp == NULL)
		return false;
	/* libc does not know the program's name before it knows environ. */
	if (environ == NULL && is_restricted(envp))
		return false;
	return hl_setup(envp, true, &hl_next);
}

HL_COLD enum hl_preload_mode hl_preload_decide(void)
{
	int mode = atomic_load_explicit(&hl_preload_mode, memory_order_acquire);

	if (mode != HL_PRELOAD_UNDECIDED)
		return (enum hl_preload_mode)mode;
	if (!has_tls)
		return HL_PRELOAD_LIBC;
	if (!hl_setup_preloaded())
		return HL_PRELOAD_UNDECIDED;
	hl_mapping_configure();
	mode = HL_PRELOAD_OURS;
	if (hl_opt.morecore == HL_MORECORE_OFF || hl_opt.restricted ||
		getauxval(AT_SECURE) != 0 || is_confined())
		mode = HL_PRELOAD_LIBC;
	else
		hl_heap_configure();
	atomic_store_explicit(&hl_preload_mode, mode, memory_order_release);
	return (enum hl_preload_mode)mode;
}

static void leave_children_alone(void)
{
	Dl_info own;

	if (dladdr(&htlb_entry_v1, &own) != 0 && own.dli_fname != NULL)
		hl_children_disinherit(environ, own.dli_fname);
}

__attribute__((constructor(101))) static void start(void)
{
	enum hl_preload_mode mode = hl_preload_decide();

	if (getauxval(AT_SECURE) != 0 || hl_opt.restricted)
		return;
	if (hl_opt.report[0] != '\0') {
		int err = hl_report_attach(hl_opt.report);

		if (err != 0)
			hl_log(HL_LOG_WARN, "%s: not reported: error %d",
				hl_opt.report, -err);
	}
	if (hl_opt.no_children && environ != NULL)
		leave_children_alone();
	hl_segments_start();
	hl_log(HL_LOG_INFO, "malloc is %s",
		mode == HL_PRELOAD_OURS ? "on huge pages where possible"
					: "left to the C library");
}

__attribute__((destructor(101))) static void finish(void)
{
	if (hl_opt.report[0] == '\0')
		return;
	hl_heap_sample(true);
	hl_brk_sample();
	hl_report_finish();
}
