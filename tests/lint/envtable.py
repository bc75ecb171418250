#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The table of HUGETLB_* variables in lib/base/opt.c and the ENVIRONMENT of
libhugetlbfs2(7) say the same: names, values, defaults, sentences. No other document,
and no tool, speaks of a variable that does not exist.

Usage: envtable.py LIST_OPTIONS   (the program that prints the table)
"""
import re
import sys

import tree

MANUAL = 'man/libhugetlbfs2.7'
NAME = re.compile(r'(?<![A-Z_])HUGETLB_[A-Z][A-Z_]*[A-Z]\b')

# Names with that prefix that are not variables.
OTHER = re.compile(r'HUGETLB_(FLAG_|OPT_|PAGE_)')


def table(program):
    for line in tree.run(program).splitlines():
        name, values, fallback, text = line.split('\t')
        yield name, values, fallback, text


def entries():
    """Name of each tagged paragraph of the manual, and its words with the tag."""
    found = {}
    text = tree.read(MANUAL)
    for part in re.split(r"^\.TP.*$", text, flags=re.M)[1:]:
        part = re.split(r'^\.SH', part, flags=re.M)[0]
        tag = part.strip().split('\n')[0]
        name = NAME.search(tag)
        if name:
            found[name.group(0)] = part
    return found


def plain(part):
    """A piece of roff as one line of words."""
    text = re.sub(r'^\.(?:\\".*|[A-Za-z]{1,2}\b)', '', part, flags=re.M)
    text = re.sub(r'\\f(?:\[\w*\]|\(..|.)', '', text)
    for code, char in (('\\-', '-'), ('\\&', ''), ('\\(aq', "'"), ('\\|', '')):
        text = text.replace(code, char)
    return re.sub(r'[\s"]+', '', text)


def tight(text):
    return re.sub(r'[\s"]+', '', text)


def check_mentions(complaints, names):
    for path in tree.files(ext=('.md', '.1', '.3', '.5', '.7', '.8', '.c', '.h',
                                '.py', '.sh')):
        if path.startswith('tests/lint/') or path == 'lib/base/opt.c':
            continue
        text = tree.read(path)
        complaints.saw()
        # Tests make up names to see them refused.
        if path.startswith('tests/'):
            continue
        for match in NAME.finditer(text):
            name = match.group(0)
            if name not in names and not OTHER.match(name):
                complaints.add(f'{path}:{tree.line_of(text, match.start())}',
                               f'there is no variable {name}')


def main():
    complaints = tree.Complaints()
    rows = complaints.need(list(table(sys.argv[1])), 'the table of options')
    names = {row[0] for row in rows}
    if len(names) != len(rows):
        complaints.add('lib/base/opt.c', 'a name is there twice')
    if not tree.exists(MANUAL):
        complaints.add(MANUAL, 'is missing')
        complaints.done()
    manual = complaints.need(entries(), f'ENVIRONMENT of {MANUAL}')
    for name, values, fallback, text in rows:
        complaints.saw()
        if name not in manual:
            complaints.add(MANUAL, f'{name} is missing')
            continue
        words = plain(manual[name])
        for what, part in (('values', values), ('default', fallback),
                           ('sentence', text)):
            if tight(part) not in words:
                complaints.add(MANUAL, f'{name}: the {what} should be: {part}')
    for name in sorted(set(manual) - names):
        complaints.add(MANUAL, f'there is no variable {name}')
    check_mentions(complaints, names)
    if not tree.exists('README.md') or not re.search(
            r'libhugetlbfs2\(?\.?7', tree.read('README.md')):
        complaints.add('README.md', 'does not point to libhugetlbfs2(7)')
    complaints.done()


main()
