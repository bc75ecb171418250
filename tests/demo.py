#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Runs a program plainly and under `hugectl --heap --report`, in turns, and prints
what changed. Called by tests/demo.

Usage: demo.py HUGECTL [PROGRAM [ARGUMENT...]]
"""
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 3

# Half a gigabyte of small objects, built, read in random order, and dropped.
EXAMPLE = '''
import random
random.seed(1)
people = {i: (i, "name %d" % i, [float(i)]) for i in range(1500000)}
keys = list(people)
random.shuffle(keys)
print(int(sum(people[k][2][0] for k in keys)))
'''


def run(argv, env):
    """Wall, user and system seconds, page faults, output, status."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, check=False)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = (wall, after.ru_utime - before.ru_utime,
               after.ru_stime - before.ru_stime,
               after.ru_minflt - before.ru_minflt)
    return figures, done.stdout, done.returncode


def median(runs):
    return [statistics.median(column) for column in zip(*runs)]


def show(plain, ours):
    print(f'\n{"":24}{"plain":>12}{"--heap":>12}{"ratio":>9}')
    for name, a, b in zip(('time (s)', 'user (s)', 'system (s)',
                           'page faults'), plain, ours):
        form = '{:12.0f}' if name == 'page faults' else '{:12.2f}'
        ratio = f'{b / a:9.2f}' if a else ''
        print(f'{name:24}' + form.format(a) + form.format(b) + ratio)


def main():
    hugectl, argv = sys.argv[1], sys.argv[2:]
    env = dict(os.environ)
    if not argv:
        argv = [sys.executable, '-c', EXAMPLE]
        # Its own allocator would take memory by mmap, not by malloc.
        env['PYTHONMALLOC'] = 'malloc'
    name = os.path.basename(argv[0])
    print(f'=== {name}, plainly and under hugectl --heap, {ROUNDS} times each',
          flush=True)
    plain, ours = [], []
    with tempfile.TemporaryDirectory() as where:
        report = os.path.join(where, 'report')
        for turn in range(ROUNDS):
            form = 'text' if turn == ROUNDS - 1 else 'json'
            figures, text, status = run(argv, env)
            plain.append(figures)
            figures, our_text, our_status = run(
                [hugectl, '--heap', f'--report={form}:{report}.{form}', '--',
                 *argv], env)
            ours.append(figures)
            if (text, status) != (our_text, our_status):
                print('the output or the exit status differs')
                return 1
        with open(report + '.text', encoding='utf-8') as f:
            print('\n=== the report of the last run\n' + f.read(), end='')
        with open(report + '.json', encoding='utf-8') as f:
            document = json.load(f)
    show(median(plain), median(ours))
    coverage = document['coverage']
    if coverage is None:
        print('\nthe heap was too small to need huge pages')
        return 0
    print(f'\n{coverage:.1%} of the heap was on huge pages at its peak; output '
          'and exit status are the same')
    if coverage < 0.5:
        print('for more: raise the pool (see README.md), or write madvise to\n'
              '/sys/kernel/mm/transparent_hugepage/enabled')
    return 0


sys.exit(main())
