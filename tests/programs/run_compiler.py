#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""g++ -O2: the driver, cc1plus with its own garbage-collected pages, the assembler."""
import hashlib

import harness as h


class Compiler(h.Workload):
    def result(self, where):
        with open(f'{where}/out.o', 'rb') as f:
            return hashlib.sha256(f.read()).hexdigest()


h.main(Compiler(
    'compiler',
    ['g++', '-O2', '-std=c++17', f'-DSTAGES={60 if h.FULL else 6}', '-c',
     f'{h.HERE}/loads/templates.cc', '-o', 'out.o'],
    needs=['g++'], strict=False, heap_floor=16 * h.MB))
