/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver of all model tests: see model.h.
 *
 * A run is cut into rounds of random length, each with a state of its own, so
 * that beginnings and ends are exercised as well as long lives.
 */
#include "model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define DEFAULT_OPS 300000

struct model_in {
	uint64_t random;      /* generator */
	const uint8_t *bytes; /* fuzzer; NULL: generator */
	size_t left;
};

/* For the message of a failure. */
static uint64_t run_seed;
static uint64_t run_ops;
static uint64_t run_op;

/* splitmix64 */
static uint64_t next_random(struct model_in *in)
{
	uint64_t z = in->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t next_bytes(struct model_in *in, uint64_t bound)
{
	uint64_t value = 0;

	/* As many bytes as the bound has: short inputs say much. */
	for (uint64_t rest = bound - 1; rest > 0 && in->left > 0; rest >>= 8) {
		value = value << 8 | *in->bytes++;
		in->left--;
	}
	return value;
}

uint64_t model_draw(struct model_in *in, uint64_t bound)
{
	if (in->bytes != NULL)
		return next_bytes(in, bound) % bound;
	return next_random(in) % bound;
}

bool model_chance(struct model_in *in, uint64_t one_in)
{
	return model_draw(in, one_in) == 0;
}

void model_spoil(
	struct model_in *in, char *text, size_t *length, const char *likely)
{
	size_t kinds = strlen(likely);

	for (size_t n = 1 + model_draw(in, 8); n > 0 && *length > 0; n--) {
		size_t at = model_draw(in, *length);

		text[at] = model_chance(in, 2) ? likely[model_draw(in, kinds)]
					       : (char)model_draw(in, 256);
	}
	if (model_chance(in, 4))
		*length = model_draw(in, *length + 1);
}

static void fail_at(const char *file, int line)
{
	fflush(stdout);
	fprintf(stderr, "%s:%d: %s: operation %" PRIu64 ": ", file, line,
		model_name, run_op);
}

static void give_up(void)
{
	fprintf(stderr, "again: model_%s %" PRIu64 " %" PRIu64 "\n", model_name,
		run_ops, run_seed);
	abort();
}

void model_failed(const char *expr, const char *file, int line)
{
	fail_at(file, line);
	fprintf(stderr, "not true: %s\n", expr);
	give_up();
	__builtin_unreachable();
}

void model_check_equal(int64_t real, int64_t naive, const char *what,
	const char *file, int line)
{
	if (real == naive)
		return;
	fail_at(file, line);
	fprintf(stderr, "%s is %" PRId64 ", the model has %" PRId64 "\n", what,
		real, naive);
	give_up();
}

#ifdef MODEL_FUZZ

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model_in in = {.bytes = data, .left = size};

	run_op = 0;
	model_start(&in);
	while (in.left > 0) {
		run_op++;
		model_step(&in);
	}
	model_end();
	return 0;
}

#else

static uint64_t number(const char *text, const char *what)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0') {
		fprintf(stderr, "model_%s: not a number of %s: %s\n",
			model_name, what, text);
		exit(2);
	}
	return value;
}

static uint64_t parameter(
	int argc, char **argv, int index, const char *env, uint64_t fallback)
{
	const char *text = argc > index ? argv[index] : getenv(env);

	return text == NULL || *text == '\0' ? fallback : number(text, env);
}

static uint64_t fresh_seed(void)
{
	uint64_t seed = 1;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		perror("getrandom");
	return seed;
}

int main(int argc, char **argv)
{
	struct model_in in = {0};
	uint64_t round_end = 0;

	run_ops = parameter(argc, argv, 1, "MODEL_OPS", DEFAULT_OPS);
	run_seed = parameter(argc, argv, 2, "MODEL_SEED", fresh_seed());
	in.random = run_seed;
	printf("model_%s %" PRIu64 " %" PRIu64 "\n", model_name, run_ops,
		run_seed);
	fflush(stdout);

	for (run_op = 0; run_op < run_ops; run_op++) {
		if (run_op == round_end) {
			if (run_op > 0)
				model_end();
			model_start(&in);
			/* Mostly thousands, some of them a handful. */
			round_end +=
				1 + model_draw(&in, 1u << model_draw(&in, 17));
		}
		model_step(&in);
	}
	if (run_ops > 0)
		model_end();
	model_summary(stdout);
	return 0;
}

#endif
