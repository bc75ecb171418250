/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program of it_compat.py, as it would have been written for libhugetlbfs:
 * built against its header or ours, linked with its library or ours, and run
 * with ours. Says what it found; the driver knows what that must be.
 *
 *   compat_calls sizes         page sizes
 *   compat_calls mounts        paths and files
 *   compat_calls memory BYTES  both kinds of memory
 *   compat_calls shm BYTES     a System V segment
 *   compat_calls fake DIRECTORY
 *       interposes open and opendir: the machine is what is in DIRECTORY
 */
#include "check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <hugetlbfs.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char *fake;

static const char *shown(const char *path, char *to, size_t bytes)
{
	if (fake == NULL || (strncmp(path, "/proc/", 6) != 0 &&
				    strncmp(path, "/sys/", 5) != 0))
		return path;
	snprintf(to, bytes, "%s%s", fake, path);
	return to;
}

/* Under this name, whatever the header makes of it. */
int fake_open(const char *path, int flags, ...) __asm__("open");

int fake_open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, ...) =
		(int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	char to[4096];
	va_list ap;
	int mode = 0;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, int);
		va_end(ap);
	}
	return next(shown(path, to, sizeof(to)), flags, mode);
}

DIR *opendir(const char *path)
{
	DIR *(*next)(const char *) =
		(DIR * (*)(const char *)) dlsym(RTLD_NEXT, "opendir");
	char to[4096];

	return next(shown(path, to, sizeof(to)));
}

static void say_array(const char *name, int (*call)(long *, int))
{
	long sizes[16];
	int count = call(NULL, 0), n = call(sizes, 16);

	printf("%s %d:", name, count);
	CHECK(n == count);
	for (int i = 0; i < n; i++)
		printf(" %ld", sizes[i]);
	puts("");
	CHECK(call(sizes, 0) == 0);
	CHECK(call(sizes, 1) == (count > 0));
	errno = 0;
	CHECK(call(sizes, -1) == -1 && errno == EINVAL);
	errno = 0;
	CHECK(call(NULL, 1) == -1 && errno == EINVAL);
}

static int sizes_of(void)
{
	errno = 0;
	printf("default %ld\n", gethugepagesize());
	if (gethugepagesize() < 0)
		CHECK(errno == ENOSYS);
	say_array("huge", gethugepagesizes);
	say_array("all", getpagesizes);
	return 0;
}

static int mounts(void)
{
	const char *path = hugetlbfs_find_path();
	long size = gethugepagesize();
	struct statfs st;
	int fd;

	printf("path %s\n", path ? path : "none");
	CHECK(hugetlbfs_find_path_for_size(12345) == NULL);
	CHECK(hugetlbfs_test_path("/proc") == 0);
	CHECK(hugetlbfs_test_path("/nonexistent") == -1 && errno == ENOENT);
	fd = hugetlbfs_unlinked_fd();
	if (path == NULL) {
		CHECK(fd == -1);
		return 0;
	}
	CHECK(path == hugetlbfs_find_path_for_size(size));
	CHECK(hugetlbfs_test_path(path) == 1);
	CHECK(fd >= 0 && fstatfs(fd, &st) == 0);
	CHECK(st.f_type == HUGETLBFS_MAGIC && st.f_bsize == size);
	CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0);
	CHECK(close(fd) == 0);
	fd = hugetlbfs_unlinked_fd_for_size(size);
	CHECK(fd >= 0 && close(fd) == 0);
	return 0;
}

/* KernelPageSize of the mapping at p, 0: none that can be touched. */
static size_t page_size_at(const void *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, to, kib, found = 0;
	char line[512], perms[5];
	int inside = 0;

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) == 3)
			inside = (uintptr_t)p >= from && (uintptr_t)p < to &&
				 strncmp(perms, "---", 3) != 0;
		else if (inside &&
			 sscanf(line, "KernelPageSize: %lu", &kib) == 1)
			found = kib * 1024;
	}
	fclose(f);
	return found;
}

static int memory(size_t bytes)
{
	size_t huge = (size_t)gethugepagesize();
	char *p = get_huge_pages(bytes, GHP_DEFAULT);

	printf("get_huge_pages: %s\n", p ? "memory" : strerror(errno));
	if (p != NULL) {
		CHECK(page_size_at(p) == huge);
		memset(p, 1, bytes);
		CHECK(mprotect(p, huge, PROT_READ) == 0);
		free_huge_pages(p);
		CHECK(page_size_at(p) == 0);
		CHECK(page_size_at(p + (bytes - 1) / huge * huge) == 0);
	}
	errno = 0;
	CHECK(get_huge_pages(0, GHP_DEFAULT) == NULL && errno == EINVAL);
	free_huge_pages(NULL);
	free_hugepage_region(&bytes);
	p = get_hugepage_region(bytes, GHR_STRICT);
	printf("strict: %s\n", p ? "memory" : strerror(errno));
	free_hugepage_region(p);
	for (int i = 0; i < 20; i++) {
		p = get_hugepage_region(bytes, GHR_DEFAULT);
		CHECK(p != NULL);
		memset(p, 2, bytes);
		if (i == 0)
			printf("default: %s\n",
				page_size_at(p) == huge ? "huge" : "ordinary");
		free_hugepage_region(p);
		CHECK(page_size_at(p) == 0);
	}
	return 0;
}

static int segment(size_t bytes)
{
	int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
	struct shmid_ds ds;
	char *p;

	CHECK(id >= 0);
	p = shmat(id, NULL, 0);
	CHECK(shmctl(id, IPC_RMID, NULL) == 0 && p != (void *)-1);
	CHECK(shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_segsz == bytes);
	memset(p, 3, bytes);
	printf("segment: %s\n",
		page_size_at(p) > (size_t)getpagesize() ? "huge" : "ordinary");
	CHECK(shmdt(p) == 0);
	return 0;
}

int main(int argc, char **argv)
{
	CHECK(argc >= 2);
	if (strcmp(argv[1], "sizes") == 0)
		return sizes_of();
	if (strcmp(argv[1], "mounts") == 0)
		return mounts();
	CHECK(argc == 3);
	if (strcmp(argv[1], "memory") == 0)
		return memory(strtoul(argv[2], NULL, 10));
	if (strcmp(argv[1], "shm") == 0)
		return segment(strtoul(argv[2], NULL, 10));
	CHECK(strcmp(argv[1], "fake") == 0);
	fake = argv[2];
	(void)sizes_of();
	printf("path %s\n", hugetlbfs_find_path() ? "found" : "none");
	return 0;
}
