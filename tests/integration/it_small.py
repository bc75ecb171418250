#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Small programs stay small: under `hugectl --heap` they take no huge page, add
less than 1 MiB of resident memory and no more than double the time of a plain
start. Times are medians of interleaved runs.
"""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import harness as h
import machine

PROGRAMS = [
    ['/bin/true'], ['/bin/ls', '/'], ['/bin/cat', '/etc/passwd'],
    ['/bin/sh', '-c', ':'], ['/bin/date'], ['/usr/bin/id'],
    ['/bin/grep', 'root', '/etc/passwd'], ['/bin/sed', 's/a/b/', '/etc/passwd'],
    ['/usr/bin/awk', 'BEGIN { print 1 }'], ['/usr/bin/perl', '-e', '1'],
    ['/usr/bin/git', '--version'],
]
ROUNDS = 41
SPAWN = os.environ['HL_SPAWN_COST']


def cost(argv):
    """(wall us, processor us, resident KiB) of one start."""
    out = subprocess.run([SPAWN, *argv], check=True, stdout=subprocess.PIPE,
                         text=True).stdout.split()
    assert out[3] == '0', f'{argv} failed: status {out[3]}'
    return [int(n) for n in out[:3]]


def one(check, argv, where, m):
    ours = [h.hugectl(), '--heap', '--', *argv]
    samples = [[], []]
    for _ in range(ROUNDS):
        for n, command in enumerate((argv, ours)):
            samples[n].append(cost(command))
    plain, with_heap = [[statistics.median(s[i] for s in side) for i in range(3)]
                        for side in samples]
    name = ' '.join(argv)
    print(f'  {name}: {plain[0] / 1000:.2f} -> {with_heap[0] / 1000:.2f} ms '
          f'({with_heap[0] / plain[0]:.2f} x), processor '
          f'{plain[1] / 1000:.2f} -> {with_heap[1] / 1000:.2f} ms, '
          f'resident {plain[2]:.0f} -> {with_heap[2]:.0f} KiB')
    check.that(with_heap[0] <= 2 * plain[0], f'{name}: more than double the time')
    check.that(with_heap[2] - plain[2] < 1024, f'{name}: 1 MiB more resident')
    work = h.Workload('small', argv)
    result = h.run(work, where, ours=True, m=m)
    check.that(result.status == 0, f'{name}: status {result.status}')
    for report in result.reports:
        heap = report.get('heap') or {}
        check.that(heap.get('hpages_taken', 0) == 0 and
                   heap['end']['thp_bytes'] == 0,
                   f'{name}: took huge pages: {heap}')
    check.that(result.reports, f'{name}: no report')
    if m:
        check.that(result.watcher.most_pool == 0,
                   f'{name}: {result.watcher.most_pool} pages of the pool')


def all_programs(m):
    check = h.Checks()
    with tempfile.TemporaryDirectory(prefix='hl-small-') as where:
        for argv in PROGRAMS:
            if shutil.which(argv[0]):
                one(check, argv, where, m)
    return check


reason = machine.may_change()
if reason:
    failed = all_programs(None).failed
else:
    with machine.Machine() as m:
        m.thp('madvise')
        m.pool.resize(64)
        failed = all_programs(m).failed
sys.exit(1 if failed else 0)
