#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The objects of the internal archive, as the linker sees them: what they define
has our prefix, what they call is allowed. A call that a macro or the compiler
made is found here as well.

Usage: symbols.py ARCHIVE
"""
import fnmatch
import re
import sys

import tree

PREFIXES = ('hl_', 'htlb_')

# Allocates, takes a lock of libc's, or is interposed by our own preload object.
FORBIDDEN = '''
    malloc calloc realloc reallocarray free memalign posix_memalign
    aligned_alloc valloc pvalloc strdup strndup asprintf vasprintf
    *printf *printf_chk puts fputs* putchar putc fputc fwrite* fread* fopen*
    fdopen fclose fflush fgets* getline getdelim *scanf perror psignal
    popen system syslog vsyslog openlog setlocale
    getenv secure_getenv __secure_getenv setenv putenv unsetenv clearenv
    dlsym dlopen dlvsym dlclose dladdr
    opendir readdir* scandir* closedir fts_* ftw* nftw* glob glob64 realpath
    getcwd get_current_dir_name getpw* getgr* qsort qsort_r tsearch tfind
    strerror strerror_r __xpg_strerror_r strsignal atexit __cxa_atexit
    pthread_create pthread_mutex_* thrd_*
    mmap mmap64 munmap mremap madvise mprotect mbind shmget shmat
    sigaction signal sigprocmask pthread_sigmask sigaltstack
    numa_*
'''.split()

EXCEPTIONS = {
    # the allocator behind ours, for the last resort and blocks not ours
    'heap_api': {'malloc', 'calloc', 'realloc', 'memalign', 'free',
                 'malloc_usable_size'},
    # as the program shows them
    'region_hugetlbfs_root': {'opendir', 'readdir64', 'readdir', 'closedir'},
}

# Names that are the ancestor's.
COMPATIBLE = {
    'region_hugetlbfs': set(re.findall(r'\b(\w+)\(', tree.without_comments(
        tree.read('include/hugetlbfs.h')))),
}

# Pure arithmetic.
ARITHMETIC = 'hl_* mem* __mem*_chk _GLOBAL_OFFSET_TABLE_ __stack_chk_fail'.split()


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


def main():
    complaints = tree.Complaints()
    for line in tree.run('nm', '-A', '--format=posix', sys.argv[1]).splitlines():
        where, _, rest = line.partition(']: ')
        name, kind = rest.split()[:2]
        member = where.split('[')[-1].split('/')[-1]
        module = member.split('.c')[0]
        complaints.saw()
        if kind in 'Uwv':
            name = name.split('@')[0]
            if not name.startswith(PREFIXES) and matches(
                    name, FORBIDDEN) and not matches(
                        name, EXCEPTIONS.get(module, ())):
                complaints.add(member, f'must not call {name}')
            if module.startswith('accounting_') and not matches(name, ARITHMETIC):
                complaints.add(member, f'accounting/ must not call {name}')
        elif kind.isupper() and not name.startswith(
                PREFIXES) and name not in COMPATIBLE.get(module, ()):
            complaints.add(member, f'{name} has no prefix {" or ".join(PREFIXES)}')
    complaints.done()


main()
