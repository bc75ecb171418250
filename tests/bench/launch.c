/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a command and says what it cost, as one line on file descriptor 3:
 *
 *   launch [NAME=VALUE]... COMMAND [ARGUMENT]...
 *   status user_us system_us wall_us peak_kb
 *
 * peak_kb is the most that the process held, resident and hugetlb together,
 * looked at every millisecond. The resident part alone is exact (VmHWM); the
 * sum can miss a peak that is shorter. Why not from run.py: ru_maxrss counts
 * the launcher's own memory from before the exec, and a Python thread that
 * samples takes CPU time from what is measured.
 *
 * The variables are set for the command only: the launcher itself, without
 * which it would be measured too, runs without anything preloaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static long field_kb(const char *status, const char *field)
{
	const char *at = strstr(status, field);

	return at == NULL ? 0 : strtol(at + strlen(field), NULL, 10);
}

/* What it holds now, or held (the resident part), whatever is more. */
static long held_kb(int fd)
{
	char status[8192];
	ssize_t n = pread(fd, status, sizeof(status) - 1, 0);
	long sum, high;

	if (n <= 0)
		return 0;
	status[n] = '\0';
	sum = field_kb(status, "\nVmRSS:") +
	      field_kb(status, "\nHugetlbPages:");
	high = field_kb(status, "\nVmHWM:");
	return sum > high ? sum : high;
}

static void start(char **argv)
{
	for (; *argv != NULL && strchr(*argv, '=') != NULL; argv++)
		if (putenv(*argv) != 0)
			_exit(126);
	if (*argv == NULL)
		_exit(126);
	execvp(*argv, argv);
	fprintf(stderr, "launch: %s: %s\n", *argv, strerror(errno));
	_exit(127);
}

static long long micro(struct timeval tv)
{
	return tv.tv_sec * 1000000LL + tv.tv_usec;
}

int main(int argc, char **argv)
{
	const struct timespec step = {.tv_nsec = 1000000};
	long long began = now_us();
	struct rusage usage;
	long peak = 0, held;
	char path[64];
	int fd, status;
	pid_t pid;

	if (argc < 2) {
		fprintf(stderr, "launch [NAME=VALUE]... COMMAND...\n");
		return 2;
	}
	fcntl(3, F_SETFD, FD_CLOEXEC);
	pid = fork();
	if (pid < 0) {
		perror("launch: fork");
		return 2;
	}
	if (pid == 0)
		start(argv + 1);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while ((pid = wait4(-1, &status, WNOHANG, &usage)) == 0) {
		held = held_kb(fd);
		peak = held > peak ? held : peak;
		nanosleep(&step, NULL);
	}
	if (pid < 0)
		return 2;
	dprintf(3, "%d %lld %lld %lld %ld\n", status, micro(usage.ru_utime),
		micro(usage.ru_stime), now_us() - began, peak);
	return 0;
}
