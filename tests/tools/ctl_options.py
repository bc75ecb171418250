#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every option of hugectl: what it sets, what it refuses, how it exits."""
import os
import re
import subprocess

import ctl
from ctl import hugectl, settings

LAZY = {'HUGETLB_MORECORE_POPULATE': 'auto'}

# Options, and what they set beside LD_PRELOAD.
SETS = [
    ('', {}),
    ('--heap', {'HUGETLB_MORECORE': 'yes', **LAZY}),
    ('--heap=2M', {'HUGETLB_MORECORE': '2M', **LAZY}),
    ('--heap=2097152', {'HUGETLB_MORECORE': '2097152', **LAZY}),
    ('--heap=1G', {'HUGETLB_MORECORE': '1G', **LAZY}),
    ('--heap=64kB', {'HUGETLB_MORECORE': '64kB', **LAZY}),
    ('--heap=thp', {'HUGETLB_MORECORE': 'thp'}),
    ('--heap=auto', {'HUGETLB_MORECORE': 'auto'}),
    ('--thp', {'HUGETLB_MORECORE': 'thp'}),
    ('--heap --thp', {'HUGETLB_MORECORE': 'thp'}),
    ('--heap=2M --thp', {'HUGETLB_MORECORE': 'thp'}),
    ('--mmap', {'HUGETLB_MMAP': 'yes'}),
    ('--mmap=thp', {'HUGETLB_MMAP': 'thp'}),
    ('--mmap=2M', {'HUGETLB_MMAP': '2M'}),
    ('--shm', {'HUGETLB_SHM': 'yes'}),
    ('--shm=2M', {'HUGETLB_SHM': 'yes'}),
    ('--text', {'HUGETLB_ELFMAP': 'R'}),
    ('--text=2M', {'HUGETLB_ELFMAP': 'R=2M'}),
    ('--data', {'HUGETLB_ELFMAP': 'W'}),
    ('--bss', {'HUGETLB_ELFMAP': 'W'}),
    ('--bss=2M', {'HUGETLB_ELFMAP': 'W=2M'}),
    ('--data --bss=2M', {'HUGETLB_ELFMAP': 'W=2M'}),
    ('--data=2M --bss=1G', {'HUGETLB_ELFMAP': 'W=2M'}),
    ('--text --data', {'HUGETLB_ELFMAP': 'RW'}),
    ('--text=2M --data', {'HUGETLB_ELFMAP': 'R=2M:W'}),
    ('--text --bss=1G', {'HUGETLB_ELFMAP': 'R:W=1G'}),
    ('--text=1G --data=2M', {'HUGETLB_ELFMAP': 'R=1G:W=2M'}),
    ('--brk', {'HUGETLB_ELFMAP': 'B'}),
    ('--text --data --brk', {'HUGETLB_ELFMAP': 'R:W:B'}),
    ('--bss=2M --brk', {'HUGETLB_ELFMAP': 'W=2M:B'}),
    ('--brk --segments=all', {'HUGETLB_ELFMAP': 'B', 'HUGETLB_SEGMENTS': 'all'}),
    ('--brk --disable', {'HUGETLB_ELFMAP': 'no'}),
    ('--text --perf-map', {'HUGETLB_ELFMAP': 'R', 'HUGETLB_PERF_MAP': 'yes'}),
    ('--disable', {'HUGETLB_ELFMAP': 'no'}),
    ('--text --disable', {'HUGETLB_ELFMAP': 'no'}),
    ('--segments=all', {'HUGETLB_ELFMAP': 'R', 'HUGETLB_SEGMENTS': 'all'}),
    ('--data --segments=libc,main', {'HUGETLB_ELFMAP': 'W', 'HUGETLB_SEGMENTS': 'libc,main'}),
    ('--share-text', {'HUGETLB_SHARE': '1'}),
    ('--no-reserve', {'HUGETLB_NO_RESERVE': 'yes'}),
    ('--node=local', {'HUGETLB_NODE': 'local'}),
    ('--node interleave', {'HUGETLB_NODE': 'interleave'}),
    ('--node=0', {'HUGETLB_NODE': '0'}),
    ('--node=0-0', {'HUGETLB_NODE': '0'}),
    ('--heap-min=1M', {'HUGETLB_HEAP_MIN': '1M'}),
    ('--heap-min 4096 --heap-max=1G',
     {'HUGETLB_HEAP_MIN': '4096', 'HUGETLB_HEAP_MAX': '1G'}),
    ('--heap-max=0', {'HUGETLB_HEAP_MAX': '0'}),
    ('--fork=convert', {'HUGETLB_FORK': 'convert'}),
    ('--fork copy', {'HUGETLB_FORK': 'copy'}),
    ('--fork=thp', {'HUGETLB_FORK': 'thp'}),
    ('--fork=off', {'HUGETLB_FORK': 'off'}),
    ('--no-children', {'HUGETLB_NO_CHILDREN': 'yes'}),
    ('--verbose 0', {'HUGETLB_VERBOSE': '0'}),
    ('--verbose=4', {'HUGETLB_VERBOSE': '4'}),
    ('--verbose=42', {'HUGETLB_VERBOSE': '42'}),
    ('--verbose 99', {'HUGETLB_VERBOSE': '99', 'HUGETLB_DEBUG': 'yes'}),
    ('-v', {'HUGETLB_VERBOSE': '3'}),
    ('-vv', {'HUGETLB_VERBOSE': '4'}),
    ('-q', {'HUGETLB_VERBOSE': '0'}),
    ('-q -v', {'HUGETLB_VERBOSE': '1'}),
    # unique beginnings, as getopt_long has them
    ('--heap-mi=1M', {'HUGETLB_HEAP_MIN': '1M'}),
    ('--verb 3', {'HUGETLB_VERBOSE': '3'}),
    ('--report', {}),
    ('--report=json:%p.json', {}),
]

BAD = [
    '--nonsense', '--heapx', '--hea', '-x', '-hx', '--no', '--heap-m=1', '--he',
    '--heap=', '--heap=0', '--heap=3M', '--heap=huge', '--heap=-2M', '--heap=1024',
    '--heap=2Mx', '--heap=2MBB', '--heap=99999999999999999999',
    '--heap=99999999999T', '--heap= 2M', '--heap=2M ', '--heap=0x200000',
    '--thp=yes', '--mmap=yes', '--shm=x', '--text=R', '--data=5', '--bss=K',
    '--share-text=1', '--no-reserve=no', '--node=', '--node=99999', '--node=x',
    '--node=0-', '--node=1-0', '--heap-min=', '--heap-min=x', '--heap-min=-1',
    '--heap-max=1Q', '--heap-min=2M --heap-max=1M', '--fork=', '--fork=never',
    '--fork=Copy', '--report=xml', '--report=jsonx', '--report=json:',
    '--report=:', '--verbose=', '--verbose=x', '--verbose=100', '--verbose=-1',
    '--verbose=1x', '--library-path=', '--dry-run=1', '--help=x', '--=x', '--v',
]


class Options(ctl.Case):
    def test_sets(self):
        for words, expected in SETS:
            with self.subTest(words):
                got = settings(*words.split())
                preload = got.pop('LD_PRELOAD')
                self.assertTrue(preload.endswith('/' + ctl.NAME), preload)
                self.assertEqual(got, expected)

    def test_bad_input(self):
        for words in BAD:
            with self.subTest(words):
                # a space may be part of a value
                words = re.split(r' (?=--)', words)
                done = hugectl(*words, '--', '/bin/echo', 'ran')
                self.assertEqual(done.returncode, 125, done)
                self.assertEqual(done.stdout, '')
                self.assertRegex(done.stderr, r'^hugectl: [^\n]+\n$')

    def test_what_would_be_right(self):
        """The forms of a value are named as --help has them."""
        for words, says in (
                (['--report=xml'], '"xml" is not one of [text|json][:FILE]'),
                (['--fork=never'], '"never" is not one of convert|copy|thp|off'),
                (['--heap=huge'], '"huge" is not one of SIZE|thp|auto'),
                (['--heap-max=x'], '"x" is not a valid BYTES'),
                (['--text=R'], '"R" is not a valid SIZE'),
                (['--verbose', 'x'], '"x" is not a valid LEVEL')):
            self.assertIn(f': {says} (see hugectl --help)\n', hugectl(*words, '/bin/true').stderr)
        self.assertIn(' --report[=[text|json][:FILE]]', hugectl('--help').stdout)

    def test_missing_value(self):
        for option in ('--node', '--heap-min', '--heap-max', '--fork',
                       '--library-path', '--verbose'):
            with self.subTest(option):
                done = hugectl(option)
                self.assertEqual(done.returncode, 125)
                self.assertIn('needs a value', done.stderr)

    def test_no_program(self):
        for words in ([], ['--heap'], ['--'], ['-v']):
            done = hugectl(*words)
            self.assertEqual(done.returncode, 125, words)
            self.assertIn('no program', done.stderr)

    def test_options_end_at_the_program(self):
        done = hugectl('--heap', '/bin/echo', '--heap', '-v', '--', '-q')
        self.assertEqual(done.stdout, '--heap -v -- -q\n')
        done = hugectl('--heap', '--', '/bin/echo', '--', 'x')
        self.assertEqual(done.stdout, '-- x\n')

    def test_populate_stays_the_users(self):
        env = ctl.environment(HUGETLB_MORECORE_POPULATE='all')
        got = settings('--heap', env=env)
        self.assertNotIn('HUGETLB_MORECORE_POPULATE', got)
        pairs = ctl.child_env('--heap', env=env)
        self.assertIn(['HUGETLB_MORECORE_POPULATE', 'all'], pairs)

    def test_settings_replace_old_ones(self):
        env = ctl.environment(HUGETLB_MORECORE='thp', HUGETLB_VERBOSE='0')
        pairs = ctl.child_env('--heap=2M', env=env)
        values = [v for k, v in pairs if k == 'HUGETLB_MORECORE']
        self.assertEqual(values, ['2M'])

    def test_dry_run_is_for_the_shell(self):
        """What it prints, evaluated, is what the program gets."""
        directory = self.path("it's a directory")
        os.mkdir(directory)
        os.symlink(os.path.realpath(preload_file()),
                   os.path.join(directory, ctl.NAME))
        env = ctl.environment()
        # What the shell starts has them, too.
        shell = 'eval "$1"; exec printenv LD_LIBRARY_PATH'
        for value in ('/old "path"', "'" * 5000, 'x' * 5000, "''x" * 3000):
            env['LD_LIBRARY_PATH'] = value
            done = hugectl('--library-path', directory, '--no-preload', '--dry-run',
                           env=env)
            out = subprocess.run(['/bin/sh', '-c', shell, 'sh', done.stdout], text=True,
                                 check=True, stdout=subprocess.PIPE,
                                 env=ctl.environment()).stdout
            self.assertEqual(out, f'{directory}:{value}\n')

    def test_output_that_cannot_be_written(self):
        for words in (['--help'], ['--version'], ['--explain', '/bin/true'],
                      ['--heap', '--dry-run'], ['-q', '--help']):
            for to in ('>/dev/full', '>&-'):
                with self.subTest(words=words, to=to):
                    done = subprocess.run(
                        ['/bin/sh', '-c', f'exec "$@" {to}', 'sh', ctl.HUGECTL, *words],
                        capture_output=True, text=True, check=False, timeout=60,
                        env=ctl.environment())
                    self.assertEqual(done.returncode, 125)
                    self.assertRegex(done.stderr,
                                     r'^hugectl: standard output: [^\n]+\n$')

    def test_disable_counts(self):
        for words in (['--text'], ['--data=2M'], ['--bss'], ['--segments=all']):
            done = hugectl('--disable', *words, '/bin/true')
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stderr, r'^hugectl: --disable counts[^\n]+\n$')
            self.assertEqual(hugectl('-q', '--disable', *words, '/bin/true').stderr, '')
        self.assertEqual(hugectl('--disable', '/bin/true').stderr, '')

    def test_help_and_version(self):
        done = hugectl('--help')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertEqual(hugectl('-h').stdout, done.stdout)
        self.assertIn('HUGETLB_MORECORE', done.stdout)
        done = hugectl('--version')
        self.assertRegex(done.stdout, r'^hugectl \(libhugetlbfs2\) \d+\.\d+\.\d+\n$')

    def test_silent_by_default(self):
        for words in (['--heap'], [], ['--node=local'], ['--no-children'],
                      ['--shm'], ['--mmap'], ['--mmap=thp']):
            done = hugectl(*words, '/bin/true')
            self.assertEqual((done.stdout, done.stderr), ('', ''))

    def test_exit_status(self):
        for status in (0, 1, 2, 77, 125, 255):
            for words in ([], ['--heap'], ['--report=text:/dev/null']):
                done = hugectl(*words, '/bin/sh', '-c', f'exit {status}')
                self.assertEqual(done.returncode, status, words)

    def test_exit_status_of_its_own(self):
        plain = self.write('plain', 'not executable')
        broken = self.write('broken', '#!/nonexistent/interpreter\n', 0o755)
        directory = self.path('directory')
        os.mkdir(directory)
        table = [
            ('/nonexistent/program', 127), ('nonexistent-program', 127),
            ('', 127), (plain, 126), (directory, 126), ('/', 126),
            (broken, 127), (plain + '/x', 126),
        ]
        for words in ([], ['--heap'], ['--report=text:/dev/null'], ['-v']):
            for program, status in table:
                with self.subTest(program=program, words=words):
                    done = hugectl(*words, '--', program)
                    same = subprocess.run(['env', '--', program] if program
                                          else ['sh', '-c', 'exit 127'],
                                          check=False, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL)
                    self.assertEqual(done.returncode, status, done)
                    self.assertEqual(same.returncode, status)
                    self.assertEqual(done.stdout, '')
                    self.assertRegex(done.stderr, r'(?m)^hugectl: .*: ')

    def test_script_without_interpreter(self):
        script = self.write('script', 'echo "from the shell $1"\n', 0o755)
        for words in (['--heap'], ['--report=text:/dev/null'], ['-v']):
            done = hugectl(*words, script, 'argument')
            self.assertEqual(done.stdout, 'from the shell argument\n')

    def test_search_path(self):
        first, second = self.path('a'), self.path('b')
        os.mkdir(first), os.mkdir(second)
        self.write('a/prog', 'echo a\n', 0o644)
        self.write('b/prog', '#!/bin/sh\necho b\n', 0o755)
        env = ctl.environment(PATH=f'{first}:{second}:/usr/bin:/bin')
        self.assertEqual(hugectl('prog', env=env).stdout, 'b\n')
        self.write('b/prog', 'x', 0o644)
        self.assertEqual(hugectl('prog', env=env).returncode, 126)
        env = ctl.environment(PATH=f'{first}:')
        self.write('here', '#!/bin/sh\necho here\n', 0o755)
        self.assertEqual(hugectl('here', env=env, cwd=self.where).stdout, 'here\n')
        env = ctl.environment()
        del env['PATH']
        self.assertEqual(hugectl('true', env=env).returncode, 0)

    def test_arguments_arrive(self):
        words = ['', ' ', 'a b', '"', "'", '\\', '*', 'ä', '\n', '-x', '--', '=']
        for options in (['--heap'], ['--report=text:/dev/null']):
            done = hugectl(*options, '--', ctl.PYTHON, '-c',
                           'import sys; print(sys.argv[1:])', *words)
            self.assertEqual(done.stdout, f'{words}\n')

    def test_many_arguments_and_variables(self):
        """The short way has no room for these; the long way has."""
        env = ctl.environment(**{f'VARIABLE_{i}': 'x' * 200 for i in range(1000)})
        pairs = dict(ctl.child_env('--heap', env=env))
        self.assertEqual(pairs['VARIABLE_999'], 'x' * 200)
        self.assertEqual(pairs['HUGETLB_MORECORE'], 'yes')
        env = ctl.environment(LD_PRELOAD=':'.join(['/nonexistent' + 'x' * 90] * 300))
        got = settings('--heap', env=env)
        self.assertEqual(got['LD_PRELOAD'].count(':'), 300)

    def test_completion(self):
        """Every long option is offered, and behind the program nothing of ours."""
        line = ('source "$1"; COMP_WORDS=(hugectl --); COMP_CWORD=1; _hugectl;'
                'printf "%s\\n" "${COMPREPLY[@]}"')
        env = ctl.environment(PATH=os.path.dirname(ctl.HUGECTL) + ':/usr/bin:/bin')
        out = subprocess.run(
            ['bash', '-c', line, 'bash',
             os.path.join(ctl.ROOT, 'tools/completion/hugectl')],
            env=env, text=True, check=True, stdout=subprocess.PIPE).stdout
        shown = set(re.findall(r'(?m)^  .{0,4}(--[a-z-]+)', hugectl('--help').stdout))
        self.assertGreater(len(shown), 20)
        self.assertEqual(set(out.split()), shown)


def preload_file():
    """Our object, as the dynamic linker would find it."""
    done = hugectl('--heap', ctl.PYTHON, '-c',
                   'print(open("/proc/self/maps").read())')
    return re.search(r'(/.*' + re.escape(ctl.NAME) + ')', done.stdout).group(1)


if __name__ == '__main__':
    ctl.main()
