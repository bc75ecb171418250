#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The brk area on huge pages, on request: sbrk in small and large steps and libc's
malloc, by smaps and by the report; it stays contiguous, keeps its contents,
shrinks, and ends at its limit as in a plain run.

HL_CC a compiler.
"""
import os
import shutil
import subprocess
import tempfile
import time
import unittest

import ctl
import segment_runs as s

HERE = os.path.dirname(os.path.abspath(__file__))
HUGE = s.HUGE
MIB = 1 << 20
MODES = ('malloc', 'threads', 'sbrk', 'large', 'shrink', 'limit')


def setUpModule():
    global WHERE, PROGRAM, LIBRARY
    WHERE = tempfile.mkdtemp()
    cc = os.environ.get('HL_CC', 'cc').split()
    PROGRAM = f'{WHERE}/brk'
    subprocess.run([*cc, '-O1', f'-I{HERE}/../../include', f'{HERE}/brk_program.c', '-o',
                    PROGRAM, '-pthread'], check=True)


def tearDownModule():
    shutil.rmtree(WHERE)


class Run:
    """Until the program waits; then what smaps says, the end and the report."""

    def __init__(self, mode, *options, prefix=(), **env):
        report = f'{WHERE}/report.json' if options else None
        command = []
        if options:
            command = [s.hugectl(), '-q', *options, f'--report=json:{report}', '--']
        with subprocess.Popen([*command, *prefix, PROGRAM, mode], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=s.environment(**env)) as process:
            self.out = process.stdout.readline()
            while self.out and not self.out.rstrip().endswith(f'done {mode}'):
                self.out += process.stdout.readline()
                if process.poll() is not None:
                    break
            self.maps = []
            if process.poll() is None:
                self.maps = [m for m in s.maps(self.program(process.pid, bool(report)))
                             if m.path == '[heap]']
            out, self.err = process.communicate('')
            self.out += out
            self.status = process.returncode
        if report:
            with open(report, encoding='utf-8') as f:
                self.segments = s.json.load(f)['segments']

    @staticmethod
    def program(pid, below):
        for _ in range(500 if below else 0):
            with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
                children = f.read().split()
            if children:
                return int(children[0])
            time.sleep(0.01)
        return pid

    @property
    def bytes(self):
        return self.maps[-1].end - self.maps[0].start

    @property
    def huge(self):
        return sum(m.huge for m in self.maps)


class Brk(unittest.TestCase):
    def check(self, run, mode):
        self.assertEqual((run.status, run.err), (0, ''), run.out)
        self.assertTrue(run.out.endswith(f'done {mode}\n'), run.out)

    def covered(self, run, left):
        """All whole huge pages but the last few; smaps and report agree."""
        self.assertGreaterEqual(run.huge, run.bytes - left * HUGE)
        self.assertEqual(run.segments['brk_huge_bytes'], run.huge)
        self.assertLessEqual(abs(run.segments['brk_bytes'] - run.bytes), 64 << 10)
        # Mappings are not left behind by each step.
        self.assertLessEqual(len(run.maps), 64)

    def test_all_ways_to_grow(self):
        for mode in MODES:
            with self.subTest(mode):
                self.check(Run(mode), mode)
                run = Run(mode, '--brk')
                self.check(run, mode)
                # Not whole at both ends, and the step in hand.
                self.covered(run, 6 if mode == 'shrink' else 4)

    def test_beside_bss(self):
        """Without randomisation the area may begin in the mapping of bss."""
        run = Run('sbrk', '--text', '--data', '--brk', prefix=('setarch', '-R'))
        self.check(run, 'sbrk')
        self.assertGreaterEqual(run.segments['brk_huge_bytes'], 40 * MIB)

    def test_only_on_request(self):
        run = Run('large', '--text', '--data')
        self.check(run, 'large')
        with open('/sys/kernel/mm/transparent_hugepage/enabled', encoding='ascii') as f:
            if '[always]' not in f.read():
                self.assertEqual(run.huge, 0)
        self.assertEqual(run.segments['brk_bytes'], 0)

    def test_own_heap_and_brk(self):
        """malloc is ours then; what the program takes by sbrk is not."""
        run = Run('sbrk', '--heap=thp', '--brk')
        self.check(run, 'sbrk')
        self.covered(run, 4)

    def test_the_program_asks(self):
        self.check(Run('asks'), 'asks')
        run = Run('asks', '--shm')
        self.check(run, 'asks')
        self.covered(run, 4)

    def test_the_variable(self):
        run = Run('sbrk', '--report', HUGETLB_ELFMAP='b')
        self.check(run, 'sbrk')
        self.covered(run, 4)

    def test_where_nothing_is_to_be_had(self):
        """Huge pages forbidden to the process: it runs, and the report says 0."""
        done = subprocess.run(
            [s.hugectl(), '-q', '--brk', f'--report=json:{WHERE}/none.json', '--',
             '/usr/bin/python3', '-c',
             'import ctypes, os, sys; assert ctypes.CDLL(None).prctl(41, 1, 0, 0, 0) == 0; '
             'os.execv(sys.argv[1], sys.argv[1:])', PROGRAM, 'sbrk'],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env=s.environment())
        self.assertEqual((done.returncode, done.stdout), (0, 'done sbrk\n'), done.stderr)
        with open(f'{WHERE}/none.json', encoding='utf-8') as f:
            found = s.json.load(f)['segments']
        self.assertGreaterEqual(found['brk_bytes'], 48 * MIB)
        self.assertEqual(found['brk_huge_bytes'], 0)


if __name__ == '__main__':
    ctl.main()
