#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Holds what lib/system sees of captured machines against what was written down.

  compare.py DESCRIBE DIRECTORY     one machine against its expected.txt
  compare.py DESCRIBE capture.sh    a fresh capture of this machine against the
                                    machine itself
"""
import difflib
import os
import re
import subprocess
import sys
import tempfile

ATTEMPTS = 5


def describe(program, root):
    done = subprocess.run([program, root], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode('utf-8', 'surrogateescape').splitlines()


def differences(got, want, got_name, want_name):
    return list(difflib.unified_diff(want, got, want_name, got_name,
                                     lineterm=''))


def settled(lines):
    """
    Without what moves while we look: how many pages there are. Without maps:
    they are the describing process's own, and a capture has the shell's.
    """
    return [re.sub(r'\d+', 'N', line) if line.startswith('pool') else line
            for line in lines if not re.match('maps?[ :]', line)]


def check_capture(program, script):
    """A setting may be changed between the two looks: so more than one try."""
    found = []
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory() as parent:
            root = os.path.join(parent, 'with space')
            subprocess.run(['sh', script, root], check=True)
            captured = settled(describe(program, root))
        live = settled(describe(program, ''))
        if len(captured) < 4:
            sys.exit(f'captured next to nothing: {captured}')
        found = differences(captured, live, 'captured', 'live')
        if not found:
            return
    print('\n'.join(found))
    sys.exit(1)


def check_machine(program, root):
    with open(os.path.join(root, 'expected.txt'), encoding='utf-8') as f:
        want = f.read().splitlines()
    found = differences(describe(program, root), want, 'got', 'expected.txt')
    if found:
        print('\n'.join(found))
        sys.exit(1)


if sys.argv[2].endswith('.sh'):
    check_capture(sys.argv[1], sys.argv[2])
else:
    check_machine(sys.argv[1], sys.argv[2])
