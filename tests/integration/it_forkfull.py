#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A heap that fills the pool, fork, then parent and child write every byte: right
bytes in both, nobody dies, no store lost. With one thread and four, resting and
writing during the fork, and with pools from far too small to more than enough.
"""
import os
import sys
import tempfile

import harness as h
import machine

PROGRAM = os.environ['HL_FORKFULL']
MEGABYTES = 96


def main():
    machine.need_change()
    check = h.Checks()
    with machine.Machine() as m, tempfile.TemporaryDirectory(prefix='hl-fork-') as where:
        m.thp('madvise')
        heap = MEGABYTES * h.MB // m.pool.page
        for pages in (heap // 2, heap, heap + heap // 4, 2 * heap + 32):
            for more in (['1'], ['4'], ['4', 'writing']):
                m.pool.resize(pages)
                counters = m.pool.counters()
                work = h.Workload('forkfull', [PROGRAM, str(MEGABYTES), *more],
                                  timeout=60)
                result = h.run(work, where, ours=True, m=m)
                heap_report = (result.report or {}).get('heap') or {}
                what = f'pool of {pages} for {heap}, threads {" ".join(more)}'
                print(f'  {what}: {result.text.strip()}; {result.seconds:.1f} s, '
                      f'most {result.watcher.most_pool} pages, conversions '
                      f'{heap_report.get("conversions")}, heals '
                      f'{heap_report.get("heals")}')
                check.that(result.status == 0, f'{what}: status {result.status}, '
                           f'{result.errors[-500:]}')
                check.that(result.watcher.most_pool >= min(pages, heap) * 8 // 10,
                           f'{what}: the heap did not fill the pool')
                h.settled(check, what, m, counters)
        m.pool.resize(0)
        # THP alone: no pool, the same questions.
        for more in (['4'], ['4', 'writing']):
            work = h.Workload('forkfull', [PROGRAM, str(MEGABYTES), *more], timeout=60)
            result = h.run(work, where, ours=True, m=m)
            check.that(result.status == 0, f'no pool, threads {more}: status '
                       f'{result.status}, {result.errors[-500:]}')
    sys.exit(1 if check.failed else 0)


main()
