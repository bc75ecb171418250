#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sort(1) with four threads and its buffer in memory."""
import hashlib
import random

import harness as h

LINES = 3000000 if h.FULL else 1500000


class Sort(h.Workload):
    def prepare(self, where):
        rng = random.Random(7)
        with open(f'{where}/input', 'w', encoding='ascii') as f:
            for start in range(0, LINES, 10000):
                f.write(''.join(
                    f'{rng.getrandbits(96):024x} {start + i} {"word" * (i % 11)}\n'
                    for i in range(10000)))

    def result(self, where):
        with open(f'{where}/output', 'rb') as f:
            return hashlib.sha256(f.read()).hexdigest()


h.main(Sort('sort', ['sort', '--parallel=4', '-S', '400M', 'input', '-o', 'output'],
            needs=['sort'], wants_pool=False))
