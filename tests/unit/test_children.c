/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/preload/children.c: what is left of an environment, word by word. Random
 * lists of LD_PRELOAD are checked against a filter that builds a new list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "preload/preload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN   "/no/where/libown.so"
#define WORDS 8

static void expect(const char *before, const char *after)
{
	char text[256], *envp[3] = {text, (char *)"LAST=1", NULL};

	snprintf(text, sizeof(text), "LD_PRELOAD=%s", before);
	hl_children_disinherit(envp, OWN);
	if (after == NULL) {
		assert_string_equal(envp[0], "LAST=1");
		assert_null(envp[1]);
		return;
	}
	assert_ptr_equal(envp[0], text);
	assert_string_equal(envp[0] + strlen("LD_PRELOAD="), after);
	assert_string_equal(envp[1], "LAST=1");
	assert_null(envp[2]);
}

static void lists(void **state)
{
	(void)state;
	expect(OWN, NULL);
	expect(OWN ":", NULL);
	expect(":" OWN, NULL);
	expect(" : " OWN " :", NULL);
	expect(OWN ":" OWN, NULL);
	expect("/a.so", "/a.so");
	expect("/a.so /b.so", "/a.so /b.so");
	expect(OWN ":/a.so", "/a.so");
	expect("/a.so:" OWN, "/a.so");
	expect("/a.so " OWN ":/b.so", "/a.so /b.so");
	expect("/a.so:/b.so " OWN, "/a.so:/b.so");
	/* Without a slash: as the linker would find it. */
	expect("libown.so:/a.so", "/a.so");
	/* Nearly ours. */
	expect(OWN ".1", OWN ".1");
	expect("/x" OWN, "/x" OWN);
	expect("/no/where/libown", "/no/where/libown");
	expect("own.so", "own.so");
	/* Another file of our name. */
	expect("/else/libown.so", "/else/libown.so");
}

static void same_file_by_another_name(void **state)
{
	char directory[] = "/tmp/children-XXXXXX";
	char file[64], link_[64], text[128], *envp[2] = {text, NULL};

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/file", directory);
	snprintf(link_, sizeof(link_), "%s/link", directory);
	fclose(fopen(file, "w"));
	assert_int_equal(symlink(file, link_), 0);
	snprintf(text, sizeof(text), "LD_PRELOAD=/a.so:%s", link_);
	hl_children_disinherit(envp, file);
	assert_string_equal(envp[0], "LD_PRELOAD=/a.so");
	unlink(link_);
	unlink(file);
	rmdir(directory);
}

static void variables(void **state)
{
	char first[] = "HUGETLB_MORECORE=yes", second[] = "HUGETLB_MOREC=1";
	char third[] = "HUGETLB_NO_CHILDREN=yes", fourth[] = "A=HUGETLB_SHM=1";
	char fifth[] = "HUGETLB_VERBOSE=", sixth[] = "XHUGETLB_SHM=1";
	char *envp[] = {first, second, third, fourth, fifth, sixth, NULL};
	char *nothing[] = {NULL};

	(void)state;
	hl_children_disinherit(envp, OWN);
	assert_ptr_equal(envp[0], second);
	assert_ptr_equal(envp[1], fourth);
	assert_ptr_equal(envp[2], sixth);
	assert_null(envp[3]);
	hl_children_disinherit(nothing, OWN);
	assert_null(nothing[0]);
}

/* A new list of all words but ours, each with the separator before it. */
static void filter(char *to, const char *const *word, const char *separator,
	const unsigned *pick, size_t n)
{
	bool any = false;

	*to = '\0';
	for (size_t i = 0; i < n; i++) {
		if (pick[i] == 0)
			continue;
		if (any)
			strcat(to, separator);
		strcat(to, word[pick[i]]);
		any = true;
	}
}

static void random_lists(void **state)
{
	static const char *const word[] = {OWN, "/a.so", "/bb.so", "c.so"};
	unsigned seed = 12345;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char before[256] = "", after[256];
		unsigned pick[WORDS];
		const char *separator = round % 2 ? ":" : " ";
		size_t n;

		seed = seed * 1103515245u + 12345u;
		n = 1 + (seed >> 16) % WORDS;
		for (size_t i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			pick[i] = (seed >> 16) % 4;
			if (i > 0)
				strcat(before, separator);
			strcat(before, word[pick[i]]);
		}
		filter(after, word, separator, pick, n);
		expect(before, after[0] != '\0' ? after : NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(same_file_by_another_name),
		cmocka_unit_test(variables),
		cmocka_unit_test(random_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
