#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""HUGETLB_NO_CHILDREN: the program's children see neither us nor our variables.

usage: children.py PRELOAD
"""

import os
import shutil
import subprocess
import sys
import tempfile

failed = []


def see(preload_value, **variables):
    """What a child of a preloaded program finds in its environment."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HUGETLB_", "LD_PRELOAD"))}
    env.update(variables, LD_PRELOAD=preload_value, KEPT="kept", AFTER="x=y")
    done = subprocess.run(["/usr/bin/python3", "-c",
                           "import os, subprocess\n"
                           "print('htlb' if 'hugetlbfs2-preload' in open('/proc/self/maps').read() else 'bare')\n"
                           "os.execvp('sh', ['sh', '-c', 'cat /proc/self/maps | grep -c hugetlbfs2-preload; env'])"],
                          env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    lines = done.stdout.splitlines()
    inside = dict(line.split("=", 1) for line in lines[2:] if "=" in line)
    return lines[0], int(lines[1]), inside, done.stderr


def expect(what, condition, *seen):
    if not condition:
        failed.append(what)
        print(f"{what}: {seen}")


def main():
    own = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        link = os.path.join(scratch, "link.so")
        os.symlink(own, link)
        other = os.path.join(scratch, "other.so")
        shutil.copy("/lib/x86_64-linux-gnu/libdl.so.2"
                    if os.path.exists("/lib/x86_64-linux-gnu/libdl.so.2") else own, other)
        other_too = os.path.join(scratch, os.path.basename(own))
        shutil.copy(other, other_too)

        state, maps, env, err = see(own)
        expect("inherited by default", state == "htlb" and maps > 0 and env.get("LD_PRELOAD") == own,
               state, maps, env, err)

        # (LD_PRELOAD, what children shall find; None: nothing)
        for given, left in [
                (own, None),
                (link, None),
                (f":{own}", None),
                (f"{own}:{other}", other),
                (f"{other}:{own}", other),
                (f"{other} {own}", other),
                (f"{other}:{own}:{other_too}", f"{other}:{other_too}"),
                (f"{own} {other}:{other_too}", f"{other}:{other_too}"),
                (f"{other_too}:{own}", other_too)]:
            state, maps, env, err = see(given, HUGETLB_NO_CHILDREN="yes", HUGETLB_MORECORE="thp",
                                        HUGETLB_VERBOSE="1", HUGETLB_UNKNOWN="stays")
            expect(f"{given}: the program itself", state == "htlb", state, err)
            expect(f"{given}: LD_PRELOAD", env.get("LD_PRELOAD") == left, env.get("LD_PRELOAD"), left)
            expect(f"{given}: others", env.get("KEPT") == "kept" and env.get("AFTER") == "x=y"
                   and env.get("HUGETLB_UNKNOWN") == "stays", env)
            expect(f"{given}: ours", not any(k in env for k in (
                "HUGETLB_NO_CHILDREN", "HUGETLB_MORECORE", "HUGETLB_VERBOSE")), env)

        # It is for other programs: nothing is touched.
        _, maps, env, _ = see(own, HUGETLB_NO_CHILDREN="yes", HUGETLB_RESTRICT_EXE="no-such-program")
        expect("restricted", env.get("LD_PRELOAD") == own and env.get("HUGETLB_NO_CHILDREN") == "yes", env)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
