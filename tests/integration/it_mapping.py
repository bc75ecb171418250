#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A program's own mappings under hugectl --mmap and --shm: random calls on any base
page of them, children included, do what they do plainly, with a pool that has
everything, a little, or nothing; and the pool is whole afterwards.

HL_MAPPING_FULL=1: many more steps.
"""
import os
import subprocess
import sys
import time

import harness as h
import machine

PROGRAM = os.environ['HL_MAPPING_CALLS']
STEPS = 3000 if os.environ.get('HL_MAPPING_FULL') == '1' else 80

# what is mapped, options of hugectl
RUNS = (('private', '--mmap=POOL'), ('private', '--mmap'), ('shared', '--shm'))


def pages_of(m, pid):
    """Pages of the pool that the process has mapped."""
    try:
        for line in machine.read(f'/proc/{pid}/status').split('\n'):
            if line.startswith('HugetlbPages:'):
                return int(line.split()[1]) * 1024 // m.pool.page
    except OSError:
        pass
    return 0


def calls(check, m, kind, option, pages, seed):
    option = option.replace('POOL', str(m.pool.page))
    what = f'{kind} mappings, {option}, pool of {pages}, seed {seed}'
    process = subprocess.Popen(
        [h.hugectl(), option, '--', PROGRAM, kind, str(seed), str(STEPS)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True)
    m.tell('group', process.pid)
    taken = 0
    while process.poll() is None:
        taken = max(taken, pages_of(m, process.pid))
        time.sleep(0.002)
    said = process.stdout.read()
    m.tell('done', process.pid)
    check.that(process.returncode == 0 and said == 'done\n',
               f'{what}: status {process.returncode}, {said!r}')
    if option == '--mmap':
        check.that(taken == 0, f'{what}: {taken} pages taken from the pool')
    else:
        check.that(taken >= min(pages, 2), f'{what}: only {taken} pages taken')
    left = m.pool.left_behind()
    check.that(left is None, f'{what}: the pool is {left} afterwards')


def main():
    reason = machine.may_change()
    if reason:
        machine.skip(reason)
    check = h.Checks()
    with machine.Machine() as m:
        m.thp('madvise')
        short = []
        for pages in (100, 5, 0):
            if not m.pool.resize(pages):
                short.append(pages)
                continue
            for kind, option in RUNS:
                for seed in (1, 2):
                    calls(check, m, kind, option, pages, seed)
        m.pool.resize(0)
    if check.failed:
        sys.exit(1)
    if short:
        machine.skip(f'no {short} huge pages')


main()
