/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/backing/heal.c, signals.c and lib/preload/signal.c: pages that cannot be
 * copied are healed, and everything else about SIGBUS and SIGSEGV is as the
 * program set it, down to the mask and the stack of its handlers.
 *
 * The program is linked with preload/signal.c, so that its own sigaction() and
 * the like are the interposed ones.
 */
#include "units.h"

#include "backing/signals.h"
#include "base/count.h"
#include "base/opt.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* The old calls are interposed as well, and have to be right. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define UNITS 4u

static struct hl_area *area;
static volatile sig_atomic_t calls;
static void *volatile called_addr;
static volatile int called_code;
static sigjmp_buf back;
static char *bad; /* a page that no access is allowed to */

static char *unit(size_t u)
{
	return (char *)hl_area_base(area) + u * HL_UNIT_BYTES;
}

/* Our handlers are in place: installed by the first huge page. */
static void setup(void)
{
	CHECK(!hl_signals_active());
	area = open_units(UNITS, UNITS);
	CHECK(hl_signals_active());
	bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(bad != MAP_FAILED);
}

/* A child shares all pages, and there is no free one. */
static pid_t share_pages(void)
{
	pid_t child;

	hl_opt.fork_mode = HL_FORK_OFF;
	hl_backing_fork_prepare();
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		pause();
		_exit(0);
	}
	hl_backing_fork_parent();
	return child;
}

static void unshare_pages(pid_t child)
{
	kill(child, SIGKILL);
	CHECK(waitpid(child, NULL, 0) == child);
}

/* A write to a shared page is healed; afterwards it holds the value. */
static void check_healing_of(size_t u)
{
	uint64_t before = hl_counts()->heals;
	pid_t child = share_pages();

	memset(unit(u), 7, 100);
	CHECK(unit(u)[99] == 7);
	CHECK(hl_counts()->heals == before + 1);
	unshare_pages(child);
}

static void check_healing(void)
{
	check_healing_of(0);
}

static void set_action(
	int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction a;

	memset(&a, 0, sizeof(a));
	a.sa_sigaction = handler;
	a.sa_flags = SA_SIGINFO | flags;
	CHECK(sigaction(sig, &a, NULL) == 0);
}

/* ---- healing ---- */

static void heals_a_write(void)
{
	setup();
	strcpy(unit(0) + 100, "as it was");
	check_healing();
	CHECK(strcmp(unit(0) + 100, "as it was") == 0);
	CHECK(hl_area_kind(area, 0) != HL_BACKING_HUGETLB);
	CHECK(hl_area_kind(area, 1) == HL_BACKING_HUGETLB);
	hl_heal_settle();
	CHECK(hl_counts()->hugetlb_bytes[0] == (UNITS - 1) * HL_UNIT_BYTES);
	hl_area_release(area, 0, UNITS);
	CHECK(hl_counts()->hugetlb_bytes[0] == 0);
	hl_area_close(area);
}

/* Dropped pages come back as zeros, also when the pool is empty by then. */
static void heals_a_dropped_page(void)
{
	setup();
	memset(unit(0), 1, UNITS * HL_UNIT_BYTES);
	if (madvise(unit(1), HL_UNIT_BYTES, MADV_DONTNEED) < 0 &&
		errno == EINVAL)
		machine_skip("this kernel does not drop private huge pages");
	CHECK(machine_hog_start(1));
	CHECK(unit(1)[12345] == 0);
	unit(1)[12345] = 2;
	CHECK(unit(1)[12345] == 2 && unit(1)[12346] == 0);
	CHECK(unit(2)[0] == 1);
	CHECK(hl_counts()->heals == 1);
	machine_hog_stop();
}

/* A read-only thread mask from before the first huge page is opened. */
static void heals_although_blocked_before(void)
{
	sigset_t all, old;

	sigfillset(&all);
	CHECK(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
	setup();
	check_healing();
	CHECK(sigprocmask(SIG_BLOCK, NULL, &old) == 0);
	CHECK(sigismember(&old, SIGBUS) && sigismember(&old, SIGSEGV));
	CHECK(sigismember(&old, SIGTERM));
}

static void heals_although_blocked(void)
{
	sigset_t all;

	setup();
	sigfillset(&all);
	CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	check_healing();
}

static void heals_although_ignored(void)
{
	setup();
	CHECK(signal(SIGBUS, SIG_IGN) == SIG_DFL);
	CHECK(signal(SIGSEGV, SIG_IGN) == SIG_DFL);
	check_healing();
	CHECK(signal(SIGBUS, SIG_DFL) == SIG_IGN);
	/* The page that healing gave back. */
	CHECK(machine_hog_start(1));
	check_healing_of(1);
}

static void on_other(int sig)
{
	calls++;
	memset(unit(1), 9, 64);
	errno = ENOTTY;
	(void)sig;
}

/* Inside another handler, even one that blocks everything. */
static void heals_in_a_handler(void)
{
	struct sigaction a, old;
	pid_t child;

	memset(&a, 0, sizeof(a));
	a.sa_handler = on_other;
	sigfillset(&a.sa_mask);
	/* Once before our handlers are there, once after. */
	CHECK(sigaction(SIGUSR1, &a, NULL) == 0);
	setup();
	CHECK(sigaction(SIGUSR2, &a, NULL) == 0);
	CHECK(sigaction(SIGUSR2, NULL, &old) == 0);
	CHECK(sigismember(&old.sa_mask, SIGBUS) == 1);
	CHECK(sigaction(SIGUSR1, NULL, &old) == 0);
	CHECK(sigismember(&old.sa_mask, SIGSEGV) == 1);
	child = share_pages();
	raise(SIGUSR1);
	CHECK(calls == 1 && unit(1)[63] == 9 && hl_counts()->heals == 1);
	unshare_pages(child);
	raise(SIGUSR2);
	CHECK(calls == 2);
}

static void *write_unit(void *arg)
{
	memset(unit(2) + (size_t)arg * 4096, (int)(size_t)arg + 1, 4096);
	return NULL;
}

static void heals_for_many_threads(void)
{
	pthread_t t[8];
	pid_t child;

	setup();
	child = share_pages();
	for (size_t i = 0; i < 8; i++)
		CHECK(pthread_create(&t[i], NULL, write_unit, (void *)i) == 0);
	for (size_t i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	for (size_t i = 0; i < 8; i++)
		CHECK(unit(2)[i * 4096] == (char)(i + 1) &&
			unit(2)[i * 4096 + 4095] == (char)(i + 1));
	CHECK(hl_counts()->heals == 1);
	unshare_pages(child);
}

/* A signal stack in such a page could not take a signal: converted before. */
static void signal_stack_in_the_heap(void)
{
	stack_t stack = {.ss_sp = NULL, .ss_size = 64 * 1024};
	stack_t old;
	pid_t child;

	setup();
	stack.ss_sp = unit(3) + 4096;
	CHECK(sigaltstack(&stack, NULL) == 0);
	CHECK(hl_area_kind(area, 3) != HL_BACKING_HUGETLB);
	CHECK(sigaltstack(NULL, &old) == 0);
	CHECK(old.ss_sp == stack.ss_sp && old.ss_size == stack.ss_size);
	CHECK(machine_hog_start(1));
	child = share_pages();
	unit(0)[0] = 1;
	CHECK(hl_counts()->heals == 1);
	unshare_pages(child);
}

/* ---- the program's own faults ---- */

static void note_and_jump(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	calls++;
	called_addr = info->si_addr;
	called_code = info->si_code;
	siglongjmp(back, 1);
}

static void fault(char *p)
{
	if (sigsetjmp(back, 1) == 0)
		*(volatile char *)p = 1;
}

static void own_segv_again_and_again(void)
{
	setup();
	set_action(SIGSEGV, note_and_jump, 0);
	for (int i = 0; i < 100; i++) {
		fault(bad + i);
		CHECK(calls == i + 1);
		CHECK(called_addr == bad + i && called_code == SEGV_ACCERR);
	}
	check_healing();
	/* Inside our area, but protected by the program itself. */
	CHECK(mprotect(unit(0), 4096, PROT_READ) == 0);
	fault(unit(0) + 8);
	CHECK(calls == 101 && called_addr == unit(0) + 8);
	fault(unit(0) + 8);
	CHECK(calls == 102);
	CHECK(mprotect(unit(0), 4096, PROT_READ | PROT_WRITE) == 0);
}

static void own_bus_beyond_a_file(void)
{
	FILE *f = tmpfile();
	char *p;

	setup();
	CHECK(f != NULL);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);
	CHECK(p != MAP_FAILED);
	set_action(SIGBUS, note_and_jump, 0);
	fault(p + 17);
	CHECK(calls == 1 && called_addr == p + 17 && called_code == BUS_ADRERR);
	check_healing();
	fault(p + 18);
	CHECK(calls == 2 && called_addr == p + 18);
}

static void uncommitted_unit_is_no_ones(void)
{
	setup();
	set_action(SIGSEGV, note_and_jump, 0);
	hl_area_release(area, 1, 2);
	fault(unit(1) + 3);
	CHECK(calls == 1 && called_addr == unit(1) + 3);
}

static void look_at_mask(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	sigset_t now;

	(void)info;
	CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0);
	CHECK(sigismember(&now, sig) == 1);
	CHECK(sigismember(&now, SIGUSR1) == 1);
	CHECK(sigismember(&now, SIGUSR2) == 0);
	CHECK(sigismember(&now, 61) == 0 && sigismember(&now, 62) == 0);
	CHECK(sigismember(&uc->uc_sigmask, sig) == 0);
	CHECK(sigismember(&uc->uc_sigmask, SIGHUP) == 1);
	/* Returning restores this, changed. */
	sigaddset(&uc->uc_sigmask, SIGSEGV);
	calls++;
}

static void mask_of_a_handler(void)
{
	struct sigaction a, old;
	sigset_t set;

	setup();
	memset(&a, 0, sizeof(a));
	a.sa_sigaction = look_at_mask;
	a.sa_flags = SA_SIGINFO;
	sigaddset(&a.sa_mask, SIGUSR1);
	CHECK(sigaction(SIGBUS, &a, NULL) == 0);
	CHECK(sigaction(SIGBUS, NULL, &old) == 0);
	CHECK(old.sa_sigaction == look_at_mask && old.sa_flags == SA_SIGINFO);
	CHECK(sigismember(&old.sa_mask, SIGUSR1) == 1);
	CHECK(sigismember(&old.sa_mask, SIGBUS) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	CHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
	raise(SIGBUS);
	CHECK(calls == 1);
	CHECK(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
	CHECK(sigismember(&set, SIGSEGV) == 1 &&
		sigismember(&set, SIGHUP) == 1);
	CHECK(sigismember(&set, SIGBUS) == 0);
}

static void count(int sig)
{
	(void)sig;
	calls++;
}

static void masks_are_the_programs(void)
{
	sigset_t set, old;

	setup();
	CHECK(signal(SIGBUS, count) == SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	CHECK(sigismember(&old, SIGBUS) == 0);
	raise(SIGBUS);
	kill(getpid(), SIGBUS);
	CHECK(calls == 0);
	CHECK(sigprocmask(SIG_UNBLOCK, &set, &old) == 0);
	CHECK(sigismember(&old, SIGBUS) == 1 && sigismember(&old, 61) == 0);
	CHECK(calls == 1);
	CHECK(sighold(SIGBUS) == 0 && sigblock(0) == 1 << (SIGBUS - 1));
	CHECK(sigset(SIGBUS, SIG_HOLD) == SIG_HOLD);
	CHECK(sigrelse(SIGBUS) == 0 && siggetmask() == 0);
	/* The stand-in's own number still works. */
	sigemptyset(&set);
	sigaddset(&set, 61);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(sigprocmask(SIG_BLOCK, NULL, &old) == 0);
	CHECK(sigismember(&old, 61) == 1 && sigismember(&old, SIGBUS) == 0);
	raise(SIGBUS);
	CHECK(calls == 2);
	CHECK(sigprocmask(-1, &set, NULL) == -1 && errno == EINVAL);
	CHECK(pthread_sigmask(-1, &set, NULL) == EINVAL);
}

static void one_shot_and_flavours(void)
{
	struct sigaction old;

	setup();
	CHECK(sysv_signal(SIGSEGV, count) == SIG_DFL);
	CHECK(sigaction(SIGSEGV, NULL, &old) == 0);
	CHECK(old.sa_handler == count && (old.sa_flags & (int)SA_RESETHAND));
	raise(SIGSEGV);
	CHECK(calls == 1);
	CHECK(sigaction(SIGSEGV, NULL, &old) == 0);
	CHECK(old.sa_handler == SIG_DFL);
	CHECK(signal(SIGSEGV, count) == SIG_DFL);
	CHECK(sigaction(SIGSEGV, NULL, &old) == 0);
	CHECK(old.sa_flags == SA_RESTART);
	CHECK(siginterrupt(SIGSEGV, 1) == 0);
	CHECK(signal(SIGSEGV, count) == count);
	CHECK(sigaction(SIGSEGV, NULL, &old) == 0);
	CHECK(old.sa_flags == 0);
	CHECK(sigignore(SIGSEGV) == 0);
	raise(SIGSEGV);
	CHECK(calls == 1);
	CHECK(sigaction(32, NULL, &old) == -1 && errno == EINVAL);
	CHECK(sigaction(0, NULL, &old) == -1 && errno == EINVAL);
	CHECK(signal(SIGKILL, count) == SIG_ERR && errno == EINVAL);
	CHECK(signal(SIGBUS, SIG_ERR) == SIG_ERR && errno == EINVAL);
}

static char *volatile stack_seen;

static void note_stack(int sig)
{
	char here;

	(void)sig;
	stack_seen = &here;
	calls++;
}

static void stacks_as_asked(void)
{
	static char memory[64 * 1024];
	stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)};
	struct sigaction a;

	setup();
	CHECK(sigaltstack(&stack, NULL) == 0);
	memset(&a, 0, sizeof(a));
	a.sa_handler = note_stack;
	CHECK(sigaction(SIGBUS, &a, NULL) == 0);
	raise(SIGBUS);
	CHECK(calls == 1);
	CHECK(stack_seen < memory || stack_seen >= memory + sizeof(memory));
	a.sa_flags = SA_ONSTACK;
	CHECK(sigaction(SIGBUS, &a, NULL) == 0);
	raise(SIGBUS);
	CHECK(calls == 2);
	CHECK(stack_seen >= memory && stack_seen < memory + sizeof(memory));
}

static int depth;

static void nest(int sig)
{
	calls++;
	if (depth++ < 3)
		raise(sig);
	CHECK(calls == 4);
}

static void nodefer(void)
{
	struct sigaction a;

	setup();
	memset(&a, 0, sizeof(a));
	a.sa_handler = nest;
	a.sa_flags = SA_NODEFER;
	CHECK(sigaction(SIGSEGV, &a, NULL) == 0);
	raise(SIGSEGV);
	CHECK(calls == 4);
}

/* A vfork child's settings are its own. */
static void vfork_child(void)
{
	struct sigaction old;
	pid_t child;
	int status;

	setup();
	CHECK(signal(SIGSEGV, count) == SIG_DFL);
	child = vfork();
	if (child == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(sigaction(SIGSEGV, NULL, &old) == 0);
	CHECK(old.sa_handler == count);
	raise(SIGSEGV);
	CHECK(calls == 1);
	check_healing();
}

/* ---- ends ---- */

static void dies_of_segv(void)
{
	setup();
	*(volatile char *)bad = 1;
}

static void dies_of_bus_that_was_sent(void)
{
	setup();
	raise(SIGBUS);
}

static void dies_although_ignored(void)
{
	setup();
	CHECK(signal(SIGSEGV, SIG_IGN) == SIG_DFL);
	raise(SIGSEGV);
	*(volatile char *)bad = 1;
}

static void dies_when_blocked(void)
{
	sigset_t set;

	setup();
	CHECK(signal(SIGSEGV, count) == SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	*(volatile char *)bad = 1;
}

static void crash_again(int sig)
{
	calls++;
	*(volatile char *)bad = 1;
	(void)sig;
}

/* A handler that faults itself ends the process, as it would plainly. */
static void dies_in_its_handler(void)
{
	setup();
	CHECK(signal(SIGSEGV, crash_again) == SIG_DFL);
	*(volatile char *)bad = 1;
}

static void jumps_to_nowhere(void)
{
	setup();
	/* A unit that is committed, but not executable. */
	((void (*)(void))(uintptr_t)unit(0))();
}

static void dies_of_bus_in_the_child(void)
{
	pid_t child;
	int status;

	setup();
	child = share_pages();
	unshare_pages(child);
	hl_backing_fork_prepare();
	child = fork();
	if (child == 0) {
		hl_backing_fork_child();
		raise(SIGBUS);
		_exit(0);
	}
	hl_backing_fork_parent();
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

#define CASE(f)                 \
	{                       \
#f, f, UNITS, 0 \
	}
#define DIES(f, sig)              \
	{                         \
#f, f, UNITS, sig \
	}

int main(void)
{
	static const struct machine_case cases[] = {
		CASE(heals_a_write),
		CASE(heals_a_dropped_page),
		CASE(heals_although_blocked_before),
		CASE(heals_although_blocked),
		CASE(heals_although_ignored),
		CASE(heals_in_a_handler),
		CASE(heals_for_many_threads),
		CASE(signal_stack_in_the_heap),
		CASE(own_segv_again_and_again),
		CASE(own_bus_beyond_a_file),
		CASE(uncommitted_unit_is_no_ones),
		CASE(mask_of_a_handler),
		CASE(masks_are_the_programs),
		CASE(one_shot_and_flavours),
		CASE(stacks_as_asked),
		CASE(nodefer),
		CASE(vfork_child),
		DIES(dies_of_segv, SIGSEGV),
		DIES(dies_of_bus_that_was_sent, SIGBUS),
		DIES(dies_although_ignored, SIGSEGV),
		DIES(dies_when_blocked, SIGSEGV),
		DIES(dies_in_its_handler, SIGSEGV),
		DIES(jumps_to_nowhere, SIGSEGV),
		CASE(dies_of_bus_in_the_child),
	};

	return machine_main(cases, HL_ARRAY_SIZE(cases));
}
