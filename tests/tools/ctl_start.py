#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The short way of hugectl (hugectl_start.c): its objects need nothing of the C
library, it gives programs the same as the long way, and it is short.

Usage: ctl_start.py [OBJECT ARCHIVE]
"""
import os
import re
import resource
import subprocess
import sys

import ctl

ARCHIVE = sys.argv.pop() if len(sys.argv) > 1 and sys.argv[-1].endswith('.a') else None


def is_short():
    """Whether this hugectl has the short way at all."""
    out = subprocess.run(['readelf', '-hW', ctl.HUGECTL], check=True, text=True,
                         stdout=subprocess.PIPE, env={'LC_ALL': 'C'}).stdout
    return 'EXEC' in re.search(r'Type:\s+(\w+)', out).group(1)


def faults(argv):
    """Page faults of a run, the least of some."""
    least = None
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
        subprocess.run(argv, check=True, env=ctl.environment(),
                       stdin=subprocess.DEVNULL)
        n = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before
        least = n if least is None else min(least, n)
    return least


class Start(ctl.Case):
    def test_needs_nothing(self):
        """Not even memcpy, which a compiler may put in by itself."""
        if not ARCHIVE or not is_short():
            self.skipTest('not built for the short way')
        nm = subprocess.run(['nm', ARCHIVE], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
        defined = set(re.findall(r' [TDRBdrbt] (\w+)', nm))
        needed = set(re.findall(r' U (\w+)', nm))
        self.assertGreater(len(defined), 10)
        # _start is the C library's way in
        self.assertEqual(needed - defined, {'_start'})

    def test_same_as_the_long_way(self):
        table = [
            ['--heap'], [], ['--heap=thp'], ['--heap=2M'], ['--no-preload'],
            ['--heap', '--no-children'], ['--fork=off', '--heap-max=1G'],
            ['--heap-min=2M'], ['--no-reserve'], ['--disable'], ['-q'],
            ['--library-use-path', '--no-preload'],
        ]
        for options in table:
            for more in ({}, {'LD_PRELOAD': ':'}, {'HUGETLB_MORECORE': 'no'},
                         {'EMPTY': ''}):
                env = ctl.environment(**more)
                short = ctl.child_env(*options, env=env)
                # -vv goes the long way; its own variable aside
                long = ctl.hugectl(*options, '-vv', '/usr/bin/env', '-0', env=env)
                rest = [entry.split('=', 1) for entry in long.stdout.split('\0')
                        if entry and not entry.startswith('HUGETLB_VERBOSE=')]
                short = [e for e in short if e[0] != 'HUGETLB_VERBOSE']
                self.assertEqual(sorted(short), sorted(rest), options)

    def test_is_short(self):
        """Fewer than half of the page faults of any process of the C library."""
        if not is_short():
            self.skipTest('not built for the short way')
        true = self.compile('true', 'int main(void) { return 0; }')
        plain = faults([true])
        ours = faults([ctl.HUGECTL, '--no-preload', '--heap', true])
        self.assertLess(ours - plain, plain / 2)

    def test_no_arguments_at_all(self):
        """argc 0: an error, no crash."""
        code = ('import ctypes, os\nlibc = ctypes.CDLL(None)\n'
                'argv = (ctypes.c_char_p * 1)(None)\n'
                f'libc.execve({os.fsencode(ctl.HUGECTL)!r}, argv, argv)\n')
        done = subprocess.run([ctl.PYTHON, '-c', code], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # Linux 5.18 and later put an empty word there, which is no option
        self.assertEqual(done.returncode, 125, done)


if __name__ == '__main__':
    ctl.main()
