/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Model tests: random operations on the real thing and on a naive one, which
 * must agree. One source per model gives the three functions below; model.c
 * drives them, with a seeded generator or as a libFuzzer target (-Dfuzz=true).
 *
 *   model_resv [OPERATIONS [SEED]]   or MODEL_OPS and MODEL_SEED
 *
 * The seed is printed first, so that any failure can be run again.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Where decisions come from: a generator, or the fuzzer's bytes. */
struct model_in;

/* 0 .. bound - 1; bound > 0. Always 0 once the fuzzer's bytes are used up. */
uint64_t model_draw(struct model_in *in, uint64_t bound);
/* True once in `one_in` draws, on average. */
bool model_chance(struct model_in *in, uint64_t one_in);

/*
 * Bytes of the text become others, the `likely` ones rather than any, and its
 * end may go: what a reader must survive.
 */
void model_spoil(
	struct model_in *in, char *text, size_t *length, const char *likely);

/* ---- what a model gives ---- */

extern const char model_name[];
/* An empty state; may draw its parameters. */
void model_start(struct model_in *in);
/* One random operation, and the comparison. */
void model_step(struct model_in *in);
/* Last comparison; everything is given back. */
void model_end(void);
/* What was exercised, for the reader: printf to `out`. */
void model_summary(FILE *out);

/* ---- what it checks with ---- */

void model_failed(const char *expr, const char *file, int line)
	__attribute__((noreturn));
#define model_check(e) ((e) ? (void)0 : model_failed(#e, __FILE__, __LINE__))
/* Two integers that must be equal; both are shown if not. */
void model_check_equal(int64_t real, int64_t naive, const char *what,
	const char *file, int line);
#define model_equal(real, naive) \
	model_check_equal(       \
		(int64_t)(real), (int64_t)(naive), #real, __FILE__, __LINE__)

#endif
