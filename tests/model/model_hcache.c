/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cache of units against a diary: what was in use after every event, with
 * its time. The swing of a period is looked up in the diary, not kept.
 */
#include "model.h"

#include "heap/hcache.h"

#include <stdlib.h>
#include <string.h>

const char model_name[] = "hcache";

#define UNITS 64
#define DIARY 4096

static struct hl_hcache real;
static struct hl_unit real_unit[UNITS];

static struct {
	unsigned order[UNITS]; /* cached units, oldest first */
	uint64_t since[UNITS]; /* per unit */
	unsigned count;
	bool free[UNITS];    /* neither cached nor in use */
	uint64_t start, now; /* now: latest time told */
	uint64_t decay;
	struct {
		uint64_t at;
		size_t in_use;
	} diary[DIARY];
	unsigned written; /* of diary; [0] is what was true before */
	size_t in_use;
} naive;

static struct {
	uint64_t gets, misses, puts, used, expired_old, expired_over, trimmed,
		kept, backwards;
} seen;

static void compare(void)
{
	model_check(hl_hcache_is_valid(&real));
	model_equal(real.count, naive.count);
	model_equal(real.in_use, naive.in_use);
}

void model_start(struct model_in *in)
{
	memset(&naive, 0, sizeof(naive));
	memset(real_unit, 0, sizeof(real_unit));
	for (unsigned u = 0; u < UNITS; u++) {
		naive.free[u] = true;
		hl_unit_init(&real_unit[u], NULL, u);
	}
	naive.decay = model_draw(in, 8) * model_draw(in, 100);
	naive.now = naive.start = model_draw(in, 1u << 20);
	naive.written = 1;
	hl_hcache_init(&real, (uint32_t)naive.decay, naive.now);
	compare();
}

static uint64_t period_of(uint64_t at)
{
	return (at - naive.start) / naive.decay;
}

/* Most minus least in use while that period ran. */
static size_t swing(uint64_t period)
{
	size_t high = 0, low = SIZE_MAX, before = 0;

	for (unsigned i = 0; i < naive.written; i++) {
		size_t in_use = naive.diary[i].in_use;

		if (i == 0 || period_of(naive.diary[i].at) < period) {
			before = in_use;
		} else if (period_of(naive.diary[i].at) == period) {
			high = in_use > high ? in_use : high;
			low = in_use < low ? in_use : low;
		}
	}
	high = before > high ? before : high;
	low = before < low ? before : low;
	return high - low;
}

static size_t naive_limit(void)
{
	uint64_t period;
	size_t now, last;

	if (naive.decay == 0)
		return 0;
	period = period_of(naive.now);
	now = swing(period);
	last = period > 0 ? swing(period - 1) : 0;
	return now > last ? now : last;
}

static void write_diary(uint64_t now, size_t in_use)
{
	if (now > naive.now)
		naive.now = now;
	if (naive.written == DIARY) {
		/* Only the last two periods matter; keep the newer half. */
		memmove(&naive.diary[0], &naive.diary[DIARY / 2],
			DIARY / 2 * sizeof(naive.diary[0]));
		naive.written = DIARY / 2;
	}
	naive.in_use = in_use;
	naive.diary[naive.written].at = naive.now;
	naive.diary[naive.written].in_use = in_use;
	naive.written++;
}

/* The clock as a thread read it: sometimes it waited for the lock since. */
static uint64_t draw_now(struct model_in *in)
{
	uint64_t step = model_draw(in, 16) == 0 ? 1u << model_draw(in, 12) : 3;

	if (model_chance(in, 16) && naive.now > naive.start + 8) {
		seen.backwards++;
		return naive.now - model_draw(in, 8);
	}
	return naive.now + model_draw(in, step);
}

static void leave(unsigned at)
{
	naive.count--;
	for (unsigned i = at; i < naive.count; i++)
		naive.order[i] = naive.order[i + 1];
}

static void step_get(uint64_t now)
{
	struct hl_unit *unit = hl_hcache_get(&real, now);

	seen.gets++;
	if (naive.count == 0) {
		seen.misses++;
		model_check(unit == NULL);
		return;
	}
	model_check(unit == &real_unit[naive.order[naive.count - 1]]);
	model_equal(unit->home, HL_UNIT_UNUSED);
	leave(naive.count - 1);
	naive.free[unit - real_unit] = true;
	write_diary(now, naive.in_use + 1);
}

static void step_put(struct model_in *in, uint64_t now)
{
	unsigned u = (unsigned)model_draw(in, UNITS), newest;

	if (naive.in_use == 0 || !naive.free[u])
		return;
	seen.puts++;
	hl_hcache_put(&real, &real_unit[u], now);
	model_equal(real_unit[u].home, HL_UNIT_CACHED);
	naive.since[u] = now;
	if (naive.count > 0) {
		newest = naive.order[naive.count - 1];
		if (naive.since[newest] > now)
			naive.since[u] = naive.since[newest];
	}
	naive.order[naive.count++] = u;
	naive.free[u] = false;
	write_diary(now, naive.in_use - 1);
}

static void step_count(struct model_in *in, uint64_t now)
{
	size_t n = model_draw(in, 6);

	seen.used++;
	hl_hcache_used(&real, n, now);
	write_diary(now, naive.in_use + n);
}

static void step_expire(uint64_t now, bool all)
{
	struct hl_unit *unit;
	bool over, old;

	if (naive.count > 0 && now > naive.now)
		naive.now = now;
	over = naive.count > naive_limit();
	old = naive.count > 0 &&
	      now >= naive.since[naive.order[0]] + 2 * naive.decay;
	unit = hl_hcache_expire(&real, now, all);
	if (naive.count == 0 || !(all || over || old)) {
		model_check(unit == NULL);
		seen.kept += naive.count > 0;
		return;
	}
	model_check(unit == &real_unit[naive.order[0]]);
	leave(0);
	naive.free[unit - real_unit] = true;
	seen.expired_over += over;
	seen.expired_old += old && !over;
	seen.trimmed += !old && !over;
}

void model_step(struct model_in *in)
{
	uint64_t what = model_draw(in, 64), now = draw_now(in);

	if (what < 16)
		step_get(now);
	else if (what < 36)
		step_put(in, now);
	else if (what < 44)
		step_count(in, now);
	else
		step_expire(now, what == 63);
	compare();
}

void model_end(void)
{
	while (naive.count > 0)
		step_expire(naive.now, true);
	compare();
	model_check(hl_hcache_expire(&real, naive.now, true) == NULL);
}

void model_summary(FILE *out)
{
	fprintf(out,
		"%lu gets (%lu misses), %lu puts, %lu used, expired "
		"%lu over the limit, %lu old, %lu trimmed; %lu kept; %lu times "
		"out of order\n",
		seen.gets, seen.misses, seen.puts, seen.used, seen.expired_over,
		seen.expired_old, seen.trimmed, seen.kept, seen.backwards);
}
