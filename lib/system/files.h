/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls on the files behind shared regions, as a table beside
 * struct hl_os (system/os.h) and with its rules: 0 or the result, or -errno;
 * errno is kept; raw, so that nothing can interpose them.
 */
#ifndef HL_SYSTEM_FILES_H
#define HL_SYSTEM_FILES_H

#include "base/base.h"

#include <sys/types.h>

struct hl_file_info {
	uint64_t bytes;		/* length of the file */
	uint64_t page_bytes;	/* on hugetlbfs its huge page, else 0 */
	uint64_t present_bytes; /* allocated of it */
	bool is_shmem;		/* tmpfs, or a memfd of ordinary memory */
	bool is_writable; /* the descriptor is open for reading and writing */
	/* hugetlbfs: free space of the mount, in pages; UINT64_MAX: no limit */
	uint64_t free_hpages;
};

struct hl_files {
	/* A descriptor. flags: MFD_*. */
	int (*memfd)(const char *name, unsigned flags);
	/* A descriptor; mode 0600 if a file is made. */
	int (*open)(const char *path, int flags);
	int (*unlink)(const char *path);
	/* To grow it; -EFBIG above RLIMIT_FSIZE, without a signal. */
	int (*truncate)(int fd, off_t bytes);
	/* mode: FALLOC_FL_*, 0 allocates. */
	int (*allocate)(int fd, int mode, off_t offset, off_t bytes);
	int (*info)(int fd, struct hl_file_info *out);
	int (*access)(const char *path, int mode);
	/* A close-on-exec duplicate. */
	int (*dup)(int fd);
	int (*close)(int fd);
	int (*random)(void *out, size_t bytes);
};

/* The real kernel. Never NULL; tests point it elsewhere. */
extern const struct hl_files *hl_files;
extern const struct hl_files hl_files_linux;

#endif
