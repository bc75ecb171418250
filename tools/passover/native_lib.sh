#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Prints what the dynamic linker of this machine puts for $LIB in LD_PRELOAD:
# it is asked to load an object from there, and the maps show which it was. Prints
# nothing where it cannot be told.
#
# native_lib.sh COMPILER...
dir=$(mktemp -d) || exit 0
trap 'rm -rf "$dir"' EXIT
echo 'int libhugetlbfs2_probe;' >"$dir/probe.c"
"$@" -shared -fPIC -o "$dir/probe.so" "$dir/probe.c" 2>/dev/null || exit 0
for lib in lib/x86_64-linux-gnu lib/aarch64-linux-gnu lib64 lib; do
	mkdir -p "$dir/$lib"
	cp "$dir/probe.so" "$dir/$lib/"
done
LD_PRELOAD="$dir/\$LIB/probe.so" cat /proc/self/maps 2>/dev/null |
	sed -n "s|.* $dir/\\(.*\\)/probe\\.so\$|\\1|p" | head -n 1
