/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine made by a test: files below a temporary directory, as a struct
 * hl_root. One at a time; tree_setup and tree_teardown are for cmocka.
 */
#ifndef TREE_H
#define TREE_H

#include "system/sys.h"

int tree_setup(void **state);
int tree_teardown(void **state);

const struct hl_root *tree_root(void);
/* Writes a file, path as in the machine ("/proc/meminfo"), and its parents. */
void tree_put(const char *path, const char *text);
void tree_put_bytes(const char *path, const void *bytes, size_t n);
void tree_remove(const char *path);

#endif
