# SPDX-License-Identifier: LGPL-2.1-or-later
"""
hugeadm on a machine with two nodes: pools per node exactly as asked, 1 GiB pages
demoted, a state applied twice, and one that survives a reboot.

The two halves of the reboot are cases of two machines: what the first one wrote below
/etc is kept in HL_VM_KEEP, with what it gave as kernel command line; the second one
starts with that, and does with the files what systemd would do.
"""
import configparser
import glob
import json
import mmap
import os
import shlex
import shutil
import subprocess

from guest import GB, MB, Skip, counters, node_pool, nodes, number_list, program, sizes
from machine import HUGE, THP, VM, chosen, read, write

SYSCTL = '/etc/sysctl.d/60-hugeadm.conf'
UNITS = '/etc/systemd/system'


def hugeadm(*args, status=0):
    """Runs it; what it printed, with stderr."""
    path = program('tools/hugeadm')
    if not os.path.exists(path):
        raise Skip('hugeadm is not built')
    done = subprocess.run([path, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, check=False)
    text = done.stdout.decode()
    print(f'  hugeadm {shlex.join(args)}: {done.returncode}: {text.strip()[:300]}')
    assert done.returncode == status, f'exit status {done.returncode}, wanted {status}'
    return text


def persistent(page):
    """{node: persistent pages}"""
    found = counters(page)
    return {n: found[n, 'nr_hugepages'] - found[n, 'surplus_hugepages']
            for n in nodes('has_memory')}


def two():
    if len(nodes('has_memory')) != 2:
        raise Skip('needs two nodes with memory')
    return nodes('has_memory')


def equal(check, what, found, wanted):
    check.that(found == wanted, f'{what}: {found}, wanted {wanted}')


def admin_nodes(check):
    """25 pages on node 0, then 75 on node 1: 25/75; then one of them alone changes."""
    a, b = two()
    hugeadm('--pool-pages-min', f'2M:25@{a}')
    equal(check, 'first', persistent(2 * MB), {a: 25, b: 0})
    hugeadm('--pool-pages-min', f'2M:75@{b}')
    equal(check, 'then', persistent(2 * MB), {a: 25, b: 75})
    hugeadm('--pool-pages-min', f'2M:-5@{b}')
    equal(check, 'five less', persistent(2 * MB), {a: 25, b: 70})
    hugeadm('--pool-pages-min', f'2M:4@{a}', '--pool-pages-min', f'2M:+10@{b}')
    equal(check, 'both', persistent(2 * MB), {a: 4, b: 80})
    out = hugeadm('--dry-run', '--pool-pages-min', '2M:0')
    check.that('84' in out, f'--dry-run says {out!r}')
    equal(check, '--dry-run', persistent(2 * MB), {a: 4, b: 80})


def admin_surplus_elsewhere(check):
    """Pages made on demand on one node do not change what is asked of the other."""
    a, b = two()
    cpus = number_list(read(f'/sys/devices/system/node/node{b}/cpulist'))
    if not cpus:
        raise Skip(f'node {b} has no CPU')
    hugeadm('--pool-pages-min', '2M:2@all', '--overcommit', '2M:8')
    os.sched_setaffinity(0, cpus)
    held = mmap.mmap(-1, 7 * 2 * MB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
    surplus = counters(2 * MB)[b, 'surplus_hugepages']
    check.that(surplus > 0, f'{surplus} pages of surplus on node {b}')
    for pages in (9, 8, 3):
        out = hugeadm('--pool-pages-min', f'2M:{pages}@{a}')
        equal(check, f'{pages} pages', persistent(2 * MB)[a], pages)
        check.that(f' -> {pages}' in out.splitlines()[0], f'it says {out!r}')
    held.close()


def admin_whole(check):
    """Without a node the pool is as large as asked, wherever the pages are."""
    two()
    for pages in (10, 33, 0):
        hugeadm('--pool-pages-min', f'2M:{pages}')
        equal(check, f'{pages} pages', sum(persistent(2 * MB).values()), pages)


def admin_too_many(check):
    """More than the node has: exit status 3, and the machine stays usable."""
    a, b = two()
    hugeadm('--pool-pages-min', f'2M:6@{b}')
    out = hugeadm('--pool-pages-min', f'2M:100000@{a}', status=3)
    check.that(len(out.strip().splitlines()) == 1, f'it says {out!r}')
    equal(check, 'afterwards', persistent(2 * MB)[b], 6)
    free_kib = int(read(f'/sys/devices/system/node/node{a}/meminfo')
                   .split('MemFree:')[1].split()[0])
    check.that(free_kib > 64 << 10, f'{free_kib} KiB are left on node {a}')


def admin_apply(check):
    """A state that --json printed is brought back, and the second time is nothing."""
    a, b = two()
    hugeadm('--pool-pages-min', f'2M:25@{a}', '--pool-pages-min', f'2M:75@{b}',
            '--overcommit', '2M:7', '--thp-always')
    path = '/run/state.json'
    with open(path, 'w', encoding='utf-8') as f:
        f.write(hugeadm('--json'))
    hugeadm('--pool-pages-min', '2M:3', '--overcommit', '2M:0', '--thp-never')
    hugeadm('--dry-run', '--apply', path)
    equal(check, '--dry-run', sum(persistent(2 * MB).values()), 3)
    hugeadm('--apply', path)
    equal(check, 'pools', persistent(2 * MB), {a: 25, b: 75})
    equal(check, 'overcommit',
          read(f'{HUGE}/hugepages-2048kB/nr_overcommit_hugepages'), '7')
    equal(check, 'THP', chosen(f'{THP}/enabled'), 'always')
    out = hugeadm('--apply', path)
    equal(check, 'the second time', out.strip(), 'nothing to change')
    equal(check, 'pools afterwards', persistent(2 * MB), {a: 25, b: 75})


def admin_demote(check):
    """A 1 GiB page becomes 512 of 2 MiB, on its node."""
    a, b = two()
    if GB not in sizes() or min(persistent(GB).values()) < 1:
        raise Skip(f'needs a 1 GiB page on each node: {persistent(GB)}')
    if not os.path.exists(f'{HUGE}/hugepages-1048576kB/demote'):
        raise Skip('this kernel does not demote')
    before = persistent(GB)
    hugeadm('--demote', f'1G:1:2M@{b}')
    equal(check, 'small', persistent(2 * MB), {a: 0, b: 512})
    equal(check, 'large', persistent(GB), {a: before[a], b: before[b] - 1})
    hugeadm('--demote', '1G:1:2M')
    equal(check, 'all small', sum(persistent(2 * MB).values()), 1024)
    hugeadm('--pool-pages-min', '2M:0')


def admin_demote_to_size(check):
    """Sizes of nodes are as asked wherever the page was that became smaller ones."""
    a, b = two()
    if GB not in sizes() or not os.path.exists(f'{HUGE}/hugepages-1048576kB/demote'):
        raise Skip('this kernel does not demote')
    hugeadm('--pool-pages-min', '2M:10@all')
    hugeadm('--pool-pages-min', '1G:1')
    if sum(persistent(GB).values()) != 1:
        raise Skip(f'needs one 1 GiB page: {persistent(GB)}')
    sizes_of_nodes = ('--pool-pages-min', f'2M:10@{a}', '--pool-pages-min', f'2M:600@{b}')
    hugeadm('--demote', '1G:1', *sizes_of_nodes)
    equal(check, 'small', persistent(2 * MB), {a: 10, b: 600})
    check.that('nothing to change' in hugeadm(*sizes_of_nodes), 'twice is once')
    hugeadm('--pool-pages-min', '2M:0', '--pool-pages-min', '1G:0')


# ---- what survives a reboot ----

def keep():
    where = os.environ.get('HL_VM_KEEP')
    if not where:
        raise Skip('needs two machines')
    return where


def admin_persist(check):
    """First half: pools, mounts and settings are written down."""
    a, b = two()
    where = keep()
    hugeadm('--pool-pages-min', f'2M:25@{a}', '--pool-pages-min', f'2M:75@{b}',
            '--pool-pages-max', '2M:120', '--set-shm-group', '7', '--create-mounts',
            '--thp-always', '--persist')
    with open(f'{where}/append', 'w', encoding='ascii') as f:
        f.write(hugeadm('--boot-parameters'))
    with open(f'{where}/state.json', 'w', encoding='utf-8') as f:
        f.write(hugeadm('--json'))
    written = [p for p in (SYSCTL, *glob.glob(f'{UNITS}/hugeadm.service'),
                           *glob.glob(f'{UNITS}/*hugetlbfs*.mount')) if os.path.exists(p)]
    check.that(len(written) >= 3, f'written: {written}')
    if shutil.which('systemd-analyze'):
        units = [p for p in written if p.startswith(UNITS)]
        done = subprocess.run(['systemd-analyze', 'verify', *units], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check.that(done.returncode == 0, f'systemd-analyze: {done.stdout.decode()[-500:]}')
    for path in written:
        shutil.copy(path, where)


def start_service(path):
    """Each ExecStart, one after the other; a dash forgives a failure."""
    with open(path, encoding='utf-8') as f:
        for line in f:
            if line.startswith('ExecStart='):
                command = shlex.split(line[len('ExecStart='):].strip().lstrip('-'))
                subprocess.run(command, check=True)


def start_mount(path):
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read(path)
    part = unit['Mount']
    os.makedirs(part['Where'], exist_ok=True)
    subprocess.run(['mount', '-t', part['Type'], '-o', part['Options'], part['What'],
                    part['Where']], check=True)


def admin_rebooted(check):
    """Second half: the kernel command line and the files give the same machine."""
    a, b = two()
    where = keep()
    equal(check, 'at boot', persistent(2 * MB), {a: 25, b: 75})
    with open(f'{where}/60-hugeadm.conf', encoding='utf-8') as f:
        for line in f:
            if '=' in line and not line.startswith('#'):
                name, value = (part.strip() for part in line.split('=', 1))
                write(f'/proc/sys/{name.replace(".", "/")}', value)
    # The files alone must do it too, as nobody is made to use the command line.
    for node in nodes('has_memory'):
        write(f'{node_pool(node, 2 * MB)}/nr_hugepages', 0)
    start_service(f'{where}/hugeadm.service')
    for path in glob.glob(f'{where}/*.mount'):
        start_mount(path)
    equal(check, 'pools', persistent(2 * MB), {a: 25, b: 75})
    equal(check, 'overcommit',
          read(f'{HUGE}/hugepages-2048kB/nr_overcommit_hugepages'), '20')
    equal(check, 'group', read(f'{VM}/hugetlb_shm_group'), '7')
    equal(check, 'THP', chosen(f'{THP}/enabled'), 'always')
    with open(f'{where}/state.json', encoding='utf-8') as f:
        before = json.load(f)
    after = json.loads(hugeadm('--json'))
    for part in ('pools', 'mounts', 'thp', 'vm'):
        equal(check, part, after.get(part), before.get(part))
    out = hugeadm('--apply', f'{where}/state.json')
    equal(check, '--apply', out.strip(), 'nothing to change')
