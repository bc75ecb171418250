/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files for --persist, below the root: written whole, to a name of their own
 * first, so that none is ever half there; and units of systemd, which are
 * enabled by a link as systemctl makes it (systemd need not run).
 */
#include "hugeadm.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNITS	"/etc/systemd/system/"
#define WRITTEN "# Written by hugeadm --persist.\n"

static char *below(const struct adm_file *file, const char *path)
{
	return tool_text("%s%s", file->root->prefix, path);
}

char *adm_file_read(const struct adm_file *file, const char *path)
{
	size_t room = 4096;

	for (;;) {
		char *text = tool_zalloc(room, 1);
		ssize_t n = hl_root_read(file->root, path, text, room);

		if (n >= 0)
			return text;
		if (n != -EFBIG || room > 16 * HL_MIB)
			return NULL;
		room *= 4;
	}
}

static void failed(struct adm_file *file, const char *path, int err)
{
	file->status = TOOL_FAILURE;
	tool_say("%s: %s", path, strerror(err));
}

static int make_parents(const char *path)
{
	char *part = tool_strdup(path);

	for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return errno;
		*slash = '/';
	}
	return 0;
}

static int write_text(const char *path, const char *text)
{
	char *fresh = tool_text("%s.new", path);
	FILE *out;
	int err = make_parents(path);

	if (err)
		return err;
	(void)unlink(fresh);
	out = fopen(fresh, "wxe");
	if (!out)
		return errno;
	fputs(text, out);
	if (fflush(out) != 0 || fchmod(fileno(out), 0644) != 0 ||
		fsync(fileno(out)) != 0 || ferror(out))
		err = errno ? errno : EIO;
	if (fclose(out) != 0 && !err)
		err = errno;
	if (!err && rename(fresh, path) != 0)
		err = errno;
	if (err)
		(void)unlink(fresh);
	return err;
}

static void say_written(
	struct adm_file *file, const char *path, enum adm_writing what)
{
	static const char *const texts[][2] = {
		[ADM_WRITTEN] = {"", ": written"},
		[ADM_REMOVED] = {"", ": removed"},
		[ADM_UNCHANGED] = {"", ": as it was"},
		[ADM_WOULD_WRITE] = {"would write ", ""},
		[ADM_WOULD_REMOVE] = {"would remove ", ""},
	};
	struct adm_plan *plan = file->plan;

	plan->files = tool_realloc(
		plan->files, plan->file_count + 1, sizeof(*plan->files));
	plan->files[plan->file_count++] =
		(struct adm_written){tool_strdup(path), what};
	if (!file->quiet)
		printf("%s%s%s\n", texts[what][0], adm_one_line(path),
			texts[what][1]);
}

void adm_file_write(struct adm_file *file, const char *path, const char *text)
{
	char *old = adm_file_read(file, path);
	char *whole = below(file, path);
	int err = 0;

	if (!old && !text)
		return;
	if (old && text && strcmp(tool_text("%s\n", old), text) == 0) {
		say_written(file, path, ADM_UNCHANGED);
		return;
	}
	if (file->dry) {
		say_written(
			file, path, text ? ADM_WOULD_WRITE : ADM_WOULD_REMOVE);
		return;
	}
	if (text)
		err = write_text(whole, text);
	else if (unlink(whole) != 0)
		err = errno;
	if (err)
		failed(file, path, err);
	else
		say_written(file, path, text ? ADM_WRITTEN : ADM_REMOVED);
}

void adm_unit_enable(
	struct adm_file *file, const char *unit, const char *target, bool on)
{
	char *link = below(file, tool_text(UNITS "%s.wants/%s", target, unit));
	char *to = tool_text("../%s", unit);
	char there[4096];
	ssize_t n = readlink(link, there, sizeof(there) - 1);

	there[HL_MAX(n, 0)] = '\0';
	if (file->dry || (on && strcmp(there, to) == 0) || (!on && n < 0))
		return;
	if (n >= 0 && unlink(link) != 0) {
		failed(file, link, errno);
		return;
	}
	if (!on)
		return;
	if (make_parents(link) != 0 || symlink(to, link) != 0)
		failed(file, link, errno);
}

char *adm_unit_name(const char *path, const char *suffix)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789:_.";
	char *name = tool_zalloc(4 * strlen(path) + 2, 1), *to = name;
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	for (size_t i = 0; i < n; i++) {
		char c = path[i];

		if (c == '/') {
			if (to != name && to[-1] != '-')
				*to++ = '-';
		} else if (strchr(plain, c) && !(c == '.' && to == name)) {
			*to++ = c;
		} else {
			to += sprintf(to, "\\x%02x", (unsigned char)c);
		}
	}
	return tool_text("%s%s", *name ? name : "-", suffix);
}

/* % begins a specifier in a unit. */
static char *plain_text(const char *text)
{
	char *out = tool_zalloc(2 * strlen(text) + 1, 1), *to = out;

	for (; *text; text++) {
		if (*text == '%')
			*to++ = '%';
		*to++ = *text;
	}
	return out;
}

/* systemd joins a line that ends with a backslash to the next one, and takes
 * spaces off its end. */
static bool fits_line(const char *path)
{
	return !strchr(path, '\n') &&
	       !strchr("\\ \t\r", path[strlen(path) - 1]);
}

static char *limit(const char *name, uint64_t bytes, uint64_t none)
{
	return bytes == none ? tool_strdup("")
			     : tool_text(",%s=%" PRIu64, name, bytes);
}

/* A pool of a minimal size, or a size in percent, needs the pages before. */
static const char *order(bool service)
{
	return service ? "After=systemd-sysctl.service hugeadm.service\n"
		       : "After=systemd-sysctl.service\n";
}

void adm_unit_mount(
	struct adm_file *file, const struct adm_mounted *m, bool service)
{
	const struct adm_mount_facts *is = &m->is;
	char *unit = adm_unit_name(m->path, ".mount");
	char *text = tool_text(WRITTEN
		"[Unit]\n"
		"Description=Huge pages of %s at %s\n"
		"%s\n"
		"[Mount]\n"
		"What=hugetlbfs\n"
		"Where=%s\n"
		"Type=hugetlbfs\n"
		"Options=%snosuid,nodev,pagesize=%s,mode=%04o,uid=%u,gid=%u"
		"%s%s%s\n\n"
		"[Install]\n"
		"WantedBy=local-fs.target\n",
		tool_size(is->page_bytes).text, plain_text(m->path),
		order(service), plain_text(m->path), is->read_only ? "ro," : "",
		tool_size(is->page_bytes).text, is->mode, is->uid, is->gid,
		limit("size", is->size_bytes, UINT64_MAX),
		limit("min_size", is->min_size_bytes, 0),
		limit("nr_inodes", is->inodes, UINT64_MAX));

	if (!fits_line(m->path)) {
		file->status = TOOL_FAILURE;
		tool_say("%s: a unit cannot have such a path", m->path);
		return;
	}
	adm_file_write(file, tool_text(UNITS "%s", unit), text);
	adm_unit_enable(file, unit, "local-fs.target", true);
}

struct order {
	struct adm_file *file;
	bool service;
};

static int put_order(const char *name, void *arg)
{
	const struct order *o = arg;
	size_t n = strlen(name);
	char *path = tool_text(UNITS "%s", name), *text, *after, *end;
	const char *want = order(o->service);

	if (n < 6 || strcmp(name + n - 6, ".mount") != 0)
		return 0;
	text = adm_file_read(o->file, path);
	if (!text || strncmp(text, WRITTEN, sizeof(WRITTEN) - 1) != 0)
		return 0;
	after = strstr(text, "\nAfter=");
	end = after ? strchr(after + 1, '\n') : NULL;
	if (!end || (strncmp(after + 1, want, strlen(want)) == 0))
		return 0;
	adm_file_write(o->file, path,
		tool_text("%.*s\n%s%s\n", (int)(after - text), text, want,
			end + 1));
	return 0;
}

void adm_unit_order(struct adm_file *file, bool service)
{
	struct order o = {file, service};

	(void)hl_root_list(file->root, "/etc/systemd/system", put_order, &o);
}

void adm_unit_unmount(struct adm_file *file, const char *path)
{
	char *unit = adm_unit_name(path, ".mount");

	adm_unit_enable(file, unit, "local-fs.target", false);
	adm_file_write(file, tool_text(UNITS "%s", unit), NULL);
}
