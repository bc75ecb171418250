/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text without allocation and without stdio or locale: a bounded buffer, a
 * small printf, sizes ("2M", "64K", "1G"), integers, node lists ("0-3,8").
 * No function here fails by writing too far: a full buffer sets `truncated`.
 */
#ifndef HL_BASE_FMT_H
#define HL_BASE_FMT_H

#include "base/base.h"

#include <stdarg.h>

struct hl_buf {
	char *data;	 /* always NUL-terminated if capacity > 0 */
	size_t capacity; /* bytes, the NUL included */
	size_t length;	 /* bytes before the NUL */
	bool truncated;
};

void hl_buf_init(struct hl_buf *buf, char *data, size_t capacity);
void hl_buf_putc(struct hl_buf *buf, char c);
void hl_buf_puts(struct hl_buf *buf, const char *s);
void hl_buf_putn(struct hl_buf *buf, const char *s, size_t n);

/*
 * Conversions: %s %c %d %i %u %x %p %% with l, ll, z and h lengths, a minimum
 * width, '0' and '-' flags, precision for %s. And %K  a size_t as a size with
 * the largest exact unit: 2097152 -> "2M", 3000 -> "3000"
 */
void hl_buf_printf(struct hl_buf *buf, const char *fmt, ...);
void hl_buf_vprintf(struct hl_buf *buf, const char *fmt, va_list ap);

/* "1.5 GiB", "312 KiB": for people; one decimal. */
void hl_buf_human_bytes(struct hl_buf *buf, uint64_t bytes);

/*
 * Parsers. They consume the whole string or fail with -EINVAL (-ERANGE where
 * the value does not fit); *out is untouched on failure.
 *
 * Size: decimal or 0x hex number, optional suffix K M G T (any case), optional
 * "B" or "iB" after the suffix.
 */
int hl_parse_size(const char *s, size_t *out);
int hl_parse_u64(const char *s, uint64_t *out);
/* "0-3,8" into a bit array of nbits; an empty string is no bit. */
int hl_parse_list(const char *s, uint64_t *bits, size_t nbits);
void hl_buf_list(struct hl_buf *buf, const uint64_t *bits, size_t nbits);
/* Equal, letters of ASCII in any case; strcasecmp would ask the locale. */
bool hl_same_text(const char *a, const char *b);
/* What follows the last slash of a path; all of it without one. */
const char *hl_last_component(const char *path);
/* "yes", "1", "true", "on" / "no", "0", "false", "off", "" in any case. */
int hl_parse_bool(const char *s, bool *out);

#endif
