/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables in memory: see table.h. A cell keeps what was put in, and becomes text
 * when it is printed, so that one table serves text and JSON. Widths are
 * counted in characters of UTF-8, so that names of any language line up (wide
 * characters of Asia count as one: libc's wcwidth would ask the locale).
 */
#include "table.h"

#include "base/fmt.h"
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct table_cell {
	bool set;
	uint64_t number;
	char *text; /* of a TABLE_TEXT, or of a list: "1,2,3" */
};

void table_init(
	struct table *t, const struct table_column *columns, unsigned count)
{
	*t = (struct table){.columns = columns, .count = count};
	for (unsigned i = 0; i < count; i++) {
		if (columns[i].standard)
			t->chosen[t->chosen_count++] = i;
	}
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->rows * t->count; i++)
		free(t->cells[i].text);
	free(t->cells);
	t->cells = NULL;
	t->rows = t->capacity = 0;
}

static unsigned find_column(
	const struct table *t, const char *name, size_t length)
{
	unsigned i;

	for (i = 0; i < t->count; i++) {
		char text[32];
		struct hl_buf buf;

		hl_buf_init(&buf, text, sizeof(text));
		hl_buf_putn(&buf, name, length);
		if (!buf.truncated && hl_same_text(text, t->columns[i].name))
			break;
	}
	return i;
}

static void choose(struct table *t, unsigned column)
{
	for (unsigned i = 0; i < t->chosen_count; i++) {
		if (t->chosen[i] == column)
			return;
	}
	t->chosen[t->chosen_count++] = column;
}

int table_choose(
	struct table *t, const char *list, const char **bad, size_t *bad_bytes)
{
	struct table fresh = *t;

	if (*list == '+')
		list++;
	else
		fresh.chosen_count = 0;
	for (;;) {
		size_t length = strcspn(list, ",");
		unsigned column = find_column(t, list, length);

		if (column == t->count) {
			*bad = list;
			*bad_bytes = length;
			return -EINVAL;
		}
		choose(&fresh, column);
		if (list[length] == '\0')
			break;
		list += length + 1;
	}
	fresh.was_chosen = true;
	*t = fresh;
	return 0;
}

void table_row(struct table *t)
{
	if (t->rows == t->capacity) {
		t->capacity = t->capacity ? 2 * t->capacity : 16;
		t->cells = tool_realloc(
			t->cells, t->capacity * t->count, sizeof(*t->cells));
	}
	memset(t->cells + t->rows * t->count, 0, t->count * sizeof(*t->cells));
	t->rows++;
}

static struct table_cell *last(struct table *t, unsigned column)
{
	return &t->cells[(t->rows - 1) * t->count + column];
}

static const struct table_cell *cell_at(
	const struct table *t, size_t row, unsigned column)
{
	return &t->cells[row * t->count + column];
}

void table_text(struct table *t, unsigned column, const char *text)
{
	struct table_cell *cell = last(t, column);

	free(cell->text);
	cell->text = tool_strdup(text);
	cell->set = true;
}

void table_number(struct table *t, unsigned column, uint64_t value)
{
	struct table_cell *cell = last(t, column);

	cell->number = value;
	cell->set = true;
}

void table_list(struct table *t, unsigned column, uint64_t value)
{
	struct table_cell *cell = last(t, column);
	char *old = cell->text;

	cell->text = old ? tool_text("%s,%llu", old, (unsigned long long)value)
			 : tool_text("%llu", (unsigned long long)value);
	cell->set = true;
	free(old);
}

/* ---- text ---- */

static bool is_printable(unsigned char c)
{
	return c >= 0x20 && c != 0x7f;
}

/* What a cell shows; to be freed. */
static char *show(const struct table *t, size_t row, unsigned column)
{
	const struct table_cell *cell = cell_at(t, row, column);
	enum table_kind kind = t->columns[column].kind;
	struct hl_buf buf;
	char *text;

	if (!cell->set)
		return tool_strdup("-");
	if (kind == TABLE_SIZE && !t->bytes)
		return tool_strdup(tool_size(cell->number).text);
	if (kind == TABLE_NUMBER || kind == TABLE_SIZE)
		return tool_text("%llu", (unsigned long long)cell->number);
	text = tool_zalloc(4 * strlen(cell->text) + 1, 1);
	hl_buf_init(&buf, text, 4 * strlen(cell->text) + 1);
	for (const char *s = cell->text; *s; s++) {
		if (is_printable((unsigned char)*s))
			hl_buf_putc(&buf, *s);
		else
			hl_buf_printf(&buf, "\\x%02x", (unsigned char)*s);
	}
	return text;
}

static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static bool is_empty(const struct table *t, unsigned column)
{
	for (size_t row = 0; row < t->rows; row++) {
		if (cell_at(t, row, column)->set)
			return false;
	}
	return true;
}

static void put_padding(FILE *out, size_t n)
{
	while (n-- > 0)
		putc(' ', out);
}

static void put_cell(const struct table_column *column, const char *text,
	size_t width, bool is_last, FILE *out)
{
	size_t own = width_of(text);
	size_t padding = width > own ? width - own : 0;
	bool right = column->kind == TABLE_NUMBER || column->kind == TABLE_SIZE;

	if (right)
		put_padding(out, padding);
	fputs(text, out);
	if (is_last)
		putc('\n', out);
	else
		put_padding(out, right ? 1 : padding + 1);
}

void table_print(const struct table *t, FILE *out)
{
	unsigned shown[TABLE_COLUMNS_MAX], n = 0;
	size_t width[TABLE_COLUMNS_MAX];
	/* Row by row below, so each cell is made into text once. */
	char **text = tool_zalloc(t->rows * t->count, sizeof(*text));

	for (unsigned i = 0; i < t->chosen_count; i++) {
		unsigned column = t->chosen[i];

		if (!t->was_chosen && is_empty(t, column))
			continue;
		width[n] = t->noheadings ? 0 : strlen(t->columns[column].name);
		for (size_t row = 0; row < t->rows; row++) {
			char *s = show(t, row, column);

			text[row * t->count + n] = s;
			width[n] = HL_MAX(width[n], width_of(s));
		}
		shown[n++] = column;
	}
	for (unsigned i = 0; i < n && t->rows > 0 && !t->noheadings; i++)
		put_cell(&t->columns[shown[i]], t->columns[shown[i]].name,
			width[i], i + 1 == n, out);
	for (size_t row = 0; row < t->rows; row++) {
		for (unsigned i = 0; i < n; i++) {
			char *s = text[row * t->count + i];

			put_cell(&t->columns[shown[i]], s, width[i], i + 1 == n,
				out);
			free(s);
		}
	}
	free(text);
}

/* ---- JSON ---- */

static void put_key(const struct table_column *column, char key[32])
{
	size_t n = 0;

	for (const char *s = column->name; *s && n < 24; s++)
		key[n++] = *s == '-'		    ? '_'
			   : *s >= 'A' && *s <= 'Z' ? (char)(*s | 0x20)
						    : *s;
	key[n] = '\0';
	if (column->kind == TABLE_SIZE)
		strcpy(key + n, "_bytes");
}

static void json_list(
	struct hl_json *json, const char *key, const struct table_cell *cell)
{
	char *at = cell->text;

	hl_json_begin_array(json, key);
	while (at && *at) {
		hl_json_u64(json, NULL, strtoull(at, &at, 10));
		if (*at == ',')
			at++;
	}
	hl_json_end(json);
}

static void json_cell(const struct table *t, struct hl_json *json, size_t row,
	unsigned column)
{
	const struct table_cell *cell = cell_at(t, row, column);
	char key[32];

	put_key(&t->columns[column], key);
	if (t->columns[column].kind == TABLE_LIST)
		json_list(json, key, cell);
	else if (!cell->set)
		hl_json_null(json, key);
	else if (t->columns[column].kind == TABLE_TEXT)
		hl_json_string(json, key, cell->text);
	else
		hl_json_u64(json, key, cell->number);
}

void table_json(const struct table *t, struct hl_json *json, const char *key)
{
	hl_json_begin_array(json, key);
	for (size_t row = 0; row < t->rows; row++) {
		unsigned n = t->was_chosen ? t->chosen_count : t->count;

		hl_json_begin_object(json, NULL);
		for (unsigned i = 0; i < n; i++)
			json_cell(
				t, json, row, t->was_chosen ? t->chosen[i] : i);
		hl_json_end(json);
	}
	hl_json_end(json);
}
