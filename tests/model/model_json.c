/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/json.c: random documents, members of any bytes, written whole and
 * in pieces. A reader of our own checks that the text is JSON (RFC 8259) and
 * that each value comes back: strings byte by byte, with U+FFFD for each byte
 * that was not UTF-8.
 */
#include "model.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DOCUMENT_BYTES (256 * 1024)
#define STRING_BYTES   48
#define VALUES_MAX     2000

const char model_name[] = "json";

static struct {
	uint64_t documents;
	uint64_t values;
	uint64_t bad_bytes;
} seen;

/* What was written, in order. */
struct value {
	char kind; /* 's' string or key, 'u', 'i', 'b', 'n' */
	uint64_t number;
	size_t length;
	char bytes[STRING_BYTES * 3]; /* as it must come back */
};

static struct value values[VALUES_MAX];
static size_t value_count;
static size_t read_count;
static char document[DOCUMENT_BYTES];
static struct hl_buf buf;
static struct hl_json json;
static struct hl_json piecewise;
static char piece[300];
static int file;
static unsigned depth;
static bool in_array[HL_JSON_DEPTH_MAX + 1];

/* ---- UTF-8 by arithmetic ---- */

static size_t sequence(const unsigned char *s, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = s[0] < 0x80		? 1
			: (s[0] & 0xe0) == 0xc0 ? 2
			: (s[0] & 0xf0) == 0xe0 ? 3
			: (s[0] & 0xf8) == 0xf0 ? 4
						: 0;
	uint32_t code;

	if (length == 0 || length > n)
		return 0;
	if (length == 1)
		return 1;
	code = s[0] & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least[length] || code > 0x10ffff ||
		(code >= 0xd800 && code < 0xe000))
		return 0;
	return length;
}

static void expect_string(const char *bytes, size_t n)
{
	struct value *v = &values[value_count++];
	const unsigned char *s = (const unsigned char *)bytes;

	v->kind = 's';
	v->length = 0;
	while (n > 0) {
		size_t length = sequence(s, n);

		if (length > 0) {
			memcpy(v->bytes + v->length, s, length);
			v->length += length;
		} else {
			memcpy(v->bytes + v->length, "\xef\xbf\xbd", 3);
			v->length += 3;
			length = 1;
			seen.bad_bytes++;
		}
		s += length;
		n -= length;
	}
}

static void expect(char kind, uint64_t number)
{
	values[value_count].kind = kind;
	values[value_count++].number = number;
}

/* ---- writing ---- */

static size_t any_string(struct model_in *in, char *to, bool no_nul)
{
	static const char *const pieces[] = {"\xc3\xbc", "\xe2\x82\xac",
		"\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xc0\x80", "\xe2\x82",
		"\xf4\x90\x80\x80", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\"",
		"\\", "\n", "\xef\xbf\xbf"};
	size_t length = 0, parts = model_draw(in, 10);

	while (parts-- > 0) {
		const char *part =
			pieces[model_draw(in, HL_ARRAY_SIZE(pieces))];

		if (model_chance(in, 2)) {
			to[length++] = (char)model_draw(in, 256);
			if (no_nul && to[length - 1] == '\0')
				to[length - 1] = 'n';
			continue;
		}
		memcpy(to + length, part, strlen(part));
		length += strlen(part);
	}
	to[length] = '\0';
	return length;
}

/* NULL in an array; else any string, which is written down. */
static const char *any_key(struct model_in *in, char *to)
{
	if (depth == 0 || in_array[depth])
		return NULL;
	expect_string(to, any_string(in, to, true));
	return to;
}

static void write_scalar(struct model_in *in, const char *key)
{
	char text[STRING_BYTES];
	uint64_t n = model_draw(in, UINT64_MAX) >> model_draw(in, 64);
	size_t length;

	switch (model_draw(in, 5)) {
	case 0:
		length = any_string(in, text, false);
		expect_string(text, length);
		hl_json_stringn(&json, key, text, length);
		hl_json_stringn(&piecewise, key, text, length);
		break;
	case 1:
		expect('u', n);
		hl_json_u64(&json, key, n);
		hl_json_u64(&piecewise, key, n);
		break;
	case 2:
		n = model_chance(in, 2) ? -n : n >> 1;
		expect('i', n);
		hl_json_i64(&json, key, (int64_t)n);
		hl_json_i64(&piecewise, key, (int64_t)n);
		break;
	case 3:
		expect('b', n & 1);
		hl_json_bool(&json, key, n & 1);
		hl_json_bool(&piecewise, key, n & 1);
		break;
	default:
		expect('n', 0);
		hl_json_null(&json, key);
		hl_json_null(&piecewise, key);
		break;
	}
	seen.values++;
}

static void open_level(struct model_in *in, const char *key)
{
	bool array = model_chance(in, 2);

	if (array) {
		hl_json_begin_array(&json, key);
		hl_json_begin_array(&piecewise, key);
	} else {
		hl_json_begin_object(&json, key);
		hl_json_begin_object(&piecewise, key);
	}
	in_array[++depth] = array;
}

static void close_level(void)
{
	hl_json_end(&json);
	hl_json_end(&piecewise);
	depth--;
}

/* ---- reading ---- */

static const char *at;

static void spaces(void)
{
	while (*at == ' ' || *at == '\n')
		at++;
}

static unsigned hex4(void)
{
	char text[5] = {0};
	char *end;
	unsigned value;

	memcpy(text, at, 4);
	value = (unsigned)strtoul(text, &end, 16);
	model_equal(end - text, 4);
	at += 4;
	return value;
}

static char escape(void)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *name;

	if (*at == 'u') {
		unsigned value;

		at++;
		value = hex4();
		model_check(value < 0x80);
		return (char)value;
	}
	name = strchr(names, *at);
	model_check(name && *name != '\0');
	at++;
	return bytes[name - names];
}

static const struct value *next_value(char kind)
{
	model_check(read_count < value_count);
	model_equal(values[read_count].kind, kind);
	return &values[read_count++];
}

static void read_string(void)
{
	const struct value *want = next_value('s');
	size_t length = 0;

	model_equal(*at, '"');
	for (at++; *at != '"';) {
		char c = *at++;

		/* Control characters must be escaped. */
		model_check((unsigned char)c >= 0x20);
		if (c == '\\')
			c = escape();
		model_check(length < want->length);
		model_equal(c, want->bytes[length]);
		length++;
	}
	model_equal(length, want->length);
	at++;
}

static void read_word(const char *word)
{
	model_check(strncmp(at, word, strlen(word)) == 0);
	at += strlen(word);
}

static void read_number(void)
{
	char *end;

	model_check(read_count < value_count);
	if (values[read_count].kind == 'u')
		model_equal(strtoull(at, &end, 10), next_value('u')->number);
	else
		model_equal(strtoll(at, &end, 10), next_value('i')->number);
	model_check(end > at);
	at = end;
}

static void read_value(void);

static void read_members(char end, bool keys)
{
	at++;
	spaces();
	if (*at == end) {
		at++;
		return;
	}
	for (;;) {
		if (keys) {
			read_string();
			model_equal(*at, ':');
			at++;
		}
		read_value();
		if (*at == end)
			break;
		model_equal(*at, ',');
		at++;
		spaces();
	}
	at++;
}

static void read_value(void)
{
	spaces();
	if (*at == '{')
		read_members('}', true);
	else if (*at == '[')
		read_members(']', false);
	else if (*at == '"')
		read_string();
	else if (*at == 't' || *at == 'f')
		read_word(next_value('b')->number ? "true" : "false");
	else if (*at == 'n')
		read_word(next_value('n') ? "null" : "");
	else
		read_number();
	spaces();
}

static void check_pieces(void)
{
	char *whole = malloc(buf.length + 2);
	ssize_t n;

	model_check(whole != NULL);
	model_equal(hl_json_finish(&piecewise), 0);
	n = pread(file, whole, buf.length + 2, 0);
	model_equal(n, buf.length);
	model_check(memcmp(whole, document, buf.length) == 0);
	free(whole);
}

/* ---- the model ---- */

void model_start(struct model_in *in)
{
	value_count = 0;
	read_count = 0;
	depth = 0;
	hl_buf_init(&buf, document, sizeof(document));
	hl_json_init_buf(&json, &buf);
	json.indent = model_chance(in, 2);
	if (file <= 0)
		file = memfd_create("json", MFD_CLOEXEC);
	model_check(file > 0 && ftruncate(file, 0) == 0);
	model_check(lseek(file, 0, SEEK_SET) == 0);
	hl_json_init_fd(
		&piecewise, file, piece, 2 + model_draw(in, sizeof(piece) - 2));
	piecewise.indent = json.indent;
	open_level(in, NULL);
}

void model_step(struct model_in *in)
{
	char key[STRING_BYTES];

	/* The longest step: key and string, six bytes for each of theirs. */
	if (value_count + 2 >= VALUES_MAX ||
		buf.length + 3000 > sizeof(document)) {
		model_end();
		model_start(in);
	}
	if (depth > 1 && model_chance(in, 4))
		close_level();
	else if (depth < HL_JSON_DEPTH_MAX && model_chance(in, 4))
		open_level(in, any_key(in, key));
	else
		write_scalar(in, any_key(in, key));
}

void model_end(void)
{
	while (depth > 0)
		close_level();
	model_equal(hl_json_finish(&json), 0);
	at = document;
	read_value();
	model_equal(*at, '\0');
	model_equal(at - document, buf.length);
	model_equal(read_count, value_count);
	check_pieces();
	seen.documents++;
}

void model_summary(FILE *out)
{
	fprintf(out,
		"documents %lu, values %lu, bytes that were no UTF-8 %lu\n",
		seen.documents, seen.values, seen.bad_bytes);
}
