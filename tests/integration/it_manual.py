#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The manual's example programs: as they are printed, they compile without a warning against
the header that they include, and run to an end.

Usage: it_manual.py CC INCLUDE LIBRARY PAGE...
"""
import os
import re
import subprocess
import sys
import tempfile


def programs(page):
    with open(page, encoding='utf-8') as f:
        text = f.read().partition('.SH EXAMPLES')[2]
    for block in re.findall(r'^\.EX\n(.*?)^\.EE', text, re.M | re.S):
        if 'int main(' in block:
            yield block.replace(r'\-', '-').replace(r'\e', '\\')


def run(cc, include, library, name, source):
    """None, or what is wrong."""
    directory = os.path.dirname(library)
    with tempfile.TemporaryDirectory() as where:
        with open(f'{where}/example.c', 'w', encoding='utf-8') as f:
            f.write(source)
        done = subprocess.run(
            [cc, '-Wall', '-Wextra', '-Wconversion', '-Werror', '-I', include, f'{where}/example.c',
             library, f'-Wl,-rpath,{directory}', '-o', f'{where}/example'],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            return f'{name}: {done.stdout}'
        done = subprocess.run([f'{where}/example'], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    print(f'{name}: status {done.returncode}\n{done.stdout}')
    # 1: what the example shows how to say.
    if done.returncode not in (0, 1) or (done.returncode == 1 and not done.stdout):
        return f'{name}: status {done.returncode}, {done.stdout!r}'
    return None


def main():
    cc, include, library, *pages = sys.argv[1:]
    found = [(os.path.basename(p), s) for p in pages for s in programs(p)]
    wrong = [w for name, source in found
             if (w := run(cc, include, library, name, source)) is not None]
    if not found:
        wrong.append('no example at all')
    for line in wrong:
        print(f'FAILED: {line}')
    sys.exit(1 if wrong else 0)


main()
