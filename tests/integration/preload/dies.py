#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Misuse ends the program: one line that names the pointer, then SIGABRT.

usage: dies.py PRELOAD PROGRAM HOW MESSAGE [VARIABLE=VALUE]...

PROGRAM prints the pointer; {p} in MESSAGE stands for it, * for anything. An
empty MESSAGE: the program must survive.
"""

import fnmatch
import os
import re
import resource
import signal
import subprocess
import sys


def main():
    preload, program, how, message = sys.argv[1:5]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HUGETLB_", "LD_PRELOAD"))}
    env.update(LD_PRELOAD=os.path.abspath(preload), IT_PRELOADED="1")
    env.update(word.split("=", 1) for word in sys.argv[5:])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = subprocess.run([program, how], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    pointer = re.match(r"0x[0-9a-f]+", done.stdout)
    if pointer is None:
        print(f"no pointer printed; status {done.returncode}\n{done.stderr}")
        return 1
    if message == "":
        good = done.returncode == 0 and "survived" in done.stdout and done.stderr == ""
        want = "survival"
    else:
        want = "libhugetlbfs2: " + message.replace("{p}", pointer.group(0)) + "\n"
        good = done.returncode == -signal.SIGABRT and fnmatch.fnmatchcase(done.stderr, want)
    if not good:
        print(f"wanted {want!r}, status {done.returncode}, got {done.stderr!r}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
