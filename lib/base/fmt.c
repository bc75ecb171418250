/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing text into a bounded buffer. No allocation, no locale, no stdio, no
 * lock: callable from the first malloc and from signal handlers.
 *
 * Invariant of struct hl_buf: length < capacity and data[length] == 0, unless
 * capacity is 0. What does not fit is dropped and `truncated` says so; later
 * pieces are dropped too, so that the text is always a prefix of the whole.
 */
#include "base/fmt.h"

#include <string.h>

void hl_buf_init(struct hl_buf *buf, char *data, size_t capacity)
{
	buf->data = data;
	buf->capacity = capacity;
	buf->length = 0;
	buf->truncated = false;
	if (capacity > 0)
		data[0] = '\0';
}

void hl_buf_putn(struct hl_buf *buf, const char *s, size_t n)
{
	size_t room;

	if (buf->truncated)
		return;
	room = buf->capacity == 0 ? 0 : buf->capacity - 1 - buf->length;
	if (n > room) {
		n = room;
		buf->truncated = true;
	}
	if (n == 0)
		return;
	memcpy(buf->data + buf->length, s, n);
	buf->length += n;
	buf->data[buf->length] = '\0';
}

void hl_buf_putc(struct hl_buf *buf, char c)
{
	hl_buf_putn(buf, &c, 1);
}

void hl_buf_puts(struct hl_buf *buf, const char *s)
{
	hl_buf_putn(buf, s, strlen(s));
}

/* One conversion of hl_buf_vprintf. */
struct spec {
	bool left;
	bool zero;
	size_t width;
	size_t precision; /* SIZE_MAX: none */
	char length;	  /* 'H' hh, 'h', 0, 'l', 'L' ll, 'z' */
	char conversion;
};

static size_t scan_number(const char **fmt)
{
	size_t n = 0;

	while (**fmt >= '0' && **fmt <= '9' && n < 100000)
		n = n * 10 + (size_t)(*(*fmt)++ - '0');
	return n;
}

static char scan_length(const char **fmt)
{
	char c = **fmt;

	if (c != 'l' && c != 'h' && c != 'z')
		return 0;
	(*fmt)++;
	if (**fmt == c && c != 'z') {
		(*fmt)++;
		return c == 'l' ? 'L' : 'H';
	}
	return c;
}

static void scan_spec(const char **fmt, struct spec *spec)
{
	*spec = (struct spec){.precision = SIZE_MAX};
	for (;; (*fmt)++) {
		if (**fmt == '-')
			spec->left = true;
		else if (**fmt == '0')
			spec->zero = true;
		else
			break;
	}
	spec->width = scan_number(fmt);
	if (**fmt == '.') {
		(*fmt)++;
		spec->precision = scan_number(fmt);
	}
	spec->length = scan_length(fmt);
	spec->conversion = **fmt;
	if (**fmt != '\0')
		(*fmt)++;
}

static void pad(struct hl_buf *buf, char c, size_t n)
{
	while (n-- > 0 && !buf->truncated)
		hl_buf_putc(buf, c);
}

static void put_text(
	struct hl_buf *buf, const struct spec *spec, const char *s, size_t n)
{
	size_t fill = spec->width > n ? spec->width - n : 0;

	if (!spec->left)
		pad(buf, ' ', fill);
	hl_buf_putn(buf, s, n);
	if (spec->left)
		pad(buf, ' ', fill);
}

static void put_number(struct hl_buf *buf, const struct spec *spec,
	uint64_t value, unsigned base, const char *sign)
{
	char digits[24];
	size_t at = sizeof(digits);
	size_t signs = strlen(sign);
	size_t fill;

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value > 0);
	fill = sizeof(digits) - at + signs;
	fill = spec->width > fill ? spec->width - fill : 0;
	if (!spec->left && !spec->zero)
		pad(buf, ' ', fill);
	hl_buf_putn(buf, sign, signs);
	if (!spec->left && spec->zero)
		pad(buf, '0', fill);
	hl_buf_putn(buf, digits + at, sizeof(digits) - at);
	if (spec->left)
		pad(buf, ' ', fill);
}

/* 2097152 -> "2M": the largest unit that divides it. */
static void put_size(struct hl_buf *buf, const struct spec *spec, size_t value)
{
	static const char units[] = "KMGT";
	char text[32];
	struct hl_buf small;
	size_t unit = 0;

	while (value != 0 && value % 1024 == 0 && unit < sizeof(units) - 1) {
		value /= 1024;
		unit++;
	}
	hl_buf_init(&small, text, sizeof(text));
	put_number(&small, &(struct spec){0}, value, 10, "");
	if (unit > 0)
		hl_buf_putc(&small, units[unit - 1]);
	put_text(buf, spec, text, small.length);
}

/* A macro, since va_list may be an array and must not be passed by pointer. */
#define TAKE_UNSIGNED(ap, length)                                            \
	((length) == 'L'	  ? (uint64_t)va_arg(ap, unsigned long long) \
		: (length) == 'l' ? (uint64_t)va_arg(ap, unsigned long)      \
		: (length) == 'z' ? (uint64_t)va_arg(ap, size_t)             \
		: (length) == 'h'                                            \
			? (uint64_t)(unsigned short)va_arg(ap, unsigned)     \
		: (length) == 'H'                                            \
			? (uint64_t)(unsigned char)va_arg(ap, unsigned)      \
			: (uint64_t)va_arg(ap, unsigned))

#define TAKE_SIGNED(ap, length)                                           \
	((length) == 'L'	  ? (int64_t)va_arg(ap, long long)        \
		: (length) == 'l' ? (int64_t)va_arg(ap, long)             \
		: (length) == 'z' ? (int64_t)va_arg(ap, ptrdiff_t)        \
		: (length) == 'h' ? (int64_t)(short)va_arg(ap, int)       \
		: (length) == 'H' ? (int64_t)(signed char)va_arg(ap, int) \
				  : (int64_t)va_arg(ap, int))

static void put_signed(struct hl_buf *buf, const struct spec *spec, int64_t n)
{
	/* Negated as unsigned: INT64_MIN has no positive counterpart. */
	put_number(buf, spec, n < 0 ? -(uint64_t)n : (uint64_t)n, 10,
		n < 0 ? "-" : "");
}

static void put_string(
	struct hl_buf *buf, const struct spec *spec, const char *s)
{
	if (!s)
		s = "(null)";
	put_text(buf, spec, s,
		spec->precision == SIZE_MAX ? strlen(s)
					    : strnlen(s, spec->precision));
}

void hl_buf_vprintf(struct hl_buf *buf, const char *fmt, va_list ap)
{
	struct spec spec;
	char c;

	while (*fmt != '\0') {
		if (*fmt != '%') {
			size_t n = strcspn(fmt, "%");

			hl_buf_putn(buf, fmt, n);
			fmt += n;
			continue;
		}
		fmt++;
		scan_spec(&fmt, &spec);
		switch (spec.conversion) {
		case 's':
			put_string(buf, &spec, va_arg(ap, const char *));
			break;
		case 'c':
			c = (char)va_arg(ap, int);
			put_text(buf, &spec, &c, 1);
			break;
		case 'd':
		case 'i':
			put_signed(buf, &spec, TAKE_SIGNED(ap, spec.length));
			break;
		case 'u':
			put_number(buf, &spec, TAKE_UNSIGNED(ap, spec.length),
				10, "");
			break;
		case 'x':
			put_number(buf, &spec, TAKE_UNSIGNED(ap, spec.length),
				16, "");
			break;
		case 'p':
			put_number(buf, &spec,
				(uintptr_t)va_arg(ap, const void *), 16, "0x");
			break;
		case 'K':
			put_size(buf, &spec, va_arg(ap, size_t));
			break;
		case '%':
			hl_buf_putc(buf, '%');
			break;
		default:
			/* The arguments cannot be followed any further. */
			HL_ASSERT(false);
			return;
		}
	}
}

void hl_buf_printf(struct hl_buf *buf, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	hl_buf_vprintf(buf, fmt, ap);
	va_end(ap);
}

void hl_buf_human_bytes(struct hl_buf *buf, uint64_t bytes)
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned unit = 0;
	uint64_t whole, tenths;

	while (unit + 1 < HL_ARRAY_SIZE(units) && bytes >> (10 * (unit + 1)))
		unit++;
	whole = bytes >> (10 * unit);
	if (unit == 0) {
		tenths = whole * 10;
	} else {
		/* 10 bits of the fraction are enough for one decimal. */
		uint64_t fraction = (bytes >> (10 * (unit - 1))) & 1023;

		tenths = whole * 10 + (fraction * 10 + 512) / 1024;
	}
	if (tenths >= 10240 && unit + 1 < HL_ARRAY_SIZE(units)) {
		tenths = 10;
		unit++;
	}
	hl_buf_printf(buf, "%llu", (unsigned long long)(tenths / 10));
	if (tenths % 10 != 0)
		hl_buf_printf(buf, ".%u", (unsigned)(tenths % 10));
	hl_buf_printf(buf, " %s", units[unit]);
}
