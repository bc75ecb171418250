// SPDX-License-Identifier: LGPL-2.1-or-later
// All forms of operator new and delete: plain, array, nothrow, sized, aligned.
// Huge requests must throw std::bad_alloc or, nothrow, return null; the
// new-handler is called as long as it returns. Linked into a program and, as a
// plug-in, opened by a C program that has no C++ runtime of its own.
#include "it.h"
#include "operators.h"

#include <new>

static const std::size_t sizes[] = {
	0, 1, 8, 16, 24, 100, 1000, 4096, 33000, 100000, 3000000};
static const std::size_t aligns[] = {1, 8, 16, 32, 64, 4096, 1 << 21};
static volatile std::size_t huge = (std::size_t)PTRDIFF_MAX - 5000;

static int calls;

static void gives_up_third_time()
{
	if (++calls == 3)
		std::set_new_handler(nullptr);
}

struct own_exception {
};

static void throws_its_own()
{
	calls++;
	throw own_exception();
}

static void throws_bad_alloc()
{
	calls++;
	throw std::bad_alloc();
}

static void good_forms()
{
	for (std::size_t n : sizes) {
		void *p[8];

		p[0] = ::operator new(n);
		p[1] = ::operator new[](n);
		p[2] = ::operator new(n, std::nothrow);
		p[3] = ::operator new[](n, std::nothrow);
		p[4] = ::operator new(n);
		p[5] = ::operator new[](n);
		p[6] = ::operator new(n, std::nothrow);
		p[7] = ::operator new[](n, std::nothrow);
		for (unsigned i = 0; i < 8; i++) {
			CHECK(p[i] != nullptr);
			it_fill(p[i], n, i);
		}
		for (unsigned i = 0; i < 8; i++)
			CHECK(it_is_filled(p[i], n, i));
		::operator delete(p[0]);
		::operator delete[](p[1]);
		::operator delete(p[2], std::nothrow);
		::operator delete[](p[3], std::nothrow);
		::operator delete(p[4], n);
		::operator delete[](p[5], n);
		::operator delete(p[6]);
		::operator delete[](p[7]);
	}
	::operator delete(nullptr);
	::operator delete[](nullptr);
	::operator delete(nullptr, std::size_t(3));
	::operator delete(nullptr, std::align_val_t(64));
}

static void aligned_forms()
{
	for (std::size_t a : aligns) {
		for (std::size_t n : sizes) {
			std::align_val_t v{a};
			void *p[6];

			p[0] = ::operator new(n, v);
			p[1] = ::operator new[](n, v);
			p[2] = ::operator new(n, v, std::nothrow);
			p[3] = ::operator new[](n, v, std::nothrow);
			p[4] = ::operator new(n, v);
			p[5] = ::operator new[](n, v);
			for (unsigned i = 0; i < 6; i++) {
				CHECK(p[i] != nullptr);
				CHECK((uintptr_t)p[i] % a == 0);
				it_fill(p[i], n, i);
			}
			for (unsigned i = 0; i < 6; i++)
				CHECK(it_is_filled(p[i], n, i));
			::operator delete(p[0], v);
			::operator delete[](p[1], v);
			::operator delete(p[2], v, std::nothrow);
			::operator delete[](p[3], v, std::nothrow);
			::operator delete(p[4], n, v);
			::operator delete[](p[5], n, v);
		}
	}
}

#define EXPECT(what, expression)                                              \
	do {                                                                  \
		const char *got = "nothing";                                  \
		calls = 0;                                                    \
		try {                                                         \
			void *p = (expression);                               \
			got = p != nullptr ? "a block" : "null";              \
		} catch (const std::bad_alloc &) {                            \
			got = "bad_alloc";                                    \
		} catch (const own_exception &) {                             \
			got = "own exception";                                \
		}                                                             \
		printf("%s, %s: %s after %d calls\n", what, #expression, got, \
			calls);                                               \
	} while (0)

#define EXPECT_ALL(what, handler)                        \
	do {                                             \
		const std::align_val_t v{128};           \
		std::set_new_handler(handler);           \
		EXPECT(what, ::operator new(huge));      \
		std::set_new_handler(handler);           \
		EXPECT(what, ::operator new[](huge));    \
		std::set_new_handler(handler);           \
		EXPECT(what, ::operator new(huge, v));   \
		std::set_new_handler(handler);           \
		EXPECT(what, ::operator new[](huge, v)); \
	} while (0)

// A handler that throws anything but bad_alloc ends a nothrow form.
#define EXPECT_NOTHROW(what, handler)                                  \
	do {                                                           \
		const std::align_val_t v{128};                         \
		std::set_new_handler(handler);                         \
		EXPECT(what, ::operator new(huge, std::nothrow));      \
		std::set_new_handler(handler);                         \
		EXPECT(what, ::operator new[](huge, std::nothrow));    \
		std::set_new_handler(handler);                         \
		EXPECT(what, ::operator new(huge, v, std::nothrow));   \
		std::set_new_handler(handler);                         \
		EXPECT(what, ::operator new[](huge, v, std::nothrow)); \
	} while (0)

struct alignas(256) wide {
	char bytes[700];
};

int try_operators(void)
{
	volatile std::size_t count = huge / 8;

	good_forms();
	aligned_forms();
	EXPECT_ALL("no handler", nullptr);
	EXPECT_NOTHROW("no handler", nullptr);
	EXPECT_ALL("handler that gives up", gives_up_third_time);
	EXPECT_NOTHROW("handler that gives up", gives_up_third_time);
	EXPECT_ALL("handler that throws", throws_bad_alloc);
	EXPECT_NOTHROW("handler that throws", throws_bad_alloc);
	EXPECT_ALL("handler that throws its own", throws_its_own);
	std::set_new_handler(nullptr);
	// Expressions, as programs write them.
	EXPECT("expression", new double[count]);
	EXPECT("expression", new (std::nothrow) double[count]);
	wide *w = new wide[3];
	CHECK((uintptr_t)w % 256 == 0);
	delete[] w;
	delete new wide;
	printf("done\n");
	return 0;
}
