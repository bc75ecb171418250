#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Each tool's --help and its man page name the same options.

Usage: help.py DIRECTORY   (of the built tools)
"""
import os
import re
import subprocess
import sys

import tree

LONG = re.compile(r'(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]')
SHORT = re.compile(r'(?<![\w-])-[A-Za-z0-9?](?![\w-])')


def help_text(complaints, tool):
    done = subprocess.run([tool, '--help'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, timeout=30)
    if done.returncode:
        complaints.add(tool, f'--help: exit status {done.returncode}')
    if done.stderr:
        complaints.add(tool, f'--help writes to standard error: {done.stderr}')
    return done.stdout.decode()


def manual_of(name):
    for section in '18':
        path = f'man/{name}.{section}'
        if tree.exists(path):
            return path
    return None


def option_part(text):
    """The tags of the OPTIONS section: the options that a page is about."""
    sections = re.split(r'^\.SH\s+', text, flags=re.M)
    tags = []
    for section in sections:
        if not re.match(r'"?[A-Z ]*OPTIONS', section):
            continue
        lines = section.split('\n')
        for i, line in enumerate(lines[:-1]):
            if re.match(r'\.T[PQ]', line):
                tags.append(lines[i + 1].replace('\\-', '-').replace('\\fR', ' ')
                            .replace('\\fB', ' ').replace('\\fI', ' '))
    return '\n'.join(tags)


def tools_in(directory):
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            yield path


def main():
    complaints = tree.Complaints()
    for tool in complaints.need(list(tools_in(sys.argv[1])), 'tools'):
        name = os.path.basename(tool)
        shown = help_text(complaints, tool)
        page = manual_of(name)
        complaints.saw()
        if not page:
            complaints.add(name, 'has no man page')
            continue
        tags = option_part(tree.read(page))
        in_help, in_manual = set(LONG.findall(shown)), set(LONG.findall(tags))
        complaints.need(in_help, f'options of {name} --help')
        complaints.need(in_manual, f'OPTIONS of {page}')
        for option in sorted(in_help - in_manual):
            complaints.add(page, f'OPTIONS lacks {option}')
        for option in sorted(in_manual - in_help):
            complaints.add(name, f'--help lacks {option}')
        in_help = set(SHORT.findall(shown))
        in_manual = set(SHORT.findall(tags))
        for option in sorted(in_help ^ in_manual):
            where = 'the manual' if option in in_help else '--help'
            complaints.add(name, f'{where} lacks {option}')
    complaints.done()


main()
