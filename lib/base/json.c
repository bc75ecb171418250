/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The JSON writer. Commas and line ends come from two bits per depth: whether
 * this level is an array, and whether it has a member yet. Every byte passes
 * through put(), which drains the buffer to the file descriptor when it is
 * full.
 *
 * Called by the report and the tools. Holds no lock, allocates nothing.
 */
#include "base/json.h"
#include "base/syscall.h"

#include <errno.h>
#include <string.h>

void hl_json_init_buf(struct hl_json *json, struct hl_buf *out)
{
	*json = (struct hl_json){.out = out, .fd = -1};
}

void hl_json_init_fd(struct hl_json *json, int fd, char *text, size_t capacity)
{
	*json = (struct hl_json){.fd = fd};
	hl_buf_init(&json->buf, text, capacity);
	json->out = &json->buf;
}

static void drain(struct hl_json *json)
{
	struct hl_buf *out = json->out;

	if (!json->error)
		json->error = hl_write_all(json->fd, out->data, out->length);
	hl_buf_init(out, out->data, out->capacity);
}

static void put(struct hl_json *json, const char *s, size_t n)
{
	struct hl_buf *out = json->out;

	while (json->fd >= 0 && out->length + n >= out->capacity) {
		size_t room = out->capacity - 1 - out->length;
		size_t part = HL_MIN(room, n);

		hl_buf_putn(out, s, part);
		s += part;
		n -= part;
		drain(json);
	}
	hl_buf_putn(out, s, n);
}

static void puts_json(struct hl_json *json, const char *s)
{
	put(json, s, strlen(s));
}

/* The escape for a byte that must not stand as it is; 0 if it may. */
static char short_escape(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return 0;
	}
}

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Refuses overlong forms, surrogates, and what is beyond U+10FFFF (RFC 3629).
 */
size_t hl_utf8_length(const unsigned char *s, size_t n)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		length = 2;
	} else if ((s[0] & 0xf0) == 0xe0) {
		length = 3;
		if (s[0] == 0xe0)
			low = 0xa0;
		if (s[0] == 0xed)
			high = 0x9f;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		length = 4;
		if (s[0] == 0xf0)
			low = 0x90;
		if (s[0] == 0xf4)
			high = 0x8f;
	} else {
		return 0;
	}
	if (length > n || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++) {
		if (!is_tail(s[i]))
			return 0;
	}
	return length;
}

static void put_escaped(struct hl_json *json, const char *value, size_t n)
{
	const unsigned char *s = (const unsigned char *)value;
	char text[8];
	struct hl_buf small;

	puts_json(json, "\"");
	while (n > 0) {
		size_t length = hl_utf8_length(s, n);

		if (length == 0) {
			puts_json(json, HL_UTF8_REPLACEMENT);
			length = 1;
		} else if (short_escape(*s)) {
			char pair[2] = {'\\', short_escape(*s)};

			put(json, pair, 2);
		} else if (*s < 0x20 || *s == 0x7f) {
			hl_buf_init(&small, text, sizeof(text));
			hl_buf_printf(&small, "\\u%04x", (unsigned)*s);
			put(json, text, small.length);
		} else {
			put(json, (const char *)s, length);
		}
		s += length;
		n -= length;
	}
	puts_json(json, "\"");
}

static void new_line(struct hl_json *json)
{
	if (!json->indent)
		return;
	puts_json(json, "\n");
	for (unsigned i = 0; i < json->depth; i++)
		puts_json(json, "  ");
}

/* Everything before a value: comma, line, key. */
static void lead(struct hl_json *json, const char *key)
{
	uint64_t bit = (uint64_t)1 << json->depth;

	HL_ASSERT(
		(key != NULL) == (json->depth > 0 && !(json->is_array & bit)));
	if (json->has_member & bit)
		puts_json(json, ",");
	json->has_member |= bit;
	if (json->depth > 0)
		new_line(json);
	if (!key)
		return;
	put_escaped(json, key, strlen(key));
	puts_json(json, json->indent ? ": " : ":");
}

static void begin(struct hl_json *json, const char *key, bool array)
{
	uint64_t bit;

	lead(json, key);
	puts_json(json, array ? "[" : "{");
	HL_CHECK(json->depth < HL_JSON_DEPTH_MAX);
	json->depth++;
	bit = (uint64_t)1 << json->depth;
	json->has_member &= ~bit;
	json->is_array = array ? json->is_array | bit : json->is_array & ~bit;
}

void hl_json_begin_object(struct hl_json *json, const char *key)
{
	begin(json, key, false);
}

void hl_json_begin_array(struct hl_json *json, const char *key)
{
	begin(json, key, true);
}

void hl_json_end(struct hl_json *json)
{
	uint64_t bit = (uint64_t)1 << json->depth;

	HL_CHECK(json->depth > 0);
	json->depth--;
	if (json->has_member & bit)
		new_line(json);
	puts_json(json, json->is_array & bit ? "]" : "}");
}

void hl_json_stringn(
	struct hl_json *json, const char *key, const char *value, size_t n)
{
	lead(json, key);
	put_escaped(json, value, n);
}

void hl_json_string(struct hl_json *json, const char *key, const char *value)
{
	if (value)
		hl_json_stringn(json, key, value, strlen(value));
	else
		hl_json_null(json, key);
}

static void put_number(struct hl_json *json, uint64_t value)
{
	char text[24];
	struct hl_buf small;

	hl_buf_init(&small, text, sizeof(text));
	hl_buf_printf(&small, "%llu", (unsigned long long)value);
	put(json, text, small.length);
}

void hl_json_u64(struct hl_json *json, const char *key, uint64_t value)
{
	lead(json, key);
	put_number(json, value);
}

void hl_json_i64(struct hl_json *json, const char *key, int64_t value)
{
	lead(json, key);
	if (value < 0)
		puts_json(json, "-");
	put_number(json, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void hl_json_bool(struct hl_json *json, const char *key, bool value)
{
	lead(json, key);
	puts_json(json, value ? "true" : "false");
}

void hl_json_null(struct hl_json *json, const char *key)
{
	lead(json, key);
	puts_json(json, "null");
}

void hl_json_fixed(struct hl_json *json, const char *key, uint64_t value,
	unsigned decimals)
{
	uint64_t scale = 1;

	HL_ASSERT(decimals <= 18);
	for (unsigned i = 0; i < decimals; i++)
		scale *= 10;
	lead(json, key);
	put_number(json, value / scale);
	if (decimals == 0)
		return;
	puts_json(json, ".");
	for (value %= scale; scale > 1; value %= scale) {
		char c;

		scale /= 10;
		c = (char)('0' + value / scale);
		put(json, &c, 1);
	}
}

void hl_json_ratio(
	struct hl_json *json, const char *key, uint64_t part, uint64_t whole)
{
	if (whole == 0) {
		hl_json_null(json, key);
		return;
	}
	hl_json_fixed(json, key,
		(uint64_t)(((unsigned __int128)part * 10000 + whole / 2) /
			   whole),
		4);
}

int hl_json_finish(struct hl_json *json)
{
	HL_ASSERT(json->depth == 0);
	puts_json(json, "\n");
	if (json->fd >= 0)
		drain(json);
	else if (json->out->truncated && !json->error)
		json->error = -EMSGSIZE;
	return json->error;
}
