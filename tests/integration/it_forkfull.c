/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program of it_forkfull.py: a heap that fills the pool, a fork, and then
 * parent and child write every byte of it.
 *
 *   it_forkfull MEGABYTES THREADS [writing]
 *
 * The blocks are divided among THREADS threads. Without "writing" they rest
 * during the fork. With it they go on storing numbers while the main thread
 * forks; each knows from variables of its own what must stand where, so that a
 * lost store shows. The child starts THREADS threads anew. Exit status 0: right
 * bytes in both.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 16
#define WORDS_MAX   65536

struct block {
	uint64_t *word;
	size_t words;
};

struct worker {
	pthread_t thread;
	unsigned number;
	uint64_t salt;	 /* what to write */
	uint64_t old;	 /* what must be there before, 0: do not look */
	uint64_t rounds; /* of a writing worker, so far */
};

static struct block *blocks;
static size_t block_count;
static unsigned threads;
static atomic_bool stop;
static atomic_uint wrong;
static atomic_uint started;

static uint64_t value(uint64_t salt, size_t block, size_t word)
{
	return salt * 0x9e3779b97f4a7c15u + block * 1000003u + word;
}

static void fail(const char *what, size_t block, size_t word)
{
	if (atomic_fetch_add(&wrong, 1) < 5)
		fprintf(stderr, "process %d: %s: block %zu word %zu\n",
			(int)getpid(), what, block, word);
}

static void check_all(const char *what, uint64_t salt)
{
	for (size_t b = 0; b < block_count; b++)
		for (size_t i = 0; i < blocks[b].words; i++)
			if (blocks[b].word[i] != value(salt, b, i))
				fail(what, b, i);
}

/* Every word of every block of this thread: looked at, then written. */
static void *rewrite(void *arg)
{
	struct worker *w = arg;

	for (size_t b = w->number; b < block_count; b += threads)
		for (size_t i = 0; i < blocks[b].words; i++) {
			if (w->old && blocks[b].word[i] != value(w->old, b, i))
				fail("before writing", b, i);
			blocks[b].word[i] = value(w->salt, b, i);
		}
	return NULL;
}

/*
 * Stores round after round, one word in 64, and looks at each word of the round
 * before when it comes by again: it must be this thread's own last store.
 */
static void *keep_writing(void *arg)
{
	struct worker *w = arg;

	atomic_fetch_add(&started, 1);
	for (uint64_t round = 1; !atomic_load(&stop); round++) {
		for (size_t b = w->number; b < block_count; b += threads)
			for (size_t i = 0; i < blocks[b].words; i += 64) {
				if (blocks[b].word[i] != value(round, b, i))
					fail("a store was lost", b, i);
				blocks[b].word[i] = value(round + 1, b, i);
			}
		w->rounds = round + 1;
	}
	return NULL;
}

static void start(struct worker *workers, void *(*work)(void *), uint64_t old,
	uint64_t salt)
{
	for (unsigned t = 0; t < threads; t++) {
		workers[t].number = t;
		workers[t].old = old;
		workers[t].salt = salt;
		workers[t].rounds = 1;
		if (pthread_create(
			    &workers[t].thread, NULL, work, &workers[t])) {
			perror("pthread_create");
			exit(3);
		}
	}
}

static void join(struct worker *workers)
{
	for (unsigned t = 0; t < threads; t++)
		pthread_join(workers[t].thread, NULL);
}

static void run(void *(*work)(void *), uint64_t old, uint64_t salt)
{
	static struct worker workers[THREADS_MAX];

	if (threads == 1) {
		workers[0] = (struct worker){.old = old, .salt = salt};
		work(&workers[0]);
		return;
	}
	start(workers, work, old, salt);
	join(workers);
}

static bool build(size_t bytes)
{
	size_t room = bytes / 64 + 1, sum = 0;
	uint64_t random = 1;

	blocks = malloc(room / 16 * sizeof(*blocks));
	if (!blocks)
		return false;
	while (sum < bytes) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		/* Mostly some KiB, now and then up to 512 KiB. */
		size_t words =
			130 + (random >> 33) %
				      ((random >> 20) % 50 ? 1000 : WORDS_MAX);
		struct block *b = &blocks[block_count];

		b->word = malloc(words * sizeof(uint64_t));
		if (!b->word)
			return false;
		b->words = words;
		for (size_t i = 0; i < words; i++)
			b->word[i] = value(1, block_count, i);
		block_count++;
		sum += words * sizeof(uint64_t);
	}
	return true;
}

static int wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (WIFSIGNALED(status))
		fprintf(stderr, "the child died by signal %d\n",
			WTERMSIG(status));
	return status;
}

/* Half the heap goes away and comes back, to see that the heap itself survived.
 */
static void churn(void)
{
	for (size_t b = 0; b < block_count; b += 2) {
		free(blocks[b].word);
		blocks[b].word = malloc(blocks[b].words * sizeof(uint64_t));
		if (!blocks[b].word)
			exit(4);
		memset(blocks[b].word, 7, blocks[b].words * sizeof(uint64_t));
	}
}

static int child_resting(void)
{
	run(rewrite, 1, 3);
	check_all("child", 3);
	churn();
	return atomic_load(&wrong) ? 1 : 0;
}

static int resting(void)
{
	pid_t child = fork();

	if (child < 0) {
		perror("fork");
		return 3;
	}
	if (child == 0)
		_exit(child_resting());
	run(rewrite, 1, 2);
	check_all("parent", 2);
	int status = wait_for(child);

	check_all("parent, afterwards", 2);
	churn();
	return status || atomic_load(&wrong) ? 1 : 0;
}

/* The child sees each word at some round; it overwrites all of them. */
static int child_writing(void)
{
	run(rewrite, 0, 3);
	check_all("child", 3);
	return atomic_load(&wrong) ? 1 : 0;
}

static int writing(void)
{
	static struct worker workers[THREADS_MAX];
	int bad = 0;

	start(workers, keep_writing, 0, 0);
	while (atomic_load(&started) < threads)
		usleep(1000);
	usleep(20000);
	for (int n = 0; n < 3; n++) {
		pid_t child = fork();

		if (child < 0) {
			perror("fork");
			return 3;
		}
		if (child == 0)
			_exit(child_writing());
		bad |= wait_for(child);
	}
	atomic_store(&stop, true);
	join(workers);
	for (unsigned t = 0; t < threads; t++)
		for (size_t b = t; b < block_count; b += threads)
			for (size_t i = 0; i < blocks[b].words; i++)
				if (blocks[b].word[i] !=
					value(i % 64 ? 1 : workers[t].rounds, b,
						i))
					fail("afterwards", b, i);
	return bad || atomic_load(&wrong) ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	threads = (unsigned)strtoul(argv[2], NULL, 0);
	if (threads < 1 || threads > THREADS_MAX)
		return 2;
	if (!build(strtoull(argv[1], NULL, 0) << 20)) {
		perror("malloc");
		return 3;
	}
	/* A fork converts pages: let who watches see the heap full. */
	usleep(60000);
	int rc = argc > 3 ? writing() : resting();

	printf("%zu blocks, %u threads: %s\n", block_count, threads,
		rc ? "WRONG" : "right");
	return rc;
}
