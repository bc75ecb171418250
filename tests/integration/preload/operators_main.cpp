// SPDX-License-Identifier: LGPL-2.1-or-later
// operators.cpp as part of a C++ program.
#include "it.h"
#include "operators.h"

int main()
{
	it_preloaded();
	return try_operators();
}
