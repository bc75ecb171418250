#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugestat on a machine where every kind of holder has pages: each is named with
exactly what it has, and the sums are the pool's. Needs root and a pool.
"""
import ctypes
import json
import mmap
import os
import subprocess
import sys
import tempfile
import time
import unittest

import ctl
import machine
import stat_common as stat
from stat_common import MAP_HUGETLB, MAP_NORESERVE, document, hugestat

PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB
SHARED = mmap.MAP_SHARED
PAGE = machine.default_page_bytes()
POOL = 64


def of_pool(found):
    return next(p for p in found['pools'] if p['size_bytes'] == PAGE)


class Holders(unittest.TestCase):
    """One machine for all cases; each undoes what it did."""

    @classmethod
    def setUpClass(cls):
        cls.machine = machine.Machine()
        cls.machine.__enter__()
        cls.addClassCleanup(cls.machine.__exit__, None, None, None)
        if not cls.machine.pool.resize(POOL):
            raise unittest.SkipTest('no pool of that size can be had')
        cls.where = tempfile.mkdtemp(prefix='hugestat test ')
        cls.addClassCleanup(os.rmdir, cls.where)
        cls.mount(cls.where)

    @classmethod
    def mount(cls, where, options=''):
        done = subprocess.run(['mount', '-t', 'hugetlbfs', '-o',
                               f'pagesize={PAGE >> 10}K{options}', 'none', where],
                              check=False, stderr=subprocess.PIPE)
        if done.returncode:
            raise unittest.SkipTest(f'no mount: {done.stderr.decode()}')
        cls.addClassCleanup(subprocess.run, ['umount', '-l', where], check=False)

    def setUp(self):
        self.addCleanup(self.settle)     # the first is the last to be called

    def hold(self, work):
        holder = stat.Holder(work, self.machine)
        self.addCleanup(holder.end)
        return holder

    def settle(self):
        """Pages come back to the pool a little after the process is gone."""
        for _ in range(100):
            if self.machine.pool.used == 0:
                break
            time.sleep(0.02)

    def file(self, name):
        path = os.path.join(self.where, name)
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        return path

    def look(self):
        """The document, whose held pages must be those in use."""
        found = document()
        pool = of_pool(found)
        counters = self.machine.pool.counters()
        self.assertEqual(pool['pages'], counters['nr_hugepages'])
        self.assertEqual(pool['reserved_pages'], counters['resv_hugepages'])
        held = pool['held']
        self.assertEqual(held['process_pages'] + held['file_pages'] +
                         held['shm_pages'] + held['unknown_pages'],
                         pool['used_pages'], found)
        self.assertEqual(pool['used_pages'] + pool['reserved_pages'] +
                         pool['free_pages'], pool['pages'])
        self.assertEqual(held['unknown_pages'], 0, json.dumps(found, indent=1))
        self.assertTrue(pool['balanced'])
        return found

    def row(self, found, **want):
        rows = [r for r in found['holders']
                if all(r[k] == v for k, v in want.items())]
        self.assertEqual(len(rows), 1, (want, found['holders']))
        return rows[0]

    def amounts(self, row):
        return row['held_bytes'] // PAGE, row['reserved_bytes'] // PAGE

    # ---- one kind each ----

    def test_private(self):
        def work():
            stat.touch(stat.map_pages(5 * PAGE, PRIVATE), 3, PAGE)

        holder = self.hold(work)
        found = self.look()
        row = self.row(found, kind='process', pid=holder.pid)
        self.assertEqual(self.amounts(row), (3, 2))
        self.assertEqual(row['uid'], 0)
        self.assertEqual(row['user'], 'root')
        self.assertIn('python', row['comm'])
        self.assertEqual(of_pool(found)['reserved'],
                         {'process_pages': 2, 'file_pages': 0, 'shm_pages': 0,
                          'mount_pages': 0, 'unknown_pages': 0})

    def test_untouched_only(self):
        """Nothing is mapped in status: maps must be looked at."""
        holder = self.hold(lambda: stat.map_pages(4 * PAGE, PRIVATE) and 0)
        found = self.look()
        row = self.row(found, kind='process', pid=holder.pid)
        self.assertEqual(self.amounts(row), (0, 4))
        self.assertEqual(of_pool(found)['reserved']['unknown_pages'], 0)

    def test_noreserve(self):
        def work():
            stat.touch(stat.map_pages(50 * PAGE, PRIVATE | MAP_NORESERVE), 2, PAGE)

        holder = self.hold(work)
        row = self.row(self.look(), kind='process', pid=holder.pid)
        self.assertEqual(self.amounts(row), (2, 0))

    def test_fork_shares(self):
        """Pages that a fork shares count once, for the parent."""
        def work():
            at = stat.map_pages(6 * PAGE, PRIVATE)
            stat.touch(at, 4, PAGE)
            child = os.fork()
            if child == 0:
                stat.touch(at, 1, PAGE)      # a page of its own
                os.write(go[1], b'x')
                time.sleep(1000)
            os.read(go[0], 1)
            return child

        go = os.pipe()
        self.addCleanup(os.close, go[0])
        self.addCleanup(os.close, go[1])
        holder = self.hold(work)
        found = self.look()
        parent = self.row(found, kind='process', pid=holder.pid)
        child = self.row(found, kind='process', pid=holder.said)
        self.assertEqual(self.amounts(parent), (4, 2))
        self.assertEqual(self.amounts(child), (1, 0))
        self.assertEqual(of_pool(found)['reserved']['unknown_pages'], 0)

    def test_file_mapped_by_two(self):
        path = self.file('mapped by two')

        def work():
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(fd, 6 * PAGE)
            stat.touch(stat.map_pages(6 * PAGE, SHARED, fd), 2, PAGE)
            os.close(fd)

        first, second = self.hold(work), self.hold(work)
        found = self.look()
        row = self.row(found, kind='file', name=path)
        self.assertEqual(self.amounts(row), (2, 4))
        self.assertEqual(row['state'], 'mapped')
        self.assertEqual(row['pids'], sorted([first.pid, second.pid]))
        self.assertEqual(row['users'], 2)
        self.assertEqual(of_pool(found)['reserved']['unknown_pages'], 0)
        # The processes are there with what they see of it, and hold nothing.
        row = self.row(found, kind='process', pid=first.pid)
        self.assertEqual(self.amounts(row), (0, 0))
        self.assertEqual(row['mapped_bytes'], 2 * PAGE)

    def test_file_open(self):
        path = self.file('open')

        def work():
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.posix_fallocate(fd, 0, 3 * PAGE)

        holder = self.hold(work)
        row = self.row(self.look(), kind='file', name=path)
        self.assertEqual(self.amounts(row), (3, 0))
        self.assertEqual((row['state'], row['pids']), ('open', [holder.pid]))

    def test_file_orphaned(self):
        path = self.file('orphan \n name')
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.posix_fallocate(fd, 0, 2 * PAGE)
        os.close(fd)
        row = self.row(self.look(), kind='file', name=path)
        self.assertEqual(self.amounts(row), (2, 0))
        self.assertEqual((row['state'], row['pids']), ('orphaned', []))
        # The line break of the name breaks no line.
        text = hugestat('--noheadings', '-o', 'name').stdout
        self.assertIn('orphan \\x0a name\n', text)

    def test_file_removed(self):
        path = self.file('removed')

        def work():
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(fd, 2 * PAGE)
            stat.touch(stat.map_pages(2 * PAGE, SHARED, fd), 1, PAGE)
            os.unlink(path)
            os.close(fd)

        holder = self.hold(work)
        row = self.row(self.look(), kind='file', pid=holder.pid)
        self.assertEqual(self.amounts(row), (1, 1))
        self.assertEqual(row['name'], f'{path} (deleted)')

    def test_file_mapped_privately(self):
        """Pages of the file are the file's, what was written the process's."""
        path = self.file('private')

        def work():
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.posix_fallocate(fd, 0, 3 * PAGE)
            at = stat.map_pages(4 * PAGE, mmap.MAP_PRIVATE, fd)
            stat.look_at(at, 3, PAGE)
            stat.touch(at, 1, PAGE)
            os.close(fd)

        holder = self.hold(work)
        found = self.look()
        process = self.row(found, kind='process', pid=holder.pid)
        file = self.row(found, kind='file', name=path)
        self.assertEqual((process['held_bytes'] // PAGE,
                          file['held_bytes'] // PAGE), (1, 3))

    def test_memfd(self):
        def work():
            fd = os.memfd_create('named one', 4)     # MFD_HUGETLB
            os.posix_fallocate(fd, 0, 2 * PAGE)
            return fd

        holder = self.hold(work)
        row = self.row(self.look(), kind='file', pid=holder.pid)
        self.assertEqual(self.amounts(row), (2, 0))
        self.assertEqual((row['state'], row['name']),
                         ('open', '/memfd:named one'))

    def test_shared_anonymous(self):
        def work():
            stat.touch(stat.map_pages(3 * PAGE, SHARED | mmap.MAP_ANONYMOUS |
                                      MAP_HUGETLB), 1, PAGE)

        holder = self.hold(work)
        row = self.row(self.look(), kind='file', pid=holder.pid)
        self.assertEqual(self.amounts(row), (1, 2))

    def test_segment_attached(self):
        number = self.make_segment(5 * PAGE - 100)
        holder = self.hold(lambda: stat.touch(stat.attach(number), 2, PAGE))
        found = self.look()
        row = self.row(found, kind='shm', id=number)
        self.assertEqual(self.amounts(row), (2, 3))
        self.assertEqual((row['state'], row['pids']), ('attached', [holder.pid]))
        self.assertEqual(of_pool(found)['reserved']['unknown_pages'], 0)

    def make_segment(self, bytes_, huge=True):
        try:
            number = stat.segment(bytes_, huge)
        except OSError as e:
            self.skipTest(f'no segment: {e}')
        self.addCleanup(stat.remove_segment, number)
        return number

    def test_segment_left_behind(self):
        number = self.make_segment(4 * PAGE)
        at = stat.attach(number)
        stat.touch(at, 3, PAGE)
        self.assertEqual(stat.LIBC.shmdt(at), 0)
        found = self.look()
        row = self.row(found, kind='shm', id=number)
        self.assertEqual(self.amounts(row), (3, 1))
        self.assertEqual((row['state'], row['pids']), ('unattached', []))
        self.assertEqual(of_pool(found)['reserved']['unknown_pages'], 0)

    def test_segment_never_touched(self):
        other = self.make_segment(4 * PAGE, huge=False)
        number = self.make_segment(3 * PAGE)
        ordinary = self.make_segment(1 << 20, huge=False)
        at = stat.attach(ordinary)
        ctypes.memset(at, 1, 1 << 20)
        self.assertEqual(stat.LIBC.shmdt(at), 0)
        found = self.look()
        # Two could be it: none is taken for it, and both are named.
        self.assertEqual([r for r in found['holders'] if r['kind'] == 'shm'], [])
        notes = '\n'.join(found['notes'])
        self.assertIn(f'SysV segment {number} ', notes)
        self.assertIn(f'SysV segment {other} ', notes)
        self.assertNotIn(f'SysV segment {ordinary} ', notes)
        self.assertEqual(of_pool(found)['reserved']['unknown_pages'], 3)

    def test_segment_alone_never_touched(self):
        number = self.make_segment(3 * PAGE)
        found = self.look()
        row = self.row(found, kind='shm', id=number)
        self.assertEqual(self.amounts(row), (0, 3))
        self.assertEqual(of_pool(found)['reserved']['unknown_pages'], 0)

    def test_mount_min_size(self):
        where = tempfile.mkdtemp(prefix='hugestat-min-')
        self.addCleanup(os.rmdir, where)
        subprocess.run(['mount', '-t', 'hugetlbfs', '-o',
                        f'pagesize={PAGE >> 10}K,min_size={4 * PAGE}', 'none',
                        where], check=True)
        self.addCleanup(subprocess.run, ['umount', where], check=False)
        found = self.look()
        row = self.row(found, kind='mount', name=where)
        self.assertEqual(self.amounts(row), (0, 4))
        # A file's pages come out of it.
        path = os.path.join(where, 'x')
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.posix_fallocate(fd, 0, PAGE)
        os.close(fd)
        found = self.look()
        row = self.row(found, kind='mount', name=where)
        self.assertEqual(self.amounts(row), (0, 3))
        self.assertEqual(of_pool(found)['reserved']['unknown_pages'], 0)
        os.unlink(path)

    def test_cgroup(self):
        try:
            group = self.machine.cgroup(20 * PAGE)
        except OSError as e:
            self.skipTest(f'no hugetlb controller: {e}')

        def work():
            with open(group.procs, 'w', encoding='ascii') as f:
                f.write(str(os.getpid()))
            stat.touch(stat.map_pages(3 * PAGE, PRIVATE), 2, PAGE)

        holder = self.hold(work)
        found = self.look()
        path = group.dir[len(group.root):]
        row = self.row(found, kind='process', pid=holder.pid)
        self.assertEqual(row['cgroup'], path)
        mine = [g for g in found['cgroups'] if g['cgroup'] == path]
        self.assertEqual(mine, [{
            'cgroup': path, 'size_bytes': PAGE, 'current_bytes': 2 * PAGE,
            'max_bytes': 20 * PAGE, 'rsvd_bytes': 3 * PAGE,
            'rsvd_max_bytes': None}])

    # ---- all at once ----

    def test_all_kinds_together(self):
        orphan, mapped, opened = (self.file(n) for n in 'abc')
        fd = os.open(orphan, os.O_RDWR | os.O_CREAT, 0o600)
        os.posix_fallocate(fd, 0, 2 * PAGE)
        os.close(fd)
        number = self.make_segment(3 * PAGE)
        left = self.make_segment(2 * PAGE)
        at = stat.attach(left)
        stat.touch(at, 1, PAGE)
        stat.LIBC.shmdt(at)

        def work():
            stat.touch(stat.map_pages(4 * PAGE, PRIVATE), 3, PAGE)
            one = os.open(mapped, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(one, 5 * PAGE)
            stat.touch(stat.map_pages(5 * PAGE, SHARED, one), 2, PAGE)
            two = os.open(opened, os.O_RDWR | os.O_CREAT, 0o600)
            os.posix_fallocate(two, 0, PAGE)
            stat.touch(stat.attach(number), 1, PAGE)

        holder = self.hold(work)
        found = self.look()
        pool = of_pool(found)
        self.assertEqual(pool['held'], {
            'process_pages': 3, 'file_pages': 2 + 2 + 1, 'shm_pages': 1 + 1,
            'unknown_pages': 0})
        self.assertEqual(pool['reserved'], {
            'process_pages': 1, 'file_pages': 3, 'shm_pages': 2 + 1,
            'mount_pages': 0, 'unknown_pages': 0})
        text = hugestat().stdout
        for name in (orphan, mapped, opened, f'id {number}', f'id {left}',
                     str(holder.pid)):
            self.assertIn(name, text)
        self.assertIn(f'{pool["pages"]} pages in the pool = 10 held + 7 reserved '
                      f'+ {pool["pages"] - 17} free: balanced\n', text)
        self.check_metrics(pool)

    def check_metrics(self, pool):
        done = hugestat('--metrics')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        values = {}
        for line in done.stdout.splitlines():
            if not line.startswith('#'):
                name, value = line.rsplit(' ', 1)
                values[name] = int(value)
        self.assertTrue(done.stdout.endswith('# EOF\n'))
        for kind in ('process', 'file', 'shm'):
            self.assertEqual(
                values[f'hugestat_held_pages{{size="{PAGE}",kind="{kind}"}}'],
                pool['held'][f'{kind}_pages'])
        self.assertEqual(
            values[f'hugestat_orphaned_pages{{size="{PAGE}"}}'], 2)

    def test_metrics_of_names_that_are_no_text(self):
        """The collector takes UTF-8 alone, and each series once."""
        def work(comm):
            stat.LIBC.prctl(15, comm)        # PR_SET_NAME
            stat.touch(stat.map_pages(PAGE, PRIVATE), 1, PAGE)

        for comm in (b'\xff"\\', b'\xfe"\\', 'é"'.encode()):
            self.hold(lambda comm=comm: work(comm))
        done = subprocess.run([stat.HUGESTAT, '--metrics'], stdout=subprocess.PIPE,
                              check=True)
        lines = [line for line in done.stdout.decode('utf-8').splitlines()
                 if line.startswith('hugestat_process_held_bytes{')]
        series = [f'hugestat_process_held_bytes{{size="{PAGE}",comm="{comm}",user="root",'
                  f'container=""}} {bytes_}'
                  for comm, bytes_ in (('\ufffd\\"\\\\', 2 * PAGE), ('é\\"', PAGE))]
        self.assertEqual(sorted(lines), sorted(series))

    def test_a_directory_of_a_mount_elsewhere(self):
        """Here only a part of a file system is mounted; another name space has all."""
        part = tempfile.mkdtemp(prefix='hugestat-part-')
        self.addCleanup(os.rmdir, part)
        os.mkdir(os.path.join(self.where, 'sub'))
        self.addCleanup(os.rmdir, os.path.join(self.where, 'sub'))
        for name in ('sub/inside', 'outside'):
            fd = os.open(self.file(name), os.O_RDWR | os.O_CREAT, 0o600)
            os.posix_fallocate(fd, 0, PAGE)
            os.close(fd)
        script = 'mount --bind "$1/sub" "$2" && umount -l "$1" && exec "$3" --json'
        done = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh', self.where, part,
                               stat.HUGESTAT], stdout=subprocess.PIPE, check=True)
        found = json.loads(done.stdout)
        names = sorted(os.path.basename(r['name']) for r in found['holders'])
        self.assertEqual((names, of_pool(found)['held']['unknown_pages']),
                         (['inside', 'outside'], 0))

    # ---- without privilege ----

    def test_without_privilege(self):
        def work():
            stat.touch(stat.map_pages(3 * PAGE, PRIVATE), 2, PAGE)

        holder = self.hold(work)
        found = document(user=65534, group=65534, extra_groups=[])
        row = self.row(found, pid=holder.pid)
        self.assertEqual(row['state'], 'hidden')
        self.assertEqual(row['mapped_bytes'], 2 * PAGE)
        self.assertIsNone(row['held_bytes'])
        self.assertEqual(row['user'], 'root')
        pool = of_pool(found)
        self.assertEqual(pool['held']['unknown_pages'], 2)
        self.assertFalse(pool['balanced'])
        self.assertGreater(found['unseen']['processes_without_mappings'], 0)
        self.assertEqual(found['unseen']['hidden_bytes'], 2 * PAGE)
        text = hugestat(user=65534, group=65534, extra_groups=[]).stdout
        self.assertIn('no permission', text)
        self.assertIn('NOT balanced', text)

    def test_own_process_without_privilege(self):
        def work():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            # Else the process stays root's in /proc.
            LIBC_PRCTL(4, 1, 0, 0, 0)
            stat.touch(stat.map_pages(3 * PAGE, PRIVATE), 2, PAGE)

        holder = self.hold(work)
        found = document(user=65534, group=65534, extra_groups=[])
        row = self.row(found, pid=holder.pid)
        self.assertEqual(self.amounts(row), (2, 1))

    # ---- one process ----

    def test_pid(self):
        def work():
            at = stat.map_pages(5 * PAGE, PRIVATE)
            stat.touch(at, 3, PAGE)

        holder = self.hold(work)
        found = document(str(holder.pid))
        self.assertEqual(found['pid'], holder.pid)
        self.assertEqual(found['hugetlb_bytes'], 3 * PAGE)
        self.assertEqual(found['reserved_bytes'], 2 * PAGE)
        maps = [m for m in found['mappings'] if m['page_bytes'] == PAGE]
        self.assertEqual(len(maps), 1)
        self.assertEqual((maps[0]['length_bytes'], maps[0]['private_bytes'],
                          maps[0]['reserved_bytes'], maps[0]['flags']),
                         (5 * PAGE, 3 * PAGE, 2 * PAGE, 'private'))
        if os.path.exists('/proc/self/numa_maps'):
            nodes = dict(n.split(':') for n in maps[0]['nodes'].split(','))
            self.assertEqual(sum(map(int, nodes.values())), 3)
        self.assertFalse(found['library']['loaded'])
        text = hugestat(str(holder.pid)).stdout
        self.assertIn('libhugetlbfs2 is not loaded', text)

    # ---- reaping ----

    def orphan(self, name, pages=1):
        path = self.file(name)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.posix_fallocate(fd, 0, pages * PAGE)
        os.close(fd)
        return path

    def test_reap(self):
        os.mkdir(os.path.join(self.where, 'deep'))
        self.addCleanup(os.rmdir, os.path.join(self.where, 'deep'))
        gone = [self.orphan('one'), self.orphan('deep/two', 2)]
        used = self.file('used')

        def work():
            fd = os.open(used, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(fd, PAGE)
            stat.touch(stat.map_pages(PAGE, SHARED, fd), 1, PAGE)
            os.close(fd)

        self.hold(work)
        shown = hugestat('--reap', '--json')
        listed = json.loads(shown.stdout)['orphaned']
        mine = [r for r in listed if r['name'].startswith(self.where)]
        self.assertEqual(sorted(r['name'] for r in mine), sorted(gone))
        for path in gone:       # listed and still there
            self.assertTrue(os.path.exists(path))
        done = hugestat('--reap', '--yes')
        # Root may be kept from looking at others, and is told both times.
        self.assertEqual((done.returncode, done.stderr), (0, shown.stderr))
        self.assertIn('removed ', done.stdout)
        self.assertEqual([os.path.exists(p) for p in gone + [used]],
                         [False, False, True])

    def test_reap_asks_the_kernel(self):
        """A file in use that cannot be seen: by a user who sees no process."""
        if not os.access(self.where, os.X_OK):
            self.skipTest('no directory')
        os.chmod(self.where, 0o1777)
        path = self.file('not seen')

        def work():
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            os.ftruncate(fd, PAGE)
            stat.touch(stat.map_pages(PAGE, SHARED, fd), 1, PAGE)
            os.fchown(fd, 65534, 65534)
            os.close(fd)

        self.hold(work)
        done = hugestat('--reap', '--yes', user=65534, group=65534, extra_groups=[])
        self.assertEqual(done.returncode, 1, done)
        self.assertIn('is in use', done.stderr)
        for words in ['--reap'], ['--reap', '--yes']:
            done = hugestat(*words, user=65534, group=65534, extra_groups=[])
            self.assertIn('hugestat: not all processes could be seen: ', done.stderr)
        self.assertTrue(os.path.exists(path))

    # ---- again and again ----

    def test_watch(self):
        child = subprocess.Popen([stat.HUGESTAT, '--watch', '0.1', '--json'],
                                 stdout=subprocess.PIPE, env=ctl.environment())
        try:
            docs = [json.loads(child.stdout.readline()) for _ in range(3)]
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
        self.assertEqual(len(docs), 3)
        self.assertEqual(of_pool(docs[2])['pages'], self.machine.pool.total)


LIBC_PRCTL = stat.LIBC.prctl


def main():
    reason = machine.may_change()
    if reason:
        print(f'SKIP: {reason}')
        sys.exit(77)
    ctl.main()


main()
