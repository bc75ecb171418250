# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds and drops objects of every size; prints what it computed from them.

objects.py MEGABYTES: one thread. objects.py threads MEGABYTES. objects.py processes MEGABYTES.
"""
import gc
import hashlib
import queue
import sys
import threading
import time
from multiprocessing import get_context

# Bytes that one record of build() takes under the C library's malloc, about.
RECORD_BYTES = 3000


def build(count, seed):
    """count records: dictionaries of lists, strings, tuples, numbers, bytes."""
    records = {}
    x = seed * 2654435761 + 1
    for i in range(count):
        x = (x * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        size = x >> 55
        records[f'{seed}:{i}'] = {
            'name': f'record {x:016x}', 'list': [x, float(i), str(x)],
            'numbers': list(range(i + 1000, i + 1040)),
            'bytes': bytes([x >> 56 & 255]) * size, 'tuple': (i, x & 0xffff)}
    return records


def digest(records):
    h = hashlib.sha256()
    for key, value in records.items():
        h.update(key.encode())
        h.update(repr(sorted(value.items())).encode())
    return h.hexdigest()


def drop_some(records, seed):
    """Leaves every third record: holes everywhere."""
    for n, key in enumerate(list(records)):
        if (n + seed) % 3:
            del records[key]


def one(megabytes):
    count = megabytes * 1000000 // RECORD_BYTES
    kept = build(count, 1)
    time.sleep(0.2)
    print(len(kept), digest(dict(list(kept.items())[::50])))
    drop_some(kept, 0)
    more = build(count // 2, 2)
    big = bytearray(b'x') * (megabytes * 1000000 // 8)
    for i in range(20):
        big += b'y' * 100000
    print(len(kept), len(more), len(big), digest(dict(list(more.items())[::50])))
    del kept, more
    again = build(count // 4, 3)
    print(len(again), digest(dict(list(again.items())[::20])), big[::99991].count(b'x'))


def threads(megabytes):
    """Four threads that build; what one built the next one drops."""
    rounds, workers = 3, 4
    count = megabytes * 1000000 // RECORD_BYTES // workers
    pipes = [queue.Queue() for _ in range(workers)]
    done = [[] for _ in range(workers)]

    def work(me):
        for n in range(rounds):
            pipes[(me + 1) % workers].put(build(count, me * 10 + n))
            got = pipes[me].get()
            done[me].append(digest(dict(list(got.items())[::100])))
            drop_some(got, n)
            done[me].append(len(got))
        time.sleep(0.3)

    for n in range(2):
        group = [threading.Thread(target=work, args=(i,)) for i in range(workers)]
        for t in group:
            t.start()
        for t in group:
            t.join()
    print(done)


def child(task):
    seed, count = task
    records = build(count, seed)
    out = digest(dict(list(records.items())[::100]))
    time.sleep(0.1)
    return seed, out, [record['name'] for record in list(records.values())[:5000]]


def processes(megabytes):
    """A parent with a heap of its own, and children made by fork that build theirs."""
    count = megabytes * 1000000 // RECORD_BYTES // 4
    mine = build(count, 99)
    # Else each child's collector writes to every object of the parent.
    gc.freeze()
    with get_context('fork').Pool(2) as pool:
        for seed, text, names in pool.imap(child, [(s, count) for s in range(6)]):
            print(seed, text, len(names), names[-1])
    print(digest(dict(list(mine.items())[::100])))


if __name__ == '__main__':
    if len(sys.argv) == 3:
        {'threads': threads, 'processes': processes}[sys.argv[1]](int(sys.argv[2]))
    else:
        one(int(sys.argv[1]))
