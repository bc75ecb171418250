/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Misuse that must end the program: the argument says which. dies.py looks at
 * the message and the signal.
 */
#include "it.h"

#include <malloc.h>
#include <sys/mman.h>

static void *hidden(void *p)
{
	__asm__ volatile("" : "+r"(p));
	return p;
}

static void *small_block(void)
{
	return malloc(100);
}

static void double_free(size_t bytes)
{
	void *p = malloc(bytes);

	CHECK(p != NULL);
	printf("%p\n", p);
	fflush(stdout);
	free(p);
	free(hidden(p));
}

static void interior(size_t bytes, size_t offset)
{
	char *p = malloc(bytes);

	CHECK(p != NULL);
	printf("%p\n", (void *)(p + offset));
	fflush(stdout);
	free(hidden(p + offset));
}

static void foreign(void)
{
	/* libc's own, as a plug-in opened with RTLD_DEEPBIND has it. */
	void *(*f)(size_t) =
		(void *(*)(size_t))dlsym(RTLD_DEFAULT, "__libc_malloc");
	void *p;

	CHECK(f != NULL);
	p = f(100);
	printf("%p\n", p);
	fflush(stdout);
	free(p);
}

int main(int argc, char **argv)
{
	const char *how = argc == 2 ? argv[1] : "";
	void *keep = small_block(); /* the span stays in use */

	it_preloaded();
	if (strcmp(how, "double-small") == 0)
		double_free(100);
	else if (strcmp(how, "double-medium") == 0)
		double_free(100000);
	else if (strcmp(how, "double-straddle") == 0)
		double_free(1500000);
	else if (strcmp(how, "double-large") == 0)
		double_free(50000000);
	else if (strcmp(how, "interior-small") == 0)
		interior(100, 16);
	else if (strcmp(how, "interior-odd") == 0)
		interior(1000, 1);
	else if (strcmp(how, "interior-medium") == 0)
		interior(100000, 8192);
	else if (strcmp(how, "interior-straddle") == 0)
		interior(1500000, 65536);
	else if (strcmp(how, "interior-large") == 0)
		interior(50000000, 4096);
	else if (strcmp(how, "foreign") == 0)
		foreign();
	else
		return 2;
	free(hidden(keep));
	printf("survived\n");
	return 0;
}
