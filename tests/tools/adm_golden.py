#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugeadm over captured machines, against what was written down in adm_golden/:
NAME.txt has the lists and --explain, NAME.json what --json prints.

  adm_golden.py           compares
  adm_golden.py --write   writes what it prints now (look at the difference)
"""
import json
import os
import shutil
import sys

import adm

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'adm_golden')
MACHINES = ('x86-one-node', 'x86-two-nodes', 'x86-sparse-nodes', 'arm64-64k',
            'no-hugetlb', 'many-mounts', 'cgroup-v2-nested')
LISTS = (('--pool-list',), ('--pool-list', '--per-node'), ('--page-sizes',),
         ('--page-sizes-all',), ('--list-all-mounts',), ('--boot-parameters',),
         ('--explain',))


def texts(name):
    out = []
    for options in LISTS:
        done = adm.hugeadm('--sysroot', os.path.join(adm.SYSROOTS, name), *options)
        out.append(f'$ hugeadm {" ".join(options)}\n{done.stdout}{done.stderr}'
                   f'status {done.returncode}\n')
    return '\n'.join(line.rstrip() for line in '\n'.join(out).split('\n'))


def as_json(name):
    done = adm.hugeadm('--sysroot', os.path.join(adm.SYSROOTS, name), '--json')
    assert (done.returncode, done.stderr) == (0, ''), done
    json.loads(done.stdout)
    return done.stdout


def golden(name, ending):
    with open(os.path.join(HERE, name + ending), encoding='utf-8') as f:
        return f.read()


class Golden(adm.Case):
    def test_text(self):
        for name in MACHINES:
            with self.subTest(name):
                self.assertEqual(texts(name), golden(name, '.txt'))

    def test_json(self):
        for name in MACHINES:
            with self.subTest(name):
                self.assertEqual(as_json(name), golden(name, '.json'))

    def test_a_machine_is_what_it_is(self):
        """--apply of what --json printed changes nothing, anywhere."""
        for name in MACHINES:
            with self.subTest(name):
                self.use(name)
                self.put('state.json', as_json(name))
                before = adm.snapshot(self.machine)
                self.assertEqual(self.ok('--apply', self.path('state.json')),
                                 'nothing to change\n')
                self.assertEqual(adm.snapshot(self.machine), before)

    def test_all_lists_in_one_object(self):
        got = self.json('--pool-list', '--page-sizes', '--list-all-mounts',
                        '--boot-parameters')
        self.assertEqual(set(got), {'pools', 'usable_page_sizes', 'mounts',
                                    'boot_parameters'})

    def test_mountinfo_of_2_mb(self):
        line = ('{} 1 0:{} / /srv/{} rw,relatime shared:{} - overlay overlay '
                'rw,lowerdir=' + 'x' * 150 + '\n')
        text = ''.join(line.format(n, n, n, n) for n in range(9000))
        self.assertGreater(len(text), 2_000_000)
        self.put('proc/self/mountinfo', text +
                 '9 1 0:9 / /huge\\040pages rw - hugetlbfs none rw,pagesize=2M\n')
        out = self.ok('--list-all-mounts').splitlines()
        self.assertEqual(len(out), 2)
        self.assertIn('/huge pages', out[1])

    def test_thousands_of_hugetlbfs_mounts(self):
        text = ''.join(f'{n} 1 0:{n} / /mnt/{n} rw - hugetlbfs n rw,pagesize=2M\n'
                       for n in range(5000))
        self.put('proc/self/mountinfo', text)
        self.assertEqual(len(self.ok('--list-all-mounts').splitlines()), 5001)
        self.assertEqual(len(self.json('--list-all-mounts')['mounts']), 5000)

    def test_unknown_entries(self):
        """What a later kernel may have beside what is known."""
        before = self.json()
        for path in ('sys/kernel/mm/hugepages/hugepages-oddkB/nr_hugepages',
                     'sys/kernel/mm/hugepages/hugepages-3kB/nr_hugepages',
                     'sys/kernel/mm/hugepages/new/x',
                     'sys/kernel/mm/hugepages/hugepages-2048kB/new_file',
                     'sys/devices/system/node/node0/hugepages/hugepages-9kB/nr_hugepages',
                     'sys/devices/system/node/nodeX/meminfo',
                     'sys/kernel/mm/transparent_hugepage/new_setting',
                     'sys/kernel/mm/transparent_hugepage/hugepages-new/enabled'):
            self.put(path, '7\n')
        self.assertEqual(self.json(), before)
        self.put('sys/kernel/mm/transparent_hugepage/enabled',
                 'always madvise [sometimes] never\n')
        self.assertEqual(self.json()['thp']['enabled'], 'sometimes')

    def test_files_that_cannot_be(self):
        self.put('proc/meminfo', 'MemTotal: lots\n')
        self.put('proc/buddyinfo', '\x00\xff\n')
        self.put('sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages', 'x\n')
        got = self.json()
        self.assertIsNone(got['default_page_size'])
        self.assertEqual(got['pools'][0]['minimum'], 0)
        self.ok('--explain')

    def test_an_empty_directory(self):
        shutil.rmtree(self.machine)
        os.mkdir(self.machine)
        self.ok('--pool-list', err='hugeadm: this kernel has no huge pages\n')
        done = self.run_on('--list-all-mounts')
        self.assertEqual(done.returncode, adm.FAILURE)


if __name__ == '__main__':
    if sys.argv[1:] == ['--write']:
        os.makedirs(HERE, exist_ok=True)
        for machine in MACHINES:
            for ending, text in (('.txt', texts(machine)), ('.json', as_json(machine))):
                with open(os.path.join(HERE, machine + ending), 'w',
                          encoding='utf-8') as f:
                    f.write(text)
    else:
        adm.main()
