#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
pagesize(1): what it prints of this machine and of captured ones, and how it
ends.

Usage: pagesize.py PAGESIZE SYSROOTS
"""
import os
import resource
import subprocess
import sys

PAGESIZE, SYSROOTS = sys.argv[1:]
BASE = str(resource.getpagesize())
failed = 0


def check(want_status, want_out, *args, says='', stdout=subprocess.PIPE):
    global failed
    done = subprocess.run([PAGESIZE, *args], stdin=subprocess.DEVNULL,
                          stdout=stdout, stderr=subprocess.PIPE, check=False)
    out = (done.stdout or b'').decode().split('\n')[:-1]
    err = done.stderr.decode()
    said = (says in err and err.count('\n') == 1) if says else not err
    if done.returncode != want_status or out != want_out or not said:
        print(f'pagesize {" ".join(args)}: status {done.returncode}, '
              f'printed {out}, said {err!r}')
        failed += 1


def machine(name):
    return ['--sysroot', os.path.join(SYSROOTS, name)]


ARM = ['2097152', '536870912', '17179869184']

check(0, [BASE])
check(0, [BASE] + ARM, '-a', *machine('arm64-64k'))
check(0, [BASE] + ARM, *machine('arm64-64k'), '--all')
check(0, ARM, '-H', *machine('arm64-64k'))
check(0, ARM, '--huge-only', *machine('arm64-64k'))
check(0, ARM, '-aH', *machine('arm64-64k'))
check(0, ['2097152', '1073741824'], '-H', *machine('x86-two-nodes'))
check(0, [BASE], '-a', *machine('no-hugetlb'))
check(1, [], '-H', *machine('no-hugetlb'), says='no huge pages')
for place in (os.path.join(SYSROOTS, 'no such machine'), '', '/etc/passwd'):
    for words in (['--sysroot', place], ['-H', f'--sysroot={place}']):
        check(2, [], *words, says=f'--sysroot: "{place}" is not a directory')
for words, says in (
        (['--wrong'], "unrecognized option '--wrong'"),
        (['-aX'], "invalid option -- 'X'"),
        (['--sysroot'], "option '--sysroot' requires an argument"),
        (['--all=1'], "option '--all' doesn't allow an argument"),
        (['operand'], 'unexpected argument: operand')):
    check(2, [], *words, says=f'pagesize: {says}\n')
for words in ([], ['--help'], ['--version']):
    with open('/dev/full', 'wb') as full:
        check(1, [], *words, stdout=full, says='standard output: No space left')
    done = subprocess.run(['/bin/sh', '-c', 'exec "$@" >&-', 'sh', PAGESIZE, *words],
                          stderr=subprocess.PIPE, text=True, check=False)
    if (done.returncode, done.stderr) != (
            1, 'pagesize: standard output: Bad file descriptor\n'):
        print(f'pagesize {words} without output: {done}')
        failed += 1


def completed(*words):
    """What bash offers for the last word."""
    line = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pagesize;'
            'printf "%s\\n" "${COMPREPLY[@]}"')
    path = os.path.join(os.path.dirname(SYSROOTS), '../tools/completion/pagesize')
    env = {'PATH': os.path.dirname(PAGESIZE) + ':/usr/bin:/bin'}
    done = subprocess.run(['bash', '-c', line, 'bash', path, 'pagesize', *words],
                          env=env, text=True, stdout=subprocess.PIPE, check=True)
    return sorted(done.stdout.split('\n')[:-1])


for words, want in (
        (['--'], ['--all', '--help', '--huge-only', '--sysroot', '--version']),
        (['--h'], ['--help', '--huge-only']),
        (['--sysroot', os.path.join(SYSROOTS, 'arm64-6')],
         [os.path.join(SYSROOTS, 'arm64-64k')])):
    if completed(*words) != want:
        print(f'completion of {words}: {completed(*words)}')
        failed += 1

directory = '/sys/kernel/mm/hugepages'
if os.path.isdir(directory):
    sizes = sorted(int(name[len('hugepages-'):-len('kB')]) * 1024
                   for name in os.listdir(directory))
    check(0, [str(size) for size in sizes], '-H')

sys.exit(1 if failed else 0)
