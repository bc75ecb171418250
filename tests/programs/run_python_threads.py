#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""python3 with four threads that drop what others built."""
import harness as h

h.main(h.Workload(
    'python-threads',
    [h.PYTHON, f'{h.HERE}/loads/objects.py', 'threads', '400' if h.FULL else '110'],
    env={'PYTHONMALLOC': 'malloc', 'PYTHONHASHSEED': '0'}))
