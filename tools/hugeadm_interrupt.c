/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ctrl-C while a machine is changed. What was begun is ended (a mount that was
 * taken away for other limits comes back, swap that was added for a while goes)
 * and said, what was not begun is not; then the signal has its way. The handler
 * does nothing but remember, so that the kernel stops in the middle of a long
 * write. Single-threaded.
 */
#include "hugeadm.h"

#include <signal.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};

static volatile sig_atomic_t came;
static struct sigaction before[HL_ARRAY_SIZE(signals)];

static void remember(int signal)
{
	came = signal;
}

void adm_interrupt_begin(void)
{
	struct sigaction action = {.sa_handler = remember};

	for (size_t i = 0; i < HL_ARRAY_SIZE(signals); i++) {
		(void)sigaction(signals[i], NULL, &before[i]);
		/* nohup's stay ignored. */
		if (before[i].sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &action, NULL);
	}
}

bool adm_interrupted(void)
{
	return came != 0;
}

void adm_interrupt_end(void)
{
	int signal = came;

	for (size_t i = 0; i < HL_ARRAY_SIZE(signals); i++)
		(void)sigaction(signals[i], &before[i], NULL);
	if (signal == 0)
		return;
	fflush(stdout);
	(void)raise(signal);
}
