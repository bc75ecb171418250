#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Text, data and bss of a program of our own, linked in several ways: its output,
protection and neighbours are kept; shadow files are used by the right program
and by nobody else; debuggers, profilers, exceptions and stack traces see what
they see in a plain run; and where the system forbids things, the program runs
and the report says why.

HL_CXX a compiler. HL_PROGRAMS_FULL=1: all ways of linking for all tests.
"""
import ctypes
import glob
import os
import re
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import ctl
import machine
import segment_runs as s

HERE = os.path.dirname(os.path.abspath(__file__))
CXX = os.environ.get('HL_CXX', 'c++').split()
HUGE = s.HUGE
LINKED = [f'-Wl,-z,max-page-size={HUGE:#x}']
WAYS = {
    'pie': ['-fPIE', '-pie'],
    'fixed': ['-fno-pie', '-no-pie'],
    'pie-linked': ['-fPIE', '-pie', *LINKED],
    'fixed-linked': ['-fno-pie', '-no-pie', *LINKED],
    'pie-linked-together': ['-fPIE', '-pie', *LINKED, '-Wl,-z,noseparate-code'],
    'fixed-linked-together': ['-fno-pie', '-no-pie', *LINKED,
                              '-Wl,-z,noseparate-code'],
}
FOR_LONG = '100000000000'   # turns of a spin that is ended from outside
FULL = os.environ.get('HL_PROGRAMS_FULL') == '1'
FORBIDDEN, ALLOW, ERRNO = 'forbidden', 0x7fff0000, 0x00050000
PUNCH_HOLE = 3  # and the size stays
PR_SET_MDWE, PR_SET_THP_DISABLE = 65, 41
LIBC = ctypes.CDLL(None, use_errno=True)
CALLS = {'x86_64': {'mprotect': 10, 'memfd_create': 319, 'mmap': 9},
         'aarch64': {'mprotect': 226, 'memfd_create': 279, 'mmap': 222}}[os.uname().machine]


def setUpModule():
    global WHERE
    WHERE = tempfile.mkdtemp()
    os.chmod(WHERE, 0o755)
    for name, flags in WAYS.items():
        build(name, flags)


def tearDownModule():
    shutil.rmtree(WHERE)


def build(name, flags, label='a'):
    """Written by the linker in small pieces: the page cache has base pages."""
    path = f'{WHERE}/{name}'
    subprocess.run([*CXX, '-O1', '-g', '-rdynamic', '-fcf-protection=none',
                    '-Wl,-z,relro,-z,now', f'-DNAME="{label}"', *flags,
                    f'{HERE}/segments_program.cc', '-o', path + '.new', '-pthread'],
                   check=True)
    # A copy in small writes, then the pages that the linker left are gone.
    with open(path + '.new', 'rb') as old, open(path, 'wb', buffering=0) as new:
        while data := old.read(4096):
            new.write(data)
    os.chmod(path, 0o755)
    os.unlink(path + '.new')
    return path


def prctl(*args):
    if LIBC.prctl(*args, *([0] * (5 - len(args)))) != 0:
        raise OSError(ctypes.get_errno(), 'prctl')


def refuse(number, test_exec):
    """A seccomp filter: EPERM for the call, or for it with PROT_EXEC in the 3rd."""
    load_number = struct.pack('=HBBI', 0x20, 0, 0, 0)
    load_prot = struct.pack('=HBBI', 0x20, 0, 0, 32)
    give = [struct.pack('=HBBI', 0x06, 0, 0, ERRNO | 1),
            struct.pack('=HBBI', 0x06, 0, 0, ALLOW)]
    if test_exec:
        code = [load_number, struct.pack('=HBBI', 0x15, 0, 3, number), load_prot,
                struct.pack('=HBBI', 0x45, 0, 1, 4), *give]
    else:
        code = [load_number, struct.pack('=HBBI', 0x15, 0, 1, number), *give]
    program = b''.join(code)
    buffer = ctypes.create_string_buffer(program)
    filt = struct.pack('=HxxxxxxQ', len(code), ctypes.addressof(buffer))
    prctl(38, 1)
    prctl(22, 2, filt)


RESTRICT = '''
import os, sys
sys.path.insert(0, sys.argv[1])
import run_segments_own as tests
for number, test_exec in eval(sys.argv[2]):
    tests.refuse(number, test_exec)
os.execv(sys.argv[3], sys.argv[3:])
'''


def restricted(path, *calls):
    """The program behind filters: hugectl itself needs such calls for its report."""
    return [machine_python(), '-c', RESTRICT, HERE, repr(list(calls)), path]


def machine_python():
    return '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable


def preload_environment():
    """What hugectl sets, for a debugger that counts the programs until ours."""
    done = subprocess.run([s.hugectl(), '--dry-run', '--text'], capture_output=True,
                          text=True, check=True, env=s.environment())
    return [line.removeprefix('export ').replace("'", '') for line in done.stdout.splitlines()]


class Run:
    """One run under hugectl, to its end."""

    def __init__(self, path, *args, options=('--text',), shadows=None, before=None,
                 plain=False, prefix=(), **env):
        report = f'{WHERE}/report.json'
        command = [path, *args]
        if not plain:
            command = [s.hugectl(), '-q', *options, f'--report=json:{report}', '--',
                       *command]
        done = subprocess.run([*prefix, *command], capture_output=True, text=True,
                              env=s.environment(shadows, **env), check=False,
                              stdin=subprocess.DEVNULL, preexec_fn=before)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.segments = None
        if not plain:
            with open(report, encoding='utf-8') as f:
                self.segments = s.json.load(f)['segments']
            os.unlink(report)

    def rung(self, name):
        return self.segments['text_huge_bytes'][name]

    @property
    def text_huge(self):
        return sum(self.segments['text_huge_bytes'].values())


class Base(unittest.TestCase):
    def check(self, run, plain):
        self.assertEqual((run.status, run.out), (plain.status, plain.out), run.err)


class Data(Base):
    """Contents, protection and neighbours, for each way of linking."""

    def test_all_ways(self):
        for name in WAYS:
            path = f'{WHERE}/{name}'
            plain = Run(path, plain=True)
            self.assertIn('relro kept', plain.out)
            for options in (['--text'], ['--data'], ['--text', '--data']):
                # Without randomisation the heap lies right behind bss.
                for prefix in ((), ('setarch', '-R'))[:2 if FULL or len(options) == 2
                                                      else 1]:
                    with self.subTest(name=name, options=options, prefix=prefix), \
                            s.Shadows() as shadows:
                        run = Run(path, options=options, shadows=shadows,
                                  prefix=prefix)
                        self.check(run, plain)
                        if '--text' in options:
                            self.text_moved(name, run)
                        if '--data' in options:
                            self.data_moved(run)

    def text_moved(self, name, run):
        whole = run.segments['text_bytes'] - run.segments['stayed_bytes']['partial']
        self.assertGreaterEqual(run.text_huge, 0.99 * whole, run.segments)
        if name.endswith('linked'):
            # All of it: nothing else is in its huge pages.
            self.assertGreaterEqual(run.text_huge, run.segments['text_bytes'])

    def data_moved(self, run):
        found = run.segments
        self.assertGreaterEqual(found['data_huge_bytes'], 2 * HUGE)
        self.assertGreaterEqual(found['data_huge_bytes'] + found['data_lazy_bytes'],
                                5 * HUGE)

    def test_all_of_bss(self):
        run = Run(f'{WHERE}/pie', options=['--bss'], HUGETLB_MINIMAL_COPY='no')
        self.check(run, Run(f'{WHERE}/pie', plain=True))
        self.assertEqual(run.segments['data_lazy_bytes'], 0)
        self.assertGreaterEqual(run.segments['data_huge_bytes'], 5 * HUGE)

    def test_marks(self):
        hugeedit = os.path.join(os.path.dirname(s.hugectl()), 'hugeedit')
        path = f'{WHERE}/marked'
        shutil.copy(f'{WHERE}/pie-linked', path)
        subprocess.run([hugeedit, '--data', path], check=True)
        run = Run(path, options=['--heap=thp'])
        self.assertEqual(run.segments['text_bytes'], 0)
        self.assertGreaterEqual(run.segments['data_huge_bytes'], 2 * HUGE)
        run = Run(path, options=['--disable'])
        self.assertEqual(run.segments['data_bytes'], 0)


class Shared(Base):
    def setUp(self):
        self.shadows = s.Shadows().__enter__()
        self.path = f'{WHERE}/fixed-linked'
        self.plain = Run(self.path, plain=True)

    def tearDown(self):
        self.shadows.__exit__()

    def run_shared(self, path=None, expect='shared shadow'):
        run = Run(path or self.path, shadows=self.shadows)
        self.assertGreater(run.rung(expect), 0, run.segments)
        return run

    def test_one_copy(self):
        """Pss halves; the text of the second is there from the start."""
        env = s.environment(self.shadows)
        for name in ('fixed-linked', 'pie-linked'):
            pair = [s.Running([f'{WHERE}/{name}', 'wait'], ['--text'], env)
                    for _ in (0, 1)]
            either = name + '(-[0-9a-f]{16})?'
            for run in pair:
                run.settled(either)
            pss, rss = s.text_pss(pair[1].program(), either)
            self.assertTrue(rss and pss <= 0.51 * rss, (pss, rss))
            for run in pair:
                self.assertEqual(run.finish('')[0], 0)
        self.assertEqual(len(self.shadows.files()), 2)

    def test_an_ordinary_pie_shares_nothing(self):
        for _ in range(3):
            run = Run(f'{WHERE}/pie', shadows=self.shadows)
            self.assertEqual(run.rung('shared shadow'), 0)
            self.assertGreaterEqual(run.text_huge, 2 * HUGE)
        self.assertEqual(self.shadows.files(), [])

    def test_not_where_it_is_switched_off(self):
        run = Run(self.path, shadows=self.shadows, HUGETLB_SHARE='0')
        self.assertGreater(run.rung('private shadow'), 0)
        self.assertEqual(self.shadows.files(), [])

    def test_same_name_another_program(self):
        os.makedirs(f'{WHERE}/other', exist_ok=True)
        other = build('other/fixed-linked', WAYS['fixed-linked'], 'b')
        for _ in (0, 1):
            self.assertIn('name a', self.run_shared().out)
            self.assertIn('name b', self.run_shared(other).out)
        self.assertEqual(len(self.shadows.files()), 2)

    def test_replaced_and_rewritten(self):
        path = build('changing', WAYS['fixed-linked'], 'a')
        self.assertIn('name a', self.run_shared(path).out)
        times = os.stat(path)
        # The same inode, size and time of change of contents.
        other = build('changed', WAYS['fixed-linked'], 'b')
        with open(path, 'r+b') as to, open(other, 'rb') as of:
            to.write(of.read())
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.assertIn('name b', self.run_shared(path).out)
        # What is stale goes when a new one is made.
        self.assertEqual(len(self.shadows.files()), 1)

    def test_stale_ones_are_reaped(self):
        path = build('leaving', WAYS['fixed-linked'])
        self.run_shared(path)
        os.unlink(path)
        unfinished = f'{self.shadows.path}/.leaving-0123456789abcdef.1'
        with open(unfinished, 'wb') as f:
            f.write(b'x' * 4096)
        os.utime(unfinished, (1, 1))
        # The user may have other things there.
        others = [f'{self.shadows.path}/{name}' for name in (
            'precious', '.hidden', 'a-0123', 'b-0123456789abcdeg', '.c.1')]
        for other in others:
            with open(other, 'wb') as f:
                f.write(b'x' * 4096)
            os.utime(other, (1, 1))
        self.run_shared()
        for other in others:
            os.unlink(other)
        self.assertEqual([f.split('-')[0] for f in self.shadows.files()], ['fixed'])

    def test_the_files(self):
        self.run_shared()
        name, = self.shadows.files()
        st = os.stat(f'{self.shadows.path}/{name}')
        self.assertEqual(stat.S_IMODE(st.st_mode), 0o500)
        self.assertRegex(name, '^fixed-linked-[0-9a-f]{16}$')
        headers = subprocess.run(['readelf', '-hlSnW', f'{self.shadows.path}/{name}'],
                                 capture_output=True, text=True, check=True)
        self.assertEqual(headers.stderr, '')
        own = subprocess.run(['readelf', '-nW', self.path], capture_output=True,
                             text=True, check=True).stdout
        build_id = re.compile(r'Build ID: (\w+)')
        self.assertNotEqual(build_id.search(own), None)
        self.assertNotEqual(build_id.search(own).group(1),
                            build_id.search(headers.stdout).group(1))

    def test_spoilt_files_are_not_used(self):
        """Anything that is off about one: it is made anew."""
        def wrong_mode(path):
            os.chmod(path, 0o700)

        def second_name(path):
            os.link(path, path + '.link')

        def cut_short(path):
            os.truncate(path, HUGE)

        def empty(path):
            os.truncate(path, 0)

        def key_changed(path):
            os.chmod(path, 0o700)
            with open(path, 'r+b') as f:
                f.seek(0x180)
                f.write(b'\1\2\3\4')
            os.chmod(path, 0o500)

        def another_file(path):
            os.unlink(path)
            shutil.copy('/bin/true', path)
            os.chmod(path, 0o500)

        def link(path):
            os.rename(path, path + '.real')
            os.symlink(path + '.real', path)

        for spoil in (wrong_mode, second_name, cut_short, empty, key_changed,
                      another_file):
            with self.subTest(spoil.__name__):
                self.run_shared()
                name = [n for n in self.shadows.files() if n[-5] != '.'][0]
                path = f'{self.shadows.path}/{name}'
                before = os.stat(path).st_ino
                spoil(path)
                self.check(self.run_shared(), self.plain)
                self.assertNotEqual(os.stat(path).st_ino, before)
        self.run_shared()
        link(path)
        run = Run(self.path, shadows=self.shadows)
        self.check(run, self.plain)
        self.assertGreater(run.text_huge, 0)

    def test_limit_of_their_sum(self):
        """A quarter of the file system, also for a program with many names."""
        if os.geteuid() != 0 or not shutil.which('unshare'):
            self.skipTest('mounting needs root')
        names = f'{WHERE}/names.s'
        with open(names, 'w', encoding='ascii') as f:
            f.write('.text\n')
            for i in range(40000):
                name = f'f{i}_' + 'x' * 500
                f.write(f'.type {name},@function\n{name}: .byte 0\n')
        path = build('names', [*WAYS['fixed-linked'], names])
        used = f'{WHERE}/used'
        script = ('mount -t tmpfs -o size=60M tmpfs /dev/shm; "$@"; status=$?; '
                  f'du -sk /dev/shm >{used}; exit $status')
        for program, rung in ((path, 'private shadow'), (self.path, 'shared shadow')):
            run = Run(program, prefix=['unshare', '-m', 'sh', '-c', script, 'sh'])
            self.check(run, self.plain)
            self.assertGreaterEqual(run.rung(rung), 2 * HUGE, run.segments)
            with open(used, encoding='ascii') as f:
                self.assertLessEqual(int(f.read().split()[0]), 15 << 10)

    def test_a_split_huge_page_is_joined(self):
        """As memory pressure leaves it: equal contents, on base pages."""
        before = self.run_shared().rung('shared shadow')
        name, = self.shadows.files()
        path = f'{self.shadows.path}/{name}'
        libc = ctypes.CDLL(None, use_errno=True)
        os.chmod(path, 0o700)
        with open(path, 'r+b') as f:
            for at in range(HUGE, os.fstat(f.fileno()).st_size, HUGE):
                old = os.pread(f.fileno(), 4096, at)
                if libc.fallocate(f.fileno(), PUNCH_HOLE, ctypes.c_long(at),
                                  ctypes.c_long(4096)):
                    self.skipTest('no holes in files here')
                os.pwrite(f.fileno(), old, at)
        os.chmod(path, 0o500)
        inode = os.stat(path).st_ino
        for _ in (0, 1):
            run = self.run_shared()
            self.check(run, self.plain)
            self.assertEqual(run.rung('shared shadow'), before, run.segments)
            self.assertEqual(os.stat(path).st_ino, inode)

    def test_directories_of_others(self):
        """Open to others, or not a directory: nothing is put there."""
        os.chmod(self.shadows.path, 0o755)
        self.check(self.run_shared(expect='private shadow'), self.plain)
        self.assertEqual(self.shadows.files(), [])
        os.chmod(self.shadows.path, 0o700)
        link = f'{WHERE}/link'
        os.symlink(self.shadows.path, link)
        run = Run(self.path, HUGETLB_SHARE_PATH=link)
        self.assertGreater(run.rung('private shadow'), 0)
        os.mkdir(f'{WHERE}/disk', 0o700)
        run = Run(self.path, HUGETLB_SHARE_PATH=f'{WHERE}/disk')
        self.assertGreater(run.text_huge, 0)
        self.assertEqual(self.shadows.files(), [])
        self.assertEqual(os.listdir(f'{WHERE}/disk'), [])

    def test_many_at_once(self):
        """Two that make the same one: both run, one file is left."""
        env = s.environment(self.shadows)
        runs = [subprocess.Popen([s.hugectl(), '-q', '--text', self.path], env=env,
                                 stdout=subprocess.PIPE, text=True)
                for _ in range(8)]
        for run in runs:
            self.assertEqual(run.communicate()[0], self.plain.out)
        self.assertEqual(len(self.shadows.files()), 1)

    def test_killed_in_the_middle(self):
        env = s.environment(self.shadows)
        for delay in range(12):
            with subprocess.Popen([s.hugectl(), '-q', '--text', self.path], env=env,
                                  stdout=subprocess.DEVNULL) as run:
                time.sleep(0.002 * delay)
                run.kill()
        self.check(self.run_shared(), self.plain)


class Symbols(Base):
    """For a program with a private copy and for one with a shared one."""
    names = ('pie', 'fixed-linked') + (('pie-linked',) if FULL else ())

    def start(self, name, shadows):
        run = s.Running([f'{WHERE}/{name}', 'wait'], ['--text'], s.environment(shadows))
        run.settled(name + '(-[0-9a-f]{16})?')
        return run

    def gdb(self, *commands, args=()):
        if not shutil.which('gdb'):
            self.skipTest('no gdb here')
        argv = ['gdb', '-q', '-nx', '-batch']
        for command in commands:
            argv += ['-ex', command]
        done = subprocess.run([*argv, *args], capture_output=True, text=True,
                              check=False, env=s.environment(),
                              stdin=subprocess.DEVNULL, timeout=120)
        return done.stdout + done.stderr

    def test_attached_debugger(self):
        for name in self.names:
            with self.subTest(name), s.Shadows() as shadows:
                run = self.start(name, shadows)
                out = self.gdb('break spin_here', 'set unwindonsignal on',
                               'print (long)spin_here(10)', 'bt 1', 'kill',
                               args=['-p', str(run.program())])
                self.assertRegex(out, r'Breakpoint 1, spin_here \(n=10\)')
                self.assertRegex(out, r'#0 +spin_here \(n=10\)')
                run.process.kill()
                run.finish('')

    def test_breakpoints_before_and_after_the_move(self):
        wrapper = ' '.join(preload_environment())
        for name in self.names:
            with self.subTest(name), s.Shadows() as shadows:
                out = self.gdb(
                    f'set exec-wrapper env HUGETLB_SHARE_PATH={shadows.path} {wrapper}',
                    'handle SIGSEGV nostop noprint pass',
                    'break deep_trace if n == 0', 'run', 'bt 2', 'delete',
                    'break spin_here', 'continue', 'bt 2',
                    args=['--args', f'{WHERE}/{name}', 'spin'])
                self.assertRegex(out, r'#1 .*deep_trace \(n=')
                self.assertRegex(out, r'#0 +spin_here \(n=')
                self.assertRegex(out, r'#1 .* main \(')

    def test_core_file(self):
        with open('/proc/sys/kernel/core_pattern', encoding='ascii') as f:
            if f.read().startswith(('|', '/')):
                self.skipTest('core files go elsewhere')
        for name in self.names:
            with self.subTest(name), s.Shadows() as shadows:
                where = f'{WHERE}/core-{name}'
                os.mkdir(where)
                done = subprocess.run(
                    ['sh', '-c', f'cd {where} && ulimit -c unlimited && '
                     f'exec {s.hugectl()} -q --text {WHERE}/{name} crash'],
                    env=s.environment(shadows), check=False, capture_output=True)
                self.assertEqual(done.returncode, -signal.SIGSEGV)
                if shadows.files():
                    os.unlink(f'{shadows.path}/{shadows.files()[0]}')
                core = [n for n in os.listdir(where) if n.startswith('core')]
                out = self.gdb('bt', args=[f'{WHERE}/{name}', f'{where}/{core[0]}'])
                self.assertRegex(out, r'#0 +crash_here \(p=')
                self.assertRegex(out, r'#1 .*in main \(')

    def perf(self, *args, **more):
        return subprocess.run(['perf', *args], capture_output=True, text=True,
                              check=False, timeout=120, **more)

    def sampled(self, name, data, env):
        """Names of functions by share of samples."""
        done = self.perf('report', '-i', data, '--stdio', '-s', 'sym', '--percent-limit',
                         '5', env=env)
        return re.findall(r'([\d.]+)% +\[\.\] (\w+)', done.stdout), done

    def test_profiler(self):
        env = dict(s.environment(), HOME=WHERE, PERF_BUILDID_DIR=f'{WHERE}/.debug')
        probe = self.perf('record', '-q', '-e', 'cpu-clock', '-o', f'{WHERE}/p.data',
                          'true', env=env) if shutil.which('perf') else None
        if not probe or probe.returncode:
            self.skipTest('perf cannot be used here')
        for name in self.names:
            with self.subTest(name), s.Shadows() as shadows:
                # First plainly, so that the original is in perf's cache.
                for n, command in enumerate((
                        [], ['env', f'HUGETLB_SHARE_PATH={shadows.path}', s.hugectl(),
                             '-q', '--text'])):
                    data = f'{WHERE}/p{n}.data'
                    self.perf('record', '-q', '-e', 'cpu-clock', '-o', data,
                              '--buildid-all', '--', *command, f'{WHERE}/{name}', 'spin',
                              env=env)
                    for file in shadows.files():
                        os.unlink(f'{shadows.path}/{file}')
                    names, done = self.sampled(name, data, env)
                    self.assertTrue(names, done.stdout + done.stderr)
                    self.assertEqual(names[0][1], 'spin_here')
                    self.assertGreater(float(names[0][0]), 10)

    def test_profiler_of_a_running_program(self):
        """Attached later it sees the shadow, which has symbols and an id of its own."""
        env = dict(s.environment(), HOME=WHERE, PERF_BUILDID_DIR=f'{WHERE}/.debug2')
        if not shutil.which('perf'):
            self.skipTest('perf cannot be used here')
        with s.Shadows() as shadows:
            run = s.Running([f'{WHERE}/fixed-linked', 'spin', FOR_LONG], ['--text'],
                            s.environment(shadows))
            time.sleep(0.4)
            data = f'{WHERE}/attached.data'
            done = self.perf('record', '-q', '-e', 'cpu-clock', '-o', data, '-p',
                             str(run.program()), '--', 'sleep', '0.3', env=env)
            run.process.kill()
            run.finish('')
            if done.returncode:
                self.skipTest('perf cannot be used here')
            os.unlink(f'{shadows.path}/{shadows.files()[0]}')
            names, done = self.sampled('fixed-linked', data, env)
            self.assertTrue(names, done.stdout + done.stderr)
            self.assertEqual(names[0][1], 'spin_here')


class Restricted(Base):
    """The program runs, and the report says why text stayed, if it did."""

    def setUp(self):
        self.path = f'{WHERE}/fixed-linked'
        self.plain = Run(self.path, plain=True)
        self.began = time.time() - 1

    def test_no_writable_memory_becomes_executable(self):
        with s.Shadows() as shadows:
            def mdwe():
                prctl(PR_SET_MDWE, 1)

            for before in (mdwe, lambda: refuse(*self.without_exec)):
                try:
                    for name in ('pie', 'fixed-linked'):
                        run = Run(f'{WHERE}/{name}', shadows=shadows, before=before)
                        self.check(run, self.plain)
                        self.assertGreaterEqual(run.text_huge, 2 * HUGE)
                except subprocess.SubprocessError:
                    self.skipTest('this kernel has no PR_SET_MDWE')

    without_files = (CALLS['memfd_create'], False)
    without_exec = (CALLS['mprotect'], True)

    def test_anonymous_copy(self):
        """The last rung, with names for profilers beside it."""
        run = Run(*restricted(f'{WHERE}/pie', self.without_files))
        self.check(run, self.plain)
        self.assertGreaterEqual(run.rung('anonymous copy'), 2 * HUGE)
        for path in glob.glob('/tmp/perf-*.map'):
            if os.stat(path).st_mtime > self.began:
                os.unlink(path)

    def test_names_of_the_anonymous_copy(self):
        with subprocess.Popen(
                [s.hugectl(), '-q', '--text', f'{WHERE}/pie', 'wait'],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                env=s.environment(),
                preexec_fn=lambda: refuse(*self.without_files)) as run:
            path = f'/tmp/perf-{run.pid}.map'
            for _ in range(300):
                if os.path.exists(path) and os.path.getsize(path):
                    break
                time.sleep(0.02)
            run.communicate(b'')
            self.assertTrue(os.path.exists(path))
            with open(path, encoding='ascii') as f:
                lines = [line.split() for line in f]
            os.unlink(path)
        self.assertTrue(any(name == 'deep_trace' for *_, name in lines), lines[:5])
        for start, length, _ in lines:
            self.assertTrue(int(start, 16) and int(length, 16))

    def test_limit_on_the_size_of_files(self):
        """Its signal would kill; the anonymous copy needs no file."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        with s.Shadows() as shadows:
            for name in ('pie', 'fixed-linked'):
                with self.subTest(name):
                    run = Run(f'{WHERE}/{name}', shadows=shadows, before=limit)
                    self.check(run, self.plain)
                    self.assertGreaterEqual(run.rung('anonymous copy'), 2 * HUGE)
                    run = Run(*restricted(f'{WHERE}/{name}', self.without_exec),
                              shadows=shadows, before=limit)
                    self.check(run, self.plain)
                    self.assertEqual(run.text_huge, 0)
        for path in glob.glob('/tmp/perf-*.map'):
            if os.stat(path).st_mtime > self.began:
                os.unlink(path)

    def test_nothing_is_allowed(self):
        run = Run(*restricted(f'{WHERE}/pie', self.without_files, self.without_exec))
        self.check(run, self.plain)
        self.assertEqual(run.text_huge, 0)
        self.assertGreaterEqual(run.segments['stayed_bytes'][FORBIDDEN], 2 * HUGE)

    def test_no_transparent_huge_pages(self):
        """No collapse: pages of the pool if there are any, or it stays."""
        def before():
            prctl(PR_SET_THP_DISABLE, 1)

        run = Run(f'{WHERE}/pie', before=before)
        self.check(run, self.plain)
        left = run.segments['stayed_bytes']
        self.assertEqual(run.rung('private shadow') + run.rung('anonymous copy'), 0)
        if not run.rung('hugetlb'):
            self.assertGreaterEqual(sum(left.values()) - left['partial'], 2 * HUGE)

    def test_pages_of_the_pool(self):
        reason = machine.may_change()
        if reason:
            self.skipTest(reason)

        def before():
            prctl(PR_SET_THP_DISABLE, 1)

        with machine.Machine() as m:
            m.pool.resize(16)
            run = Run(f'{WHERE}/pie', before=before)
            self.check(run, self.plain)
            self.assertGreaterEqual(run.rung('hugetlb'), 2 * HUGE)

    def test_shared_memory_directory(self):
        """Full, read-only, not executable, absent."""
        if os.geteuid() != 0 or not shutil.which('unshare'):
            self.skipTest('mounting needs root')
        for script, expect in (
                ('mount -t tmpfs -o size=1M tmpfs /dev/shm', None),
                ('mount -t tmpfs -o ro tmpfs /dev/shm', None),
                ('mount -t tmpfs -o noexec tmpfs /dev/shm', None),
                ('umount -l /dev/shm; mount -t tmpfs -o mode=0,ro tmpfs /dev', None)):
            with self.subTest(script):
                prefix = ['unshare', '-m', 'sh', '-c', script + '; exec "$@"', 'sh']
                run = Run(self.path, prefix=prefix)
                self.check(run, self.plain)
                self.assertEqual(run.rung('shared shadow'), 0)
                self.assertGreater(run.rung('private shadow'), 0, run.segments)


if __name__ == '__main__':
    ctl.main()
