#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# In the build tree: DIR/<what $LIB is>/libhugetlbfs2-preload.so for each word
# size, so that one LD_PRELOAD entry serves them all (tools/hugectl_plan.c).
#
# arrange.sh STAMP DIR PRELOAD NATIVE [OBJECT LIB,LIB...]...
set -eu
stamp=$1 dir=$2 preload=$3 native=$4
shift 4
name=libhugetlbfs2-preload.so
link() {
	mkdir -p "$dir/$2"
	ln -sfn "$(readlink -m "$1")" "$dir/$2/$name"
}
link "$preload" "$native"
while [ $# -gt 1 ]; do
	for lib in $(printf %s "$2" | tr , ' '); do
		link "$1" "$lib"
	done
	shift 2
done
: >"$stamp"
