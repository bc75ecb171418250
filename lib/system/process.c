/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One process: what status, stat, cgroup and environ below /proc/PID say of it.
 * Called by the tools for each process of the machine, so that files are read
 * line by line and no further than needed. No lock.
 *
 * Kernel behaviour relied on: status is readable by everyone; a kernel thread
 * or a zombie has no VmRSS there; a name is escaped there (\n, \\). environ
 * needs permission to trace, and its entries end with a NUL.
 */
#include "system/proc.h"
#include "base/fmt.h"
#include "base/syscall.h"
#include "system/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

struct each {
	int (*visit)(pid_t pid, void *arg);
	void *arg;
};

static int see_entry(const char *name, void *arg)
{
	const struct each *each = arg;
	uint64_t pid = hl_scan_decimal(&name);

	if (*name != '\0' || pid == 0 || pid > INT32_MAX)
		return 0;
	return each->visit((pid_t)pid, each->arg);
}

int hl_process_visit(const struct hl_root *root,
	int (*visit)(pid_t pid, void *arg), void *arg)
{
	struct each each = {visit, arg};

	return hl_root_list(root, "/proc", see_entry, &each);
}

static int open_lines(struct hl_lines *lines, const struct hl_root *root,
	pid_t pid, const char *file, char *buf, size_t capacity)
{
	char path[64];
	struct hl_buf name;

	hl_buf_init(&name, path, sizeof(path));
	hl_buf_printf(&name, "/proc/%d/%s", (int)pid, file);
	return hl_lines_open(lines, root, path, buf, capacity);
}

/* "Name:\tcomm", with \n and \\ as the kernel escapes them. */
static void take_name(const char *at, char *to, size_t capacity)
{
	struct hl_buf name;

	hl_buf_init(&name, to, capacity);
	hl_scan_spaces(&at);
	for (; *at != '\0'; at++) {
		if (at[0] == '\\' && at[1] != '\0') {
			at++;
			hl_buf_putc(&name, *at == 'n' ? '\n' : *at);
		} else {
			hl_buf_putc(&name, *at);
		}
	}
}

/* The second number of "Uid:\treal\teffective\t...". */
static uint32_t take_uid(const char *at)
{
	hl_scan_spaces(&at);
	(void)hl_scan_decimal(&at);
	hl_scan_spaces(&at);
	return (uint32_t)hl_scan_decimal(&at);
}

static uint64_t to_bytes(uint64_t kib)
{
	return kib > UINT64_MAX / HL_KIB ? 0 : kib * HL_KIB;
}

int hl_process_status(
	const struct hl_root *root, pid_t pid, struct hl_process_status *out)
{
	struct hl_process_status status = {.comm = ""};
	bool named = false;
	char buf[2048], *line;
	struct hl_lines lines;
	uint64_t kib;
	int err = open_lines(&lines, root, pid, "status", buf, sizeof(buf));

	if (err)
		return err;
	while ((err = hl_lines_next(&lines, &line)) == 1) {
		if (strncmp(line, "Name:", 5) == 0) {
			take_name(line + 5, status.comm, sizeof(status.comm));
			named = true;
		} else if (strncmp(line, "Uid:", 4) == 0) {
			status.uid = take_uid(line + 4);
		} else if (hl_scan_key(line, "VmRSS", &kib)) {
			status.has_memory = true;
			status.rss_bytes = to_bytes(kib);
		} else if (hl_scan_key(line, "HugetlbPages", &kib)) {
			status.hugetlb_bytes = to_bytes(kib);
			break;
		}
	}
	hl_lines_close(&lines);
	if (err < 0)
		return err;
	if (!named)
		return -EINVAL;
	*out = status;
	return 0;
}

int hl_process_start(const struct hl_root *root, pid_t pid, uint64_t *out)
{
	char path[64], text[1024];
	struct hl_buf name;
	const char *at;
	ssize_t n;

	hl_buf_init(&name, path, sizeof(path));
	hl_buf_printf(&name, "/proc/%d/stat", (int)pid);
	n = hl_root_read(root, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	/* The name in brackets may have anything in it, brackets too. */
	at = strrchr(text, ')');
	/* Field 22; the bracket ends the second. */
	for (int field = 2; at && field < 22; field++) {
		at = strchr(at, ' ');
		if (at)
			at++;
	}
	if (!at || *at < '0' || *at > '9')
		return -EINVAL;
	*out = hl_scan_decimal(&at);
	return 0;
}

static bool lists_hugetlb(const char *list, const char *end)
{
	static const char word[] = "hugetlb";
	size_t length = sizeof(word) - 1;

	for (; list < end; list++) {
		size_t n = strcspn(list, ",:");

		if (n == length && memcmp(list, word, length) == 0)
			return true;
		list += n;
	}
	return false;
}

ssize_t hl_process_cgroup(
	const struct hl_root *root, pid_t pid, char *path, size_t capacity)
{
	char buf[4096], *line;
	struct hl_lines lines;
	struct hl_buf out;
	bool found = false;
	int err = open_lines(&lines, root, pid, "cgroup", buf, sizeof(buf));

	if (err)
		return err;
	/* The unified hierarchy comes last. */
	while (!found && (err = hl_lines_next(&lines, &line)) == 1) {
		const char *list = strchr(line, ':');
		const char *name = list ? strchr(list + 1, ':') : NULL;

		if (!name || name[1] != '/')
			continue;
		if (strncmp(line, "0::", 3) != 0 &&
			!lists_hugetlb(list + 1, name))
			continue;
		found = true;
		hl_buf_init(&out, path, capacity);
		hl_buf_puts(&out, name + 1);
	}
	hl_lines_close(&lines);
	if (err < 0)
		return err;
	if (!found)
		return -ENOENT;
	return out.truncated ? -ENAMETOOLONG : (ssize_t)out.length;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static void put_id(char *id, const char *from, size_t length)
{
	struct hl_buf buf;

	hl_buf_init(&buf, id, HL_CONTAINER_BYTES);
	hl_buf_putn(&buf, from, length);
}

/* A piece of the path, such as "docker-0123....scope". */
static bool id_in_piece(const char *piece, size_t length, char *id)
{
	static const char *const prefixes[] = {"lxc.payload.", "machine-"};

	for (size_t from = 0, n = 0; from + n < length;) {
		if (is_hex(piece[from + n])) {
			n++;
			/* Exactly 64 digits, not a part of more. */
			if (n == 64 && (from + n == length ||
					       !is_hex(piece[from + n]))) {
				put_id(id, piece + from, n);
				return true;
			}
		} else {
			from += n + 1;
			n = 0;
		}
	}
	for (size_t i = 0; i < HL_ARRAY_SIZE(prefixes); i++) {
		size_t skip = strlen(prefixes[i]);

		if (length <= skip || memcmp(piece, prefixes[i], skip) != 0)
			continue;
		if (length > skip + 6 &&
			memcmp(piece + length - 6, ".scope", 6) == 0)
			length -= 6;
		put_id(id, piece + skip, length - skip);
		return true;
	}
	return false;
}

bool hl_container_of_cgroup(const char *cgroup, char id[HL_CONTAINER_BYTES])
{
	bool found = false;

	/* The innermost one: a container may run in another. */
	while (*cgroup != '\0') {
		size_t length = strcspn(cgroup, "/");

		if (id_in_piece(cgroup, length, id))
			found = true;
		cgroup += length;
		cgroup += strspn(cgroup, "/");
	}
	return found;
}

/* The value, if the entry is that variable's. */
static const char *value_of(const char *entry, const char *name)
{
	size_t length = strlen(name);

	return strncmp(entry, name, length) == 0 && entry[length] == '='
		       ? entry + length + 1
		       : NULL;
}

/*
 * Entries end with NUL, which hl_lines knows nothing of, so the bytes come
 * through a window of which whole entries are taken; what is longer than the
 * window is not ours.
 */
static int find_variable(int fd, const char *name, char *value, size_t capacity)
{
	char window[4096];
	size_t filled = 0;
	bool skipping = false;
	long n;

	while ((n = hl_syscall(SYS_read, fd, (long)(window + filled),
			(long)(sizeof(window) - filled), 0, 0, 0)) > 0) {
		size_t from = 0;
		char *end;

		filled += (size_t)n;
		while ((end = memchr(window + from, '\0', filled - from))) {
			const char *found =
				skipping ? NULL : value_of(window + from, name);

			skipping = false;
			from = (size_t)(end + 1 - window);
			if (!found)
				continue;
			if (strlen(found) >= capacity)
				return -ENAMETOOLONG;
			memcpy(value, found, strlen(found) + 1);
			return 0;
		}
		if (from == 0 && filled == sizeof(window)) {
			skipping = true;
			from = filled;
		}
		memmove(window, window + from, filled - from);
		filled -= from;
	}
	return n < 0 ? (int)n : -ENOENT;
}

int hl_process_variable(const struct hl_root *root, pid_t pid, const char *name,
	char *value, size_t capacity)
{
	char path[64];
	struct hl_buf buf;
	int fd, err;

	hl_buf_init(&buf, path, sizeof(path));
	hl_buf_printf(&buf, "/proc/%d/environ", (int)pid);
	fd = hl_root_open(root, path, O_RDONLY);
	if (fd < 0)
		return fd;
	err = find_variable(fd, name, value, capacity);
	hl_root_close(fd);
	return err;
}
