/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pieces of the text files in procfs: a number, a character, a word, each
 * taken from *at, which moves behind it. For the readers of system/ only. Pure
 * text, no lock, no locale.
 */
#ifndef HL_SYSTEM_SCAN_H
#define HL_SYSTEM_SCAN_H

#include "base/base.h"

#include <string.h>

/* Lower case only, as the kernel writes it: keys start with capitals. */
static inline bool hl_scan_hex(const char **at, uint64_t *out)
{
	const char *s = *at;
	uint64_t value = 0;

	for (;; s++) {
		unsigned digit;

		if (*s >= '0' && *s <= '9')
			digit = (unsigned)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			digit = (unsigned)(*s - 'a') + 10;
		else
			break;
		if (value >> 60)
			return false;
		value = value << 4 | digit;
	}
	if (s == *at)
		return false;
	*at = s;
	*out = value;
	return true;
}

/* 0 where there is no digit; the largest number where it does not fit. */
static inline uint64_t hl_scan_decimal(const char **at)
{
	uint64_t value = 0;

	while (**at >= '0' && **at <= '9') {
		uint64_t digit = (uint64_t)(*(*at)++ - '0');

		if (value > (UINT64_MAX - digit) / 10)
			value = UINT64_MAX;
		else
			value = value * 10 + digit;
	}
	return value;
}

static inline bool hl_scan_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

static inline void hl_scan_spaces(const char **at)
{
	*at += strspn(*at, " \t");
}

/* "Key:   123": true and the number if the line has that key. */
static inline bool hl_scan_key(const char *line, const char *key, uint64_t *out)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length) != 0 || line[length] != ':')
		return false;
	line += length + 1;
	hl_scan_spaces(&line);
	*out = hl_scan_decimal(&line);
	return true;
}

#endif
