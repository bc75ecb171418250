#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Sparse memory stays lazy: 1 TiB is granted or refused as plain glibc does under
each overcommit mode; 1,000 scattered bytes take at most 1,000 huge
pages; numpy.zeros of 20 GB takes memory only where it is written; of many blocks that
a program hardly touches little is on huge pages, of those it fills nearly all.
"""
import os
import subprocess
import sys
import tempfile

import harness as h
import machine
import smaps

PROGRAM = os.environ['HL_SPARSE_BLOCKS']
TIB = 1 << 40
PLACES = 1000

NUMPY = r'''
import sys
import numpy
z = numpy.zeros(20 * 1000**3 // 8)
for i in range(50):
    z[i * (len(z) // 50)] = i
print(z.shape, z[::len(z) // 50].sum())
sys.stdout.flush()
sys.stdin.readline()
small = numpy.zeros(1000000)
del z
print(small.sum())
'''


def start(argv, ours):
    command = [h.hugectl(), '--heap', '--', *argv] if ours else argv
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True,
                            start_new_session=True)


def go_on(process):
    process.stdin.write('\n')
    process.stdin.flush()


def answers(check, m):
    """What the malloc family says to 1 TiB, 100 GiB and 8 EiB."""
    for mode in (0, 1, 2):
        m.overcommit(mode)
        try:
            for size in (TIB, 100 << 30, (1 << 63) - 4096, (1 << 64) - 1):
                said = [subprocess.run(
                    start_argv, stdout=subprocess.PIPE, text=True, check=False)
                    for start_argv in (
                        [PROGRAM, 'answer', str(size)],
                        [h.hugectl(), '--heap', '--', PROGRAM, 'answer', str(size)])]
                plain, ours = [(s.returncode, s.stdout) for s in said]
                check.that(plain == ours, f'overcommit {mode}, {size:#x} bytes: '
                           f'plainly {plain}, ours {ours}')
        finally:
            m.overcommit(m.state.files[f'{machine.VM}/overcommit_memory'])


def scattered(check, m, call, pages):
    m.pool.resize(pages)
    unit = max(2 << 20, m.pool.page)
    process = start([PROGRAM, 'touch', call, str(TIB), str(PLACES)], ours=True)
    m.tell('group', process.pid)
    what = f'{call} of 1 TiB, pool of {pages}'
    word = process.stdout.readline().strip()
    if check.that(word == 'touched', f'{what}: {word}'):
        s = smaps.sample(process.pid)
        print(f'  {what}: {s["hugetlb"] // unit} pool pages, '
              f'{s["thp"] // unit} THP, {s.anon >> 20} MiB')
        check.that(s.huge <= PLACES * unit,
                   f'{what}: {s.huge // unit} huge pages for {PLACES} places')
        check.that(s.anon <= PLACES * unit + 8 * h.MB,
                   f'{what}: {s.anon >> 20} MiB resident')
        go_on(process)
        word = process.stdout.readline().strip()
        check.that(word == 'freed', f'{what}: {word}')
        s = smaps.sample(process.pid)
        check.that(s.anon <= 8 * h.MB,
                   f'{what}: {s.anon >> 20} MiB after free')
        go_on(process)
    process.communicate()
    check.that(process.returncode == 0, f'{what}: status {process.returncode}')
    m.tell('done', process.pid)


def live(m, ours, bytes_, count, written, before):
    """A sample of the program with its blocks, and its peak."""
    process = start([PROGRAM, 'live', *map(str, (bytes_, count, written, before))],
                    ours)
    m.tell('group', process.pid)
    word = process.stdout.readline().strip()
    s = smaps.sample(process.pid) if word == 'touched' else None
    with open(f'/proc/{process.pid}/status', encoding='ascii') as f:
        peak = [int(l.split()[1]) << 10 for l in f if l.startswith('VmHWM')]
    process.communicate('\n')
    m.tell('done', process.pid)
    return s, peak, process.returncode


def live_blocks(check, m, pages):
    """Huge pages are not bought with untouched memory, and not withheld either."""
    m.pool.resize(pages)
    sparse = [(bytes_, count, 1, before) for bytes_, count, before in (
        (40000, 2000, 0), (100000, 1000, 0), (300000, 500, 0), (1 << 20, 300, 0),
        (5 << 20, 60, 0), (20 << 20, 20, 0), (1 << 20, 500, 50),
        (16000000, 60, 20))]
    # The beginning of each.
    sparse += [(2200000, 200, 100000, 0), (3000000, 150, 1000000, 0)]
    dense = [(bytes_, count, bytes_, 0) for bytes_, count in (
        (4097, 40000), (9000, 20000), (16390, 10000), (33000, 6000), (41000, 5000),
        (100000, 1500), (300000, 500), (1 << 20, 200), (5 << 20, 40), (20 << 20, 8))]
    for case in sparse + dense:
        what = f'{case[1]} blocks of {case[0]}, {case[2]} written, ' \
               f'{case[3]} before, pool of {pages}'
        plain, peak, status = live(m, False, *case)
        ours, _, our_status = live(m, True, *case)
        if not check.that(status == our_status == 0 and plain and ours,
                          f'{what}: status {status}, ours {our_status}'):
            continue
        most = 1.15 * peak[0] + 4 * h.MB
        if case[0] >= 4 << 20:
            # Vast ones begin with a huge page each until they have been seen for a while.
            most += case[1] * (2 << 20)
        print(f'  {what}: {ours.huge >> 20} MiB of {ours.anon >> 20} huge, '
              f'plain {plain.anon >> 20}, peak {peak[0] >> 20}')
        check.that(ours.huge <= most,
                   f'{what}: {ours.huge >> 20} MiB huge, at most {int(most) >> 20}')
        if case in dense:
            check.that(ours.huge >= 0.95 * ours.heap,
                       f'{what}: {ours.huge >> 20} of {ours.heap >> 20} MiB huge')


def numpy_zeros(check, m, pages):
    m.pool.resize(pages)
    outputs = []
    for ours in (False, True):
        process = start([h.PYTHON, '-c', NUMPY], ours)
        m.tell('group', process.pid)
        line = process.stdout.readline()
        s = smaps.sample(process.pid)
        rest = process.communicate('\n')[0]
        m.tell('done', process.pid)
        outputs.append((process.returncode, line + rest))
        if not check.that(s is not None, f'numpy, pool of {pages}: no sample'):
            continue
        if ours:
            print(f'  numpy, pool of {pages}: {s["hugetlb"] >> 20} MiB of the pool, '
                  f'{s["thp"] >> 20} MiB THP, {s.anon >> 20} MiB anonymous')
            check.that(s.anon <= 50 * (2 << 20) + 64 * h.MB,
                       f'numpy.zeros, pool of {pages}: {s.anon >> 20} MiB')
    check.that(outputs[0] == outputs[1],
               f'numpy: plainly {outputs[0]}, ours {outputs[1]}')


def main():
    machine.need_change()
    check = h.Checks()
    with machine.Machine() as m, tempfile.TemporaryDirectory():
        m.thp('madvise')
        m.pool.resize(0)
        answers(check, m)
        m.pool.resize(64)
        answers(check, m)
        m.overcommit(1)
        for call in ('malloc', 'calloc', 'realloc'):
            scattered(check, m, call, 64)
        scattered(check, m, 'malloc', 0)
        m.overcommit(m.state.files[f'{machine.VM}/overcommit_memory'])
        live_blocks(check, m, 0)
        live_blocks(check, m, 512)
        has_numpy = subprocess.run([h.PYTHON, '-c', 'import numpy'], check=False,
                                   stderr=subprocess.DEVNULL).returncode == 0
        many = 4096
        if has_numpy:
            numpy_zeros(check, m, 64)
            if m.pool.resize(many):
                numpy_zeros(check, m, many)
            else:
                has_numpy = False
        m.pool.resize(0)
    if check.failed:
        sys.exit(1)
    if not has_numpy:
        machine.skip(f'numpy is missing, or no {many} huge pages')


main()
