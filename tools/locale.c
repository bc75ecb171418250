/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which characters a report may use: see locale.h. */
#include "locale.h"

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

bool locale_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < HL_ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return strcasestr(value, "utf-8") ||
			       strcasestr(value, "utf8");
	}
	return false;
}
