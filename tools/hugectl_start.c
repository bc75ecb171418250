/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The short way: `hugectl OPTIONS PROGRAM` where nothing has to be said,
 * measured or looked up in the C library ends in execve() before that library
 * is initialised. Everything else goes on to the C library's own start code
 * and main(), which begins anew.
 *
 * Why: to start and tear down a process costs mostly page faults. Counted with
 * `hugectl --no-preload --heap /bin/true` (50 faults by itself), this way adds
 * 9, a static executable through main() 26, a dynamic one 49; of its time, 1000
 * runs in turns on a virtual machine where a fault takes 35 us, it adds 0.3,
 * 0.65 and 0.85 times. With preloading, 19 faults more, the whole is at 1.5
 * times.
 *
 * The executable's entry point is hugectl_start (tools/meson.build), linked
 * statically, not position-independent: nothing has to be relocated. Only the
 * functions of hugectl_core.h may be called here.
 */
#include "hugectl_core.h"
#include "raw.h"

#define ENVIRONMENT_MAX 256

/* All that is written to, in the order of use: one page, mostly. */
struct memory {
	struct ctl_options o;
	struct ctl_target t;
	struct ctl_plan plan;
	const char *environment[ENVIRONMENT_MAX];
	char text[16384];
};
static struct memory memory __attribute__((aligned(4096)));

/* What main() would have to speak about, or cannot be done here. */
static bool is_short(const struct ctl_options *o)
{
	static const unsigned char slow[] = {CTL_REPORT, CTL_EXPLAIN,
		CTL_DRY_RUN, CTL_HELP, CTL_VERSION, CTL_NODE, CTL_TEXT,
		CTL_DATA, CTL_BSS, CTL_BRK, CTL_SEGMENTS, CTL_SHARE_TEXT,
		CTL_PERF_MAP, CTL_SHM, CTL_MMAP, CTL_THP};

	for (size_t i = 0; i < HL_ARRAY_SIZE(slow); i++) {
		if (o->given[slow[i]])
			return false;
	}
	return o->error == CTL_OK && o->level <= 2;
}

static bool is_plain(const struct ctl_plan *plan)
{
	return !plan->preload_missing && !plan->preload_unsafe &&
	       !plan->target_passed_over;
}

/* stack: argc, argv..., NULL, envp..., NULL. Returns if main() is needed. */
void hugectl_try_short(long *stack);

__attribute__((used)) void hugectl_try_short(long *stack)
{
	struct memory *m = &memory;
	struct ctl_arena arena = {m->text, m->text + sizeof(m->text), false};
	int argc = (int)stack[0];
	char **argv = (char **)(stack + 1);
	char **envp = argv + argc + 1;

	ctl_parse(&m->o, argc, argv);
	if (!is_short(&m->o))
		return;
	ctl_judge(&m->t, m->o.target[0], envp, &arena);
	if (m->t.found || arena.full)
		return;
	ctl_plan(&m->plan, &m->o, &m->t, ctl_own_directory(&arena), envp,
		&arena);
	if (arena.full || !is_plain(&m->plan) ||
		!ctl_environment(
			&m->plan, envp, m->environment, ENVIRONMENT_MAX))
		return;
	/* If it fails, main() tries again and says why. */
	raw4(SYS_execve, (long)m->t.path, (long)m->o.target,
		(long)m->environment, 0);
}

/* The registers and stack that the kernel gave are those that _start finds. */
#if defined(__x86_64__)
__asm__(".text\n"
	".globl hugectl_start\n"
	".type hugectl_start, @function\n"
	"hugectl_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rbx\n"
	"	mov %rdx, %r12\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call hugectl_try_short\n"
	"	mov %rbx, %rsp\n"
	"	mov %r12, %rdx\n"
	"	jmp _start\n"
	".size hugectl_start, .-hugectl_start\n");
#elif defined(__aarch64__)
__asm__(".text\n"
	".globl hugectl_start\n"
	".type hugectl_start, %function\n"
	"hugectl_start:\n"
	"	mov x29, #0\n"
	"	mov x19, x0\n"
	"	mov x20, sp\n"
	"	mov x0, sp\n"
	"	bl hugectl_try_short\n"
	"	mov sp, x20\n"
	"	mov x0, x19\n"
	"	b _start\n"
	".size hugectl_start, .-hugectl_start\n");
#endif
