#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugeadm --suggest: what it says of programs, reports and processes; and that a
program takes within a tenth of the pages that it suggests, whether the pool was
empty, nearly so, or ample when it was asked.

The second part changes the pool (put back): root and -Dhugepage-tests=true.
"""
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import adm
import machine as m

HUGECTL = os.environ.get('HL_HUGECTL', 'build/tools/hugectl')
PYTHON = '/usr/bin/python3'
PEAK = 'import time; time.sleep(.01)'
# Blocks of many sizes, a dictionary, work in C, threads; large blocks that are used as
# a whole, in part, and again and again. Each is at its peak for a moment.
LOADS = {
    'blocks': [PYTHON, '-c', 'x = [bytes(40000) for i in range(3000)]'],
    'small': [PYTHON, '-c', 'x = [bytes(600 + i % 2000) for i in range(60000)]'],
    'sort': ['/usr/bin/perl', '-e', '@a = map { ($_ * 7919) % 1000003 } 1..1500000; '
             '@b = sort { $a <=> $b } @a; print $b[5], "\\n"'],
    'sqlite': ['/usr/bin/sqlite3', ':memory:', 'create table t (a, b); with recursive '
               'n(i) as (select 1 union all select i + 1 from n where i < 300000) '
               'insert into t select i, hex(randomblob(60)) from n; '
               'select count(*) from t where b > "8";'],
    'objects': [PYTHON, '-c', 'x = {i: [str(i), (i, i * 2)] for i in range(60000)}'],
    'hash': ['/usr/bin/perl', '-e', '$h{$_} = "x$_" for 1..200000;'],
    'xz': ['/usr/bin/xz', '-T2', '-0', '-k', '-c', PYTHON],
    'whole': [PYTHON, '-c', 'x = [bytearray(b"x" * 30000000) for i in range(3)]\n' + PEAK],
    'part': [PYTHON, '-c', 'x = [bytearray(40 << 20) for i in range(4)]\n'
             'for b in x: b[:4 << 20] = b"x" * (4 << 20)\n' + PEAK],
    'again': [PYTHON, '-c', 'for i in range(5): x = [b"x" * 3000000 for i in range(30)]; '
              'x.clear()\n'],
}


class Suggest(adm.Case):
    def run_on(self, *argv, **more):
        return adm.hugeadm(*argv, **more)

    def report(self, text):
        with open(self.path('r.json'), 'w', encoding='utf-8') as f:
            f.write(text)
        return self.path('r.json')

    def test_a_report(self):
        path = self.report(json.dumps({
            'program': '/bin/x', 'fallbacks': [{'limit': 'pool', 'units': 30}],
            'heap': {'peak_bytes': 100 << 20,
                     'peak': {'hugetlb_bytes': 40 << 20, 'thp_bytes': 62 << 20,
                              'base_bytes': 900 << 10}},
            'images': [{'heap': {'peak_bytes': 5, 'peak': {'hugetlb_bytes': 9 << 30}}}],
            'processes': [{'heap': {'peak_bytes': 5, 'peak': {'hugetlb_bytes': 7 << 20}}},
                          {'heap': {'peak_bytes': 5, 'peak': {'hugetlb_bytes': 1 << 20}}},
                          {'heap': None}]}))
        page = m.default_page_bytes()
        got = json.loads(self.ok('--json', '--suggest', path))
        self.assertEqual(got['heap'], {'bytes': 100 << 20, 'page_bytes': page,
                                       'pages': -(-(100 << 20) // page),
                                       'most_pages': -(-(102 << 20) // page)})
        self.assertEqual(got['other_processes'], 2)
        self.assertEqual(got['largest_other_pages'], -(-(7 << 20) // page))
        self.assertIn('in all', self.ok('--suggest', path))

    def test_a_report_that_knows(self):
        """It has counted what a pool with room is asked for: nothing is estimated."""
        path = self.report(json.dumps({
            'program': '/bin/x', 'fallbacks': [{'limit': 'pool', 'units': 30}],
            'heap': {'peak_bytes': 100 << 20, 'wished_bytes': 5, 'wished_peak_bytes': 70 << 20,
                     'peak': {'hugetlb_bytes': 40 << 20, 'thp_bytes': 62 << 20,
                              'base_bytes': 900 << 10}}}))
        pages = -(-(70 << 20) // m.default_page_bytes())
        heap = json.loads(self.ok('--json', '--suggest', path))['heap']
        self.assertEqual((heap['pages'], heap['most_pages']), (pages, pages))
        self.assertNotIn('large blocks', self.ok('--suggest', path))

    def test_what_is_no_report(self):
        for text in ('', '{', '{}', '[]', '{"heap": null}', '{"heap": {"peak": 5}}'):
            path = self.report(text)
            self.assertEqual(self.run_on('--suggest', path).returncode, adm.USAGE, text)

    def test_what_is_nothing(self):
        for argv in (['999999999'], ['99999999999999'], ['/no/such/file'],
                     ['no-such-program-at-all']):
            done = self.run_on('--suggest', *argv)
            self.assertEqual(done.returncode, adm.FAILURE, done)

    def test_a_process(self):
        page = m.default_page_bytes()
        code = ('import mmap, sys, time\n'
                f'x = mmap.mmap(-1, {20 * page})\n'
                f'y = mmap.mmap(-1, {30 * page}, flags=mmap.MAP_PRIVATE|mmap.MAP_ANONYMOUS)\n'
                f'y.write(b"1" * {30 * page})\n'
                'print("ready", flush=True)\ntime.sleep(100)')
        with subprocess.Popen([PYTHON, '-c', code], stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            got = json.loads(self.ok('--json', '--suggest', str(child.pid)))
            child.kill()
        self.assertEqual(got['shared_memory']['pages'], 20)
        # what it maps by itself malloc does not have
        self.assertIn(got['heap']['most_pages'], range(30, 30 + 2 + (60 << 20) // page))
        self.assertLess(got['heap']['pages'], 2 + (20 << 20) // page)
        self.assertGreater(got['text']['bytes'], 0)

    def heap_of(self, *argv):
        """Of a process that has built its heap and waits; its report if there is one."""
        code = ('import sys\nx = [b"%d" % i * 100 for i in range(120000)]\n'
                'y = [bytearray(b"x" * 4000000) for i in range(10)]\n'
                'print("ready", flush=True)\nsys.stdin.read()')
        with subprocess.Popen([*argv, PYTHON, '-c', code], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            pid = child.pid
            if argv:
                with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
                    pid = int(f.read())
            heap = json.loads(self.ok('--json', '--suggest', str(pid)))['heap']
        return heap['pages'], heap['most_pages']

    def test_large_blocks_of_a_process(self):
        report = self.path('p.json')
        counted = self.heap_of(HUGECTL, '--heap', f'--report=json:{report}', '--')
        heap = json.loads(self.ok('--json', '--suggest', report))['heap']
        self.assertEqual(counted, (heap['pages'], heap['pages']))
        pages, most = self.heap_of()
        large = (40 << 20) // m.default_page_bytes()
        self.assertLessEqual(abs(pages - counted[0]), max(2, counted[0] / 5), (pages, counted))
        self.assertGreater(most, pages + large * 3 / 4)

    def test_the_answer_alone_is_on_standard_output(self):
        done = self.run_on('--json', '--suggest', '/bin/echo', 'hello')
        json.loads(done.stdout)
        self.assertIn('hello', done.stderr)


class Watch(threading.Thread):
    """The most pages of the pool that were in use meanwhile, by the kernel's counters."""

    def __init__(self, pool):
        super().__init__()
        self.file = os.open(f'{pool.dir}/free_hugepages', os.O_RDONLY)
        self.over = False
        self.highest = self.least = self.free()

    def free(self):
        return int(os.pread(self.file, 32, 0))

    def run(self):
        while not self.over:
            free = self.free()
            # what an earlier process had may only come back now
            self.highest = max(self.highest, free)
            self.least = min(self.least, free)
            time.sleep(0.0005)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over = True
        self.join()
        os.close(self.file)

    @property
    def most(self):
        return self.highest - self.least


class Taken(adm.Case):
    """Within a tenth, or a page."""

    pool = None
    pages = (600 << 20) // max(m.default_page_bytes(), 1)

    def setUp(self):
        if self.pool is None:
            self.skipTest(m.may_change())
        super().setUp()

    def heap(self, *what):
        done = adm.hugeadm('--json', '--suggest', *what)
        heap = json.loads(done.stdout)['heap']
        self.assertEqual(heap['pages'], heap['most_pages'])
        return heap['pages']

    def run_load(self, argv):
        """Writes a report, which it returns."""
        path = self.path('load.json')
        subprocess.run([HUGECTL, '--heap', f'--report=json:{path}', '--', *argv], check=True,
                       stdout=subprocess.DEVNULL)
        return path

    def taken(self, argv):
        with Watch(self.pool) as watch:
            self.run_load(argv)
        return watch.most

    def have(self, pages):
        """That many free pages, whatever somebody else holds."""
        self.assertTrue(self.pool.resize(self.pool.used + pages))

    def near(self, said, real):
        self.assertLessEqual(abs(said - real), max(1, real / 10))

    def test_loads(self):
        for name, argv in LOADS.items():
            if not os.path.exists(argv[0]):
                print(f'{name}: no {argv[0]} here')
                continue
            with self.subTest(name):
                self.have(0)
                said = [self.heap(*argv), self.heap(self.run_load(argv))]
                self.have(7)
                said += [self.heap(*argv)]
                self.have(self.pages)
                said += [self.heap(*argv)]
                real = self.taken(argv)
                print(f'{name}: {said} suggested, {real} taken', flush=True)
                for pages in said:
                    self.near(pages, real)
                # a pool of what was suggested is used up, not left idle
                self.have(said[0])
                self.near(said[0], self.taken(argv))


if __name__ == '__main__':
    if m.default_page_bytes() == 0:
        m.skip('this kernel has no huge pages')
    if m.may_change():
        adm.main()
    with m.Machine() as box:
        Taken.pool = box.pool
        status = adm.run_cases()
    sys.exit(status)
