#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program of another C library under the same object. Skipped without musl-gcc.

usage: musl.py PRELOAD SOURCE
"""

import os
import shutil
import subprocess
import sys
import tempfile


def main():
    preload, source = map(os.path.abspath, sys.argv[1:])
    compiler = shutil.which("musl-gcc")
    if compiler is None:
        print("no musl-gcc (Debian: musl-tools)")
        return 77
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HUGETLB_", "LD_"))}
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        program = os.path.join(scratch, "program")
        subprocess.run([compiler, "-D_GNU_SOURCE", "-fno-builtin", source, "-o", program],
                       env=env, check=True)
        plain = subprocess.run([program], env=env, check=True, stdout=subprocess.PIPE).stdout
        for variables in ({}, {"HUGETLB_MORECORE": "thp"}, {"HUGETLB_MORECORE": "no"}):
            ours = subprocess.run([program], env=dict(env, LD_PRELOAD=preload, HUGETLB_VERBOSE="3", **variables),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            # The message shows that the object was there.
            if ours.returncode != 0 or ours.stdout != plain or b"malloc is" not in ours.stderr:
                print(f"{variables}: status {ours.returncode}: {ours.stdout} {ours.stderr[:500]}")
                wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
