/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The real kernel behind struct hl_files: one raw system call each, but for
 * info, which is what three of them say. No lock, no state.
 */
#include "system/files.h"
#include "base/syscall.h"
#include "system/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#define HUGETLBFS 0x958458f6
#define TMPFS	  0x01021994

static int files_memfd(const char *name, unsigned flags)
{
	return (int)hl_syscall(SYS_memfd_create, (long)name, flags, 0, 0, 0, 0);
}

static int files_open(const char *path, int flags)
{
	return (int)hl_syscall(
		SYS_openat, AT_FDCWD, (long)path, flags, 0600, 0, 0);
}

static int files_unlink(const char *path)
{
	return (int)hl_syscall(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0);
}

static int files_truncate(int fd, off_t bytes)
{
	/* The kernel would send SIGXFSZ as well. */
	if ((uint64_t)bytes > hl_rlimit(RLIMIT_FSIZE))
		return -EFBIG;
	return (int)hl_syscall(SYS_ftruncate, fd, (long)bytes, 0, 0, 0, 0);
}

static int files_allocate(int fd, int mode, off_t offset, off_t bytes)
{
	return (int)hl_syscall(
		SYS_fallocate, fd, mode, (long)offset, (long)bytes, 0, 0);
}

static int files_info(int fd, struct hl_file_info *out)
{
	struct hl_file_info r = {.free_hpages = UINT64_MAX};
	struct statfs fs;
	struct statx st;
	long mode, err;

	mode = hl_syscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
	if (mode < 0)
		return (int)mode;
	err = hl_syscall(SYS_fstatfs, fd, (long)&fs, 0, 0, 0, 0);
	if (err == 0)
		err = hl_syscall(SYS_statx, fd, (long)"", AT_EMPTY_PATH,
			STATX_SIZE | STATX_BLOCKS, (long)&st, 0);
	if (err < 0)
		return (int)err;
	r.bytes = st.stx_size;
	r.present_bytes = st.stx_blocks * 512;
	r.is_writable = (mode & O_ACCMODE) == O_RDWR;
	r.is_shmem = (unsigned long)fs.f_type == TMPFS;
	if ((unsigned long)fs.f_type == HUGETLBFS) {
		r.page_bytes = (uint64_t)fs.f_bsize;
		if (fs.f_blocks != 0)
			r.free_hpages = fs.f_bfree;
	}
	*out = r;
	return 0;
}

static int files_access(const char *path, int mode)
{
	return (int)hl_syscall(
		SYS_faccessat, AT_FDCWD, (long)path, mode, 0, 0, 0);
}

static int files_dup(int fd)
{
	return (int)hl_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0, 0, 0, 0);
}

static int files_close(int fd)
{
	return (int)hl_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static int files_random(void *out, size_t bytes)
{
	long n = hl_syscall(SYS_getrandom, (long)out, (long)bytes, 0, 0, 0, 0);

	if (n < 0)
		return (int)n;
	return (size_t)n == bytes ? 0 : -EIO;
}

const struct hl_files hl_files_linux = {
	.memfd = files_memfd,
	.open = files_open,
	.unlink = files_unlink,
	.truncate = files_truncate,
	.allocate = files_allocate,
	.info = files_info,
	.access = files_access,
	.dup = files_dup,
	.close = files_close,
	.random = files_random,
};

const struct hl_files *hl_files = &hl_files_linux;
