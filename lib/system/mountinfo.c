/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking a line of mountinfo apart:
 *
 *   36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root
 * rw,errors=continue
 *
 * Space, tab, newline and backslash in a name are written as \ and three octal
 * digits. A line may have any number of optional fields before the hyphen. A
 * line that a reader's buffer cut short lacks its end and is refused.
 */
#include "system/mountinfo.h"

#include <string.h>

/* The field at *at, which is ended and left behind; NULL if none. */
static char *take_field(char **at)
{
	char *field = *at;
	size_t length;

	if (!field)
		return NULL;
	length = (size_t)(strchrnul(field, ' ') - field);
	if (length == 0)
		return NULL;
	*at = field[length] == '\0' ? NULL : field + length + 1;
	field[length] = '\0';
	return field;
}

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' &&
	       s[2] >= '0' && s[2] <= '7';
}

void hl_mountinfo_unescape(char *text)
{
	char *to;

	/* Mostly there is nothing to do. */
	text = strchrnul(text, '\\');
	to = text;
	while (*text != '\0') {
		if (text[0] == '\\' && is_octal(text + 1)) {
			int c = (text[1] - '0') * 64 + (text[2] - '0') * 8 +
				(text[3] - '0');

			*to++ = (char)c;
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

bool hl_mountinfo_is_type(const char *line, const char *type)
{
	size_t length = strlen(type);

	/* Names have no spaces here: the first hyphen is the one. */
	line = strstr(line, " - ");
	return line && strncmp(line + 3, type, length) == 0 &&
	       line[3 + length] == ' ';
}

bool hl_mountinfo_parse(char *line, struct hl_mountinfo *out)
{
	struct hl_mountinfo info;
	char *at = line;
	char *field;

	/* Mount, parent, device. */
	for (int i = 0; i < 3; i++) {
		if (!take_field(&at))
			return false;
	}
	info.root = take_field(&at);
	info.path = take_field(&at);
	info.options = take_field(&at);
	do {
		field = take_field(&at);
	} while (field && strcmp(field, "-") != 0);
	if (!field)
		return false;
	info.type = take_field(&at);
	/* The source may be empty: then two spaces follow each other. */
	if (at && *at == ' ')
		at++;
	else if (!take_field(&at))
		return false;
	info.super_options = take_field(&at);
	if (!info.super_options)
		return false;
	hl_mountinfo_unescape(info.root);
	hl_mountinfo_unescape(info.path);
	*out = info;
	return true;
}

bool hl_mountinfo_option(const char *options, const char *name,
	const char **value, size_t *length)
{
	size_t wanted = strlen(name);

	for (;;) {
		size_t whole = strcspn(options, ",");

		if (whole >= wanted && memcmp(options, name, wanted) == 0 &&
			(whole == wanted || options[wanted] == '=')) {
			size_t skip = whole == wanted ? wanted : wanted + 1;

			*value = options + skip;
			*length = whole - skip;
			return true;
		}
		if (options[whole] == '\0')
			return false;
		options += whole + 1;
	}
}
