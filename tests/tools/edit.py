#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugeedit: marks as libhugetlbfs wrote them, verdicts, and an alignment that
changes one number, keeps the old file and refuses what is unsafe.

HL_HUGEEDIT the tool, HL_CC a compiler.
"""
import os
import shutil
import stat
import struct
import subprocess
import tempfile
import unittest

import ctl

TOOL = os.environ['HL_HUGEEDIT']
CC = os.environ.get('HL_CC', 'cc').split()
SOURCE = r'''
#include <stdio.h>
static char bss[3 << 20];
static int data[1 << 19] = {1};
__attribute__((used)) static void pad(void)
{
	__asm__ volatile(".skip 5000000, 0");
}
int main(void)
{
	printf("%d %d\n", data[0], bss[sizeof(bss) - 1]);
	return 0;
}
'''
MARK = 0x100000
PT_LOAD = 1


def run(*argv, **more):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, **more)


def contents(path):
    with open(path, 'rb') as f:
        return f.read()


def loads(path):
    """[(flags, offset, vaddr, align)] of the PT_LOADs."""
    data = contents(path)
    at, = struct.unpack_from('<Q', data, 32)
    size, count = struct.unpack_from('<HH', data, 54)
    found = []
    for i in range(count):
        kind, flags, offset, vaddr, _, _, _, align = struct.unpack_from(
            '<IIQQQQQQ', data, at + i * size)
        if kind == PT_LOAD:
            found.append((flags, offset, vaddr, align))
    return found


class Edit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.where = tempfile.mkdtemp()
        source = f'{cls.where}/p.c'
        with open(source, 'w', encoding='ascii') as f:
            f.write(SOURCE)
        for name, flags in (('pie', ['-fPIE', '-pie']),
                            ('fixed', ['-fno-pie', '-no-pie']),
                            ('linked', ['-fPIE', '-pie',
                                        '-Wl,-z,max-page-size=0x200000',
                                        '-Wl,-z,separate-code']),
                            ('lib.so', ['-fPIC', '-shared'])):
            subprocess.run([*CC, *flags, '-o', f'{cls.where}/{name}', source],
                           check=True)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.where)

    def copy(self, name):
        path = f'{self.where}/copy-{name}'
        for old in (path, path + '.orig'):
            if os.path.exists(old):
                os.unlink(old)
        shutil.copy(f'{self.where}/{name}', path)
        return path

    def edit(self, *args, status=0):
        done = run(TOOL, *args)
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        return done.stdout if status == 0 else done.stderr

    def test_marks(self):
        path = self.copy('pie')
        self.assertNotIn('HUGE', self.edit(path))
        for args, text, data in ((['--text'], True, False),
                                 (['--data'], False, True),
                                 (['--text', '--data'], True, True),
                                 (['--disable'], False, False)):
            self.edit(*args, path)
            for flags, *_ in loads(path):
                want = {5: text, 6: data}.get(flags & 7, False)
                self.assertEqual(bool(flags & MARK), want, (args, flags))
            shown = self.edit(path)
            self.assertEqual('(TEXT) default is HUGE pages' in shown, text)
            self.assertEqual('(DATA) default is HUGE pages' in shown, data)
            self.assertEqual(run(path).stdout, '1 0\n')

    def test_a_running_program_is_not_marked(self):
        path = self.copy('pie')
        shutil.copy('/bin/sleep', path)
        with subprocess.Popen([path, '20']) as sleeper:
            try:
                # exec is over once the child's image is the copy
                while os.readlink(f'/proc/{sleeper.pid}/exe') != path:
                    pass
                self.assertIn('Text file busy', self.edit('--text', path, status=1))
            finally:
                sleeper.kill()

    def test_no_privilege_is_lost(self):
        """The kernel takes it from a file that is written to."""
        path = self.copy('pie')
        before = contents(path)
        for mode in (0o4755, 0o2755):
            os.chmod(path, mode)
            for option in ('--text', '--data', '--disable'):
                self.assertIn('set-uid', self.edit(option, path, status=1))
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), mode)
        os.chmod(path, 0o755)
        # Version 2, effective, CAP_NET_RAW permitted.
        capability = struct.pack('<5I', 0x02000001, 1 << 13, 0, 0, 0)
        try:
            os.setxattr(path, 'security.capability', capability)
        except OSError:
            return
        for option in ('--text', '--disable', '--align'):
            self.assertIn('capabilities', self.edit(option, path, status=1))
        self.assertEqual(os.getxattr(path, 'security.capability'), capability)
        self.assertEqual(contents(path), before)

    def test_check(self):
        for name, status, words in (
                ('pie', 1, ['2 MiB to 4 MiB', '--align', 'max-page-size=2M',
                            'shared  no']),
                ('fixed', 1, ['at a fixed address', 'max-page-size=2M',
                              'shared  one copy']),
                ('linked', 0, ['nothing to gain', 'shared  one copy']),
                ('lib.so', 1, ['shared object', 'shared  one copy'])):
            before = contents(f'{self.where}/{name}')
            done = run(TOOL, '--check', '--page-size=2M', f'{self.where}/{name}')
            self.assertEqual(done.returncode, status, done.stdout)
            for word in words:
                self.assertIn(word, done.stdout)
            self.assertNotIn('--align' if name != 'pie' else 'none', done.stdout)
            self.assertEqual(contents(f'{self.where}/{name}'), before)

    def build(self, name, source, *flags):
        """The path, or the test is skipped."""
        path = f'{self.where}/{name}'
        done = subprocess.run([*CC, *flags, '-x', 'c', '-', '-o', path], text=True,
                              input=source, capture_output=True, check=False)
        if done.returncode:
            self.skipTest(f'{name} cannot be linked here')
        return path

    def test_check_of_small_text(self):
        """Nothing is gained, and nothing said of sharing."""
        small = 'int main(void) { return 0; }'
        for name, flags in (('small', ['-fPIE', '-pie']),
                            ('small-fixed', ['-fno-pie', '-no-pie'])):
            path = self.build(name, small, *flags)
            shown = self.edit('--check', '--page-size=2M', path)
            self.assertIn('nothing to gain', shown)
            self.assertIn('on huge pages 0 B', shown)
            self.assertNotIn('shared', shown)
            self.assertNotIn('--align', shown)

    def test_check_of_a_static_program(self):
        for name, flags, status in (('static', ['-static', '-no-pie'], 1),
                                    ('static-pie', ['-static-pie'], 1)):
            path = self.build(name, SOURCE, *flags)
            done = run(TOOL, '--check', '--page-size=2M', path)
            self.assertEqual(done.returncode, status, done)
            self.assertIn('static program', done.stdout)
            self.assertIn('passed over', done.stdout)
            self.assertIn('linked dynamically', done.stdout)
            for word in ('one copy', 'on huge pages 0', '--align'):
                self.assertNotIn(word, done.stdout)
            self.assertIn('passed over' if 'pie' in name else 'fixed',
                          self.edit('--align', '--page-size=2M', path, status=1))

    def test_align(self):
        path = self.copy('pie')
        os.chmod(path, 0o750)
        self.edit('--align', '--page-size=2M', path)
        old, new = loads(path + '.orig'), loads(path)
        self.assertEqual(new[0][3], 2 << 20)
        self.assertEqual([(*old[0][:3], 2 << 20), *old[1:]], new)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o750)
        a, b = contents(path), contents(path + '.orig')
        self.assertEqual(len(a), len(b))
        self.assertLessEqual(sum(x != y for x, y in zip(a, b)), 8)
        self.assertEqual(b, contents(f'{self.where}/pie'))
        self.assertEqual(run(path).stdout, '1 0\n')
        self.assertIn('already', self.edit('--align', '--page-size=2M', path))
        self.assertIn('one copy',
                      run(TOOL, '--check', '--page-size=2M', path).stdout)

    def test_align_places_the_program(self):
        path = self.copy('pie')
        self.edit('--align', '--no-backup', '--page-size=2M', path)
        self.assertFalse(os.path.exists(path + '.orig'))
        shutil.copy('/bin/cat', path)
        if run(TOOL, '--align', '--no-backup', '--page-size=2M', path).returncode:
            self.skipTest('cat is no position-independent program here')
        for _ in range(10):
            first = run(path, '/proc/self/maps').stdout.split('-')[0]
            self.assertEqual(int(first, 16) % (2 << 20), 0)

    def test_align_refuses(self):
        for name, word in (('fixed', 'fixed address'), ('lib.so', 'shared')):
            path = self.copy(name)
            before = contents(path)
            self.assertIn(word, self.edit('--align', path, status=1))
            self.assertEqual(contents(path), before)
            self.assertFalse(os.path.exists(path + '.orig'))
        path = self.copy('pie')
        os.chmod(path, 0o4755)
        self.assertIn('set-uid', self.edit('--align', path, status=1))
        path = self.copy('pie')
        with open(path + '.orig', 'w', encoding='ascii') as f:
            f.write('mine')
        self.assertEqual(self.edit('--align', path, status=1),
                         f'hugeedit: {os.path.realpath(path)}.orig: there is a backup '
                         'already\n')
        self.assertEqual(contents(path + '.orig'), b'mine')
        self.assertEqual([n for n in os.listdir(self.where)
                          if n.startswith('copy-pie.') and n != 'copy-pie.orig'], [])

    def test_usage(self):
        path = f'{self.where}/pie'
        for args in ([], ['--what', path], [path, path], ['--text', '--disable', path],
                     ['--check', '--align', path], ['--no-backup', path],
                     ['--page-size=3M', path], ['--page-size=1K', path],
                     ['--page-size=8K', path], ['--page-size=8M', path],
                     ['--page-size=32T', path]):
            message = self.edit(*args, status=2)
            self.assertEqual(len(message.splitlines()), 1, message)
            self.assertTrue(message.startswith('hugeedit: '), message)

    def test_other_files(self):
        path = f'{self.where}/text'
        with open(path, 'w', encoding='ascii') as f:
            f.write('#!/bin/sh\n')
        for name, word in ((path, 'not an ELF'), (self.where, 'regular'),
                           (f'{self.where}/none', 'No such file')):
            message = self.edit('--check', name, status=1)
            self.assertIn(word, message)
            self.assertEqual(len(message.splitlines()), 1)

    def test_damaged_headers(self):
        """Never more than a message, whatever bytes are wrong."""
        good = contents(f'{self.where}/pie')
        path = f'{self.where}/damaged'
        for at in range(16, 64 + 56 * 4, 7):
            for value in (0, 0xff):
                with open(path, 'wb') as f:
                    f.write(good[:at] + bytes([value]) * 4 + good[at + 4:])
                done = run(TOOL, '--check', path)
                self.assertIn(done.returncode, (0, 1))
        for length in (0, 10, 63, 64, 200):
            with open(path, 'wb') as f:
                f.write(good[:length])
            self.edit('--check', path, status=1)
        for length in (5000, 3 << 20):
            for option in ('--check', '--align', '--text'):
                with open(path, 'wb') as f:
                    f.write(good[:length])
                self.assertIn('beyond the end of the file',
                              self.edit(option, path, status=1))
                self.assertEqual(contents(path), good[:length])

    def test_a_fifo_is_not_waited_for(self):
        path = f'{self.where}/fifo'
        os.mkfifo(path)
        for option in ('--check', '--text', '--align'):
            done = run(TOOL, option, path, timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertIn('not a regular file', done.stderr)


if __name__ == '__main__':
    ctl.main()
