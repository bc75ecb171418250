/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * operators.cpp as a plug-in of a C program. The C++ runtime comes with it, out
 * of sight of the global scope: exceptions must be found there.
 */
#include "it.h"

int main(int argc, char **argv)
{
	int (*try_operators)(void);
	void *plugin;

	it_preloaded();
	CHECK(argc == 2);
	CHECK(dlsym(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv") == NULL);
	plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	CHECK(plugin != NULL);
	try_operators = (int (*)(void))dlsym(plugin, "try_operators");
	CHECK(try_operators != NULL);
	return try_operators();
}
