/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parsers of base/fmt.h: sizes, integers, lists of numbers, yes and no.
 * They read what users and the kernel write, so they take nothing on trust:
 * the whole string is understood, or the result stays untouched. No lock, no
 * allocation, no locale.
 */
#include "base/bitmap.h"
#include "base/fmt.h"

#include <errno.h>
#include <string.h>

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool hl_same_text(const char *a, const char *b)
{
	while (*a != '\0' && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower(*a) == lower(*b);
}

/* Value of a digit in any base up to 16, or 16. */
static unsigned digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return 16;
}

/* The number at *s, which moves behind it. */
static int scan(const char **s, uint64_t *out)
{
	const char *p = *s;
	uint64_t value = 0;
	unsigned base = 10;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		base = 16;
		p += 2;
	}
	if (digit(*p) >= base)
		return -EINVAL;
	for (; digit(*p) < base; p++) {
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
			__builtin_add_overflow(
				value, (uint64_t)digit(*p), &value))
			return -ERANGE;
	}
	*s = p;
	*out = value;
	return 0;
}

int hl_parse_u64(const char *s, uint64_t *out)
{
	uint64_t value;
	int err = scan(&s, &value);

	if (err)
		return err;
	if (*s != '\0')
		return -EINVAL;
	*out = value;
	return 0;
}

/* 10 for K, 20 for M ...; 0 for none. *s moves behind it. */
static unsigned scan_unit(const char **s)
{
	static const char units[] = "kmgt";
	const char *at;

	if (**s == '\0')
		return 0;
	at = strchr(units, lower(**s));
	if (!at)
		return 0;
	(*s)++;
	if (hl_same_text(*s, "b"))
		*s += 1;
	else if (hl_same_text(*s, "ib"))
		*s += 2;
	return (unsigned)(at - units + 1) * 10;
}

int hl_parse_size(const char *s, size_t *out)
{
	uint64_t value;
	unsigned shift;
	int err = scan(&s, &value);

	if (err)
		return err;
	shift = scan_unit(&s);
	if (*s != '\0')
		return -EINVAL;
	if (value > SIZE_MAX >> shift)
		return -ERANGE;
	*out = (size_t)value << shift;
	return 0;
}

/* As scan(), but hexadecimal is not part of the kernel's syntax of lists. */
static int scan_decimal(const char **s, uint64_t *out)
{
	if ((*s)[0] == '0' && ((*s)[1] | 0x20) == 'x')
		return -EINVAL;
	return scan(s, out);
}

/* "3" or "0-3" at *s, which moves behind it. */
static int scan_range(const char **s, size_t nbits, size_t *first, size_t *last)
{
	uint64_t from, to;
	int err;

	err = scan_decimal(s, &from);
	if (err)
		return err;
	to = from;
	if (**s == '-') {
		(*s)++;
		err = scan_decimal(s, &to);
		if (err)
			return err;
	}
	if (to < from)
		return -EINVAL;
	if (to >= nbits)
		return -ERANGE;
	*first = (size_t)from;
	*last = (size_t)to;
	return 0;
}

/* One walk over the list; sets bits if there are any to set. */
static int walk_list(const char *s, uint64_t *bits, size_t nbits)
{
	size_t first, last;
	int err;

	if (*s == '\0')
		return 0;
	for (;;) {
		err = scan_range(&s, nbits, &first, &last);
		if (err)
			return err;
		for (size_t i = first; bits && i <= last; i++)
			bits[i / 64] |= (uint64_t)1 << (i % 64);
		if (*s == '\0')
			return 0;
		if (*s != ',')
			return -EINVAL;
		s++;
	}
}

int hl_parse_list(const char *s, uint64_t *bits, size_t nbits)
{
	int err = walk_list(s, NULL, nbits);

	if (err)
		return err;
	memset(bits, 0, HL_BITMAP_WORDS(nbits) * sizeof(*bits));
	return walk_list(s, bits, nbits);
}

void hl_buf_list(struct hl_buf *buf, const uint64_t *bits, size_t nbits)
{
	const char *comma = "";

	for (size_t i = 0; i < nbits; i++) {
		size_t first = i;

		if (!hl_bitmap_test(bits, i))
			continue;
		while (i + 1 < nbits && hl_bitmap_test(bits, i + 1))
			i++;
		hl_buf_printf(buf, "%s%zu", comma, first);
		if (i > first)
			hl_buf_printf(buf, "-%zu", i);
		comma = ",";
	}
}

int hl_parse_bool(const char *s, bool *out)
{
	static const char *const yes[] = {"yes", "1", "true", "on"};
	static const char *const no[] = {"no", "0", "false", "off", ""};

	for (size_t i = 0; i < HL_ARRAY_SIZE(yes); i++) {
		if (hl_same_text(s, yes[i])) {
			*out = true;
			return 0;
		}
	}
	for (size_t i = 0; i < HL_ARRAY_SIZE(no); i++) {
		if (hl_same_text(s, no[i])) {
			*out = false;
			return 0;
		}
	}
	return -EINVAL;
}

const char *hl_last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}
