/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON, written as it comes: into a buffer, or through a buffer into a file
 * descriptor, so that a list of any length needs no memory.
 *
 *   struct hl_json json;
 *   hl_json_init_fd(&json, fd, text, sizeof(text));
 *   hl_json_begin_object(&json, NULL);
 *   hl_json_u64(&json, "live_bytes", n);
 *   hl_json_begin_array(&json, "nodes");
 *   hl_json_u64(&json, NULL, 0);
 *   hl_json_end(&json);
 *   hl_json_end(&json);
 *   err = hl_json_finish(&json);
 *
 * A key is needed for members of an object and must be NULL elsewhere. Strings
 * are bytes of any kind: what is not UTF-8 becomes U+FFFD, so that the output
 * is always valid. Not thread-safe; no allocation.
 */
#ifndef HL_BASE_JSON_H
#define HL_BASE_JSON_H

#include "base/base.h"
#include "base/fmt.h"

#define HL_JSON_DEPTH_MAX 60

struct hl_json {
	struct hl_buf buf; /* of init_fd */
	struct hl_buf *out;
	int fd;	   /* -1: none, everything stays in out */
	int error; /* the first one; later calls do nothing */
	unsigned depth;
	uint64_t is_array;   /* bit per depth */
	uint64_t has_member; /* bit per depth */
	bool indent;	     /* one member a line, two spaces a level */
};

/* Appends to `out`; truncation is an error at finish. */
void hl_json_init_buf(struct hl_json *json, struct hl_buf *out);
/* Writes to fd whenever `text` (16 bytes at least) is full. */
void hl_json_init_fd(struct hl_json *json, int fd, char *text, size_t capacity);

void hl_json_begin_object(struct hl_json *json, const char *key);
void hl_json_begin_array(struct hl_json *json, const char *key);
/* Ends the innermost object or array. */
void hl_json_end(struct hl_json *json);

void hl_json_string(struct hl_json *json, const char *key, const char *value);
void hl_json_stringn(
	struct hl_json *json, const char *key, const char *value, size_t n);
void hl_json_u64(struct hl_json *json, const char *key, uint64_t value);
void hl_json_i64(struct hl_json *json, const char *key, int64_t value);
void hl_json_bool(struct hl_json *json, const char *key, bool value);
void hl_json_null(struct hl_json *json, const char *key);
/* part / whole with four decimals; null if whole is 0. */
void hl_json_ratio(
	struct hl_json *json, const char *key, uint64_t part, uint64_t whole);
/* value / 10^decimals, as in 1234, 3 -> 1.234; at most 18 decimals. */
void hl_json_fixed(struct hl_json *json, const char *key, uint64_t value,
	unsigned decimals);

/*
 * A newline, and what is left in the buffer. 0, -EMSGSIZE if the buffer was
 * too small, or what write(2) said.
 */
int hl_json_finish(struct hl_json *json);

/* Length of the UTF-8 sequence at s, of n bytes at least 1; 0 if it is none. */
size_t hl_utf8_length(const unsigned char *s, size_t n);
#define HL_UTF8_REPLACEMENT "\xef\xbf\xbd"

#endif
