#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several objects in LD_PRELOAD: usage: order.py PROGRAM OBJECT..."""

import os
import subprocess
import sys


def main():
    program, *objects = sys.argv[1:]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HUGETLB_", "LD_PRELOAD"))}
    env.update(LD_PRELOAD=":".join(os.path.abspath(o) for o in objects), IT_PRELOADED="1")
    done = subprocess.run([program], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60)
    if done.returncode != 0 or done.stdout != "main\nlate\n" or done.stderr != "":
        print(f"status {done.returncode}: {done.stdout!r} {done.stderr!r}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
