#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What hugectl makes of programs of all kinds, of what stands in LD_PRELOAD
already, and of awkward paths.
"""
import os
import shutil
import stat
import subprocess

import ctl
from ctl import hugectl, is_loaded, settings

MAIN = 'int main(void) { return 3; }'
# No C library: what 32-bit objects cannot be linked against everywhere.
BARE = 'void _start(void) { for (;;) ; }'
# Prints the libraries in the process, and what its child sees.
MAPS = 'print(open("/proc/self/maps").read())'


def preload_line(*options, program, env=None):
    return settings(*options, program=program, env=env).get('LD_PRELOAD', '')


class Kinds(ctl.Case):
    def judged(self, program, words, kept):
        """One line names the reason; LD_PRELOAD stays for children or not."""
        done = hugectl('--heap', '--dry-run', program)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(len(done.stderr.splitlines()), 1, done)
        self.assertIn(words, done.stderr)
        self.assertIn(program, done.stderr)
        self.assertEqual('LD_PRELOAD' in done.stdout, kept, done)
        quiet = hugectl('-q', '--heap', '--dry-run', program)
        self.assertEqual(quiet.stderr, '')

    def test_dynamic(self):
        for flags in ([], ['-no-pie'], ['-pie', '-fPIE']):
            program = self.compile('dynamic', MAIN, *flags)
            self.assertTrue(program)
            done = hugectl('--heap', program)
            self.assertEqual((done.returncode, done.stderr), (3, ''))
            self.assertIn('/$LIB/', preload_line(program=program))

    def test_static(self):
        for flags in (['-static'], ['-static-pie', '-fPIE']):
            program = self.compile('static', MAIN, *flags)
            self.assertTrue(program, flags)
            self.judged(program, 'statically linked', kept=True)
            done = hugectl('--heap', program)
            self.assertEqual(done.returncode, 3)

    def test_32bit(self):
        program = self.compile('program32', BARE, '-m32', '-nostdlib', '-static')
        if not program:
            self.skipTest('this compiler makes no 32-bit programs')
        self.judged(program, '32-bit', kept=True)

    def test_other_machine(self):
        program = self.compile('dynamic', MAIN)
        with open(program, 'r+b') as f:
            f.seek(18)
            f.write(b'\x16\x00')  # e_machine: s390
        self.judged(program, 'another machine', kept=True)

    def test_musl(self):
        program = self.compile(
            'musl', MAIN, '-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1')
        self.judged(program, 'musl', kept=True)

    def test_foreign_loader(self):
        """$LIB is only for the loader whose expansion is known."""
        loader = self.path('ld.so')
        program = self.compile('own', MAIN)
        shutil.copy(loader_of(program), loader)
        program = self.compile('foreign', MAIN, f'-Wl,--dynamic-linker={loader}')
        line = preload_line(program=program)
        self.assertTrue(line.endswith(ctl.NAME), line)
        self.assertNotIn('$', line)
        done = hugectl('--heap', program)
        self.assertEqual((done.returncode, done.stderr), (3, ''))

    def test_loader_as_program(self):
        program = self.compile('dynamic', MAIN)
        done = hugectl('--heap', loader_of(program), program)
        self.assertEqual((done.returncode, done.stderr), (3, ''))

    def test_sanitizers(self):
        made = 0
        for flags in (['-fsanitize=address'], ['-fsanitize=thread'],
                      ['-fsanitize=leak']):
            program = self.compile('sanitized', MAIN, *flags)
            if not program:
                continue
            made += 1
            with self.subTest(flags):
                self.judged(program, 'sanitizer', kept=False)
                if '-fsanitize=thread' not in flags:
                    # (its runtime may refuse the kernel's address layout)
                    done = hugectl('--heap', program)
                    self.assertEqual(done.returncode, 3, done)
        if not made:
            self.skipTest('this compiler has no sanitizers')

    def test_sanitizer_linked_in(self):
        """gcc leaves malloc alone visible, clang the runtime's entry points."""
        program = (self.compile('sanitized', MAIN, '-fsanitize=address',
                                '-static-libasan') or
                   self.compile('sanitized', MAIN, '-fsanitize=address',
                                '-static-libsan'))
        if not program:
            self.skipTest('no AddressSanitizer')
        done = hugectl('--heap', program)
        self.assertEqual(done.returncode, 3, done)
        self.assertRegex(done.stderr, 'sanitizer|malloc of its own')
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_own_malloc(self):
        program = self.compile('own', """
            #include <stddef.h>
            void *malloc(size_t n) { static char a[65536], *p = a; p += n; return p - n; }
            int main(void) { return malloc(1) ? 3 : 4; }""",
            '-fno-builtin', '-rdynamic')
        self.judged(program, 'malloc of its own', kept=True)
        self.assertEqual(hugectl('--heap', program).returncode, 3)

    def test_sanitizer_forced(self):
        """Ordered before ours, and the program runs."""
        program = self.compile('sanitized', MAIN, '-fsanitize=address')
        if not program:
            self.skipTest('no AddressSanitizer')
        line = preload_line('--force-preload', program=program)
        if 'asan' not in line:
            self.skipTest('its runtime is linked in')
        self.assertRegex(line, r'^[^:]*asan[^:]*:[^:]*' + ctl.NAME + '$')
        done = hugectl('--force-preload', '--heap', program)
        self.assertEqual(done.returncode, 3, done)

    def test_setuid(self):
        if os.geteuid() != 0:
            self.skipTest('only root can make a program set-uid for somebody')
        program = self.compile('setuid', MAIN)
        os.chown(program, 65534, 65534)
        os.chmod(program, 0o4755)
        self.judged(program, 'privileges', kept=True)
        # for its owner it is nothing special
        os.chown(program, 0, 0)
        os.chmod(program, 0o4755)
        self.assertEqual(hugectl('--heap', '--dry-run', program).stderr, '')

    def test_scripts(self):
        static = self.compile('static', 'int main(void) { return 4; }', '-static')
        deep = self.write('deep', f'#! {static}\n', 0o755)
        deeper = self.write('deeper', f'#!{deep} argument\n', 0o755)
        done = hugectl('--heap', deeper)
        self.assertEqual(done.returncode, 4)
        self.assertIn('statically linked', done.stderr)
        self.assertIn(static, done.stderr)
        script = self.write('script', f'#!{ctl.PYTHON} -S\n{MAPS}\n', 0o755)
        done = hugectl('--heap', script)
        self.assertEqual(done.stderr, '')
        self.assertIn(ctl.NAME, done.stdout)

    def test_odd_files(self):
        """Cut and broken files: no crash, the kernel has the last word."""
        program = self.compile('whole', MAIN)
        with open(program, 'rb') as f:
            whole = f.read()
        cuts = [0, 1, 3, 4, 5, 16, 40, 63, 64, 65, 120, 300, 900, 1024, 2000]
        for n in cuts + [len(whole) // 2]:
            path = self.path(f'cut{n}')
            with open(path, 'wb') as f:
                f.write(whole[:n])
            os.chmod(path, 0o755)
            done = hugectl('--heap', '--dry-run', path)
            self.assertEqual(done.returncode, 0, done)
        for at in range(0, 1500, 7):
            path = self.path('broken')
            with open(path, 'wb') as f:
                f.write(whole[:at] + b'\xff' * 8 + whole[at + 8:])
            os.chmod(path, 0o755)
            done = hugectl('--heap', '--dry-run', path)
            self.assertEqual(done.returncode, 0, (at, done))
        # lengths and places in the program headers that lie
        most = b'\xff' * 7 + b'\x7f'
        for i in range(whole[56]):
            offset, size = 64 + 56 * i + 8, 64 + 56 * i + 32
            with open(path, 'wb') as f:
                f.write(whole[:offset] + most + whole[offset + 8:size] + most +
                        whole[size + 8:])
            done = hugectl('--heap', '--dry-run', path, timeout=20)
            self.assertEqual(done.returncode, 0, (i, done))
            for field in range(8, 56, 8):
                for value in (b'\xff' * 8, most, b'\0' * 8):
                    at = 64 + 56 * i + field
                    with open(path, 'wb') as f:
                        f.write(whole[:at] + value + whole[at + 8:])
                    done = hugectl('--heap', '--dry-run', path, timeout=20)
                    self.assertEqual(done.returncode, 0, (i, field, done))
        loop = self.write('loop', f'#!{self.path("loop")}\n', 0o755)
        self.assertEqual(hugectl('--dry-run', loop).returncode, 0)


class Preload(ctl.Case):
    def setUp(self):
        super().setUp()
        self.other = self.compile('other.so', 'int other;', '-shared', '-fPIC')

    def test_loaded(self):
        for options in ([], ['--heap'], ['--thp'], ['-q', '--heap'],
                        ['--report=text:/dev/null'],
                        ['--heap', '--report=json:/dev/null']):
            self.assertTrue(is_loaded(*options), options)
        self.assertFalse(is_loaded('--heap', '--no-preload'))

    def test_existing_is_kept(self):
        other = self.other
        for old, rest in ((other, [other]), (f'{other}:{other}', [other] * 2),
                          (f'{other} libc.so.6', [other, 'libc.so.6']),
                          (f':{other}', [other]), (f'{other}::', [other]),
                          (f' : {other} : ', [other]), ('', []), (':', [])):
            with self.subTest(old):
                env = ctl.environment(LD_PRELOAD=old)
                entries = settings('--heap', env=env)['LD_PRELOAD'].split(':')
                self.assertTrue(entries[0].endswith(ctl.NAME))
                self.assertEqual(entries[1:], rest)
                done = hugectl('--heap', ctl.PYTHON, '-c', MAPS, env=env)
                self.assertEqual(done.stderr, '')
                self.assertIn(ctl.NAME, done.stdout)
                self.assertEqual(other in done.stdout, bool(rest))
                self.assertEqual(dict(ctl.child_env('--no-preload', env=env))
                                 ['LD_PRELOAD'], old)

    def test_not_twice(self):
        """hugectl under hugectl."""
        out = hugectl('--heap', ctl.HUGECTL, '--heap', '/usr/bin/env').stdout
        line = [x for x in out.splitlines() if x.startswith('LD_PRELOAD=')]
        self.assertEqual(line[0].count(ctl.NAME), 1, line)

    def test_library_path_variable(self):
        for old in (None, '', '/somewhere', '/a:'):
            env = ctl.environment(**({} if old is None else
                                     {'LD_LIBRARY_PATH': old}))
            pairs = dict(ctl.child_env('--heap', env=env))
            self.assertEqual(pairs.get('LD_LIBRARY_PATH'), old)

    def test_library_path_option(self):
        directory = self.path('lib')
        os.mkdir(directory)
        self.assertNotIn('LD_PRELOAD', settings('--library-path', directory))
        done = hugectl('--heap', '--library-path', directory, '/bin/echo', 'ran')
        self.assertEqual(done.stdout, 'ran\n')
        self.assertIn('not found', done.stderr)
        shutil.copy(self.other, os.path.join(directory, ctl.NAME))
        for old, new in (({}, directory), ({'LD_LIBRARY_PATH': ''}, directory),
                         ({'LD_LIBRARY_PATH': '/x'}, f'{directory}:/x')):
            got = settings('--library-path', directory, env=ctl.environment(**old))
            self.assertEqual(got['LD_LIBRARY_PATH'], new)
            self.assertEqual(got['LD_PRELOAD'], f'{directory}/{ctl.NAME}')

    def test_library_use_path(self):
        self.assertEqual(settings('--library-use-path')['LD_PRELOAD'], ctl.NAME)

    def test_children_inherit_unless_told(self):
        script = (f'import subprocess, sys; subprocess.run([{ctl.PYTHON!r}, "-c", '
                  f'{MAPS!r}])')
        done = hugectl('--heap', ctl.PYTHON, '-c', script)
        self.assertIn(ctl.NAME, done.stdout)
        done = hugectl('--heap', '--no-children', ctl.PYTHON, '-c', script)
        self.assertNotIn(ctl.NAME, done.stdout)
        self.assertEqual(done.stderr, '')
        self.assertTrue(is_loaded('--heap', '--no-children'))
        env = ctl.environment(LD_PRELOAD=self.other, HUGETLB_MORECORE='yes')
        done = hugectl('--heap', '--no-children', ctl.PYTHON, '-c',
                       'import os; print(dict(os.environ))', env=env)
        self.assertNotIn('HUGETLB_', done.stdout)
        self.assertIn(f"'LD_PRELOAD': '{self.other}'", done.stdout)

    def test_children_of_all_kinds(self):
        """Nothing is said by, or about, children that cannot have it."""
        static = self.compile('static', MAIN, '-static')
        setuid = self.compile('setuid', MAIN)
        if os.geteuid() == 0:
            os.chown(setuid, 65534, 65534)
            os.chmod(setuid, 0o4755)
            os.chmod(self.where, 0o755)
        done = hugectl('--heap', '/bin/sh', '-c',
                       f'{static}; echo $?; {setuid}; echo $?')
        self.assertEqual((done.stdout, done.stderr), ('3\n3\n', ''))

    def test_32bit_children(self):
        """What a 32-bit loader finds under its $LIB is an object of its class."""
        line = settings('--heap')['LD_PRELOAD']
        self.assertIn('/$LIB/', line)
        top = line.split('/$LIB/', maxsplit=1)[0]
        if not self.compile('bare32', BARE, '-m32', '-nostdlib', '-static'):
            self.skipTest('this compiler makes no 32-bit objects')
        for lib in ('lib32', 'lib/i386-linux-gnu'):
            with open(os.path.join(top, lib, ctl.NAME), 'rb') as f:
                head = f.read(20)
            # 32-bit, a shared object, for the 386
            self.assertEqual(head[:5], b'\x7fELF\x01')
            self.assertEqual(head[16:20], b'\x03\0\x03\0')

    def test_32bit_program(self):
        """A real one, as a child: its loader finds that object, and is content."""
        loader, libc = '/lib/ld-linux.so.2', '/lib32/libc.so.6'
        if not os.path.exists(loader) or not os.path.exists(libc):
            self.skipTest('no 32-bit C library')
        program = self.compile(
            'program32', 'void _exit(int); void _start(void) { _exit(3); }', '-m32',
            '-nostdlib', f'-Wl,--dynamic-linker={loader}', f'-Wl,{libc}')
        self.assertTrue(program)
        try:
            plain = subprocess.run([program], check=False).returncode
        except OSError as e:
            self.skipTest(f'this kernel runs no 32-bit programs: {e}')
        self.assertEqual(plain, 3)
        done = hugectl('--heap', '/bin/sh', '-c', f'{program}; echo $?')
        self.assertEqual((done.stdout, done.stderr), ('3\n', ''))
        done = hugectl('--heap', '/bin/sh', '-c', f'{loader} --list {program}')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertIn(ctl.NAME, done.stdout)


class AwkwardPaths(ctl.Case):
    """A build tree below a directory with characters that ld.so splits at."""

    def tree(self, name):
        top = self.path(name)
        os.makedirs(os.path.join(top, 'tools'))
        os.makedirs(os.path.join(top, 'lib'))
        tool = os.path.join(top, 'tools', 'hugectl')
        shutil.copy(ctl.HUGECTL, tool)
        line = settings('--heap')['LD_PRELOAD']
        real = line.replace('$LIB', native_lib(line))
        shutil.copy(real, os.path.join(top, 'lib', ctl.NAME))
        return tool

    @staticmethod
    def links(runtime):
        directory = os.path.join(runtime, 'libhugetlbfs2')
        return os.listdir(directory) if os.path.isdir(directory) else []

    def test_paths(self):
        runtime = self.path('runtime')
        os.mkdir(runtime, 0o700)
        for name in ('plain', 'with space', 'with:colon', 'dollar$LIB', 'a$ORIGIN',
                     "quote'", 'ümlaut', 'tab\tx'):
            with self.subTest(name):
                tool = self.tree(name)
                env = ctl.environment(XDG_RUNTIME_DIR=runtime)
                self.assertTrue(is_loaded('--heap', env=env, tool=tool), name)
                # the second time by the link that is there
                before = self.links(runtime)
                self.assertTrue(is_loaded('--heap', env=env, tool=tool), name)
                self.assertEqual(self.links(runtime), before)
        self.assertEqual(len(self.links(runtime)), 4)

    def test_link_is_checked(self):
        tool = self.tree('with space')
        runtime = self.path('runtime')
        os.mkdir(runtime, 0o700)
        env = ctl.environment(XDG_RUNTIME_DIR=runtime)
        self.assertTrue(is_loaded('--heap', env=env, tool=tool))
        directory = os.path.join(runtime, 'libhugetlbfs2')
        link = os.path.join(directory, os.listdir(directory)[0])
        # somebody put another link there
        os.unlink(link)
        os.symlink('/tmp', link)
        done = hugectl('--heap', '/bin/echo', 'ran', env=env, tool=tool)
        self.assertEqual((done.returncode, done.stdout), (125, ''))
        self.assertIn('cannot be preloaded', done.stderr)
        # the directory is open to others
        os.unlink(link)
        os.chmod(directory, 0o777)
        done = hugectl('--heap', '/bin/echo', 'ran', env=env, tool=tool)
        self.assertEqual(done.returncode, 125)
        os.chmod(directory, 0o700)
        self.assertTrue(is_loaded('--heap', env=env, tool=tool))

    def test_without_the_library(self):
        tool = os.path.join(self.path('alone'), 'hugectl')
        os.mkdir(self.path('alone'))
        shutil.copy(ctl.HUGECTL, tool)
        done = hugectl('--heap', '/bin/echo', 'ran', tool=tool)
        if not done.stderr:
            self.skipTest('the library is installed on this machine')
        self.assertEqual((done.returncode, done.stdout), (0, 'ran\n'))
        self.assertIn('not found', done.stderr)


def loader_of(program):
    out = subprocess.run(['readelf', '-lW', program], check=True, text=True,
                         stdout=subprocess.PIPE, env=dict(os.environ, LC_ALL='C')).stdout
    return out.split('interpreter: ')[1].split(']')[0]


def native_lib(line):
    top = line.split('/$LIB/', maxsplit=1)[0]
    for lib in ('lib/x86_64-linux-gnu', 'lib/aarch64-linux-gnu', 'lib64', 'lib'):
        path = os.path.join(top, lib, ctl.NAME)
        if os.path.exists(path) and stat.S_ISREG(os.stat(path).st_mode):
            with open(path, 'rb') as f:
                if f.read(5) == b'\x7fELF\x02':
                    return lib
    raise AssertionError(f'no native object below {top}')


if __name__ == '__main__':
    ctl.main()
