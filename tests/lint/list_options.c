/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints the table of environment variables, a line each, parts separated by
 * tabs: what envtable.py compares with the manual.
 */
#include "base/opt.h"

#include <stdio.h>

int main(void)
{
	for (size_t i = 0; i < hl_opt_doc_count; i++) {
		const struct hl_opt_doc *doc = &hl_opt_docs[i];

		printf("%s\t%s\t%s\t%s\n", doc->name, doc->values,
			doc->fallback, doc->help);
	}
	return 0;
}
