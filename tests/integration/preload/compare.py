#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a program plainly and preloaded; both must say and return the same.

usage: compare.py PRELOAD STATUS [VARIABLE=VALUE,...]... -- PROGRAM [ARGUMENT...]

STATUS is what the program returns. Each word before the -- is the environment of one preloaded run ("-": nothing
set). The programs check for themselves that they run as meant (it.h).
"""

import os
import subprocess
import sys


def run(command, env):
    base = {k: v for k, v in os.environ.items() if not k.startswith(("HUGETLB_", "LD_PRELOAD", "MALLOC_"))}
    base.update(env)
    done = subprocess.run(command, env=base, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def show_difference(name, plain, ours):
    for number, (a, b) in enumerate(zip(plain.splitlines(), ours.splitlines())):
        if a != b:
            print(f"{name}: line {number + 1}:\n  plain     {a}\n  preloaded {b}")
            return
    print(f"{name}: one says more than the other")


def main():
    preload = os.path.abspath(sys.argv[1])
    split = sys.argv.index("--")
    command = sys.argv[split + 1:]
    status, out, err = run(command, {"IT_PRELOADED": "0"})
    if status != int(sys.argv[2]):
        print(f"the plain run failed: {status}\n{err}")
        return 1
    failed = 0
    for words in sys.argv[3:split]:
        env = {} if words == "-" else dict(w.split("=", 1) for w in words.split(","))
        env.update(IT_PRELOADED="1", LD_PRELOAD=preload)
        got = run(command, env)
        if got[0] != status:
            print(f"{words}: status {got[0]}\n{got[2]}")
            failed = 1
        elif got[1] != out:
            show_difference(words, out, got[1])
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
