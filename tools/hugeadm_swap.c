/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Swap for the time in which a pool grows: pages that can be written out make
 * room that can be moved. A file below the directory of mounts, or all ramdisks
 * (/dev/ram*) that there are. Where the swap is to stay, nothing is removed.
 */
#include "hugeadm.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#define SWAP_FILE    ADM_MOUNT_BASE "/temporary-swap"
#define RAMDISKS_MAX 16

static char *active[RAMDISKS_MAX + 1];
static size_t active_count;

/* What mkswap(8) writes: a version, the last page, a signature. */
static int write_header(int fd, uint64_t bytes)
{
	size_t page = hl_base_page_bytes();
	char *header = tool_zalloc(1, page);
	uint32_t info[3] = {1, (uint32_t)(bytes / page - 1), 0};
	ssize_t n;

	memcpy(header + 1024, info, sizeof(info));
	memcpy(header + page - 10, "SWAPSPACE2", 10);
	n = pwrite(fd, header, page, 0);
	if (n < 0)
		return -errno;
	return n == (ssize_t)page && fsync(fd) == 0 ? 0 : -EIO;
}

static int turn_on(const char *path, int fd, uint64_t bytes)
{
	int err = write_header(fd, bytes);

	if (!err && swapon(path, 0) != 0)
		err = -errno;
	if (err)
		tool_say("%s: no swap: %s", path, strerror(-err));
	else
		active[active_count++] = tool_strdup(path);
	return err;
}

/* A signal ends the kernel's work on it. */
static int turn_off(const char *path)
{
	int result;

	do {
		result = swapoff(path);
	} while (result != 0 && errno == EINTR);
	return result;
}

static int add_file(uint64_t bytes)
{
	int fd, err;

	(void)mkdir(ADM_MOUNT_BASE, 0755);
	/* One that a run left behind which was killed. */
	(void)turn_off(SWAP_FILE);
	(void)unlink(SWAP_FILE);
	fd = open(SWAP_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		err = -errno;
		tool_say("%s: %s", SWAP_FILE, strerror(-err));
		return err;
	}
	err = -posix_fallocate(fd, 0, (off_t)bytes);
	if (err)
		tool_say("%s: %s", SWAP_FILE, strerror(-err));
	else
		err = turn_on(SWAP_FILE, fd, bytes);
	close(fd);
	if (err)
		(void)unlink(SWAP_FILE);
	return err;
}

static int add_ramdisks(void)
{
	int found = 0, err = 0;

	for (int i = 0; i < RAMDISKS_MAX && !err; i++) {
		char *path = tool_text("/dev/ram%d", i);
		int fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
		uint64_t bytes = 0;

		if (fd < 0)
			continue;
		if (ioctl(fd, BLKGETSIZE64, &bytes) == 0 &&
			bytes >= 10 * hl_base_page_bytes()) {
			err = turn_on(path, fd, bytes);
			found++;
		}
		close(fd);
	}
	if (found > 0)
		return err;
	tool_say("--add-ramdisk-swap: there is no /dev/ram0 (modprobe brd "
		 "makes some)");
	return -ENODEV;
}

void adm_swap_print(const struct adm_state *state, const struct adm_swap *swap)
{
	const char *when = swap->keep ? "" : ", while the pool grows";

	if (swap->hpages > 0)
		printf("would do: swap file %s, %" PRIu64 " x %s%s\n",
			SWAP_FILE, swap->hpages,
			tool_size(state->default_bytes).text, when);
	if (swap->ramdisk)
		printf("would do: swap on all /dev/ram*%s\n", when);
}

int adm_swap_add(const struct adm_state *state, const struct adm_swap *swap)
{
	uint64_t bytes;
	int err = 0;

	if (state->root.prefix[0] != '\0') {
		tool_say("no swap can be added below --sysroot");
		return -EXDEV;
	}
	if (swap->hpages > 0) {
		if (__builtin_mul_overflow(
			    swap->hpages, state->default_bytes, &bytes) ||
			bytes > INT64_MAX) {
			tool_say("--add-temp-swap: too much");
			return -EFBIG;
		}
		err = add_file(bytes);
	}
	if (!err && swap->ramdisk)
		err = add_ramdisks();
	return err;
}

void adm_swap_remove(const struct adm_state *state)
{
	(void)state;
	while (active_count > 0) {
		char *path = active[--active_count];

		if (turn_off(path) != 0)
			tool_say("%s: cannot turn swap off: %s", path,
				strerror(errno));
		else if (strcmp(path, SWAP_FILE) == 0)
			(void)unlink(path);
	}
}
