// SPDX-License-Identifier: LGPL-2.1-or-later
// Nothing but work for the compiler: headers, instantiations, inlining.
#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N> struct Key {
	int a[N % 5 + 1];
	std::string s;
	bool operator<(const Key &o) const { return s < o.s || (s == o.s && a[0] < o.a[0]); }
};

template <int N> struct Stage {
	std::map<Key<N>, std::vector<std::string>> table;
	std::unordered_map<std::string, std::tuple<int, double, std::shared_ptr<Key<N>>>> index;
	std::variant<int, std::string, Key<N>> v;

	int run(int seed)
	{
		std::mt19937 rng(static_cast<unsigned>(seed + N));
		for (int i = 0; i < N + 3; i++) {
			Key<N> k{{static_cast<int>(rng())}, std::to_string(rng())};
			table[k].push_back(k.s + std::to_string(i));
			index[k.s] = {i, i * 0.5, std::make_shared<Key<N>>(k)};
			v = k;
		}
		std::vector<Key<N>> keys;
		for (auto &[k, list] : table) {
			std::sort(list.begin(), list.end(), [](auto &x, auto &y) { return x.size() < y.size() || x < y; });
			keys.push_back(k);
		}
		std::stable_sort(keys.begin(), keys.end(), [](auto &x, auto &y) { return y < x; });
		std::function<int(int)> f = [this](int n) { return n + static_cast<int>(table.size() * index.size()); };
		return std::accumulate(keys.begin(), keys.end(), seed, [&](int n, auto &k) { return f(n) ^ k.a[0]; }) +
			static_cast<int>(v.index()) + Stage<N - 1>().run(seed + 1);
	}
};

template <> struct Stage<0> {
	int run(int seed) { return seed; }
};

int main(int argc, char **argv)
{
	std::regex r("a(b|c)*d[0-9]+");
	std::ostringstream out;
	out << Stage<STAGES>().run(argc) << std::regex_match(std::string(argv[0]), r);
	std::cout << out.str() << '\n';
}
