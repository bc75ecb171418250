/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plug-in that allocates by malloc (opened with RTLD_DEEPBIND: by libc's) and
 * hands the blocks to the program.
 */
#include <stdlib.h>
#include <string.h>

void *plugin_malloc(size_t bytes);
void plugin_free(void *p);
char *plugin_text(void);

__attribute__((visibility("default"))) void *plugin_malloc(size_t bytes)
{
	return malloc(bytes);
}

__attribute__((visibility("default"))) void plugin_free(void *p)
{
	free(p);
}

__attribute__((visibility("default"))) char *plugin_text(void)
{
	return strdup("from the plug-in");
}
