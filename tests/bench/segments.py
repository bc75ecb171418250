#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What text on huge pages costs at start, and gives or takes afterwards: node and
cc1plus, started and ended at once, and cc1plus with a large file to compile; plain
and in each way that text moves, interleaved. Ratios of CPU and wall time to plain,
median and spread. See README.md.

  segments.py --launcher BINARY --preload OBJECT --hugectl TOOL [options]
"""
import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import run

SKIP = 77
TMPFS = '/dev/shm'
PLAIN, FIRST, LATER, PRIVATE = ('plain', 'first start', 'later start',
                                'private copy')
PEERS = (PLAIN, 'plain again', 'preloaded', FIRST, LATER, PRIVATE)
# Much code of the compiler, little of ours: each line is another instance.
HEAD = '''#include <algorithm>
#include <map>
#include <string>
#include <vector>
template <int N> struct Kind { int a[N + 1]; std::string name; };
template <int N> int work(int n)
{
	std::map<std::string, std::vector<Kind<N>>> m;
	std::vector<Kind<N>> &v = m[std::to_string(n)];
	v.resize(n);
	std::sort(v.begin(), v.end(), [](const Kind<N> &x, const Kind<N> &y) {
		return x.name < y.name;
	});
	return (int)v.size() + (int)m.size();
}
'''


class Shadows:
    """Directories for shadows on tmpfs, which go with us."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix='hugetlb-bench-', dir=TMPFS)
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.top, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.top, name)

    def fresh(self):
        self.count += 1
        return self.path(f'first-{self.count}')


def variables(args, peer, share_path):
    """What a peer is: its environment."""
    if peer in (PLAIN, 'plain again'):
        return {}
    env = {'LD_PRELOAD': args.preload, 'HUGETLB_SHARE_PATH': share_path}
    if peer != 'preloaded':
        env['HUGETLB_ELFMAP'] = 'R'
    if peer == PRIVATE:
        env['HUGETLB_SHARE'] = '0'
    return env


def measure(args, shadows, name, peer):
    """Times of `repeat` runs, summed; the first start is first each time."""
    command, repeat = args.work[name]
    cpu = wall = 0.0
    for _ in range(repeat):
        where = shadows.fresh() if peer == FIRST else shadows.path('kept')
        figures = run.run_once(args.launcher, command,
                               variables(args, peer, where))
        cpu += figures[0]
        wall += figures[1]
        if peer == FIRST:
            shutil.rmtree(where, ignore_errors=True)
    return {'cpu': cpu / repeat, 'wall': wall / repeat}


def compile_file(scratch, instances):
    """Preprocessed, so that cc1plus needs no more than that; or None."""
    source, output = (os.path.join(scratch, n) for n in ('large.cc', 'large.ii'))
    with open(source, 'w', encoding='ascii') as f:
        f.write(HEAD)
        for i in range(instances):
            f.write(f'int work_{i}(int n) {{ return work<{i}>(n); }}\n')
    if subprocess.run(['g++', '-E', source, '-o', output], check=False).returncode:
        return None
    return output


def find_cc1plus():
    """The one of the g++ in the path, or None."""
    if shutil.which('g++') is None:
        return None
    path = subprocess.check_output(['g++', '-print-prog-name=cc1plus'],
                                   text=True).strip()
    return path if os.path.isabs(path) else None


def workloads(args, scratch):
    """Workload -> (command, runs of a measurement)."""
    found = {}
    node = shutil.which('node') or shutil.which('nodejs')
    if node:
        found['node -e 0'] = ([node, '-e', '0'], 3)
    cc1plus = find_cc1plus()
    if cc1plus:
        found['cc1plus --version'] = ([cc1plus, '--version'], 8)
        text = compile_file(scratch, args.instances)
        if text:
            found['compile'] = ([cc1plus, '-quiet', '-fpreprocessed', '-O2',
                                 text, '-o', '/dev/null'], 1)
    return {n: w for n, w in found.items()
            if not args.only or n.split()[0] in args.only.split(',')}


def say_where(args, shadows, scratch):
    """By which way text moves here: not each machine has each."""
    report = os.path.join(scratch, 'report.json')
    for name, (command, _) in args.work.items():
        for title, more in (('shared', {}), (PRIVATE, {'HUGETLB_SHARE': '0'})):
            env = dict(run.environment(), **more,
                       HUGETLB_SHARE_PATH=shadows.path('kept'))
            subprocess.run([args.hugectl, '-q', '--text', f'--report=json:{report}',
                            '--', *command], env=env, check=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            with open(report, encoding='utf-8') as f:
                ways = json.load(f)['segments']['text_huge_bytes']
            moved = ', '.join(f'{n >> 20} MiB {way}' for way, n in ways.items() if n)
            print(f'{name}: {title}: {moved or "nothing moved"}')


def run_all(args, shadows):
    results = {w: {p: [] for p in PEERS} for w in args.work}
    for rep in range(args.reps):
        for name in args.work:
            order = list(PEERS)
            # Nobody always runs after the same neighbour.
            random.shuffle(order)
            for peer in order:
                results[name][peer].append(measure(args, shadows, name, peer))
            print(f'round {rep + 1} of {args.reps}: {name}', file=sys.stderr)
    return results


def table(results, what, title, middle):
    print(f'\n{title}, ratio to plain ({middle.__name__}), half the quartiles\' '
          'span; of plain in ms\n')
    print(f'{"":16}' + ''.join(f'{n:>20}' for n in results))
    for peer in PEERS:
        cells = ''
        for by_peer in results.values():
            ratio, low, high = run.ratios(by_peer, peer, what, middle, PLAIN)
            cells += f'{ratio:14.3f}±{(high - low) / 2:5.3f}'
        print(f'{peer:16}{cells}')
    cells = ''.join(f'{middle(m[what] for m in by_peer[PLAIN]) * 1e3:20.1f}'
                    for by_peer in results.values())
    print(f'{"plain, ms":16}{cells}')


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n', maxsplit=1)[0])
    parser.add_argument('--launcher', required=True, help='the launch program')
    parser.add_argument('--preload', required=True, help='libhugetlbfs2-preload.so')
    parser.add_argument('--hugectl', required=True, help='hugectl of the same build')
    parser.add_argument('--reps', type=int, default=9)
    parser.add_argument('--instances', type=int, default=8,
                        help='of templates in the file that is compiled')
    parser.add_argument('--only', default='', help='node, cc1plus, compile, by comma')
    parser.add_argument('--least', action='store_true',
                        help='compare least times, not medians: for a machine '
                        'that is busy')
    parser.add_argument('--json', help='all measurements, to this file')
    args = parser.parse_args()
    for name in ('launcher', 'preload', 'hugectl'):
        path = os.path.abspath(getattr(args, name))
        if not os.path.exists(path):
            sys.exit(f'--{name}: {path} is not there: build it first')
        setattr(args, name, path)
    return args


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not os.access(TMPFS, os.W_OK):
        print(f'{TMPFS}: shadows cannot be made here')
        return SKIP
    with tempfile.TemporaryDirectory(prefix='hugetlb-bench-') as scratch, \
            Shadows() as shadows:
        args.work = workloads(args, scratch)
        if not args.work:
            print('neither node nor cc1plus is installed')
            return SKIP
        print(f'{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, '
              f'{args.reps} rounds')
        say_where(args, shadows, scratch)
        results = run_all(args, shadows)
        print(f'load at the end {os.getloadavg()[0]:.1f}')
    if args.json:
        with open(args.json, 'w', encoding='ascii') as f:
            json.dump(results, f)
    middle = min if args.least else statistics.median
    table(results, 'cpu', 'CPU time', middle)
    table(results, 'wall', 'Wall time', middle)
    return 0


sys.exit(main())
