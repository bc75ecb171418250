# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of hugectl share: running it, small programs to run, checks. Tests are
unittest cases; a test's main() is ctl.main().

Environment (set by meson): HL_HUGECTL the tool, HL_CC the compiler with which to
make programs.
"""
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

HUGECTL = os.environ.get('HL_HUGECTL', 'build/tools/hugectl')
CC = shlex.split(os.environ.get('HL_CC', 'cc'))
PYTHON = '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OURS = ('HUGETLB_', 'LD_PRELOAD', 'LD_LIBRARY_PATH')
NAME = 'libhugetlbfs2-preload.so'


def environment(**more):
    """The environment without anything of ours, and some more."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    env.update(LC_ALL='C', **more)
    return env


def hugectl(*argv, env=None, tool=HUGECTL, **more):
    """Runs it; standard output and error as text."""
    more.setdefault('stdin', subprocess.DEVNULL)
    more.setdefault('timeout', 120)
    return subprocess.run([tool, *argv], env=env or environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          errors='surrogateescape', check=False, **more)


def settings(*options, program=None, env=None):
    """What --dry-run prints, as {name: value}."""
    done = hugectl(*options, '--dry-run', *([program] if program else []), env=env)
    assert done.returncode == 0, done
    found = {}
    for line in done.stdout.splitlines():
        assert line.startswith('export '), line
        name, value = line.removeprefix('export ').split('=', 1)
        assert name not in found, line
        found[name] = ''.join(shlex.split(value))
    return found


def child_env(*options, env=None):
    """The environment that a program gets, in order."""
    done = hugectl(*options, '/usr/bin/env', '-0', env=env)
    assert done.returncode == 0, done
    return [entry.split('=', 1) for entry in done.stdout.split('\0') if entry]


def is_loaded(*options, env=None, argv=(PYTHON, '-c'), tool=HUGECTL):
    """Whether our object is mapped in the program."""
    done = hugectl(*options, *argv, 'print(open("/proc/self/maps").read())',
                   env=env, tool=tool)
    assert (done.returncode, done.stderr) == (0, ''), done.stderr
    return NAME in done.stdout


class Case(unittest.TestCase):
    """With a directory of its own."""

    def setUp(self):
        self.where = tempfile.mkdtemp(prefix='hugectl-test-')
        self.addCleanup(shutil.rmtree, self.where, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.where, *parts)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), 'w', encoding='utf-8') as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def compile(self, name, source, *flags):
        """The path of the program, or None if this compiler cannot make it."""
        path = self.path(name)
        done = subprocess.run([*CC, '-w', '-x', 'c', '-', *flags, '-o', path],
                              input=source, text=True, check=False,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        return path if done.returncode == 0 else None

    def report(self, *argv, options=(), status=0, env=None, **more):
        """The JSON report of a program."""
        path = self.path('report.json')
        done = hugectl(f'--report=json:{path}', *options, '--', *argv, env=env,
                       **more)
        self.assertEqual(done.returncode, status, done)
        with open(path, encoding='utf-8') as f:
            return json.load(f)


def main():
    """Runs the cases; the last lines are as cmocka's, for tests/summary.py."""
    result = unittest.main(verbosity=2, exit=False).result
    # A case may have failed in several of its subtests.
    bad = {getattr(case, 'test_case', case).id()
           for case, _ in result.failures + result.errors}
    print(f'[  PASSED  ] {result.testsRun - len(bad) - len(result.skipped)} test(s).')
    if bad:
        print(f'[  FAILED  ] {len(bad)} test(s).')
    for case, reason in result.skipped:
        print(f'SKIP: {case.id()}: {reason}')
        print(f'[  SKIPPED ] {case.id().split(".")[-1]}')
    sys.exit(not result.wasSuccessful() or result.testsRun == 0)
