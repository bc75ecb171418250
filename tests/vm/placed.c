/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Says on which node the blocks of malloc are: a thread per node that has a CPU
 * (or several), bound to it, fills its share with blocks of one size, then asks
 * the kernel for the node of each base page (move_pages).
 *
 *   placed MEGABYTES BLOCK_BYTES [THREADS_PER_NODE] [fork]
 *
 * One line per thread: "on 0: at 0: 6144, at 1: 0" (pages by node), then
 * "right" if all blocks hold what was written. With "fork", a child and then
 * the parent write all blocks anew before that.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODES_MAX   64
#define THREADS_MAX 64
#define BATCH	    1024

struct worker {
	pthread_t thread;
	int node;
	cpu_set_t cpus;
	unsigned number;
	char **blocks;
	uint64_t at[NODES_MAX];
	uint64_t nowhere;
	int why; /* the last status of such a page */
};

static size_t share_bytes, block_bytes, block_count;
static struct worker workers[THREADS_MAX];
static unsigned worker_count;
static pthread_barrier_t all_filled;

static void die(const char *what)
{
	perror(what);
	exit(3);
}

/* "0-3,8": the CPUs of a node. */
static bool cpus_of(int node, cpu_set_t *out)
{
	char path[128], list[4096], *at = list;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist",
		node);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	if (fgets(list, sizeof(list), f) == NULL)
		list[0] = '\0';
	fclose(f);
	CPU_ZERO(out);
	while (*at >= '0' && *at <= '9') {
		long from = strtol(at, &at, 10), to = from;

		if (*at == '-')
			to = strtol(at + 1, &at, 10);
		for (long cpu = from; cpu <= to && cpu < CPU_SETSIZE; cpu++)
			CPU_SET((size_t)cpu, out);
		if (*at == ',')
			at++;
	}
	return CPU_COUNT(out) > 0;
}

static char mark(const struct worker *w, size_t block, char salt)
{
	return (char)(w->number * 31 + block * 7 + (unsigned char)salt);
}

static void write_all(struct worker *w, char salt)
{
	for (size_t b = 0; b < block_count; b++)
		memset(w->blocks[b], mark(w, b, salt), block_bytes);
}

static bool check_all(struct worker *w, char salt)
{
	for (size_t b = 0; b < block_count; b++)
		for (size_t i = 0; i < block_bytes; i++)
			if (w->blocks[b][i] != mark(w, b, salt))
				return false;
	return true;
}

static void count_batch(struct worker *w, void **pages, size_t n)
{
	int status[BATCH];

	if (syscall(SYS_move_pages, 0, n, pages, NULL, status, 0) < 0)
		die("move_pages");
	for (size_t i = 0; i < n; i++) {
		if (status[i] >= 0 && status[i] < NODES_MAX)
			w->at[status[i]]++;
		else {
			w->nowhere++;
			w->why = status[i];
		}
	}
}

/* Each base page that a block begins in or reaches into. */
static void look(struct worker *w)
{
	uintptr_t step = (uintptr_t)sysconf(_SC_PAGESIZE);
	void *pages[BATCH];
	size_t n = 0;

	for (size_t b = 0; b < block_count; b++) {
		uintptr_t from = (uintptr_t)w->blocks[b] & ~(step - 1);
		uintptr_t to = (uintptr_t)w->blocks[b] + block_bytes;

		for (uintptr_t at = from; at < to; at += step) {
			pages[n++] = (void *)at;
			if (n == BATCH) {
				count_batch(w, pages, n);
				n = 0;
			}
		}
	}
	if (n > 0)
		count_batch(w, pages, n);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	if (sched_setaffinity(0, sizeof(w->cpus), &w->cpus) < 0)
		die("sched_setaffinity");
	w->blocks = calloc(block_count, sizeof(*w->blocks));
	if (w->blocks == NULL)
		die("calloc");
	for (size_t b = 0; b < block_count; b++) {
		w->blocks[b] = malloc(block_bytes);
		if (w->blocks[b] == NULL)
			die("malloc");
		memset(w->blocks[b], mark(w, b, 0), block_bytes);
	}
	pthread_barrier_wait(&all_filled);
	look(w);
	return NULL;
}

static void start(unsigned per_node)
{
	for (int node = 0; node < NODES_MAX; node++) {
		cpu_set_t cpus;

		for (unsigned i = 0; i < per_node && cpus_of(node, &cpus) &&
				     worker_count < THREADS_MAX;
			i++) {
			workers[worker_count].node = node;
			workers[worker_count].cpus = cpus;
			workers[worker_count].number = worker_count;
			worker_count++;
		}
	}
	pthread_barrier_init(&all_filled, NULL, worker_count);
	for (unsigned i = 0; i < worker_count; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("pthread_create");
	for (unsigned i = 0; i < worker_count; i++)
		pthread_join(workers[i].thread, NULL);
}

static bool rewrite(char salt)
{
	bool right = true;

	for (unsigned i = 0; i < worker_count; i++)
		write_all(&workers[i], salt);
	for (unsigned i = 0; i < worker_count; i++)
		right = check_all(&workers[i], salt) && right;
	return right;
}

/* Both write every page while both have it. */
static bool fork_and_write(void)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (child == 0)
		_exit(rewrite(1) ? 0 : 1);
	if (!rewrite(2))
		return false;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	if (status != 0)
		fprintf(stderr, "the child ended with status %#x\n",
			(unsigned)status);
	for (unsigned i = 0; i < worker_count; i++)
		if (!check_all(&workers[i], 2))
			return false;
	return status == 0;
}

int main(int argc, char **argv)
{
	bool forks = argc > 1 && strcmp(argv[argc - 1], "fork") == 0;
	bool right = true;

	argc -= forks;
	if (argc < 3)
		return 2;
	share_bytes = strtoull(argv[1], NULL, 0) << 20;
	block_bytes = strtoull(argv[2], NULL, 0);
	block_count = share_bytes / block_bytes;
	start(argc > 3 ? (unsigned)strtoul(argv[3], NULL, 0) : 1);
	for (unsigned i = 0; i < worker_count; i++) {
		printf("on %d:", workers[i].node);
		for (int node = 0; node < NODES_MAX; node++)
			if (workers[i].at[node] > 0)
				printf(" at %d: %llu", node,
					(unsigned long long)workers[i]
						.at[node]);
		printf(" nowhere: %llu (%d)\n",
			(unsigned long long)workers[i].nowhere, workers[i].why);
	}
	if (forks)
		right = fork_and_write();
	else
		for (unsigned i = 0; i < worker_count; i++)
			right = check_all(&workers[i], 0) && right;
	puts(right ? "right" : "WRONG");
	return right ? 0 : 1;
}
