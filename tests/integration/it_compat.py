#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Programs of libhugetlbfs run with ours in its place: compiled against our header and,
where the distribution's libhugetlbfs-dev is there, against its header and its library;
with libhugetlbfs.so.0 of the build, and also under hugectl. Page sizes, mounts
(HUGETLB_PATH, quota), memory with a full and an empty pool, shmget with
HUGETLB_SHM through linking and through preload, and faked /proc and /sys.
"""
import os
import subprocess
import sys
import tempfile

import harness as h
import machine

OURS = os.environ['HL_COMPAT_LIBRARY']
SOURCE = os.environ['HL_COMPAT_SOURCE']
INCLUDE = os.environ['HL_COMPAT_INCLUDE']
CC = os.environ['HL_COMPAT_CC']


def build(where):
    """Programs by name: against our header and library, and the distribution's."""
    common = [CC, '-O1', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', SOURCE]
    directory = os.path.dirname(OURS)
    found = {'ours': f'{where}/ours'}
    subprocess.run([*common, '-I', INCLUDE, OURS, f'-Wl,-rpath-link,{directory}', '-ldl',
                    '-o', found['ours']], check=True)
    done = subprocess.run([*common, '-lhugetlbfs', '-ldl', '-o', f'{where}/theirs'],
                          stderr=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        found['theirs'] = f'{where}/theirs'
    return found


def say(program, *words, options=None, **env):
    """What it says under our library; preloaded by hugectl with `options`."""
    argv = [program, *words]
    if options is not None:
        argv = [h.hugectl(), *options, '--', *argv]
    base = {k: v for k, v in os.environ.items()
            if not k.startswith(('HUGETLB_', 'LD_PRELOAD'))}
    base.update(env, LD_LIBRARY_PATH=os.path.dirname(OURS))
    done = subprocess.run(argv, env=base, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def sizes(page):
    """What `sizes` must say, with that default."""
    all_sizes = sorted(int(d.split('-')[1][:-2]) * 1024 for d in os.listdir(machine.HUGE))
    huge = [page] + [s for s in all_sizes if s != page]
    base = os.sysconf('SC_PAGE_SIZE')
    return (f'default {page}\nhuge {len(huge)}: {" ".join(map(str, huge))}\n'
            f'all {len(huge) + 1}: {base} {" ".join(map(str, huge))}\n')


def put(where, path, text=''):
    os.makedirs(os.path.dirname(where + path), exist_ok=True)
    with open(where + path, 'w', encoding='ascii') as f:
        f.write(text)


def faked(check, name, program, where):
    """The machine as the program shows it."""
    fake = f'{where}/fake'
    put(fake, '/proc/meminfo', 'MemTotal: 1 kB\nHugepagesize:   16384 kB\n')
    put(fake, '/proc/mounts', 'none /tmp hugetlbfs rw,pagesize=16M 0 0\n')
    for size in (64, 16384, 1048576):
        put(fake, f'/sys/kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages', '0\n')
    base = os.sysconf('SC_PAGE_SIZE')
    rest = '16777216 65536 1073741824'
    expect = f'default 16777216\nhuge 3: {rest}\nall 4: {base} {rest}\npath none\n'
    got = say(program, 'fake', fake)
    check.that(got == (0, expect), f'{name}, fake machine: {got}')
    got = say(program, 'fake', fake, HUGETLB_DEFAULT_PAGE_SIZE='64K')
    check.that(got[1].startswith('default 65536\nhuge 3: 65536 16777216 1073741824\n'),
               f'{name}, fake machine, default 64K: {got}')
    put(fake, '/proc/meminfo', 'MemTotal: 1 kB\n')
    expect = f'default -1\nhuge 0:\nall 1: {base}\npath none\n'
    got = say(program, 'fake', fake)
    check.that(got == (0, expect), f'{name}, fake machine without huge pages: {got}')


def mounted(check, m, name, program, where):
    """HUGETLB_PATH names the mount; a full one has no room for a page."""
    mount = f'{where}/mount'
    os.makedirs(mount, exist_ok=True)
    done = subprocess.run(['mount', '-t', 'hugetlbfs', 'none', mount, '-o',
                           f'pagesize={m.pool.page},size={m.pool.page * 4}'],
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return f'no hugetlbfs can be mounted: {done.stderr.strip()}'
    try:
        got = say(program, 'mounts', HUGETLB_PATH=f'/nonexistent:{mount}')
        check.that(got == (0, f'path {mount}\n'), f'{name}, HUGETLB_PATH: {got}')
        got = say(program, 'mounts')
        check.that(got[0] == 0 and got[1] != 'path none\n', f'{name}, mounted: {got}')
        got = say(program, 'mounts', HUGETLB_PATH='/nonexistent')
        check.that(got == (0, 'path none\n'), f'{name}, HUGETLB_PATH of nothing: {got}')
    finally:
        subprocess.run(['umount', mount], check=False)
    return None


def memory(check, m, name, program):
    page = m.pool.page
    full = 'get_huge_pages: memory\nstrict: memory\ndefault: huge\n'
    none = ('get_huge_pages: Cannot allocate memory\nstrict: Cannot allocate memory\n'
            'default: ordinary\n')
    for pages, asked, expect in ((8, 3 * page - 100, full), (8, 8 * page, full),
                                 (0, 3 * page, none), (2, 3 * page, none.replace('ordinary', 'huge'))):
        m.pool.resize(pages)
        for options in (None, ['--heap=thp']):
            got = say(program, 'memory', str(asked), options=options)
            check.that(got == (0, expect), f'{name}, pool of {pages}, {asked} bytes, '
                       f'{options}: {got}')
    for how, pages, size, expect in (
            ({'HUGETLB_SHM': 'yes'}, 8, 3 * page - 100, 'huge'),
            ({'HUGETLB_SHM': 'yes'}, 0, 3 * page - 100, 'ordinary'),
            ({'HUGETLB_SHM': 'yes'}, 8, 5000, 'ordinary'),
            ({}, 8, 3 * page, 'ordinary'),
            ({'options': ['--shm']}, 8, page // 2, 'huge')):
        m.pool.resize(pages)
        got = say(program, 'shm', str(size), **how)
        check.that(got == (0, f'segment: {expect}\n'),
                   f'{name}, shm of {size}, {how}, pool of {pages}: {got}')


def main():
    reason = machine.may_change()
    if reason:
        machine.skip(reason)
    check = h.Checks()
    short = None
    with tempfile.TemporaryDirectory() as where, machine.Machine() as m:
        os.chmod(where, 0o755)
        m.thp('madvise')
        programs = build(where)
        for name, program in programs.items():
            got = say(program, 'sizes')
            check.that(got == (0, sizes(m.pool.page)), f'{name}, sizes: {got}')
            faked(check, name, program, where)
            short = mounted(check, m, name, program, where) or short
            memory(check, m, name, program)
        m.pool.resize(0)
    if check.failed:
        sys.exit(1)
    if 'theirs' not in programs:
        short = 'no libhugetlbfs-dev to build against'
    if short:
        machine.skip(short)


main()
