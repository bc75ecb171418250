/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/system/nodestring.c: libnuma's syntax for the nodes that this machine
 * has, and what is no list of nodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bitmap.h"
#include "base/fmt.h"
#include "system/nodestring.h"
#include "system/sys.h"

#include "skip.h"

#include <errno.h>
#include <numa.h>

static struct hl_topo topo;
static int first;

static int setup(void **state)
{
	(void)state;
	first = 0;
	if (hl_topo_read(&hl_root_real, &topo) != 0)
		return -1;
	while (!hl_bitmap_test(topo.has_memory, (size_t)first))
		first++;
	return 0;
}

static void gives(const char *s, const char *want)
{
	uint64_t bits[HL_NODES_MAX / 64];
	char text[256];
	struct hl_buf buf;

	assert_int_equal(hl_nodestring_parse(s, bits, HL_NODES_MAX), 0);
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_list(&buf, bits, HL_NODES_MAX);
	assert_string_equal(text, want);
}

static void test_nodes_of_this_machine(void **state)
{
	char one[16], twice[32], range[32];
	struct hl_buf buf;

	(void)state;
	if (numa_available() < 0)
		SKIP_BECAUSE("this kernel has no NUMA");
	hl_buf_init(&buf, one, sizeof(one));
	hl_buf_printf(&buf, "%d", first);
	gives(one, one);
	hl_buf_init(&buf, twice, sizeof(twice));
	hl_buf_printf(&buf, "%d,%d", first, first);
	gives(twice, one);
	hl_buf_init(&buf, range, sizeof(range));
	hl_buf_printf(&buf, "%d-%d", first, first);
	gives(range, one);
	/* Relative to the nodes that this process may use. */
	gives("+0", one);
}

static void test_all(void **state)
{
	char text[256];
	struct hl_buf buf;

	(void)state;
	if (numa_available() < 0)
		SKIP_BECAUSE("this kernel has no NUMA");
	hl_buf_init(&buf, text, sizeof(text));
	hl_buf_list(&buf, topo.has_memory, HL_NODES_MAX);
	gives("all", text);
}

static void test_refusals_leave_the_result(void **state)
{
	static const char *const bad[] = {
		"", "nodes", "0-", "-1", "99999", "1 2", "0;1"};
	uint64_t bits[HL_NODES_MAX / 64] = {77};

	(void)state;
	if (numa_available() < 0)
		SKIP_BECAUSE("this kernel has no NUMA");
	for (size_t i = 0; i < HL_ARRAY_SIZE(bad); i++) {
		assert_int_equal(
			hl_nodestring_parse(bad[i], bits, HL_NODES_MAX),
			-EINVAL);
		assert_int_equal(bits[0], 77);
	}
	assert_int_equal(hl_nodestring_parse("all", bits, 0), -ERANGE);
	assert_int_equal(bits[0], 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes_of_this_machine),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_refusals_leave_the_result),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
