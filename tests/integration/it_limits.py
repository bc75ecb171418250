#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
ulimit -v and ulimit -d: every program that finishes plainly under a limit finishes
under the same limit with its heap on huge pages, and with the same output.

For each program the smallest limit is found under which the plain run still does its
work; ours must do it from there on upwards. The preload object itself, like any library,
takes address space: that much (SLACK_KIB) is granted on top of the smallest limit. Where
the heap is on (OFF_BELOW_KIB), some of its units of 2 MiB are in use in part only, which
shows where a program maps most of its memory itself, so that a refusal is not the heap's
to survive: GRAIN_KIB, at most 3 % of such a limit.
"""
import contextlib
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile

import harness as h
import machine
from redis_server import Redis

SLACK_KIB = 2048
GRAIN_KIB = 14336
OFF_BELOW_KIB = {'v': 512 << 10, 'd': 256 << 10}
# How exactly the smallest limit is sought.
STEP_KIB = 1024
STEP_SHARE = 0.01
# Whose threads need now more, now less: so many plain runs must be good in a row.
VARYING = ('git', 'python-threads', 'redis')
RUNS = 6
FACTORS = (1.0, 1.1, 1.25, 1.5, 3.0)
# Each program costs some 60 runs: without HL_PROGRAMS_FULL these.
USUAL = ('python', 'sqlite', 'sort', 'returned', 'grown', 'shrunk', 'threads')


class Sort(h.Workload):
    def prepare(self, where):
        rng = random.Random(3)
        with open(f'{where}/input', 'w', encoding='ascii') as f:
            f.writelines(f'{rng.getrandbits(80):x}\n' for _ in range(200000))

    def result(self, where):
        try:
            with open(f'{where}/output', 'rb') as f:
                return hashlib.sha256(f.read()).hexdigest()
        finally:
            os.unlink(f'{where}/output')


class Sqlite(h.Workload):
    def prepare(self, where):
        with open(f'{h.HERE}/loads/store.sql', encoding='utf-8') as f:
            text = f.read().replace('500000', '20000')
        self.stdin = f'{where}/small.sql'
        with open(self.stdin, 'w', encoding='utf-8') as f:
            f.write(text)


class Git(h.Workload):
    def prepare(self, where):
        """Fifty commits of one file that grows."""
        subprocess.run(['git', 'init', '-q', '-b', 'trunk', '--bare', 'origin.git'],
                       cwd=where, check=True)
        rng, lines = random.Random(5), []
        with subprocess.Popen(['git', 'fast-import', '--quiet', '--depth=0'],
                              cwd=f'{where}/origin.git', stdin=subprocess.PIPE) as p:
            for commit in range(50):
                lines += [b'%x' % rng.getrandbits(256) for _ in range(1000)]
                data = b'\n'.join(lines)
                p.stdin.write(b'commit refs/heads/trunk\n'
                              b'committer A <a@example.org> %d +0000\ndata 6\ncommit\n'
                              b'M 100644 inline file\ndata %d\n%s\n'
                              % (1600000000 + commit, len(data), data))
        assert p.returncode == 0

    def reset(self, where):
        shutil.rmtree(f'{where}/repo.git', ignore_errors=True)
        shutil.copytree(f'{where}/origin.git', f'{where}/repo.git')


class Made(h.Workload):
    """Whose result is a file, `made`."""
    def prepare(self, where):
        with open(f'{where}/input', 'wb') as f:
            rng = random.Random(11)
            f.write(rng.randbytes(3 << 20) + b'%x' % rng.getrandbits(99) * (1 << 18))

    def reset(self, where):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f'{where}/made')

    def result(self, where):
        with open(f'{where}/made', 'rb') as f:
            return hashlib.sha256(f.read()).hexdigest()


def workloads():
    yield h.Workload('python', [h.PYTHON, f'{h.HERE}/loads/objects.py', '16'],
                     env={'PYTHONMALLOC': 'malloc', 'PYTHONHASHSEED': '0'}, timeout=30)
    yield h.Workload('python-large', [h.PYTHON, f'{h.HERE}/loads/objects.py', '450'],
                     env={'PYTHONMALLOC': 'malloc', 'PYTHONHASHSEED': '0'}, timeout=60)
    yield h.Workload('python-threads', [h.PYTHON, f'{h.HERE}/loads/objects.py', 'threads', '6'],
                     env={'PYTHONMALLOC': 'malloc', 'PYTHONHASHSEED': '0'},
                     timeout=8)
    yield h.Workload('perl', ['perl', f'{h.HERE}/loads/tables.pl', '10000'], timeout=30,
                     env={'PERL_HASH_SEED': '0', 'PERL_PERTURB_KEYS': '0'})
    yield Sqlite('sqlite', ['sqlite3', '-batch', ':memory:'], timeout=30)
    yield Sort('sort', ['sort', '--parallel=2', '-S', '20M', 'input', '-o', 'output'],
               timeout=30)
    yield Redis('redis', timeout=60)
    yield Git('git', ['sh', '-ec', 'cd repo.git; git fsck --full; git repack -q -a -d -f '
                      '--threads=2; git fsck --full --strict; git rev-parse trunk'],
              env={'GIT_CONFIG_NOSYSTEM': '1', 'HOME': '/nonexistent'}, timeout=30)
    yield h.Workload('node', ['node', f'{h.HERE}/loads/buffers.js', '10'], timeout=30)
    yield Made('compiler', ['g++', '-O1', '-std=c++17', '-DSTAGES=1', '-c',
                            f'{h.HERE}/loads/templates.cc', '-o', 'made'], timeout=60)
    yield Made('xz', ['sh', '-ec', 'xz -T2 -1 -c input >packed; '
                      'xz -T2 -d -c packed >made; cmp input made'], timeout=30)
    yield h.Workload('forkfull', [os.environ['HL_FORKFULL'], '24', '2'], timeout=30)
    for name, args in (('returned', 'returned 100 500'),
                       ('grown', 'grown 540 50'), ('grown-slowly', 'grown 700 12'),
                       ('shrunk', 'shrunk 700 40 700'),
                       ('shrunk-vast', 'shrunk 3000 1100 2300'),
                       ('threads', 'threads 8 20 300000 350')):
        yield h.Workload(name, [os.environ['HL_CONFINED_BLOCKS'], *args.split()],
                         timeout=30)


def limited(work, where, m, letter, kib, ours):
    """The run under ulimit; None if it could not even write its result."""
    try:
        return h.run(work, where, ours=ours, m=m, every=0.5,
                     before=[f'ulimit -{letter} {kib}'])
    except FileNotFoundError:
        return None


def good(work, result, plain):
    return (result is not None and result.status == 0 and
            work.normalise(result.text) == work.normalise(plain.text))


def smallest(work, where, m, letter, plain):
    """The smallest limit in KiB, about, under which the plain run does its work."""
    low, high = 0, 64 << 10
    while not good(work, limited(work, where, m, letter, high, False), plain):
        low, high = high, high * 2
        if high > 64 << 20:
            return None
    while high - low > max(STEP_KIB, high * STEP_SHARE):
        middle = (low + high) // 2
        if good(work, limited(work, where, m, letter, middle, False), plain):
            high = middle
        else:
            low = middle
    while work.name in VARYING and not all(
            good(work, limited(work, where, m, letter, high, False), plain)
            for _ in range(RUNS)):
        high += max(STEP_KIB, int(high * STEP_SHARE))
    return high


def one(check, work, where, m, letter, pools):
    plain = h.run(work, where, ours=False, m=m)
    if not check.that(plain.status == 0, f'{work.name}: the plain run failed'):
        return
    least = smallest(work, where, m, letter, plain)
    if not check.that(least is not None,
                      f'{work.name}: no limit found for -{letter}'):
        return
    line = []
    for pages in pools:
        m.pool.resize(pages)
        for factor in FACTORS:
            kib = int(least * factor) + SLACK_KIB
            kib += GRAIN_KIB if kib >= OFF_BELOW_KIB[letter] else 0
            ours = limited(work, where, m, letter, kib, True)
            fine = good(work, ours, plain)
            line.append(f'{kib >> 10}{"" if fine else "!"}')
            check.that(fine, f'{work.name}, ulimit -{letter} {kib}, pool of {pages}: '
                       f'plainly fine from {least} on, ours '
                       + (f'status {ours.status}, {ours.errors[-300:]!r}'
                          if ours else 'without result'))
    m.pool.resize(0)
    print(f'  {work.name}: ulimit -{letter}: plain from {least >> 10} MiB; '
          f'ours at {" ".join(line)}')
    sys.stdout.flush()


def main():
    machine.need_change()
    check = h.Checks()
    wanted = sys.argv[1:]
    if not wanted and not os.environ.get('HL_PROGRAMS_FULL'):
        wanted = USUAL
    Redis.keys, Redis.requests = 20000, 1000
    with machine.Machine() as m:
        m.thp('madvise')
        m.pool.resize(0)
        for work in workloads():
            if wanted and work.name not in wanted:
                continue
            with tempfile.TemporaryDirectory(prefix='hl-limits-') as where:
                work.prepare(where)
                for letter in 'vd':
                    one(check, work, where, m, letter,
                        (128, 0) if work.name == 'python' else (128,))
    sys.exit(1 if check.failed else 0)


main()
