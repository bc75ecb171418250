#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""xz -T2 packs mixed data, then unpacks it, in one tree of processes."""
import hashlib
import random

import harness as h

MEGABYTES = 100 if h.FULL else 24


class Xz(h.Workload):
    def prepare(self, where):
        rng = random.Random(11)
        with open(f'{where}/input', 'wb') as f:
            for i in range(MEGABYTES):
                # A third noise, a third text of few words, a third nearly empty.
                words = [b'%x ' % rng.getrandbits(12) for _ in range(500)]
                text = b''.join(rng.choices(words, k=90000))[:350000]
                noise = rng.randbytes(350000)
                f.write(noise + text + bytes(1 << 20)[:(1 << 20) - 700000])

    def result(self, where):
        out = ''
        for name in ('packed.xz', 'unpacked'):
            with open(f'{where}/{name}', 'rb') as f:
                out += f'{name} {hashlib.sha256(f.read()).hexdigest()}\n'
        return out


h.main(Xz('xz', ['sh', '-c', 'xz -T2 -3 -c input >packed.xz && '
                 'xz -T2 -d -c packed.xz >unpacked && cmp input unpacked'],
          needs=['xz'], wants_pool=False))
