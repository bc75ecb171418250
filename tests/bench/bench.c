/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program that run.py measures.
 *
 *   bench_workloads WORKLOAD [SCALE]
 *   bench_workloads            prints the names, one a line
 */
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	void (*run)(unsigned scale);
} workloads[] = {
	{"churn", bench_churn},
	{"churn2", bench_churn2},
	{"pass", bench_pass},
	{"larson", bench_larson},
	{"strings", bench_strings},
	{"tree", bench_tree},
	{"mixture", bench_mixture},
	{"survivors", bench_survivors},
	{"growth", bench_growth},
	{"medium", bench_medium},
	{"straddle", bench_straddle},
	{"large", bench_large},
};

#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

size_t bench_draw_bytes(struct bench_rng *rng)
{
	uint64_t kind = bench_draw(rng, 1000);

	if (kind < 600)
		return 16 + bench_draw(rng, 112);
	if (kind < 900)
		return 16 + bench_draw(rng, 1000);
	if (kind < 990)
		return 256 + bench_draw(rng, 8000);
	if (kind < 999)
		return 4096 + bench_draw(rng, 60000);
	return 65536 + bench_draw(rng, 900000);
}

void *bench_malloc(size_t bytes)
{
	void *p = malloc(bytes);

	if (p == NULL) {
		perror("malloc");
		exit(1);
	}
	return p;
}

static long status_kb(const char *status, const char *field)
{
	const char *at = strstr(status, field);

	return at == NULL ? 0 : strtol(at + strlen(field), NULL, 10);
}

/* No stdio: its buffer would be one more block of the heap. */
void bench_held(const char *label)
{
	char status[8192], line[64];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, status, sizeof(status) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return;
	status[n] = '\0';
	n = snprintf(line, sizeof(line), "%s %ld\n", label,
		status_kb(status, "\nVmRSS:") +
			status_kb(status, "\nHugetlbPages:"));
	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		_exit(1);
}

int main(int argc, char **argv)
{
	unsigned scale = argc > 2 ? (unsigned)atoi(argv[2]) : 100;
	size_t i;

	if (argc < 2) {
		for (i = 0; i < WORKLOADS; i++)
			puts(workloads[i].name);
		return 0;
	}
	for (i = 0; i < WORKLOADS; i++)
		if (strcmp(argv[1], workloads[i].name) == 0) {
			workloads[i].run(scale);
			return 0;
		}
	fprintf(stderr, "bench_workloads: no workload %s\n", argv[1]);
	return 2;
}
