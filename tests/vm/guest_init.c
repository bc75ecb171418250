/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PID 1 of the virtual machine of vm.py. Statically linked: it starts from an
 * initramfs that has nothing but itself, the modules of the kernel that it
 * loads in order, and the job.
 *
 * Makes the host's files the root, read-only below a layer in memory, with a
 * fresh /proc, /sys, /dev, /run and cgroup v2; the directories in /shares are
 * the host's own. Then runs the job, a script for bash, with its output on the
 * second serial port; its exit status goes to the third. Powers off.
 *
 * What fails on the way is said on the console, and no status is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define NINEP "trans=virtio,version=9p2000.L,msize=512000,"
#define NEW   "/new"
#define JOB   "/run/vm/job"
/* How long what the job left running may hold its output. */
#define LINGER_MS 1000

static void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void fail(const char *what, const char *name)
{
	printf("guest: %s %s: %s\n", what, name, strerror(errno));
	fflush(stdout);
	power_off();
}

static void make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		fail("mkdir", path);
}

static void mount_at(const char *type, const char *source, const char *where,
	const char *options, unsigned long flags)
{
	make_dir(where);
	if (mount(source, where, type, flags, options) < 0)
		fail("mount", where);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 &&
		  write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Their names begin with a number. */
static void load_modules(void)
{
	glob_t found;

	if (glob("/modules/*", 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		int fd = open(found.gl_pathv[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
			fail("module", found.gl_pathv[i]);
		close(fd);
	}
	globfree(&found);
}

static void mount_root(void)
{
	mount_at("9p", "root", "/host", NINEP "cache=loose,noxattr", MS_RDONLY);
	mount_at("tmpfs", "tmpfs", "/writes", "mode=755", 0);
	make_dir("/writes/upper");
	make_dir("/writes/work");
	mount_at("overlay", "overlay", NEW,
		"lowerdir=/host,upperdir=/writes/upper,workdir=/writes/work",
		0);
}

static void mount_system(void)
{
	mount_at("proc", "proc", NEW "/proc", NULL, 0);
	mount_at("sysfs", "sysfs", NEW "/sys", NULL, 0);
	mount_at("devtmpfs", "devtmpfs", NEW "/dev", NULL, 0);
	mount_at("tmpfs", "tmpfs", NEW "/dev/shm", "mode=1777", 0);
	mount_at("devpts", "devpts", NEW "/dev/pts",
		"gid=5,mode=620,ptmxmode=666", 0);
	mount_at("hugetlbfs", "hugetlbfs", NEW "/dev/hugepages", NULL, 0);
	mount_at("cgroup2", "cgroup2", NEW "/sys/fs/cgroup", NULL, 0);
	mount_at("tmpfs", "tmpfs", NEW "/run", "mode=755", 0);
	make_dir(NEW "/run/vm");
	(void)symlink("/proc/self/fd", NEW "/dev/fd");
	(void)symlink("/proc/self/fd/0", NEW "/dev/stdin");
	(void)symlink("/proc/self/fd/1", NEW "/dev/stdout");
	(void)symlink("/proc/self/fd/2", NEW "/dev/stderr");
}

/* Lines "TAG PATH". */
static void mount_shares(void)
{
	char line[4096], tag[64], path[2048], where[2100];
	FILE *f = fopen("/shares", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%63s %2047[^\n]", tag, path) != 2)
			continue;
		snprintf(where, sizeof(where), NEW "%s", path);
		mount_at("9p", tag, where, NINEP "cache=mmap", 0);
	}
	if (f != NULL)
		fclose(f);
}

static void take_job_along(void)
{
	char buf[65536];
	int from = open("/job", O_RDONLY | O_CLOEXEC);
	int to = open(NEW JOB, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ssize_t n;

	if (from < 0 || to < 0)
		fail("open", JOB);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			fail("write", JOB);
	close(from);
	close(to);
}

static void change_root(void)
{
	if (chdir(NEW) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 ||
		chroot(".") < 0 || chdir("/") < 0)
		fail("change to", NEW);
}

/* All controllers, for children of the root group. */
static void open_cgroups(void)
{
	char names[1024], word[128];
	int fd =
		open("/sys/fs/cgroup/cgroup.controllers", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, names, sizeof(names) - 1);

	if (fd >= 0)
		close(fd);
	names[n > 0 ? n : 0] = '\0';
	for (char *at = strtok(names, " \n"); at; at = strtok(NULL, " \n")) {
		snprintf(word, sizeof(word), "+%s", at);
		(void)write_file("/sys/fs/cgroup/cgroup.subtree_control", word);
	}
}

/* What is written comes out as it is. */
static int open_port(const char *path)
{
	int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	struct termios t;

	if (fd < 0 || tcgetattr(fd, &t) < 0)
		fail("port", path);
	cfmakeraw(&t);
	t.c_cflag |= CLOCAL;
	if (tcsetattr(fd, TCSANOW, &t) < 0)
		fail("port", path);
	return fd;
}

static void put(int fd, const char *data, size_t bytes)
{
	while (bytes > 0) {
		ssize_t n = write(fd, data, bytes);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			data += n;
			bytes -= (size_t)n;
		}
	}
}

static pid_t start_job(int out)
{
	pid_t child = fork();
	int null;

	if (child != 0)
		return child;
	null = open("/dev/null", O_RDONLY);
	setsid();
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	execl("/bin/bash", "bash", JOB, (char *)NULL);
	_exit(127);
}

/* Reaps whatever ends; true if it was the job, whose status is stored. */
static bool reap(pid_t job, int *status)
{
	bool found = false;
	int what;
	pid_t ended;

	while ((ended = waitpid(-1, &what, WNOHANG)) > 0) {
		if (ended != job)
			continue;
		*status = WIFEXITED(what) ? WEXITSTATUS(what)
					  : 128 + WTERMSIG(what);
		found = true;
	}
	return found;
}

/* Until the job has ended, and its output as well or LINGER_MS later. */
static int run_job(int port)
{
	struct timespec pause_time = {0, 5 * 1000000};
	int ends[2], status = 0, left = LINGER_MS / 5;
	bool ended = false;
	char buf[4096];
	pid_t job;

	if (pipe2(ends, O_CLOEXEC) < 0)
		fail("pipe", "");
	job = start_job(ends[1]);
	if (job < 0)
		fail("fork", JOB);
	close(ends[1]);
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	while (left > 0) {
		ssize_t n = read(ends[0], buf, sizeof(buf));

		if (n > 0) {
			put(port, buf, (size_t)n);
			continue;
		}
		ended = reap(job, &status) || ended;
		if (n == 0 && ended)
			break;
		left -= ended;
		nanosleep(&pause_time, NULL);
	}
	return status;
}

int main(void)
{
	char text[32];
	int out, status_port;

	mount_at("proc", "proc", "/proc", NULL, 0);
	mount_at("devtmpfs", "devtmpfs", "/dev", NULL, 0);
	load_modules();
	mount_root();
	mount_system();
	mount_shares();
	take_job_along();
	change_root();
	open_cgroups();
	out = open_port("/dev/ttyS1");
	status_port = open_port("/dev/ttyS2");
	snprintf(text, sizeof(text), "%d\n", run_job(out));
	tcdrain(out);
	put(status_port, text, strlen(text));
	tcdrain(status_port);
	power_off();
	return 0;
}
