#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# capture.sh DIRECTORY [PID]
#
# Copies what lib/system reads of a running machine into a new directory, as
# that machine for tests and for --sysroot. With PID, the control group, mounts
# and maps are that process's; else those of this script. Reads only. Before
# you share a capture, look at proc/self/mountinfo and smaps: they have names.
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
	echo "usage: capture.sh DIRECTORY [PID]" >&2
	exit 2
fi
out=$1
pid=${2:-$$}
if [ -e "$out" ]; then
	echo "capture.sh: $out exists" >&2
	exit 1
fi

# The file at $1 as $2 below the directory; what cannot be read is left out.
copy_as() {
	[ -f "$1" ] && [ -r "$1" ] || return 0
	mkdir -p "$out/${2%/*}"
	# Some files of the kernel can be opened and still not be read.
	cat "$1" >"$out/$2" 2>/dev/null || rm -f "$out/$2"
}

copy() {
	for file in "$@"; do
		copy_as "$file" "${file#/}"
	done
}

copy /proc/meminfo /proc/buddyinfo /proc/cmdline /proc/sys/kernel/shmmax
copy /proc/sys/vm/min_free_kbytes
copy_as "/proc/$pid/cgroup" proc/self/cgroup
copy_as "/proc/$pid/mountinfo" proc/self/mountinfo
copy_as "/proc/$pid/smaps" proc/self/smaps
copy /proc/sys/vm/*huge* /proc/sys/vm/overcommit_* /proc/sys/vm/max_map_count
copy /sys/kernel/mm/hugepages/*/*
copy /sys/kernel/mm/transparent_hugepage/*
copy /sys/kernel/mm/transparent_hugepage/hugepages-*/*
copy /sys/kernel/mm/transparent_hugepage/khugepaged/*
copy /sys/devices/system/node/*
copy /sys/devices/system/node/node*/distance
copy /sys/devices/system/node/node*/meminfo
copy /sys/devices/system/node/node*/cpulist
copy /sys/devices/system/node/node*/hugepages/*/*

# The hugetlb files of the process's group and of all above it.
copy_group() {
	dir=$1
	while :; do
		copy "$dir"/hugetlb.*
		[ "$dir" = "$2" ] && break
		dir=${dir%/*}
	done
}

while IFS=: read -r _ controllers path; do
	case ",$controllers," in
	*,hugetlb,*) type=cgroup ;;
	,,) type=cgroup2 ;;
	*) continue ;;
	esac
	# Field 4 is the mount's root in the hierarchy, field 5 its place.
	awk -v type="$type" '
		{ for (i = 7; i <= NF && $i != "-"; i++); }
		$(i + 1) == type && (type == "cgroup2" || $NF ~ /hugetlb/) {
			print $4, $5
		}' "/proc/$pid/mountinfo" |
	while read -r root mount; do
		[ "$root" = / ] && root=
		case $path in
		"$root"|"$root"/*) ;;
		*) continue ;;
		esac
		dir=$mount${path#"$root"}
		copy_group "${dir%/}" "$mount"
	done
done <"/proc/$pid/cgroup"
