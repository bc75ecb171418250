#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Rules of layout that no compiler knows: licence line, head comment, length of
files and functions, no trailing space, no struct typedefs, guards of
headers.
"""
import re

import tree

SPDX = 'SPDX-License-Identifier: LGPL-2.1-or-later'
LINES_MAX = 800
FUNCTION_LINES_MAX = 60

GUARD = re.compile(r'#ifndef (\w+)\n#define \1\n')


def check_text(complaints, path, text):
    lines = text.split('\n')
    if not text.endswith('\n') or text.endswith('\n\n'):
        complaints.add(path, 'must end with one newline')
    if len(lines) - 1 > LINES_MAX:
        complaints.add(path, f'{len(lines) - 1} lines, at most {LINES_MAX}')
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            complaints.add(f'{path}:{number}', 'space at the end')
    if not any(SPDX in line for line in lines[:2]):
        complaints.add(path, f'no {SPDX} in the first two lines')


def functions(text):
    """First line and number of lines of each body that starts a column 0."""
    start = None
    for number, line in enumerate(text.split('\n'), 1):
        if line == '{':
            start = number
        elif line == '}' and start:
            yield start, number - start - 1
            start = None


def check_c(complaints, path, text):
    if not text.startswith(f'/* {SPDX} */\n/*'):
        complaints.add(path, 'licence line and head comment must come first')
    code = tree.without_comments(text, strings=True)
    for match in re.finditer(r'\btypedef\s+(struct|union|enum)\b', code):
        complaints.add(f'{path}:{tree.line_of(code, match.start())}',
                       f'no typedef of a {match.group(1)}')
    for start, length in functions(code):
        if length > FUNCTION_LINES_MAX:
            complaints.add(f'{path}:{start}', f'function of {length} lines, '
                           f'at most {FUNCTION_LINES_MAX}')
    if path.endswith('.h') and not GUARD.search(text):
        complaints.add(path, 'no include guard')


def main():
    complaints = tree.Complaints()
    for path in tree.files('lib', 'include', 'tools', 'tests',
                           ext=('.c', '.h', '.hpp')):
        text = tree.read(path)
        complaints.saw()
        check_text(complaints, path, text)
        if not path.endswith('.hpp'):
            check_c(complaints, path, text)
    for path in tree.files('tests', 'tools', '.ci'):
        if path.endswith(('.py', '.sh')) or path in ('tests/run', '.ci/run'):
            complaints.saw()
            check_text(complaints, path, tree.read(path))
    complaints.done()


main()
