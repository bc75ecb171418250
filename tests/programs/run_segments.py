#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Text of real programs on huge pages: at least 99 % of what lies in whole huge
pages, in each of many runs wherever they are loaded, with the output of a plain
run; one physical copy for processes that can have it; nothing left behind by
those that cannot.

HL_PROGRAMS_FULL=1: 20 runs of each instead of 3, 100 of the last.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

import segment_runs as s

FULL = os.environ.get('HL_PROGRAMS_FULL') == '1'
RUNS = 20 if FULL else 3
CXX = '''#include <map>
#include <string>
int count(const std::string &a) { std::map<std::string, int> m; m[a]++; return (int)m.size(); }
'''
JAVA = '''public class Wait {
    public static void main(String[] args) throws Exception {
        int n = 0;
        while (System.in.read() >= 0) n++;
        System.out.println(n);
    }
}
'''


def first(*patterns):
    for pattern in patterns:
        for path in sorted(glob.glob(pattern)):
            return os.path.realpath(path)
    return None


class Program:
    def __init__(self, name, argv, text, objects=None, shared=False, named=None,
                 reported=True):
        self.name, self.argv, self.text = name, argv, text
        # basenames of the text to look at, and --segments to have it moved
        self.objects = objects or [os.path.basename(argv[0] or '')]
        self.options = ['--text'] + ([f'--segments={named}'] if named else [])
        self.shared = shared
        # Not what another user runs: he cannot reach the counters.
        self.reported = reported


def java(where):
    found = first('/usr/lib/jvm/*/bin/java')
    compiler = first('/usr/lib/jvm/*/bin/javac')
    if not found or not compiler:
        return None
    with open(f'{where}/Wait.java', 'w', encoding='ascii') as f:
        f.write(JAVA)
    if subprocess.run([compiler, '-d', where, f'{where}/Wait.java'],
                      check=False).returncode:
        return None
    return found


def postgres(where):
    found = first('/usr/lib/postgresql/*/bin/postgres')
    if not found or os.geteuid() == 0 and not shutil.which('setpriv'):
        return None, None
    data = f'{where}/pg'
    os.mkdir(data)
    become = []
    if os.geteuid() == 0:
        import pwd
        try:
            user = pwd.getpwnam('postgres')
        except KeyError:
            user = pwd.getpwnam('nobody')
        os.chown(data, user.pw_uid, user.pw_gid)
        os.chmod(where, 0o755)
        become = ['setpriv', f'--reuid={user.pw_uid}', f'--regid={user.pw_gid}',
                  '--clear-groups', '--']
    done = subprocess.run([*become, os.path.join(os.path.dirname(found), 'initdb'),
                           '-D', data, '--no-sync', '-U', 'tester'],
                          stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        return None, None
    return found, [*become, found, '--single', '-D', data, 'postgres']


def programs(where):
    node = shutil.which('node') or shutil.which('nodejs')
    if node:
        yield Program('node', [os.path.realpath(node), '-'], 'console.log(6 * 7)\n',
                      ['node(js)?(-[0-9a-f]{16})?'])
    cc1plus = first('/usr/lib/gcc/*/*/cc1plus')
    if cc1plus:
        yield Program('cc1plus', [cc1plus, '-quiet', '-O2', '-', '-o', '-'], CXX,
                      shared=True)
    gdb = shutil.which('gdb')
    if gdb:
        yield Program('gdb', [gdb, '-q', '-nx'], 'print 6 * 7\nquit\n')
    clang = first('/usr/lib/llvm-14/bin/clang', '/usr/lib/llvm-*/bin/clang')
    if clang:
        yield Program('clang', [clang, '-cc1', '-O2', '-S', '-x', 'c', '-', '-o', '-'],
                      'int twice(int n) { return 2 * n; }\n',
                      [r'libLLVM-.*', r'libclang-cpp.*'], True, 'libLLVM,libclang-cpp')
    jvm = java(where)
    if jvm:
        yield Program('java', [jvm, '-XX:TieredStopAtLevel=1', '-cp', where, 'Wait'],
                      'x' * 100, [r'libjvm\.so.*'], True,
                      'libjvm')
    server, argv = postgres(where)
    if server:
        yield Program('postgres', argv, 'select 6 * 7 as answer\n', ['postgres'],
                      reported=False)


class Checks:
    failed = 0

    def that(self, true, text):
        if not true:
            self.failed += 1
            print(f'  FAILED: {text}', flush=True)


def once(check, p, shadows, plain, where):
    report = f'{where}/report.json'
    env = s.environment(shadows)
    run = s.Running(p.argv, p.options, env, report)
    sums = [0, 0]
    for name in p.objects:
        whole, huge = run.settled(name) or (0, 0)
        sums[0] += whole
        sums[1] += huge
        check.that(whole and huge >= 0.99 * whole,
                   f'{p.name}: {name}: {huge >> 10} of {whole >> 10} KiB')
    result = run.finish(p.text)
    check.that(result[:2] == plain[:2], f'{p.name}: {result} instead of {plain}')
    counted = run.segments()
    check.that(not p.reported or sum(counted['text_huge_bytes'].values()) >= 0.99 * sums[1],
               f'{p.name}: the report has {counted["text_huge_bytes"]}')
    return sums, counted


def halves(check, p, shadows):
    """A second process of it has the same physical text."""
    env = s.environment(shadows)
    pair = [s.Running(p.argv, p.options, env) for _ in (0, 1)]
    for run in pair:
        for name in p.objects:
            run.settled(name)
    for name in p.objects:
        pss, rss = s.text_pss(pair[1].program(), name)
        check.that(rss and pss <= 0.51 * rss,
                   f'{p.name}: {name}: Pss {pss >> 10} of {rss >> 10} KiB')
    for run in pair:
        run.finish(p.text)


def test_program(check, p, where):
    with s.Shadows() as shadows:
        os.chmod(shadows.path, 0o700)
        plain = s.Running(p.argv).finish(p.text)
        seen = set()
        for _ in range(RUNS):
            sums, counted = once(check, p, shadows, plain, where)
            rungs = {k: v for k, v in counted['text_huge_bytes'].items() if v}
            seen.add((sums[0] >> 20, tuple(rungs)))
        print(f'  {p.name}: {", ".join(f"{m} MiB {r}" for m, r in sorted(seen))}; '
              f'stayed {({k: v >> 10 for k, v in counted["stayed_bytes"].items() if v})} KiB',
              flush=True)
        if p.shared and 'shared shadow' in rungs:
            halves(check, p, shadows)


def test_nothing_is_left(check, where):
    """An ordinary position-independent program has a copy of its own."""
    gdb = shutil.which('gdb')
    if not gdb:
        return
    before = sorted(os.listdir('/dev/shm'))
    with s.Shadows() as shadows:
        for _ in range(100 if FULL else 5):
            subprocess.run([s.hugectl(), '-q', '--text', gdb, '-batch'],
                           env=s.environment(shadows), check=True,
                           stdout=subprocess.DEVNULL)
        check.that(shadows.files() == [], f'left behind: {shadows.files()}')
    check.that(sorted(os.listdir('/dev/shm')) == before,
               f'/dev/shm: {os.listdir("/dev/shm")}')


def main():
    check = Checks()
    with tempfile.TemporaryDirectory() as where:
        found = list(programs(where))
        if not found:
            print('SKIP: none of the programs is here')
            sys.exit(77)
        only = sys.argv[1:]
        for p in found:
            if not only or p.name in only:
                test_program(check, p, where)
        test_nothing_is_left(check, where)
    sys.exit(1 if check.failed else 0)


main()
