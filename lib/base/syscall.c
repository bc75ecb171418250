/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syscall(2) with the kernel's own convention: the result or -errno, and the
 * caller's errno as it was. Called by every file of base/ and system/ that
 * talks to the kernel. Takes no lock.
 */
#include "base/syscall.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

long hl_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	int saved = errno;
	long result = syscall(number, a, b, c, d, e, f);

	if (result == -1)
		result = -(long)errno;
	errno = saved;
	return result;
}

int hl_write_all(int fd, const char *data, size_t bytes)
{
	while (bytes > 0) {
		long n = hl_syscall(
			SYS_write, fd, (long)data, (long)bytes, 0, 0, 0);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		data += n;
		bytes -= (size_t)n;
	}
	return 0;
}
