#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the shared objects export: exactly their maps; and the htlb_ names in the map,
in include/hugetlbfs2.h and in the NAME sections of man/*.3 are the same.

Also what linking promises: libhugetlbfs2.so runs nothing by itself, both need
libc only, and thread-local storage stays within a few words.

Usage: exports.py LIBRARY PRELOAD
"""
import re
import sys

import tree

# The entry table by which all copies in a process find the one heap.
PRELOAD_ONLY = {'htlb_entry_v1', 'htlb_region_entry_v1'}
# Another, that the linker takes from the first object that has it.
TABLES = {'htlb_compat_v1'}

# What a malloc has to bring, or a block of one allocator meets another's free.
FAMILY = set('''
    malloc calloc realloc reallocarray free cfree memalign posix_memalign
    aligned_alloc valloc pvalloc malloc_usable_size malloc_trim mallinfo
    mallinfo2 malloc_stats malloc_info mallopt free_sized free_aligned_sized
'''.split())

# operator new, new[]; delete, delete[]: plain, aligned, nothrow, sized
NEW = {f'_Zn{a}m{b}{c}' for a in 'wa' for b in ('', 'St11align_val_t')
       for c in ('', 'RKSt9nothrow_t')}
DELETE = {f'_Zd{a}Pv{b}' for a in 'la'
          for b in ('', 'm', 'St11align_val_t', 'mSt11align_val_t',
                    'RKSt9nothrow_t', 'St11align_val_tRKSt9nothrow_t')}

TLS_BYTES_MAX = 256


def map_names(path):
    text = re.sub(r'/\*.*?\*/|#[^\n]*', '', tree.read(path), flags=re.S)
    names, part = set(), None
    for word in re.findall(r'\w+\s*:|[\w*?.]+|[{}]', text):
        if word.endswith(':'):
            part = word[:-1].strip()
        elif word in '{}':
            part = None
        elif part == 'global':
            names.add(word)
    return names


def exported(path):
    names = set()
    for line in tree.run('nm', '-D', '--defined-only', '--format=posix',
                         path).splitlines():
        name, kind = line.split()[:2]
        # the node of the map itself is an absolute symbol
        if kind != 'A':
            names.add(name.split('@')[0])
    return names


def declared(header, prefix):
    text = tree.without_comments(tree.read(f'include/{header}'))
    text = re.sub(r'^[ \t]*#.*?(?<!\\)$', '', text, flags=re.M | re.S)
    return set(re.findall(rf'\b({prefix}\w+)\s*\(', text))


def documented(complaints, known):
    names = {}
    for page in tree.files('man', ext=('.3', '.3.in')):
        complaints.saw()
        match = re.search(r'\nNAME\n(.*?)\n[A-Z][A-Z ]+\n', tree.roff_text(page),
                          re.S)
        if not match:
            if not tree.read(page).startswith('.so'):
                complaints.add(page, 'no NAME section')
            continue
        for name in re.findall(r'\b\w+\b', match.group(1).split(' - ')[0]):
            if name not in known and not name.startswith('htlb_'):
                continue
            if name in names:
                complaints.add(page, f'{name} is in {names[name]} as well')
            names[name] = page
    return set(names)


def same(complaints, what, left, right, left_name, right_name):
    for name in sorted(left - right):
        complaints.add(what, f'{name} is in {left_name}, not in {right_name}')
    for name in sorted(right - left):
        complaints.add(what, f'{name} is in {right_name}, not in {left_name}')


def check_preload_names(complaints, names, compatible):
    manual = 'man/libhugetlbfs2.7'
    for name in sorted((FAMILY | NEW | DELETE) - names):
        complaints.add('preload.map', f'{name} is missing')
    page = tree.roff_text(manual) if tree.exists(manual) else ''
    complaints.need(page, manual)
    for name in sorted(names):
        if name.startswith('htlb_') or name in NEW | DELETE | compatible:
            continue
        if name.startswith('_Z'):
            complaints.add('preload.map', f'{name} is no operator new or delete')
        elif page and not re.search(rf'\b{name}\b', page):
            complaints.add(manual, f'interposed {name} is not mentioned')


def check_object(complaints, path, constructors):
    needed = re.findall(r'\(NEEDED\).*\[(.*?)\]', tree.run('readelf', '-dW', path))
    for name in needed:
        if not re.match(r'(libc|ld-linux|ld64|ld-musl|libpthread)\b', name):
            complaints.add(path, f'needs {name}')
    tls = re.search(r'^\s*TLS\s+\S+\s+\S+\s+\S+\s+\S+\s+(0x\w+)',
                    tree.run('readelf', '-lW', path), re.M)
    if tls and int(tls.group(1), 16) > TLS_BYTES_MAX:
        complaints.add(path, f'{int(tls.group(1), 16)} bytes of thread-local '
                       f'storage, at most {TLS_BYTES_MAX}')
    # The compiler's own start-up file has one entry in an object of its own.
    table = re.search(r'\.init_array\s+INIT_ARRAY\s+\w+\s+\w+\s+(\w+)',
                      tree.run('readelf', '-SW', path))
    entries = int(table.group(1), 16) // 8 if table else 0
    if entries > 1 + constructors:
        complaints.add(path, f'{entries - 1} constructors')


def main():
    library, preload = sys.argv[1:3]
    complaints = tree.Complaints()
    names = complaints.need(map_names('lib/libhugetlbfs2.map'), 'libhugetlbfs2.map')
    more = complaints.need(map_names('lib/preload/preload.map'), 'preload.map')
    compatible = complaints.need(declared('hugetlbfs.h', '[a-z]'), 'hugetlbfs.h')
    header = complaints.need(declared('hugetlbfs2.h', 'htlb_'), 'hugetlbfs2.h')
    header |= compatible
    complaints.saw(len(names) + len(more))

    same(complaints, library, exported(library), names, 'the object', 'the map')
    same(complaints, preload, exported(preload), more, 'the object', 'the map')
    same(complaints, 'headers', header | TABLES, names, 'a header',
         'libhugetlbfs2.map')
    same(complaints, 'preload.map',
         {n for n in more if n.startswith('htlb_') or n in compatible},
         names | PRELOAD_ONLY,
         'preload.map', 'libhugetlbfs2.map')
    same(complaints, 'man/*.3', documented(complaints, header), header,
         'the manual', 'the header')
    check_preload_names(complaints, more, compatible)
    check_object(complaints, library, 0)
    check_object(complaints, preload, 1)
    complaints.done()


main()
