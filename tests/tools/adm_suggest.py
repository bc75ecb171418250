#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugeadm --suggest: what it says of programs, reports and processes; and that a
program takes within a tenth of the pages that it suggests, whether the pool was
empty or full when it was asked.

The second part changes the pool (put back): root and -Dhugepage-tests=true.
"""
import json
import os
import subprocess
import sys
import tempfile

import adm
import machine as m

HUGECTL = os.environ.get('HL_HUGECTL', 'build/tools/hugectl')
PYTHON = '/usr/bin/python3'
# Blocks of many sizes, a dictionary, work in C; each at its peak for a moment.
LOADS = {
    'blocks': [PYTHON, '-c', 'x = [bytes(40000) for i in range(3000)]'],
    'small': [PYTHON, '-c', 'x = [bytes(600 + i % 2000) for i in range(60000)]'],
    'sort': ['/usr/bin/perl', '-e', '@a = map { ($_ * 7919) % 1000003 } 1..1500000; '
             '@b = sort { $a <=> $b } @a; print $b[5], "\\n"'],
    'sqlite': ['/usr/bin/sqlite3', ':memory:', 'create table t (a, b); with recursive '
               'n(i) as (select 1 union all select i + 1 from n where i < 300000) '
               'insert into t select i, hex(randomblob(60)) from n; '
               'select count(*) from t where b > "8";'],
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
        self.assertIn(got['heap']['pages'], range(30, 30 + 2 + (60 << 20) // page))
        self.assertGreater(got['text']['bytes'], 0)

    def test_the_answer_alone_is_on_standard_output(self):
        done = self.run_on('--json', '--suggest', '/bin/echo', 'hello')
        json.loads(done.stdout)
        self.assertIn('hello', done.stderr)


def taken(argv):
    """Huge pages at the peak of a run."""
    with tempfile.TemporaryDirectory() as where:
        path = os.path.join(where, 'r.json')
        subprocess.run([HUGECTL, '--heap', f'--report=json:{path}', '--', *argv], check=True,
                       stdout=subprocess.DEVNULL)
        with open(path, encoding='utf-8') as f:
            return json.load(f)['heap']['peak']['hugetlb_bytes'] // m.default_page_bytes()


class Taken(adm.Case):
    """
    Within a tenth, or a page. An empty pool does not tell which large blocks a full
    one would be asked for: then what is taken lies between the two numbers.
    """

    pool = None
    pages = (400 << 20) // max(m.default_page_bytes(), 1)

    def setUp(self):
        if self.pool is None:
            self.skipTest(m.may_change())

    def suggested(self, argv):
        heap = json.loads(adm.hugeadm('--json', '--suggest', *argv).stdout)['heap']
        return heap['pages'], heap['most_pages']

    def test_loads(self):
        for name, argv in LOADS.items():
            if not os.path.exists(argv[0]):
                print(f'{name}: no {argv[0]} here')
                continue
            with self.subTest(name):
                self.pool.resize(0)
                empty, most = self.suggested(argv)
                self.assertTrue(self.pool.resize(self.pages))
                full, real = self.suggested(argv)[0], taken(argv)
                print(f'{name}: {empty} to {most} suggested with an empty pool, {full} with '
                      f'a full one, {real} taken')
                slack = max(1, real / 10)
                self.assertLessEqual(abs(full - real), slack)
                self.assertTrue(empty - slack <= real <= most + slack)
                # a pool of what was suggested is used up, not left idle
                self.assertTrue(self.pool.resize(empty))
                self.assertLessEqual(abs(empty - taken(argv)), max(1, empty / 10))


if __name__ == '__main__':
    if m.default_page_bytes() == 0:
        m.skip('this kernel has no huge pages')
    if m.may_change():
        adm.main()
    with m.Machine() as box:
        Taken.pool = box.pool
        status = adm.run_cases()
    sys.exit(status)
