/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts a program once and prints what it cost: wall time, processor time
 * (us), largest resident set (KiB), exit status. Small itself, since the kernel
 * counts the parent's memory at fork into the child's largest resident set.
 *
 *   spawn_cost PROGRAM ARGUMENT...
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long us(struct timeval t)
{
	return t.tv_sec * 1000000LL + t.tv_usec;
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	struct rusage usage;
	int status;

	if (argc < 2)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &from);
	pid_t pid = vfork();

	if (pid < 0)
		return 1;
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%lld %lld %ld %d\n",
		(to.tv_sec - from.tv_sec) * 1000000LL +
			(to.tv_nsec - from.tv_nsec) / 1000,
		us(usage.ru_utime) + us(usage.ru_stime), usage.ru_maxrss,
		status);
	return 0;
}
