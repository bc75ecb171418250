/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hugetlbfs2.hpp: containers of the standard library on htlb::allocator and on
 * htlb::memory_resource; alignment, equality, what is thrown. Says the same
 * linked only and preloaded.
 */
#include "hugetlbfs2.hpp"

#include "it.h"

#include <list>
#include <map>
#include <memory_resource>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

template <typename T> using vector_of = std::vector<T, htlb::allocator<T>>;

struct alignas(256) wide {
	char bytes[256];
};

static uint64_t live()
{
	struct htlb_heap_stats stats = {};

	stats.size = sizeof(stats);
	CHECK(htlb_heap_stats(&stats) == 0);
	return stats.live_bytes;
}

static void test_vector()
{
	uint64_t before = live();
	vector_of<double> v;

	for (int i = 0; i < 2000000; i++)
		v.push_back(i * 0.5);
	/* Really from this heap. */
	CHECK(live() >= before + v.size() * sizeof(double));
	CHECK(htlb_usable_size(v.data()) >= v.capacity() * sizeof(double));
	for (int i = 0; i < 2000000; i++)
		CHECK(v[static_cast<size_t>(i)] == i * 0.5);

	vector_of<double> moved = std::move(v), copied = moved;

	CHECK(copied == moved && copied.data() != moved.data());
	copied.swap(moved);
	moved.clear();
	moved.shrink_to_fit();
	CHECK(copied.size() == 2000000);
}

static void test_alignment()
{
	vector_of<wide> v(100);

	for (wide &w : v)
		CHECK(reinterpret_cast<uintptr_t>(&w) % 256 == 0);
	std::pmr::memory_resource *r = htlb::resource();

	for (size_t align = 1; align <= 4096; align *= 2) {
		void *p = r->allocate(100, align);

		CHECK(reinterpret_cast<uintptr_t>(p) % align == 0);
		memset(p, 1, 100);
		r->deallocate(p, 100, align);
	}
	void *nothing = r->allocate(0, 1);

	CHECK(nothing != nullptr);
	r->deallocate(nothing, 0, 1);
}

static void test_maps()
{
	using pair = std::pair<const int, int>;
	std::unordered_map<int, int, std::hash<int>, std::equal_to<int>,
		htlb::allocator<pair>>
		u;
	std::map<int, int, std::less<int>, htlb::allocator<pair>> m;
	std::list<int, htlb::allocator<int>> l;

	for (int i = 0; i < 100000; i++) {
		u[i * 7] = i;
		m[i * 3] = i;
		l.push_back(i);
	}
	for (int i = 0; i < 100000; i += 2)
		CHECK(u.erase(i * 7) == 1 && m.erase(i * 3) == 1);
	for (int i = 1; i < 100000; i += 2)
		CHECK(u.at(i * 7) == i && m.at(i * 3) == i);
	CHECK(u.size() == 50000 && m.size() == 50000 && l.size() == 100000);
}

static void test_pmr()
{
	htlb::memory_resource own;
	std::pmr::unordered_map<std::pmr::string, std::pmr::vector<int>> m(
		&own);
	uint64_t before = live();

	for (int i = 0; i < 20000; i++) {
		std::pmr::string key = "a key too long to be kept inside ";

		key += std::to_string(i);
		m[key].assign(10, i);
	}
	CHECK(m.begin()->second.get_allocator().resource() == &own);
	CHECK(live() > before + 20000 * 10 * sizeof(int));
	for (const auto &e : m)
		CHECK(e.second.size() == 10 && e.second[0] == e.second[9]);
	CHECK(own.is_equal(*htlb::resource()));
	CHECK(!own.is_equal(*std::pmr::new_delete_resource()));

	std::pmr::monotonic_buffer_resource arena(htlb::resource());
	std::pmr::vector<int> v(&arena);

	for (int i = 0; i < 100000; i++)
		v.push_back(i);
	CHECK(v[99999] == 99999);
}

static void test_throws()
{
	htlb::allocator<double> a;
	volatile size_t much = SIZE_MAX / 2, more = SIZE_MAX / 4;
	int caught = 0;

	try {
		(void)a.allocate(much);
	} catch (const std::bad_array_new_length &) {
		caught++;
	}
	try {
		(void)htlb::resource()->allocate(more + more + more);
	} catch (const std::bad_alloc &) {
		caught++;
	}
	CHECK(caught == 2);
	CHECK(a == htlb::allocator<char>() && !(a != htlb::allocator<int>()));
}

static void test_threads()
{
	std::vector<std::thread> threads;
	vector_of<vector_of<int>> made(4);

	for (size_t t = 0; t < made.size(); t++) {
		threads.emplace_back([&made, t] {
			for (int i = 0; i < 100000; i++)
				made[t].push_back(i);
		});
	}
	for (std::thread &t : threads)
		t.join();
	/* Freed by another thread than took it. */
	for (const auto &v : made)
		CHECK(v.size() == 100000 && v.back() == 99999);
}

int main()
{
	it_preloaded();
	test_vector();
	test_alignment();
	test_maps();
	test_pmr();
	test_throws();
	test_threads();
	puts("done");
	return 0;
}
