# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of hugeadm share. Machines are directories: those of
tests/sysroot, or copies of them that a test changes. The environment names the
tool (HL_HUGEADM) and the captured machines (HL_SYSROOTS).
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HUGEADM = os.environ.get('HL_HUGEADM', 'build/tools/hugeadm')
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SYSROOTS = os.environ.get('HL_SYSROOTS', os.path.join(ROOT, 'tests/sysroot'))
OK, FAILURE, USAGE, PARTIAL = range(4)
HUGE = 'sys/kernel/mm/hugepages/hugepages-2048kB'


def hugeadm(*argv, **more):
    """Runs it; standard output and error as text."""
    more.setdefault('stdin', subprocess.DEVNULL)
    more.setdefault('timeout', 120)
    return subprocess.run([HUGEADM, *map(str, argv)], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, LC_ALL='C'),
                          errors='surrogateescape', **more)


def snapshot(directory):
    """All files below it and what is in them, links as links."""
    found = {}
    for where, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(where, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            else:
                with open(path, 'rb') as f:
                    found[path] = f.read()
    return found


class Case(unittest.TestCase):
    """With a machine of its own, a copy of one that was captured."""

    maxDiff = 2000
    machine_name = 'x86-two-nodes'

    def setUp(self):
        self.where = tempfile.mkdtemp(prefix='hugeadm test ')
        self.addCleanup(shutil.rmtree, self.where, ignore_errors=True)
        self.machine = os.path.join(self.where, 'machine')
        self.use(self.machine_name)

    def use(self, name):
        shutil.rmtree(self.machine, ignore_errors=True)
        shutil.copytree(os.path.join(SYSROOTS, name), self.machine,
                        symlinks=True)

    def path(self, *parts):
        return os.path.join(self.machine, *parts)

    def put(self, path, text):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), 'w', encoding='utf-8') as f:
            f.write(text)

    def get(self, path):
        with open(self.path(path), encoding='utf-8') as f:
            return f.read().strip()

    def pool(self, size_kb=2048, node=None, file='nr_hugepages'):
        top = 'sys/kernel/mm' if node is None else \
            f'sys/devices/system/node/node{node}'
        return int(self.get(f'{top}/hugepages/hugepages-{size_kb}kB/{file}'))

    def run_on(self, *argv, **more):
        return hugeadm('--sysroot', self.machine, *argv, **more)

    def ok(self, *argv, status=OK, err='', **more):
        """Standard output of a run that ends so, with that said."""
        done = self.run_on(*argv, **more)
        self.assertEqual(done.returncode, status, (argv, done.stdout, done.stderr))
        if err is not None:
            self.assertEqual(done.stderr, err, argv)
        return done.stdout

    def says(self, status, *argv, words=(), before=None):
        """One line on standard error, with these words; nothing changed."""
        if before is None:
            before = snapshot(self.machine)
        done = self.run_on(*argv)
        lines = done.stderr.splitlines()
        self.assertEqual((done.returncode, len(lines)), (status, 1),
                         (argv, done.stdout, done.stderr))
        self.assertTrue(lines[0].startswith('hugeadm: '), lines)
        for word in words:
            self.assertIn(word, lines[0])
        self.assertEqual(snapshot(self.machine), before, argv)
        return lines[0]

    def json(self, *argv, **more):
        return json.loads(self.ok('--json', *argv, **more))


def run_cases():
    """The exit status. The last lines are as cmocka's, for tests/summary.py."""
    result = unittest.main(verbosity=2, exit=False).result
    # a subtest's id has its parameters behind the test's
    bad = {case.id().split(' ')[0] for case, _ in result.failures + result.errors}
    print(f'[  PASSED  ] {result.testsRun - len(bad) - len(result.skipped)} test(s).')
    if bad:
        print(f'[  FAILED  ] {len(bad)} test(s).')
    for case, reason in result.skipped:
        print(f'SKIP: {case.id()}: {reason}')
        print(f'[  SKIPPED ] {case.id().split(".")[-1]}')
    return int(not result.wasSuccessful() or result.testsRun == 0)


def main():
    sys.exit(run_cases())
