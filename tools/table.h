/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables as the tools print them: columns chosen by name (-o), sizes for
 * people or in bytes (--bytes), headings or none (--noheadings), and the same
 * rows as JSON objects, whose keys are the columns' names in lower case, with
 * "_bytes" behind those of sizes.
 *
 *   struct table t;
 *   table_init(&t, columns, HL_ARRAY_SIZE(columns));
 *   err = table_choose(&t, "pid,held,+comm");
 *   table_row(&t);
 *   table_number(&t, COLUMN_PID, 12);
 *   table_print(&t, stdout);
 *   table_free(&t);
 *
 * A cell that was not set is "-" in text and null in JSON. In text what could
 * break a line or drive a terminal is printed as \xNN. Single-threaded.
 */
#ifndef HL_TOOLS_TABLE_H
#define HL_TOOLS_TABLE_H

#include "base/base.h"
#include "base/json.h"

#include <stdio.h>

enum table_kind {
	TABLE_TEXT,   /* left */
	TABLE_NUMBER, /* right */
	TABLE_SIZE,   /* bytes; right, with the largest exact unit */
	TABLE_LIST,   /* numbers: "1,2,3"; an array in JSON */
};

struct table_column {
	const char *name; /* capitals, and "-" where JSON has "_" */
	enum table_kind kind;
	bool standard;	  /* shown where nothing is chosen */
	const char *help; /* what it has, for --help and the manual */
};

#define TABLE_COLUMNS_MAX 40

struct table_cell;

struct table {
	const struct table_column *columns;
	unsigned count;
	unsigned chosen[TABLE_COLUMNS_MAX];
	unsigned chosen_count;
	bool was_chosen; /* else standard columns without a cell are left out */
	bool bytes;
	bool noheadings;
	struct table_cell *cells; /* rows * count */
	size_t rows, capacity;
};

void table_init(
	struct table *t, const struct table_column *columns, unsigned count);
void table_free(struct table *t);

/*
 * Names with commas between, in any case; with "+" in front of the list they
 * are added to the standard ones. 0, or -EINVAL, with *bad (of *bad_bytes) the
 * name that there is none of.
 */
int table_choose(
	struct table *t, const char *list, const char **bad, size_t *bad_bytes);

/* A new row; the calls below fill in the last one. */
void table_row(struct table *t);
void table_text(struct table *t, unsigned column, const char *text);
/* For TABLE_NUMBER and TABLE_SIZE. */
void table_number(struct table *t, unsigned column, uint64_t value);
/* One more number of a TABLE_LIST. */
void table_list(struct table *t, unsigned column, uint64_t value);

void table_print(const struct table *t, FILE *out);
/* An array of objects; all columns unless some were chosen. */
void table_json(const struct table *t, struct hl_json *json, const char *key);

#endif
