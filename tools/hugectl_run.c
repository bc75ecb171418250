/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugectl as the parent of the program, for --report. It should make no
 * difference to the program or to whoever started hugectl.
 *
 * The program stays in hugectl's process group, so that the terminal treats
 * both as one job. hugectl has all signals blocked and takes them one by one:
 *  - from the terminal (sent by the kernel): the program got it too; ignored;
 *  - sent to hugectl by a process: passed on to the program;
 *  - the program stopped as a job does: hugectl stops itself by the same
 *    signal, so that its own parent sees a stopped job, and continues the
 *    program when it is continued, if the program was not continued too.
 *
 * A signal that somebody sends to the whole group reaches the program twice:
 * nothing tells that case from a signal to hugectl alone.
 *
 * At the end hugectl exits with the program's status, or kills itself by the
 * program's signal, without a second core file.
 */
#include "hugectl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int ctl_exec(const struct ctl_target *t, char **argv, char *const *envp)
{
	size_t n = 0;
	char **shell;

	execve(t->path, argv, envp);
	if (errno != ENOEXEC)
		return -errno;
	/* As execvp(3) does it: a script without "#!". */
	while (argv[n])
		n++;
	shell = calloc(n + 2, sizeof(*shell));
	if (!shell)
		return -ENOMEM;
	shell[0] = (char *)(uintptr_t) "/bin/sh";
	shell[1] = (char *)(uintptr_t)t->path;
	for (size_t i = 1; i < n; i++)
		shell[i + 1] = argv[i];
	execve(shell[0], shell, envp);
	return -errno;
}

int ctl_exit_of(int err)
{
	return err == -ENOENT ? CTL_EXIT_NOT_FOUND : CTL_EXIT_NOT_EXECUTABLE;
}

/* What a process can neither block nor sensibly pass on. */
static void fill_passed(sigset_t *set)
{
	static const int faults[] = {
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};

	sigfillset(set);
	for (size_t i = 0; i < HL_ARRAY_SIZE(faults); i++)
		sigdelset(set, faults[i]);
}

struct child {
	pid_t pid;
	int status;
	struct rusage usage;
	bool ended;
};

/* Ends the calling process by the default action of sig, if it has one. */
static void die_by(int sig)
{
	sigset_t one;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(sig, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, sig);
	kill(getpid(), sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
}

/* Stops as the program did; returns when continued. */
static void stop_by(int sig)
{
	const struct timespec at_once = {0, 0};
	sigset_t one, cont;

	sigemptyset(&one);
	sigaddset(&one, sig);
	kill(getpid(), sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	/* Here hugectl was stopped, unless its group is orphaned. */
	sigprocmask(SIG_BLOCK, &one, NULL);
	/* What continued hugectl has been acted on. */
	sigemptyset(&cont);
	sigaddset(&cont, SIGCONT);
	(void)sigtimedwait(&cont, NULL, &at_once);
}

/*
 * A SIGSTOP to the program alone, where no terminal is involved, is the
 * sender's to undo, who knows nothing of hugectl.
 */
static bool is_job_stop(int sig)
{
	int tty;
	bool foreground;

	if (sig != SIGSTOP)
		return true;
	tty = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (tty < 0)
		return false;
	foreground = tcgetpgrp(tty) == getpgrp();
	close(tty);
	return foreground;
}

/*
 * Follows the program's stops. What continues hugectl goes to the whole group
 * as a rule: a SIGCONT of ours then comes late, perhaps after the next stop,
 * and undoes it. So the program gets one only if it is still where it was.
 */
static void follow(struct child *child)
{
	bool resumed = false;
	int status;

	while (wait4(child->pid, &status, WNOHANG | WUNTRACED | WCONTINUED,
		       &child->usage) == child->pid) {
		resumed = false;
		if (WIFCONTINUED(status))
			continue;
		if (!WIFSTOPPED(status)) {
			child->status = status;
			child->ended = true;
			return;
		}
		if (is_job_stop(WSTOPSIG(status))) {
			stop_by(WSTOPSIG(status));
			resumed = true;
		}
	}
	if (resumed)
		kill(child->pid, SIGCONT);
}

static void reap(struct child *child, struct ctl_report *r)
{
	siginfo_t info = {0};

	/* What /proc says of a zombie is gone once it is reaped. */
	if (waitid(P_PID, (id_t)child->pid, &info,
		    WEXITED | WNOHANG | WNOWAIT) == 0 &&
		info.si_pid == child->pid)
		ctl_report_ended(r);
	follow(child);
}

static void pass_on(const struct child *child, const siginfo_t *info)
{
	union sigval value = info->si_value;

	/* The kernel's: of the terminal, for the whole foreground group. */
	if (info->si_code > 0)
		return;
	/* The program's own signals to its parent stay here. */
	if (info->si_pid == child->pid)
		return;
	if (info->si_code == SI_QUEUE)
		sigqueue(child->pid, info->si_signo, value);
	else
		kill(child->pid, info->si_signo);
}

static void watch(
	struct child *child, const sigset_t *passed, struct ctl_report *r)
{
	while (!child->ended) {
		unsigned ms = ctl_report_poll(r);
		struct timespec timeout = {
			ms / 1000, (long)(ms % 1000) * 1000000};
		siginfo_t info;
		int sig = sigtimedwait(passed, &info, &timeout);

		if (sig == SIGCHLD)
			reap(child, r);
		else if (sig > 0)
			pass_on(child, &info);
	}
}

/* Runs in the child; what it returns is the reason of the failure. */
static int become(const struct ctl_target *t, char **argv, char *const *envp,
	const sigset_t *mask, const struct sigaction *on_child)
{
	sigaction(SIGCHLD, on_child, NULL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	return ctl_exec(t, argv, envp);
}

static int conclude(
	const struct ctl_options *o, struct ctl_report *r, struct child *child)
{
	int err = ctl_report_finish(r, child->status, &child->usage);

	if (err)
		ctl_say(o, HL_LOG_ERROR, "the report was not written: %s",
			ctl_reason(err));
	if (WIFSIGNALED(child->status)) {
		die_by(WTERMSIG(child->status));
		return 128 + WTERMSIG(child->status);
	}
	return WEXITSTATUS(child->status);
}

int ctl_run(const struct ctl_options *o, const struct ctl_target *t,
	char *const *envp, struct ctl_report *r)
{
	const struct sigaction by_default = {.sa_handler = SIG_DFL};
	struct child child = {0};
	struct sigaction on_child;
	sigset_t passed, mask;
	volatile int exec_error = 0;

	fill_passed(&passed);
	sigprocmask(SIG_BLOCK, &passed, &mask);
	/* With SIGCHLD ignored there would be nothing to wait for. */
	sigaction(SIGCHLD, &by_default, &on_child);
	/* Memory is shared until the exec, so that its failure is seen here. */
	child.pid = vfork();
	if (child.pid == 0) {
		exec_error = become(t, o->target, envp, &mask, &on_child);
		_exit(CTL_EXIT_FAILURE);
	}
	if (child.pid < 0) {
		ctl_say(o, HL_LOG_ERROR, "no new process: %s",
			ctl_reason(errno));
		return CTL_EXIT_FAILURE;
	}
	if (exec_error) {
		waitpid(child.pid, NULL, 0);
		ctl_say(o, HL_LOG_ERROR, "%s: %s", t->path,
			ctl_reason(exec_error));
		return ctl_exit_of(exec_error);
	}
	ctl_report_started(r, child.pid);
	watch(&child, &passed, r);
	return conclude(o, r, &child);
}
