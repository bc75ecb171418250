#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""python3 building and dropping 500 MB of objects, each by malloc."""
import harness as h

h.main(h.Workload(
    'python', [h.PYTHON, f'{h.HERE}/loads/objects.py', '420'],
    env={'PYTHONMALLOC': 'malloc', 'PYTHONHASHSEED': '0'},
    heap_floor=400 * h.MB))
