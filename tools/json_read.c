/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A recursive parser of JSON: see json_read.h. The input may be anything: it is
 * read up to its end and no further, and depth is bounded.
 */
#include "json_read.h"

#include "tool.h"

#include "base/fmt.h"

#include <string.h>

#define DEPTH_MAX 100

struct reader {
	const char *at, *end;
	int line;
	unsigned depth;
	const char *expected; /* set at the first error */
};

static struct json_value *read_value(struct reader *r);

static void *fail(struct reader *r, const char *expected)
{
	if (!r->expected)
		r->expected = expected;
	return NULL;
}

static void skip_space(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' ||
					 *r->at == '\n' || *r->at == '\r')) {
		if (*r->at == '\n')
			r->line++;
		r->at++;
	}
}

static bool take(struct reader *r, char c)
{
	skip_space(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool take_hex4(struct reader *r, unsigned *out)
{
	unsigned value = 0;

	if (r->end - r->at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = *r->at++;
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else if (c >= 'A' && c <= 'F')
			digit = (unsigned)(c - 'A') + 10;
		else
			return false;
		value = value << 4 | digit;
	}
	*out = value;
	return true;
}

static char *put_utf8(char *to, unsigned c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

/* Behind "\u": one character, which may need two escapes. */
static char *take_unicode(struct reader *r, char *to)
{
	unsigned c, low;

	if (!take_hex4(r, &c))
		return fail(r, "four hexadecimal digits");
	if (c == 0)
		return fail(r, "a character other than NUL");
	if (c >= 0xdc00 && c < 0xe000)
		return fail(r, "the first half of a surrogate pair");
	if (c >= 0xd800 && c < 0xdc00) {
		if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
			return fail(r, "the second half of a surrogate pair");
		r->at += 2;
		if (!take_hex4(r, &low) || low < 0xdc00 || low >= 0xe000)
			return fail(r, "the second half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	return put_utf8(to, c);
}

static char *take_escape(struct reader *r, char *to)
{
	static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *found;
	char c;

	if (r->at == r->end)
		return fail(r, "the end of a string");
	c = *r->at++;
	if (c == 'u')
		return take_unicode(r, to);
	found = c ? strchr(names, c) : NULL;
	if (!found)
		return fail(r, "an escape that JSON knows");
	*to++ = meant[found - names];
	return to;
}

/* Behind the opening quote. Escapes are never shorter than what they mean. */
static char *read_string(struct reader *r)
{
	size_t n = 0;
	char *text, *to;

	for (const char *s = r->at; s < r->end && *s != '"'; s++, n++) {
		if (*s == '\\' && s + 1 < r->end) {
			s++;
			n++;
		}
	}
	text = to = tool_zalloc(n + 1, 1);
	while (r->at < r->end && *r->at != '"') {
		unsigned char c = (unsigned char)*r->at++;

		if (c < ' ')
			return fail(r, "no control character in a string");
		if (c != '\\')
			*to++ = (char)c;
		else if (!(to = take_escape(r, to)))
			return NULL;
	}
	if (r->at == r->end)
		return fail(r, "the end of a string");
	r->at++;
	*to = '\0';
	return text;
}

static size_t digits(const char *s, const char *end)
{
	size_t n = 0;

	while (s + n < end && s[n] >= '0' && s[n] <= '9')
		n++;
	return n;
}

static char *read_number(struct reader *r)
{
	const char *from = r->at, *s = from;
	size_t n;

	if (s < r->end && *s == '-')
		s++;
	n = digits(s, r->end);
	if (n == 0 || (n > 1 && *s == '0'))
		return fail(r, "a value");
	s += n;
	if (s < r->end && *s == '.') {
		n = digits(++s, r->end);
		if (n == 0)
			return fail(r, "a digit");
		s += n;
	}
	if (s < r->end && (*s == 'e' || *s == 'E')) {
		s++;
		if (s < r->end && (*s == '+' || *s == '-'))
			s++;
		n = digits(s, r->end);
		if (n == 0)
			return fail(r, "a digit");
		s += n;
	}
	r->at = s;
	return tool_strndup(from, (size_t)(s - from));
}

static bool take_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
		return false;
	r->at += n;
	return true;
}

static char *read_key(struct reader *r)
{
	char *key;

	if (!take(r, '"'))
		return fail(r, "a name in quotes");
	key = read_string(r);
	if (key && !take(r, ':'))
		return fail(r, "a colon");
	return key;
}

static struct json_value *read_members(
	struct reader *r, struct json_value *value, char close)
{
	struct json_value **last = &value->child;

	if (r->depth++ == DEPTH_MAX)
		return fail(r, "fewer levels");
	if (!take(r, close)) {
		do {
			char *key = NULL;
			struct json_value *child;

			if (close == '}' && !(key = read_key(r)))
				return NULL;
			child = read_value(r);
			if (!child)
				return NULL;
			child->key = key;
			*last = child;
			last = &child->next;
		} while (take(r, ','));
		if (!take(r, close))
			return fail(r,
				close == '}' ? "a comma or }" : "a comma or ]");
	}
	r->depth--;
	return value;
}

static struct json_value *read_value(struct reader *r)
{
	struct json_value *value = tool_zalloc(1, sizeof(*value));

	skip_space(r);
	value->line = r->line;
	if (take(r, '{')) {
		value->type = JSON_OBJECT;
		return read_members(r, value, '}');
	}
	if (take(r, '[')) {
		value->type = JSON_ARRAY;
		return read_members(r, value, ']');
	}
	if (take(r, '"')) {
		value->type = JSON_STRING;
		value->text = read_string(r);
	} else if (take_word(r, "true") || take_word(r, "false")) {
		value->type = JSON_BOOL;
		value->text = tool_strdup(r->at[-2] == 'u' ? "true" : "false");
	} else if (take_word(r, "null")) {
		value->text = tool_strdup("");
	} else {
		value->type = JSON_NUMBER;
		value->text = read_number(r);
	}
	return value->text ? value : NULL;
}

struct json_value *json_read(
	const char *text, size_t bytes, int *line, const char **expected)
{
	struct reader r = {.at = text, .end = text + bytes, .line = 1};
	struct json_value *value = read_value(&r);

	skip_space(&r);
	if (value && r.at != r.end)
		value = fail(&r, "nothing more");
	*line = r.line;
	*expected = r.expected;
	return value;
}

const struct json_value *json_member(
	const struct json_value *object, const char *key)
{
	if (!object || object->type != JSON_OBJECT)
		return NULL;
	for (const struct json_value *v = object->child; v; v = v->next) {
		if (strcmp(v->key, key) == 0)
			return v;
	}
	return NULL;
}

bool json_u64(const struct json_value *value, uint64_t *out)
{
	return value && value->type == JSON_NUMBER &&
	       hl_parse_u64(value->text, out) == 0;
}
