/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base/fmt.c and parse.c: random conversions against snprintf in buffers of
 * random size; strings of random pieces against parsers written another way.
 */
#include "model.h"

#include "base/bitmap.h"
#include "base/fmt.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_BYTES 128
#define NBITS	   200

const char model_name[] = "text";

static struct {
	uint64_t printed;
	uint64_t cut;
	uint64_t sizes_taken;
	uint64_t sizes_refused;
	uint64_t lists_taken;
	uint64_t lists_refused;
} seen;

void model_start(struct model_in *in)
{
}

void model_end(void)
{
}

/* ---- printing ---- */

/* The same text through both, cut at `capacity`. */
#define COMPARE(capacity, ...)                                            \
	do {                                                              \
		char want_[TEXT_BYTES * 2], got_[TEXT_BYTES * 2];         \
		struct hl_buf buf_;                                       \
		int whole_ = snprintf(want_, sizeof(want_), __VA_ARGS__); \
		hl_buf_init(&buf_, got_, capacity);                       \
		hl_buf_printf(&buf_, __VA_ARGS__);                        \
		check_printed(&buf_, want_, (size_t)whole_);              \
	} while (0)

static void check_printed(
	const struct hl_buf *buf, const char *want, size_t whole)
{
	size_t shown = whole < buf->capacity ? whole : buf->capacity - 1;

	model_equal(buf->length, shown);
	model_equal(buf->truncated, whole > shown);
	model_check(memcmp(buf->data, want, shown) == 0);
	model_equal(buf->data[shown], 0);
	seen.printed++;
	seen.cut += whole > shown;
}

/* "%-08" and the like, of which only some stand before numbers. */
static char *put_flags(struct model_in *in, char *at, bool zero_too)
{
	*at++ = '%';
	if (model_chance(in, 3))
		*at++ = '-';
	if (zero_too && model_chance(in, 3))
		*at++ = '0';
	if (model_chance(in, 2))
		at += sprintf(at, "%u", 1 + (unsigned)model_draw(in, 40));
	return at;
}

static uint64_t any_number(struct model_in *in)
{
	uint64_t n = model_draw(in, UINT64_MAX) << 1 | model_draw(in, 2);

	return n >> model_draw(in, 64);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

static void print_number(struct model_in *in, size_t capacity)
{
	static const char conversions[] = "diux";
	uint64_t n = any_number(in);
	char fmt[32], *at;

	if (model_chance(in, 2))
		n = -n;
	at = put_flags(in, fmt, true);
	switch (model_draw(in, 6)) {
	case 0:
		sprintf(at, "%c.", conversions[model_draw(in, 4)]);
		COMPARE(capacity, fmt, (int)n);
		break;
	case 1:
		sprintf(at, "l%c.", conversions[model_draw(in, 4)]);
		COMPARE(capacity, fmt, (long)n);
		break;
	case 2:
		sprintf(at, "ll%c.", conversions[model_draw(in, 4)]);
		COMPARE(capacity, fmt, (long long)n);
		break;
	case 3:
		sprintf(at, "z%c.", conversions[model_draw(in, 4)]);
		COMPARE(capacity, fmt, (size_t)n);
		break;
	case 4:
		sprintf(at, "h%c.", conversions[model_draw(in, 4)]);
		COMPARE(capacity, fmt, (int)n);
		break;
	default:
		sprintf(at, "hh%c.", conversions[model_draw(in, 4)]);
		COMPARE(capacity, fmt, (int)n);
		break;
	}
}

static void print_text(struct model_in *in, size_t capacity)
{
	char fmt[32], text[40], *at;
	size_t length = model_draw(in, sizeof(text));

	for (size_t i = 0; i < length; i++)
		text[i] = (char)(1 + model_draw(in, 255));
	text[length] = '\0';
	at = put_flags(in, fmt, false);
	if (model_chance(in, 4)) {
		strcpy(at, "c|");
		COMPARE(capacity, fmt, text[0] ? text[0] : 'x');
		return;
	}
	if (model_chance(in, 2))
		at += sprintf(at, ".%u", (unsigned)model_draw(in, 50));
	strcpy(at, "s%%");
	COMPARE(capacity, fmt, text);
}

#pragma GCC diagnostic pop

/* ---- sizes ---- */

static const struct {
	const char *name;
	unsigned shift;
} units[] = {
	{"", 0},
	{"k", 10},
	{"kb", 10},
	{"kib", 10},
	{"m", 20},
	{"mb", 20},
	{"mib", 20},
	{"g", 30},
	{"gb", 30},
	{"gib", 30},
	{"t", 40},
	{"tb", 40},
	{"tib", 40},
};

/* The number at s in that base; false if it is none or too large. */
static bool naive_number(const char *s, size_t length, int base, uint64_t *out)
{
	char text[TEXT_BYTES];

	if (length == 0)
		return false;
	memcpy(text, s, length);
	text[length] = '\0';
	errno = 0;
	*out = strtoull(text, NULL, base);
	return errno == 0;
}

static bool naive_size(const char *s, size_t *out)
{
	bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	const char *digits = hex ? s + 2 : s;
	size_t length =
		strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
	uint64_t n;

	if (!naive_number(digits, length, hex ? 16 : 10, &n))
		return false;
	for (size_t i = 0; i < HL_ARRAY_SIZE(units); i++) {
		if (strcasecmp(digits + length, units[i].name) == 0) {
			*out = n << units[i].shift;
			return *out >> units[i].shift == n;
		}
	}
	return false;
}

static void check_size(const char *text)
{
	size_t want = 0, got = 12345;
	bool good = naive_size(text, &want);
	int err = hl_parse_size(text, &got);

	if (good) {
		model_equal(err, 0);
		model_equal(got, want);
		seen.sizes_taken++;
	} else {
		model_check(err == -EINVAL || err == -ERANGE);
		model_equal(got, 12345);
		seen.sizes_refused++;
	}
}

/* What %K prints is read back as the same. */
static void check_size_round_trip(struct model_in *in)
{
	size_t n = any_number(in), back = 0;
	char text[40];
	struct hl_buf buf;

	if (model_chance(in, 2))
		n <<= model_draw(in, 50);
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_printf(&buf, "%K", n);
	model_equal(hl_parse_size(text, &back), 0);
	model_equal(back, n);
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_human_bytes(&buf, n);
	/* Four digits, a point, a decimal, a space and a unit at most. */
	model_check(!buf.truncated && buf.length <= 10);
}

/* ---- lists ---- */

static bool naive_list(const char *s, bool *bits)
{
	memset(bits, 0, NBITS);
	if (*s == '\0')
		return true;
	for (;;) {
		size_t piece = strcspn(s, ",");
		size_t first = strspn(s, "0123456789");
		uint64_t from, to;

		if (!naive_number(s, first, 10, &from))
			return false;
		to = from;
		if (first != piece) {
			size_t second = strspn(s + first + 1, "0123456789");

			if (s[first] != '-' || first + 1 + second != piece ||
				!naive_number(s + first + 1, second, 10, &to))
				return false;
		}
		if (from > to || to >= NBITS)
			return false;
		memset(bits + from, 1, to - from + 1);
		if (s[piece] == '\0')
			return true;
		s += piece + 1;
	}
}

static void check_list(const char *text)
{
	uint64_t bits[HL_BITMAP_WORDS(NBITS)];
	uint64_t back[HL_BITMAP_WORDS(NBITS)];
	bool want[NBITS];
	char printed[1024];
	struct hl_buf buf;
	int err;

	memset(bits, 0x77, sizeof(bits));
	memcpy(back, bits, sizeof(bits));
	err = hl_parse_list(text, bits, NBITS);
	if (!naive_list(text, want)) {
		model_check(err == -EINVAL || err == -ERANGE);
		model_check(memcmp(bits, back, sizeof(bits)) == 0);
		seen.lists_refused++;
		return;
	}
	model_equal(err, 0);
	for (size_t i = 0; i < NBITS; i++)
		model_equal(hl_bitmap_test(bits, i), want[i]);
	hl_buf_init(&buf, printed, sizeof(printed));
	hl_buf_list(&buf, bits, NBITS);
	model_equal(hl_parse_list(printed, back, NBITS), 0);
	model_check(memcmp(bits, back, sizeof(bits)) == 0);
	seen.lists_taken++;
}

/* ---- text from pieces ---- */

static void build(struct model_in *in, char *text, const char *const *pieces,
	size_t count)
{
	size_t length = 0;

	for (size_t n = model_draw(in, 8); n > 0; n--) {
		char number[24];
		const char *piece = number;

		if (model_chance(in, 2))
			sprintf(number, "%u", (unsigned)model_draw(in, 220));
		else if (model_chance(in, 20))
			sprintf(number, "%c", (char)(1 + model_draw(in, 255)));
		else
			piece = pieces[model_draw(in, count)];
		if (length + strlen(piece) >= TEXT_BYTES)
			break;
		length += (size_t)sprintf(text + length, "%s", piece);
	}
	text[length] = '\0';
}

void model_step(struct model_in *in)
{
	static const char *const size_pieces[] = {"K", "k", "M", "g", "T", "B",
		"b", "iB", "ib", "0x", "0X", "f", "0", " ", "-",
		"18446744073709551615", "18446744073709551616",
		"ffffffffffffff"};
	static const char *const list_pieces[] = {
		",", ",", ",", "-", "-", "0x1", " ", "18446744073709551616"};
	char text[TEXT_BYTES] = "";
	size_t capacity =
		model_chance(in, 2) ? TEXT_BYTES * 2 : 1 + model_draw(in, 60);

	switch (model_draw(in, 5)) {
	case 0:
		print_number(in, capacity);
		break;
	case 1:
		print_text(in, capacity);
		break;
	case 2:
		build(in, text, size_pieces, HL_ARRAY_SIZE(size_pieces));
		check_size(text);
		break;
	case 3:
		build(in, text, list_pieces, HL_ARRAY_SIZE(list_pieces));
		check_list(text);
		break;
	default:
		check_size_round_trip(in);
		break;
	}
}

void model_summary(FILE *out)
{
	fprintf(out,
		"printed %lu, cut %lu; sizes taken %lu, refused %lu; "
		"lists taken %lu, refused %lu\n",
		seen.printed, seen.cut, seen.sizes_taken, seen.sizes_refused,
		seen.lists_taken, seen.lists_refused);
}
