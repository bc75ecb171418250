#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Compares allocators, each preloaded into the same programs, in one interleaved
run. Prints ratios to plain glibc: CPU time (user + sys), wall time and peak
memory (resident + hugetlb pages), median and spread. See README.md.

  run.py --launcher BINARY --workloads BINARY --preload OBJECT [options]
"""
import argparse
import json
import math
import os
import random
import re
import signal
import statistics
import subprocess
import sys

BASE = 'glibc'
HERE = os.path.dirname(os.path.abspath(__file__))
HUGEPAGES = '/proc/sys/vm/nr_hugepages'

# Programs: command, and how often a measurement runs it.
PROGRAMS = {
    'start': (['/bin/true'], 60),
    'python': (['/usr/bin/python3', '-S', HERE + '/objects.py'], 1),
    'sqlite': (['/usr/bin/sqlite3', ':memory:', '.read ' + HERE + '/rows.sql'],
               1),
    'sort': (['/usr/bin/sort', '--parallel=2', '-S', '200M', '{lines}'], 1),
}


def peers(preload):
    """Name -> environment, and whether the allocator takes pool pages."""
    def ours(mode):
        return {'LD_PRELOAD': preload, 'HUGETLB_MORECORE': mode}

    def tunable(value):
        return {'GLIBC_TUNABLES': f'glibc.malloc.hugetlb={value}'}

    return {
        BASE: {},
        'glibc again': {},
        'glibc thp': tunable(1),
        'glibc pool': tunable(2),
        'ours pool': ours('yes'),
        'ours thp': ours('thp'),
        'mimalloc': {'LD_PRELOAD': 'libmimalloc.so.2'},
        # The name of the option changed between versions.
        'mimalloc pool': {'LD_PRELOAD': 'libmimalloc.so.2',
                          'MIMALLOC_LARGE_OS_PAGES': '1',
                          'MIMALLOC_ALLOW_LARGE_OS_PAGES': '1'},
        'jemalloc': {'LD_PRELOAD': 'libjemalloc.so.2'},
        'jemalloc thp': {'LD_PRELOAD': 'libjemalloc.so.2',
                         'MALLOC_CONF': 'thp:always,metadata_thp:auto'},
        'tcmalloc': {'LD_PRELOAD': 'libtcmalloc_minimal.so.4'},
    }


def run_once(launcher, command, env):
    """One process: (CPU seconds, wall seconds, peak KiB, what it told)."""
    read_end, write_end = os.pipe()
    variables = [f'{k}={v}' for k, v in env.items()]
    with open(read_end, encoding='ascii') as report:
        try:
            # The launcher writes to descriptor 3.
            process = subprocess.Popen(
                ['/bin/sh', '-c', f'exec "$@" 3>&{write_end}', 'sh', launcher]
                + variables + command,
                env=environment(), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                pass_fds=[write_end])
        finally:
            os.close(write_end)
        told, errors = process.communicate()
        figures = report.read().split()
    errors = errors.decode(errors='replace').strip()[-200:]
    if process.returncode != 0 or len(figures) != 5:
        raise RuntimeError(f'not run: {errors}')
    status, user, system, wall, peak = map(int, figures)
    if status != 0:
        raise RuntimeError(
            f'status {os.waitstatus_to_exitcode(status)}: {errors}')
    if 'cannot be preloaded' in errors:
        raise RuntimeError(errors)
    held = {label: int(kb) for label, kb in
            re.findall(r'^(\w+) (\d+)$', told.decode(errors='replace'), re.M)}
    return ((user + system) / 1e6, wall / 1e6,
            max([peak] + list(held.values())), held)


def measure(launcher, command, repeat, env):
    """A measurement: times are summed over the repetitions."""
    runs = [run_once(launcher, command, env) for _ in range(repeat)]
    return {'cpu': sum(r[0] for r in runs), 'wall': sum(r[1] for r in runs),
            'peak': max(r[2] for r in runs), 'held': runs[-1][3]}


class Pool:
    """Raises the pool for the time of the run, and puts it back."""

    def __init__(self, pages):
        self.pages = pages
        self.before = None

    def __enter__(self):
        if self.pages is None:
            return self
        with open(HUGEPAGES, encoding='ascii') as f:
            self.before = f.read()
        self.write(str(self.pages))
        with open(HUGEPAGES, encoding='ascii') as f:
            got = int(f.read())
        if got < self.pages:
            print(f'only {got} of {self.pages} huge pages could be had',
                  file=sys.stderr)
        return self

    def __exit__(self, *_):
        if self.before is not None:
            self.write(self.before)

    @staticmethod
    def write(text):
        with open(HUGEPAGES, 'w', encoding='ascii') as f:
            f.write(text)


def free_pool_pages():
    with open('/proc/meminfo', encoding='ascii') as f:
        return int(re.search(r'HugePages_Free:\s+(\d+)', f.read()).group(1))


def environment():
    keep = ('PATH', 'HOME', 'TMPDIR')
    env = {k: os.environ[k] for k in keep if k in os.environ}
    env.update({'LC_ALL': 'C', 'PYTHONMALLOC': 'malloc',
                'PYTHONHASHSEED': '0'})
    return env


def write_lines(path, count):
    rng = random.Random(1)
    with open(path, 'w', encoding='ascii') as f:
        for _ in range(count):
            f.write(f'{rng.getrandbits(64):x} {rng.getrandbits(40):x}\n')


def commands(args, names):
    """Workload -> (command, repetitions)."""
    lines = os.path.join(args.scratch, 'bench_lines.txt')
    known = {}
    for name in subprocess.check_output([args.workloads], text=True).split():
        known[name] = ([args.workloads, name, str(args.scale)], 1)
    for name, (command, repeat) in PROGRAMS.items():
        if os.access(command[0], os.X_OK):
            command = [word.replace('{lines}', lines) for word in command]
            if name == 'sort':
                command += ['-o', '/dev/null']
            known[name] = (command, repeat)
    chosen = {n: c for n, c in known.items() if not names or n in names}
    if 'sort' in chosen:
        write_lines(lines, 1000000)
    return chosen


def run_all(args, work, tried):
    """results[workload][peer] = list of measurements, one each round."""
    results = {w: {p: [] for p in tried} for w in work}
    broken = {}
    for rep in range(args.reps):
        for name, (command, repeat) in work.items():
            order = [p for p in tried if (name, p) not in broken]
            # Nobody always runs after the same neighbour.
            random.shuffle(order)
            for peer in order:
                try:
                    results[name][peer].append(
                        measure(args.launcher, command, repeat, tried[peer]))
                except RuntimeError as error:
                    broken[name, peer] = str(error)
                    results[name][peer] = []
            print(f'round {rep + 1} of {args.reps}: {name}', file=sys.stderr)
    return results, broken


def ratios(by_peer, peer, what, middle, base_name=BASE):
    """A peer's median (or what `middle` is) over the base's; quartiles."""
    mine = [m[what] for m in by_peer[peer]]
    base = [m[what] for m in by_peer[base_name]]
    if not mine or not base:
        return None
    unit = middle(base)
    if not unit:
        return None
    mine = [value / unit for value in mine]
    if len(mine) < 4:
        return middle(mine), min(mine), max(mine)
    quarters = statistics.quantiles(mine, n=4)
    return middle(mine), quarters[0], quarters[2]


def geometric_mean(values):
    return math.exp(sum(math.log(v) for v in values) / len(values))


def table(results, tried, what, title, middle):
    """Peers are rows; a cell is the median and half the quartiles' span."""
    width = max(len(p) for p in tried) + 2
    print(f'\n{title}, ratio to plain glibc ({middle.__name__}); '
          'mean is geometric\n')
    print(f'{"":{width}}{"mean":>6}' + ''.join(f'{n:>11}' for n in results))
    for peer in tried:
        cells, middles = '', []
        for by_peer in results.values():
            ratio = ratios(by_peer, peer, what, middle)
            if ratio is None:
                cells += f'{"-":>11}'
                continue
            middles.append(ratio[0])
            cells += f'{ratio[0]:6.2f}±{(ratio[2] - ratio[1]) / 2:4.2f}'
        mean = f'{geometric_mean(middles):6.2f}' if middles else f'{"-":>6}'
        print(f'{peer:{width}}{mean}{cells}')


def held_table(results, tried):
    """What the workloads themselves told, in MiB."""
    for name, by_peer in results.items():
        labels = [label for m in by_peer[BASE][:1] for label in m['held']]
        if len(labels) < 2:
            continue
        print(f'\n{name}: MiB held (resident + hugetlb) at '
              + ', '.join(labels))
        for peer in tried:
            cells = []
            for label in labels:
                values = [m['held'][label] for m in by_peer[peer]
                          if label in m['held']]
                cells.append(f'{statistics.median(values) / 1024:9.1f}'
                             if values else f'{"-":>9}')
            print(f'  {peer:16}' + ''.join(cells))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--workloads',
                        help='the bench_workloads program')
    parser.add_argument('--launcher',
                        help='the launch program')
    parser.add_argument('--preload',
                        help='libhugetlbfs2-preload.so')
    parser.add_argument('--reps', type=int, default=5)
    parser.add_argument('--scale', type=int, default=100)
    parser.add_argument('--pool', type=int, metavar='PAGES',
                        help='set the pool for the time of the run (root)')
    parser.add_argument('--only', default='', help='workloads, by comma')
    parser.add_argument('--peers', default='', help='allocators, by comma')
    parser.add_argument('--scratch', default='/tmp')
    parser.add_argument('--least', action='store_true',
                        help='compare least times, not medians: for a machine '
                        'that is busy')
    parser.add_argument('--json', help='all measurements, to this file')
    parser.add_argument('--show', nargs='+', metavar='FILE',
                        help='only the tables of such files, taken together')
    return parser.parse_args()


def tables(args, results, tried):
    middle = min if args.least else statistics.median
    table(results, tried, 'cpu', 'CPU time', middle)
    table(results, tried, 'wall', 'Wall time', middle)
    table(results, tried, 'peak', 'Peak memory', statistics.median)
    held_table(results, tried)


def show(args):
    results = {}
    for path in args.show:
        with open(path, encoding='ascii') as f:
            for name, by_peer in json.load(f).items():
                for peer, runs in by_peer.items():
                    results.setdefault(name, {}).setdefault(peer, [])
                    results[name][peer] += runs
    tried = {p: None for by_peer in results.values() for p in by_peer}
    for by_peer in results.values():
        for peer in tried:
            by_peer.setdefault(peer, [])
    tables(args, results, tried)


def prepare(args):
    for name in ('launcher', 'workloads', 'preload'):
        path = getattr(args, name)
        if path is None or not os.path.exists(path):
            sys.exit(f'--{name}: {path} is not there: build it first')
        setattr(args, name, os.path.abspath(path))


def main():
    args = arguments()
    if args.show:
        return show(args)
    prepare(args)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = commands(args, [n for n in args.only.split(',') if n])
    tried = peers(args.preload)
    if args.peers:
        wanted = [BASE] + args.peers.split(',')
        tried = {p: env for p, env in tried.items() if p in wanted}
    with Pool(args.pool):
        print(f'{free_pool_pages()} huge pages free, {os.cpu_count()} CPUs, '
              f'load {os.getloadavg()[0]:.1f}, scale {args.scale}, '
              f'{args.reps} rounds')
        results, broken = run_all(args, work, tried)
    if args.json:
        with open(args.json, 'w', encoding='ascii') as f:
            json.dump(results, f)
    tables(args, results, tried)
    for (name, peer), why in broken.items():
        print(f'\n{peer} did not finish {name}: {why}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
