/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --suggest PROGRAM: runs it under hugectl and takes its heap from the report;
 * its text and shared memory are looked at while it runs, first soon, then less
 * and less often. Its standard output becomes standard error, so that ours is
 * the answer alone.
 */
#include "hugeadm_suggest.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST_LOOK_MS 20
#define LAST_LOOK_MS  1000

/* hugectl beside this program, else where the shell finds it. */
static char *hugectl_path(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[HL_MAX(n, 0)] = '\0';
	slash = strrchr(self, '/');
	if (slash) {
		char *beside =
			tool_text("%.*s/hugectl", (int)(slash - self), self);

		if (access(beside, X_OK) == 0)
			return beside;
	}
	return tool_strdup("hugectl");
}

static void run(char **argv, const char *report)
{
	size_t n = 0;
	char **words;

	while (argv[n])
		n++;
	words = tool_zalloc(n + 5, sizeof(*words));
	words[0] = hugectl_path();
	words[1] = tool_strdup("--heap");
	words[2] = tool_text("--report=json:%s", report);
	words[3] = tool_strdup("--");
	memcpy(words + 4, argv, n * sizeof(*words));
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(words[0], words);
	tool_say("%s: %s", words[0], strerror(errno));
	_exit(127);
}

/* The program: the only child of hugectl. 0 if there is none yet. */
static pid_t child_of(pid_t pid)
{
	char *path = tool_text("/proc/%d/task/%d/children", pid, pid);
	char text[256];
	ssize_t n = hl_root_read(&hl_root_real, path, text, sizeof(text));

	free(path);
	return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static int wait_and_look(struct adm_demand *d, pid_t pid)
{
	int status, ms = FIRST_LOOK_MS;

	for (;;) {
		struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
		pid_t child, done;

		nanosleep(&t, NULL);
		done = waitpid(pid, &status, WNOHANG);
		if (done == pid)
			return status;
		if (done < 0 && errno != EINTR)
			return -1;
		child = child_of(pid);
		if (child > 0)
			(void)adm_demand_look(d, child);
		ms = HL_MIN(2 * ms, LAST_LOOK_MS);
	}
}

int adm_demand_run(struct adm_demand *d, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	char *report = tool_text(
		"%s/hugeadm-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
	struct adm_part seen;
	int fd = mkstemp(report), status;
	pid_t pid;

	if (fd < 0)
		return tool_fail("%s: %s", report, strerror(errno));
	close(fd);
	/* The program gets them; we stay for the answer. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		run(argv, report);
	}
	status = pid < 0 ? -1 : wait_and_look(d, pid);
	d->program = tool_strdup(argv[0]);
	/* hugectl's own statuses for a program that it could not start. */
	if (status == -1 || (WIFEXITED(status) && WEXITSTATUS(status) >= 125 &&
				    WEXITSTATUS(status) <= 127)) {
		(void)unlink(report);
		return tool_fail("--suggest: %s could not be run", argv[0]);
	}
	seen = d->heap;
	status = adm_demand_report(d, report);
	(void)unlink(report);
	if (status) {
		/* Not counted (static, set-uid): what was seen must do. */
		d->heap = seen;
		status = seen.bytes > 0 ? TOOL_OK : TOOL_FAILURE;
	}
	return status;
}
