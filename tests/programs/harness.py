# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Runs a real program plainly and under `hugectl --heap --report=json`, and
compares: output, exit status, memory. A test describes its program as
a Workload and calls main(workload).

The modes, each with the machine set up for it (machine.py):
  pool     more free pages in the pool than the program can use
  thp      empty pool, THP on madvise
  pool1, pool7        so many pages
  drained  another process takes every page of the pool it can get, and lets go
  shrunk   nr_hugepages goes to 0 while the program runs
  cgroup   a hugetlb cgroup with less than half of what the heap needs
  nothp    empty pool, THP never

Environment (set by meson): HL_HUGECTL the tool, HL_HUGEPAGE_TESTS=1 if the
machine may be changed. HL_PROGRAMS_FULL=1: full sizes. HL_FIGURES=FILE: append
the figures, one JSON object a line. HL_MODES=pool,thp: only these.
"""
import argparse
import contextlib
import glob
import json
import mmap
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import machine
import smaps
from machine import skip

MB = 1 << 20
FULL = os.environ.get('HL_PROGRAMS_FULL') == '1'
HOSTILE = ('pool1', 'pool7', 'drained', 'shrunk', 'cgroup', 'nothp')
HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable
MAP_HUGETLB = 0x40000

# What every process may hold beside its heap: records, bss, one unit.
ALLOWANCE = 4 * MB

# A heap of so many bytes that lacks huge pages has to name the limit.
NAMED_FROM = 32 * MB


def hugectl():
    path = os.environ.get('HL_HUGECTL')
    if not path:
        build = os.environ.get('HL_BUILD', 'build')
        path = os.path.join(build, 'tools', 'hugectl')
    if not os.path.exists(path):
        print(f'no hugectl at {path}: set HL_HUGECTL')
        sys.exit(1)
    return path


class Workload:
    """
    argv, env, stdin: the program. needs: commands it cannot do without.
    strict: all anonymous memory of the program is malloc's. heap_floor: bytes that the largest
    heap must reach (else the test would prove nothing).
    prepare(dir): makes input, once. result(dir): output that is not on stdout,
    as text. drive(process, dir): talks to a server, returns text.
    normalise(text): takes times and ids out.
    """
    env = {}
    stdin = None
    needs = ()
    strict = True
    heap_floor = 64 * MB
    modes = ('pool', 'thp')
    timeout = 300
    # Takes pages of the pool whatever the heap has learned (large blocks begin lazily).
    wants_pool = True
    # Forks and goes on writing: the kernel splits a transparent huge page at the copy-on-write.
    # What two processes still share in part is left out of the coverage.
    forks = False
    # The share by which huge pages may exceed the plain run's resident heap.
    excess = 1.15

    def __init__(self, name, argv, **more):
        self.name = name
        self.argv = argv
        for key, value in more.items():
            assert hasattr(self, key), key
            setattr(self, key, value)

    def prepare(self, where):
        pass

    def reset(self, where):
        """Before each run."""

    drive = None

    def result(self, where):
        return ''

    def normalise(self, text):
        return text


class Result:
    """What one run showed."""
    status = None
    text = ''
    errors = ''
    seconds = cpu_seconds = 0.0
    watcher = None
    reports = ()

    @property
    def largest(self):
        """The process with the largest heap."""
        return max(self.watcher.processes.values(),
                   key=lambda p: p.at_heap_peak.heap)

    @property
    def report(self):
        """Its report, or that of the largest heap."""
        return max(self.reports, key=peak_bytes, default=None)


def peak_bytes(report):
    return (report.get('heap') or {}).get('peak_bytes', 0)


def processes(document):
    """What a JSON report says of each image of each process."""
    found = []
    for one in [document, *document.get('processes', ())]:
        found += [one, *one.get('images', ())]
    return found


def shell(lines, argv):
    """argv after some lines of sh in the same process (limits, cgroup)."""
    if not lines:
        return list(argv)
    return ['/bin/sh', '-c', '\n'.join(lines) + '\nexec "$@"', 'sh', *argv]


def run(work, where, ours, m=None, before=(), during=None, every=0.03,
        options=()):
    """Runs the workload once. during(process, watcher): called in a thread while it runs."""
    out = Result()
    reports = os.path.join(where, 'report')
    shutil.rmtree(reports, ignore_errors=True)
    os.mkdir(reports)
    work.reset(where)
    argv = list(work.argv)
    if ours:
        argv = [hugectl(), '--heap', *options,
                f'--report=json:{reports}/%p.json', '--', *argv]
    argv = shell(before, argv)
    env = dict(os.environ, LC_ALL='C', TMPDIR=where, **work.env)
    env.pop('LD_PRELOAD', None)
    for key in [k for k in env if k.startswith('HUGETLB_')]:
        if key not in work.env:
            del env[key]
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    with open(f'{where}/stdout', 'w+b') as stdout, \
            open(f'{where}/stderr', 'w+b') as stderr, \
            open(work.stdin or os.devnull, 'rb') as stdin:
        process = subprocess.Popen(argv, stdin=stdin, stdout=stdout,
                                   stderr=stderr, cwd=where, env=env,
                                   start_new_session=True)
        if m:
            m.tell('group', process.pid)
        out.watcher = smaps.Watcher(process.pid, m.pool if m else None, every,
                                    work.forks)
        out.watcher.start()
        helper = None
        if during:
            helper = threading.Thread(target=during, args=(process, out.watcher),
                                      daemon=True)
            helper.start()
        text = ''
        try:
            if work.drive:
                text = work.drive(process, where)
            out.status = process.wait(work.timeout)
        except subprocess.TimeoutExpired:
            out.status = 'timeout'
        finally:
            with contextlib.suppress(ProcessLookupError):
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            out.watcher.stop()
            if helper:
                helper.join()
            if m:
                m.tell('done', process.pid)
        stdout.seek(0)
        stderr.seek(0)
        out.text = text + stdout.read().decode(errors='replace')
        out.errors = stderr.read().decode(errors='replace')
    out.seconds = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    out.cpu_seconds = (after.ru_utime + after.ru_stime - usage.ru_utime -
                       usage.ru_stime)
    out.text += work.result(where)
    out.reports = []
    for path in sorted(glob.glob(f'{reports}/*.json')):
        with open(path, encoding='utf-8') as f:
            out.reports += processes(json.load(f))
    return out


class Drainer:
    """
    Another process that takes every free page of the pool before the program starts,
    and keeps the pool empty until waver() is called; then it takes and lets go by turns.
    """

    def __init__(self, pool, on_seconds=0.3, off_seconds=0.05):
        self.pool = pool
        full, told_full = os.pipe()
        told_waver, self._waver = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.dup2(told_full, 3)
            os.dup2(told_waver, 4)
            # Among them the pipe by which the guard learns that the test has ended.
            os.closerange(5, 256)
            self._drain(3, 4, on_seconds, off_seconds)
        os.close(told_full)
        os.close(told_waver)
        os.read(full, 1)
        os.close(full)

    def _drain(self, told_full, told_waver, on_seconds, off_seconds):
        held = []
        until = None
        while True:
            try:
                # The mapping reserves, so the touch cannot fail.
                m = mmap.mmap(-1, self.pool.page, flags=mmap.MAP_PRIVATE |
                              mmap.MAP_ANONYMOUS | MAP_HUGETLB)
                m[0] = 1
                held.append(m)
                continue
            except OSError:
                if until is None:
                    os.write(told_full, b'.')
                    until = float('inf')
            if until == float('inf'):
                if select.select([told_waver], [], [], 0.001)[0]:
                    until = 0
            else:
                time.sleep(0.001)
            if time.monotonic() > until:
                held.clear()
                time.sleep(off_seconds)
                until = time.monotonic() + on_seconds

    def waver(self):
        os.write(self._waver, b'.')

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._waver)


class Checks:
    """Collects what failed, so that one run shows everything."""

    def __init__(self):
        self.failed = []

    def that(self, true, text):
        if not true:
            self.failed.append(text)
            print(f'  FAILED: {text}')
        return true


def first_difference(a, b):
    for number, (x, y) in enumerate(zip(a.split('\n'), b.split('\n')), 1):
        if x != y:
            return f'line {number}: {x[:200]!r} and {y[:200]!r}'
    return f'{len(a)} and {len(b)} bytes'


def same(check, work, mode, plain, ours):
    """Output and exit status are those of the plain run."""
    check.that(ours.status == plain.status,
               f'{mode}: exit status {ours.status}, plainly {plain.status}; '
               f'stderr ends {ours.errors[-400:]!r}')
    for what, a, b in (('stdout', plain.text, ours.text),
                       ('stderr', plain.errors, ours.errors)):
        a, b = work.normalise(a), work.normalise(b)
        check.that(a == b, f'{mode}: {what} differs: {first_difference(a, b)}')


def plain_heap(work, plain, ours):
    """Resident bytes of the plain run's malloc heaps at their peak."""
    peak = plain.watcher.anon_peak()
    return peak if work.strict else peak - ours.watcher.peak['other']


def bound_on(work, plain, ours):
    """How much memory on huge pages the plain run's heap allows."""
    holders = sum(1 for p in ours.watcher.processes.values()
                  if p.most_huge) or 1
    return work.excess * plain_heap(work, plain, ours) + ALLOWANCE * holders


def checked_bound(work, where, m, plain, ours):
    """Sampling can miss the plain run's peak, never exceed it: before ours is blamed it is
    looked for again."""
    bound = bound_on(work, plain, ours)
    for _ in range(2):
        if ours.watcher.most_huge <= bound:
            break
        again = plain_run(work, where, m)
        bound = max(bound, bound_on(work, again, ours))
    return bound


def memory(check, work, mode, plain, ours, bound):
    """Coverage and the price of it, from smaps. Returns the figures."""
    top = ours.largest.at_heap_peak
    heap = top.heap
    whole = heap - top['mixed']
    coverage = top.huge / whole if whole else 0.0
    if work.strict and heap:
        # The flags are not believed: what is not huge is short of coverage.
        rest = max(0, top['other'] - ALLOWANCE)
        coverage = top.huge / (whole + rest)
    if mode in ('pool', 'thp') and work.heap_floor:
        check.that(heap >= work.heap_floor,
                   f'{mode}: largest heap {heap >> 20} MiB, wanted '
                   f'{work.heap_floor >> 20} MiB')
    if mode in ('pool', 'thp') and heap >= 64 * MB:
        check.that(coverage >= 0.95, f'{mode}: coverage {coverage:.3f} at the '
                   f'peak of {ours.largest.name}: {dict(top)}')
    check.that(ours.watcher.most_huge <= bound,
               f'{mode}: {ours.watcher.most_huge >> 20} MiB of huge pages, '
               f'bound {int(bound) >> 20} MiB (plain heap '
               f'{plain_heap(work, plain, ours) >> 20} MiB)')
    return {'heap_mib': heap >> 20, 'coverage': round(coverage, 3),
            'huge_mib': ours.watcher.most_huge >> 20,
            'hugetlb_mib': top['hugetlb'] >> 20, 'thp_mib': top['thp'] >> 20,
            'mixed_mib': top['mixed'] >> 20,
            'anon_mib': ours.watcher.peak.anon >> 20,
            'pool_pages': ours.watcher.most_pool}


def fallbacks(report):
    """{limit: units} of a report, those above zero."""
    return {f['limit']: f['units'] for f in (report or {}).get('fallbacks', ())}


# The limit that the report has to name.
EXPECTED = {'pool1': 'pool', 'pool7': 'pool', 'drained': 'pool',
            'shrunk': 'pool', 'cgroup': 'cgroup', 'nothp': 'thp'}


def reported(check, work, mode, ours):
    """The report exists, agrees with smaps, and names the limit."""
    if not check.that(ours.report is not None, f'{mode}: no report'):
        return
    name = EXPECTED.get(mode)
    if name != 'thp' and not work.wants_pool:
        name = None
    heap = ours.largest.at_heap_peak.heap
    if name and heap >= NAMED_FROM:
        # Those who find a pool that others drain may be other processes than the largest.
        of = ours.reports if mode == 'drained' else [ours.report]
        named = {limit for report in of for limit in fallbacks(report)}
        check.that(name in named,
                   f'{mode}: the report names {sorted(named)}, not "{name}"')
    if mode == 'pool' or (mode == 'thp' and not work.forks):
        if heap < 64 * MB:
            return
        says = ours.report.get('coverage') or 0
        check.that(says >= 0.94, f'{mode}: the report says coverage {says}')


@contextlib.contextmanager
def prepared(m, mode, work, need_pages):
    """Sets the machine up; gives (lines of sh, during)."""
    before, during, drainer = [], None, None
    m.thp('never' if mode == 'nothp' else 'madvise')
    pages = {'pool': need_pages, 'thp': 0, 'nothp': 0, 'pool1': 1, 'pool7': 7,
             'drained': need_pages, 'shrunk': need_pages,
             'cgroup': need_pages}[mode]
    if not m.pool.resize(pages):
        raise machine_short(pages, m.pool.total)
    if mode == 'cgroup':
        group = m.cgroup(need_pages // 4 * m.pool.page)
        before.append(f'echo $$ > {group.procs}')
    elif mode == 'drained':
        drainer = Drainer(m.pool)
        m.tell('group', drainer.pid)

        def during(process, watcher):
            # Only when a heap has had to do without are there pages again.
            while process.poll() is None:
                if watcher.largest_heap() >= NAMED_FROM:
                    drainer.waver()
                    return
                time.sleep(0.01)
    elif mode == 'shrunk':
        def during(process, watcher):
            # From the middle of the heap's growth on, nothing is left.
            end = time.monotonic() + work.timeout
            while process.poll() is None and time.monotonic() < end:
                if m.pool.used >= need_pages // 4:
                    m.pool.resize(0)
                    return
                time.sleep(0.002)
    try:
        yield before, during
    finally:
        if drainer:
            drainer.stop()
            m.tell('done', drainer.pid)
        m.pool.resize(0)


class machine_short(Exception):
    """The kernel found fewer huge pages than the mode needs."""

    def __init__(self, wanted, got):
        super().__init__(f'{wanted} huge pages wanted, the kernel found {got}')


def figures(work, mode, result, more):
    line = {'program': work.name, 'mode': mode,
            'seconds': round(result.seconds, 2),
            'cpu_seconds': round(result.cpu_seconds, 2), **more}
    print('  ' + ' '.join(f'{k}={v}' for k, v in line.items()))
    sys.stdout.flush()
    if os.environ.get('HL_FIGURES'):
        with open(os.environ['HL_FIGURES'], 'a', encoding='utf-8') as f:
            f.write(json.dumps(line) + '\n')


def plain_run(work, where, m=None):
    """The run that all others are compared with."""
    plain = run(work, where, ours=False, m=m)
    figures(work, 'plain', plain, {
        'anon_mib': plain.watcher.anon_peak() >> 20,
        'processes': len(plain.watcher.processes),
        'samples': plain.watcher.samples})
    if plain.status != 0:
        print(f'the plain run failed: status {plain.status}\n'
              f'{plain.text[-1000:]}\n{plain.errors[-1000:]}')
        sys.exit(1)
    return plain


def main(work):
    """The test: plain run, then each mode."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--mode', action='append')
    parser.add_argument('--hostile', action='store_true',
                        help='the modes in which huge pages are short')
    parser.add_argument('--plain', action='store_true', help='only the plain run')
    args = parser.parse_args()
    for program in work.needs:
        if not shutil.which(program):
            skip(f'{program} is not installed')
    modes = args.mode or (HOSTILE if args.hostile else work.modes)
    if os.environ.get('HL_MODES'):
        wanted = os.environ['HL_MODES'].split(',')
        modes = [mode for mode in modes if mode in wanted]
    check = Checks()
    print(work.name)
    with tempfile.TemporaryDirectory(prefix=f'hl-{work.name}-') as where:
        work.prepare(where)
        if args.plain:
            plain_run(work, where)
            return
        reason = machine.may_change()
        if reason:
            anywhere(check, work, where)
            finish(check, work)
            skip(f'ran without changing the machine: {reason}')
        with machine.Machine() as m:
            m.thp('madvise')
            m.pool.resize(0)
            plain = plain_run(work, where, m)
            need = int(plain.watcher.peak.anon * 1.25 / m.pool.page) + 48
            short = []
            for mode in modes:
                try:
                    one_mode(check, work, where, m, mode, plain, need)
                except machine_short as e:
                    short.append(f'{mode}: {e}')
        finish(check, work)
        if short:
            skip('; '.join(short))


def one_mode(check, work, where, m, mode, plain, need):
    with prepared(m, mode, work, need) as (before, during):
        counters = m.pool.counters()
        ours = run(work, where, ours=True, m=m, before=before, during=during)
        bound = checked_bound(work, where, m, plain, ours)
        more = memory(check, work, mode, plain, ours, bound)
        more['fallbacks'] = fallbacks(ours.report)
        figures(work, mode, ours, more)
        same(check, work, mode, plain, ours)
        reported(check, work, mode, ours)
        if mode not in ('shrunk', 'drained'):
            settled(check, mode, m, counters)


def settled(check, mode, m, counters):
    """All pages are back once the program has ended."""
    for _ in range(50):
        now = m.pool.counters()
        if now['nr_hugepages'] - now['free_hugepages'] <= (
                counters['nr_hugepages'] - counters['free_hugepages']):
            return
        time.sleep(0.02)
    check.that(False, f'{mode}: pool {now}, before {counters}')


def anywhere(check, work, where):
    """Without root: as the machine is, the program must do the same."""
    plain = plain_run(work, where)
    ours = run(work, where, ours=True)
    figures(work, 'as is', ours, {'coverage': None})
    same(check, work, 'as is', plain, ours)
    check.that(ours.report is not None, 'as is: no report')


def finish(check, work):
    if check.failed:
        print(f'{work.name}: {len(check.failed)} failed')
        sys.exit(1)
