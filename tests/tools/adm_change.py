#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugeadm changing machines that are directories: what it writes where, what it
leaves alone, and what it says. The kernel's own part is in adm_machine.py.
"""
import json
import os
import re
import shutil

import adm

THP = 'sys/kernel/mm/transparent_hugepage'
SYSCTL = 'etc/sysctl.d/60-hugeadm.conf'
UNITS = 'etc/systemd/system'


class Pools(adm.Case):
    """Node 0 has 64 pages of 2M, node 1 has 96; overcommit is 4."""

    def test_the_whole_pool(self):
        out = self.ok('--pool-pages-min', '2M:162')
        self.assertIn('2M pages: 160 -> 162', out)
        self.assertEqual((self.pool(), self.pool(node=0)), (162, 64))
        # the maximum stays
        self.assertEqual(self.pool(file='nr_overcommit_hugepages'), 2)
        self.assertEqual(self.ok('--pool-pages-min', '2M:162'), 'nothing to change\n')

    def test_nodes(self):
        out = self.ok('--pool-pages-min', '2M:25@0', '--pool-pages-min', '2M:75@1')
        self.assertEqual(out.splitlines(),
                         ['2M pages on node 0: 64 -> 25', '2M pages on node 1: 96 -> 75',
                          '2M overcommit: 4 -> 64'])
        self.assertEqual((self.pool(), self.pool(node=0), self.pool(node=1)),
                         (160, 25, 75))

    def test_lists_of_nodes(self):
        self.ok('--pool-pages-min', '2M:100@0-1')
        self.assertEqual((self.pool(node=0), self.pool(node=1)), (100, 100))
        self.ok('--pool-pages-min', '2M:7@all')
        self.assertEqual((self.pool(node=0), self.pool(node=1)), (7, 7))

    def test_counts(self):
        for count, want in (('5', 5), ('+5', 165), ('-5', 155), ('-500', 0), ('10M', 5),
                            ('11M', 6), ('1K', 1), ('+3M', 162), ('10%', 296),
                            ('0%', 0), ('0.5%', 14), ('1G', 512), ('0', 0)):
            with self.subTest(count):
                self.use(self.machine_name)
                self.ok('--pool-pages-min', f'2M:{count}')
                self.assertEqual(self.pool(), want)

    def test_sizes(self):
        for size in ('2M', '2MB', '2MiB', '2m', '2048K', '2097152', 'DEFAULT', 'default'):
            with self.subTest(size):
                self.use(self.machine_name)
                self.ok('--pool-pages-min', f'{size}:3')
                self.assertEqual(self.pool(), 3)

    def test_requests_count_in_their_order(self):
        self.ok('--pool-pages-min', '2M:+10', '--pool-pages-min', '2M:+10')
        self.assertEqual(self.pool(), 180)
        self.ok('--pool-pages-min', '2M:+10', '--pool-pages-min', '2M:5')
        self.assertEqual(self.pool(), 5)

    def test_maximum(self):
        self.ok('--pool-pages-max', '2M:200')
        self.assertEqual((self.pool(), self.pool(file='nr_overcommit_hugepages')),
                         (160, 40))
        self.says(adm.FAILURE, '--pool-pages-max', '2M:0', words=['below', '160'])
        self.ok('--pool-pages-max', '2M:50', '--pool-pages-min', '2M:20')
        self.assertEqual((self.pool(), self.pool(file='nr_overcommit_hugepages')),
                         (20, 30))
        self.ok('--overcommit', '2M:7')
        self.assertEqual(self.pool(file='nr_overcommit_hugepages'), 7)
        self.ok('--pool-pages-min', '2M:10')
        self.assertEqual(self.pool(file='nr_overcommit_hugepages'), 17)

    def test_maximum_and_overcommit_that_agree(self):
        self.ok('--pool-pages-max', '2M:200', '--overcommit', '2M:40')
        self.assertEqual((self.pool(), self.pool(file='nr_overcommit_hugepages')),
                         (160, 40))

    def test_the_maximum_of_nodes(self):
        """The total of a copy does not follow its nodes: their sum counts."""
        def over():
            return self.pool(file='nr_overcommit_hugepages')
        out = self.ok('--pool-pages-min', '2M:512@1', '--hard', '--persist')
        self.assertEqual(out.splitlines()[:2],
                         ['2M pages on node 1: 96 -> 512', '2M overcommit: 4 -> 0'])
        self.assertEqual(over(), 0)
        self.assertFalse(os.path.exists(self.path(SYSCTL)))
        self.use(self.machine_name)
        self.ok('--pool-pages-min', '2M:20@0')
        self.assertEqual(over(), 48)
        self.assertEqual(self.ok('--pool-pages-min', '2M:20@0'), 'nothing to change\n')
        self.ok('--pool-pages-min', '2M:10@1')
        self.assertEqual(over(), 134)

    def test_gigantic_pages_are_not_made_on_demand(self):
        for argv in (('--overcommit', '1G:4'), ('--pool-pages-max', '1G:3')):
            for dry in ((), ('-d',)):
                self.says(adm.FAILURE, *argv, *dry, words=['overcommit', '1G'])
        self.assertEqual(self.ok('--overcommit', '1G:0'), 'nothing to change\n')

    def test_a_node_whose_pages_may_come_by_demotion(self):
        """The kernel chooses the node: each that is asked for is looked at again."""
        self.put('sys/kernel/mm/hugepages/hugepages-1048576kB/demote_size', '2048kB\n')
        argv = ('--pool-pages-min', '2M:64@0', '--pool-pages-min', '2M:96@1')
        got = self.json('--demote', '1G:1', *argv, '-d')
        self.assertEqual([(c['what'], c.get('node'), c.get('asked')) for c in got['changes']][:3],
                         [('demote', None, 0), ('pool', 0, 64), ('pool', 1, 96)])
        self.assertEqual(self.ok(*argv), 'nothing to change\n')

    def test_no_overcommit_that_nobody_asked_for(self):
        self.ok('--overcommit', '2M:0')
        self.ok('--pool-pages-min', '2M:5')
        self.assertEqual(self.pool(file='nr_overcommit_hugepages'), 0)

    def test_what_can_never_fit(self):
        line = self.says(adm.PARTIAL, '--pool-pages-min', '2M:64G',
                         '--thp-never', words=['do not fit', '5.8 GiB', '160 of 32768'])
        self.assertNotIn('\n', line)
        self.says(adm.PARTIAL, '--pool-pages-min', '2M:18446744073709551615',
                  words=['more than can be counted'])
        self.put('sys/devices/system/node/node1/meminfo',
                 'Node 1 MemTotal: 3145728 kB\nNode 1 MemFree: 2000000 kB\n')
        self.says(adm.PARTIAL, '--pool-pages-min', '2M:2000@1', words=['node 1', '3 GiB'])

    def test_what_must_stay(self):
        """4371 MiB could be had, a fifth of 5937 MiB stays: 1591 pages more at most."""
        before = adm.snapshot(self.machine)
        out = self.ok('--pool-pages-min', '2M:1760', '--leave', '20%', '--dry-run',
                      status=adm.PARTIAL)
        self.assertIn('does not fit', out)
        self.assertEqual(adm.snapshot(self.machine), before)
        # A directory has no kernel that takes the memory away: no room at all.
        self.put('proc/meminfo', 'MemTotal: 6000000 kB\nMemAvailable: 150000 kB\n'
                 'MemFree: 150000 kB\nHugepagesize: 2048 kB\n')
        done = self.run_on('--pool-pages-min', '2M:200')
        self.assertEqual(done.returncode, adm.PARTIAL, done)
        self.assertRegex(done.stderr, r'^hugeadm: 2M pages: 160 of 200 .*: not enough '
                         r'memory: .*--leave\)\n$')
        self.assertEqual(self.pool(), 160)
        self.ok('--pool-pages-min', '2M:200', '--leave', '0')
        self.assertEqual(self.pool(), 200)

    def test_percentage_of_memory_that_is_not_known(self):
        """It is not a pool of no pages."""
        os.unlink(self.path('proc/meminfo'))
        for argv in (('--pool-pages-min', '2M:10%'), ('--overcommit', '2M:+10%'),
                     ('--pool-pages-min', '2M:5', '--leave', '10%')):
            self.says(adm.FAILURE, *argv, words=[argv[-2], 'not known'])

    def test_a_pool_that_does_not_grow(self):
        """A file that keeps its value, as the kernel's may."""
        path = self.path(adm.HUGE, 'nr_hugepages')
        os.unlink(path)
        os.symlink('/dev/full', path)
        done = self.run_on('--pool-pages-min', '2M:5')
        self.assertNotEqual(done.returncode, adm.OK)
        self.assertEqual(done.stderr.count('\n'), 1, done.stderr)

    def test_dry_run(self):
        before = adm.snapshot(self.machine)
        for argv in (('--pool-pages-min', '2M:300@1'), ('--pool-pages-max', '2M:500'),
                     ('--pool-pages-min', '2M:5'), ('--thp-never',), ('--overcommit', '2M:9'),
                     ('--create-mounts', '--create-user-mounts', 'root'),
                     ('--persist',), ('--persist', '--pool-pages-min', '2M:5@0'),
                     ('--drop-caches', '--compact'), ('--pool-pages-min', '1G:0', '--json')):
            for dry in ('--dry-run', '-d'):
                with self.subTest(argv=argv):
                    self.assertNotEqual(self.ok(*argv, dry), '')
                    self.assertEqual(adm.snapshot(self.machine), before)
        out = self.ok('--pool-pages-min', '2M:672', '-d')
        self.assertIn('would do: 2M pages: 160 -> 672', out)
        self.assertIn('pools take 1 GiB, 3.3 GiB stays for the rest', out)

    def test_json_of_a_change(self):
        got = self.json('--pool-pages-min', '2M:200@0', '--thp-never')
        self.assertEqual((got['changed'], got['status'], got['dry_run']), (True, 0, False))
        by = {c['what']: c for c in got['changes']}
        self.assertEqual(by['pool'], {
            'what': 'pool', 'page_bytes': 2 << 20, 'node': 0, 'before': 64,
            'asked': 200, 'reached': 200, 'result': 'done'})
        self.assertEqual(by['setting']['before'], 'always')
        self.put(f'{THP}/enabled', 'always madvise [never]')
        got = self.json('--pool-pages-min', '2M:200@0', '--thp-never')
        self.assertEqual((got['changed'], got['changes']), (False, []))
        got = json.loads(self.run_on('--pool-pages-min', '2M:64G', '--json').stdout)
        self.assertEqual((got['changed'], got['status']), (False, adm.PARTIAL))
        self.assertIn('do not fit', got['refused'])

    def test_quiet(self):
        self.assertEqual(self.ok('--pool-pages-min', '2M:5', '-q'), '')
        self.assertEqual(self.ok('--pool-pages-min', '2M:6', '--verbose', '0'), '')
        self.assertEqual(self.pool(), 6)

    def test_other_base_pages(self):
        self.use('arm64-64k')
        self.ok('--pool-pages-min', 'DEFAULT:3@1')
        self.assertEqual(self.pool(524288, node=1), 3)
        self.ok('--pool-pages-min', '16G:0')
        self.assertEqual(self.pool(16777216), 0)

    def test_sparse_nodes(self):
        self.use('x86-sparse-nodes')
        self.ok('--pool-pages-min', '2M:3@all')
        self.assertEqual([self.pool(node=n) for n in (0, 2, 5)], [3, 3, 3])
        self.says(adm.USAGE, '--pool-pages-min', '2M:3@1', words=['no node 1'])


class Settings(adm.Case):
    def setUp(self):
        super().setUp()
        for path, text in (
                ('hugepages-64kB/enabled', 'always inherit madvise [never]'),
                ('hugepages-64kB/shmem_enabled', 'always inherit within_size advise [never]'),
                ('shmem_enabled', 'always within_size advise [never] deny force'),
                ('khugepaged/pages_to_scan', '4096'), ('khugepaged/defrag', '1'),
                ('khugepaged/scan_sleep_millisecs', '10000'),
                ('khugepaged/alloc_sleep_millisecs', '60000'),
                ('khugepaged/max_ptes_none', '511')):
            self.put(f'{THP}/{path}', text + '\n')
        for name, text in (('hugetlb_shm_group', '0'), ('min_free_kbytes', '1000'),
                           ('hugetlb_optimize_vmemmap', '0'), ('compact_memory', ''),
                           ('drop_caches', '')):
            self.put(f'proc/sys/vm/{name}', text + '\n')
        self.put('proc/sys/kernel/shmmax', '1000\n')
        self.put('sys/devices/system/node/node1/compact', '\n')
        self.put('proc/buddyinfo', 'Node 0, zone Normal 1 2 3\nNode 1, zone Normal 1 2\n')

    def test_each(self):
        for argv, path, want in (
                (['--thp-always'], f'{THP}/enabled', None),
                (['--thp-madvise'], f'{THP}/enabled', 'madvise'),
                (['--thp-never'], f'{THP}/enabled', 'never'),
                (['--thp-defrag', 'never'], f'{THP}/defrag', 'never'),
                (['--thp-shmem', 'advise'], f'{THP}/shmem_enabled', 'advise'),
                (['--thp-shmem', '64K:within_size'],
                 f'{THP}/hugepages-64kB/shmem_enabled', 'within_size'),
                (['--thp-size', '64K:madvise'], f'{THP}/hugepages-64kB/enabled', 'madvise'),
                (['--thp-khugepaged-pages', '7'], f'{THP}/khugepaged/pages_to_scan', '7'),
                (['--thp-khugepaged-scan-sleep', '8'],
                 f'{THP}/khugepaged/scan_sleep_millisecs', '8'),
                (['--thp-khugepaged-alloc-sleep', '9'],
                 f'{THP}/khugepaged/alloc_sleep_millisecs', '9'),
                (['--thp-khugepaged', 'max_ptes_none=0'],
                 f'{THP}/khugepaged/max_ptes_none', '0'),
                (['--thp-khugepaged', 'defrag=off'], f'{THP}/khugepaged/defrag', '0'),
                (['--hvo', 'on'], 'proc/sys/vm/hugetlb_optimize_vmemmap', '1'),
                (['--set-shm-group', '5'], 'proc/sys/vm/hugetlb_shm_group', '5'),
                (['--min-free-kbytes', '2000'], 'proc/sys/vm/min_free_kbytes', '2000'),
                (['--set-recommended-min_free_kbytes'], 'proc/sys/vm/min_free_kbytes',
                 str(2 * 11 * 2048)),
                # 164 pages of 2M at most, one of 1G
                (['--set-recommended-shmmax'], 'proc/sys/kernel/shmmax',
                 str((164 << 21) + (1 << 30))),
                (['--compact'], 'proc/sys/vm/compact_memory', '1'),
                (['--compact', '1'], 'sys/devices/system/node/node1/compact', '1'),
                (['--compact=1'], 'sys/devices/system/node/node1/compact', '1'),
                (['--drop-caches'], 'proc/sys/vm/drop_caches', '3')):
            with self.subTest(argv=argv):
                self.setUp()
                before = adm.snapshot(self.machine)
                out = self.ok(*argv)
                after = adm.snapshot(self.machine)
                changed = [p for p in after if after[p] != before.get(p)]
                if want is None:
                    self.assertEqual((out, changed), ('nothing to change\n', []))
                else:
                    self.assertEqual(changed, [self.path(path)])
                    self.assertEqual(self.get(path), want)

    def test_recommendations_never_lower(self):
        self.put('proc/sys/kernel/shmmax', '18446744073692774399\n')
        self.put('proc/sys/vm/min_free_kbytes', '999999\n')
        self.assertEqual(self.ok('--set-recommended-shmmax',
                                 '--set-recommended-min_free_kbytes'), 'nothing to change\n')

    def test_the_group_by_name(self):
        with open('/etc/group', encoding='utf-8') as f:
            name, gid = [(l.split(':')[0], l.split(':')[2]) for l in f][2]
        self.ok('--set-shm-group', name)
        self.assertEqual(self.get('proc/sys/vm/hugetlb_shm_group'), gid)

    def test_one_failure_does_not_stop_the_rest(self):
        path = self.path(f'{THP}/khugepaged/max_ptes_none')
        os.chmod(path, 0o444)
        if os.geteuid() == 0:
            os.unlink(path)
            os.symlink('/proc/version', path)  # nobody can write that
        done = self.run_on('--thp-defrag', 'never', '--thp-khugepaged', 'max_ptes_none=5',
                           '--hvo', 'on')
        self.assertEqual((done.returncode, done.stderr.count('\n')), (adm.PARTIAL, 1), done)
        self.assertEqual(self.get('proc/sys/vm/hugetlb_optimize_vmemmap'), '1')


class Files(adm.Case):
    STATE = ('# a machine\n[pool 2M]\nnode 0 = 10\nnode 1=20\nmaximum = 50\n; more\n'
             '[pool DEFAULT]\n[thp]\n enabled = never \n[mount /huge pages]\n'
             'mode = 0700\nsize = 50%\nuser = 0\n')

    def test_ini(self):
        """Twice is once. The mount alone cannot be made in a directory."""
        text = self.STATE[:self.STATE.index('[mount')].replace('maximum = 50\n', '')
        self.put('state.conf', text)
        self.ok('--apply', self.path('state.conf'))
        self.assertEqual((self.pool(node=0), self.pool(node=1)), (10, 20))
        self.assertEqual(self.get(f'{THP}/enabled'), 'never')
        before = adm.snapshot(self.machine)
        self.assertEqual(self.ok('--apply', self.path('state.conf')), 'nothing to change\n')
        self.assertEqual(adm.snapshot(self.machine), before)

    def test_standard_input(self):
        with open(self.path('in'), 'w+', encoding='utf-8') as f:
            f.write('[pool 2M]\nminimum = 3\n')
            f.seek(0)
            self.ok('--apply', '-', stdin=f)
        self.assertEqual(self.pool(), 3)

    def test_mounts_are_planned(self):
        self.put('state.conf', self.STATE)
        out = self.ok('--apply', self.path('state.conf'), '--dry-run')
        self.assertIn('would do: mount /huge pages: pagesize=2M,mode=0700,uid=0,gid=0,'
                      'size=50%', out)
        done = self.run_on('--create-mounts=2M')
        self.assertEqual(done.returncode, adm.FAILURE)
        self.assertIn('below --sysroot', done.stderr)

    def test_a_mount_that_is_there(self):
        self.put('proc/self/mountinfo',
                 '1 1 0:9 / /huge\\040pages rw - hugetlbfs none rw,pagesize=2M,'
                 'mode=700,size=167772160\n')
        self.put('state.conf', self.STATE[self.STATE.index('[mount'):])
        self.assertEqual(self.ok('--apply', self.path('state.conf')), 'nothing to change\n')
        self.put('state.conf', '[mount /huge pages]\nmode = 0770\nsize = 50%')
        self.assertIn('change owner', self.ok('--apply', self.path('state.conf'), '-d'))
        self.put('state.conf', '[mount /huge pages]\nmode = 0700\nsize = 40%')
        self.assertIn('mount anew', self.ok('--apply', self.path('state.conf'), '-d'))
        self.assertIn('unmount /huge pages', self.ok('--remove-mount', '/huge pages', '-d'))
        self.says(adm.FAILURE, '--remove-mount', '/other', '-d',
                  words=['no hugetlbfs mount at /other'])
        self.assertEqual(self.ok('--remove-mounts', '-d'), 'nothing to change\n')

    def mounted(self, *mounts):
        self.put('proc/self/mountinfo', ''.join(
            f'{i} 1 0:9 / {path} rw - hugetlbfs none rw,pagesize=2M,{options}\n'
            for i, (path, options) in enumerate(mounts)))

    def test_limits_that_are_not_asked_for_stay(self):
        path = '/var/lib/hugetlbfs/pagesize-2MB'
        limits = 'mode=770,size=8388608,nr_inodes=9,min_size=2097152'
        self.mounted((path, limits))
        self.assertEqual(self.ok('--create-mounts=2M'), 'nothing to change\n')
        self.assertEqual(self.ok('--create-mounts=2M', '--mount-base', '//var/lib/./hugetlbfs/'),
                         'nothing to change\n')
        out = self.ok('--create-mounts=2M', '--max-size', '16M', '-d')
        self.assertIn('mount anew', out)
        self.assertIn('size=16M,min_size=2097152,nr_inodes=9', out)
        out = self.ok('--create-mounts=2M', '--max-size', 'none', '-d')
        self.assertIn('gid=0,min_size=2097152,nr_inodes=9', out)
        # JSON says of each limit whether there is one
        self.put('state.json', json.dumps({'mounts': self.json('--list-all-mounts')['mounts']}))
        self.mounted((path, limits + ',x'))
        self.assertEqual(self.ok('--apply', self.path('state.json')), 'nothing to change\n')
        self.put('state.json', self.get('state.json').replace('8388608', 'null'))
        self.assertIn('gid=0,min_size=2097152,nr_inodes=9',
                      self.ok('--apply', self.path('state.json'), '-d'))

    def test_files_of_a_mount_are_not_lost(self):
        path = '/var/lib/hugetlbfs/pagesize-2MB'
        self.mounted((path, 'mode=770,size=8388608'))
        self.put(path[1:] + '/precious', 'x')
        for dry in ((), ('-d',)):
            self.says(adm.FAILURE, '--create-mounts=2M', '--max-size', '16M', *dry,
                      '--thp-never', words=[path, 'not empty', 'size=8388608'])
        self.assertEqual(self.ok('--create-mounts=2M', '--max-size', '8M'),
                         'nothing to change\n')
        os.unlink(self.path(path[1:], 'precious'))
        self.assertIn('mount anew', self.ok('--create-mounts=2M', '--max-size', '16M', '-d'))

    def test_a_place_is_mounted_once(self):
        once = 'would do: mount /var/lib/hugetlbfs/pagesize-2MB: '
        for argv in (('--create-mounts=2M', '--create-mounts=DEFAULT'),
                     ('--create-mounts=2M,2097152,2M',)):
            self.assertEqual(self.ok(*argv, '-d').count(once), 1)
        self.put('state.conf', '[mount /var/lib/hugetlbfs/pagesize-2MB]\nmode = 0700\n')
        self.says(adm.USAGE, '--create-mounts=2M', '--apply', self.path('state.conf'),
                  words=['to be mounted with', 'mode=0770', 'state.conf:1', 'mode=0700'])

    def test_removed_and_made_in_one_call(self):
        path = '/var/lib/hugetlbfs/pagesize-2MB'
        self.mounted((path, 'mode=770'), ('/var/lib/hugetlbfs/x', 'mode=770'))
        for argv in (('--create-mounts=2M', '--remove-mounts'),
                     ('--remove-mounts', '--create-mounts=2M')):
            self.assertEqual(self.ok(*argv, '-d').splitlines(), [
                'would do: unmount /var/lib/hugetlbfs/x', f'would do: unmount {path}',
                f'would do: mount {path}: pagesize=2M,mode=0770,uid=0,gid=0'])

    def test_what_a_file_does_not_say_of_a_mount_stays(self):
        self.put('proc/self/mountinfo', '1 1 0:9 / /srv rw - hugetlbfs none '
                 'rw,pagesize=1024M,mode=700,uid=7,gid=8\n')
        self.put('state.conf', '[mount /srv]\nuser = 7\n')
        self.assertEqual(self.ok('--apply', self.path('state.conf')), 'nothing to change\n')
        self.put('state.conf', '[mount /srv]\nsize = 2G\n')
        self.assertIn('/srv: pagesize=1G,mode=0700,uid=7,gid=8,size=2G',
                      self.ok('--apply', self.path('state.conf'), '-d'))

    def test_json_of_mounts_over_each_other(self):
        self.mounted(('/mnt', 'mode=770'), ('/x', 'mode=700'), ('/mnt', 'mode=700'))
        self.put('state.json', json.dumps({'mounts': self.json('--list-all-mounts')['mounts']}))
        self.assertEqual(self.ok('--apply', self.path('state.json')), 'nothing to change\n')

    def test_a_path_of_several_lines(self):
        self.mounted(('/a\\012b', 'mode=770'))
        self.assertEqual(self.ok('--remove-mount', '/a\nb', '-d'),
                         'would do: unmount /a\\012b\n')
        self.assertEqual(self.ok('--create-mounts=2M', '--mount-base', '/c\nd', '-d').count('\n'),
                         1)

    def test_which_mounts_are_removed(self):
        self.mounted(('/mnt', 'mode=770'), ('/mnt', 'mode=700'), ('/mnt2', 'mode=770'))
        for path in ('/mnt', '/mnt/', '//mnt/.'):
            self.assertEqual(self.ok('--remove-mount', path, '-d'),
                             'would do: unmount /mnt\n' * 2)
        self.assertEqual(self.ok('--remove-mount', '/mnt2/', '--remove-mount', '/mnt2', '-d'),
                         'would do: unmount /mnt2\n')
        self.assertEqual(self.ok('--remove-mounts', '--mount-base', '/mnt/', '-d'),
                         'nothing to change\n')

    def test_json_brings_back(self):
        """A changed machine, and back to what --json printed before."""
        self.put('state.json', self.run_on('--json').stdout)
        before = self.json('--pool-list')
        self.ok('--pool-pages-min', '2M:5@0', '--pool-pages-min', '2M:6@1',
                '--overcommit', '2M:0')
        self.ok('--apply', self.path('state.json'))
        self.assertEqual(self.json('--pool-list'), before)


def exec_lines(text):
    return re.findall(r"^ExecStart=-/bin/sh -c 'echo (.*) >(.*)'$", text, re.M)


class Persist(adm.Case):
    def restart(self):
        """What a boot makes of the files: a fresh machine and their values."""
        etc = os.path.join(self.where, 'etc')
        shutil.rmtree(etc, ignore_errors=True)
        shutil.copytree(self.path('etc'), etc, symlinks=True)
        self.use(self.machine_name)
        if os.path.exists(os.path.join(etc, 'sysctl.d/60-hugeadm.conf')):
            with open(os.path.join(etc, 'sysctl.d/60-hugeadm.conf'), encoding='utf-8') as f:
                for key, value in re.findall(r'^([a-z._]+) = (.*)$', f.read(), re.M):
                    self.put('proc/sys/' + key.replace('.', '/'), value)
        unit = os.path.join(etc, 'systemd/system/hugeadm.service')
        if os.path.exists(unit):
            with open(unit, encoding='utf-8') as f:
                for value, path in exec_lines(f.read()):
                    self.put(path[1:], value)

    def test_nodes(self):
        self.ok('--pool-pages-min', '2M:25@0', '--persist')
        self.ok('--pool-pages-min', '2M:75@1', '--persist', '--thp-never')
        self.restart()
        self.assertEqual((self.pool(node=0), self.pool(node=1)), (25, 75))
        self.assertEqual(self.get(f'{THP}/enabled'), 'never')

    def test_the_whole_pool(self):
        self.ok('--pool-pages-min', 'DEFAULT:162', '--pool-pages-min', '1G:0', '--persist')
        self.assertEqual(self.get(SYSCTL).splitlines()[1:],
                         ['vm.nr_hugepages = 162', 'vm.nr_overcommit_hugepages = 2'])
        self.restart()
        self.assertEqual(self.get('proc/sys/vm/nr_hugepages'), '162')
        self.assertEqual(self.pool(1048576), 0)

    def test_from_whole_to_nodes_and_back(self):
        self.ok('--pool-pages-min', '2M:200', '--persist')
        self.assertIn('vm.nr_hugepages = 200', self.get(SYSCTL))
        self.ok('--pool-pages-min', '2M:50@0', '--persist')
        self.assertFalse(os.path.exists(self.path(SYSCTL)))
        self.assertEqual([v for v, _ in exec_lines(self.get(f'{UNITS}/hugeadm.service'))],
                         ['50', '96'])
        self.ok('--pool-pages-min', '2M:30', '--persist')
        self.assertIn('vm.nr_hugepages = 30', self.get(SYSCTL))
        self.assertFalse(os.path.exists(self.path(f'{UNITS}/hugeadm.service')))

    def test_an_overcommit_that_changed_is_not_left_there(self):
        self.ok('--overcommit', '2M:7', '--persist')
        self.assertIn('vm.nr_overcommit_hugepages = 7', self.get(SYSCTL))
        self.ok('--pool-pages-min', '2M:200', '--persist')
        self.assertIn('vm.nr_overcommit_hugepages = 0', self.get(SYSCTL))

    def test_it_is_enabled(self):
        self.ok('--pool-pages-min', '2M:5@0', '--persist')
        link = self.path(f'{UNITS}/sysinit.target.wants/hugeadm.service')
        self.assertEqual(os.readlink(link), '../hugeadm.service')

    def test_twice(self):
        argv = ('--pool-pages-min', '2M:5@0', '--thp-never', '--persist')
        self.ok(*argv)
        before = adm.snapshot(self.machine)
        self.put(f'{THP}/enabled', 'always madvise [never]')
        out = self.ok(*argv)
        self.assertIn('nothing to change', out)
        self.assertIn('as it was', out)
        after = adm.snapshot(self.machine)
        after[self.path(f'{THP}/enabled')] = before[self.path(f'{THP}/enabled')]
        self.assertEqual(after, before)

    def test_everything(self):
        self.put('proc/self/mountinfo',
                 '1 1 0:9 / /var/lib/hugetlbfs/a-b\\040c%d rw - hugetlbfs none '
                 'rw,pagesize=1024M,mode=700,uid=5,nr_inodes=9,min_size=1073741824\n'
                 '1 1 0:9 / /dev/hugepages rw - hugetlbfs none rw,pagesize=2M\n')
        self.ok('--persist')
        units = sorted(n for n in os.listdir(self.path(UNITS)) if n.endswith('.mount'))
        self.assertEqual(units, ['var-lib-hugetlbfs-a\\x2db\\x20c\\x25d.mount'])
        text = self.get(f'{UNITS}/{units[0]}')
        self.assertIn('Where=/var/lib/hugetlbfs/a-b c%%d\n', text)
        self.assertIn('Options=nosuid,nodev,pagesize=1G,mode=0700,uid=5,gid=0,'
                      'min_size=1073741824,nr_inodes=9\n', text)
        self.restart()
        self.assertEqual((self.pool(node=0), self.pool(1048576, node=0)), (64, 1))

    MOUNT = ('1 1 0:9 / /var/lib/hugetlbfs/a rw - hugetlbfs none '
             'rw,pagesize=2M,mode=770,min_size=2097152\n')
    UNIT = f'{UNITS}/var-lib-hugetlbfs-a.mount'

    def after(self):
        return re.findall(r'^After=(.*)$', self.get(self.UNIT), re.M)

    def test_mounts_come_after_the_pool(self):
        """Pages are set aside for them, or their size is a part of the pool."""
        self.use('x86-one-node')
        self.put('proc/self/mountinfo', self.MOUNT)
        self.put('state.conf', '[mount /var/lib/hugetlbfs/a]\nmode = 770\n')
        state = ('--apply', self.path('state.conf'))
        self.ok(*state, '--persist', '--pool-pages-min', 'DEFAULT:5')
        self.assertFalse(os.path.exists(self.path(f'{UNITS}/hugeadm.service')))
        self.assertEqual(self.after(), ['systemd-sysctl.service'])
        # whichever was first
        out = self.ok('--thp-never', '--persist')
        self.assertIn('a.mount: written', out)
        self.assertEqual(self.after(), ['systemd-sysctl.service hugeadm.service'])
        text = self.get(self.UNIT)
        self.assertNotIn('a.mount: written', self.ok(*state, '--persist', '--thp-never'))
        self.assertEqual(self.get(self.UNIT), text)

    def test_the_unit_of_a_mount_that_stays_is_kept(self):
        self.put('proc/self/mountinfo', self.MOUNT)
        self.ok('--persist')
        for argv in (('--remove-mounts',), ('--remove-mount', '/var/lib/hugetlbfs/a')):
            done = self.run_on(*argv, '--thp-never', '--persist')
            self.put(f'{THP}/enabled', '[always] madvise never')
            self.assertEqual(done.returncode, adm.PARTIAL, done)
            self.assertTrue(os.path.exists(self.path(self.UNIT)))
        self.assertIn(f'would remove /{self.UNIT}', self.ok('--remove-mounts', '--persist', '-d'))

    def test_refused_is_not_persisted(self):
        self.says(adm.PARTIAL, '--pool-pages-min', '2M:64G', '--persist')

    def test_what_others_wrote_stays(self):
        self.put(SYSCTL, '# ours\nvm.swappiness = 5\n')
        self.put('etc/sysctl.d/90-other.conf', 'vm.nr_hugepages=7\n')
        out = self.run_on('--pool-pages-min', '2M:5', '--persist')
        self.assertIn('vm.swappiness = 5', self.get(SYSCTL))
        self.assertIn('/etc/sysctl.d/90-other.conf sets vm.nr_hugepages', out.stderr)
        self.assertEqual(self.get('etc/sysctl.d/90-other.conf'), 'vm.nr_hugepages=7')

    def test_what_came_to_nothing_is_not_everything(self):
        before = adm.snapshot(self.machine)
        self.put('empty.conf', '# nothing\n')
        before[self.path('empty.conf')] = b'# nothing\n'
        for argv in (('--remove-mounts',), ('--remove-mounts', '--compact'),
                     ('--apply', self.path('empty.conf'))):
            self.run_on(*argv, '--persist')
            after = adm.snapshot(self.machine)
            self.assertEqual([p for p in after if p not in before and '/etc/' in p], [], argv)

    def test_settings_that_win_over_ours(self):
        """Files are read in the order of their names, from four directories."""
        wins = 'usr/lib/sysctl.d/90-package.conf', 'run/sysctl.d/95-b.conf'
        for path, text in ((wins[0], '-vm/nr_hugepages = 7\n'),
                           (wins[1], ' vm.nr_hugepages=7\n'),
                           ('usr/lib/sysctl.d/50-a.conf', 'vm.nr_hugepages = 7\n'),
                           ('usr/lib/sysctl.d/91-x.conf', '# vm.nr_hugepages = 7\n'
                            'vm.nr_hugepages_mempolicy = 7\nkernel.x\n'),
                           ('usr/lib/sysctl.d/92-hidden.conf', 'vm.nr_hugepages = 7\n'),
                           ('etc/sysctl.d/92-hidden.conf', '\n')):
            self.put(path, text)
        err = self.run_on('--pool-pages-min', '2M:5', '--persist').stderr
        self.assertEqual(sorted(err.splitlines()), sorted(
            f'hugeadm: /{path} sets vm.nr_hugepages as well, and is read after /{SYSCTL}'
            for path in wins))

    def test_what_is_printed(self):
        argv = ('--persist', '--pool-pages-min', '2M:70@0')
        got = self.json(*argv, '-d')
        self.assertEqual(got['files'], [{'path': f'/{UNITS}/hugeadm.service',
                                         'result': 'planned'}])
        got = self.json(*argv)
        self.assertEqual(got['files'][0]['result'], 'written')
        self.assertIn('hugepages=0:70,1:96', got['boot_parameters'])
        self.assertEqual(self.json(*argv)['files'][0]['result'], 'unchanged')
        self.assertEqual(self.ok(*argv[:2], '2M:71@0', '-q'), '')

    def test_dry_run_foresees_the_files(self):
        """They are as they were only if nothing of the plan would be in them."""
        self.put('sys/kernel/mm/hugepages/hugepages-1048576kB/demote_size', '2048kB\n')
        self.put('proc/self/mountinfo', self.MOUNT)
        self.put('state.conf', '[mount /var/lib/hugetlbfs/a]\nmode = 770\n')
        apply = ('--apply', self.path('state.conf'))
        self.ok('--persist', '--pool-pages-min', '2M:64@0', '--thp-madvise', '--overcommit',
                '2M:4', *apply)
        self.put(f'{THP}/enabled', 'always [madvise] never\n')
        written = {'unit': f'would write /{UNITS}/hugeadm.service\n',
                   'sysctl': f'would write /{SYSCTL}\n', 'mount': 'a.mount\n'}
        for argv, want in ((('--pool-pages-min', '2M:64@0', '--thp-madvise'), []),
                           (('--pool-pages-min', '2M:65@0'), ['sysctl', 'unit']),
                           (('--pool-pages-min', '2M:100'), ['sysctl', 'unit']),
                           (('--overcommit', '2M:5'), ['sysctl']),
                           (('--thp-never',), ['unit']),
                           (('--demote', '1G:1@0'), ['sysctl', 'unit']),
                           (apply, []),
                           ((*apply, '--remove-mounts'), ['mount'])):
            with self.subTest(argv=argv):
                out = self.ok('--persist', '-d', '--pool-list', *argv)
                self.assertEqual([k for k in sorted(written) if written[k] in out], want, out)
                self.assertIn('2097152      160      160      164', out)
        self.put('state.conf', '[mount /var/lib/hugetlbfs/a]\nmode = 0700\n')
        self.assertIn(f'would write {self.UNIT}'.replace('etc', '/etc', 1),
                      self.ok('--persist', '-d', *apply))

    def test_a_mount_that_is_read_only(self):
        self.put('proc/self/mountinfo', self.MOUNT.replace(' rw - ', ' ro - '))
        self.ok('--persist')
        self.assertIn('Options=ro,nosuid', self.get(self.UNIT))

    def test_a_path_that_no_unit_can_have(self):
        for end in ('\\134', '\\040', '\\012x'):
            self.put('proc/self/mountinfo', self.MOUNT.replace('/a ', f'/a{end} '))
            done = self.run_on('--persist')
            self.assertEqual(done.returncode, adm.FAILURE, done)
            self.assertIn('a unit cannot have such a path', done.stderr)
            self.assertFalse(os.path.exists(self.path(self.UNIT)))

    def test_units_are_what_systemd_reads(self):
        if not shutil.which('systemd-escape') or not shutil.which('systemd-analyze'):
            self.skipTest('no systemd here')
        self.put('proc/self/mountinfo',
                 '1 1 0:9 / /var/lib/hugetlbfs/.a//b-é rw - hugetlbfs none rw,pagesize=2M\n')
        self.ok('--persist')
        done = adm.subprocess.run(
            ['systemd-escape', '-p', '--suffix=mount', '/var/lib/hugetlbfs/.a//b-é'],
            stdout=adm.subprocess.PIPE, text=True, check=True)
        self.assertTrue(os.path.exists(self.path(UNITS, done.stdout.strip())))


class Boot(adm.Case):
    def test_parameters(self):
        self.assertEqual(self.ok('--boot-parameters'),
                         'hugepagesz=2M hugepages=0:64,1:96 hugepagesz=1G hugepages=0:1\n')
        self.put('proc/cmdline', 'quiet default_hugepagesz=1G x=y\n')
        self.put('proc/sys/vm/hugetlb_optimize_vmemmap', '1\n')
        self.assertEqual(self.ok('--boot-parameters'),
                         'default_hugepagesz=1G hugepagesz=2M hugepages=0:64,1:96 '
                         'hugepagesz=1G hugepages=0:1 hugetlb_free_vmemmap=on\n')

    def test_none(self):
        self.use('no-hugetlb')
        self.ok('--boot-parameters', err='hugeadm: no pool has pages: there is nothing to '
                'put on the kernel\'s command line\n')


if __name__ == '__main__':
    adm.main()
