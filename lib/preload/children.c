/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugectl --no-children: the program alone, not what it starts. Our entry of
 * LD_PRELOAD and our variables leave the environment before the program sees
 * it.
 *
 * In place: the array is closed up and the text of LD_PRELOAD shortened, with
 * no allocation. The program's main() gets the same array. Called once, from
 * the constructor, when the options have been copied.
 */
#include "preload/preload.h"

#include "base/fmt.h"
#include "base/opt.h"
#include "base/syscall.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define LD_PRELOAD_PREFIX "LD_PRELOAD="

struct file_id {
	uint32_t major, minor;
	uint64_t inode;
};

static bool identify(const char *path, struct file_id *out)
{
	struct statx st;

	if (hl_syscall(SYS_statx, AT_FDCWD, (long)path, 0, STATX_INO, (long)&st,
		    0) != 0)
		return false;
	out->major = st.stx_dev_major;
	out->minor = st.stx_dev_minor;
	out->inode = st.stx_ino;
	return true;
}

/* The entry of LD_PRELOAD is this object. */
static bool names_us(const char *entry, const char *path)
{
	struct file_id a, b;

	if (*entry == '\0')
		return false;
	if (strcmp(entry, path) == 0)
		return true;
	/*
	 * Without a slash the linker searched its directories for the name;
	 * with a token (hugectl's DIR/$LIB/NAME) only it knows the path.
	 */
	if (strchr(entry, '/') == NULL || strchr(entry, '$') != NULL)
		return strcmp(hl_last_component(entry),
			       hl_last_component(path)) == 0;
	return identify(entry, &a) && identify(path, &b) &&
	       a.inode == b.inode && a.major == b.major && a.minor == b.minor;
}

/* Returns false if nothing is left. */
static bool drop_entry(char *list, const char *path)
{
	char *to = list;
	char *from = list;
	bool any = false;

	while (*from != '\0') {
		size_t length = strcspn(from, " :");
		char separator = from[length];
		char *next = from + length + (separator != '\0');
		bool ours;

		from[length] = '\0';
		ours = names_us(from, path);
		from[length] = separator;
		if (!ours) {
			any = any || length != 0;
			memmove(to, from, (size_t)(next - from));
			to += next - from;
		}
		from = next;
	}
	/* The last entry was ours: so is the separator before it. */
	if (to > list && from[-1] != ' ' && from[-1] != ':' &&
		(to[-1] == ' ' || to[-1] == ':'))
		to--;
	*to = '\0';
	return any;
}

static bool is_our_variable(const char *entry)
{
	size_t name = strcspn(entry, "=");

	for (size_t i = 0; i < hl_opt_doc_count; i++) {
		if (strlen(hl_opt_docs[i].name) == name &&
			memcmp(hl_opt_docs[i].name, entry, name) == 0)
			return true;
	}
	return false;
}

void hl_children_disinherit(char **envp, const char *path)
{
	char **to = envp;

	for (char **from = envp; *from != NULL; from++) {
		size_t prefix = sizeof(LD_PRELOAD_PREFIX) - 1;
		char *entry = *from;

		if (is_our_variable(entry))
			continue;
		if (strncmp(entry, LD_PRELOAD_PREFIX, prefix) == 0 &&
			!drop_entry(entry + prefix, path))
			continue;
		*to++ = entry;
	}
	*to = NULL;
}
