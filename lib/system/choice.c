/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings that are one word of several, as the files of transparent huge pages
 * have them ("always [madvise] never"), and which sizes have such files. Words
 * and sizes that this library has never heard of pass through. No lock, no
 * state.
 */
#include "system/admin.h"

#include <errno.h>
#include <string.h>

#define THP_DIRECTORY "/sys/kernel/mm/transparent_hugepage"

int hl_choice_read(const struct hl_root *root, const char *path, char *out,
	size_t capacity)
{
	char text[256];
	ssize_t length = hl_root_read(root, path, text, sizeof(text));
	const char *word = text, *close;
	size_t n;

	if (length < 0)
		return (int)length;
	n = (size_t)length;
	word = strchr(text, '[');
	close = word ? strchr(word, ']') : NULL;
	if (close)
		n = (size_t)(close - ++word);
	else
		word = text;
	if (n >= capacity)
		return -EINVAL;
	memcpy(out, word, n);
	out[n] = '\0';
	return 0;
}

bool hl_choice_offers(
	const struct hl_root *root, const char *path, const char *word)
{
	char text[256];
	const char *at = text;
	size_t n = strlen(word);

	if (n == 0 || hl_root_read(root, path, text, sizeof(text)) < 0)
		return false;
	for (;;) {
		size_t length;

		at += strspn(at, " []");
		length = strcspn(at, " []");
		if (length == 0)
			return false;
		if (length == n && memcmp(at, word, n) == 0)
			return true;
		at += length;
	}
}

int hl_thp_sizes(const struct hl_root *root, size_t sizes[HL_THP_SIZES_MAX])
{
	return hl_size_directories(
		root, THP_DIRECTORY, sizes, HL_THP_SIZES_MAX);
}
