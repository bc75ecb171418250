#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugestat and tlbmiss_cost: options. Bad input of every option gives one clear line and
exit status 2; columns, headings and bytes; output that cannot be written.

Usage: stat_options.py TLBMISS_COST SYSROOTS
"""
import json
import os
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree as xml

import ctl
import stat_common
from stat_common import hugestat

TLBMISS_COST, SYSROOTS = sys.argv.pop(1), sys.argv.pop(1)
ROOT = ['--sysroot', os.path.join(SYSROOTS, 'many-mounts')]

# arguments: what the line must have
BAD_STAT = {
    ('--wrong',): '--wrong',
    ('-x',): 'x',
    ('12', '13'): '13',
    ('word',): '"word"',
    ('0',): '"0"',
    ('-1',): '1',
    ('99999999999',): '99999999999',
    ('12x',): '12x',
    ('',): '""',
    ('-o',): 'o',
    ('-o', 'size,wrong'): '"wrong"',
    ('-o', ''): '""',
    ('-o', '+'): '""',
    ('--output', 'size,,pid'): '""',
    ('--output=size,'): '""',
    ('--json=x',): '--json',
    ('--bytes=1',): '--bytes',
    ('--noheadings=1',): '--noheadings',
    ('--watch',): '--watch',
    ('--watch', '0'): '"0"',
    ('--watch', '-1'): '"-1"',
    ('--watch', 'nan'): '"nan"',
    ('--watch', 'inf'): '"inf"',
    ('--watch', '1x'): '"1x"',
    ('--watch', '1e9'): '"1e9"',
    ('--watch', ''): '""',
    ('--metrics=1',): '--metrics',
    ('--metrics', '--json'): '--metrics',
    ('--metrics', '-o', 'pid'): '--metrics',
    ('--metrics', '--watch', '1'): '--metrics',
    ('--metrics', '1'): 'only one',
    ('--reap', '--metrics'): 'only one',
    ('--reap', '1'): 'only one',
    ('--reap', '--watch', '1'): '--watch',
    ('--reap', '-o', 'name'): '--output',
    ('--reap', '--yes', *ROOT): '--sysroot',
    ('--yes',): '--reap',
    ('--tlb',): '--tlb',
    ('--tlb', 'x'): '"x"',
    ('--tlb', '1', '2'): '2',
    ('--miss-cost', '30'): '--tlb',
    ('--miss-cost', '0', '--tlb', '1'): '"0"',
    ('--miss-cost', '-3', '--tlb', '1'): '"-3"',
    ('--sysroot',): '--sysroot',
    ('--sysroot', '/no/such/place'): '/no/such/place',
    ('--sysroot', '/etc/passwd'): '/etc/passwd',
    ('1', '-o', 'pid'): '--output',
}
BAD_COST = {
    ('--wrong',): '--wrong',
    ('operand',): 'operand',
    ('-m',): 'm',
    ('-m', '0'): '"0"',
    ('-m', '4K'): '"4K"',
    ('-m', 'x'): '"x"',
    ('-m', '-1M'): '"-1M"',
    ('--max', '32T'): '"32T"',
    ('--pages', ''): '""',
    ('--pages', '4K,'): '""',
    ('--pages', '3K'): '"3K"',
    ('--pages', 'huge'): '"huge"',
    ('--repeat', '0'): '"0"',
    ('--repeat', '102'): '"102"',
    ('--repeat', 'x'): '"x"',
    ('--plot=1',): '--plot',
    ('--json', '--plot'): '--plot',
    ('--svg',): '--svg',
}


class Options(unittest.TestCase):
    def check_table(self, tool, table):
        for argv, says in table.items():
            argv = (argv,) if isinstance(argv, str) else argv
            with self.subTest(argv=argv):
                done = subprocess.run([tool, *argv], stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, timeout=60,
                                      env=ctl.environment(), check=False)
                self.assertEqual((done.returncode, done.stdout), (2, ''), done)
                self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
                self.assertTrue(done.stderr.startswith(os.path.basename(tool) + ': '),
                                done.stderr)
                self.assertIn(says, done.stderr)

    def test_bad_input(self):
        self.check_table(stat_common.HUGESTAT, BAD_STAT)

    def test_bad_input_of_tlbmiss_cost(self):
        self.check_table(TLBMISS_COST, BAD_COST)

    def test_help_and_version(self):
        for tool in stat_common.HUGESTAT, TLBMISS_COST:
            for option in '--help', '-h':
                done = subprocess.run([tool, option], capture_output=True, text=True,
                                      check=True)
                self.assertLessEqual(done.stdout.count('\n'), 24)
                self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)
            done = subprocess.run([tool, '--version'], capture_output=True, text=True,
                                  check=True)
            self.assertRegex(done.stdout, r'^\w+ \(libhugetlbfs2\) \d+\.\d+\.\d+\n$')

    def test_help_has_the_columns(self):
        shown = hugestat('--help').stdout
        columns = shown[shown.index('Columns:') + 8:].split()
        keys = json.loads(hugestat('--json', *ROOT).stdout)['holders'][0]
        self.assertEqual([c.lower() for c in columns],
                         [re.sub('_bytes$', '', k) for k in keys])

    def test_columns(self):
        def lines(*argv):
            done = hugestat(*ROOT, *argv)
            self.assertEqual((done.returncode, done.stderr), (0, ''))
            return done.stdout.splitlines()

        self.assertEqual(lines('-o', 'Kind,RESERVED,name'),
                         ['KIND  RESERVED NAME', 'mount       8M /mnt/huge pages'])
        self.assertEqual(lines('--bytes', '--noheadings', '-o', 'reserved,pid'),
                         ['8388608 -'])
        self.assertEqual(lines('--noheadings', '-o', 'kind,kind'), ['mount'])
        self.assertEqual(lines('-o', '+cgroup')[0].split()[-2:], ['NAME', 'CGROUP'])
        # Without the choice: the columns that have something, and the sums.
        self.assertEqual(lines()[0].split(),
                         ['KIND', 'SIZE', 'HELD', 'RESERVED', 'STATE', 'NAME'])
        self.assertEqual(len(lines('--noheadings')), 1)

    def test_json_columns(self):
        done = hugestat('--json', *ROOT, '-o', 'kind,size,name')
        self.assertEqual(json.loads(done.stdout)['holders'], [
            {'kind': 'mount', 'size_bytes': 2 << 20, 'name': '/mnt/huge pages'}])

    def test_full_output(self):
        for argv in ([], ['--json'], ['--metrics'], ['--watch', '0.01'], ['--help'],
                     [str(os.getpid())]):
            with self.subTest(argv=argv), open('/dev/full', 'wb') as full:
                done = subprocess.run([stat_common.HUGESTAT, *argv], stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=60,
                                      check=False)
                self.assertEqual(done.returncode, 1, argv)
                self.assertIn('No space left', done.stderr)

    def test_gone_process(self):
        child = subprocess.Popen(['true'])
        child.wait()
        for argv in ([str(child.pid)], ['--tlb', str(child.pid)]):
            done = hugestat(*argv)
            self.assertEqual((done.returncode, done.stdout), (1, ''))
            self.assertEqual(done.stderr.count('\n'), 1)

    def test_tlb(self):
        """With counters or without: the kernel's own counts are there."""
        child = subprocess.Popen(
            [ctl.PYTHON, '-c', 'print(flush=True)\nwhile True: bytearray(1 << 24)'],
            stdout=subprocess.PIPE)
        child.stdout.readline()
        try:
            done = hugestat('--tlb', str(child.pid), '--json')
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
        if done.returncode == 1 and 'ermi' in done.stderr:
            self.skipTest('counting is not permitted here')
        self.assertEqual(done.returncode, 0, done)
        found = json.loads(done.stdout)
        self.assertGreater(found['page_faults'], 100)
        self.assertGreater(found['task_clock'], 10_000_000)
        self.assertGreaterEqual(found['interval_ms'], 1000)
        if found['counters']:
            self.assertGreater(found['dtlb_load_misses'], 0)
            self.assertEqual(done.stderr, '')
        else:
            self.assertIsNone(found['dtlb_load_misses'])
            self.assertIn('no TLB misses can be counted', done.stderr)


class Cost(ctl.Case):
    def run_cost(self, *argv):
        return subprocess.run([TLBMISS_COST, '-m', '1M', '--repeat', '2', *argv],
                              capture_output=True, text=True, timeout=120, check=False,
                              env=ctl.environment())

    def test_json(self):
        done = self.run_cost('--json')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        found = json.loads(done.stdout)
        base = found['kinds'][0]
        self.assertEqual(base['backing'], 'base')
        self.assertIsNone(base['missing'])
        sets = [s['set_bytes'] for s in base['sets']]
        self.assertEqual(sets, [1 << i for i in range(15, 21)
                                if 1 << i >= 4 * base['page_bytes']])
        for one in base['sets']:
            # No access takes less than a tenth of a nanosecond.
            self.assertGreater(one['median_ns'], 0.1)
        for kind in found['kinds']:
            self.assertEqual(kind['missing'] is None, bool(kind['sets']), kind)
        self.assertEqual(found['counters'] == '', found['no_counters'] is not None)

    def test_chosen_pages(self):
        base = os.sysconf('SC_PAGESIZE')
        for name in f'{base // 1024}K', str(base):
            done = self.run_cost('--json', '--pages', name)
            self.assertEqual([k['backing'] for k in json.loads(done.stdout)['kinds']],
                             ['base'])
        done = self.run_cost('--pages', '1T')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count('\n'), 1)

    def test_nothing_to_measure(self):
        """A line that says why, and the exit status."""
        size = '/sys/kernel/mm/transparent_hugepage/hpage_pmd_size'
        if not os.path.exists(size):
            self.skipTest('this kernel has no transparent huge pages')
        with open(size, encoding='ascii') as f:
            if int(f.read()) <= 1 << 20:
                self.skipTest('huge pages are no larger than 1M here')
        for form in [], ['--json'], ['--svg', self.path('none.svg')]:
            done = self.run_cost('--pages', 'THP', *form)
            self.assertEqual((done.returncode, done.stdout), (1, ''))
            self.assertRegex(done.stderr, r'^tlbmiss_cost: nothing was measured: THP: the '
                             r'largest set is smaller than a huge page \(\d+M\)\n$')
        self.assertFalse(os.path.exists(self.path('none.svg')))
        done = self.run_cost()
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertIn('THP: not measured: the largest set is smaller', done.stdout)

    def test_an_empty_pool(self):
        """A pool's size with nothing to give, if this machine has one."""
        directory = '/sys/kernel/mm/hugepages'
        for name in sorted(os.listdir(directory) if os.path.isdir(directory) else []):
            counts = []
            for count in 'nr_hugepages', 'nr_overcommit_hugepages':
                with open(f'{directory}/{name}/{count}', encoding='ascii') as f:
                    counts.append(int(f.read()))
            if any(counts):
                continue
            size = name[len('hugepages-'):-1].upper().removesuffix('B')
            done = self.run_cost('--pages', size, '-m', '256K')
            self.assertEqual((done.returncode, done.stdout), (1, ''))
            self.assertRegex(done.stderr, '^tlbmiss_cost: nothing was measured: [^\n]*'
                             'the pool has no free page[^\n]*\n$')

    def test_more_than_there_is(self):
        done = self.run_cost('-m', '16T')
        self.assertEqual((done.returncode, done.stdout), (2, ''))
        self.assertRegex(done.stderr, r'^tlbmiss_cost: --max: 16T for each of \d kinds of '
                         r'page is more than the [^\n]* free\n$')

    def test_closed_output(self):
        """Nothing that is opened takes its place."""
        for form in '', '--json':
            done = subprocess.run(
                ['/bin/sh', '-c', f'exec "$1" -m 256K --repeat 1 {form} >&-', 'sh',
                 TLBMISS_COST], capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual(
                (done.returncode, done.stderr),
                (1, 'tlbmiss_cost: standard output: Bad file descriptor\n'))

    def test_pictures(self):
        svg = self.path('x.svg')
        done = self.run_cost('--plot', '--svg', svg)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertIn('working set', done.stdout)
        self.assertIn('counters: ', done.stdout)
        base = f'{os.sysconf("SC_PAGESIZE") // 1024}K pages'
        self.assertIn(base, done.stdout)
        with open(svg, encoding='utf-8') as f:
            text = f.read()
        # One polyline a kind that was measured, with a point for each set.
        lines = xml.fromstring(text).findall('{http://www.w3.org/2000/svg}polyline')
        self.assertGreaterEqual(len(lines), 1)
        for line in lines:
            for point in line.get('points').split():
                x, y = map(float, point.split(','))
                self.assertTrue(0 <= x <= 720 and 0 <= y <= 400, point)
        done = self.run_cost('--svg', '/no/such/directory/x.svg')
        self.assertEqual(done.returncode, 1)
        self.assertIn('/no/such/directory/x.svg', done.stderr)
        # known before the measurement, which may be long
        self.assertEqual(done.stdout, '')


ctl.main()
