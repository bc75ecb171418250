/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads JSON (RFC 8259) into a tree, for the tools: reports of hugectl, and
 * what --json of a tool has printed. Numbers stay text, as they were written,
 * so that no digit of a large one is lost. The tree is never given back.
 */
#ifndef HL_TOOLS_JSON_READ_H
#define HL_TOOLS_JSON_READ_H

#include "base/base.h"

enum json_type {
	JSON_NULL,
	JSON_BOOL,   /* text is "true" or "false" */
	JSON_NUMBER, /* text as written */
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json_value {
	enum json_type type;
	char *key;  /* of a member, else NULL */
	char *text; /* UTF-8; of an array or object NULL */
	int line;
	struct json_value *child; /* first of an array or object */
	struct json_value *next;
};

/*
 * The value, which must be all that there is but white space. NULL, and the
 * line and what was expected there: not JSON, nested more than 100 deep, a
 * string with a NUL in it.
 */
struct json_value *json_read(
	const char *text, size_t bytes, int *line, const char **expected);

/* The member of that name; NULL if there is none or it is no object. */
const struct json_value *json_member(
	const struct json_value *object, const char *key);
/* A whole number; false for anything else (1.5, -1, "1", null). */
bool json_u64(const struct json_value *value, uint64_t *out);

#endif
