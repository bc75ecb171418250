#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The C files are laid out as clang-format 14 does it with our .clang-format.
Other versions differ in small things, so without that one this is a skip.
"""
import re
import shutil
import subprocess
import sys

import tree

VERSION = 14


def find():
    for name in (f'clang-format-{VERSION}', 'clang-format'):
        path = shutil.which(name)
        if path and re.search(rf'version {VERSION}\.',
                              tree.run(path, '--version')):
            return path
    print(f'SKIP: no clang-format {VERSION}')
    sys.exit(77)


def main():
    complaints = tree.Complaints()
    tool = find()
    paths = complaints.need(list(tree.files('lib', 'include', 'tools', 'tests',
                                            ext=('.c', '.h', '.hpp'))), 'C files')
    complaints.saw(len(paths))
    done = subprocess.run([tool, '--dry-run', '-Werror', *paths],
                          cwd=tree.ROOT, stderr=subprocess.PIPE, check=False)
    said = done.stderr.decode()
    wrong = dict(re.findall(r'^(\S+?):(\d+):\d+: error: ', said, re.M)[::-1])
    for path, line in sorted(wrong.items()):
        complaints.add(f'{path}:{line}', f'clang-format -i {path}')
    if done.returncode and not wrong:
        complaints.add(tool, said)
    complaints.done()


main()
