/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files behind shared regions: each call on them is refused in turn, on the
 * real kernel otherwise, with or without huge pages. A failure leaves no
 * descriptor and no file behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hugetlbfs2.h"
#include "region/region.h"
#include "system/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static struct hl_files table;
static int memfd_rc, truncate_rc, info_rc, dup_rc, tmpfile_rc, random_rc;
static unsigned made; /* files with a name */

static int some_memfd(const char *name, unsigned flags)
{
	return memfd_rc != 0 ? memfd_rc : hl_files_linux.memfd(name, flags);
}

static int some_open(const char *path, int flags)
{
	if ((flags & O_TMPFILE) == O_TMPFILE && tmpfile_rc != 0)
		return tmpfile_rc;
	made += (flags & O_CREAT) != 0;
	return hl_files_linux.open(path, flags);
}

static int some_truncate(int fd, off_t bytes)
{
	return truncate_rc != 0 ? truncate_rc
				: hl_files_linux.truncate(fd, bytes);
}

static int some_info(int fd, struct hl_file_info *out)
{
	return info_rc != 0 ? info_rc : hl_files_linux.info(fd, out);
}

static int some_dup(int fd)
{
	return dup_rc != 0 ? dup_rc : hl_files_linux.dup(fd);
}

static int some_random(void *out, size_t bytes)
{
	return random_rc != 0 ? random_rc : hl_files_linux.random(out, bytes);
}

static size_t entries(const char *path)
{
	DIR *d = opendir(path);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int setup(void **state)
{
	static size_t before;

	table = hl_files_linux;
	table.memfd = some_memfd;
	table.open = some_open;
	table.truncate = some_truncate;
	table.info = some_info;
	table.dup = some_dup;
	table.random = some_random;
	hl_files = &table;
	memfd_rc = truncate_rc = info_rc = dup_rc = tmpfile_rc = random_rc = 0;
	made = 0;
	before = entries("/proc/self/fd");
	*state = &before;
	return 0;
}

static int teardown(void **state)
{
	hl_files = &hl_files_linux;
	return entries("/proc/self/fd") != *(size_t *)*state;
}

static struct htlb_region_options shared(void)
{
	return (struct htlb_region_options){
		.size = sizeof(struct htlb_region_options),
		.flags = HTLB_REGION_SHARED,
	};
}

static void test_refusals_at_creation(void **state)
{
	struct htlb_region_options o = shared();
	void *p = NULL;

	memfd_rc = -ENOSYS;
	assert_int_equal(htlb_region_create(1, &o, &p), -EOPNOTSUPP);
	memfd_rc = -EMFILE;
	assert_int_equal(htlb_region_create(1, &o, &p), -ENOMEM);
	memfd_rc = -EPERM;
	assert_int_equal(htlb_region_create(1, &o, &p), -EACCES);
	memfd_rc = 0;
	truncate_rc = -ENOMEM;
	assert_int_equal(htlb_region_create(1, &o, &p), -ENOMEM);
	assert_null(p);
}

/* ulimit -f: an error, where the kernel alone would send SIGXFSZ. */
static void test_limit_on_the_size_of_files(void **state)
{
	struct htlb_region_options o = shared();
	struct rlimit before, limit;
	void *p = NULL;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(htlb_region_create(1, &o, &p), -ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_null(p);
	assert_int_equal(htlb_region_create(1, &o, &p), 0);
	assert_int_equal(htlb_region_destroy(p), 0);
}

static void test_without_facts_it_is_ordinary_memory(void **state)
{
	struct htlb_region_options o = shared();
	struct htlb_region_info info = {.size = sizeof(info)};
	char *p;

	info_rc = -EIO;
	assert_int_equal(htlb_region_create(1, &o, (void **)&p), 0);
	p[0] = 1;
	assert_int_equal(htlb_region_info(p, &info), 0);
	assert_int_equal(info.hugetlb_bytes, 0);
	assert_int_equal(info.base_bytes, info.bytes);
	assert_int_equal(htlb_region_destroy(p), 0);
}

/* Without huge pages in the pool, which is no matter here. */
static void test_two_views(void **state)
{
	struct htlb_region_options o = shared();
	struct htlb_region_info info = {.size = sizeof(info)};
	size_t bytes;
	char *p, *q;
	int fd;

	o.name = "views";
	assert_int_equal(htlb_region_create(1, &o, (void **)&p), 0);
	assert_int_equal(htlb_region_info(p, &info), 0);
	bytes = info.bytes;
	fd = htlb_region_fd(p);
	assert_true(fd >= 0);
	dup_rc = -EMFILE;
	assert_int_equal(htlb_region_open_fd(fd, NULL, (void **)&q), -EMFILE);
	dup_rc = 0;
	info_rc = -EBADF;
	assert_int_equal(htlb_region_open_fd(fd, NULL, (void **)&q), -EBADF);
	info_rc = 0;
	assert_int_equal(htlb_region_open_fd(fd, NULL, (void **)&q), 0);
	assert_ptr_not_equal(p, q);
	p[0] = 1;
	q[bytes - 1] = 2;
	assert_int_equal(q[0], 1);
	assert_int_equal(p[bytes - 1], 2);
	assert_int_equal(htlb_region_decommit(p, bytes), 0);
	assert_int_equal(htlb_region_commit(p, bytes), 0);
	assert_int_equal(p[0], 0);
	assert_int_equal(htlb_region_destroy(p), 0);
	q[0] = 3;
	assert_int_equal(htlb_region_destroy(q), 0);
}

static void test_descriptors_of_others(void **state)
{
	struct htlb_region_options o = shared();
	int ends[2], fd;
	char path[64];
	void *p, *q;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(htlb_region_open_fd(ends[0], NULL, &q), -EINVAL);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(htlb_region_open_fd(ends[0], NULL, &q), -EBADF);
	fd = memfd_create("empty", MFD_CLOEXEC);
	assert_int_equal(htlb_region_open_fd(fd, NULL, &q), -EINVAL);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(htlb_region_open_fd(fd, NULL, &q), -EINVAL);
	assert_int_equal(ftruncate(fd, 2 * (long)HL_MIB), 0);
	assert_int_equal(htlb_region_open_fd(fd, &o, &q), -EINVAL);
	o.flags = HTLB_REGION_STRICT;
	assert_int_equal(htlb_region_open_fd(fd, &o, &q), -EOPNOTSUPP);
	close(fd);

	o = shared();
	assert_int_equal(htlb_region_create(1, &o, &p), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", htlb_region_fd(p));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(htlb_region_open_fd(fd, NULL, &q), -EACCES);
	close(fd);
	assert_int_equal(htlb_region_destroy(p), 0);
	assert_int_equal(htlb_region_create(1, NULL, &p), 0);
	assert_int_equal(htlb_region_fd(p), -EOPNOTSUPP);
	assert_int_equal(htlb_region_destroy(p), 0);
}

/* A 2 MiB part of a 1 GiB page is no page, also where there is only an empty
 * file of them: no pool is needed. */
static void test_parts_of_the_largest_page(void **state)
{
	struct htlb_region_options o = shared();
	struct htlb_region_info info = {.size = sizeof(info)};
	char *p;

	o.flags |= HTLB_REGION_EMPTY;
	o.page_bytes = HTLB_PAGE_LARGEST;
	assert_int_equal(htlb_region_create(2 * HL_GIB, &o, (void **)&p), 0);
	assert_int_equal(htlb_region_info(p, &info), 0);
	assert_int_equal(info.bytes, 2 * HL_GIB);
	if (info.page_bytes == HL_GIB) {
		assert_int_equal(htlb_region_commit(p, 2 * HL_MIB), -EINVAL);
		assert_int_equal(
			htlb_region_commit(p + HL_GIB - 2 * HL_MIB, 4 * HL_MIB),
			-EINVAL);
		assert_int_equal(htlb_region_decommit(p, 2 * HL_MIB), -EINVAL);
		assert_int_equal(htlb_region_decommit(p, HL_GIB), 0);
	}
	assert_int_equal(htlb_region_destroy(p), 0);
}

static void test_nameless_file(void **state)
{
	char path[] = "/tmp/test_region.XXXXXX";
	struct htlb_region_options o = shared();
	int fd;
	void *p;

	assert_non_null(mkdtemp(path));
	fd = hl_region_unlinked(path, O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	tmpfile_rc = -EOPNOTSUPP;
	fd = hl_region_unlinked(path, 0);
	assert_true(fd >= 0);
	assert_int_equal(made, 1);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	close(fd);
	random_rc = -ENOSYS;
	assert_int_equal(hl_region_unlinked(path, 0), -ENOSYS);
	random_rc = 0;
	assert_int_equal(hl_region_unlinked("/nowhere/at/all", 0), -ENOENT);
	/* Not of huge pages. */
	o.path = path;
	o.flags = HTLB_REGION_FILE | HTLB_REGION_STRICT;
	assert_true(htlb_region_create(1, &o, &p) < 0);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_refusals_at_creation),
		TEST(test_limit_on_the_size_of_files),
		TEST(test_without_facts_it_is_ordinary_memory),
		TEST(test_two_views),
		TEST(test_descriptors_of_others),
		TEST(test_parts_of_the_largest_page),
		TEST(test_nameless_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
