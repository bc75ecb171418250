#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""python3 with multiprocessing: children by fork, each with a heap of its own."""
import harness as h

h.main(h.Workload(
    'python-processes',
    [h.PYTHON, f'{h.HERE}/loads/objects.py', 'processes', '800' if h.FULL else '300'],
    env={'PYTHONMALLOC': 'malloc', 'PYTHONHASHSEED': '0'}, forks=True))
