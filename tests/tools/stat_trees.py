#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugestat on captured machines, against what was written down (text and JSON), and on
machines made here: processes of every kind, thousands of mounts, odd entries.

Usage: stat_trees.py SYSROOTS   (HL_UPDATE_GOLDEN=1 writes what is printed)
"""
import difflib
import json
import os
import re
import shutil
import sys

import ctl
from stat_common import document, hugestat

SYSROOTS = sys.argv.pop(1)
MACHINES = sorted(m for m in os.listdir(SYSROOTS)
                  if os.path.isdir(os.path.join(SYSROOTS, m)))
UPDATE = os.environ.get('HL_UPDATE_GOLDEN') == '1'
KIB = 1024
MIB = 1 << 20
# What the kernel since 6.7 calls resident for one huge page of a segment.
RESIDENT = 2 * MIB * (2 * MIB // os.sysconf('SC_PAGESIZE'))


class Golden(ctl.Case):
    def hold(self, name, kind, text):
        path = os.path.join(SYSROOTS, name, f'hugestat.{kind}')
        if UPDATE:
            with open(path, 'w', encoding='utf-8') as f:
                f.write(text)
        with open(path, encoding='utf-8') as f:
            want = f.read()
        found = '\n'.join(difflib.unified_diff(
            want.splitlines(), text.splitlines(), path, 'printed', lineterm=''))
        self.assertEqual(found, '')

    def test_machines(self):
        self.assertGreater(len(MACHINES), 7)
        for name in MACHINES:
            root = os.path.join(SYSROOTS, name)
            with self.subTest(machine=name):
                text = hugestat('--sysroot', root)
                self.assertEqual((text.returncode, text.stderr), (0, ''))
                self.hold(name, 'txt', text.stdout)
                made = hugestat('--json', '--sysroot', root)
                self.assertEqual((made.returncode, made.stderr), (0, ''))
                json.loads(made.stdout)
                self.hold(name, 'json', re.sub(r'("hugestat": )"[^"]*"', r'\1"-"',
                                               made.stdout))


class Machine:
    """A machine below a directory, by the files that hugestat reads."""

    def __init__(self, root):
        self.root = root
        self.put('/proc/meminfo', 'Hugepagesize:       2048 kB\n')
        self.put('/proc/self/mountinfo', '')
        self.put('/proc/sysvipc/shm',
                 '       key      shmid perms                  size  cpid  lpid '
                 'nattch   uid   gid  cuid  cgid      atime      dtime      ctime'
                 '                   rss                  swap\n')

    def put(self, path, text, mode='w'):
        path = self.root + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, mode, encoding='utf-8', errors='surrogateescape') as f:
            f.write(text)

    def pool(self, kib, nr, free, resv=0, surplus=0):
        for name, value in (('nr', nr), ('free', free), ('resv', resv),
                            ('surplus', surplus), ('nr_overcommit', 0)):
            self.put(f'/sys/kernel/mm/hugepages/hugepages-{kib}kB/{name}_hugepages',
                     f'{value}\n')

    def process(self, pid, name='prog', uid=0, start=100, kib=0, cgroup='/', maps=()):
        self.put(f'/proc/{pid}/status',
                 f'Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n'
                 f'VmRSS:\t    1000 kB\nHugetlbPages:\t    {kib} kB\n')
        fields = ['0'] * 20
        fields[19 - 0] = str(start)
        self.put(f'/proc/{pid}/stat', f'{pid} ({name}) ' + ' '.join(['S'] + fields[1:]))
        self.put(f'/proc/{pid}/cgroup', f'0::{cgroup}\n')
        self.put(f'/proc/{pid}/smaps', ''.join(maps))

    def segment(self, number, bytes_, rss, attached=0, key=0):
        self.put('/proc/sysvipc/shm',
                 f'{key:10d} {number:10d}   600 {bytes_:21d} 10 10 {attached} 1000 '
                 f'0 1000 0 0 0 0 {rss:21d} 0\n', 'a')


def mapping(at, pages, shared=0, private=0, name='/anon_hugepage (deleted)', perms='rw-p',
            inode=7, offset=0, kib=2048, flags='ht', device='00:0f'):
    size = kib * KIB
    return (f'{at:x}-{at + pages * size:x} {perms} {offset:08x} {device} {inode} '
            f'            {name}\nSize: {pages * kib} kB\nKernelPageSize: {kib} kB\n'
            f'Rss: 0 kB\nNewKey: 3 kB\nShared_Hugetlb: {shared * kib} kB\n'
            f'Private_Hugetlb: {private * kib} kB\nVmFlags: rd wr mr {flags}\n')


class Made(ctl.Case):
    def setUp(self):
        super().setUp()
        self.m = Machine(self.path('machine'))

    def look(self, *options):
        return document('--sysroot', self.m.root, *options)

    def rows(self, found, **want):
        return [r for r in found['holders'] if all(r[k] == v for k, v in want.items())]

    def held(self, row):
        return (row['held_bytes'] // (2 * MIB), row['reserved_bytes'] // (2 * MIB))

    def test_all_kinds(self):
        m = self.m
        m.pool(2048, 100, 79, 16)
        m.pool(1048576, 4, 3)
        cid = '0123456789abcdef' * 4
        # A fork: the parent started first and owns what is reserved.
        at = 0x7f0000000000
        m.process(20, 'child', 1000, 300, 8192,
                  maps=[mapping(at, 6, shared=3, private=1)])
        m.process(10, 'a b)\\nc', 1000, 200, 6144, f'/system.slice/docker-{cid}.scope',
                  maps=[mapping(at, 6, shared=3)])
        m.put('/proc/20/environ', 'A=1\0HUGETLB_HEAP_MAX=64M\0B=2\0')
        # Two that map the same file, at different parts of it.
        m.process(30, 'one', 0, 50, 4096, maps=[
            mapping(at, 4, shared=2, name='/huge/f', perms='rw-s', inode=5)])
        m.process(31, 'two', 0, 51, 4096, maps=[
            mapping(at, 4, shared=2, name='/huge/f', perms='rw-s', inode=5,
                    offset=2 * 2 * MIB)])
        # A memfd, an attached segment, 1 GiB pages without a reservation.
        m.process(40, 'three', 0, 52, 4096 + (1 << 20), maps=[
            mapping(at, 2, private=1, name='/memfd:x (deleted)', perms='rw-s', inode=9),
            mapping(at + (1 << 30), 3, private=1, name='/SYSV00000011 (deleted)',
                    perms='rw-s', inode=3),
            mapping(1 << 40, 3, private=1, kib=1048576, flags='nr ht', inode=12)])
        # Nothing of it: ordinary memory, a kernel thread, one that has ended.
        m.process(50, 'plain', maps=[mapping(at, 1, kib=4, flags='')])
        m.put('/proc/51/status', 'Name:\tkthreadd\nUid:\t0\t0\t0\t0\n')
        os.makedirs(m.root + '/proc/52')
        m.segment(3, 3 * 2 * MIB - 5, RESIDENT, attached=1, key=17)
        m.segment(4, 9 * 2 * MIB, 5 * RESIDENT)       # left behind
        m.segment(5, 1 * MIB, 1 * MIB)                # ordinary

        found = self.look()
        parent, = self.rows(found, pid=10, kind='process')
        child, = self.rows(found, pid=20, kind='process')
        self.assertEqual(self.held(parent), (3, 3))
        self.assertEqual(self.held(child), (1, 0))
        self.assertEqual(parent['comm'], 'a b)\nc')
        self.assertEqual(parent['container'], cid[:12])
        self.assertEqual(parent['cgroup'], f'/system.slice/docker-{cid}.scope')
        self.assertIsNone(child['container'])
        self.assertEqual((parent['subpool'], child['subpool']), (None, '0..64M'))
        self.assertEqual(parent['user'], '1000')
        file, = self.rows(found, kind='file', name='/huge/f')
        self.assertEqual((file['pids'], self.held(file)), ([30, 31], (2, 4)))
        memfd, = self.rows(found, kind='file', name='/memfd:x')
        self.assertEqual(self.held(memfd), (1, 1))
        attached, = self.rows(found, kind='shm', id=3)
        self.assertEqual((attached['state'], attached['key'], self.held(attached)),
                         ('attached', '0x00000011', (1, 2)))
        left, = self.rows(found, kind='shm', id=4)
        self.assertEqual((left['state'], self.held(left)), ('unattached', (5, 4)))
        self.assertEqual(self.rows(found, id=5), [])
        giant, = self.rows(found, size_bytes=1 << 30, kind='process')
        self.assertEqual((giant['pid'], giant['pages'], giant['reserved_bytes']),
                         (40, 1, 0))
        self.assertEqual(self.rows(found, pid=50), [])

        small, large = found['pools']
        # used: 3+1 private, 2+1 in files, 1+5 in segments = 13; the pool has 21.
        self.assertEqual(small['held'], {'process_pages': 4, 'file_pages': 3,
                                         'shm_pages': 6, 'unknown_pages': 8})
        self.assertEqual(small['reserved'], {
            'process_pages': 3, 'file_pages': 5, 'shm_pages': 6, 'mount_pages': 0,
            'unknown_pages': 2})
        self.assertFalse(small['balanced'])
        self.assertTrue(large['balanced'])
        text = hugestat('--sysroot', m.root).stdout
        self.assertIn('a b)\\x0ac', text)
        self.assertIn('100 pages in the pool = 13 held + 8 unknown + 16 reserved + '
                      '63 free: NOT balanced', text)

    def test_min_size_and_files(self):
        m = self.m
        m.pool(2048, 10, 7, 7)
        m.put('/proc/self/mountinfo',
              '30 1 0:40 / /a\\040b rw - hugetlbfs none rw,pagesize=2M,'
              'min_size=16777216\n')
        m.process(5, kib=6144, maps=[mapping(
            0x7f0000000000, 4, private=3, name='/a b/file', perms='rw-s')])
        found = self.look()
        mount, = self.rows(found, kind='mount')
        self.assertEqual((mount['name'], self.held(mount)), ('/a b', (0, 4)))
        # 3 held by the file and 1 reserved for it come out of the 8.
        self.assertEqual(found['pools'][0]['reserved']['unknown_pages'], 2)

    def test_segments_by_what_is_missing(self):
        """An untouched segment is taken for huge if just that is missing."""
        m = self.m
        m.pool(2048, 10, 10, 4)
        m.segment(8, 4 * 2 * MIB, 0)
        found = self.look()
        row, = self.rows(found, kind='shm')
        self.assertEqual((row['id'], self.held(row)), (8, (0, 4)))
        self.assertEqual(found['pools'][0]['reserved']['unknown_pages'], 0)
        m.segment(9, 4 * 2 * MIB, 0)
        found = self.look()
        self.assertEqual(self.rows(found, kind='shm'), [])
        self.assertEqual(len([n for n in found['notes'] if 'SysV segment' in n]), 2)

    def test_old_kernel_counts_segments_otherwise(self):
        """Before 6.7 the resident size was right, but more than was asked for."""
        m = self.m
        m.pool(2048, 10, 7)
        m.segment(8, 3 * 2 * MIB - 100000, 3 * 2 * MIB)
        row, = self.rows(self.look(), kind='shm')
        self.assertEqual(self.held(row), (3, 0))

    def test_thousands_of_mounts(self):
        m = self.m
        m.pool(2048, 4, 4)
        lines = [f'{i} 1 0:{i} / /mnt/{i} rw shared:1 - tmpfs tmpfs rw,size=1k\n'
                 for i in range(40000)]
        lines.insert(20000, '7 1 0:99 / /huge rw - hugetlbfs none rw,pagesize=2M\n')
        lines.insert(5000, f'8 1 0:98 / /long rw - overlay overlay '
                     f'rw,lowerdir={"/layer" * 50000}\n')
        text = ''.join(lines)
        self.assertGreater(len(text), 1 << 21)
        m.put('/proc/self/mountinfo', text)
        self.assertEqual([x['path'] for x in self.look()['mounts']], ['/huge'])

    def test_unknown_entries(self):
        """What later kernels may add, and what is broken, is passed over."""
        m = self.m
        m.pool(2048, 4, 4)
        m.pool(4096, 2, 2)
        for odd in ('hugepages-3kB', 'hugepages-kB', 'hugepages', 'new_feature'):
            m.put(f'/sys/kernel/mm/hugepages/{odd}/nr_hugepages', '9\n')
        m.put('/sys/kernel/mm/hugepages/hugepages-2048kB/later', 'x\n')
        m.put('/proc/77x/status', 'Name:\tno\n')
        m.put('/proc/78/status', '\0garbage\n' * 100)
        m.process(79, maps=['garbage\n', 'zz-yy rw-p\n', mapping(1 << 30, 1, private=1)])
        m.put('/proc/sysvipc/shm', 'x y z\n1 2\n', 'a')
        found = self.look()
        self.assertEqual([p['size_bytes'] for p in found['pools']], [2 * MIB, 4 * MIB])
        self.assertEqual(len(found['holders']), 1)

    def test_many_processes_of_one_file(self):
        m = self.m
        m.pool(2048, 10, 8, 1)
        for pid in range(100, 400):
            m.process(pid, kib=4096, maps=[mapping(
                1 << 40, 3, shared=2, name='/dev/shm/x', perms='rw-s', inode=5)])
        found = self.look()
        file, = self.rows(found, kind='file')
        self.assertEqual((file['users'], len(file['pids'])), (300, 300))
        self.assertTrue(found['pools'][0]['balanced'])

    def test_no_proc_at_all(self):
        shutil.rmtree(self.m.root + '/proc')
        self.m.pool(2048, 4, 4)
        self.assertTrue(self.look()['pools'][0]['balanced'])

    def test_one_process(self):
        m = self.m
        at = (1 << 40) + 4 * 2 * MIB
        m.process(10, 'prog', kib=8192, maps=[
            mapping(1 << 40, 4, private=2),
            mapping(at, 1, private=1, inode=8, flags='nr ht'),
            mapping(at + 2 * MIB, 1, private=1, inode=9, flags='nr ht'),
            mapping(1 << 41, 1, kib=4, flags='').replace(
                'Rss: 0 kB', 'Rss: 4 kB\nAnonHugePages: 2048 kB')])
        m.put('/proc/10/numa_maps',
              f'{1 << 40:x} bind:0 file=/anon_hugepage\\040(deleted) huge anon=2 N0=1 '
              f'N3=1 kernelpagesize_kB=2048\n{1 << 41:x} default anon=1 N0=1\n'
              f'{at:x} default huge N1=1\n{at + 2 * MIB:x} default huge N1=1 N0=3\n')
        found = self.look('10')
        huge, heap, thp = found['mappings']
        self.assertEqual((huge['nodes'], huge['private_bytes'], huge['reserved_bytes']),
                         ('0:1,3:1', 4 * MIB, 4 * MIB))
        # Neighbours of one kind are one row, of another kind another.
        self.assertEqual((huge['mappings'], heap['mappings'], heap['length_bytes'],
                          heap['private_bytes'], heap['nodes'], heap['reserved_bytes']),
                         (1, 2, 4 * MIB, 4 * MIB, '0:3,1:2', None))
        self.assertEqual((thp['thp_bytes'], thp['nodes'], thp['private_bytes']),
                         (2 * MIB, None, None))
        done = hugestat('--sysroot', m.root, '11')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count('\n'), 1)


ctl.main()
