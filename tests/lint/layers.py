#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The layers of lib/README.md: a file includes headers of its own directory and of
those to its left; siblings do not know each other.

Also: headers of ours are written "directory/file.h" and exist; the C library's
headers that the library must do without are not there; no cycles of headers.
"""
import os
import re

import tree

# Each directory and what it may include beside itself.
BELOW = {
    'base': set(),
    'system': {'base'},
    'accounting': {'base'},
    'backing': {'base', 'system', 'accounting'},
}
MIDDLE = {'base', 'system', 'accounting', 'backing'}
for name in ('region', 'heap', 'segment'):
    BELOW[name] = MIDDLE
BELOW['preload'] = MIDDLE | {'region', 'heap', 'segment'}

PUBLIC = {'hugetlbfs2.h', 'hugetlbfs.h'}

# stdio and friends allocate; the rest belongs to one file.
FORBIDDEN = {'err.h', 'error.h', 'syslog.h',
             'mntent.h', 'search.h', 'locale.h', 'wchar.h'}
ONLY_IN = {
    'numa.h': {'lib/system/nodestring.c'},
    'numaif.h': {'lib/system/nodestring.c'},
    # programs show the compatibility calls other directories by opendir()
    'dirent.h': {'lib/region/hugetlbfs_root.c'},
    # malloc_info(3) writes to a FILE
    'stdio.h': {'lib/preload/info.c'},
}
# struct mallinfo2 is part of what the heap answers
ONLY_IN_LAYERS = {'dlfcn.h': {'preload'}, 'malloc.h': {'heap', 'preload'}}
ACCOUNTING = {'stdbool.h', 'stddef.h', 'stdint.h', 'stdatomic.h', 'string.h',
              'errno.h', 'limits.h'}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)


def includes(path):
    text = tree.without_comments(tree.read(path))
    for match in INCLUDE.finditer(text):
        yield (tree.line_of(text, match.start()), match.group(1) == '"',
               match.group(2))


def check_own(complaints, path, where, layer, name):
    if name in PUBLIC:
        if not tree.exists(f'include/{name}'):
            complaints.add(where, f'include/{name} does not exist')
        return
    if '/' not in name or name.startswith(('.', '/')):
        complaints.add(where, f'write "directory/file.h", not "{name}"')
        return
    if not tree.exists(f'lib/{name}'):
        complaints.add(where, f'lib/{name} does not exist')
    if not name.endswith('.h'):
        complaints.add(where, f'"{name}" is not a header')
    other = name.split('/')[0]
    if other != layer and other not in BELOW[layer]:
        complaints.add(where, f'{layer}/ must not know {name}')


def check_system(complaints, path, where, layer, name):
    if name in FORBIDDEN:
        complaints.add(where, f'<{name}> has no place in the library')
    if path not in ONLY_IN.get(name, {path}):
        complaints.add(where, f'<{name}> is for {min(ONLY_IN[name])}')
    if layer not in ONLY_IN_LAYERS.get(name, {layer}):
        complaints.add(where, f'<{name}> is for {ONLY_IN_LAYERS[name]}')
    if layer == 'accounting' and name not in ACCOUNTING:
        complaints.add(where, f'accounting/ is arithmetic: no <{name}>')


def find_cycle(graph):
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for other in graph.get(node, ()):
            cycle = visit(other)
            if cycle:
                return cycle
        path.pop()
        done.add(node)
        return None

    for node in sorted(graph):
        cycle = visit(node)
        if cycle:
            return cycle
    return None


def main():
    complaints = tree.Complaints()
    graph = {}
    for path in tree.files('lib', ext=('.c', '.h')):
        layer = path.split('/')[1]
        if layer not in BELOW:
            complaints.add(path, f'lib/{layer} is not a layer')
            continue
        complaints.saw()
        for line, own, name in includes(path):
            where = f'{path}:{line}'
            if own:
                check_own(complaints, path, where, layer, name)
                if path.endswith('.h'):
                    graph.setdefault(path[4:], []).append(name)
            else:
                check_system(complaints, path, where, layer, name)
    # What is installed stands alone.
    for path in tree.files('include', ext=('.h', '.hpp')):
        complaints.saw()
        for line, own, name in includes(path):
            if own and os.path.basename(name) not in PUBLIC:
                complaints.add(f'{path}:{line}', f'not installed: {name}')
    # The library's code is compiled once: nobody includes it.
    for path in tree.files('tools', 'tests', ext=('.c', '.h', '.cc', '.cpp')):
        complaints.saw()
        for line, own, name in includes(path):
            if own and name.endswith('.c'):
                complaints.add(f'{path}:{line}', f'includes {name}')
    cycle = find_cycle(graph)
    if cycle:
        complaints.add('lib', 'headers in a circle: ' + ' -> '.join(cycle))
    complaints.done()


main()
