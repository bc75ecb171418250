/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugetlbfs2.hpp in a program without exceptions and RTTI: it works, and ends
 * the program where it would throw.
 */
#include "hugetlbfs2.hpp"

#include "it.h"

#include <memory_resource>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

template <typename Allocation> static bool ends(Allocation allocation)
{
	struct rlimit none = {0, 0};
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &none);
		allocation();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

int main()
{
	std::vector<int, htlb::allocator<int>> v;
	std::pmr::vector<int> w(htlb::resource());

	it_preloaded();
	for (int i = 0; i < 100000; i++) {
		v.push_back(i);
		w.push_back(i);
	}
	CHECK(v[99999] == 99999 && w[99999] == 99999);
	CHECK(v.get_allocator() == htlb::allocator<char>());
	CHECK(htlb::resource()->is_equal(*htlb::resource()));
	/* More than there are addresses, and more than can be counted. */
	CHECK(ends([] { (void)htlb::resource()->allocate(SIZE_MAX / 4); }));
	CHECK(ends(
		[] { (void)htlb::allocator<int>().allocate(SIZE_MAX / 2); }));
	puts("ok");
	return 0;
}
