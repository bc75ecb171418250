/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhugetlbfs2 for C++ (C++17): containers on huge pages, whatever malloc the
 * program has.
 *
 *     std::vector<double, htlb::allocator<double>> v(1000000);
 *     std::pmr::vector<int> w(htlb::resource());
 *
 * Both take their memory from the one heap of the process (htlb_malloc), fall
 * back where huge pages are short, throw std::bad_alloc where nothing is left
 * (compiled without exceptions: end the program), and are thread-safe. Header
 * only; link with libhugetlbfs2.
 */
#ifndef HUGETLBFS2_HPP
#define HUGETLBFS2_HPP

#if __cplusplus < 201703L
#error "hugetlbfs2.hpp needs C++17"
#endif

/* In C a struct and a function may have one name. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "hugetlbfs2.h"
#pragma GCC diagnostic pop

#include <cstddef>
#include <exception>
#include <limits>
#include <memory_resource>
#include <new>
#include <type_traits>

namespace htlb
{

template <typename Exception> [[noreturn]] inline void fail()
{
#ifdef __cpp_exceptions
	throw Exception();
#else
	std::terminate();
#endif
}

/* Memory of that size and alignment; the size of nothing is 1. */
inline void *take(std::size_t bytes, std::size_t align)
{
	if (bytes == 0)
		bytes = 1;
	void *p = align <= alignof(std::max_align_t)
			  ? htlb_malloc(bytes)
			  : htlb_aligned_alloc(align, bytes);
	if (p == nullptr)
		fail<std::bad_alloc>();
	return p;
}

/* Any two are equal: memory of one may be given back to another. */
template <typename T> class allocator
{
      public:
	using value_type = T;
	using is_always_equal = std::true_type;
	using propagate_on_container_move_assignment = std::true_type;

	allocator() noexcept = default;
	template <typename U> allocator(const allocator<U> &) noexcept
	{
	}

	[[nodiscard]] T *allocate(std::size_t n)
	{
		if (n > std::numeric_limits<std::size_t>::max() / sizeof(T))
			fail<std::bad_array_new_length>();
		return static_cast<T *>(take(n * sizeof(T), alignof(T)));
	}

	void deallocate(T *p, std::size_t) noexcept
	{
		htlb_free(p);
	}

	template <typename U>
	friend bool operator==(const allocator &, const allocator<U> &) noexcept
	{
		return true;
	}

	template <typename U>
	friend bool operator!=(const allocator &, const allocator<U> &) noexcept
	{
		return false;
	}
};

/* Any two are equal (without RTTI: only the same one). */
class memory_resource : public std::pmr::memory_resource
{
	void *do_allocate(std::size_t bytes, std::size_t align) override
	{
		return take(bytes, align);
	}

	void do_deallocate(void *p, std::size_t, std::size_t) override
	{
		htlb_free(p);
	}

	bool do_is_equal(
		const std::pmr::memory_resource &other) const noexcept override
	{
#ifdef __cpp_rtti
		return dynamic_cast<const memory_resource *>(&other) != nullptr;
#else
		return this == &other;
#endif
	}
};

/* One that lives as long as the process. */
inline std::pmr::memory_resource *resource() noexcept
{
	/* Never destroyed: static objects may still free at the very end. */
	alignas(memory_resource) static unsigned char
		place[sizeof(memory_resource)];
	static memory_resource *one = new (place) memory_resource;

	return one;
}

} // namespace htlb

#endif
