/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocation at the end of things: in atexit handlers, destructors, children of
 * fork (also while other threads allocate), vfork, system, popen. The argument
 * says how to end: return, exit, _exit, quick_exit, thread.
 */
#include "it.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static void *kept;
static _Atomic int stop;

static void allocate_some(void)
{
	for (int i = 1; i < 200; i++) {
		void *p = malloc((size_t)i * (size_t)i * 7);

		CHECK(p != NULL);
		it_fill(p, 8 < i ? 8 : 1, 3);
		free(p);
	}
}

static void at_exit(void)
{
	CHECK(it_is_filled(kept, 100000, 8));
	free(kept);
	kept = malloc(3000000);
	it_fill(kept, 3000000, 9);
	allocate_some();
	puts("at exit");
}

static void at_quick_exit_(void)
{
	allocate_some();
	puts("at quick exit");
	fflush(stdout);
}

__attribute__((destructor)) static void destroyed(void)
{
	static const char text[] = "destructor\n";

	allocate_some();
	if (kept != NULL && malloc(10) != NULL)
		free(kept);
	CHECK(write(STDOUT_FILENO, text, sizeof(text) - 1) > 0);
}

static void *busy(void *arg)
{
	void *p[64] = {0};

	for (unsigned i = 0; !stop; i++) {
		size_t n = i * 2654435761u % (i % 50 == 0 ? 3000000 : 9000);

		free(p[i % 64]);
		p[i % 64] = malloc(n);
		CHECK(p[i % 64] != NULL);
	}
	for (int i = 0; i < 64; i++)
		free(p[i]);
	return arg;
}

static void wait_for(pid_t pid, int want)
{
	int status;

	CHECK(pid > 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == want);
}

/* Children of a process whose other threads are in the middle of malloc. */
static void forks(void)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, busy, NULL) == 0);
	for (int i = 0; i < 50; i++) {
		char *p = malloc(5000);
		pid_t pid;

		it_fill(p, 5000, (unsigned)i);
		pid = fork();
		if (pid == 0) {
			CHECK(it_is_filled(p, 5000, (unsigned)i));
			free(p);
			allocate_some();
			if (i % 10 == 0)
				wait_for(fork()
						 ?: (allocate_some(), _exit(4),
							    0),
					4);
			_exit(i % 100);
		}
		wait_for(pid, i % 100);
		CHECK(it_is_filled(p, 5000, (unsigned)i));
		free(p);
	}
	stop = 1;
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
}

static void other_starts(void)
{
	static char *const command[] = {"/bin/sh", "-c", "exit 6", NULL};
	char line[32] = "";
	pid_t pid;
	FILE *f;

	pid = vfork();
	if (pid == 0) {
		execve(command[0], command, environ);
		_exit(127);
	}
	wait_for(pid, 6);
	CHECK(posix_spawn(&pid, command[0], NULL, NULL, command, environ) == 0);
	wait_for(pid, 6);
	CHECK(WEXITSTATUS(system("exit 3")) == 3);
	f = popen("echo from a pipe", "r");
	CHECK(f != NULL && fgets(line, sizeof(line), f) != NULL);
	CHECK(strcmp(line, "from a pipe\n") == 0);
	CHECK(pclose(f) == 0);
}

static void *leave(void *arg)
{
	free(malloc(10));
	exit(5);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;

	it_preloaded();
	CHECK(argc == 2);
	kept = malloc(100000);
	it_fill(kept, 100000, 8);
	CHECK(atexit(at_exit) == 0);
	CHECK(at_quick_exit(at_quick_exit_) == 0);
	if (strcmp(argv[1], "return") == 0) {
		forks();
		other_starts();
	}
	puts("end of main");
	fflush(stdout);
	if (strcmp(argv[1], "exit") == 0)
		exit(4);
	if (strcmp(argv[1], "_exit") == 0)
		_exit(3);
	if (strcmp(argv[1], "quick_exit") == 0)
		quick_exit(2);
	if (strcmp(argv[1], "thread") == 0) {
		CHECK(pthread_create(&t, NULL, leave, NULL) == 0);
		pthread_join(t, NULL);
	}
	return 9;
}
