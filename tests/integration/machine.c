/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See machine.h. The parent of the cases holds no huge page itself, so after
 * each case the pool must be as it was set, free and unreserved: a leak fails
 * the case.
 */
#include "machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define POOLS "/sys/kernel/mm/hugepages"
#define GROUP "hugetlbfs2-test"

static size_t page_bytes;
static char group_root[512]; /* of the hierarchy that has hugetlb limits */
static bool group_v2;
static bool group_enabled_by_us;
static pid_t hog;
/* Pages that other programs of this machine hold: not part of the game. */
static long others;

/* ---- files ---- */

static bool read_text(const char *path, char *buf, size_t capacity)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, capacity - 1);
	close(fd);
	if (n < 0)
		return false;
	buf[n] = '\0';
	return true;
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

size_t machine_page_bytes(void)
{
	char line[256];
	size_t kib;
	FILE *f;

	if (page_bytes != 0)
		return page_bytes;
	f = fopen("/proc/meminfo", "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "Hugepagesize: %zu kB", &kib) == 1)
			page_bytes = kib * 1024;
	}
	if (f != NULL)
		fclose(f);
	return page_bytes;
}

static void pool_path(char *path, size_t capacity, const char *name)
{
	snprintf(path, capacity, POOLS "/hugepages-%zukB/%s",
		machine_page_bytes() / 1024, name);
}

static long pool_file(const char *name)
{
	char path[512], text[64];

	pool_path(path, sizeof(path), name);
	CHECK(read_text(path, text, sizeof(text)));
	return atol(text);
}

long machine_pool(const char *name)
{
	bool total = strcmp(name, "nr_hugepages") == 0;

	return pool_file(name) - (total ? others : 0);
}

void machine_set_pool(long pages)
{
	char path[512], text[64];

	pool_path(path, sizeof(path), "nr_hugepages");
	snprintf(text, sizeof(text), "%ld", pages + others);
	CHECK(write_text(path, text));
}

/* ---- another process that holds pages ---- */

bool machine_hog_start(long pages)
{
	size_t bytes = (size_t)pages * machine_page_bytes();
	int ready[2];
	char byte = 0;

	CHECK(pipe(ready) == 0);
	hog = fork();
	CHECK(hog >= 0);
	if (hog == 0) {
		void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

		close(ready[0]);
		if (p == MAP_FAILED)
			_exit(1);
		memset(p, 1, bytes);
		CHECK(write(ready[1], "x", 1) == 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		machine_hog_stop();
	close(ready[0]);
	return hog > 0;
}

void machine_hog_stop(void)
{
	if (hog <= 0)
		return;
	kill(hog, SIGKILL);
	waitpid(hog, NULL, 0);
	hog = 0;
}

/* ---- cgroup ---- */

/* The hierarchy that has the hugetlb controller. */
static bool find_hierarchy(void)
{
	char line[4096], dir[512], type[64], options[2048];
	char path[1024], text[512];
	FILE *f = fopen("/proc/mounts", "re");
	bool found = false;

	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%*s %511s %63s %2047s", dir, type, options) !=
			3)
			continue;
		snprintf(path, sizeof(path), "%s/cgroup.controllers", dir);
		group_v2 = strcmp(type, "cgroup2") == 0;
		if (group_v2)
			found = read_text(path, text, sizeof(text)) &&
				strstr(text, "hugetlb") != NULL;
		else
			found = strcmp(type, "cgroup") == 0 &&
				strstr(options, "hugetlb") != NULL;
	}
	if (f != NULL)
		fclose(f);
	if (found)
		snprintf(group_root, sizeof(group_root), "%s", dir);
	return found;
}

static void size_name(char *text, size_t capacity)
{
	size_t page = machine_page_bytes();

	if (page >= (size_t)1 << 30)
		snprintf(text, capacity, "%zuGB", page >> 30);
	else if (page >= (size_t)1 << 20)
		snprintf(text, capacity, "%zuMB", page >> 20);
	else
		snprintf(text, capacity, "%zuKB", page >> 10);
}

static void group_path(char *path, size_t capacity, const char *file)
{
	snprintf(path, capacity, "%s/" GROUP "/%s", group_root, file);
}

/* In the parent, so that it can undo it. */
static void prepare_group(void)
{
	char path[1024], text[512];

	if (!find_hierarchy())
		return;
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", group_root);
	if (group_v2 && read_text(path, text, sizeof(text)) &&
		strstr(text, "hugetlb") == NULL)
		group_enabled_by_us = write_text(path, "+hugetlb");
	group_path(path, sizeof(path), "");
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		group_root[0] = '\0';
}

static void remove_group(void)
{
	char path[1024];

	if (group_root[0] == '\0')
		return;
	group_path(path, sizeof(path), "");
	for (int i = 0; i < 100 && rmdir(path) < 0 && errno == EBUSY; i++)
		usleep(10000);
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", group_root);
	if (group_enabled_by_us)
		(void)write_text(path, "-hugetlb");
}

/* which 0: on pages in use, 1: on reservations */
static bool set_limit(int which, const char *text)
{
	static const char *const v1[2] = {
		"limit_in_bytes", "rsvd.limit_in_bytes"};
	static const char *const v2[2] = {"max", "rsvd.max"};
	char path[1024], file[256], size[32];

	size_name(size, sizeof(size));
	snprintf(file, sizeof(file), "hugetlb.%s.%s", size,
		group_v2 ? v2[which] : v1[which]);
	group_path(path, sizeof(path), file);
	return write_text(path, text);
}

void machine_cgroup(const char *limit, size_t bytes)
{
	int which = strcmp(limit, "rsvd.max") == 0;
	char path[1024], text[64];

	if (group_root[0] == '\0')
		machine_skip("no cgroup hierarchy with hugetlb limits");
	/* The case before may have left another one. */
	(void)set_limit(!which, group_v2 ? "max" : "-1");
	snprintf(text, sizeof(text), "%zu", bytes);
	if (!set_limit(which, text))
		machine_skip("the cgroup has no such limit");
	group_path(path, sizeof(path), "cgroup.procs");
	CHECK(write_text(path, "0"));
}

/* ---- the cases ---- */

static pid_t running;
static long pool_before;

static void put_back(void)
{
	remove_group();
	others = 0;
	machine_set_pool(pool_before);
}

/* The runner of the tests lost patience. */
static void on_signal(int sig)
{
	if (running > 0)
		kill(-running, SIGKILL);
	put_back();
	signal(sig, SIG_DFL);
	raise(sig);
}

void machine_skip(const char *why)
{
	printf("SKIP: %s\n", why);
	fflush(stdout);
	_exit(SKIP);
}

static int wait_for(pid_t child, const struct machine_case *c)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	if (c->ends != 0 && WIFSIGNALED(status))
		return WTERMSIG(status) == c->ends ? 0 : 1;
	if (c->ends == 0 && WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "%s: ended with status %#x\n", c->name,
		(unsigned)status);
	return 1;
}

/* All pages free and none promised or borrowed: nobody else uses the pool. */
static bool pool_is_quiet(void)
{
	/* Pages come back a little after the last process of a case is gone. */
	for (int i = 0; i < 500; i++) {
		if (machine_pool("free_hugepages") ==
				machine_pool("nr_hugepages") &&
			machine_pool("resv_hugepages") == 0 &&
			machine_pool("surplus_hugepages") == 0)
			return true;
		usleep(10000);
	}
	return false;
}

static void print_pool(const char *name, const char *what)
{
	fprintf(stderr, "%s: %s: %ld of %ld free, %ld reserved, %ld surplus\n",
		name, what, machine_pool("free_hugepages"),
		machine_pool("nr_hugepages"), machine_pool("resv_hugepages"),
		machine_pool("surplus_hugepages"));
}

static int run_case(const struct machine_case *c)
{
	pid_t child;
	int status;

	others = pool_file("nr_hugepages") - pool_file("free_hugepages");
	machine_set_pool(c->pool);
	if (machine_pool("nr_hugepages") != c->pool || !pool_is_quiet()) {
		print_pool(c->name, "SKIP, the pool is too small or in use");
		return SKIP;
	}
	fflush(NULL);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		/* Its own children go with it. */
		setpgid(0, 0);
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		c->run();
		machine_hog_stop();
		fflush(NULL);
		_exit(0);
	}
	running = child;
	status = wait_for(child, c);
	running = 0;
	kill(-child, SIGKILL);
	if (!pool_is_quiet()) {
		print_pool(c->name, "leaks");
		status = 1;
	}
	printf("%s: %s\n", c->name,
		status == 0	 ? "ok"
		: status == SKIP ? "skipped"
				 : "FAILED");
	return status;
}

int machine_main(const struct machine_case *cases, size_t n)
{
	const char *leave = getenv("HL_HUGEPAGE_TESTS");
	const char *only = getenv("HL_CASE");
	int failed = 0, passed = 0, lock;

	if (leave == NULL || strcmp(leave, "1") != 0)
		machine_skip("tests that change the pool are off "
			     "(meson -Dhugepage-tests=true)");
	if (geteuid() != 0)
		machine_skip("changing the pool needs root");
	if (machine_page_bytes() == 0)
		machine_skip("this kernel has no huge pages");
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* The same lock as that of the other tests. */
	lock = open(POOLS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(lock >= 0 && flock(lock, LOCK_EX) == 0);
	pool_before =
		pool_file("nr_hugepages") - pool_file("surplus_hugepages");
	prepare_group();
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	for (size_t i = 0; i < n; i++) {
		int status;

		if (only != NULL && strcmp(only, cases[i].name) != 0)
			continue;
		status = run_case(&cases[i]);
		passed += status == 0;
		failed += status != 0 && status != SKIP;
	}
	put_back();
	if (failed > 0)
		return 1;
	return passed > 0 ? 0 : SKIP;
}
