#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugectl --explain: what it foretells is what happens, variables that are there
already are seen, and the advice is what would help, here and on captured machines.

Usage: ctl_explain.py SYSROOTS
"""
import os
import re
import shutil
import subprocess
import sys

import ctl
from ctl import hugectl

SYSROOTS = sys.argv.pop(1)
POOL = 'The pool has no page to give'
GROUP = 'The control group is the narrowest limit'
MOST = '--heap-max (HUGETLB_HEAP_MAX) is the narrowest limit'
SIZE = 'The page size asked for is not one'
THP = 'Transparent huge pages are off'


def parsed(text):
    """The lines of --explain by name, and the advice under the name advice."""
    text, _, advice = text.partition('advice\n')
    found = dict(re.findall(r'(?m)^(\S+) +(.*)$', text))
    found['advice'] = advice
    return found


class Here(ctl.Case):
    def test_all_lines(self):
        for words in ([], ['--heap'], ['--heap=2M'], ['--thp'], ['--no-preload'],
                      ['--heap-max=1M'], ['--text'], ['--heap=64K']):
            done = hugectl(*words, '--explain', ctl.PYTHON)
            self.assertEqual((done.returncode, done.stderr), (0, ''))
            for line in ('program', 'preload', 'pool', 'THP', 'nodes', 'heap'):
                self.assertRegex(done.stdout, rf'(?m)^{line} ', words)
        self.assertIn('dynamically linked', done.stdout)
        self.assertEqual(hugectl('--explain').returncode, 0)

    def test_what_cannot_be_run(self):
        """The exit status is that of a run."""
        for program, status, words in (('/nonexistent', 127, 'no such file'),
                                       ('/', 126, 'permission denied')):
            done = hugectl('--explain', program)
            self.assertEqual((done.returncode, done.stderr), (status, ''))
            self.assertIn(words, done.stdout)
            self.assertEqual(hugectl(program).returncode, status)

    def explained(self, *words, **more):
        done = hugectl(*words, '--explain', ctl.PYTHON, env=ctl.environment(**more))
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return parsed(done.stdout)

    def test_says_what_will_happen(self):
        libc = "stays the C library's"
        elfmap = 'HUGETLB_ELFMAP is set, and no --heap'
        says_so = 'HUGETLB_MORECORE says so'
        table = [  # options, environment, the reason why the heap is libc's
            (['--disable'], {}, elfmap), (['--text'], {}, elfmap),
            (['--shm'], {}, 'HUGETLB_SHM is set, and no --heap'),
            ([], {'HUGETLB_MMAP': 'yes'}, 'HUGETLB_MMAP is set, and no --heap'),
            ([], {'HUGETLB_MORECORE': 'no'}, says_so),
            (['--text'], {'HUGETLB_MORECORE': 'off'}, says_so),
            (['--heap'], {'HUGETLB_RESTRICT_EXE': 'x:y'},
             'HUGETLB_RESTRICT_EXE does not name this program'),
            (['--disable', '--heap'], {}, None), (['--text', '--thp'], {}, None),
            (['--heap'], {'HUGETLB_MORECORE': 'no'}, None),
            (['--text'], {'HUGETLB_MORECORE': 'thp'}, None),
            ([], {'HUGETLB_RESTRICT_EXE': 'x:' + os.path.basename(ctl.PYTHON)}, None),
        ]
        for words, env, reason in table:
            with self.subTest(words=words, env=env):
                found = self.explained(*words, **env)
                self.assertIs(self.has_our_heap(words, env), not reason)
                if reason:
                    self.assertEqual(found['heap'], f'{libc}: {reason}')
                    self.assertEqual(found['fork'], 'nothing to protect')
                else:
                    self.assertIn('base pages', found['heap'])
                    self.assertEqual(found['fork'], 'convert')

    def has_our_heap(self, words, env):
        """Whether such a program's blocks are ours, by the report."""
        report = self.report(
            ctl.PYTHON, '-c', 'x = bytearray(3000000)', options=['-q', *words],
            env=ctl.environment(PYTHONMALLOC='malloc', **env))
        return bool(report['heap']) and report['heap']['peak_bytes'] > 3000000

    def test_reads_the_environment(self):
        for mode in ('convert', 'copy', 'thp', 'off'):
            self.assertEqual(self.explained(HUGETLB_FORK=mode)['fork'], mode)
            self.assertEqual(self.explained(f'--fork={mode}', HUGETLB_FORK='off')['fork'],
                             mode)
        nodes = self.explained(HUGETLB_NODE='interleave')['nodes']
        self.assertTrue(nodes.endswith('goes to interleave'), nodes)
        nodes = self.explained('--node=local', HUGETLB_NODE='interleave')['nodes']
        self.assertTrue(nodes.endswith('goes to local'), nodes)

    def test_advises_what_helps(self):
        if not os.path.isdir('/sys/kernel/mm/hugepages'):
            self.skipTest('this kernel has no huge pages')
        for words, env in ((['--heap-max=1K'], {}), ([], {'HUGETLB_HEAP_MAX': '0'})):
            found = self.explained(*words, **env)
            self.assertIn(MOST, found['advice'])
            self.assertNotIn(POOL, found['advice'])
            self.assertNotIn('on pool pages', found['heap'])
        for words, env in ((['--thp'], {}), (['--fork=thp'], {}), (['--disable'], {}),
                           ([], {'HUGETLB_FORK': 'thp'}),
                           ([], {'HUGETLB_MORECORE': 'thp'})):
            found = self.explained(*words, **env)
            self.assertNotIn(POOL, found['advice'])
            self.assertNotIn(GROUP, found['advice'])
            self.assertNotIn('on pool pages', found['heap'])
        self.assertIn(SIZE, self.explained('--heap=8T')['advice'])
        self.assertIn(SIZE, self.explained(HUGETLB_MORECORE='8T')['advice'])


# Machine, options: what the heap begins on, and all advice that there is.
MACHINES = [
    ('x86-two-nodes', '--heap', 'the first 328 MiB on pool pages of 2M, then tr', []),
    ('x86-two-nodes', '--heap=1G', 'the first 1 GiB on pool pages of 1G, then 328 MiB '
     'on pool pages of 2M, then tr', []),
    ('x86-two-nodes', '--heap=4G', 'the first 1 GiB on pool pages of 1G, then 328 MiB '
     'on pool pages of 2M, then tr', [SIZE]),
    ('x86-two-nodes', '--heap --heap-max=5M', 'the first 4 MiB on pool pages of 2M, '
     'then tr', [MOST]),
    ('x86-two-nodes', '--heap --heap-max=329M', 'the first 328 MiB on', []),
    ('x86-two-nodes', '--thp', 'transparent', []),
    # limits of 10 pages of 2 MiB, and none of 1 GiB
    ('cgroup-v2-nested', '--heap', 'the first 20 MiB on pool pages of 2M, then tr',
     [f'{GROUP}: raise its limit of hugetlb.2MB,']),
    ('cgroup-v2-nested', '--heap=1G', 'the first 20 MiB on pool pages of 2M, then tr',
     [f'{GROUP}: raise its limit of hugetlb.1GB,']),
    ('cgroup-v2-nested', '--heap --heap-max=10M', 'the first 10 MiB on', [MOST]),
    ('cgroup-v2-nested', '--heap --heap-max=30M', 'the first 20 MiB on',
     [f'{GROUP}: raise its limit of hugetlb.2MB,']),
    ('cgroup-v2-nested', '--fork=thp', 'transparent', []),
    # of 2 MiB alone
    ('cgroup-v1', '--heap', 'the first 196 MiB on pool pages of 2M, then tr',
     [f'{GROUP}: raise its limit of hugetlb.2MB,']),
    ('cgroup-v1', '--heap=1G', 'the first 4 GiB on pool pages of 1G, then 196 MiB on '
     'pool pages of 2M, then tr', []),
    ('arm64-64k', '--heap', 'the first 5 GiB on pool pages of 512M, then 100 MiB on '
     'pool pages of 2M, then tr', []),
    # no pool of 1 GiB: pages of that size are not made on demand
    ('x86-one-node', '--heap=1G', None, [f'{POOL}: raise nr_hugepages in /sys/kernel/'
                                         'mm/hugepages/hugepages-1048576kB.']),
    ('no-hugetlb', '--heap', 'base pages', []),
]


class Captured(ctl.Case):
    """The tool sees a captured machine as its own when that is its root."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest('only root can change the root directory')

    def machine(self, name):
        root = self.path(name)
        if not os.path.exists(root):
            shutil.copytree(os.path.join(SYSROOTS, name), root)
            shutil.copy(ctl.HUGECTL, os.path.join(root, 'hugectl'))
            needs = subprocess.run(['ldd', ctl.HUGECTL], text=True, check=False,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for library in re.findall(r'(/\S+) \(0x', needs.stdout):
                os.makedirs(root + os.path.dirname(library), exist_ok=True)
                shutil.copy(library, root + library)
        return root

    def explained(self, name, *words):
        root = self.machine(name)
        done = subprocess.run(
            ['/hugectl', '--library-use-path', *words, '--explain'], text=True,
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=ctl.environment(),
            executable='/hugectl', preexec_fn=lambda: os.chroot(root), cwd='/')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return parsed(done.stdout)

    def test_machines(self):
        for name, words, heap, advice in MACHINES:
            with self.subTest(machine=name, words=words):
                found = self.explained(name, *words.split())
                if heap:
                    self.assertTrue(found['heap'].startswith(heap), found['heap'])
                lines = found['advice'].splitlines()
                self.assertEqual(len(lines), len(advice), lines)
                for line, expected in zip(lines, advice):
                    self.assertTrue(line.startswith(f'  - {expected}'), line)

    def test_empty_pool(self):
        """The pool of the size in question is named, and no other."""
        pool = self.machine('x86-two-nodes') + '/sys/kernel/mm/hugepages/hugepages-'
        for size in ('2048kB', '1048576kB'):
            for file in ('nr_hugepages', 'free_hugepages', 'nr_overcommit_hugepages'):
                with open(f'{pool}{size}/{file}', 'w', encoding='ascii') as f:
                    f.write('0\n')
        for words, where in (
                (['--heap'], 'nr_hugepages or nr_overcommit_hugepages in '
                 '/sys/kernel/mm/hugepages/hugepages-2048kB.'),
                (['--heap=1G'], 'nr_hugepages in '
                 '/sys/kernel/mm/hugepages/hugepages-1048576kB.')):
            found = self.explained('x86-two-nodes', *words)
            self.assertEqual(found['advice'], f'  - {POOL}: raise {where}\n')
            self.assertTrue(found['heap'].startswith('transparent'), found['heap'])

    def test_never(self):
        root = self.machine('x86-two-nodes')
        with open(f'{root}/sys/kernel/mm/transparent_hugepage/enabled', 'w',
                  encoding='ascii') as f:
            f.write('always madvise [never]\n')
        found = self.explained('x86-two-nodes', '--thp')
        self.assertEqual(found['heap'], 'base pages')
        self.assertTrue(found['advice'].startswith(f'  - {THP}'), found['advice'])


if __name__ == '__main__':
    ctl.main()
