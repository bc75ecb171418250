/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A signal handler that forks, as crash handlers do: it catches the program in
 * the middle of malloc and of fork sooner or later. Parent and child both go on
 * with what was interrupted; some children exec instead.
 */
#include "it.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKS	400
#define SLOTS	64
#define LARGEST 1000000

static volatile sig_atomic_t forks;
static volatile sig_atomic_t depth; /* of processes */
static unsigned char *block[SLOTS];
static size_t bytes[SLOTS];

static void expect_exit(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		/* The handler forked while its parent waited. */
		if (errno == ECHILD && depth > 0)
			return;
		CHECK(errno == EINTR);
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void on_alarm(int sig)
{
	int saved = errno, n = forks;
	pid_t pid = fork();

	(void)sig;
	CHECK(pid >= 0);
	if (pid == 0 && n % 4 != 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	if (pid == 0)
		depth++; /* and return into whatever was interrupted */
	else
		expect_exit(pid);
	forks = n + 1;
	errno = saved;
}

static void fill(unsigned i, size_t n)
{
	free(block[i]);
	block[i] = malloc(n);
	bytes[i] = n;
	CHECK(block[i] != NULL);
	block[i][0] = (unsigned char)i;
	block[i][n - 1] = (unsigned char)i;
}

static void check_all(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (block[i] != NULL)
			CHECK(block[i][0] == i && block[i][bytes[i] - 1] == i);
	}
}

static void step(unsigned *random)
{
	unsigned i;

	*random = *random * 1103515245 + 12345;
	i = (*random >> 8) % SLOTS;
	fill(i, 1 + (*random >> 3) % (*random & 4096 ? 3000 : LARGEST));
}

/* Few forks of its own, so that they are interrupted as well. */
static void fork_plainly(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(0);
	expect_exit(pid);
}

int main(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval often = {{0, 1000}, {0, 1000}};
	unsigned random = 1, n = 0;

	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	/* A child has no timer: it returns here, works on, and ends. */
	while (depth == 0 ? forks < FORKS : n % 500 != 0) {
		step(&random);
		if (++n % 200 == 0 && depth == 0)
			fork_plainly();
	}
	CHECK(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);
	check_all();
	if (depth > 0)
		_exit(0);
	puts("done");
	return 0;
}
