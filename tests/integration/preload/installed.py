#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Installs into a scratch directory and builds and runs a program from there.

usage: installed.py MESON BUILD_DIRECTORY CC PKG_CONFIG PROGRAM_SOURCE INCLUDE VERSION
"""

import glob
import os
import subprocess
import sys
import tempfile


def main():
    meson, build, cc, pkg_config, source, include, version = sys.argv[1:]
    with tempfile.TemporaryDirectory() as top:
        subprocess.run([meson, "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", top],
                       check=True, stdout=subprocess.DEVNULL)
        found = glob.glob(top + "/**/hugetlbfs2.pc", recursive=True)
        if len(found) != 1:
            print(f"hugetlbfs2.pc: {found}")
            return 1
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HUGETLB_", "LD_PRELOAD"))}
        env.update(PKG_CONFIG_PATH=os.path.dirname(found[0]), PKG_CONFIG_SYSROOT_DIR=top)

        def ask(*question):
            return subprocess.run([pkg_config, *question, "hugetlbfs2"], env=env, check=True,
                                  stdout=subprocess.PIPE, text=True).stdout.split()

        if ask("--modversion") != [version]:
            print(f"version {ask('--modversion')}, not {version}")
            return 1
        library = [word[2:] for word in ask("--libs") if word.startswith("-L")]
        program = os.path.join(top, "program")
        subprocess.run([cc, "-std=gnu17", "-D_GNU_SOURCE", "-fno-builtin", f"-DIT_VERSION=\"{version}\"",
                        "-I", include, *ask("--cflags"), source, "-o", program, *ask("--libs"), "-pthread"],
                       check=True)
        needed = subprocess.run(["readelf", "-d", program], check=True, stdout=subprocess.PIPE, text=True).stdout
        if "libhugetlbfs2.so.0" not in needed:
            print("the program does not need libhugetlbfs2.so.0")
            return 1
        wrong = 0
        env["LD_LIBRARY_PATH"] = ":".join(library)
        preload = glob.glob(top + "/**/libhugetlbfs2-preload.so", recursive=True)
        for extra in ({"IT_PRELOADED": "0"}, {"IT_PRELOADED": "1", "LD_PRELOAD": preload[0]}):
            done = subprocess.run([program], env=dict(env, **extra), stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=120)
            if done.returncode != 0 or done.stdout != "done\n":
                print(f"{extra}: status {done.returncode}: {done.stdout}")
                wrong = 1
        return wrong


if __name__ == "__main__":
    sys.exit(main())
