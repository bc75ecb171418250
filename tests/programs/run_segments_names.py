#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Names in moved text where they are hard to come by: of a stripped program with a
separate debug file, and of a private copy that a profiler is attached to later.

HL_CXX a compiler.
"""
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import ctl
import run_segments_own as own
import segment_runs as s

FIXED = ['-fno-pie', '-no-pie', *own.LINKED]


def setUpModule():
    own.WHERE = tempfile.mkdtemp()
    os.chmod(own.WHERE, 0o755)


def tearDownModule():
    shutil.rmtree(own.WHERE)


def where(name):
    return f'{own.WHERE}/{name}'


def build(name, flags, label='a'):
    """Without names for the dynamic linker, which would stay."""
    subprocess.run([*own.CXX, '-O1', '-g', '-fcf-protection=none', '-Wl,--build-id=sha1',
                    f'-DNAME="{label}"', *flags, f'{own.HERE}/segments_program.cc', '-o',
                    where(name), '-pthread'], check=True)


def split(name):
    """The program without names, and where they are now."""
    debug = where(name + '.debug')
    subprocess.run(['objcopy', '--only-keep-debug', where(name), debug], check=True)
    subprocess.run(['strip', where(name)], check=True)
    subprocess.run(['objcopy', f'--add-gnu-debuglink={debug}', where(name)], check=True)
    return debug


def has_name(shadow):
    out = subprocess.run(['readelf', '-sW', shadow], capture_output=True, text=True,
                         check=True).stdout
    return re.search(r' FUNC .* spin_here$', out, re.MULTILINE) is not None


class SeparateDebugFile(own.Base):
    @classmethod
    def setUpClass(cls):
        if not shutil.which('objcopy') or not shutil.which('strip'):
            raise unittest.SkipTest('no objcopy here')
        build('bare', FIXED)
        cls.path = where('bare')
        cls.debug = split('bare')
        cls.away = where('away')
        build('other', FIXED, 'b')
        os.rename(split('other'), where('other.away'))

    def setUp(self):
        self.shadows = s.Shadows().__enter__()
        os.rename(self.debug, self.away)

    def tearDown(self):
        self.shadows.__exit__()
        os.rename(self.away, self.debug)

    def names_after(self, prefix=()):
        """Of the shadow that this run makes, if it makes one."""
        before = set(self.shadows.files())
        run = own.Run(self.path, shadows=self.shadows, prefix=prefix)
        self.assertGreater(run.rung('shared shadow'), 0, run.segments)
        made = set(self.shadows.files()) - before
        self.assertLessEqual(len(made), 1)
        return has_name(f'{self.shadows.path}/{made.pop()}') if made else None

    def test_beside_the_program(self):
        self.assertIs(self.names_after(), False)
        self.assertIsNone(self.names_after())
        for n, place in enumerate((self.debug, where('.debug/bare.debug'))):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy(self.away, place)
            os.utime(place, (1000 + n, 1000 + n))
            # One that comes later makes for a new shadow, once.
            self.assertIs(self.names_after(), True, place)
            self.assertIsNone(self.names_after())
            os.unlink(place)

    def test_of_another_program(self):
        """The right name and the wrong build-id."""
        shutil.copy(where('other.away'), self.debug)
        self.assertIs(self.names_after(), False)
        os.truncate(self.debug, 1000)
        self.assertIsNone(self.names_after())
        os.unlink(self.debug)
        os.mkfifo(self.debug)
        self.assertIsNone(self.names_after())
        os.unlink(self.debug)

    def test_by_build_id(self):
        if os.geteuid() != 0 or not shutil.which('unshare') or \
                not os.path.isdir('/usr/lib/debug'):
            self.skipTest('mounting needs root')
        notes = subprocess.run(['readelf', '-nW', self.path], capture_output=True, text=True,
                               check=True).stdout
        number = re.search(r'Build ID: (\w+)', notes).group(1)
        place = f'/usr/lib/debug/.build-id/{number[:2]}'
        script = (f'mount -t tmpfs tmpfs /usr/lib/debug && mkdir -p {place} && '
                  f'cp {self.away} {place}/{number[2:]}.debug && exec "$@"')
        self.assertIs(self.names_after(['unshare', '-m', 'sh', '-c', script, 'sh']), True)

    def test_debugger(self):
        if not shutil.which('gdb'):
            self.skipTest('no gdb here')
        shutil.copy(self.away, self.debug)
        run = s.Running([self.path, 'wait'], ['--text'], s.environment(self.shadows))
        run.settled('bare(-[0-9a-f]{16})?')
        done = subprocess.run(
            ['gdb', '-q', '-nx', '-batch', '-ex', 'break spin_here', '-ex',
             'set unwindonsignal on', '-ex', 'print (long)spin_here(10)', '-ex', 'bt', '-p',
             str(run.program())], capture_output=True, text=True, check=False,
            env=s.environment(), stdin=subprocess.DEVNULL, timeout=120)
        run.process.kill()
        run.finish('')
        os.unlink(self.debug)
        self.assertRegex(done.stdout, r'#0 +spin_here \(n=10\)', done.stderr)
        self.assertRegex(done.stdout, r'#\d+ .*main \(argc=')


class AttachedProfiler(own.Base):
    """perf that comes when the text has moved long since."""

    def setUp(self):
        self.env = dict(s.environment(), HOME=own.WHERE,
                        PERF_BUILDID_DIR=where('.perf'))
        probe = shutil.which('perf') and subprocess.run(
            ['perf', 'record', '-q', '-e', 'cpu-clock', '-o', where('probe.data'), 'true'],
            env=self.env, capture_output=True, check=False)
        if not probe or probe.returncode:
            self.skipTest('perf cannot be used here')

    def sampled(self, argv, options, name, shadows):
        """(object, function) of the most samples; where it is mapped from."""
        run = s.Running([*argv, 'spin', own.FOR_LONG], options, s.environment(shadows))
        pid = run.program()
        map_file = f'/tmp/perf-{pid}.map'
        try:
            self.wait_for_text(pid, name)
            data = where('attached.data')
            subprocess.run(['perf', 'record', '-q', '-e', 'cpu-clock', '-o', data, '-p',
                            str(pid), '--', 'sleep', '0.3'], env=self.env, check=True,
                           capture_output=True)
            run.process.kill()
            run.finish('')
            out = subprocess.run(['perf', 'report', '-i', data, '--stdio', '-s', 'dso,sym',
                                  '--percent-limit', '20'], env=self.env, check=True,
                                 capture_output=True, text=True).stdout
        finally:
            run.process.kill()
            if os.path.exists(map_file):
                os.unlink(map_file)
        return re.search(r'[\d.]+% +(\S.*?) +\[\.\] (\S+)', out).groups()

    def wait_for_text(self, pid, name):
        """Until it spins: all that lies in whole huge pages has moved by then."""
        for _ in range(500):
            whole, huge = s.coverage(pid, name)
            if whole and huge >= 0.99 * whole:
                time.sleep(0.3)
                return
            time.sleep(0.02)
        self.fail(f'text did not move: {whole} {huge}')

    def test_private_copy(self):
        # Where it lies without randomisation the function is in a whole huge page.
        build('pie', own.WAYS['pie'])
        build('pie-bare', own.WAYS['pie'])
        os.rename(split('pie-bare'), where('pie-bare.away'))
        for name, expect in (('pie', ('[JIT]', 'spin_here')), ('pie-bare', ('[JIT]', '0x'))):
            with self.subTest(name), s.Shadows() as shadows:
                found = self.sampled(['setarch', '-R', where(name)], ['--text', '--perf-map'],
                                     name, shadows)
                for got, start in zip(found, expect):
                    self.assertTrue(got.startswith(start), found)
                self.assertEqual(shadows.files(), [])

    def test_names_from_a_separate_file(self):
        for name, flags, expect in (('pie-apart', own.WAYS['pie'], '[JIT]'),
                                    ('fixed-apart', FIXED, 'fixed-apart-')):
            with self.subTest(name), s.Shadows() as shadows:
                build(name, flags)
                debug = split(name)
                # Out of perf's sight, in ours.
                os.makedirs(where('.debug'), exist_ok=True)
                os.rename(debug, where(f'.debug/{name}.debug'))
                found = self.sampled(['setarch', '-R', where(name)],
                                     ['--text', '--perf-map'], name + '(-[0-9a-f]{16})?',
                                     shadows)
                self.assertTrue(found[0].startswith(expect), found)
                self.assertEqual(found[1], 'spin_here')


if __name__ == '__main__':
    ctl.main()
