#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small programs under ulimit -v and -d: what runs plainly runs with us.

usage: ulimit.py PRELOAD

The object itself must be mapped, like any library: how much that takes is measured with
true(1), and bounded. Apart from it, every limit that suffices plainly must do
preloaded as well, with the same output and status. (Not every larger limit
suffices: python3 fails in between, plainly.)
"""

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys

KIB = 1024
MIB = 1024 * KIB
STEP = 64 * KIB
OBJECT = 768 * KIB  # the most that the mapping of the preload object may take
LIMITS = [m * MIB for m in (4, 8, 16, 63, 64, 96, 128, 255, 256, 1024)]

PROGRAMS = [
    ["true"],
    ["ls", "/"],
    ["cat", "/proc/version"],
    ["sort", "/etc/passwd"],
    ["awk", "{ n += length($0) } END { print n }", "/etc/passwd"],
    ["bash", "-c", "for i in 1 2 3; do x=$x$i; done; echo $x $(echo inner)"],
    ["perl", "-e", "my @a = map { \"x\" x $_ } 1..2000; print scalar(@a), length(join '', @a)"],
    ["/usr/bin/python3", "-S", "-c", "print(sum(len(str(i)) for i in range(30000)))"],
    ["/usr/bin/python3", "-c", "b = bytearray(20 << 20); b[::4096] = b'x' * len(b[::4096]); print(b.count(b'x'))"],
    ["sh", "-c", "seq 200000 | sort -r -S 3M | tail -1"],
]


def run(command, env, which, limit):
    def confine():
        resource.setrlimit(which, (limit, limit))

    try:
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=60, preexec_fn=confine)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error), b"", b""
    return done.returncode, done.stdout, done.stderr


def smallest(command, env, which, good):
    """The least limit, to STEP, under which the program runs."""
    low, high = 0, 64 * MIB
    while high - low > STEP:
        middle = (low + high) // 2 // STEP * STEP
        if run(command, env, which, middle)[:2] == good:
            high = middle
        else:
            low = middle
    return high


def check(command, plain, ours, name, which, cost):
    """How many limits were compared, and what went wrong."""
    if shutil.which(command[0]) is None:
        return 0, [f"{command[0]} is not installed"]
    unlimited = run(command, plain, which, resource.RLIM_INFINITY)
    if unlimited[0] != 0:
        return 0, [f"{command}: fails without any limit: {unlimited}"]
    good = unlimited[:2]
    least = smallest(command, plain, which, good)
    compared, wrong = 0, []
    for limit in [least] + [limit for limit in LIMITS if limit > least]:
        if run(command, plain, which, limit)[:2] != good:
            continue
        compared += 1
        got = run(command, ours, which, limit + cost)
        if got[:2] != good:
            wrong.append(f"{command} under {name} {limit // KIB} + {cost // KIB} KiB: "
                         f"status {got[0]}, {got[2][:300]!r}")
    if compared < 2:
        wrong.append(f"{command} under {name}: {compared} limits compared")
    return compared, wrong


def main():
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("HUGETLB_", "LD_PRELOAD", "MALLOC_"))}
    ours = dict(plain, LD_PRELOAD=os.path.abspath(sys.argv[1]))
    tasks, wrong = [], []
    for name, which in (("-v", resource.RLIMIT_AS), ("-d", resource.RLIMIT_DATA)):
        cost = smallest(["true"], ours, which, (0, b"")) - smallest(["true"], plain, which, (0, b""))
        print(f"{name}: the object takes {cost // KIB} KiB")
        if cost > OBJECT:
            wrong.append(f"at most {OBJECT // KIB} KiB are granted")
        tasks += [(command, plain, ours, name, which, cost + STEP)
                  for command in PROGRAMS]
    with multiprocessing.Pool(os.cpu_count()) as pool:
        done = pool.starmap(check, tasks, chunksize=1)
    wrong += [line for _, lines in done for line in lines]
    print(*wrong, f"{sum(n for n, _ in done)} compared, {len(wrong)} wrong", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
