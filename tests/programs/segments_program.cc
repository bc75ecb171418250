/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program for it_segments.py: functions with megabytes of text between them,
 * data and bss of several huge pages. Compiled in several ways.
 */
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <execinfo.h>
#include <stdexcept>
#include <thread>
#include <unistd.h>

#define PAD(n)                                               \
	__attribute__((used, noinline)) static void pad##n() \
	{                                                    \
		__asm__ volatile(".skip 1500000,0x90");      \
	}

static const size_t WORDS = 1536 << 10;
static int data[WORDS] = {1, 2, 3};
extern "C" int *const words = data + WORDS / 2;
static char bss[9 << 20];
typedef void (*function)();
static void nothing()
{
}
extern const function table[];
const function table[] = {nothing};
static sigjmp_buf jump;

__attribute__((constructor)) static void early()
{
	bss[12345] = 7;
}

PAD(0)
extern "C" __attribute__((noinline)) int deep_throw(int n)
{
	if (n == 0)
		throw std::runtime_error("deep");
	volatile int k = n;
	return deep_throw(n - 1) + k;
}
PAD(1)
extern "C" __attribute__((noinline)) int deep_trace(int n)
{
	if (n == 0) {
		void *frame[64];
		int count = backtrace(frame, 64), found = 0;
		for (int i = 0; i < count; i++) {
			Dl_info info;
			if (dladdr(frame[i], &info) && info.dli_sname &&
				strcmp(info.dli_sname, "deep_trace") == 0)
				found++;
		}
		return found;
	}
	volatile int k = 0;
	return deep_trace(n - 1) + k;
}
PAD(2)
extern "C" __attribute__((noinline)) void crash_here(volatile int *p)
{
	*p = 1;
}
PAD(3)
extern "C" __attribute__((noinline)) long spin_here(long n)
{
	volatile long s = 0;
	for (long i = 0; i < n; i++)
		s = s + i;
	return s;
}
PAD(4)

static void caught(int)
{
	siglongjmp(jump, 1);
}

static bool is_read_only(const void *p)
{
	signal(SIGSEGV, caught);
	if (sigsetjmp(jump, 1) == 0) {
		*(volatile char *)p = 0;
		return false;
	}
	signal(SIGSEGV, SIG_DFL);
	return true;
}

static void look_at_data()
{
	long a = 0, b = 0, c = 0;
	char *heap = (char *)sbrk(8192);
	memset(heap, 5, 8192);
	for (size_t i = 0; i < WORDS; i++)
		a += data[i];
	for (size_t i = 0; i < sizeof(bss); i++)
		b += bss[i];
	memset(bss, 1, sizeof(bss));
	memset(data, 1, sizeof(data));
	for (size_t i = 0; i < sizeof(bss); i++)
		c += bss[i];
	printf("data %ld %ld %ld heap %d relro %s\n", a, b, c,
		heap[0] + heap[8191],
		is_read_only((const void *)&table[0]) ? "kept" : "lost");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int thrown = 0;
	std::thread thrower([&] {
		for (int i = 0; i < 100; i++) {
			try {
				deep_throw(20);
			} catch (std::exception &) {
				thrown++;
			}
		}
	});
	thrower.join();
	printf("caught %d traced %d name %s\n", thrown, deep_trace(10), NAME);
	look_at_data();
	fflush(stdout);
	if (strcmp(what, "crash") == 0)
		crash_here(nullptr);
	if (strcmp(what, "spin") == 0)
		printf("%ld\n",
			spin_here(argc > 2 ? atol(argv[2]) : 700000000));
	if (strcmp(what, "wait") == 0)
		while (getchar() >= 0)
			;
	return 0;
}
