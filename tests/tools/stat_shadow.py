#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugestat and the shadows of moved text: one that a program under hugectl --text made
is listed with its users, as text and as JSON, below --sysroot and by
$HUGETLB_SHARE_PATH; it is no holder of a pool; and what is not a shadow, or not for
us to see, is said. No pool is needed.
"""
import os
import shutil
import subprocess
import tempfile
import unittest

import ctl
import segment_runs as s
from stat_common import document, hugestat

# Some whole huge pages of text at a fixed address: what processes can share.
PROGRAM = f'''
#include <unistd.h>
__asm__(".text\\n.globl many\\nmany:\\n.skip {4 * s.HUGE}, 0x90\\n");
int main(void) {{ char c; return read(0, &c, 1) < 0; }}
'''
HASH = '0123456789abcdef'
UID = os.geteuid()


class Shadows(ctl.Case):
    def setUp(self):
        super().setUp()
        if s.HUGE > 32 << 20:
            self.skipTest('huge pages of THP are too large here for a program of some')
        # A root of its own, so that nothing of the user's is touched.
        self.root = tempfile.mkdtemp(prefix='hugestat-test-', dir='/dev/shm')
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.shadows = f'{self.root}/dev/shm/libhugetlbfs2-{UID}'
        os.makedirs(os.path.dirname(self.shadows))
        self.env = ctl.environment(HUGETLB_SHARE_PATH=self.shadows)

    def program(self):
        source = self.write('wide.c', PROGRAM)
        path = self.path('wide')
        # Addresses unlike offsets: the file's own pages cannot be huge there.
        start = 4 * s.HUGE + s.HUGE // 2
        subprocess.run([*ctl.CC, '-O1', '-fno-pie', '-no-pie',
                        f'-Wl,-Ttext-segment={start:#x}', source, '-o', path],
                       check=True, timeout=120)
        return path

    def start(self, path):
        run = s.Running([path], ['--text'], self.env)
        self.addCleanup(self.end, run)
        whole, huge = run.settled('wide.*') or (0, 0)
        self.assertGreater(whole, 0)
        self.assertEqual(huge, whole)
        return run

    def end(self, run):
        if run.process.poll() is None:
            run.finish('x')

    def look(self):
        return document(env=self.env)

    def mine(self, found):
        return [x for x in found.get('shadows', ())
                if x['path'].startswith(self.shadows + '/')]

    def test_listed_and_no_holder(self):
        path = self.program()
        first, second = self.start(path), self.start(path)
        found = self.look()
        shadow, = self.mine(found)
        self.assertEqual(shadow['original'], os.path.realpath(path))
        self.assertEqual((shadow['state'], shadow['users'], shadow['uid']),
                         ('current', 2, UID))
        self.assertEqual(shadow['pids'], sorted(r.process.pid for r in (first, second)))
        self.assertGreaterEqual(shadow['used_bytes'], 3 * s.HUGE)
        self.assertEqual(shadow['used_bytes'], os.stat(shadow['path']).st_blocks * 512)

        # Not of a pool: neither a row, nor a page in the sums.
        self.assertEqual([h for h in found['holders'] if h['inode'] ==
                          os.stat(shadow['path']).st_ino or h['pid'] in shadow['pids']], [])
        for pool in found['pools']:
            self.assertEqual(pool['held']['file_pages'], sum(
                h['pages'] for h in found['holders']
                if h['kind'] == 'file' and h['size_bytes'] == pool['size_bytes']))

        text = hugestat(env=self.env).stdout
        line, = [x for x in text.splitlines() if x.endswith(shadow['path'])]
        self.assertIn('current', line)
        self.assertIn(os.path.realpath(path), line)
        self.assertIn('not of a pool', text)
        # The table of holders alone is that alone.
        self.assertNotIn(self.shadows, hugestat('-o', '+name', env=self.env).stdout)
        self.assertNotIn(self.shadows, hugestat('--noheadings', env=self.env).stdout)

        for run in (first, second):
            self.assertEqual(run.finish('x')[0], 0)
        shadow, = self.mine(self.look())
        self.assertEqual((shadow['users'], shadow['pids']), (0, []))

        # The file of another program of that name.
        with open(path, 'ab') as f:
            f.write(b'\0')
        self.assertEqual(self.mine(self.look())[0]['state'], 'stale')

        # Found by its default name, too; whose original is meant is not known.
        below, = document('--sysroot', self.root)['shadows']
        self.assertEqual((below['path'], below['state'], below['users']),
                         (shadow['path'], None, None))

    def test_default_directory_once(self):
        """The variable may name the default directory."""
        os.mkdir(self.shadows, 0o700)
        with open(f'{self.shadows}/x-{HASH}', 'w', encoding='ascii') as f:
            f.write('x')
        env = ctl.environment(HUGETLB_SHARE_PATH=f'/dev/shm/libhugetlbfs2-{UID}')
        found = document('--sysroot', self.root, env=env)
        self.assertEqual(len(found['shadows']), 1)

    def test_what_is_no_shadow(self):
        os.mkdir(self.shadows, 0o700)
        # What has not the form of their names is something else of the user's.
        for name in (f'.made-{HASH}.1', f'o\ndd-{HASH}', 'x', '.made.1', 'x-0123'):
            with open(f'{self.shadows}/{name}', 'wb') as f:
                f.write(b'x' * 10000)
        os.mkfifo(f'{self.shadows}/fifo')
        os.symlink('/etc/passwd', f'{self.shadows}/link')
        os.mkdir(f'{self.root}/dev/shm/libhugetlbfs2-1x', 0o700)
        os.symlink(self.shadows, f'{self.root}/dev/shm/libhugetlbfs2-{UID + 1}')
        found = document('--sysroot', self.root)
        states = {os.path.basename(x['path']): (x['state'], x['original'])
                  for x in found['shadows']}
        self.assertEqual(states, {f'.made-{HASH}.1': ('unfinished', None),
                                  f'o\ndd-{HASH}': ('unknown', None)})
        self.assertEqual(found['notes'], [])
        self.assertIn(f'o\\x0add-{HASH}', hugestat('--sysroot', self.root).stdout)

    def test_not_the_users_own(self):
        """Open to others, or of another user than its name says."""
        os.mkdir(self.shadows)
        os.chmod(self.shadows, 0o755)
        os.mkdir(f'{self.root}/dev/shm/libhugetlbfs2-{UID + 1}', 0o700)
        found = document('--sysroot', self.root)
        self.assertNotIn('shadows', found)
        self.assertEqual(len(found['notes']), 1)
        self.assertIn('2 directories of shadows', found['notes'][0])

    @unittest.skipUnless(UID == 0, 'only root can become another user')
    def test_other_users(self):
        """Root sees those of all; nobody those of root."""
        os.chmod(self.root, 0o755)
        os.mkdir(self.shadows, 0o700)
        other = f'{self.root}/dev/shm/libhugetlbfs2-65534'
        os.mkdir(other, 0o700)
        for where in (self.shadows, other):
            with open(f'{where}/x-{HASH}', 'w', encoding='ascii') as f:
                f.write('x')
        os.chown(other, 65534, -1)
        both = document('--sysroot', self.root)['shadows']
        self.assertEqual(sorted(x['uid'] for x in both), [0, 65534])
        found = document('--sysroot', self.root, user=65534, group=65534, extra_groups=[])
        self.assertEqual([x['uid'] for x in found['shadows']], [65534])
        self.assertIn('1 directory of shadows', found['notes'][0])


ctl.main()
