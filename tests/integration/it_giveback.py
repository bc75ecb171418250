#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Heap pages go back: a program that frees its heap gives the pool (and the kernel,
for THP) all but a few pages within a second of activity, and at malloc_trim(0).
"""
import os
import subprocess
import sys

import harness as h
import machine
import smaps

PROGRAM = os.environ['HL_GIVEBACK_BLOCKS']
MEGABYTES = 240

# What may stay: the units in which something still lives (200 blocks of 45 size classes), and the cache.
KEPT_ACTIVE = 16
KEPT_TRIMMED = 4

CASES = [  # name, block sizes from, to
    ('tiny', 16, 64), ('small', 16, 2000), ('class', 2000, 32000),
    ('medium', 33000, 900000), ('straddle', 1100000, 3500000),
    ('large', 5000000, 40000000), ('mixed', 16, 200000),
]


def huge_units(m, pid):
    """(huge pages in use, KiB on base pages in our areas)."""
    s = smaps.sample(pid)
    return (s['hugetlb'] // m.pool.page + s['thp'] // (2 << 20),
            (s['heap_rss'] - s['thp']) >> 10)


def one(check, m, name, low, high, how, pages):
    m.pool.resize(pages)
    what = f'{name}, freed by {how}, pool of {pages}'
    process = subprocess.Popen(
        [h.hugectl(), '--heap', '--', PROGRAM, str(low), str(high),
         str(MEGABYTES), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, start_new_session=True)
    m.tell('group', process.pid)
    seen = []
    for word in ('full', 'freed', 'active', 'trimmed'):
        line = process.stdout.readline().strip()
        if not check.that(line == word, f'{what}: {line!r}, wanted {word!r}'):
            break
        seen.append(huge_units(m, process.pid))
        process.stdin.write('\n')
        process.stdin.flush()
    process.communicate()
    m.tell('done', process.pid)
    check.that(process.returncode == 0, f'{what}: status {process.returncode}')
    print(f'  {what}: huge pages (and KiB on base pages) when full, freed, '
          f'active, trimmed: {seen}')
    if len(seen) < 4:
        return
    full, _, active, trimmed = seen
    check.that(full[0] >= MEGABYTES * h.MB // max(2 << 20, m.pool.page) * 9 // 10,
               f'{what}: only {full[0]} huge pages when full')
    check.that(active[0] <= KEPT_ACTIVE and active[1] <= KEPT_ACTIVE * 2048,
               f'{what}: {active} after a second of activity')
    check.that(trimmed[0] <= KEPT_TRIMMED and trimmed[1] <= KEPT_TRIMMED * 2048,
               f'{what}: {trimmed} after malloc_trim(0)')


def main():
    machine.need_change()
    check = h.Checks()
    with machine.Machine() as m:
        m.thp('madvise')
        enough = MEGABYTES * h.MB * 3 // 2 // m.pool.page + 32
        for name, low, high in CASES:
            one(check, m, name, low, high, 'main', enough)
        for name, low, high in (CASES[1], CASES[3], CASES[6]):
            one(check, m, name, low, high, 'other', enough)
            one(check, m, name, low, high, 'threads', enough)
        for name, low, high in (CASES[1], CASES[5]):
            one(check, m, name, low, high, 'main', 0)
        m.pool.resize(0)
    sys.exit(1 if check.failed else 0)


main()
