#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Runs cases inside the virtual machine, one by one, each in a process of its own;
and what the cases share: pools per node, runs under hugectl, checks.

Usage: guest.py CASE...

A case is FILE_FUNCTION: the function FILE_FUNCTION(check) of cases_FILE.py; or
"program:PATH [NAME]", a test program of the build (exit status 77 is a skip), or its
case NAME. Each finds the
pools as they were at boot, overcommit 0 and THP on madvise, and must leave no page behind.
The machine is thrown away: nothing is put back.

A case that KNOWN names shows a fault that is known: while it fails it is a skip.

The output is that of a cmocka program, so that tests/summary.py counts each case.
"""
import glob
import importlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import harness as h
from machine import HUGE, SKIP, THP, VM, Cgroup, default_page_bytes, read, write

NODES = '/sys/devices/system/node'
MB = 1 << 20
GB = 1 << 30
CASE_SECONDS = int(os.environ.get('HL_VM_CASE_SECONDS', '240'))
COUNTERS = ('nr_hugepages', 'free_hugepages', 'surplus_hugepages')


# The case, and the fault that it shows.
KNOWN = {}


class Skip(Exception):
    """Why the case cannot be had here."""


# ---- nodes and pools ----

def number_list(text):
    """"0-2,5" as numbers."""
    found = []
    for part in text.split(','):
        if part:
            first, _, last = part.partition('-')
            found += range(int(first), int(last or first) + 1)
    return found


def nodes(kind='online'):
    """kind: online, has_cpu, has_memory."""
    return number_list(read(f'{NODES}/{kind}'))


def sizes():
    return sorted(int(re.search(r'(\d+)kB', d).group(1)) * 1024
                  for d in glob.glob(f'{HUGE}/hugepages-*kB'))


def node_pool(node, page=None):
    return f'{NODES}/node{node}/hugepages/hugepages-{(page or default_page_bytes()) >> 10}kB'


def global_pool(page=None):
    return f'{HUGE}/hugepages-{(page or default_page_bytes()) >> 10}kB'


def counters(page=None):
    """{(node, name): pages}"""
    return {(n, name): int(read(f'{node_pool(n, page)}/{name}'))
            for n in nodes() for name in COUNTERS}


def free(node, page=None):
    return int(read(f'{node_pool(node, page)}/free_hugepages'))


def set_pools(pages, page=None):
    """{node: pages}; nodes that are not named get none."""
    for node in nodes('has_memory'):
        path = f'{node_pool(node, page)}/nr_hugepages'
        wanted = pages.get(node, 0)
        write(path, wanted)
        if int(read(path)) != wanted:
            raise Skip(f'node {node} has {read(path)} pages, not {wanted}')


# ---- programs ----

def program(name):
    """A program of the build, by its path in there."""
    return os.path.join(os.environ['HL_BUILD'], name)


def placed():
    return program('tests/vm/placed')


def run(argv, options=(), before=(), timeout=200):
    """A run under hugectl --heap --report: harness.Result."""
    with tempfile.TemporaryDirectory() as where:
        work = h.Workload(os.path.basename(argv[0]), argv, timeout=timeout)
        return h.run(work, where, ours=True, options=options, before=before, every=5)


def heap_of(result):
    return (result.report or {}).get('heap') or {}


def pages_by_node(text):
    """What placed says: [(node of the thread, {node: pages})], nowhere is -1."""
    found = []
    for line in text.splitlines():
        match = re.match(r'on (\d+):', line)
        if match:
            pages = {int(n): int(p) for n, p in re.findall(r'at (\d+): (\d+)', line)}
            pages[-1] = int(re.search(r'nowhere: (\d+)', line).group(1))
            found.append((int(match.group(1)), pages))
    return found


def ran_well(check, result, what):
    return check.that(result.status == 0 and 'right' in result.text,
                      f'{what}: status {result.status}, {result.text[-300:]!r}, '
                      f'{result.errors[-500:]!r}')


# ---- one case after the other ----

class Start:
    """How the machine was at boot."""

    def __init__(self):
        self.pools = {page: {n: int(read(f'{node_pool(n, page)}/nr_hugepages'))
                             for n in nodes('has_memory')} for page in sizes()}

    def again(self):
        for page in sizes():
            path = f'{global_pool(page)}/nr_overcommit_hugepages'
            if read(path) != '0':
                write(path, 0)
            for node, pages in self.pools[page].items():
                path = f'{node_pool(node, page)}/nr_hugepages'
                if int(read(path)) != pages:
                    write(path, pages)
        for name, mode in (('enabled', 'madvise'), ('defrag', 'madvise')):
            write(f'{THP}/{name}', mode)
        write(f'{VM}/overcommit_memory', 0)
        # It moves pages, and hides them from move_pages(2) for a moment.
        write('/proc/sys/kernel/numa_balancing', 0)


def left_behind():
    """None if all pages of all pools are free, else what is not."""
    for _ in range(100):
        wrong = []
        for page in sizes():
            found = {n: int(read(f'{global_pool(page)}/{n}'))
                     for n in (*COUNTERS, 'resv_hugepages')}
            if found['free_hugepages'] != found['nr_hugepages'] or \
                    found['resv_hugepages'] or found['surplus_hugepages']:
                wrong.append(f'{page >> 20}M: {found}')
        if not wrong:
            return None
        time.sleep(0.05)
    return '; '.join(wrong)


def run_program(path, case=None):
    full = program(path)
    if not os.path.exists(full):
        raise Skip(f'{path} is not built')
    env = dict(os.environ, HL_HUGEPAGE_TESTS='1')
    if case:
        env['HL_CASE'] = case
    done = subprocess.run([full], env=env, check=False)
    if done.returncode == SKIP:
        raise Skip('')
    if done.returncode:
        print(f'exit status {done.returncode}')
        sys.exit(1)


def body(name):
    """In a process of its own."""
    check = h.Checks()
    try:
        if name.startswith('program:'):
            run_program(*name.partition(':')[2].split())
        else:
            module = importlib.import_module('cases_' + name.partition('_')[0])
            getattr(module, name)(check)
        status = 1 if check.failed else 0
    except Skip as e:
        print(f'SKIP: {e}')
        status = SKIP
    except SystemExit as e:
        status = e.code
    except BaseException:   # pylint: disable=broad-except
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def one(name):
    """0, 1 or SKIP."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        body(name)
    until = time.monotonic() + CASE_SECONDS
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > until:
            print(f'not done after {CASE_SECONDS} s')
            os.killpg(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
            break
        time.sleep(0.02)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    print(f'died of signal {os.WTERMSIG(status)}')
    return 1


def title(name):
    return re.sub(r'\W', '_', os.path.basename(name))


def main():
    os.environ['TMPDIR'] = '/dev/shm'
    sys.stdout.reconfigure(line_buffering=True)
    start, sums = Start(), {0: [], 1: [], SKIP: []}
    for name in sys.argv[1:]:
        start.again()
        print(f'[ RUN      ] {title(name)}')
        begin = time.monotonic()
        status = one(name)
        left = left_behind()
        if left:
            print(f'pages are left behind: {left}')
            status = 1
        if status not in sums:
            print(f'exit status {status}')
            status = 1
        if status == 1 and name in KNOWN:
            print(f'known fault: {KNOWN[name]}')
            status = SKIP
        elif status == 0 and name in KNOWN:
            print('a known fault that does not show')
        sums[status].append(title(name))
        word = {0: '      OK', 1: ' FAILED ', SKIP: ' SKIPPED'}[status]
        print(f'[ {word} ] {title(name)} ({time.monotonic() - begin:.1f} s)')
    print(f'[  PASSED  ] {len(sums[0])} test(s).')
    for status, word in ((SKIP, 'SKIPPED'), (1, 'FAILED')):
        if sums[status]:
            print(f'[  {word}  ] {len(sums[status])} test(s), listed below:')
            for name in sums[status]:
                print(f'[  {word}  ] {name}')
    sys.exit(1 if sums[1] else 0 if sums[0] else SKIP)


if __name__ == '__main__':
    # The cases import this file by its name.
    sys.modules['guest'] = sys.modules['__main__']
    main()
