/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our SIGBUS and SIGSEGV handlers, and the program's own settings behind them.
 *
 * Until the first huge page is taken nothing differs from libc: calls go
 * straight to the kernel. From then on the two signals have our handlers and
 * are never really blocked. The program's dispositions are kept here, and
 * queries answer with them. A blocked SIGBUS or SIGSEGV is represented in the
 * kernel's mask by a stand-in, a real-time signal that hardly anybody
 * uses: so sigsetjmp, sigreturn, setcontext and new threads carry the
 * program's view along without our help.
 *
 * A fault that is not ours is passed on exactly as the kernel would have
 * delivered it: SIG_DFL and a blocked signal end the process by that signal; a
 * handler runs with its own mask, on the stack it asked for, and is forgotten
 * first if it is one-shot.
 *
 * Dispositions are guarded by a sequence number that is odd during a change;
 * changes are made with all signals blocked, handlers read. A vfork child
 * shares our memory but not the kernel's table: it passes straight through.
 */
#include "backing/signals.h"

#include "backing/area_internal.h"
#include "base/syscall.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define OURS 2
static const int our_signals[OURS] = {SIGBUS, SIGSEGV};
/* Near the top of the range, but not the last, which debuggers use. */
static const int stand_ins[OURS] = {61, 62};

#define BIT(sig)       ((uint64_t)1 << ((sig)-1))
#define OUR_BITS       (BIT(SIGBUS) | BIT(SIGSEGV))
#define KERNEL_SIGNALS 64

#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif

#if defined(__riscv) || defined(__loongarch__)
#define HAVE_RESTORER 0
#else
#define HAVE_RESTORER 1
#endif

/* struct sigaction as rt_sigaction(2) takes it. */
struct kernel_action {
	uintptr_t handler;
	unsigned long flags;
#if HAVE_RESTORER
	uintptr_t restorer;
#endif
	uint64_t mask;
};

struct disposition {
	_Atomic uintptr_t handler;
	_Atomic unsigned long flags;
	_Atomic uint64_t mask;
};
static _Atomic uint32_t change_seq; /* guards programs[] and the kernel's */
static struct disposition programs[OURS];
static _Atomic bool active;
static _Atomic pid_t owner; /* whose table of handlers this is */

struct thread_view {
	bool checked;	 /* the mask has been looked at since active */
	uint8_t own;	 /* stand-ins that the program blocked by itself */
	uint8_t blocked; /* ... and whether the real one was meant as well */
	uint8_t pending; /* sent to us while the program had it blocked */
};
static _Thread_local struct thread_view view;

#if defined(__x86_64__)
/* Unwinders and debuggers know a signal frame by exactly these bytes. */
void hl_signals_restorer(void);
__asm__(".pushsection .text\n"
	".balign 16\n"
	"	nop\n"
	".hidden hl_signals_restorer\n"
	".globl hl_signals_restorer\n"
	".type hl_signals_restorer, @function\n"
	"hl_signals_restorer:\n"
	"	movq $15, %rax\n"
	"	syscall\n"
	".size hl_signals_restorer, .-hl_signals_restorer\n"
	".popsection\n");
#endif

static int index_of(int sig)
{
	for (int i = 0; i < OURS; i++) {
		if (our_signals[i] == sig)
			return i;
	}
	return -1;
}

/* ---- the kernel ---- */

static int set_action(
	int sig, const struct kernel_action *action, struct kernel_action *old)
{
	struct kernel_action a;

	if (action != NULL) {
		a = *action;
#if defined(__x86_64__)
		a.flags |= SA_RESTORER;
		a.restorer = (uintptr_t)hl_signals_restorer;
#endif
		action = &a;
	}
	return (int)hl_syscall(SYS_rt_sigaction, sig, (long)action, (long)old,
		sizeof(a.mask), 0, 0);
}

static int set_mask(int how, const uint64_t *set, uint64_t *old)
{
	return (int)hl_syscall(SYS_rt_sigprocmask, how, (long)set, (long)old,
		sizeof(*set), 0, 0);
}

static pid_t this_process(void)
{
	return (pid_t)hl_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

/* ---- libc's types ---- */

static uint64_t bits_of(const sigset_t *set)
{
	uint64_t bits;

	memcpy(&bits, set, sizeof(bits));
	return bits;
}

static void set_bits(sigset_t *set, uint64_t bits)
{
	memcpy(set, &bits, sizeof(bits));
}

static void from_libc(const struct sigaction *from, struct kernel_action *to)
{
	memset(to, 0, sizeof(*to));
	memcpy(&to->handler, &from->sa_sigaction, sizeof(to->handler));
	to->flags = (unsigned long)(unsigned)from->sa_flags;
	to->mask = bits_of(&from->sa_mask);
}

static void to_libc(const struct kernel_action *from, struct sigaction *to)
{
	memcpy(&to->sa_sigaction, &from->handler, sizeof(from->handler));
	to->sa_flags = (int)(from->flags & ~(unsigned long)SA_RESTORER);
	memset(&to->sa_mask, 0, sizeof(to->sa_mask));
	set_bits(&to->sa_mask, from->mask);
}

/* The signals that libc keeps for itself are never blocked. */
static uint64_t libc_bits(void)
{
	uint64_t bits = 0;

	for (int sig = 32; sig < SIGRTMIN; sig++)
		bits |= BIT(sig);
	return bits;
}

/* ---- masks: the program's view and the kernel's ---- */

static uint64_t to_kernel(uint64_t bits)
{
	for (int i = 0; i < OURS; i++) {
		if (bits & BIT(our_signals[i]))
			bits |= BIT(stand_ins[i]);
	}
	return bits & ~OUR_BITS;
}

/* A stand-in that the program blocked on its own account means nothing. */
static bool stands_for(int i)
{
	return !(view.own & 1u << i) || (view.blocked & 1u << i);
}

static uint64_t to_program(uint64_t bits)
{
	for (int i = 0; i < OURS; i++) {
		if (!(bits & BIT(stand_ins[i])))
			continue;
		if (stands_for(i))
			bits |= BIT(our_signals[i]);
		if (!(view.own & 1u << i))
			bits &= ~BIT(stand_ins[i]);
	}
	return bits;
}

static void update_view(int how, uint64_t set)
{
	for (int i = 0; i < OURS; i++) {
		uint8_t bit = (uint8_t)(1u << i);
		bool own = set & BIT(stand_ins[i]);
		bool real = set & BIT(our_signals[i]);

		if (how == SIG_SETMASK) {
			view.own &= (uint8_t)~bit;
			view.blocked &= (uint8_t)~bit;
		}
		if (how == SIG_UNBLOCK) {
			view.own &= (uint8_t) ~(own ? bit : 0);
			view.blocked &= (uint8_t) ~(real ? bit : 0);
		} else {
			view.own |= own ? bit : 0;
			view.blocked |= real ? bit : 0;
		}
	}
}

/* What was sent while the program had it blocked. */
static void send_pending(void)
{
	uint64_t mask = 0;

	if (view.pending == 0 || set_mask(SIG_BLOCK, NULL, &mask) < 0)
		return;
	for (int i = 0; i < OURS; i++) {
		uint8_t bit = (uint8_t)(1u << i);

		if (!(view.pending & bit) || (mask & BIT(stand_ins[i])))
			continue;
		view.pending &= (uint8_t)~bit;
		(void)hl_syscall(SYS_tgkill, this_process(),
			hl_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0),
			our_signals[i], 0, 0, 0);
	}
}

int hl_signals_mask(int how, const sigset_t *set, sigset_t *old)
{
	uint64_t asked = 0, bits = 0, before = 0;
	bool ours = hl_signals_active();
	int rc;

	if (ours)
		hl_signals_thread_check();
	if (set != NULL) {
		asked = bits_of(set) & ~libc_bits();
		bits = asked;
	}
	if (ours && how == SIG_UNBLOCK)
		/* A stand-in of its own must not open the real one. */
		bits = to_kernel(asked & OUR_BITS) | (asked & ~OUR_BITS);
	else if (ours)
		bits = to_kernel(asked);
	rc = set_mask(how, set == NULL ? NULL : &bits, &before);
	if (rc < 0)
		return rc;
	/* The answer before the view changes. */
	before = ours ? to_program(before) : before;
	if (ours && set != NULL) {
		update_view(how, asked);
		send_pending();
	}
	if (old != NULL)
		set_bits(old, before);
	return 0;
}

void hl_signals_thread_check(void)
{
	uint64_t mask = 0, fixed;

	if (view.checked || !hl_signals_active())
		return;
	view.checked = true;
	if (set_mask(SIG_BLOCK, NULL, &mask) < 0 || !(mask & OUR_BITS))
		return;
	fixed = to_kernel(mask);
	(void)set_mask(SIG_SETMASK, &fixed, NULL);
}

/* ---- dispositions ---- */

static void change_begin(struct hl_sigmask *saved)
{
	uint32_t seq;

	hl_signals_block(saved);
	do {
		seq = atomic_load_explicit(&change_seq, memory_order_relaxed) &
		      ~1u;
	} while (!atomic_compare_exchange_weak_explicit(&change_seq, &seq,
		seq + 1, memory_order_acquire, memory_order_relaxed));
	atomic_thread_fence(memory_order_release);
}

static void change_end(const struct hl_sigmask *saved)
{
	atomic_fetch_add_explicit(&change_seq, 1, memory_order_release);
	hl_signals_restore(saved);
}

static void store(int i, const struct kernel_action *a)
{
	atomic_store_explicit(
		&programs[i].handler, a->handler, memory_order_relaxed);
	atomic_store_explicit(
		&programs[i].flags, a->flags, memory_order_relaxed);
	atomic_store_explicit(&programs[i].mask, a->mask, memory_order_relaxed);
}

static void load(int i, struct kernel_action *a)
{
	memset(a, 0, sizeof(*a));
	a->handler = atomic_load_explicit(
		&programs[i].handler, memory_order_relaxed);
	a->flags =
		atomic_load_explicit(&programs[i].flags, memory_order_relaxed);
	a->mask = atomic_load_explicit(&programs[i].mask, memory_order_relaxed);
}

/* One disposition, whole, also while another thread changes it. */
static void read_disposition(int i, struct kernel_action *a)
{
	uint32_t seq;

	do {
		seq = atomic_load_explicit(&change_seq, memory_order_acquire);
		load(i, a);
		atomic_thread_fence(memory_order_acquire);
	} while ((seq & 1) || atomic_load_explicit(&change_seq,
				      memory_order_relaxed) != seq);
}

static void on_fault(int sig, siginfo_t *info, void *context);

/* Our handler, with what of the program's flags the kernel has to know. */
static int install(int i, const struct kernel_action *program)
{
	struct kernel_action a = {
		.flags = SA_SIGINFO | (program->flags & SA_RESTART),
		.mask = UINT64_MAX,
	};
	void (*handler)(int, siginfo_t *, void *) = on_fault;

	memcpy(&a.handler, &handler, sizeof(a.handler));
	if (program->handler == (uintptr_t)SIG_DFL ||
		program->handler == (uintptr_t)SIG_IGN ||
		(program->flags & SA_ONSTACK))
		a.flags |= SA_ONSTACK;
	return set_action(our_signals[i], &a, NULL);
}

static int change_ours(
	int i, const struct kernel_action *action, struct kernel_action *old)
{
	struct hl_sigmask saved;
	int rc = 0;

	change_begin(&saved);
	load(i, old);
	if (action != NULL) {
		store(i, action);
		rc = install(i, action);
	}
	change_end(&saved);
	return rc;
}

/* The signals that are not ours, or before ours are: the kernel's table. */
static int change_kernel(int sig, const struct kernel_action *action,
	struct kernel_action *old, bool translate)
{
	struct kernel_action a;
	int rc;

	if (action != NULL) {
		a = *action;
		if (translate)
			a.mask = to_kernel(a.mask);
		action = &a;
	}
	rc = set_action(sig, action, old);
	if (rc == 0 && translate)
		old->mask = to_program(old->mask);
	return rc;
}

int hl_signals_action(
	int sig, const struct sigaction *action, struct sigaction *old)
{
	struct kernel_action new_action = {0}, before = {0};
	struct kernel_action *a = NULL;
	int i = index_of(sig), rc;
	bool ours = hl_signals_active();

	if (sig >= 32 && sig < SIGRTMIN)
		return -EINVAL;
	if (action != NULL) {
		from_libc(action, &new_action);
		a = &new_action;
	}
	if (ours && i >= 0 &&
		this_process() ==
			atomic_load_explicit(&owner, memory_order_relaxed))
		rc = change_ours(i, a, &before);
	else
		rc = change_kernel(sig, a, &before, ours && i < 0);
	if (rc == 0 && old != NULL)
		to_libc(&before, old);
	return rc;
}

/* ---- installation ---- */

bool hl_signals_active(void)
{
	return atomic_load_explicit(&active, memory_order_acquire);
}

/* A handler that runs with everything blocked would run without us. */
static void open_masks_of_others(void)
{
	struct kernel_action a;

	for (int sig = 1; sig <= KERNEL_SIGNALS; sig++) {
		if (index_of(sig) >= 0 || (BIT(sig) & libc_bits()) ||
			set_action(sig, NULL, &a) < 0 ||
			a.handler <= (uintptr_t)SIG_IGN || !(a.mask & OUR_BITS))
			continue;
		a.mask = to_kernel(a.mask);
		(void)set_action(sig, &a, NULL);
	}
}

/* The kernel's table names our handler, with the program's own behind it. */
static void take_over(int i)
{
	void (*handler)(int, siginfo_t *, void *) = on_fault;
	struct kernel_action a;

	if (set_action(our_signals[i], NULL, &a) < 0 ||
		memcmp(&a.handler, &handler, sizeof(a.handler)) == 0)
		return;
	store(i, &a);
	(void)install(i, &a);
}

void hl_heal_install(void)
{
	struct hl_sigmask saved;

	/* Also when active: a raw system call may have replaced ours. */
	change_begin(&saved);
	for (int i = 0; i < OURS; i++)
		take_over(i);
	if (!hl_signals_active()) {
		atomic_store_explicit(
			&owner, this_process(), memory_order_relaxed);
		atomic_store_explicit(&active, true, memory_order_release);
		open_masks_of_others();
	}
	change_end(&saved);
	hl_signals_thread_check();
}

void hl_heal_arm(void)
{
	if (!hl_signals_active() && &hl_signals_interposed != NULL &&
		hl_signals_interposed)
		hl_heal_install();
}

void hl_signals_fork_child(void)
{
	atomic_store_explicit(&change_seq, 0, memory_order_relaxed);
	if (hl_signals_active())
		atomic_store_explicit(
			&owner, this_process(), memory_order_relaxed);
}

/* ---- the handler ---- */

/* Ends the process by this signal, as if nobody had caught it. */
static void die(int sig, const siginfo_t *info)
{
	struct kernel_action a = {.handler = (uintptr_t)SIG_DFL};

	/*
	 * Delivered when the handler returns, with the state of the fault. If
	 * it is not (process 1), the fault repeats, and meets SIG_DFL.
	 */
	(void)set_action(sig, &a, NULL);
	(void)hl_syscall(SYS_rt_tgsigqueueinfo, this_process(),
		hl_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0), sig, (long)info, 0,
		0);
}

static void forget_one_shot(int i)
{
	struct kernel_action none = {.handler = (uintptr_t)SIG_DFL};
	struct kernel_action old;

	(void)change_ours(i, &none, &old);
}

static void call_program(int i, const struct kernel_action *a, siginfo_t *info,
	ucontext_t *context)
{
	int sig = our_signals[i];
	uint64_t before = bits_of(&context->uc_sigmask);
	uint64_t during = a->mask;
	void (*handler)(int, siginfo_t *, void *);

	if (a->flags & SA_RESETHAND)
		forget_one_shot(i);
	if (!(a->flags & SA_NODEFER))
		during |= BIT(sig);
	memcpy(&handler, &a->handler, sizeof(handler));
	/* What the handler sees and may change is the program's view. */
	set_bits(&context->uc_sigmask, to_program(before));
	during = to_kernel(during & ~libc_bits()) | before;
	(void)set_mask(SIG_SETMASK, &during, NULL);
	handler(sig, info, context);
	set_bits(
		&context->uc_sigmask, to_kernel(bits_of(&context->uc_sigmask)));
}

static void pass_on(int i, siginfo_t *info, ucontext_t *context)
{
	uint64_t mask = bits_of(&context->uc_sigmask);
	bool blocked = (mask & BIT(stand_ins[i])) && stands_for(i);
	bool sent = info->si_code <= 0;
	struct kernel_action a;

	read_disposition(i, &a);
	if (sent && blocked)
		view.pending |= (uint8_t)(1u << i);
	else if (sent && a.handler == (uintptr_t)SIG_IGN)
		return;
	else if (blocked || a.handler == (uintptr_t)SIG_IGN ||
		 a.handler == (uintptr_t)SIG_DFL)
		die(our_signals[i], info);
	else
		call_program(i, &a, info, context);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	int i = index_of(sig);

	if (info->si_code > 0 && hl_heal(sig, info->si_code, info->si_addr))
		return;
	pass_on(i, info, context);
}

/* ---- the signal stack ---- */

int hl_signals_altstack(const stack_t *stack, stack_t *old)
{
	/* A fault on a stack inside such a page could not be handled. */
	if (stack != NULL && !(stack->ss_flags & SS_DISABLE))
		hl_area_convert_range(stack->ss_sp, stack->ss_size);
	return (int)hl_syscall(
		SYS_sigaltstack, (long)stack, (long)old, 0, 0, 0, 0);
}
