/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Workloads of small blocks: speed of the pair malloc and free, locality,
 * blocks that another thread frees.
 */
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- churn: random replacement in a working set ---- */

#define CHURN_BLOCKS 40000

struct churn {
	pthread_t thread;
	unsigned scale;
	uint64_t seed;
};

static void *churn(void *arg)
{
	const struct churn *c = arg;
	struct bench_rng rng = {c->seed};
	char **block = calloc(CHURN_BLOCKS, sizeof(*block));
	uint64_t ops = (uint64_t)c->scale * 150000;

	for (; ops > 0; ops--) {
		uint64_t at = bench_draw(&rng, CHURN_BLOCKS);
		size_t bytes = 16 + bench_draw(&rng, 400);

		free(block[at]);
		block[at] = bench_malloc(bytes);
		block[at][0] = 1;
		block[at][bytes - 1] = 2;
	}
	for (unsigned i = 0; i < CHURN_BLOCKS; i++)
		free(block[i]);
	free(block);
	return NULL;
}

void bench_churn(unsigned scale)
{
	struct churn one = {.scale = scale, .seed = 1};

	churn(&one);
	bench_held("left");
}

void bench_churn2(unsigned scale)
{
	struct churn two[2] = {
		{.scale = scale, .seed = 1}, {.scale = scale, .seed = 2}};

	for (unsigned i = 0; i < 2; i++)
		if (pthread_create(&two[i].thread, NULL, churn, &two[i]) != 0)
			exit(1);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(two[i].thread, NULL);
	bench_held("left");
}

/* ---- pass: one thread allocates, another frees ---- */

#define BATCH 512

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char **batch; /* NULL: taken */
} hand = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL};

static char **take_batch(void)
{
	char **batch;

	pthread_mutex_lock(&hand.lock);
	while (hand.batch == NULL)
		pthread_cond_wait(&hand.changed, &hand.lock);
	batch = hand.batch;
	hand.batch = NULL;
	pthread_cond_signal(&hand.changed);
	pthread_mutex_unlock(&hand.lock);
	return batch;
}

static void give_batch(char **batch)
{
	pthread_mutex_lock(&hand.lock);
	while (hand.batch != NULL)
		pthread_cond_wait(&hand.changed, &hand.lock);
	hand.batch = batch;
	pthread_cond_signal(&hand.changed);
	pthread_mutex_unlock(&hand.lock);
}

static void *consume(void *arg)
{
	uint64_t batches = *(uint64_t *)arg;

	for (; batches > 0; batches--) {
		char **batch = take_batch();

		for (unsigned i = 0; i < BATCH; i++)
			free(batch[i]);
		free(batch);
	}
	return NULL;
}

void bench_pass(unsigned scale)
{
	struct bench_rng rng = {3};
	uint64_t batches = (uint64_t)scale * 80, left = batches;
	pthread_t thread;

	if (pthread_create(&thread, NULL, consume, &batches) != 0)
		exit(1);
	for (; left > 0; left--) {
		char **batch = bench_malloc(BATCH * sizeof(*batch));

		for (unsigned i = 0; i < BATCH; i++) {
			size_t bytes = 32 + bench_draw(&rng, 500);

			batch[i] = bench_malloc(bytes);
			memset(batch[i], 1, bytes);
		}
		give_batch(batch);
	}
	pthread_join(thread, NULL);
	bench_held("left");
}

/* ---- larson: threads inherit the blocks of threads that ended ---- */

#define LARSON_BLOCKS 5000

struct larson {
	pthread_t thread;
	uint64_t ops;
	struct bench_rng rng;
	char *block[LARSON_BLOCKS];
};

static void *larson(void *arg)
{
	struct larson *l = arg;

	for (uint64_t i = 0; i < l->ops; i++) {
		uint64_t at = bench_draw(&l->rng, LARSON_BLOCKS);

		free(l->block[at]);
		l->block[at] = bench_malloc(8 + bench_draw(&l->rng, 1000));
		l->block[at][0] = 1;
	}
	return NULL;
}

void bench_larson(unsigned scale)
{
	static struct larson side[2];
	unsigned i, k;

	for (i = 0; i < 2; i++) {
		side[i].rng.state = 5 + i;
		for (k = 0; k < LARSON_BLOCKS; k++)
			side[i].block[k] = bench_malloc(
				8 + bench_draw(&side[i].rng, 1000));
	}
	/* Generations in turn, and what one side made goes to the other. */
	for (k = 0; k < scale * 4; k++) {
		for (i = 0; i < 2; i++) {
			side[i].ops = 2ull * LARSON_BLOCKS;
			if (pthread_create(&side[i].thread, NULL, larson,
				    &side[i]) != 0)
				exit(1);
		}
		for (i = 0; i < 2; i++)
			pthread_join(side[i].thread, NULL);
		for (i = 0; i < LARSON_BLOCKS; i += 2) {
			char *p = side[0].block[i];

			side[0].block[i] = side[1].block[i];
			side[1].block[i] = p;
		}
	}
	for (i = 0; i < 2; i++)
		for (k = 0; k < LARSON_BLOCKS; k++)
			free(side[i].block[k]);
	bench_held("left");
}

/* ---- strings: short lives, growing by realloc ---- */

void bench_strings(unsigned scale)
{
	struct bench_rng rng = {7};
	uint64_t left = (uint64_t)scale * 12000;
	char *kept[1024] = {0};

	for (; left > 0; left--) {
		uint64_t at = bench_draw(&rng, 1024);
		size_t bytes = 24, end = 24 + bench_draw(&rng, 900);
		char *p = bench_malloc(bytes);

		memset(p, 'a', bytes);
		while (bytes < end) {
			size_t more = 8 + bench_draw(&rng, 64);

			p = realloc(p, bytes + more);
			memset(p + bytes, 'b', more);
			bytes += more;
		}
		free(kept[at]);
		kept[at] = p;
	}
	for (unsigned i = 0; i < 1024; i++)
		free(kept[i]);
	bench_held("left");
}

/* ---- tree: built once, searched at random: what page size gives ---- */

struct node {
	struct node *child[2];
	uint64_t key;
	uint64_t value;
};

void bench_tree(unsigned scale)
{
	struct bench_rng rng = {9};
	uint64_t nodes = (uint64_t)scale * 3000, i, sum = 0;
	struct node *root = NULL, **at, *node;

	for (i = 0; i < nodes; i++) {
		node = bench_malloc(sizeof(*node) + bench_draw(&rng, 64));
		node->key = bench_draw(&rng, UINT64_MAX);
		node->value = i;
		node->child[0] = node->child[1] = NULL;
		for (at = &root; *at != NULL;)
			at = &(*at)->child[node->key > (*at)->key];
		*at = node;
	}
	bench_held("peak");
	for (i = 0; i < nodes; i++) {
		uint64_t key = bench_draw(&rng, UINT64_MAX);

		for (node = root; node != NULL;
			node = node->child[key > node->key])
			sum += node->value;
	}
	/* The process ends with it: many programs do. */
	if (sum == 42)
		bench_held("unlikely");
}
