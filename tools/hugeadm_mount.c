/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mounts of hugetlbfs: which are there, which are asked for, and what it takes
 * to get from one to the other. A mount that is as asked is left alone, so that
 * asking twice changes nothing; limits that are not asked for stay as they are.
 * hugetlbfs cannot change the limits of a mount: it is unmounted and mounted
 * anew, which takes its files with it, and so is done only if it has none.
 *
 * The directories are the ancestor's: BASE/pagesize-2MB, BASE/user/NAME/...,
 * BASE/group/NAME/..., BASE/global/...
 */
#include "hugeadm.h"

#include "system/mountinfo.h"

#include <dirent.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NO_LIMIT "none"

/* ---- what is there ---- */

struct collection {
	const struct hl_root *root;
	struct adm_mounted *at;
	size_t n, room;
};

static uint64_t option(const char *options, const char *name, uint64_t none)
{
	const char *value;
	char text[24];
	size_t length;
	uint64_t number = 0;

	if (!hl_mountinfo_option(options, name, &value, &length) ||
		length == 0 || length >= sizeof(text))
		return none;
	memcpy(text, value, length);
	text[length] = '\0';
	if (strcmp(name, "mode") == 0)
		return strtoul(text, NULL, 8);
	return hl_parse_u64(text, &number) == 0 ? number : none;
}

/* As /proc/mounts has them: those of the mount and those of the file system,
 * and one "ro" or "rw" of both. */
static char *options_text(const struct hl_mount *mount)
{
	const char *rest = mount->options + strcspn(mount->options, ",");
	const char *more =
		mount->super_options + strcspn(mount->super_options, ",");

	return tool_text("%s%s%s", mount->read_only ? "ro" : "rw", rest, more);
}

static int collect(const struct hl_mount *mount, void *arg)
{
	struct collection *c = arg;
	struct adm_mounted *m;
	struct stat st;

	if (c->n == c->room) {
		c->room = 2 * c->room + 16;
		c->at = tool_realloc(c->at, c->room, sizeof(*c->at));
	}
	m = &c->at[c->n++];
	*m = (struct adm_mounted){
		.path = tool_strdup(mount->path),
		.options = options_text(mount),
		.is = {.page_bytes = mount->page_bytes,
			.size_bytes = mount->size_bytes,
			.min_size_bytes = mount->min_size_bytes,
			.inodes = mount->inodes,
			.read_only = mount->read_only,
			.mode = (mode_t)option(
				mount->super_options, "mode", 0755),
			.uid = (uid_t)option(mount->super_options, "uid", 0),
			.gid = (gid_t)option(mount->super_options, "gid", 0)},
	};
	/* Its owner may have changed since it was mounted. */
	if (c->root->prefix[0] == '\0' && stat(mount->path, &st) == 0) {
		m->is.mode = st.st_mode & 07777;
		m->is.uid = st.st_uid;
		m->is.gid = st.st_gid;
	}
	return 0;
}

/* All of them, read once until one is changed: there may be thousands. */
static struct {
	struct adm_mounted *at;
	size_t n;
	bool read;
} known;

int adm_mounts_read(
	const struct adm_state *state, struct adm_mounted **out, size_t *n)
{
	struct collection c = {.root = &state->root};
	int err = known.read ? 0 : hl_mounts_visit(&state->root, collect, &c);

	if (err)
		return err;
	if (!known.read) {
		known.at = c.at;
		known.n = c.n;
		known.read = true;
	}
	*out = known.at;
	*n = known.n;
	return 0;
}

const struct adm_mounted *adm_mounted_at(
	const struct adm_state *state, const char *path, size_t *count)
{
	struct adm_mounted *at;
	const struct adm_mounted *found = NULL;
	size_t n, k = 0;

	if (adm_mounts_read(state, &at, &n) != 0)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(at[i].path, path) != 0)
			continue;
		found = &at[i];
		k++;
	}
	if (count)
		*count = k;
	return found;
}

/* What cannot be read may have files. */
static bool has_files(const struct adm_state *state, const char *path)
{
	DIR *directory = opendir(tool_text("%s%s", state->root.prefix, path));
	const struct dirent *entry;
	bool found = false;

	if (!directory)
		return errno != ENOENT;
	while (!found && (entry = readdir(directory)))
		found = strcmp(entry->d_name, ".") != 0 &&
			strcmp(entry->d_name, "..") != 0;
	closedir(directory);
	return found;
}

char *adm_plain_path(const char *path)
{
	char *out = tool_zalloc(strlen(path) + 2, 1), *to = out;

	while (*path) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n > 0 && !(n == 1 && *path == '.')) {
			*to++ = '/';
			memcpy(to, path, n);
			to += n;
		}
		path += n;
	}
	if (to == out)
		*to = '/';
	return out;
}

char *adm_real_path(const struct adm_state *state, const char *path)
{
	char *rest = adm_plain_path(path), *out = tool_strdup("");

	if (state->root.prefix[0] != '\0')
		return rest;
	for (char *name; (name = strsep(&rest, "/"));) {
		char *real;

		if (*name == '\0')
			continue;
		if (strcmp(name, "..") == 0) {
			*HL_MAX(strrchr(out, '/'), out) = '\0';
			continue;
		}
		out = tool_text("%s/%s", out, name);
		real = realpath(out, NULL);
		if (real)
			out = strcmp(real, "/") == 0 ? tool_strdup("") : real;
	}
	return *out ? out : tool_strdup("/");
}

/* ---- what is asked for ---- */

static int check_limit(const char *from, const char *text, bool percent)
{
	size_t n = strlen(text), bytes;
	uint64_t number;
	char *digits;

	if (strcmp(text, NO_LIMIT) == 0)
		return 0;
	if (percent && n > 1 && text[n - 1] == '%') {
		digits = tool_strndup(text, n - 1);
		if (hl_parse_u64(digits, &number) == 0 && number <= 100)
			return 0;
	} else if (*text >= '0' && *text <= '9' &&
		   (percent ? hl_parse_size(text, &bytes)
			    : hl_parse_u64(text, &number)) == 0) {
		/* Its own directory is one. */
		if (percent || number > 0)
			return 0;
	}
	return tool_usage("%s: \"%s\" is not %s", from, text,
		percent ? "an amount of memory, a percentage of the pool, "
			  "nor none"
			: "a number above 0, nor none");
}

int adm_parse_limits(const struct adm_mount_limits *limits)
{
	int status = 0;

	if (limits->size)
		status = check_limit("--max-size", limits->size, true);
	if (!status && limits->min_size)
		status = check_limit("--min-size", limits->min_size, true);
	if (!status && limits->inodes)
		status = check_limit("--max-inodes", limits->inodes, false);
	if (!status && limits->base && limits->base[0] != '/')
		status = tool_usage(
			"--mount-base: \"%s\" does not start with a slash",
			limits->base);
	return status;
}

static int parse_owner(const char *from, const char *key, const char *name,
	struct adm_mount *mount)
{
	bool user = strcmp(key, "user") == 0;
	const struct passwd *passwd = user ? getpwnam(name) : NULL;
	const struct group *group = user ? NULL : getgrnam(name);
	uint64_t number;

	if (passwd)
		mount->uid = passwd->pw_uid;
	else if (group)
		mount->gid = group->gr_gid;
	else if (hl_parse_u64(name, &number) != 0 || number >= UINT32_MAX)
		return tool_usage("%s: \"%s\" is no %s here", from, name, key);
	else if (user)
		mount->uid = (uid_t)number;
	else
		mount->gid = (gid_t)number;
	return 0;
}

static char *directory_name(size_t page_bytes)
{
	return tool_text("pagesize-%sB", tool_size(page_bytes).text);
}

/* Where, whose and with which rights; the page size comes behind. */
static int place(const struct adm_mount_wish *wish, const char *base,
	struct adm_mount *mount)
{
	switch (wish->owner) {
	case ADM_OWNER_ROOT:
		mount->path = tool_strdup(base);
		mount->mode = 0770;
		return 0;
	case ADM_OWNER_USER:
		mount->path = tool_text("%s/user/%s", base, wish->name);
		mount->mode = 0700;
		return parse_owner(wish->from, "user", wish->name, mount);
	case ADM_OWNER_GROUP:
		mount->path = tool_text("%s/group/%s", base, wish->name);
		mount->mode = 0070;
		return parse_owner(wish->from, "group", wish->name, mount);
	case ADM_OWNER_GLOBAL:
		break;
	}
	mount->path = tool_text("%s/global", base);
	mount->mode = 01777;
	return 0;
}

static void request_mount(const struct adm_state *state,
	struct adm_requests *list, const struct adm_mount_wish *wish,
	const struct adm_mount *mount, size_t page_bytes)
{
	struct adm_request *r = adm_request_add(list, ADM_MOUNT, wish->from);

	r->mount = *mount;
	r->mount.page_bytes = page_bytes;
	r->mount.path = adm_real_path(state,
		tool_text("%s/%s", mount->path, directory_name(page_bytes)));
}

int adm_parse_mounts(struct adm_state *state, struct adm_requests *list,
	const struct adm_mount_wish *wish,
	const struct adm_mount_limits *limits)
{
	struct adm_mount mount = {
		.size = limits->size ? tool_strdup(limits->size) : NULL,
		.min_size =
			limits->min_size ? tool_strdup(limits->min_size) : NULL,
		.inodes = limits->inodes ? tool_strdup(limits->inodes) : NULL,
	};
	const char *base = limits->base ? limits->base : ADM_MOUNT_BASE;
	char *sizes = wish->sizes ? tool_strdup(wish->sizes) : NULL;
	size_t page_bytes;
	int status;

	if (state->pools == 0)
		return tool_fail(
			"%s: this kernel has no huge pages", wish->from);
	if (wish->name && strchr(wish->name, '/'))
		return tool_usage(
			"%s: \"%s\" is no name", wish->from, wish->name);
	status = place(wish, base, &mount);
	for (int i = 0; !sizes && !status && i < state->pools; i++)
		request_mount(
			state, list, wish, &mount, state->pool[i].page_bytes);
	while (sizes && !status) {
		status = adm_parse_page_size(
			state, wish->from, strsep(&sizes, ","), &page_bytes);
		if (!status)
			request_mount(state, list, wish, &mount, page_bytes);
	}
	return status;
}

static int parse_mode(const char *from, const char *text, mode_t *out)
{
	size_t n = strspn(text, "01234567");
	unsigned long mode = strtoul(text, NULL, 8);

	if (n == 0 || n > 5 || text[n] != '\0' || mode > 01777)
		return tool_usage(
			"%s: \"%s\" is no mode like 0770", from, text);
	*out = (mode_t)mode;
	return 0;
}

int adm_parse_mount_key(const struct adm_state *state, struct adm_mount *mount,
	const char *from, const char *key, const char *value)
{
	static const char *const limits[] = {"size", "min_size", "inodes"};
	char **const to[] = {&mount->size, &mount->min_size, &mount->inodes};

	if (strcmp(key, "page_size") == 0)
		return adm_parse_page_size(
			state, from, value, &mount->page_bytes);
	if (strcmp(key, "mode") == 0)
		return parse_mode(from, value, &mount->mode);
	if (strcmp(key, "user") == 0 || strcmp(key, "group") == 0)
		return parse_owner(from, key, value, mount);
	for (size_t i = 0; i < HL_ARRAY_SIZE(limits); i++) {
		if (strcmp(key, limits[i]) != 0)
			continue;
		*to[i] = tool_strdup(value);
		return check_limit(from, value, i < 2);
	}
	return tool_usage("%s: unknown key \"%s\" of a mount", from, key);
}

int adm_parse_unmount(struct adm_state *state, struct adm_requests *list,
	const char *from, const char *path, const char *base)
{
	struct adm_mounted *at;
	char *plain;
	size_t n, length, found = 0;
	int err;

	if (path && path[0] != '/')
		return tool_usage(
			"%s: \"%s\" does not start with a slash", from, path);
	plain = adm_real_path(state, path ? path : base);
	length = strlen(plain);
	err = adm_mounts_read(state, &at, &n);
	if (err)
		return tool_fail("%s: the mounts cannot be read: %s", from,
			strerror(-err));
	/* Those that were mounted last are on top. */
	while (n-- > 0) {
		struct adm_request *r;

		if (path ? strcmp(at[n].path, plain) != 0
			 : strncmp(at[n].path, plain, length) != 0 ||
					at[n].path[length] != '/')
			continue;
		r = adm_request_add(list, ADM_UNMOUNT, from);
		r->mount.path = at[n].path;
		r->mount.base = path ? NULL : plain;
		found++;
	}
	if (path && found == 0)
		return tool_fail("%s: no hugetlbfs mount at %s", from, plain);
	return 0;
}

/* ---- what it takes ---- */

static bool is_limit(const char *text)
{
	return text && strcmp(text, NO_LIMIT) != 0;
}

/* A limit in bytes, whole pages; UINT64_MAX for none. */
static uint64_t limit_bytes(struct adm_state *state,
	const struct adm_mount *mount, const char *text)
{
	const struct adm_pool *pool = adm_pool_of(state, mount->page_bytes);
	size_t n = text ? strlen(text) : 0, bytes;
	uint64_t percent;

	if (!is_limit(text))
		return UINT64_MAX;
	if (text[n - 1] == '%') {
		if (hl_parse_u64(tool_strndup(text, n - 1), &percent) != 0)
			return UINT64_MAX;
		return pool->all.nr * percent / 100 * pool->page_bytes;
	}
	if (hl_parse_size(text, &bytes) != 0)
		return UINT64_MAX;
	return bytes > SIZE_MAX - pool->page_bytes
		       ? hl_align_down(bytes, pool->page_bytes)
		       : hl_align_up(bytes, pool->page_bytes);
}

struct adm_mounted adm_mount_foreseen(
	struct adm_state *state, const struct adm_mount *mount)
{
	struct adm_mounted m = {.path = mount->path,
		.is = {.page_bytes = mount->page_bytes,
			.size_bytes = limit_bytes(state, mount, mount->size),
			.inodes = UINT64_MAX,
			.mode = mount->mode,
			.uid = mount->uid,
			.gid = mount->gid}};

	if (is_limit(mount->min_size))
		m.is.min_size_bytes =
			limit_bytes(state, mount, mount->min_size);
	if (is_limit(mount->inodes))
		(void)hl_parse_u64(mount->inodes, &m.is.inodes);
	return m;
}

static bool same_limits(struct adm_state *state, const struct adm_mount *asked,
	const struct adm_mounted *there)
{
	struct adm_mounted m = adm_mount_foreseen(state, asked);

	return there->is.page_bytes == m.is.page_bytes &&
	       there->is.size_bytes == m.is.size_bytes &&
	       there->is.min_size_bytes == m.is.min_size_bytes &&
	       there->is.inodes == m.is.inodes;
}

/* Limits that are not asked for are those that are there. */
static void keep_limits(
	struct adm_mount *asked, const struct adm_mount_facts *is)
{
	if (!asked->size && is->size_bytes != UINT64_MAX)
		asked->size = tool_text("%" PRIu64, is->size_bytes);
	if (!asked->min_size && is->min_size_bytes != 0)
		asked->min_size = tool_text("%" PRIu64, is->min_size_bytes);
	if (!asked->inodes && is->inodes != UINT64_MAX)
		asked->inodes = tool_text("%" PRIu64, is->inodes);
}

static bool is_percent(const char *text)
{
	return text[strlen(text) - 1] == '%';
}

/* The kernel mounts none that has more set aside than it may have. */
static bool has_room_for_least(
	struct adm_state *state, const struct adm_mount *mount)
{
	/* What a part of the pool will be is not known yet. */
	if (!is_limit(mount->size) || !is_limit(mount->min_size) ||
		is_percent(mount->size) != is_percent(mount->min_size))
		return true;
	return limit_bytes(state, mount, mount->min_size) <=
	       limit_bytes(state, mount, mount->size);
}

static void refuse_contradiction(
	struct adm_plan *plan, const struct adm_request *request)
{
	if (plan->refused)
		return;
	plan->refused =
		tool_text("%s: %s cannot have %s set aside and no more than %s",
			request->from, request->mount.path,
			request->mount.min_size, request->mount.size);
	plan->refused_status = TOOL_USAGE;
}

static void refuse_to_lose_files(struct adm_plan *plan,
	const struct adm_request *request, const struct adm_mounted *there)
{
	if (plan->refused)
		return;
	plan->refused = tool_text(
		"%s: %s is mounted with other limits (%s), and is not empty: "
		"mounting it anew would lose its files; nothing was changed",
		request->from, there->path, there->options);
	plan->refused_status = TOOL_FAILURE;
}

static size_t planned_unmounts(const struct adm_plan *plan, const char *path)
{
	size_t planned = 0;

	for (size_t i = 0; i < plan->n; i++)
		planned += plan->at[i].what == ADM_DO_UNMOUNT &&
			   strcmp(plan->at[i].mount.path, path) == 0;
	return planned;
}

void adm_plan_mount(struct adm_state *state, struct adm_plan *plan,
	const struct adm_request *request)
{
	struct adm_mount asked = request->mount;
	size_t count;
	const struct adm_mounted *there =
		adm_mounted_at(state, asked.path, &count);
	enum adm_remount remount = ADM_NEW_MOUNT;
	struct adm_action *a;

	if (!has_room_for_least(state, &asked))
		refuse_contradiction(plan, request);
	if (planned_unmounts(plan, asked.path) == count)
		there = NULL;
	if (there) {
		keep_limits(&asked, &there->is);
		remount = same_limits(state, &asked, there) ? ADM_CHANGE_OWNER
							    : ADM_MOUNT_ANEW;
		if (remount == ADM_CHANGE_OWNER &&
			there->is.mode == asked.mode &&
			there->is.uid == asked.uid &&
			there->is.gid == asked.gid)
			return;
		if (remount == ADM_MOUNT_ANEW && has_files(state, asked.path))
			refuse_to_lose_files(plan, request, there);
	}
	a = adm_plan_add(plan, ADM_DO_MOUNT, request->from);
	a->mount = asked;
	a->remount = remount;
}

void adm_plan_unmount(struct adm_state *state, struct adm_plan *plan,
	const struct adm_request *request)
{
	size_t there;

	(void)adm_mounted_at(state, request->mount.path, &there);
	/* Two requests may be about the same one. */
	if (planned_unmounts(plan, request->mount.path) < there)
		adm_plan_add(plan, ADM_DO_UNMOUNT, request->from)->mount =
			request->mount;
}

static char *option_text(const char *name, const char *limit)
{
	return is_limit(limit) ? tool_text(",%s=%s", name, limit)
			       : tool_strdup("");
}

char *adm_mount_options(const struct adm_mount *mount)
{
	return tool_text("pagesize=%s,mode=%04o,uid=%u,gid=%u%s%s%s",
		tool_size(mount->page_bytes).text, mount->mode, mount->uid,
		mount->gid, option_text("size", mount->size),
		option_text("min_size", mount->min_size),
		option_text("nr_inodes", mount->inodes));
}

/* ---- doing it ---- */

static void failed(struct adm_action *a, int err, const char *what)
{
	a->result = ADM_FAILED;
	a->why = tool_text("%s: %s", what, strerror(err));
}

static int make_directories(const char *path)
{
	char *part = tool_strdup(path);
	struct stat st;

	for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return errno;
		*slash = '/';
	}
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return errno;
	if (stat(path, &st) != 0)
		return errno;
	return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
}

/* In bytes: the kernel does not round up, and old ones know no suffixes. */
static char *kernel_options(
	struct adm_state *state, const struct adm_mount *mount)
{
	struct adm_mount exact = *mount;

	if (is_limit(mount->size))
		exact.size = tool_text(
			"%" PRIu64, limit_bytes(state, mount, mount->size));
	if (is_limit(mount->min_size))
		exact.min_size = tool_text(
			"%" PRIu64, limit_bytes(state, mount, mount->min_size));
	return adm_mount_options(&exact);
}

static void verify(struct adm_state *state, struct adm_action *a)
{
	const struct adm_mounted *there =
		adm_mounted_at(state, a->mount.path, NULL);

	a->result = ADM_FAILED;
	if (!there)
		a->why = tool_strdup("it is not among the mounts");
	else if (!same_limits(state, &a->mount, there))
		a->why = tool_text(
			"the kernel has other limits: %s", there->options);
	else if (there->is.mode != a->mount.mode ||
		 there->is.uid != a->mount.uid || there->is.gid != a->mount.gid)
		a->why = tool_strdup("owner or mode are not as asked");
	else
		a->result = ADM_DONE;
}

static void change_owner(struct adm_action *a)
{
	const struct adm_mount *m = &a->mount;

	if (chown(m->path, m->uid, m->gid) != 0 || chmod(m->path, m->mode) != 0)
		failed(a, errno, m->path);
}

static bool unmount_empty(const struct adm_state *state, struct adm_action *a)
{
	/* Somebody may have made files since the plan. */
	if (has_files(state, a->mount.path))
		failed(a, ENOTEMPTY, "it has other limits");
	else if (umount2(a->mount.path, UMOUNT_NOFOLLOW) != 0)
		failed(a, errno, "it has other limits, and is in use");
	return a->result != ADM_FAILED;
}

static void mount_now(struct adm_state *state, struct adm_action *a)
{
	const struct adm_mount *m = &a->mount;
	int err = make_directories(m->path);

	if (err) {
		failed(a, err, m->path);
		return;
	}
	if (a->remount == ADM_MOUNT_ANEW && !unmount_empty(state, a))
		return;
	/* One that could not be unmounted, or somebody was faster. */
	known.read = false;
	if (adm_mounted_at(state, m->path, NULL)) {
		failed(a, EBUSY, "another is mounted there");
		return;
	}
	if (mount("hugetlbfs", m->path, "hugetlbfs", MS_NOSUID | MS_NODEV,
		    kernel_options(state, m)) != 0)
		failed(a, errno,
			errno == ENOMEM && is_limit(m->min_size)
				? "the pool has no pages for min_size"
				: "mount");
}

void adm_mount_do(struct adm_state *state, struct adm_action *a)
{
	const struct adm_mount *m = &a->mount;
	struct adm_pool *pool = adm_pool_of(state, m->page_bytes);

	if (state->root.prefix[0] != '\0') {
		failed(a, EXDEV, "nothing can be mounted below --sysroot");
		return;
	}
	/* Percentages are of the pool as it is now. */
	(void)hl_pool_read(
		&state->root, m->page_bytes, HL_NODE_ANY, &pool->all);
	if (a->remount == ADM_CHANGE_OWNER)
		change_owner(a);
	else
		mount_now(state, a);
	known.read = false;
	if (a->result != ADM_FAILED)
		verify(state, a);
}

/* The directories were for the mount; what else is in them stays. */
static void remove_directories(const struct adm_mount *m)
{
	char *path = tool_strdup(m->path);
	size_t base = m->base ? strlen(m->base) : strlen(path);

	while (rmdir(path) == 0) {
		*strrchr(path, '/') = '\0';
		if (strlen(path) <= base)
			return;
	}
}

void adm_unmount_do(struct adm_state *state, struct adm_action *a)
{
	struct statfs fs;

	if (state->root.prefix[0] != '\0') {
		failed(a, EXDEV, "nothing can be unmounted below --sysroot");
		return;
	}
	if (statfs(a->mount.path, &fs) == 0 &&
		(uint32_t)fs.f_type != HUGETLBFS_MAGIC) {
		failed(a, EBUSY, "something else is mounted over it");
		return;
	}
	if (umount2(a->mount.path, UMOUNT_NOFOLLOW) != 0) {
		failed(a, errno, "unmount");
		return;
	}
	known.read = false;
	remove_directories(&a->mount);
	a->result = ADM_DONE;
}
